"""The development gateway as users run it: the program with its flags, the agent dialling it, the toy
origin behind, and curl and h2load in front. In all profiles."""

import contextlib
import hashlib
import re
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import (AGENT, BUILD, IS_SANITIZED, curl, h2load, nginx, pattern,  # noqa: E402
                   process, wait_until)

GATEWAY = BUILD / "ptth-dev-gateway"
ORIGIN = BUILD / "ptth-dev-origin"
BULK = (16 if IS_SANITIZED else 200) * 1024**2
MANY = 2_000 if IS_SANITIZED else 20_000
# Behind a hello the others are as direct, but for those whose channels share a connection.
DIALECTS = ("haproxy", "direct", "direct-http1", "reverse-connect-shared")
ENVOY = ("--envoy-node-id", "node-1", "--envoy-cluster-id", "edge")
INNER_TLS = ("--envoy-cert-file", "{directory}/certificates/worker.crt", "--envoy-key-file",
             "{directory}/certificates/worker.key", "--envoy-ca-file",
             "{directory}/certificates/ca.crt")
PROFILES = {
    "haproxy": (), "direct": (), "potato": (), "h2-reverse": ("--serve", "https://*.app.example,http://localhost:80"),
    "ptth": ("--serve", "https://app.example,http://localhost:80"),
    "reverse": ("--hello-variable", "listen_host=*", "--hello-variable", "listen_port=80"),
    "ptth-connect": ("--serve", "https://app.example,http://localhost:80"),
    "reverse-connect": ("--hello-variable", "listen_host=*", "--hello-variable", "listen_port=80"),
    "envoy": (*ENVOY, *INNER_TLS),
    "ptth-1.0": ("--hello-variable", "id=worker-1"),
}
HTTP1 = ("--prefer-http1",)
CHANNELS = ("--hello-channel", "h2,http/1.1")
# Each channel announces the whole capacity: more than there are users.
SHARED = ("--connections", "2", "--channels-per-connection", "2", "--capacity", "400")
# Other ways with the same profiles: what the gateway is told, and the agent.
VARIANTS = {
    "direct-http1": ("direct", HTTP1, ("--http1-alpn", "http/1.1")),
    "potato-http1": ("potato", HTTP1, ()),
    "ptth-http1": ("ptth", HTTP1, (*PROFILES["ptth"], *CHANNELS)),
    "reverse-http1": ("reverse", HTTP1, (*PROFILES["reverse"], *CHANNELS)),
    "ptth-connect-http1": ("ptth-connect", HTTP1, (*PROFILES["ptth-connect"], *CHANNELS)),
    "reverse-connect-http1": ("reverse-connect", HTTP1, (*PROFILES["reverse-connect"], *CHANNELS)),
    "ptth-connect-shared": ("ptth-connect", (), (*PROFILES["ptth-connect"], *SHARED)),
    "reverse-connect-shared": ("reverse-connect", (), (*PROFILES["reverse-connect"], *SHARED)),
    "envoy-cleartext": ("envoy", ("--envoy-cleartext",), (*ENVOY, "--insecure-envoy-handover")),
    "envoy-upgrade": ("envoy", ("--envoy-upgrade", "--envoy-path", "/tunnel"),
                      (*PROFILES["envoy"], "--hello-token", "reverse-tunnel", "--hello-template",
                       "https://localhost/tunnel")),
}
WAYS = (*PROFILES, *VARIANTS)


class Program:
    """One of ours: its log, and where it listens."""

    def __init__(self, directory, name, *command):
        self._log = directory / f"{name}.log"
        self._ports = directory / f"{name}.ports"
        self._command = [str(part) for part in command]

    @contextlib.contextmanager
    def running(self):
        with open(self._log, "ab") as log, process(self._command, stdout=log, stderr=log) as child:
            self.child = child
            yield self
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
            assert child.wait(20) == 0, self.log()

    def listens(self):
        wait_until(lambda: self._ports.exists() or self.child.poll() is not None, "ports file")
        assert self.child.poll() is None, self.log()
        return dict(line.split("=", 1) for line in self._ports.read_text().split())

    def log(self):
        return self._log.read_text()

    def wait_for(self, pattern_text, count=1):
        wait_until(lambda: len(re.findall(pattern_text, self.log())) >= count or
                   self.child.poll() is not None, pattern_text)
        assert len(re.findall(pattern_text, self.log())) >= count, self.log()


def gateway_program(directory, profile, *options):
    return Program(directory, "gateway", GATEWAY, "--make-certificates", directory / "certificates",
                   f"--{profile}", "127.0.0.1:0", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0",
                   "--ports-file", directory / "gateway.ports", *options)


def origin_program(directory):
    return Program(directory, "origin", ORIGIN, "--listen", "127.0.0.1:0", "--quiet",
                   "--ports-file", directory / "origin.ports")


def agent_program(directory, profile, port, origin, *options, name="agent"):
    certificates = directory / "certificates"
    return Program(directory, name, AGENT, "run", "--profile", profile,
                   "--gateway", f"https://localhost:{port}", "--ca-file", certificates / "ca.crt",
                   "--cert-file", certificates / "worker.crt",
                   "--key-file", certificates / "worker.key", "--origin", origin,
                   "--reconnect-min", "50ms", "--admin", "off", *options)


class Stage:
    def __init__(self, directory, profile, gateway, origin_url):
        self.directory, self.profile, self.gateway = directory, profile, gateway
        self.origin_url = origin_url
        self.options = PROFILES[profile]
        listens = gateway.listens()
        self.worker_port = listens[profile].rsplit(":", 1)[1]
        self.http, self.https = listens["http"], listens["https"]

    def agent(self, *options, name="agent"):
        options = [str(option).format(directory=self.directory, port=self.worker_port)
                   for option in options or self.options]
        return agent_program(self.directory, self.profile, self.worker_port, self.origin_url,
                             *options, name=name)

    def url(self, path):
        return f"http://{self.http}{path}"


@contextlib.contextmanager
def stage(directory, way, *options):
    profile, of_gateway, of_agent = VARIANTS.get(way, (way, (), PROFILES.get(way)))
    with gateway_program(directory, profile, *of_gateway, *options).running() as gateway, \
            origin_program(directory).running() as origin:
        up = Stage(directory, profile, gateway, f"http://{origin.listens()['http']}")
        up.options = of_agent
        with up.agent().running() as up.worker:
            gateway.wait_for("worker (attached|waits)")
            yield up


# What curl asks for, where the agent says what it serves.
def authority(up):
    return ("-H", "Host: localhost") if up.profile in ("ptth", "ptth-connect", "h2-reverse") else ()


def ask(up, path, *options, check=True):
    return curl("-o", "-", *authority(up), *options, up.url(path), check=check).stdout.decode()


@pytest.mark.parametrize("profile", WAYS)
def test_requests_of_both_http_versions_and_over_tls(tmp_path, profile):
    with stage(tmp_path, profile) as up:
        for version in ("--http1.1", "--http2-prior-knowledge"):
            assert ask(up, "/hello", version) == "hello from ptth-dev-origin\n"
            assert ask(up, "/echo", version, "-d", "there and back") == "there and back"
            assert " 103" in ask(up, "/hints", version, "-i").splitlines()[0]
            assert ask(up, "/status?code=204", version, "-w", "%{http_code}") == "204"
        assert "x-toy-trailer: the end" in ask(up, "/trailers", "--http1.1", "--raw")
        port = up.https.rsplit(":", 1)[1]
        for version, number in (("--http1.1", "1.1"), ("--http2", "2")):
            seen = curl(version, *authority(up), "--cacert", tmp_path / "certificates/ca.crt", "-w",
                        "%{http_version}", f"https://localhost:{port}/hello").stdout.decode()
            assert seen == f"hello from ptth-dev-origin\n{number}"


@pytest.mark.parametrize("profile", DIALECTS)
def test_many_requests_without_one_error(tmp_path, profile):
    with stage(tmp_path, profile) as up:
        for options in (("-c", 10, "-m", 32), ("--h1", "-c", 50)):
            seen = h2load("-n", MANY, *options, up.url("/hello"))
            assert seen["2xx"] == seen["succeeded"] == MANY
            assert seen["failed"] == seen["errored"] == 0


@pytest.mark.parametrize("profile", DIALECTS)
def test_large_bodies_arrive_byte_for_byte_with_flat_memory(tmp_path, profile):
    sent = tmp_path / "sent"
    digest = hashlib.sha256()
    with open(sent, "wb") as file:
        for block in pattern(BULK):
            digest.update(block)
            file.write(block)
    with stage(tmp_path, profile) as up:
        for version in ("--http1.1", "--http2-prior-knowledge"):
            received = tmp_path / "received"
            curl(version, "-T", sent, "-o", received, up.url("/echo"))
            with open(received, "rb") as file:
                assert hashlib.file_digest(file, "sha256").hexdigest() == digest.hexdigest()
        status = Path(f"/proc/{up.gateway.child.pid}/status").read_text()
        peak_kib = int(re.search(r"VmHWM:\s+(\d+)", status)[1])
        assert peak_kib < (400 if IS_SANITIZED else 40) * 1024


# Envoy's connections wait until they are needed, and are not needed while others have room.
@pytest.mark.parametrize("profile", [way for way in WAYS if not way.startswith("envoy")])
def test_workers_come_and_go_and_no_request_is_lost(tmp_path, profile):
    with stage(tmp_path, profile) as up:
        load = subprocess.Popen(["h2load", "-n", str(3 * MANY), "-c", "10", "-m", "16", "-H",
                                 ":authority: localhost", up.url("/hello")],
                                stdout=subprocess.PIPE, text=True)
        rounds = 0
        while load.poll() is None and rounds < 5:
            rounds += 1
            with up.agent(name=f"second-{rounds}").running() as second:
                second.wait_for('"to":"attached"')
        output = load.communicate()[0]
        assert f"{3 * MANY} succeeded, 0 failed, 0 errored" in output, output
        assert f"status codes: {3 * MANY} 2xx" in output, output


@pytest.mark.parametrize("profile, of_gateway, of_agent, reason", (
    ("ptth", ("--register", "https://other.example"), PROFILES["ptth"],
     "may not register https://app.example"),
    ("ptth", (), ("--hello-uri", "https://localhost:{port}/elsewhere"), "path does not begin with"),
    ("ptth", (), ("--hello-token", "ptth/2", *PROFILES["ptth"]), "not ptth"),
    ("ptth", (), ("--hello-channel", "h3", *PROFILES["ptth"]), "neither h2 nor http/1.1 is offered"),
    ("ptth", ("--worker-token-file", "{directory}/token"), PROFILES["ptth"], "bearer token"),
    ("reverse", ("--reverse-path", "/worker"), PROFILES["reverse"], "path is not /worker"),
    ("ptth-connect", ("--register", "https://other.example"), PROFILES["ptth-connect"],
     "may not register https://app.example"),
    ("ptth-connect", (), ("--hello-uri", "https://localhost:{port}/elsewhere"),
     "path does not begin with"),
    ("ptth-connect", (), ("--hello-token", "ptth/2", *PROFILES["ptth-connect"]),
     "the :protocol is ptth/2 and not ptth"),
    ("ptth-connect", (), ("--hello-channel", "h3", *PROFILES["ptth-connect"]),
     "neither h2 nor http/1.1 is offered"),
    ("reverse-connect", ("--reverse-path", "/worker"), PROFILES["reverse-connect"],
     "path is not /worker"),
    ("reverse-connect", ("--worker-token-file", "{directory}/token"), PROFILES["reverse-connect"],
     "bearer token"),
))
def test_both_sides_say_what_is_wrong_with_a_hello(tmp_path, profile, of_gateway, of_agent, reason):
    (tmp_path / "token").write_text("secret-of-the-gateway\n")
    of_gateway = (text.format(directory=tmp_path) for text in of_gateway)
    with gateway_program(tmp_path, profile, *of_gateway).running() as gateway:
        up = Stage(tmp_path, profile, gateway, "3000")
        with up.agent(*of_agent).running() as agent:
            gateway.wait_for(f"hello refused.*{reason}")
            agent.wait_for(f"it says: .*{reason}")


@pytest.mark.parametrize("profile, of_gateway, of_agent, reason", (
    ("h2-reverse", ("--register", "https://other.example"), PROFILES["h2-reverse"],
     "worker left.*may not register http"),
    ("h2-reverse", (), ("--profile", "direct", "--alpn", "h2-reverse"),
     "worker left.*no ORIGIN frame"),
    ("h2-reverse", (), ("--profile", "direct"), "connection refused.*h2-reverse"),
    ("potato", ("--potato-alpn", "ph2", "--potato-http1-alpn", "ph1"), ("--revision", "02"),
     "connection refused.*potato.*known are ph2, ph1"),
    ("ptth-connect", (), ("--profile", "ptth", "--serve", "https://app.example"),
     "connection refused.*ptth-connect.*known are h2"),
    ("ptth-connect", (), ("--profile", "haproxy",),
     "hello refused.*ptth-connect.*status=408.*no channel was asked for"),
))
def test_the_gateway_says_what_is_wrong_where_there_is_no_answer(tmp_path, profile, of_gateway,
                                                                 of_agent, reason):
    with gateway_program(tmp_path, profile, *of_gateway).running() as gateway, \
            Stage(tmp_path, profile, gateway, "3000").agent(*of_agent).running():
        gateway.wait_for(reason)


@pytest.mark.parametrize("token, answer", (("right", "worker attached"),
                                           ("wrong", "bearer token that is not the right one")))
def test_a_worker_shows_its_token(tmp_path, token, answer):
    for name in ("right", "wrong"):
        (tmp_path / name).write_text(f"token-{name}\n")
        (tmp_path / name).chmod(0o600)
    with gateway_program(tmp_path, "ptth", "--worker-token-file",
                         tmp_path / "right").running() as gateway:
        up = Stage(tmp_path, "ptth", gateway, "3000")
        with up.agent(*PROFILES["ptth"], "--token-file", tmp_path / token).running() as agent:
            gateway.wait_for(answer)
        assert f"token-{token}" not in gateway.log() + agent.log()


@pytest.mark.parametrize("profile", ("ptth", "ptth-connect"))
@pytest.mark.parametrize("status", (204, 307, 401, 404, 503))
def test_a_hello_that_is_refused_once_is_repeated(tmp_path, profile, status):
    with gateway_program(tmp_path, profile, "--fault-hello", f"{status}@1").running() as gateway:
        up = Stage(tmp_path, profile, gateway, "3000")
        with up.agent(*PROFILES[profile], "--reconnect-refused-min", "10ms").running():
            gateway.wait_for(f"hello refused.*{status}")
            gateway.wait_for("worker attached")


def test_an_envoy_pings_what_waits_and_uses_each_connection_once(tmp_path):
    with stage(tmp_path, "envoy", "--envoy-ping-interval", "50ms") as up:
        # Three pings without an echo would have ended it.
        assert ask(up, "/slow?ms=600") == "that took a while\n"
        assert len(re.findall("worker attached", up.gateway.log())) == 1
        assert "lost unused" not in up.gateway.log()


def test_the_inner_tls_of_an_envoy_is_for_the_right_worker_only(tmp_path):
    with stage(tmp_path, "envoy", "--envoy-worker-name", "worker-2", "--queue-time", "1s") as up:
        assert "no worker is attached" in ask(up, "/hello")
        up.gateway.wait_for("worker lost unused.*its certificate is for worker-1, not for worker-2")


POLL = (b"POST /worker HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: PTTH/1.0\r\n"
        b"Content-Length: 0\r\n\r\n")


def test_a_worker_of_ptth_1_0_asks_again_until_a_request_comes(tmp_path):
    certificates = tmp_path / "certificates"
    with gateway_program(tmp_path, "ptth-1.0", "--ptth-1.0-wait", "100ms").running() as gateway:
        ports = {name: at.rsplit(":", 1)[1] for name, at in gateway.listens().items()}
        context = ssl.create_default_context(cafile=certificates / "ca.crt")
        context.load_cert_chain(certificates / "worker.crt", certificates / "worker.key")
        with socket.create_connection(("127.0.0.1", ports["ptth-1.0"]), timeout=20) as raw, \
                context.wrap_socket(raw, server_hostname="localhost") as stream, \
                stream.makefile("rb") as reader:
            def head():
                lines = iter(reader.readline, b"\r\n")
                return b"".join(lines).decode().split("\r\n")

            stream.sendall(POLL)
            assert head()[0] == "HTTP/1.1 204 No Content"
            # A user is there from now on.
            user = subprocess.Popen(["curl", "-sS", "--retry", "5", "--parallel", "--no-progress-meter",
                                     f"http://127.0.0.1:{ports['http']}/1",
                                     f"http://127.0.0.1:{ports['http']}/2"], stdout=subprocess.PIPE)
            asked = []
            answer = None
            while len(asked) < 2:
                if not asked:
                    stream.sendall(POLL)
                    answer = head()
                    if answer[0] == "HTTP/1.1 204 No Content":
                        continue
                    assert answer[0] == "HTTP/1.1 101 Switching Protocols"
                    assert "Upgrade: PTTH/1.0" in answer
                asked.append(head()[0])
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhere\n")
            assert sorted(asked) == ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1"]
            assert user.communicate(timeout=20)[0] == b"here\nhere\n"
        gateway.wait_for("worker waits.*worker=worker-1.*profile=ptth-1.0")
        gateway.wait_for("worker attached.*worker=worker-1.*profile=ptth-1.0 channel=http/1.1")


@pytest.mark.parametrize("profile", ("haproxy", "direct", "ptth", "reverse", "ptth-connect",
                                     "reverse-connect", "envoy", "ptth-1.0"))
def test_workers_without_tls(tmp_path, profile):
    with gateway_program(tmp_path, profile, "--cleartext-workers").running() as gateway, \
            origin_program(tmp_path).running() as origin:
        up = Stage(tmp_path, profile, gateway, f"http://{origin.listens()['http']}")
        options = (part.format(directory=tmp_path) for part in PROFILES[profile])
        # In cleartext the inner TLS of an Envoy is all that protects.
        with Program(tmp_path, "agent", AGENT, "run", "--profile", profile, "--gateway",
                     f"http://localhost:{up.worker_port}", "--insecure-cleartext-gateway", "--origin",
                     up.origin_url, "--admin", "off", *options).running():
            gateway.wait_for("worker (attached|waits)")
            assert ask(up, "/hello") == "hello from ptth-dev-origin\n"


@pytest.mark.parametrize("profile", ("ptth-connect", "reverse-connect"))
def test_channels_share_a_connection_as_far_as_the_gateway_lets_them(tmp_path, profile):
    options = (*PROFILES[profile], "--connections", "4", "--channels-per-connection", "4")
    with gateway_program(tmp_path, profile, "--channels-per-connection", "3").running() as gateway, \
            origin_program(tmp_path).running() as origin:
        up = Stage(tmp_path, profile, gateway, f"http://{origin.listens()['http']}")
        with up.agent(*options).running() as agent:
            gateway.wait_for("worker attached.*worker=worker-1.*channel=h2", count=4)
            seen = subprocess.run(["ss", "-Htn", "state", "established", "sport", "=",
                                   f":{up.worker_port}"], capture_output=True, text=True, check=True)
            assert len(seen.stdout.splitlines()) == 2
            assert h2load("-n", 400, "-c", 4, "-m", 8, "-H", ":authority: localhost",
                          up.url("/hello"))["2xx"] == 400
            gateway.child.send_signal(signal.SIGTERM)
            # GOAWAY in each channel, and then on the connections.
            gateway.wait_for("worker left", count=4)
            agent.wait_for('"from":"attached"', count=4)
            assert gateway.child.wait(20) == 0, gateway.log()
        assert "did not close in time" not in gateway.log()


def test_each_channel_of_a_connection_is_asked_who_it_is(tmp_path):
    key, public, other = tmp_path / "id.key", tmp_path / "id.pub", tmp_path / "other.key"
    for made in (key, other):
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", made], check=True)
        made.chmod(0o600)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    options = (*PROFILES["ptth-connect"], *SHARED, "--challenge-key-file")
    with gateway_program(tmp_path, "ptth-connect", "--challenge-key-file",
                         public).running() as gateway, \
            origin_program(tmp_path).running() as origin:
        up = Stage(tmp_path, "ptth-connect", gateway, f"http://{origin.listens()['http']}")
        with up.agent(*options, key).running():
            gateway.wait_for("worker attached", count=2)
            assert ask(up, "/hello") == "hello from ptth-dev-origin\n"
        with up.agent(*options, other, name="other").running():
            gateway.wait_for("worker refused.*signature")


def test_a_cut_connection_is_dialled_again(tmp_path):
    with stage(tmp_path, "direct", "--fault-cut-after", "100KiB@1") as up:
        assert curl("-o", "/dev/null", up.url("/bytes?n=1000000"), check=False).returncode == 18
        up.gateway.wait_for("worker attached", count=2)
        assert len(ask(up, "/bytes?n=1000000")) == 1_000_000


def test_a_reset_request_leaves_the_others_alone(tmp_path):
    with stage(tmp_path, "haproxy", "--fault-reset-after", "10KiB@1") as up:
        assert curl("-o", "/dev/null", up.url("/bytes?n=1000000"), check=False).returncode == 18
        assert len(ask(up, "/bytes?n=1000000")) == 1_000_000
        assert len(re.findall("worker attached", up.gateway.log())) == 1


def test_nginx_behind_the_agent(tmp_path):
    with gateway_program(tmp_path, "haproxy").running() as gateway, \
            nginx(tmp_path) as port:
        up = Stage(tmp_path, "haproxy", gateway, f"http://127.0.0.1:{port}")
        with up.agent().running():
            gateway.wait_for("worker attached")
            assert curl("-o", "/dev/null", "-w", "%{size_download}", up.url("/128")).stdout == b"128"


def test_without_a_worker_the_answer_is_503(tmp_path):
    with gateway_program(tmp_path, "direct", "--queue-time", "100ms").running() as gateway:
        up = Stage(tmp_path, "direct", gateway, "")
        assert "no worker is attached" in ask(up, "/", "-i")
        assert " 503 " in ask(up, "/", "-i").splitlines()[0]


@pytest.mark.parametrize("flags, message", (
    (("--fault-delay", "3"), "--fault-delay: \"3\" has no unit"),
    (("--fault-reset-after", "1KiB@0"), "--fault-reset-after: they are counted from 1"),
    (("--direct-alpn", "hex:zz"), "--direct-alpn: \"hex:zz\" is not hex"),
    (("--client-certificates", "maybe"), "--client-certificates: \"maybe\" is not none"),
    ((), "--make-certificates DIRECTORY"),
    (("--fault-hello", "200"), "--fault-hello: 200 is neither 204, 307, 308 nor 400 to 599"),
    (("--worker-token-file", "/nowhere"), "--worker-token-file: the secret in /nowhere: No such file"),
    (("--worker-basic-file", "/dev/null"), "--worker-basic-file: /dev/null holds no user:password"),
    (("--worker-header", "x-key"), "--worker-header: \"x-key\" is not NAME:FILE"),
    (("--envoy-ping-interval", "2"), "--envoy-ping-interval: \"2\" has no unit"),
    (("--unknown",), "--unknown"),
))
def test_wrong_flags_are_told(flags, message):
    done = subprocess.run([GATEWAY, *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def test_help_names_every_fault():
    done = subprocess.run([GATEWAY, "--help"], capture_output=True, text=True, check=True)
    for fault in ("delay", "stall-window", "reset-after", "cut-after", "cut-after-sent",
                  "stop-reading", "hello"):
        assert f"--fault-{fault} " in done.stdout
