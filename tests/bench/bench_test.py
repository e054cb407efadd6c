"""The yardstick itself: what the splice makes of h2load's bytes, and that a failed request fails a
run. The worker here is Python's h2, in HAProxy's dialect."""

import contextlib
import os
import socket
import ssl
import sys
import threading
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from load import Case, run_h2load  # noqa: E402
from stage import BenchError, Certificates, Splice  # noqa: E402

MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CASE = Case("test", "", "128", streams=2, target=1)


class Worker:
    """Serves one reversed connection after its own magic; keeps every byte that came."""

    def __init__(self, certificates, port, status):
        tls = ssl.create_default_context(cafile=certificates.ca)
        tls.load_cert_chain(certificates.worker, certificates.worker_key)
        tls.set_alpn_protocols(["h2"])
        self._socket = tls.wrap_socket(socket.create_connection(("127.0.0.1", port), 20),
                                       server_hostname="gw.test")
        self._status = status
        self.received = b""
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._thread.join(20)
        self._socket.close()

    def _serve(self):
        session = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        session.initiate_connection()
        self._socket.sendall(MAGIC + session.data_to_send())
        session.receive_data(MAGIC)  # h2 expects the client magic, which this dialect lacks.
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                self.received += data
                for event in session.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        session.send_headers(event.stream_id, [(":status", self._status)])
                        session.send_data(event.stream_id, b"x" * 128, end_stream=True)
                self._socket.sendall(session.data_to_send())

    def frames(self):
        """(type, flags) of each frame that came."""
        rest = self.received
        while rest:
            yield rest[3], rest[4]
            rest = rest[9 + int.from_bytes(rest[:3], "big"):]


@pytest.fixture(name="splice")
def running_splice(tmp_path):
    certificates = Certificates(tmp_path)
    program = Path(os.environ["PTTH_BUILD_DIR"]) / "ptth-bench-splice"
    splice = Splice(program, certificates)
    splice.certificates = certificates
    with splice.running():
        yield splice


def test_a_worker_sees_what_a_gateway_of_haproxys_dialect_sends(splice, tmp_path):
    with Worker(splice.certificates, splice.worker_port, "200") as worker, splice.one_run():
        outcome = run_h2load(CASE, 50, splice.load_port, tmp_path)
    assert outcome.requests == 50
    frames = list(worker.frames())
    settings, headers, ack = 4, 1, (4, 1)
    assert frames[0] == (settings, 0)
    assert frames[1] == ack, "acknowledged before the first request"
    assert frames.count(ack) == 1, "h2load's own, later acknowledgement is not passed on"
    assert [kind for kind, _ in frames].count(headers) == 50


def test_each_load_gets_a_worker_connection_of_its_own(splice, tmp_path):
    for _ in range(3):
        with Worker(splice.certificates, splice.worker_port, "200"), splice.one_run():
            run_h2load(CASE, 4, splice.load_port, tmp_path)


def test_a_run_with_a_failed_request_has_no_figures(splice, tmp_path):
    with Worker(splice.certificates, splice.worker_port, "503"), splice.one_run():
        with pytest.raises(BenchError, match="not every request succeeded"):
            run_h2load(CASE, 4, splice.load_port, tmp_path)


def test_a_run_with_a_short_answer_has_no_figures(splice, tmp_path):
    longer = Case("test", "", "10k", streams=2, target=1)
    with Worker(splice.certificates, splice.worker_port, "200"), splice.one_run():
        with pytest.raises(BenchError, match="not every request succeeded"):
            run_h2load(longer, 4, splice.load_port, tmp_path)
