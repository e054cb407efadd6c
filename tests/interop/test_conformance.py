"""What holds for every way to reverse a connection, with every credential, on channels of HTTP/2 and
of HTTP/1.1: one short list of scenarios over the whole matrix, with the development gateway between
a user and the agent. One gateway per credential hears all profiles; one agent per cell goes through
all scenarios and is then drained."""

import contextlib
import hashlib
import http.client
import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import AGENT, BUILD, process, wait_until  # noqa: E402
from test_dev_gateway import Program, origin_program  # noqa: E402

HOST = "app.example"
TIMEOUT = 20
MEBIBYTE = hashlib.sha512(b"ptth").digest() * (1024 * 1024 // 64)
AT_ONCE = 6

SERVED = ("--serve", f"http://{HOST}")
# By ALPN, the worker's offer decides; in a hello, its list.
BY_ALPN = {"h2": (), "h1": ("--alpn", "hex:c696c9a5", "--http1-alpn", "hex:c696c9a5")}
BY_HELLO = {"h2": ("--hello-channel", "h2,http/1.1"), "h1": ("--hello-channel", "http/1.1")}
# What the agent is told, by channel.
PROFILES = {
    "haproxy": {"h2": ()},
    "direct": BY_ALPN,
    "potato": BY_ALPN,
    "h2-reverse": {"h2": SERVED},
    "ptth": {channel: (*SERVED, *options) for channel, options in BY_HELLO.items()},
    "reverse": {channel: ("--hello-variable", "listen_host=*", "--hello-variable", "listen_port=80",
                          *options) for channel, options in BY_HELLO.items()},
    "ptth-connect": {channel: (*SERVED, *options) for channel, options in BY_HELLO.items()},
    "reverse-connect": {channel: ("--hello-variable", "listen_host=*", "--hello-variable",
                                  "listen_port=80", *options)
                        for channel, options in BY_HELLO.items()},
    "envoy": {"h2": ("--envoy-node-id", "node-1", "--envoy-cluster-id", "edge", "--envoy-cert-file",
                     "{certificates}/worker.crt", "--envoy-key-file", "{certificates}/worker.key",
                     "--envoy-ca-file", "{certificates}/ca.crt")},
    "ptth-1.0": {"h1": ("--hello-variable", "id=worker-1")},
}
# Two channels on a connection: rows of their own, with another profile's name.
SHARED = {f"{profile}-shared": profile for profile in ("ptth-connect", "reverse-connect")}
for shared, profile in SHARED.items():
    PROFILES[shared] = {channel: (*options, "--connections", "2", "--channels-per-connection", "2")
                        for channel, options in PROFILES[profile].items()}
# What makes no sense: there is nothing to be tested, and why.
NO_CHANNEL = {
    ("haproxy", "h1"): "an rhttp server of HAProxy speaks HTTP/2 only",
    ("h2-reverse", "h1"): "the draft is about HTTP/2",
    ("envoy", "h1"): "Envoy's reverse connections carry HTTP/2 only",
    ("ptth-1.0", "h2"): "the draft is about HTTP/1.1",
}
NO_REQUEST = dict.fromkeys(("haproxy", "direct", "potato", "h2-reverse"),
                           "no request of the worker's carries a credential: only TLS does")

CERTIFICATE = ("--cert-file", "{certificates}/worker.crt", "--key-file",
               "{certificates}/worker.key")
NO_CERTIFICATE = ("--client-certificates", "none")
# Of the gateway, and of the agent.
CREDENTIALS = {
    "certificate": ((), CERTIFICATE),
    "bearer": ((*NO_CERTIFICATE, "--worker-token-file", "{secrets}/token"),
               ("--token-file", "{secrets}/token")),
    "basic": ((*NO_CERTIFICATE, "--worker-basic-file", "{secrets}/users"),
              ("--basic-file", "{secrets}/user")),
    "header": ((*NO_CERTIFICATE, "--worker-header", "x-worker-key:{secrets}/token"),
               ("--header-file", "x-worker-key:{secrets}/token")),
    "all": (("--worker-token-file", "{secrets}/token", "--worker-header",
             "x-worker-key:{secrets}/token"),
            (*CERTIFICATE, "--token-file", "{secrets}/token", "--header-file",
             "x-worker-key:{secrets}/token")),
}


def cells():
    for profile, channels in PROFILES.items():
        for channel in ("h2", "h1"):
            for credential in CREDENTIALS:
                reason = NO_CHANNEL.get((profile, channel))
                if credential != "certificate":
                    reason = reason or NO_REQUEST.get(profile)
                assert (channel in channels) != ((profile, channel) in NO_CHANNEL)
                marks = pytest.mark.skip(reason=reason) if reason else ()
                yield pytest.param(profile, channel, credential, marks=marks,
                                   id=f"{profile}-{channel}-{credential}")


class Stage:
    """The origin, and the gateways that have been needed so far."""

    def __init__(self, directory, stack):
        self._directory, self._stack, self._gateways = directory, stack, {}
        for name, text in (("token", "right-token"), ("user", "ann:secret"),
                           ("users", "bob:other\nann:secret")):
            file = directory / name
            file.write_text(text + "\n")
            file.chmod(0o600)
        self._origin = stack.enter_context(origin_program(directory).running()).listens()["http"]

    def filled(self, options):
        return [str(option).format(certificates=self._directory / "certificates",
                                   secrets=self._directory) for option in options]

    def gateway(self, credential):
        if credential not in self._gateways:
            listen = [part for profile in PROFILES if profile not in SHARED
                      for part in (f"--{profile}", "127.0.0.1:0")]
            name = f"gateway-{credential}"
            program = Program(self._directory, name, BUILD / "ptth-dev-gateway",
                              "--make-certificates", self._directory / "certificates", *listen,
                              "--potato-http1-alpn", "hex:c696c9a5", "--http", "127.0.0.1:0",
                              "--ports-file", self._directory / f"{name}.ports",
                              *self.filled(CREDENTIALS[credential][0]))
            self._gateways[credential] = self._stack.enter_context(program.running())
        return self._gateways[credential]

    @contextlib.contextmanager
    def worker(self, row, channel, credential):
        """A user's address, and the agent that serves it."""
        profile = SHARED.get(row, row)
        gateway = self.gateway(credential)
        ports = gateway.listens()
        seen = len(gateway.log())
        command = [AGENT, "run", "--profile", profile, "--gateway",
                   f"https://localhost:{ports[profile].rsplit(':', 1)[1]}", "--ca-file",
                   "{certificates}/ca.crt", "--origin", f"http://{self._origin}", "--admin", "off",
                   "--reconnect-min", "50ms", *PROFILES[row][channel],
                   *CREDENTIALS[credential][1]]
        name = self._directory / f"{row}-{channel}-{credential}.log"
        with open(name, "ab") as log, process(self.filled(command), stdout=log, stderr=log) as child:
            wait_until(lambda: re.search(f"worker (attached|waits).*profile={profile}",
                                         gateway.log()[seen:]) or child.poll() is not None, "worker")
            assert child.poll() is None, name.read_text()
            yield SimpleNamespace(
                http=ports["http"].rsplit(":", 1), child=child, gateway=gateway, log=name.read_text,
                seen=lambda: gateway.log()[seen:], number=f"{row}-{channel}-{credential}")


def ask(at, method, path, body=None, headers=()):
    connection = http.client.HTTPConnection(*at.http, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers={"Host": HOST, **dict(headers)})
        answer = connection.getresponse()
        return answer.status, answer.read()


class Raw:
    """A request written by hand."""

    def __init__(self, at, *lines):
        self.socket = socket.create_connection(at.http, timeout=TIMEOUT)
        self.received = b""
        self.send("\r\n".join((*lines, f"Host: {HOST}", "Connection: close", "", "")).encode())

    def send(self, data):
        self.socket.sendall(data)

    def until(self, end):
        while end not in self.received:
            data = self.socket.recv(65536)
            assert data, self.received[-1000:]
            self.received += data
        return self.received

    def all(self):
        with self.socket:
            while data := self.socket.recv(65536):
                self.received += data
        return self.received


def get(at):
    assert ask(at, "GET", "/hello") == (200, b"hello from ptth-dev-origin\n")


def echo_of_a_mebibyte(at):
    assert ask(at, "POST", "/echo", MEBIBYTE) == (200, MEBIBYTE)
    chunks = iter([MEBIBYTE[:100_000], MEBIBYTE[100_000:]])
    assert ask(at, "POST", "/echo", chunks) == (200, MEBIBYTE)


def trailers(at):
    assert b"\r\nx-toy-trailer: the end\r\n" in Raw(at, "GET /trailers HTTP/1.1").all()
    upload = Raw(at, "POST /echo HTTP/1.1", "Transfer-Encoding: chunked", "TE: trailers")
    upload.send(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert re.search(rb"(?i)5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n$", upload.all()), upload.received


def interim_answer(at):
    assert Raw(at, "GET /hints HTTP/1.1").all().startswith(b"HTTP/1.1 103")


def head(at):
    answer = Raw(at, "HEAD /hello HTTP/1.1").all()
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n")
    get(at)


def early_answer(at):
    upload = Raw(at, "POST /early HTTP/1.1", "Content-Length: 1000000")
    upload.send(b"only the beginning")
    assert b"answered before the request was read" in upload.until(b"was read\n")
    upload.socket.close()
    get(at)


def statuses_of_the_origin(at):
    assert ask(at, "GET", "/nothing")[0] == 404
    assert ask(at, "GET", "/status?code=503")[0] == 503
    assert ask(at, "DELETE", "/status?code=204") == (204, b"")


def many_at_once(at):
    def one(number):
        text = f"request {number} ".encode() * 5000
        return ask(at, "POST", f"/echo?{number}", text) == (200, text)

    with ThreadPoolExecutor(AT_ONCE) as users:
        assert all(users.map(one, range(5 * AT_ONCE)))


def broken_off_by_the_user(at):
    download = Raw(at, "GET /bytes?n=100000000 HTTP/1.1")
    download.until(b"\r\n\r\n")
    download.socket.close()
    get(at)


def drain_without_loss(at):
    """Uploads are half done when the agent is told to leave, and all of them end well."""
    content = MEBIBYTE[:100_000]
    uploads = []
    for number in range(AT_ONCE):
        upload = Raw(at, f"POST /echo?{number} HTTP/1.1", f"Content-Length: {len(content)}")
        upload.send(content[:1000])
        upload.until(content[:500])
        uploads.append(upload)
    at.child.terminate()
    wait_until(lambda: "draining" in at.log() or at.child.poll() is not None, "draining")
    for upload in uploads:
        upload.send(content[1000:])
    for upload in uploads:
        received = upload.all()
        assert received.startswith(b"HTTP/1.1 200 ")
        body = received.split(b"\r\n\r\n", 1)[1]
        assert content in (body, dechunked(body))
    assert at.child.wait(TIMEOUT) == 0, at.log()


def dechunked(body):
    """None: it is not in chunks."""
    if not re.match(rb"[0-9a-f]+\r\n", body):
        return None
    whole = b""
    while (size := int(body[:body.index(b"\r\n")], 16)) > 0:
        begin = body.index(b"\r\n") + 2
        whole += body[begin:begin + size]
        body = body[begin + size + 2:]
    return whole


SCENARIOS = (get, echo_of_a_mebibyte, trailers, interim_answer, head, early_answer,
             statuses_of_the_origin, many_at_once, broken_off_by_the_user, drain_without_loss)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        yield Stage(tmp_path_factory.mktemp("conformance"), stack)


@pytest.mark.parametrize("profile, channel, credential", cells())
def test_conformance(stage, profile, channel, credential):
    with stage.worker(profile, channel, credential) as at:
        for scenario in SCENARIOS:
            scenario(at)
        spoken = {"h2": "channel=h2", "h1": "channel=http/1.1"}[channel]
        attached = re.findall("worker attached.*", at.seen())
        assert attached and all(spoken in line for line in attached), attached
