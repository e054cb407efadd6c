"""A path that swallows everything: no reset, no end, no answer. The agent finds out by itself."""

import contextlib
import datetime
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import lost_path  # noqa: E402
from connect_gateway import ConnectGateway  # noqa: E402
from peers import BUILD, Agent, Certificates, Gateway, curl, process, wait_until  # noqa: E402

# What the README promises for the defaults of --limit-ping-after and --limit-ping-timeout.
NOTICED_SECONDS_MAX = 10
# Far more than all waits together.
REDIAL_SECONDS = 60


@contextlib.contextmanager
def origin_at(path, directory):
    """The toy origin on the agent's host; yields its URL."""
    ports = directory / "origin.ports"
    with process([*path.at_agent, BUILD / "ptth-dev-origin", "--listen", "127.0.0.1:0",
                  "--ports-file", ports]):
        wait_until(lambda: ports.exists() and ports.read_text().endswith("\n"), "the origin")
        yield "http://" + ports.read_text().strip().removeprefix("http=")


@contextlib.contextmanager
def nothing_under_way(_gateway):
    yield


@contextlib.contextmanager
def download_under_way(gateway):
    """An endless answer whose user takes it as fast as it comes."""
    got = threading.Event()

    def take(user):
        count = 0
        with contextlib.suppress(OSError):
            while block := user.recv(1024 * 1024):
                count += len(block)
                if count > 4 * 1024 * 1024:
                    got.set()

    with socket.create_connection(("127.0.0.1", gateway.http1), 20) as user:
        user.settimeout(None)
        user.sendall(b"GET /bytes?n=1000000000000 HTTP/1.1\r\nHost: app.example\r\n\r\n")
        reader = threading.Thread(target=take, args=(user,))
        reader.start()
        try:
            assert got.wait(20)
            yield
        finally:
            with contextlib.suppress(OSError):
                user.shutdown(socket.SHUT_RDWR)
            reader.join()


def seconds_of(line):
    return datetime.datetime.fromisoformat(line["time"]).timestamp()


def status(gateway):
    return curl("-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", "-H",
                "Host: app.example", gateway.url("/hello"), check=False).stdout


@pytest.mark.parametrize("under_way", [nothing_under_way, download_under_way])
def test_a_lost_path_is_noticed_in_time_and_dialled_again_when_it_is_back(tmp_path, under_way):
    certificates = Certificates(tmp_path)
    with lost_path.lost_path() as path:
        gateway = Gateway(tmp_path, certificates, workers_at=lost_path.GATEWAY)
        with gateway.running(), origin_at(path, tmp_path) as origin, \
                Agent(gateway.workers, certificates, origin, "--reconnect-max", "2s",
                      "--connect-timeout", "3s", gateway_host=lost_path.GATEWAY,
                      runner=path.at_agent).running() as agent:
            assert status(gateway) == b"200"
            with under_way(gateway):
                lost = time.time()
                path.lose()
                noticed = agent.wait_for(lambda line: line.get("from") == "attached",
                                         "the loss", seconds=3 * NOTICED_SECONDS_MAX)
                agent.wait_for(lambda line: line.get("from") == "connecting",
                               "a dial into the void", seconds=REDIAL_SECONDS)
            assert seconds_of(noticed) - lost <= NOTICED_SECONDS_MAX, noticed
            assert [line["to"] for line in agent.lines if "to" in line].count("attached") == 1

            path.restore()
            agent.wait_for(lambda line: line.get("to") == "attached", "attached again",
                           seconds=REDIAL_SECONDS, count=2)
            # HAProxy may still have to find out that its first connection is dead.
            wait_until(lambda: status(gateway) == b"200", "an answer", seconds=REDIAL_SECONDS)


# --- Idle, and nobody who would send a PING -----------------------------------------------------

@contextlib.contextmanager
def http1_gateway(certificates):
    """One that speaks HTTP/1.1 on what an agent dials. Yields its port, and what awaits a worker."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.gateway, certificates.gateway_key)
    context.set_alpn_protocols(["ph1"])
    kept = []

    def accept():
        raw, _ = listener.accept()
        kept.append(context.wrap_socket(raw, server_side=True))

    with socket.create_server((lost_path.GATEWAY, 0)) as listener:
        listener.settimeout(REDIAL_SECONDS)
        try:
            yield listener.getsockname()[1], accept
        finally:
            for stream in kept:
                stream.close()


@contextlib.contextmanager
def tunnel_gateway(certificates):
    """The same inside the stream of an extended CONNECT, on a connection that is not idle for ever:
    the agent sends PING on it, and this reads and answers."""
    with ConnectGateway(certificates, address=lost_path.GATEWAY).running() as gateway:
        def accept():
            outer = gateway.accept()
            for _ in range(2):
                outer.next_hello().accept("http%2F1.1")
            threading.Thread(target=outer.await_end, daemon=True).start()

        yield gateway.port, accept


@pytest.mark.parametrize("gateway, count, options", [
    (http1_gateway, 1, ("--profile", "potato")),
    (tunnel_gateway, 2, ("--profile", "ptth-connect", "--serve", "https://app.example",
                         "--hello-channel", "http/1.1", "--connections", "2",
                         "--channels-per-connection", "2")),
], ids=["potato", "ptth-connect"])
def test_an_idle_channel_of_http1_on_a_lost_path_is_noticed_in_time(tmp_path, gateway, count,
                                                                    options):
    certificates = Certificates(tmp_path)
    with lost_path.lost_path() as path, gateway(certificates) as (port, accept), \
            Agent(port, certificates, "http://127.0.0.1:9", *options, "--http1-connections-spare",
                  "0", "--reconnect-max", "2s", "--connect-timeout", "3s",
                  gateway_host=lost_path.GATEWAY, runner=path.at_agent).running(wait=False) as agent:
        accept()
        agent.wait_for(lambda line: line.get("to") == "attached", "attached", count=count)
        lost = time.time()
        path.lose()
        noticed = agent.wait_for(lambda line: line.get("from") == "attached", "the loss",
                                 seconds=3 * NOTICED_SECONDS_MAX, count=count)
        assert seconds_of(noticed) - lost <= NOTICED_SECONDS_MAX, noticed
        path.restore()
        accept()
        agent.wait_for(lambda line: line.get("to") == "attached", "attached again",
                       seconds=REDIAL_SECONDS, count=2 * count)
