"""Three hosts in network namespaces: the gateway's, which the caller enters, the agent's, and a router
between them, which can swallow everything without a word. Neither end then sees anything but silence,
as when a cable is cut, a firewall forgets a connection or a host loses its power."""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import process, wait_until  # noqa: E402

NEW_NETWORK = 0x40000000
OWN_NETWORK = "/proc/thread-self/ns/net"
# Addresses for documentation (RFC 5737): nobody's, should they ever leave their namespaces.
GATEWAY, ROUTER_AT_GATEWAY = "192.0.2.1", "192.0.2.2"
AGENT, ROUTER_AT_AGENT = "198.51.100.1", "198.51.100.2"

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def network_of_its_own():
    """The calling thread, and what it starts, in a new network until the block ends."""
    with open(OWN_NETWORK, "rb") as before:
        try:
            checked(libc.unshare(NEW_NETWORK))
        except PermissionError as error:
            pytest.skip(f"no network of its own: {error}")
        try:
            yield
        finally:
            checked(libc.setns(before.fileno(), NEW_NETWORK))


@contextlib.contextmanager
def host():
    """Yields the words that run a command in another new network, and the id of a process there."""
    with process(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as holder:
        with holder.stdin:
            theirs = Path(f"/proc/{holder.pid}/ns/net")
            wait_until(lambda: os.readlink(theirs) != os.readlink(OWN_NETWORK), "a new network")
            yield ["nsenter", f"--net={theirs}"], holder.pid


def run(*command):
    subprocess.run([str(part) for part in command], check=True)


def link(here, name, address, there, other_name, other_address, other_pid):
    """A cable between two hosts."""
    run(*here, "ip", "link", "add", name, "type", "veth", "peer", "name", other_name,
        "netns", other_pid)
    for where, device, own in ((here, name, address), (there, other_name, other_address)):
        run(*where, "ip", "address", "add", f"{own}/24", "dev", device)
        run(*where, "ip", "link", "set", device, "up")


class LostPath:
    """`at_agent` runs a command on the agent's host; the caller is on the gateway's."""

    def __init__(self, at_router, at_agent):
        self._at_router, self.at_agent = at_router, at_agent

    # A router that does not forward says nothing either.
    def lose(self):
        self._forward(0)

    def restore(self):
        self._forward(1)

    def _forward(self, number):
        run(*self._at_router, "sh", "-c", f"echo {number} >/proc/sys/net/ipv4/ip_forward")


@contextlib.contextmanager
def lost_path():
    """Yields a LostPath that is whole."""
    assert shutil.which("ip"), "ip not found: scripts/dev setup"
    with network_of_its_own(), host() as (at_router, router), host() as (at_agent, agent):
        for where in ([], at_router, at_agent):
            run(*where, "ip", "link", "set", "lo", "up")
        link([], "router", GATEWAY, at_router, "gateway", ROUTER_AT_GATEWAY, router)
        link(at_router, "agent", ROUTER_AT_AGENT, at_agent, "router", AGENT, agent)
        run("ip", "route", "add", "default", "via", ROUTER_AT_GATEWAY)
        run(*at_agent, "ip", "route", "add", "default", "via", ROUTER_AT_AGENT)
        path = LostPath(at_router, at_agent)
        path.restore()
        yield path
