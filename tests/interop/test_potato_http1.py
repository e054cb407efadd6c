"""A gateway of potato that speaks HTTP/1.1: Python's TLS, whose choice of an ALPN id says so."""

import contextlib
import http.client
import socket
import ssl
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import Agent, Origin, plain  # noqa: E402

TIMEOUT = 20


class Worker(http.client.HTTPConnection):
    """An HTTP/1.1 client on a connection that a worker dialled."""

    def __init__(self, stream):
        super().__init__("app.example")
        self.sock = stream


def answer(request, write):
    body = b"".join(request.body())
    write(plain(request.path.encode() + b" " + body))


@contextlib.contextmanager
def stage(certificates, ids, *options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.gateway, certificates.gateway_key)
    context.set_alpn_protocols(ids)
    with socket.create_server(("127.0.0.1", 0)) as listener, Origin(answer).running() as origin, \
            Agent(listener.getsockname()[1], certificates, origin.url, "--profile", "potato",
                  *options).running(wait=False) as agent:
        listener.settimeout(TIMEOUT)
        yield listener, context, agent


def accept(listener, context):
    raw, _ = listener.accept()
    raw.settimeout(TIMEOUT)
    return context.wrap_socket(raw, server_side=True)


@pytest.mark.parametrize("chosen", ["ph1", "rh1"])
def test_requests_over_http1_on_one_connection(certificates, chosen):
    with stage(certificates, [chosen]) as (listener, context, agent), \
            accept(listener, context) as stream:
        assert stream.selected_alpn_protocol() == chosen
        worker = Worker(stream)
        for number in range(3):
            worker.request("POST", f"/{number}", body=b"hello")
            assert worker.getresponse().read() == f"/{number} hello".encode()
        agent.wait_for(lambda line: line.get("to") == "attached", "attached")


def test_only_the_chosen_revisions_are_offered_and_http2_comes_first(certificates):
    with stage(certificates, ["ph1", "rh1"], "--revision", "00") as (listener, context, _), \
            accept(listener, context) as stream:
        assert stream.selected_alpn_protocol() == "rh1"
    with stage(certificates, ["ph1"], "--alpn", "ph2") as (listener, context, agent):
        with contextlib.suppress(OSError, ssl.SSLError):
            accept(listener, context)
        agent.wait_for(lambda line: line.get("to") == "backing_off", "no HTTP/1.1 unasked")
