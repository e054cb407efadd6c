"""Gateways that the agent finds: in a document of an HTTPS server, and in SRV and SVCB records of a
real name server."""

import contextlib
import http.server
import json
import random
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from peers import Certificates, Origin, curl, plain, process, wait_until  # noqa: E402
from test_reload import ConfiguredAgent, gateways, value_of  # noqa: E402


def ok(_, write):
    write(plain(b"ok"))


class FindingAgent(ConfiguredAgent):
    """An agent whose only gateway is found."""

    def __init__(self, directory, certificates, origin, url, runner=(), **discovery):
        super().__init__(directory, certificates, origin, [])
        settings = json.loads(self.file.read_text())
        # What the certificate must say follows from how the gateway was found.
        del settings["tls"]["server_name"]
        settings["reconnect"] = {"max": "500ms"}
        settings["gateways"] = [{"name": "edge", "url": url, "discovery": {
            "refresh": "20ms", "refresh_min": "20ms", **discovery}}]
        self.file.write_text(json.dumps(settings))
        self._command = [*map(str, runner), *self._command]

    def attached(self, name, count=1):
        super().attached(f"edge.{name}", count)

    def gone(self, name, count=1):
        super().gone(f"edge.{name}", count)

    def failures(self):
        return value_of(self.metrics(), 'ptth_discovery_looks_total{discovery="edge",outcome="failed"}')


class DocumentServer:
    """Serves one document, with an ETag, and counts what it answered."""

    def __init__(self, certificates):
        self.document, self.field, self.answers, self.tokens = b"", ("X-None", "1"), [], set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.tokens.add(self.headers.get("Authorization"))
                etag = f'"{hash(outer.document)}"'
                same = self.headers.get("If-None-Match") == etag
                body = b"" if same else outer.document
                self.send_response(304 if same else 200)
                self.send_header("ETag", etag)
                self.send_header(*outer.field)
                if not same:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                outer.answers.append(304 if same else 200)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.gateway, certificates.gateway_key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"document:https://localhost:{self._server.server_address[1]}/gateways.json"

    def say(self, *listed, **more):
        self.document = json.dumps({"version": 1, "gateways": [
            {"name": name, "url": f"https://localhost:{gateway.workers}"} for name, gateway in listed], **more}).encode()

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def test_gateways_of_a_document_come_and_go(tmp_path, certificates):
    a, b = gateways(tmp_path, certificates, "a", "b")
    token = tmp_path / "token"
    token.write_text("t0ken")
    token.chmod(0o600)
    server = DocumentServer(certificates)
    server.say(("a", a))
    with a.running(), b.running(), Origin(ok).running() as origin, server.running(), \
            FindingAgent(tmp_path, certificates, origin.url, server.url, ca_file=str(certificates.ca),
                         token_file=str(token)).running() as agent:
        agent.attached("a")
        assert curl(a.url("/")).stdout == b"ok"
        wait_until(lambda: 304 in server.answers, "the same again")
        server.say(("a", a), ("b", b))
        agent.attached("b")
        server.say(("b", b))
        agent.gone("a")
        assert curl(b.url("/")).stdout == b"ok"
        assert server.tokens == {"Bearer t0ken"}
        assert value_of(agent.metrics(), 'ptth_discovery_gateways{discovery="edge"}') == 1


def test_documents_with_anything_wrong_are_refused_and_the_last_good_one_stays(tmp_path, certificates):
    (a,) = gateways(tmp_path, certificates, "a")
    server = DocumentServer(certificates)
    server.say(("a", a))
    good = json.loads(server.document)["gateways"][0]
    with a.running(), Origin(ok).running() as origin, server.running(), \
            FindingAgent(tmp_path, certificates, origin.url, server.url,
                         ca_file=str(certificates.ca)).running() as agent:
        agent.attached("a")
        for wrong in ([], [good, good], [{**good, "url": f"http://localhost:{a.workers}"}],
                      [{**good, "url": "https://evil.test"}], [{**good, "tls": {"ca_file": "/x"}}],
                      [good] * 1000, [{"name": "x" * 1_000_000}], {"name": "a"}):
            failures = agent.failures()
            server.document = json.dumps({"version": 1, "gateways": wrong}).encode()
            wait_until(lambda: agent.failures() > failures, "the refusal")
            assert curl(a.url("/")).stdout == b"ok"
        agent.wait_for(lambda line: "evil.test" in line.get("detail", "") or
                       "there is none" in line.get("detail", ""), "why")
        assert not [line for line in agent.lines if line["message"] == "gateway draining"]


def test_a_restart_while_the_document_is_away_uses_the_copy(tmp_path, certificates):
    (a,) = gateways(tmp_path, certificates, "a")
    server = DocumentServer(certificates)
    server.say(("a", a))
    copy = tmp_path / "copy.json"
    options = {"ca_file": str(certificates.ca), "cache_file": str(copy)}
    with a.running(), Origin(ok).running() as origin:
        with server.running(), FindingAgent(tmp_path, certificates, origin.url, server.url,
                                            **options).running():
            wait_until(copy.exists, "the copy")
        assert copy.stat().st_mode & 0o777 == 0o600
        with FindingAgent(tmp_path, certificates, origin.url, server.url, **options).running() as agent:
            agent.attached("a")
            wait_until(lambda: agent.failures() > 0, "a look that fails")
            assert curl(a.url("/")).stdout == b"ok"


def test_a_document_server_that_cannot_be_verified_is_not_believed(tmp_path, certificates):
    (tmp_path / "other").mkdir()
    (a,) = gateways(tmp_path, certificates, "a")
    server = DocumentServer(certificates)
    server.say(("a", a))
    with a.running(), Origin(ok).running() as origin, server.running(), \
            FindingAgent(tmp_path, certificates, origin.url, server.url,
                         ca_file=str(Certificates(tmp_path / "other").ca)).running(wait=False) as agent:
        line = agent.wait_for(lambda line: "cannot be looked up" in line["message"], "the complaint")
        assert "certificate" in line["detail"]
        assert not server.answers


class NameServer:
    """dnsmasq on a loopback address of its own, and what runs the agent with that for its resolver."""

    def __init__(self, directory):
        self.address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self._directory = directory
        (directory / "resolv.conf").write_text(f"nameserver {self.address}\noptions timeout:1 attempts:1\n")
        self.runner = (sys.executable, HERE / "own_resolver.py", directory)
        if subprocess.run([*self.runner, "true"], check=False).returncode != 0:
            pytest.skip("no mount namespace of our own")
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((self.address, 53))
        except PermissionError:
            pytest.skip("port 53 is not for us")

    @contextlib.contextmanager
    def running(self, *records):
        program = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin:/bin")
        assert program, "dnsmasq not found: scripts/dev setup"
        with open(self._directory / "dnsmasq.log", "ab") as log, process(
                [program, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                 f"--listen-address={self.address}", "--bind-interfaces", "--user=root", "--pid-file=",
                 "--log-facility=-", "--local=/test/", "--host-record=near.test,127.0.0.1", *records],
                stderr=log) as child:
            wait_until(lambda: child.poll() is not None or self._answers(), "dnsmasq")
            assert child.poll() is None, (self._directory / "dnsmasq.log").read_text()
            yield

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection((self.address, 53), 1):
            return True
        return False


def srv(gateway, priority=0):
    return f"--srv-host=_ptth._tcp.gw.test,near.test,{gateway.workers},{priority},1"


def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def svcb(owner, priority, target, alpn=None, port=None):
    data = struct.pack(">H", priority) + wire_name(target)
    if alpn:
        value = bytes([len(alpn)]) + alpn.encode()
        data += struct.pack(">HH", 1, len(value)) + value
    if port:
        data += struct.pack(">HHH", 3, 2, port)
    return f"--dns-rr={owner},64,{data.hex()}"


def test_gateways_of_srv_records_are_found(tmp_path, certificates):
    a, b = gateways(tmp_path, certificates, "a", "b")
    names = NameServer(tmp_path)
    # The certificates say gw.test, not near.test.
    with a.running(), b.running(), Origin(ok).running() as origin, names.running(srv(a), srv(b)), \
            FindingAgent(tmp_path, certificates, origin.url, "srv:_ptth._tcp.gw.test",
                         names.runner).running() as agent:
        agent.attached(f"near.test:{a.workers}")
        agent.attached(f"near.test:{b.workers}")
        assert curl(a.url("/")).stdout == b"ok"
        assert curl(b.url("/")).stdout == b"ok"


def test_a_name_server_that_fails_leaves_the_last_answer(tmp_path, certificates):
    a, b = gateways(tmp_path, certificates, "a", "b")
    names = NameServer(tmp_path)
    with a.running(), b.running(), Origin(ok).running() as origin:
        agent = FindingAgent(tmp_path, certificates, origin.url, "srv:_ptth._tcp.gw.test", names.runner)
        with contextlib.ExitStack() as later:
            with names.running(srv(a)):
                later.enter_context(agent.running())
                agent.attached(f"near.test:{a.workers}")
            wait_until(lambda: agent.failures() > 0, "a look that fails")
            with names.running():
                failures = agent.failures()
                wait_until(lambda: agent.failures() > failures + 1, "no such name")
            assert curl(a.url("/")).stdout == b"ok"
            with names.running(srv(b)):
                agent.attached(f"near.test:{b.workers}")
                agent.gone(f"near.test:{a.workers}")
                assert curl(b.url("/")).stdout == b"ok"


def test_a_gateway_of_the_next_priority_is_there_while_the_first_is_not(tmp_path, certificates):
    first, second = gateways(tmp_path, certificates, "first", "second")
    names = NameServer(tmp_path)
    with second.running(), Origin(ok).running() as origin, \
            names.running(srv(first, 1), srv(second, 2)), \
            FindingAgent(tmp_path, certificates, origin.url, "srv:_ptth._tcp.gw.test",
                         names.runner).running() as agent:
        agent.attached(f"near.test:{second.workers}")
        assert curl(second.url("/")).stdout == b"ok"
        with first.running():
            agent.attached(f"near.test:{first.workers}")
            agent.gone(f"near.test:{second.workers}")
            assert curl(first.url("/")).stdout == b"ok"


def test_the_targets_name_is_looked_for_in_the_certificate_only_when_asked_for(tmp_path, certificates):
    (a,) = gateways(tmp_path, certificates, "a")
    names = NameServer(tmp_path)
    with a.running(), Origin(ok).running() as origin, names.running(srv(a)), \
            FindingAgent(tmp_path, certificates, origin.url, "srv:_ptth._tcp.gw.test", names.runner,
                         insecure_target_names=True).running(wait=False) as agent:
        line = agent.wait_for(lambda line: line.get("to") == "backing_off", "the failure")
        assert "near.test" in line["reason"]


def test_gateways_of_svcb_records_are_found_behind_an_alias(tmp_path, certificates):
    (a,) = gateways(tmp_path, certificates, "a")
    names = NameServer(tmp_path)
    with a.running(), Origin(ok).running() as origin, \
            names.running(svcb("_http-reverse.gw.test", 0, "pool.test"),
                          svcb("pool.test", 1, "near.test", "h2", a.workers),
                          svcb("pool.test", 1, "other.test", "h3", a.workers)), \
            FindingAgent(tmp_path, certificates, origin.url, "svcb:gw.test",
                         names.runner).running() as agent:
        agent.attached(f"near.test:{a.workers}")
        assert curl(a.url("/")).stdout == b"ok"
        agent.wait_for(lambda line: line.get("found") == f"other.test:{a.workers}"
                       and "ALPN" in line["detail"], "the record that is of no use")


def test_aliases_without_end_are_given_up(tmp_path, certificates):
    names = NameServer(tmp_path)
    with names.running(svcb("_http-reverse.gw.test", 0, "one.test"), svcb("one.test", 0, "two.test"),
                       svcb("two.test", 0, "one.test")), \
            FindingAgent(tmp_path, certificates, "http://127.0.0.1:9", "svcb:gw.test",
                         names.runner).running(wait=False) as agent:
        line = agent.wait_for(lambda line: "cannot be looked up" in line["message"], "the complaint")
        assert "without end" in line["detail"]
