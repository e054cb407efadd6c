"""The profile ptth-1.0: what npm's reverse-http says as a worker, the agent says too; and Node's http
client as a gateway that keeps hellos until it has a request."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from node import NodeGateway, echo  # noqa: E402
from peers import ROOT, Agent, Origin, free_port, plain, wait_until  # noqa: E402

PROGRAM = Path(__file__).with_name("node_http1_gateway.mjs")
WORKER = Path(__file__).with_name("reverse_http_worker.js")
PACKAGE = ROOT / "build/npm/node_modules/reverse-http"
OPTIONS = ("--profile", "ptth-1.0", "--hello-variable", "id=worker1", "--reconnect-min", "10ms")


def gateway_of(certificates, holds=True, **options):
    return NodeGateway(certificates, program=PROGRAM,
                       upgrade={"token": "PTTH/1.0", "holds": holds}, **options).running()


@contextlib.contextmanager
def stage(certificates, answer, *options, wait=True, **of_gateway):
    with gateway_of(certificates, **of_gateway) as gateway, Origin(answer).running() as origin, \
            Agent(gateway.port, certificates, origin.url, *OPTIONS, *options).running(wait=wait) as agent:
        yield gateway, origin, agent


@contextlib.contextmanager
def reverse_http(certificates, gateway):
    assert PACKAGE.is_dir(), "npm's reverse-http not found: scripts/dev setup"
    with subprocess.Popen(["node", WORKER, PACKAGE, str(gateway.port), "/worker1"],
                          stdin=subprocess.PIPE,
                          env={**os.environ, "NODE_EXTRA_CA_CERTS": str(certificates.ca)}) as child:
        yield
        child.stdin.close()
        assert child.wait(20) == 0


@contextlib.contextmanager
def the_agent(certificates, gateway):
    with Origin(echo).running() as origin, \
            Agent(gateway.port, certificates, origin.url, *OPTIONS).running():
        yield


def is_hello(line):
    return line.get("hello")


def test_the_hello_is_that_of_reverse_http(certificates):
    seen = []
    for worker in (reverse_http, the_agent):
        with gateway_of(certificates, holds=False, asksWho=False) as gateway, \
                worker(certificates, gateway):
            hello = gateway.wait_for(is_hello)
            headers = dict(hello["headers"])
            assert headers.pop("host") in (f"127.0.0.1:{gateway.port}", f"gw.test:{gateway.port}")
            headers["connection"] = headers["connection"].lower()
            seen.append((hello["method"], hello["url"], hello["version"], headers))
    assert seen[0] == seen[1] == ("POST", "/worker1", "1.1", {
        "upgrade": "PTTH/1.0", "connection": "upgrade", "content-length": "0"})


@pytest.mark.parametrize("worker", [reverse_http, the_agent])
@pytest.mark.parametrize("holds", [False, True])
def test_a_gateway_gets_the_same_from_both_workers(certificates, worker, holds):
    with gateway_of(certificates, holds=holds, asksWho=False) as gateway, \
            worker(certificates, gateway):
        gateway.wait_for(is_hello)
        for request in ({"path": "/a?b"}, {"method": "POST", "body": "hello"},
                        {"method": "PUT", "bulk": 300_000}, {"method": "DELETE", "once": True},
                        {"path": "/after"}):
            answer = gateway.ask(**request)
            body = request.get("body", "x" * request.get("bulk", 0)).encode()
            assert answer["status"] == 200
            seen = json.loads(answer["body"])
            assert (seen["method"], seen["path"]) == (request.get("method", "GET"),
                                                      request.get("path", "/"))
            assert seen["length"] == len(body)
            assert seen["digest"] == hashlib.sha256(body).hexdigest()


def test_requests_that_come_together_get_a_connection_each(certificates):
    many = 20
    all_here = threading.Barrier(many)

    def answer(request, write):
        if request.path == "/together":
            all_here.wait(60)
        return write(plain(request.path.encode()))

    with stage(certificates, answer, "--capacity", many, "--http1-connections-surplus-after",
               "200ms") as (gateway, origin, _):
        for number in range(many):
            gateway.tell(id=1000 + number, path="/together")
        for number in range(many):
            line = gateway.wait_for(lambda line, n=number: line.get("id") == 1000 + n)
            assert line["body"] == "/together"
        assert origin.in_hand_max == many
        assert gateway.ask(path="/later")["body"] == "/later"


def test_a_gateway_that_uses_each_connection_once_always_gets_another(certificates):
    with stage(certificates, echo) as (gateway, _, agent):
        sockets = {gateway.ask(once=True, path=f"/{number}")["socket"] for number in range(30)}
        assert len(sockets) == 30
        assert not [line for line in agent.lines
                    if line["message"] == "link state" and line["level"] == "warn"]


def test_a_gateway_that_has_nothing_for_us_is_asked_again_on_the_same_connection(certificates):
    with stage(certificates, echo, "--http1-connections-spare", 1) as (gateway, _, agent):
        port = gateway.wait_for(is_hello)["port"]
        for count in (2, 3):
            gateway.tell(giveUp="keep")
            assert gateway.wait_for(is_hello, count=count)["port"] == port
        assert gateway.ask()["status"] == 200
        assert not [line for line in agent.lines if line.get("to") == "backing_off"]


def test_and_on_another_one_if_it_closes(certificates):
    with stage(certificates, echo, "--http1-connections-spare", 1) as (gateway, _, agent):
        port = gateway.wait_for(is_hello)["port"]
        gateway.tell(giveUp="close")
        assert gateway.wait_for(is_hello, count=2)["port"] != port
        assert gateway.ask()["status"] == 200
        assert not [line for line in agent.lines if line["level"] in ("warn", "error")
                    and line["message"] == "link state"]


def test_a_redirect_is_followed(certificates):
    answers = ["HTTP/1.1 307 x\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"]
    with stage(certificates, echo, "--http1-connections-spare", 1, answers=answers) as (gateway, _, _):
        assert gateway.wait_for(is_hello, count=2)["url"] == "/elsewhere"
        assert gateway.ask()["status"] == 200


def test_a_no_is_told_in_words(certificates):
    answers = ["HTTP/1.1 403 x\r\nContent-Length: 5\r\n\r\nnever"]
    with stage(certificates, echo, "--reconnect-refused-min", "10ms", wait=False,
               answers=answers) as (gateway, _, agent):
        line = agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off")
        assert "never" in line["reason"]
        assert gateway.ask()["status"] == 200


def test_a_worker_that_leaves_answers_what_it_has_and_closes_what_is_held(certificates):
    begun, may_end = threading.Event(), threading.Event()

    def answer(request, write):
        begun.set()
        may_end.wait(60)
        return write(plain(b"whole"))

    with stage(certificates, answer) as (gateway, _, agent):
        gateway.tell(id=500)
        assert begun.wait(20)
        gateway.wait_for(is_hello, count=3)
        agent.child.send_signal(signal.SIGTERM)
        gateway.wait_for(lambda line: "unheld" in line, count=2)
        may_end.set()
        assert gateway.wait_for(lambda line: line.get("id") == 500)["body"] == "whole"
        assert agent.child.wait(20) == 0


def test_a_gateway_that_was_away_is_served_again(certificates):
    port = free_port()
    with Origin(echo).running() as origin, \
            Agent(port, certificates, origin.url, *OPTIONS).running(wait=False) as agent:
        for count in (1, 2):
            with gateway_of(certificates, port=port) as gateway:
                wait_until(lambda: sum(bool(is_hello(line)) for line in gateway.lines) >= 2, "hellos")
                assert gateway.ask()["status"] == 200
        assert agent.child.poll() is None
