"""--profile auto: the agent finds out how gateways reverse connections that others wrote, stays with
what works, and moves to what is better without losing a request."""

import contextlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from connect_gateway import ConnectGateway, Outer  # noqa: E402
from http2_client import Http2Client  # noqa: E402
from node import PROFILES, NodeGateway, echo  # noqa: E402
from peers import Agent, Gateway, Origin, curl, plain  # noqa: E402

# A wrong guess costs no more than a dial.
QUICK = ("--profile", "auto", "--serve", "https://app.example", "--reconnect-min", "10ms",
         "--reconnect-max", "50ms", "--reconnect-refused-min", "10ms")


def attached(agent, count=1):
    """With which profile."""
    return agent.wait_for(lambda line: line.get("to") == "attached", "attached", count=count)["profile"]


@pytest.mark.parametrize("configuration", ["recommended", "minimal"])
def test_haproxy_is_found(tmp_path, certificates, configuration):
    gateway = Gateway(tmp_path, certificates, configuration)
    with gateway.running(), Origin(echo).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, *QUICK).running() as agent:
        assert attached(agent) == "haproxy"
        seen = json.loads(curl("-H", "Host: app.example", gateway.url("/a")).stdout)
        assert seen["path"] == "/a"


def test_haproxy_that_carries_requests_loses_none_to_looks_for_something_better(tmp_path, certificates):
    gateway = Gateway(tmp_path, certificates, "minimal")
    with gateway.running(), Origin(echo).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, *QUICK, "--auto-interval", "50ms").running() as agent:
        assert attached(agent) == "haproxy"
        for number in range(200):
            done = curl("-o", "-", "-w", "%{http_code}", "-H", "Host: app.example",
                        gateway.url(f"/{number}"))
            # A first request can meet a look that was under way; from then on none can.
            assert number == 0 or done.stdout.endswith(b"200"), (number, done.stdout)
        agent.wait_for(lambda line: "does not take a better one" in line["message"], "looks", count=5)
        later = [line for line in agent.lines if "does not take a better one" in line["message"]][-3:]
        assert all("ptth-connect" not in line["tried"] for line in later)


@pytest.mark.parametrize("profile", ["potato", "h2-reverse", "ptth"])
def test_nodes_gateways_are_found(certificates, profile):
    with NodeGateway(certificates, **PROFILES[profile][0]).running() as gateway, \
            Origin(echo).running() as origin, \
            Agent(gateway.port, certificates, origin.url, *QUICK).running() as agent:
        assert attached(agent) == profile
        # By the first dial: it offers all that ALPN tells apart.
        assert not [line for line in agent.lines if line.get("to") == "backing_off"]
        assert gateway.ask(headers={":path": "/a"})["headers"][":status"] == 200


def test_a_gateway_without_alpn_is_asked_for_an_upgrade(certificates):
    with NodeGateway(certificates, **PROFILES["reverse"][0]).running() as gateway, \
            Origin(echo).running() as origin, \
            Agent(gateway.port, certificates, origin.url, *QUICK, "--hello-uri",
                  "https://gw.test/worker1").running() as agent:
        assert attached(agent) == "reverse"
        assert [line["profile"] for line in agent.lines if line.get("to") == "backing_off"]
        assert gateway.ask(headers={":path": "/a"})["headers"][":status"] == 200


def origin_answer(request, write):
    write(plain(request.path.encode()))


@contextlib.contextmanager
def connect_stage(certificates, *options, **of_gateway):
    with ConnectGateway(certificates, **of_gateway).running() as gateway, \
            Origin(origin_answer).running() as origin, \
            Agent(gateway.port, certificates, origin.url, *QUICK, *options).running(wait=False) as agent:
        yield gateway, agent


class Direct:
    """For Http2Client, right on a TLS stream."""

    def __init__(self, stream):
        self._stream = stream
        self.send, self.cut = stream.sendall, stream.close

    def receive(self):
        return self._stream.recv(65536)


def next_with(gateway, alpn):
    """The next connection that agrees on that id; the others are closed."""
    while True:
        stream = gateway.accept_stream()
        if stream.selected_alpn_protocol() == alpn:
            return Direct(stream)
        stream.close()


def test_extended_connect_is_found(certificates):
    with connect_stage(certificates) as (gateway, agent):
        client = Http2Client(gateway.next_hello().accept())
        assert client.request("/a") == ("200", b"/a")
        assert attached(agent) == "ptth-connect"


def test_a_refusal_is_no_reason_to_try_another_profile(certificates):
    with connect_stage(certificates) as (gateway, agent):
        for count in range(1, 4):
            gateway.next_hello().answer(403, body=b"no")
            line = agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off", count=count)
            assert "register" in line["reason"]


def test_something_better_takes_over_without_a_loss(certificates):
    with connect_stage(certificates, "--auto-interval", "100ms") as (gateway, agent):
        tunnel = gateway.next_hello().accept()
        old = Http2Client(tunnel)
        assert old.request("/old") == ("200", b"/old")
        assert attached(agent) == "ptth-connect"
        gateway.offer("ph2", "h2")
        better = next_with(gateway, "ph2")
        new = Http2Client(better)
        assert new.request("/new") == ("200", b"/new")
        assert attached(agent, 2) == "potato"
        # The one before it is drained: GOAWAY, type 7 with 8 bytes.
        assert b"\x00\x00\x08\x07" in tunnel.receive()
        # The next dial begins with what is known, whatever else the gateway would take.
        better.cut()
        gateway.offer("h2", "ph2")
        again = Http2Client(next_with(gateway, "ph2"))
        assert again.request("/again") == ("200", b"/again")
        assert not [line for line in agent.lines if line["level"] in ("warn", "error")
                    and line["message"] == "link state"]


def test_a_gateway_that_meant_it_is_never_taken_for_haproxy(certificates):
    with connect_stage(certificates) as (gateway, agent):
        tunnel = gateway.next_hello().accept()
        assert Http2Client(tunnel).request("/a")[0] == "200"
        assert attached(agent) == "ptth-connect"
        # From now on whoever comes hears what any HTTP/2 server says, and no word of CONNECT.
        gateway.takes_connect = False
        tunnel.cut()
        for _ in range(4):
            while (stream := gateway.accept_stream()).selected_alpn_protocol() != "h2":
                stream.close()
            Outer(stream, False, 65535, 100).await_end()
        assert sum(line.get("to") == "attached" for line in agent.lines) == 1
