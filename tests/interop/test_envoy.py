"""What the agent says to an Envoy, and what it makes of everything that an Envoy does afterwards with
the connection."""

import contextlib
import ssl
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from envoy import PING, Envoy  # noqa: E402
from peers import Agent, Origin, plain  # noqa: E402

YES = b"HTTP/1.1 200 OK\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n"
CLEARTEXT = ("--insecure-envoy-handover",)


def answer(request, write):
    write(plain(request.path.encode()))


@contextlib.contextmanager
def stage(certificates, *options):
    with Envoy(certificates).running() as envoy, Origin(answer).running() as origin, \
            Agent(envoy.port, certificates, origin.url, "--profile", "envoy", "--envoy-node-id",
                  "node-1", "--envoy-cluster-id", "edge", "--reconnect-min", "10ms",
                  "--reconnect-refused-min", "10ms", *options).running(wait=False) as agent:
        yield envoy, agent


def inner_tls(certificates):
    return ("--envoy-cert-file", certificates.worker, "--envoy-key-file", certificates.worker_key,
            "--envoy-ca-file", certificates.ca)


def attached(agent, count=1):
    agent.wait_for(lambda line: line.get("to") == "attached", "attached", count=count)


def failure(agent, count=1):
    return agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off",
                          count=count)["reason"]


def accepted(envoy, answer=YES):
    """A worker whose hello was accepted, on the connection beneath TLS."""
    worker = envoy.next_hello()
    worker.send(answer)
    worker.leave_tls()
    return worker


def test_the_hello_is_as_envoys_filter_wants_it(certificates):
    with stage(certificates) as (envoy, agent):
        worker = envoy.next_hello()
        assert worker.request == "GET /reverse_connections/request HTTP/1.1"
        assert worker.fields == {
            "host": f"gw.test:{envoy.port}", "x-envoy-reverse-tunnel-node-id": "node-1",
            "x-envoy-reverse-tunnel-cluster-id": "edge",
            "x-envoy-reverse-tunnel-tenant-id": "", "content-length": "0"}
        worker.send(YES)
        # In its pool, we are at its service.
        attached(agent)
        assert worker.is_silent()


def test_everything_in_the_hello_is_configuration(certificates, tmp_path):
    token = tmp_path / "token"
    token.write_text("jwt\n")
    token.chmod(0o600)
    file = tmp_path / "agent.json"
    file.write_text('{"envoy": {"header_prefix": "X-Acme"}}')
    with stage(certificates, "--config", file, "--envoy-tenant-id", "blue",
               "--envoy-upstream-cluster", "up", "--token-file", token, "--hello-token",
               "reverse-tunnel", "--hello-template", "https://gw.test/tunnel") as (envoy, agent):
        worker = envoy.next_hello()
        assert worker.request == "GET /tunnel HTTP/1.1"
        assert worker.fields == {
            "host": "gw.test", "connection": "upgrade", "upgrade": "reverse-tunnel",
            "authorization": "Bearer jwt", "x-acme-reverse-tunnel-node-id": "node-1",
            "x-acme-reverse-tunnel-cluster-id": "edge", "x-acme-reverse-tunnel-tenant-id": "blue",
            "x-acme-reverse-tunnel-upstream-cluster-name": "up", "content-length": "0"}
        worker.send(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n"
                    b"upgrade: reverse-tunnel\r\n\r\n")
        attached(agent)


@pytest.mark.parametrize("line, words", [
    ("404 Not Found", "--hello-uri"), ("400 Bad Request", "did not understand"),
    ("401 Unauthorized", "credentials"), ("403 Forbidden", "register"),
    ("426 Upgrade Required\r\nconnection: upgrade\r\nupgrade: reverse-tunnel", "--hello-token"),
    ("429 Too Many Requests\r\nretry-after: 1", "too often"),
    ("503 Service Unavailable", "no room"),
    ("101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: reverse-tunnel", "no yes"),
])
def test_a_no_is_told_in_words_and_envoy_is_asked_again(certificates, line, words):
    with stage(certificates) as (envoy, agent):
        envoy.next_hello().send(f"HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n".encode())
        assert words in failure(agent)
        envoy.next_hello()


def test_http2_in_tls_of_envoys_own(certificates):
    with stage(certificates, *inner_tls(certificates)) as (envoy, agent):
        worker = accepted(envoy)
        attached(agent)
        worker.ping()
        worker.ping()
        assert worker.is_silent()
        worker.begin_tls(envoy.inner, server_side=False)
        assert worker.request_over_http2("/a") == ("200", b"/a")
        # It stays attached all the while.
        assert [line["to"] for line in agent.lines if "to" in line][-1] == "attached"


def test_http2_in_cleartext_where_that_is_allowed(certificates):
    with stage(certificates, *CLEARTEXT) as (envoy, _):
        worker = accepted(envoy)
        worker.ping()
        assert worker.request_over_http2("/b") == ("200", b"/b")


def test_http2_in_cleartext_is_refused_behind_tls(certificates):
    with stage(certificates) as (envoy, agent):
        worker = accepted(envoy)
        worker.ping()
        worker.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert worker.is_closed()
        assert "--insecure-envoy-handover" in failure(agent)


def test_http2_in_the_tls_that_envoy_kept(certificates):
    with stage(certificates) as (envoy, _):
        worker = envoy.next_hello()
        worker.send(YES)
        worker.ping()
        assert worker.request_over_http2("/c") == ("200", b"/c")


def test_a_ping_in_the_segment_of_the_answer_is_not_lost(certificates):
    with stage(certificates, *CLEARTEXT) as (envoy, _):
        worker = envoy.next_hello()
        record = worker.record(YES)
        worker.leave_tls()
        worker.raw.sendall(record + PING)
        assert worker.receive_exactly(5) == PING
        assert worker.request_over_http2()[0] == "200"


def test_an_answer_in_several_records_and_all_that_follows_in_one_segment(certificates):
    with stage(certificates, *CLEARTEXT) as (envoy, _):
        worker = envoy.next_hello()
        records = worker.record(YES[:20]) + worker.record(YES[20:])
        worker.leave_tls()
        worker.raw.sendall(records + PING * 3)
        assert worker.receive_exactly(15) == PING * 3
        assert worker.request_over_http2()[0] == "200"


def test_pings_come_in_pieces_and_in_bursts(certificates):
    with stage(certificates) as (envoy, _):
        worker = accepted(envoy)
        for size in (1, 2, 3, 4):
            worker.send(PING[:size])
            worker.send(PING[size:] + PING)
            assert worker.receive_exactly(10) == PING * 2
        worker.ping(1000)


class BehindAPing:
    """A worker's socket: the first write has a ping before it, the first read its echo."""

    def __init__(self, raw):
        self._raw, self._before, self._echo = raw, PING, PING

    def sendall(self, data):
        self._raw.sendall(self._before + data)
        self._before = b""

    def recv(self, size):
        while self._echo:
            data = self._raw.recv(len(self._echo))
            assert data and self._echo.startswith(data)
            self._echo = self._echo[len(data):]
        return self._raw.recv(size)

    def close(self):
        self._raw.close()


def test_the_magic_may_share_a_segment_with_a_ping(certificates):
    with stage(certificates, *CLEARTEXT) as (envoy, _):
        worker = accepted(envoy)
        worker.raw = BehindAPing(worker.raw)
        assert worker.request_over_http2()[0] == "200"


def test_tls_may_share_a_segment_with_a_ping(certificates):
    with stage(certificates, *inner_tls(certificates)) as (envoy, _):
        worker = accepted(envoy)
        worker.raw = BehindAPing(worker.raw)
        worker.begin_tls(envoy.inner, server_side=False)
        assert worker.request_over_http2()[0] == "200"


def test_a_gateway_that_falls_silent_is_dialled_again(certificates):
    with stage(certificates, "--envoy-ping-interval", "100ms") as (envoy, agent):
        worker = accepted(envoy)
        worker.ping()
        assert worker.is_closed()
        assert "RPING" in failure(agent)
        # Also when it never said anything.
        assert accepted(envoy).is_closed()
        assert "RPING" in failure(agent, count=2)
        envoy.next_hello()


@pytest.mark.parametrize("bytes_sent, words", [
    (PING * 14_000, "without end"), (b"RPINX", "neither RPING"), (b"\x00" * 9, "neither RPING"),
    (b"HTTP/1.1 400 Bad Request\r\n", "HTTP/1 answer"), (b"\x16\x03\x01\x00\x05hello",
                                                         "--envoy-cert-file"),
])
def test_whatever_else_comes_ends_the_connection(certificates, bytes_sent, words):
    with stage(certificates) as (envoy, agent):
        worker = accepted(envoy)
        worker.send(bytes_sent)
        assert worker.is_closed()
        assert words in failure(agent)
        envoy.next_hello()


def test_a_gateway_without_the_right_certificate_cannot_begin_tls(certificates):
    with stage(certificates, *inner_tls(certificates)) as (envoy, agent):
        worker = accepted(envoy)
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(OSError, ssl.SSLError):
            worker.begin_tls(stranger, server_side=False)
            worker.receive()
        assert "sent no certificate" in failure(agent)
        envoy.next_hello()


def test_connections_that_envoy_closes_unused_are_replaced_without_a_fault(certificates):
    with stage(certificates) as (envoy, agent):
        worker = accepted(envoy)
        worker.ping()
        worker.raw.close()
        accepted(envoy).ping()
        attached(agent, count=2)
        assert "unused" in failure(agent)


def test_a_drain_leaves_a_pool_at_once_and_finishes_what_is_in_use(certificates):
    with stage(certificates, "--connections", 2, *CLEARTEXT) as (envoy, agent):
        unused, used = accepted(envoy), accepted(envoy)
        assert used.request_over_http2()[0] == "200"
        agent.child.terminate()
        assert unused.is_closed()
        assert used.is_closed()
        assert agent.child.wait(20) == 0
