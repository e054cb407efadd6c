"""What the development gateway says, in one line of its log, of workers that it does not let in: of
their certificates, of their ALPN ids, and of what their requests say."""

import contextlib
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import BUILD  # noqa: E402
from test_dev_gateway import PROFILES, Program, Stage, gateway_program  # noqa: E402

AUTHORITY = """
[ca]
default_ca = own
[own]
database = {directory}/index
serial = {directory}/serial
certificate = {directory}/ca.crt
private_key = {directory}/ca.key
new_certs_dir = {directory}
default_md = sha256
default_days = 2
default_crl_days = 2
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""
EC = ("-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


class Authority:
    """A CA that makes wrong certificates, too."""

    def __init__(self, directory, name="the CA"):
        self._directory = directory
        directory.mkdir()
        self.ca, self.crl = directory / "ca.crt", directory / "revoked.pem"
        self._config = directory / "ca.cnf"
        self._config.write_text(AUTHORITY.format(directory=directory))
        (directory / "index").touch()
        (directory / "serial").write_text("1000\n")
        self._openssl("req", "-x509", *EC, "-subj", f"/CN={name}", "-addext",
                      "keyUsage=critical,keyCertSign,cRLSign", "-keyout", directory / "ca.key",
                      "-out", self.ca)

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def issue(self, name, *dates, names=()):
        certificate, key = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        request = self._directory / f"{name}.csr"
        extensions = ("-addext", "subjectAltName=" + ",".join(names)) if names else ()
        self._openssl("req", "-new", *EC, "-subj", f"/CN={name}", *extensions, "-keyout", key,
                      "-out", request)
        self._openssl("ca", "-batch", "-config", self._config, *dates, "-in", request, "-out",
                      certificate)
        return certificate, key

    def revoke(self, *certificates):
        for certificate in certificates:
            self._openssl("ca", "-config", self._config, "-revoke", certificate)
        self._openssl("ca", "-config", self._config, "-gencrl", "-out", self.crl)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    directory = tmp_path_factory.mktemp("authority")
    made = Authority(directory / "own")
    made.gateway = made.issue("localhost", names=("DNS:localhost",))
    revoked = made.issue("revoked")
    made.revoke(revoked[0])
    made.workers = {
        "nobody": None, "revoked": revoked, "fine": made.issue("fine"),
        "expired": made.issue("expired", "-startdate", "20250101000000Z", "-enddate",
                              "20250102000000Z"),
        "too-early": made.issue("too-early", "-startdate", "20400101000000Z", "-enddate",
                                "20400102000000Z"),
        "stranger": Authority(directory / "other", "another CA").issue("stranger"),
    }
    return made


def dial(port, authority, identity, alpn=(), request=b""):
    """As a worker would; gives what it is told."""
    context = ssl.create_default_context(cafile=authority.ca)
    if identity:
        context.load_cert_chain(*identity)
    if alpn:
        context.set_alpn_protocols(alpn)
    received = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as raw, \
            context.wrap_socket(raw, server_hostname="localhost") as stream:
        stream.settimeout(20)
        stream.sendall(request)
        while data := stream.recv(65536):
            received += data
    return received


class ConnectWorker:
    """A worker that asks by extended CONNECT, whatever it is told to."""

    def __init__(self, port, authority, identity):
        context = ssl.create_default_context(cafile=authority.ca)
        context.load_cert_chain(*identity)
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._stream = context.wrap_socket(raw, server_hostname="localhost")
        self._http2 = h2.connection.H2Connection(h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False))
        self._http2.initiate_connection()
        self._stream.sendall(self._http2.data_to_send())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stream.close()

    def ask(self, fields, wants_end=True):
        """Status and body of the answer."""
        stream_id = self._http2.get_next_available_stream_id()
        self._http2.send_headers(stream_id, list(fields))
        status, body = None, b""
        while True:
            self._stream.sendall(self._http2.data_to_send())
            data = self._stream.recv(65536)
            assert data, "closed instead of an answer"
            for event in self._http2.receive_data(data):
                if getattr(event, "stream_id", None) != stream_id:
                    continue
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[b":status"])
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                if isinstance(event, h2.events.StreamEnded) or (status and not wants_end):
                    return status, body.decode()


@contextlib.contextmanager
def gateway_of(authority, directory, profile, *options):
    certificate, key = authority.gateway
    program = Program(directory, "gateway", BUILD / "ptth-dev-gateway", f"--{profile}",
                      "127.0.0.1:0", "--http", "127.0.0.1:0", "--ports-file",
                      directory / "gateway.ports", "--ca-file", authority.ca, "--cert-file",
                      certificate, "--key-file", key, *options)
    with program.running() as gateway:
        gateway.port = int(gateway.listens()[profile].rsplit(":", 1)[1])
        yield gateway


@pytest.mark.parametrize("worker, reason", (
    ("nobody", "it sent no certificate, and one is required"),
    ("expired", "its certificate expired on 2025-01-02 00:00:00 UTC"),
    ("too-early", "its certificate is not valid before 2040-01-01 00:00:00 UTC"),
    ("stranger", "its certificate was issued by an unknown CA, .*another CA"),
    ("revoked", "its certificate has been revoked"),
))
@pytest.mark.parametrize("profile", ("haproxy", "ptth", "ptth-connect", "envoy"))
def test_a_certificate_that_is_refused_is_told_in_words(tmp_path, authority, profile, worker, reason):
    with gateway_of(authority, tmp_path, profile, "--crl-file", authority.crl) as gateway:
        dial(gateway.port, authority, authority.workers[worker])
        gateway.wait_for(f"connection refused.*at={profile}.*kind=certificate.*{reason}")


@pytest.mark.parametrize("profile, alpn, reason", (
    ("potato", ("rh2", "h2"), r"none of the application protocols .ALPN. that it offers is known here: it "
                    r"offers rh2, h2; known are .+xd5.+xc9.+xa5, .+xc6"),
    ("potato", (), r"it offers no application protocol .ALPN.; known here are .+xd5"),
    ("reverse-connect", ("http/1.1",), "it offers http/1.1; known are h2"),
    ("ptth-connect", (), r"it offers no application protocol .ALPN.; known here are h2"),
))
def test_alpn_ids_that_do_not_match_are_named(tmp_path, authority, profile, alpn, reason):
    with gateway_of(authority, tmp_path, profile) as gateway:
        dial(gateway.port, authority, authority.workers["fine"], alpn)
        gateway.wait_for(f"connection refused.*at={profile}.*{reason}")


PTTH = "GET /.well-known/ptth/https%3A%2F%2Fapp.example/ HTTP/1.1"
POLL = "POST /worker HTTP/1.1"
UPGRADE = "Connection: Upgrade\r\nUpgrade: {}\r\n"


@pytest.mark.parametrize("profile, of_gateway, line, fields, status, reason", (
    ("ptth", (), PTTH.replace("GET", "PUT"), UPGRADE.format("ptth") + "ALPN: h2\r\n", 405,
     "the method is PUT and not GET (draft-kazuho-ptth-ptth)"),
    ("ptth", (), PTTH, "ALPN: h2\r\n", 426,
     "no upgrade is asked for (Connection and Upgrade) (draft-kazuho-ptth-ptth)"),
    ("ptth", (), PTTH, UPGRADE.format("ptth"), 400, "ALPN is missing (draft-kazuho-ptth-ptth)"),
    ("ptth", (), PTTH, UPGRADE.format("ptth") + "ALPN: http/1.1\r\n", 400,
     'ALPN: "http/1.1" is not as RFC 7639 has it'),
    ("ptth", (), PTTH.replace("%3A", "%3a"), UPGRADE.format("ptth") + "ALPN: h2\r\n", 400,
     '"https%3a%2F%2Fapp.example" is not percent-encoded as RFC 6570 has it'),
    ("ptth", ("--register", "bob=https://app.example"), PTTH,
     UPGRADE.format("ptth") + "ALPN: h2\r\n", 403,
     "the worker fine may not register https://app.example (--register)"),
    ("reverse", (), "GET / HTTP/1.1", UPGRADE.format("ptth"), 426,
     "the upgrade that is asked for is not reverse (draft-kazuho-httpbis-reverse-tunnel)"),
    ("ptth-1.0", (), POLL.replace("POST", "GET"), UPGRADE.format("PTTH/1.0"), 405,
     "the method is GET and not POST (draft-lentczner-rhttp)"),
    ("ptth-1.0", (), POLL, UPGRADE.format("PTTH/1.1"), 426,
     "the upgrade that is asked for is not PTTH/1.0 (draft-lentczner-rhttp)"),
    ("ptth-1.0", ("--reverse-path", "/other"), POLL, UPGRADE.format("PTTH/1.0"), 404,
     "the path is not /other"),
    ("envoy", (), "GET /reverse_connections/request HTTP/1.1", "Content-Length : 0\r\n", 400,
     "no HTTP/1.1 (RFC 9112)"),
))
def test_the_log_and_the_answer_say_the_same_of_a_hello(tmp_path, authority, profile, of_gateway, line,
                                                        fields, status, reason):
    with gateway_of(authority, tmp_path, profile, "--log-format", "json", *of_gateway) as gateway:
        told = dial(gateway.port, authority, authority.workers["fine"],
                    request=f"{line}\r\nHost: localhost\r\n{fields}\r\n".encode()).decode()
        assert told.startswith(f"HTTP/1.1 {status} ")
        body = told.split("\r\n\r\n", 1)[1]
        assert reason in body and body.endswith("\n") and body.count("\n") == 1
        escaped = body.strip().replace('"', '\\"')
        gateway.wait_for(f'"hello refused".*{re.escape(escaped)}')


CONNECT = {":method": "CONNECT", ":scheme": "https", ":authority": "localhost",
           ":protocol": "ptth", ":path": "/.well-known/ptth/https%3A%2F%2Fapp.example/",
           "alpn": "h2"}


@pytest.mark.parametrize("of_gateway, changes, status, reason", (
    ((), {":method": "GET", ":protocol": None}, 405,
     "the method is GET and not CONNECT (draft-kazuho-ptth-ptth)"),
    ((), {":protocol": None, ":scheme": None, ":path": None}, 400,
     "a CONNECT without :protocol asks for a proxy, and here is none (draft-kazuho-ptth-ptth)"),
    ((), {":protocol": "reverse"}, 501, "the :protocol is reverse and not ptth"),
    ((), {"alpn": None}, 400, "ALPN is missing (draft-kazuho-ptth-ptth)"),
    ((), {"alpn": "http/1.1"}, 400, 'ALPN: "http/1.1" is not as RFC 7639 has it'),
    (("--register", "bob=https://app.example"), {}, 403,
     "the worker fine may not register https://app.example (--register)"),
    ((), {":path": "/.well-known/ptth/https%3a%2F%2Fapp.example/"}, 400,
     '"https%3a%2F%2Fapp.example" is not percent-encoded as RFC 6570 has it'),
))
def test_the_log_and_the_answer_say_the_same_of_a_connect(tmp_path, authority, of_gateway, changes,
                                                          status, reason):
    fields = [(name, value) for name, value in {**CONNECT, **changes}.items() if value is not None]
    with gateway_of(authority, tmp_path, "ptth-connect", "--log-format", "json", *of_gateway) as \
            gateway, ConnectWorker(gateway.port, authority, authority.workers["fine"]) as worker:
        for _ in range(2):  # A no leaves the connection as it was.
            told, body = worker.ask(fields)
            assert told == status
            assert reason in body and body.endswith("\n") and body.count("\n") == 1
        escaped = body.strip().replace('"', '\\"')
        gateway.wait_for(f'"hello refused".*"status":{status}.*{re.escape(escaped)}', count=2)
        if not of_gateway:
            assert worker.ask(CONNECT.items(), wants_end=False)[0] == 200


CREDENTIALS = (
    ("--worker-token-file", "{directory}/token", ("--token-file", "{directory}/other"),
     "a bearer token that is not the right one"),
    ("--worker-token-file", "{directory}/token", ("--basic-file", "{directory}/user"),
     "other credentials than a bearer token"),
    ("--worker-basic-file", "{directory}/user", ("--basic-file", "{directory}/wrong-user"),
     "user and password (Basic) that are not right"),
    ("--worker-basic-file", "{directory}/user", (),
     "no credentials: user and password (Basic) are expected"),
    ("--worker-header", "X-Key:{directory}/token", (),
     "no credentials: the field x-key is missing"),
    ("--worker-header", "X-Key:{directory}/token", ("--header-file", "x-key:{directory}/other"),
     "the field x-key does not say what was agreed on"),
)


@pytest.mark.parametrize("flag, value, of_agent, reason", CREDENTIALS)
@pytest.mark.parametrize("profile", ("ptth", "reverse", "ptth-connect", "reverse-connect", "envoy",
                                     "ptth-1.0"))
def test_credentials_that_are_not_right_are_told_and_not_shown(tmp_path, profile, flag, value, of_agent,
                                                               reason):
    for name, text in (("token", "secret-1"), ("other", "secret-2"), ("user", "ann:secret-3"),
                       ("wrong-user", "ann:secret-4")):
        (tmp_path / name).write_text(text + "\n")
        (tmp_path / name).chmod(0o600)
    with gateway_program(tmp_path, profile, flag, value.format(directory=tmp_path)).running() as \
            gateway, Stage(tmp_path, profile, gateway, "3000") \
            .agent(*PROFILES[profile], *of_agent).running() as agent:
        gateway.wait_for(f"hello refused.*at={profile}.*status=401.*{re.escape(reason)}")
        agent.wait_for(re.escape(reason))
        assert "secret-" not in gateway.log() + agent.log()


ENVOY_GATEWAY = "Envoy's reverse_tunnel filter"


@pytest.mark.parametrize("of_gateway, of_agent, line", (
    (("--envoy-path", "/tunnel"), PROFILES["envoy"],
     f"status=404 reason=\"the path is not /tunnel \\({ENVOY_GATEWAY}\\)\""),
    (("--envoy-upgrade",), PROFILES["envoy"], "status=426 reason=\"the upgrade reverse-tunnel is "
     "not asked for, and this gateway is in upgrade mode"),
    ((), (*PROFILES["envoy"], "--hello-token", "reverse-tunnel"),
     "status=400 reason=\"an upgrade is asked for, and this gateway is in plain mode"),
    (("--envoy-upstream-cluster", "up"), PROFILES["envoy"],
     "status=400 reason=\"x-envoy-reverse-tunnel-upstream-cluster-name is missing"),
    (("--envoy-header-prefix", "x-acme"), PROFILES["envoy"],
     "status=400 reason=\"x-acme-reverse-tunnel-node-id is missing"),
    (("--envoy-node-is-certificate",), PROFILES["envoy"],
     "status=403 reason=\"the node id is node-1 and the certificate is for worker-1"),
    (("--worker-token-file", "{directory}/token"), PROFILES["envoy"],
     "status=401 reason=\"no credentials: a bearer token is expected\""),
    (("--fault-hello", "429"), PROFILES["envoy"], "status=429 reason=\"by fault\""),
))
def test_an_envoy_says_what_is_wrong_with_a_hello(tmp_path, of_gateway, of_agent, line):
    (tmp_path / "token").write_text("secret-of-the-gateway\n")
    of_gateway = (text.format(directory=tmp_path) for text in of_gateway)
    with gateway_program(tmp_path, "envoy", *of_gateway).running() as gateway, \
            Stage(tmp_path, "envoy", gateway, "3000").agent(*of_agent).running():
        gateway.wait_for(f"hello refused.*at=envoy.*{line}")
