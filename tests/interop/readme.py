"""The configurations that README.md shows: code blocks with a marker before them, a comment like
`<!-- run: potato -->`. What else such a configuration needs, as `<!-- with: potato -->`."""

import re
import shlex
from pathlib import Path

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
MARKER = re.compile(r"<!-- (run|with): (\S+) -->$")
IS_CONFIGURATION = re.compile(r"^(\S*/)?ptth-(agent|dev-gateway) (run )?-|^\{|args: \[run,", re.MULTILINE)


class Block:
    """kind: run, with, or None without a marker."""

    def __init__(self, kind, name, text):
        self.kind, self.name, self.text = kind, name, text

    def is_configuration(self):
        return bool(IS_CONFIGURATION.search(self.text))

    def is_json(self):
        return self.text.startswith("{")


def commands(text):
    """The command lines of a block, each as a list of arguments."""
    return [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines()]


def blocks(text=README):
    found, lines, marker = [], [], None
    is_fenced = False

    def end():
        nonlocal marker
        if lines:
            found.append(Block(*(marker or (None, None)), "\n".join(lines).strip("\n")))
            marker = None
        lines.clear()

    for line in text.splitlines():
        is_fence = line.startswith("```")
        is_fenced ^= is_fence
        if is_fence:
            continue
        if is_fenced or line.startswith("    ") or (lines and not line):
            lines.append(line if is_fenced else line[4:])
        elif line:
            end()
            match = MARKER.match(line)
            marker = match.groups() if match else None
    end()
    return found


def runs():
    return {block.name: block for block in blocks() if block.kind == "run"}


def companion(name):
    """What a run needs beside it."""
    block, = [block for block in blocks() if (block.kind, block.name) == ("with", name)]
    return block


def known_profiles():
    """As the table of settings has them, which is the binary's own."""
    return re.search(r"`--profile ([^`]*)`", README)[1].split("\\|")
