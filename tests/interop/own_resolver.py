"""Runs a program with a resolv.conf of its own: own_resolver.py DIRECTORY PROGRAM ARGUMENTS...
DIRECTORY/resolv.conf is that file. Exits with 77 where the kernel does not let us."""

import os
import shutil
import sys

from own_namespace import bind_mount, separate_mounts


def main():
    directory, program = sys.argv[1], sys.argv[2:]
    try:
        separate_mounts()
        bind_mount(os.path.join(directory, "resolv.conf"), os.path.realpath("/etc/resolv.conf"))
    except OSError as error:
        print(f"no resolver of its own: {error}", file=sys.stderr)
        sys.exit(77)
    os.execv(shutil.which(program[0]), program)


main()
