"""Node's http2 client as a gateway: the `direct` profile, with ALPN ids from the configuration."""

import contextlib
import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import IS_SANITIZED, Agent, Certificates, Origin, plain  # noqa: E402

PROGRAM = Path(__file__).with_name("node_gateway.mjs")
BULK = (8 if IS_SANITIZED else 100) * 1024**2


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


class NodeGateway:
    def __init__(self, certificates, alpn):
        self.lines, self._changed, self._next = [], threading.Condition(), 0
        self._child = subprocess.Popen(
            ["node", PROGRAM, certificates.gateway, certificates.gateway_key, certificates.ca,
             alpn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)

    @contextlib.contextmanager
    def running(self):
        self._reader.start()
        try:
            self.port = self.wait_for(lambda line: "port" in line)["port"]
            yield self
        finally:
            self._child.stdin.close()
            self._child.wait(20)
            self._reader.join()

    def _read(self):
        for line in self._child.stdout:
            with self._changed:
                self.lines.append(json.loads(line))
                self._changed.notify_all()

    def wait_for(self, predicate, count=1, seconds=60):
        def found():
            return [line for line in self.lines if predicate(line)]
        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, seconds), self.lines
            return found()[count - 1]

    def tell(self, **message):
        self._child.stdin.write(json.dumps(message) + "\n")
        self._child.stdin.flush()

    def ask(self, **request):
        self._next += 1
        number = self._next
        self.tell(id=number, **request)
        return self.wait_for(lambda line: line.get("id") == number)


@contextlib.contextmanager
def stage(certificates, answer, *options, alpn="ph2"):
    with NodeGateway(certificates, alpn).running() as gateway, \
            Origin(answer).running() as origin, \
            Agent(gateway.port, certificates, origin.url, "--profile", "direct", "--alpn", alpn,
                  *options).running() as agent:
        yield gateway, origin, agent


def echo(request, write):
    body = b"".join(request.body())
    write(plain(json.dumps({"method": request.method, "path": request.path,
                            "fields": request.fields, "trailers": request.trailers,
                            "length": len(body), "digest": hashlib.sha256(body).hexdigest()}
                           ).encode()))


def test_the_gateway_knows_who_we_are_and_how_much_we_take(certificates):
    with stage(certificates, echo, "--capacity", 7) as (gateway, _, _):
        attached = gateway.wait_for(lambda line: line.get("attached"))
        assert attached["alpn"] == "ph2"
        assert attached["worker"] == "worker1"
        assert attached["maxConcurrentStreams"] == 7
        # Extended CONNECT does not work yet, so it is not announced.
        assert attached["connectProtocol"] is False


def test_requests_bodies_and_trailers_arrive(certificates):
    with stage(certificates, echo) as (gateway, _, _):
        seen = json.loads(gateway.ask(headers={":path": "/a?b"})["body"])
        assert (seen["method"], seen["path"]) == ("GET", "/a?b")
        answer = gateway.ask(headers={":method": "POST"}, body="hello", trailers={"digest": "abc"})
        seen = json.loads(answer["body"])
        assert seen["length"] == 5
        assert seen["trailers"] == {"digest": "abc"}
        assert seen["fields"]["transfer-encoding"] == "chunked"


def test_interim_answers_and_trailers_come_back(certificates):
    def answer(request, write):
        write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
              b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")

    with stage(certificates, answer) as (gateway, _, _):
        seen = gateway.ask()
        assert seen["interim"][0][":status"] == 103
        assert seen["body"] == "ok"
        assert seen["trailers"]["x-sum"] == "1"


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
        up = json.loads(gateway.ask(headers={":method": "POST"}, bulk=BULK)["body"])
        assert (up["length"], up["digest"]) == (BULK, expected)
        assert agent.peak_kib() < (600 if IS_SANITIZED else 64) * 1024


def test_a_reset_in_mid_answer_stops_the_origin_and_harms_nobody_else(certificates):
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
        assert gateway.ask(resetAfter=100_000)["code"] == 8
        assert stopped.wait(20)
        assert gateway.ask(headers={":path": "/fine"})["body"] == "fine"


def test_goaway_of_the_gateway_brings_a_new_link_and_loses_nothing(certificates):
    with stage(certificates, echo) as (gateway, _, _):
        gateway.ask()
        gateway.tell(goaway=True)
        gateway.wait_for(lambda line: line.get("attached"), count=2)
        assert gateway.ask(headers={":path": "/after"})["headers"][":status"] == 200


def test_a_connection_that_is_cut_is_dialled_again(certificates):
    with stage(certificates, echo) as (gateway, _, _):
        gateway.ask()
        gateway.tell(destroy=True)
        gateway.wait_for(lambda line: line.get("attached"), count=2)
        assert gateway.ask()["headers"][":status"] == 200


def test_alpn_ids_may_be_any_bytes_and_must_be_agreed(certificates):
    with NodeGateway(certificates, "ph2").running() as gateway, \
            Origin(echo).running() as origin, \
            Agent(gateway.port, certificates, origin.url, "--profile", "direct", "--alpn",
                  "hex:d587c9a5").running(wait=False) as agent:
        line = agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off")
        assert "ALPN" in line["reason"] or "alert" in line["reason"] or \
            "protocol" in line["reason"], line
