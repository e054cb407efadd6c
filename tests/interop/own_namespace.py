"""What a program of the tests may see of this host: a network and mounts of its own."""

import ctypes
import os

NEW_NETWORK, NEW_MOUNTS, NEW_USERS = 0x40000000, 0x00020000, 0x10000000
BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def bind_mount(source, target):
    checked(libc.mount(source.encode(), target.encode(), None, BIND, None))


def separate(spaces):
    try:
        checked(libc.unshare(spaces))
    except PermissionError:
        checked(libc.unshare(NEW_USERS | spaces))
    checked(libc.mount(None, b"/", None, RECURSIVE | PRIVATE, None))


def separate_mounts():
    separate(NEW_MOUNTS)


def separate_network():
    separate(NEW_NETWORK | NEW_MOUNTS)
