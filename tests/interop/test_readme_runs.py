"""Each configuration in the README is run as it stands there, against the peer that it is for: a
request goes through it, and the agent drains. Replaced are hosts, ports and paths of files only."""

import contextlib
import re
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from connect_gateway import ConnectGateway  # noqa: E402
from http2_client import Http2Client  # noqa: E402
from node import NodeGateway  # noqa: E402
from peers import (AGENT, Agent, Certificates, Origin, Request, can_connect, curl, free_port,  # noqa: E402
                   haproxy_program, plain, process, wait_until)
from readme import commands, companion, known_profiles, runs  # noqa: E402
from test_dev_gateway import GATEWAY, Program  # noqa: E402
from test_discovery import DocumentServer, NameServer, svcb  # noqa: E402

ENDPOINT = Path(__file__).with_name("token_endpoint.mjs")
RUNS = runs()
SECRETS = {"gateway-token": "t0ken", "user-password": "worker1:pass word", "api-key": "the-key",
           "client": "of-the-client", "tokens/gateway": "projected", "p12-password": "of-the-p12",
           "fetched-token": "token-1"}


class Place(Certificates):
    """A folder with all files that the README names; the agent runs there."""

    def __init__(self, directory):
        super().__init__(directory)
        (directory / "tokens").mkdir()
        both, key = self.worker_both.read_text(), self.worker_key.read_text()
        files = {**SECRETS, "worker.pem": both, "edge.pem": both, "other.pem": both, "tls.crt": both,
                 "tls.key": key, "gw.pem": self.gateway.read_text() + self.gateway_key.read_text()}
        for name, text in files.items():
            self[name].write_text(text)
            self[name].chmod(0o600)
        for command in (*commands(companion("challenge").text),
                        ("openssl", "pkcs12", "-export", "-in", "worker.pem", "-out", "worker.p12",
                         "-passout", "file:p12-password")):
            subprocess.run(command, cwd=directory, check=True, capture_output=True)

    def issue_worker(self, certificate, key):
        """With a name that a TLS client can look for."""
        self._openssl("req", "-x509", *self._signed, "-subj", "/CN=worker1", "-addext",
                      "subjectAltName=DNS:worker1", "-addext", "basicConstraints=critical,CA:FALSE",
                      "-keyout", key, "-out", certificate)

    def __getitem__(self, name):
        return self.directory / name


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("place"))


class ReadmeAgent(Agent):
    """The agent with a command of the README. What that does not say is what the machine is like:
    whom it trusts, where logs go, which ports are free."""

    def __init__(self, directory, ca, command, *environment, runner=()):
        self.lines = []
        self._changed = threading.Condition()
        self._command = [*map(str, runner), "env", "-C", str(directory), f"SSL_CERT_FILE={ca}",
                         "PTTH_LOG_FORMAT=json", "PTTH_ADMIN=127.0.0.1:0", *environment,
                         str(AGENT), *command]

    def attached(self, count):
        self.wait_for(lambda line: line.get("to") == "attached", "attached", count=count)

    def has_left(self, served):
        assert self.child.wait(20) == 0, self.lines
        receipt = self.wait_for(lambda line: line["message"] == "receipt", "the receipt")
        assert receipt["cut"] == 0 and receipt["served"] >= served


class Stage:
    """Where one configuration runs. ports: who answers here under the README's names; links: how
    many have to attach; asks: who asks the agent, each as a function of a path that gives the body."""

    def __init__(self, directory, place, cleanup):
        self.directory, self.place, self._cleanup = directory, place, cleanup
        self.ports, self.links, self.asks, self.runner = {}, 1, [], ()
        # For gateways that the test plays: before anyone asks, and once the agent was told to leave.
        self.take_worker = self.end_worker = lambda: None
        self.origin = self.enter(Origin(answer).running())

    def enter(self, context):
        return self._cleanup.enter_context(context)

    def here(self, text):
        """The text of the README with the hosts, ports and files of this run."""
        for name, port in self.ports.items():
            text = re.sub(rf"https://{re.escape(name)}(:\d+)?\b", f"https://localhost:{port}", text)
            text = re.sub(rf"(?<![\w/.]){re.escape(name)}\b", "localhost", text)
        # What is found by name has the name in the gateway's certificate.
        text = text.replace("gw.example", "gw.test").replace("example.com", "gw.test")
        for folder in ("/run/secrets/", "/etc/ptth/", "/run/"):
            text = text.replace(folder, f"{self.place.directory}/")
        return text.replace("http://localhost:3000", self.origin.url).replace(
            "--origin 3000", f"--origin {self.origin.port}")

    def dev_gateway(self, profile, *options, name="gw.example"):
        directory = self.directory / name
        directory.mkdir()
        gateway = Program(directory, "gateway", GATEWAY, f"--{profile}", "127.0.0.1:0", "--https",
                          "127.0.0.1:0", "--ports-file", directory / "gateway.ports", "--ca-file",
                          self.place.ca, "--cert-file", self.place.gateway, "--key-file",
                          self.place.gateway_key, *options)
        self.enter(gateway.running())
        listens = gateway.listens()
        users = listens["https"]
        self.ports[name] = int(listens[profile].rsplit(":", 1)[1])
        self.asks.append(lambda path: curl(
            "--insecure", "--connect-to", f"app.example:443:{users}", f"https://app.example{path}"
        ).stdout)

    def haproxy(self):
        """With the configuration of the README, and a frontend for users."""
        users, workers = free_port(), free_port()
        file = self.directory / "haproxy.cfg"
        file.write_text("defaults\n    timeout connect 5s\n    timeout client 60s\n"
                        "    timeout server 60s\n" +
                        companion("haproxy").text.replace("bind :8943", f"bind 127.0.0.1:{workers}") +
                        f"\nfrontend users\n    mode http\n    bind 127.0.0.1:{users}\n"
                        "    default_backend be-app\n")
        log = self.enter(open(self.directory / "haproxy.log", "wb"))
        child = self.enter(process([haproxy_program(), "-f", file, "-db"], stdout=log, stderr=log,
                                   cwd=self.place.directory))
        wait_until(lambda: child.poll() is not None or can_connect(users), "HAProxy")
        assert child.poll() is None, (self.directory / "haproxy.log").read_text()
        self.ports["gw.example"] = workers
        self.asks.append(lambda path: curl("-H", "Host: app.example",
                                           f"http://127.0.0.1:{users}{path}").stdout)

    def token_endpoint(self, name, clients=None):
        endpoint = self.enter(NodeGateway(self.place, program=ENDPOINT, clients=clients).running())
        self.ports[name] = endpoint.port


def answer(request, write):
    write(plain(f"{request.path} of the application".encode()))


# --- The peer of each configuration --------------------------------------------------------------

ANONYMOUS = ("--client-certificates", "optional")


def shows(kind, file):
    """What a gateway wants to see of a worker that has no certificate."""
    return lambda place: (*ANONYMOUS, f"--{kind}-file", place[file])


with_token = shows("worker-token", "gateway-token")
with_fetched_token = shows("worker-token", "fetched-token")


def gateway(profile, *options, credential=lambda place: (), links=1):
    def put_up(stage):
        stage.dev_gateway(profile, *options, *credential(stage.place))
        stage.links = links
    return put_up


def node_with_another_revision(stage):
    node = stage.enter(NodeGateway(stage.place, asksWho=False, upgrade={
        "token": "ptth-02", "offer": "alpn", "choice": "alpn"}).running())
    stage.ports["gw.example"] = node.port
    stage.asks.append(lambda path: node.ask(headers={":path": path})["body"].encode())

    def take_worker():
        hello = node.wait_for(lambda line: line.get("hello"))
        assert hello["url"] == "/workers?serialized_origin=https%3A%2F%2Fapp.example&tenant=blue"
        assert hello["headers"]["x-pool"] == "a"

    stage.take_worker = take_worker


def python_h2(stage):
    peer = stage.enter(ConnectGateway(stage.place, asks_who=False).running())
    stage.ports["gw.example"] = peer.port

    def take_worker():
        tunnel = peer.next_hello()
        assert tunnel.fields["authorization"] == f"Bearer {SECRETS['gateway-token']}"
        client = Http2Client(tunnel.accept())
        # For the SETTINGS of both sides.
        client.request("/")

        def end_worker():
            client.await_end()
            tunnel.end()
            tunnel.await_end()

        stage.asks.append(lambda path: client.request(path)[1])
        stage.end_worker = end_worker

    stage.take_worker = take_worker


def oauth(name, **options):
    def put_up(stage):
        stage.token_endpoint(name, **options)
        stage.dev_gateway("ptth", *with_fetched_token(stage.place))
    return put_up


CLIENTS = {"worker-1": SECRETS["client"]}


def one_gateway_for_each_credential(stage):
    place = stage.place
    stage.token_endpoint("idp.example", CLIENTS)
    stage.token_endpoint("sts.example")
    wanted = (
        ("haproxy",), ("direct", "--direct-alpn", "ph2"), ("ptth", *with_token(place)),
        ("reverse", *shows("worker-basic", "user-password")(place)),
        ("ptth", *ANONYMOUS, "--worker-header", f"X-Api-Key:{place['api-key']}"),
        ("ptth", *with_fetched_token(place)), ("ptth", *with_fetched_token(place)),
        ("potato", *shows("challenge-key", "worker-id.pub")(place)),
        ("potato", *shows("challenge-token", "gateway-token")(place)))
    for number, options in enumerate(wanted, 1):
        stage.dev_gateway(*options, name=f"gw{number}.example")
    stage.links = len(wanted)


def by_srv(stage):
    names = NameServer(stage.directory)
    stage.dev_gateway("ptth", *with_token(stage.place), name="srv")
    stage.enter(names.running(f"--srv-host=_ptth._tcp.gw.test,near.test,{stage.ports.pop('srv')}"))
    stage.runner = names.runner


def by_svcb(stage):
    names = NameServer(stage.directory)
    stage.dev_gateway("h2-reverse", name="svcb")
    stage.enter(names.running(svcb("_http-reverse.gw.test", 1, "near.test", "h2-reverse",
                                   stage.ports.pop("svcb"))))
    stage.runner = names.runner


def by_document(stage):
    server = stage.enter(DocumentServer(stage.place).running())
    stage.ports["control.example"] = int(re.search(r":(\d+)/", server.url)[1])
    for name in ("gw1.example", "gw2.example"):
        stage.dev_gateway("haproxy", name=name)
    server.document = stage.here(companion("document").text).encode()
    stage.links = 3


class UnixOrigin(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            with contextlib.suppress(EOFError, OSError):
                while True:
                    answer(Request(self.rfile), self.connection.sendall)

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()
            thread.join()


def two_vendors(stage):
    stage.dev_gateway("haproxy")
    stage.dev_gateway("direct", "--direct-alpn", "ph2", name="other.example")
    stage.enter(UnixOrigin(str(stage.place["app.sock"]), UnixOrigin.Handler).running())
    stage.links = 3


PEERS = {
    "haproxy": Stage.haproxy,
    "envoy": gateway("envoy", *ANONYMOUS, "--envoy-worker-name", "worker1", links=4),
    "ptth": gateway("ptth", "--register", "https://app.example", credential=with_token),
    "revision": node_with_another_revision,
    "reverse": gateway("reverse", "--reverse-path", "/worker1", credential=with_token),
    "reverse-template": gateway("reverse", *ANONYMOUS),
    "ptth-connect": python_h2,
    "reverse-connect": python_h2,
    "h2-reverse": gateway("h2-reverse", "--register", "https://app.example"),
    "potato": gateway("potato"),
    "potato of revision 01": gateway("potato", "--potato-alpn", "ph2"),
    "potato of revision 00": gateway("potato", "--potato-alpn", "rh2"),
    "direct": gateway("direct", "--direct-alpn", "my-id"),
    "ptth-1.0": gateway("ptth-1.0", "--reverse-path", "/worker1", credential=with_token),
    "auto": gateway("potato"),
    "auto, by an upgrade": gateway("ptth"),
    "direct-http1": gateway("direct", "--prefer-http1"),
    "ptth-http1": gateway("ptth", "--prefer-http1", credential=with_token),
    "credentials": one_gateway_for_each_credential,
    "oauth-client": oauth("idp.example", clients=CLIENTS),
    "oauth-exchange": oauth("sts.example"),
    "challenge": gateway("potato", credential=shows("challenge-key", "worker-id.pub")),
    "srv": by_srv,
    "svcb": by_svcb,
    "document": by_document,
    "two-vendors": two_vendors,
}
# These have a test of their own.
OTHERS = {"dev-gateway", "kubernetes"}


def name_of(peer):
    """A configuration can be run against several."""
    return re.split(" |,", peer)[0]


def profiles_of(block):
    """All that it names; the one of a gateway without a name is the default."""
    return re.findall(r'(?:--profile |"profile": ")([\w.-]+)', block.text) or ["haproxy"]


def test_each_configuration_is_run_and_each_profile_is_in_one():
    assert {name_of(peer) for peer in PEERS} | OTHERS == set(RUNS)
    named = {profile for block in RUNS.values() for profile in profiles_of(block)}
    assert named == set(known_profiles())


def arguments(stage, block):
    text = stage.here(block.text)
    if not block.is_json():
        (program, *rest), = commands(text)
        assert program == "ptth-agent"
        return rest
    file = stage.directory / "agent.json"
    file.write_text(text)
    return ["run", "--config", str(file)]


@pytest.mark.parametrize("peer", PEERS)
def test_it_works_as_the_readme_has_it(tmp_path, place, peer):
    block = RUNS[name_of(peer)]
    with contextlib.ExitStack() as cleanup:
        stage = Stage(tmp_path, place, cleanup)
        PEERS[peer](stage)
        agent = ReadmeAgent(place.directory, place.ca, arguments(stage, block), runner=stage.runner)
        stage.enter(agent.running(wait=False))
        stage.take_worker()
        agent.attached(stage.links)
        for number, ask in enumerate(stage.asks):
            assert ask(f"/{number}") == f"/{number} of the application".encode()
        agent.child.terminate()
        stage.end_worker()
        agent.has_left(served=len(stage.asks))


def test_the_development_gateways_commands_work(tmp_path, place):
    with contextlib.ExitStack() as cleanup:
        stage = Stage(tmp_path, place, cleanup)
        text = stage.here(RUNS["dev-gateway"].text)
        for port in ("8443", "8080"):
            text = text.replace(f":{port}", f":{free_port()}")
        gateway_command, agent_command, curl_command = commands(text)
        users = int(gateway_command[-1].rsplit(":", 1)[1])
        log = stage.enter(open(tmp_path / "gateway.log", "wb"))
        stage.enter(process([GATEWAY, *gateway_command[1:]], cwd=tmp_path, stdout=log, stderr=log))
        wait_until(lambda: can_connect(users), "the gateway")
        agent = ReadmeAgent(tmp_path, "/nowhere", agent_command[1:])
        stage.enter(agent.running())
        done = subprocess.run(curl_command, capture_output=True, check=True)
        assert done.stdout == b"/ of the application"
        agent.child.terminate()
        agent.has_left(served=1)


def test_the_sidecar_of_kubernetes_works_and_answers_its_probes(tmp_path, place):
    text = RUNS["kubernetes"].text
    admin = free_port()
    with contextlib.ExitStack() as cleanup:
        stage = Stage(tmp_path, place, cleanup)
        stage.haproxy()
        here = stage.here(text).replace("0.0.0.0:9600", f"127.0.0.1:{admin}")
        command = [part.strip().strip('"') for part in
                   re.search(r"args: \[(.*?)\]", here, re.DOTALL)[1].split(",")]
        environment = [f"{name}={value}" for name, value in
                       re.findall(r"\{name: (PTTH_\w+), value: (\S+)\}", here)]
        assert len(environment) == 2
        agent = ReadmeAgent(place.directory, place.ca, command, *environment)
        stage.enter(agent.running())
        probes = re.findall(r"Probe: \{httpGet: \{path: (\S+), port: 9600\}\}", text)
        assert len(probes) == 3
        for path in probes:
            wait_until(lambda path=path: curl("-o", "/dev/null", "-w", "%{http_code}",
                                              f"http://127.0.0.1:{admin}{path}").stdout == b"200", path)
        assert stage.asks[0]("/") == b"/ of the application"
        agent.child.terminate()
        agent.has_left(served=1)
