"""Node's http client as a gateway: reversed connections that speak HTTP/1.1, as many as it needs."""

import contextlib
import hashlib
import json
import signal
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from node import NodeGateway, echo  # noqa: E402
from peers import IS_SANITIZED, Agent, Origin, plain  # noqa: E402

PROGRAM = Path(__file__).with_name("node_http1_gateway.mjs")
BULK = (8 if IS_SANITIZED else 100) * 1024**2

# What each profile needs: of the gateway, and of the agent.
PROFILES = {
    "direct": ({"alpn": "http/1.1"}, ("--alpn", "http/1.1", "--http1-alpn", "http/1.1")),
    "potato": ({"alpn": "ph1"}, ("--http1-alpn", "ph1")),
    "ptth": ({"upgrade": {"token": "ptth", "choice": "ALPN"}},
             ("--hello-channel", "h2,http/1.1", "--serve", "https://app.example")),
    "reverse": ({"upgrade": {"token": "reverse", "choice": "Selected-ALPN"}},
                ("--hello-channel", "http/1.1", "--hello-uri", "https://gw.test/worker1")),
}


@contextlib.contextmanager
def stage(certificates, answer, *options, profile="direct"):
    of_gateway, of_agent = PROFILES[profile]
    with NodeGateway(certificates, program=PROGRAM, **of_gateway).running() as gateway, \
            Origin(answer).running() as origin, \
            Agent(gateway.port, certificates, origin.url, "--profile", profile, *of_agent,
                  *options).running() as agent:
        yield gateway, origin, agent


@pytest.mark.parametrize("profile", PROFILES)
def test_requests_bodies_and_trailers_arrive_over_one_connection(certificates, profile):
    with stage(certificates, echo, "--http1-connections-spare", 0, profile=profile) as \
            (gateway, _, _):
        assert gateway.wait_for(lambda line: "attached" in line)["worker"] == "worker1"
        seen = json.loads(gateway.ask(path="/a?b")["body"])
        assert (seen["method"], seen["path"]) == ("GET", "/a?b")
        assert seen["fields"]["host"] == "app.example"
        answer = gateway.ask(method="POST", body="hello", trailers={"Digest": "abc"},
                             headers={"Transfer-Encoding": "chunked", "Trailer": "Digest"})
        seen = json.loads(answer["body"])
        assert (seen["length"], seen["trailers"]) == (5, {"digest": "abc"})
        assert gateway.ask(method="HEAD")["status"] == 200
        assert gateway.ask(method="DELETE", body="x")["socket"] == 0


def test_interim_answers_and_trailers_come_back(certificates):
    def answer(request, write):
        write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
              b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")

    with stage(certificates, answer) as (gateway, _, _):
        seen = gateway.ask()
        assert seen["interim"] == [{"status": 103, "headers": {"link": "</a>"}}]
        assert (seen["body"], seen["trailers"]) == ("ok", {"x-sum": "1"})


def test_100_continue_is_the_origins_to_give(certificates):
    def answer(request, write):
        if request.path == "/no":
            return write(plain(b"no", "413 Content Too Large"))
        write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return echo(request, write)

    with stage(certificates, answer) as (gateway, _, _):
        headers = {"Expect": "100-continue", "Content-Length": "5"}
        seen = gateway.ask(method="POST", headers=headers, body="hello")
        assert seen["interim"] == [{"status": 100}]
        assert json.loads(seen["body"])["length"] == 5
        refused = gateway.ask(method="POST", path="/no", headers=headers, body="hello")
        assert (refused["status"], refused["interim"]) == (413, [])
        assert gateway.ask()["status"] == 200


def test_large_bodies_both_ways(certificates):
    expected = hashlib.sha256(b"x" * BULK).hexdigest()

    def answer(request, write):
        if request.method == "POST":
            return echo(request, write)
        write(f"HTTP/1.1 200 OK\r\nContent-Length: {BULK}\r\n\r\n".encode())
        for _ in range(BULK // 65536):
            write(b"x" * 65536)

    with stage(certificates, answer) as (gateway, _, agent):
        down = gateway.ask()
        assert (down["length"], down["digest"]) == (BULK, expected)
        for headers in ({}, {"Content-Length": str(BULK)}):
            up = json.loads(gateway.ask(method="POST", bulk=BULK, headers=headers)["body"])
            assert (up["length"], up["digest"]) == (BULK, expected)
        assert agent.peak_kib() < (600 if IS_SANITIZED else 64) * 1024


def test_an_early_answer_to_an_endless_upload_arrives(certificates):
    def answer(request, write):
        if request.method == "POST":
            write(plain(b"too much", "413 Content Too Large", "Connection: close"))
            return False
        return write(plain(b"fine"))

    with stage(certificates, answer) as (gateway, _, _):
        for _ in range(3):
            early = gateway.ask(method="POST", bulk=BULK)
            assert (early["status"], early["body"]) == (413, "too much")
        assert gateway.ask()["body"] == "fine"


def test_an_answer_that_breaks_off_is_seen_to(certificates):
    def answer(request, write):
        if request.path == "/fine":
            return write(plain(b"fine"))
        length = "Content-Length: 100" if request.path == "/length" else "Transfer-Encoding: chunked"
        write(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
        write(b"4\r\nhalf\r\n" if "chunked" in length else b"half")
        return False

    with stage(certificates, answer) as (gateway, _, _):
        for path in ("/length", "/chunks"):
            seen = gateway.ask(path=path)
            assert seen.get("aborted") or seen.get("error"), seen
        assert gateway.ask(path="/fine")["body"] == "fine"


def test_a_gateway_that_gives_up_stops_the_origin(certificates):
    stopped = threading.Event()

    def answer(request, write):
        if request.path == "/fine":
            return write(plain(b"fine"))
        write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                write(b"5\r\nhello\r\n")
        except OSError:
            stopped.set()
            raise

    with stage(certificates, answer) as (gateway, _, _):
        gateway.ask(destroyAfter=100_000)
        assert stopped.wait(20)
        assert gateway.ask(path="/fine")["body"] == "fine"


def test_connections_come_as_they_are_needed_and_go_when_they_are_not(certificates):
    many = 20
    all_here = threading.Barrier(many)

    def answer(request, write):
        if request.path == "/together":
            all_here.wait(60)
        return write(plain(b"here"))

    with stage(certificates, answer, "--capacity", many, "--http1-connections-surplus-after",
               "200ms") as (gateway, origin, _):
        for number in range(many):
            gateway.tell(id=1000 + number, path="/together")
        # Each needs a connection of its own, or the origin would never have them all.
        for number in range(many):
            assert gateway.wait_for(lambda line, n=number: line.get("id") == 1000 + n)["body"] == "here"
        assert origin.in_hand_max == many
        # All but those that are kept to spare.
        gateway.wait_for(lambda line: "closed" in line, count=many - 2)
        assert gateway.ask()["status"] == 200


def test_a_gateway_that_uses_each_connection_once_always_gets_another(certificates):
    with stage(certificates, echo) as (gateway, _, agent):
        sockets = {gateway.ask(once=True, path=f"/{number}")["socket"] for number in range(30)}
        assert len(sockets) == 30
        troubles = [line for line in agent.lines
                    if line["message"] == "link state" and line["level"] == "warn"]
        assert not troubles


def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_read(certificates):
    with stage(certificates, echo) as (gateway, origin, _):
        for lines in ("Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length : 5",
                      "Content-Length: 5\r\nContent-Length: 5", "Transfer-Encoding: chunked, identity",
                      "X: a\r\n b", "Host: other.example", "X: a\nY: b"):
            raw = gateway.ask(raw=f"POST / HTTP/1.1\r\nHost: app.example\r\n{lines}\r\n\r\n0\r\n\r\n"
                                  "GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n")["raw"]
            assert raw.startswith(("HTTP/1.1 400 ", "HTTP/1.1 501 ")), raw
            assert raw.count("HTTP/1.1") == 1, raw
        assert gateway.ask()["status"] == 200
        assert [request.path for request in origin.requests] == ["/"]


def test_pipelined_requests_are_answered_in_order(certificates):
    with stage(certificates, echo) as (gateway, _, _):
        request = "GET /{} HTTP/1.1\r\nHost: app.example\r\n{}\r\n"
        raw = gateway.ask(raw=request.format(1, "") + request.format(2, "") +
                          request.format(3, "Connection: close\r\n"))["raw"]
        assert [raw.index(f'"path": "/{number}"') for number in (1, 2, 3)] == \
            sorted(raw.index(f'"path": "/{number}"') for number in (1, 2, 3))
        assert raw.lower().count("connection: close") == 1


def test_a_drain_closes_what_is_idle_and_lets_the_rest_end(certificates):
    begun, may_end = threading.Event(), threading.Event()

    def answer(request, write):
        begun.set()
        may_end.wait(60)
        return write(plain(b"whole"))

    with stage(certificates, answer) as (gateway, _, agent):
        gateway.wait_for(lambda line: "attached" in line, count=2)
        gateway.tell(id=500)
        assert begun.wait(20)
        gateway.wait_for(lambda line: "attached" in line, count=3)
        agent.child.send_signal(signal.SIGTERM)
        gateway.wait_for(lambda line: "ended" in line, count=2)
        may_end.set()
        seen = gateway.wait_for(lambda line: line.get("id") == 500)
        assert (seen["body"], seen["headers"]["connection"]) == ("whole", "close")
        assert agent.child.wait(20) == 0


def test_connections_that_the_gateway_closes_are_dialled_again(certificates):
    with stage(certificates, echo) as (gateway, _, _):
        gateway.wait_for(lambda line: "attached" in line, count=2)
        gateway.tell(close=True)
        gateway.wait_for(lambda line: "attached" in line, count=4)
        assert gateway.ask()["status"] == 200
