"""What a gateway reads about the worker that serves it, over the reversed connection: HAProxy, Node and
the development gateway ask, and the JSON Schema that is published says what they may get."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jsonschema
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import (ROOT, Agent, Origin, curl, free_port, plain, process,  # noqa: E402
                   wait_until)
from readme import blocks  # noqa: E402
from test_challenge import Key  # noqa: E402
from test_challenge import stage as node_stage  # noqa: E402
from test_dev_gateway import PROFILES, VARIANTS, WAYS, authority, gateway_program, origin_program  # noqa: E402
from test_dev_gateway import Stage as DevStage  # noqa: E402
from test_dev_gateway import stage as dev_stage  # noqa: E402
from test_status import admin_of, metric  # noqa: E402

PATH = "/.well-known/ptth-worker"
SCHEMA = json.loads((ROOT / "agent/worker.schema.json").read_text())
OWN = ("-H", "Host: gw.test")


class Answer:
    """As curl shows it."""

    def __init__(self, *arguments):
        head, _, self.body = curl("-i", *arguments).stdout.decode().partition("\r\n\r\n")
        status, *fields = head.split("\r\n")
        self.status = int(status.split()[1])
        self.fields = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}

    def document(self):
        assert self.status == 200, (self.status, self.body)
        document = json.loads(self.body)
        jsonschema.validate(document, SCHEMA)
        return document


def hello(_, write):
    write(plain(b"hello"))


def test_the_schema_is_a_schema_and_refuses_what_it_should():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    good = {"instance": "ptth-agent-00000000", "version": "1.2.3", "origins": ["*"], "path_prefixes": ["/"],
            "capacity": 1, "in_flight": 0, "share": {"capacity": 1, "in_flight": 0},
            "queue": {"length": 0}, "draining": False}
    jsonschema.validate(good, SCHEMA)
    for name, value in (("capacity", -1), ("origins", []), ("origins", ["app.example"]), ("draining", "no"),
                        ("instance", "me"), ("queue", {}), ("identity", "")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, name: value}, SCHEMA)


def test_the_document_in_the_readme_is_one():
    block, = [block for block in blocks() if '"instance": "ptth-agent-' in block.text]
    jsonschema.validate(json.loads(block.text.split("\n\n")[1]), SCHEMA)


@pytest.mark.parametrize("url", ("url", "http2_url"))
def test_haproxy_reads_the_document_and_the_application_never_sees_it(gateway, certificates, url):
    with Origin(hello).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, "--serve", "https://app.example,http://*.b.example",
                  "--worker-identity", "shop-7", "--capacity", "7").running() as agent:
        version = ("--http2-prior-knowledge",) if url == "http2_url" else ()
        place = getattr(gateway, url)(PATH)
        answer = Answer(*version, *OWN, place)
        document = answer.document()
        started = agent.wait_for(lambda line: line["message"] == "agent starting", "the first line")
        assert document["identity"] == "shop-7"
        assert document["instance"] == started["worker"]
        assert document["version"] == started["version"].split()[1]
        assert document["origins"] == ["https://app.example", "http://*.b.example"]
        assert document["path_prefixes"] == ["/"]
        assert (document["capacity"], document["in_flight"]) == (7, 0)
        assert document["share"] == {"capacity": 7, "in_flight": 0}
        assert document["draining"] is False
        known = ("-H", f"If-None-Match: {answer.fields['etag']}")
        unchanged = Answer(*version, *OWN, *known, place)
        assert (unchanged.status, unchanged.body) == (304, "")
        head = Answer(*version, *OWN, "-I", place)
        assert (head.status, head.body) == (200, "")
        assert head.fields["content-length"] == str(len(answer.body))
        refused = Answer(*version, *OWN, "-d", "x", place)
        assert (refused.status, refused.fields["allow"]) == (405, "GET, HEAD")
        user = Answer(*version, "-H", "Host: app.example", place)
        assert user.status == 404 and "capacity" not in user.body
        assert not origin.requests


class HeldOrigin(Origin):
    """Answers once the test lets it."""

    def __init__(self):
        self.release = threading.Event()
        super().__init__(self._answer)

    def _answer(self, _, write):
        assert self.release.wait(60)
        write(plain(b"finished"))


@contextlib.contextmanager
def one_in_hand(gateway, origin):
    """A user whose request the application has in hand until the block ends."""
    with subprocess.Popen(["curl", "-s", gateway.url("/")], stdout=subprocess.PIPE) as user:
        try:
            wait_until(lambda: origin.in_hand == 1, "the request in hand")
            yield
        finally:
            origin.release.set()
        assert user.stdout.read() == b"finished"


def test_it_is_answered_beside_a_full_application_with_another_tag(gateway, certificates):
    with HeldOrigin().running() as origin, \
            Agent(gateway.workers, certificates, origin.url, "--capacity", "1", "--connections",
                  "2").running() as agent:
        agent.wait_for(lambda line: line.get("to") == "attached", "both links", count=2)
        idle = Answer(*OWN, gateway.url(PATH))
        again = Answer(*OWN, gateway.url(PATH))
        assert idle.document() == again.document()
        assert idle.fields["etag"] == again.fields["etag"]
        with one_in_hand(gateway, origin):
            busy = Answer(*OWN, gateway.url(PATH))
            assert (busy.document()["capacity"], busy.document()["in_flight"]) == (1, 1)
            assert busy.document()["share"]["in_flight"] == 1
            assert busy.fields["etag"] != idle.fields["etag"]


def test_it_is_answered_while_the_worker_drains(gateway, certificates):
    with HeldOrigin().running() as origin, \
            Agent(gateway.workers, certificates, origin.url).running() as agent:
        with one_in_hand(gateway, origin):
            agent.child.send_signal(signal.SIGTERM)
            agent.wait_for(lambda line: line["message"] == "draining", "draining")
            leaving = Answer(*OWN, gateway.url(PATH)).document()
            assert leaving["draining"] is True and leaving["in_flight"] == 1
        assert agent.child.wait(20) == 0


def test_it_is_answered_while_the_application_is_down(gateway, certificates):
    with Agent(gateway.workers, certificates, f"http://127.0.0.1:{free_port()}").running():
        assert Answer(*OWN, gateway.url(PATH)).document()["in_flight"] == 0


def test_a_gateway_that_reads_it_all_the_time_is_told_to_wait(gateway, certificates):
    with Origin(hello).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, "--limit-worker-documents", "2+0/s",
                  admin="127.0.0.1:0").running() as agent:
        statuses = [Answer(*OWN, gateway.url(PATH)).status for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
        assert metric(admin_of(agent), "ptth_worker_documents_total", outcome="limited") == 2
        assert Answer(gateway.url("/")).body == "hello"


@pytest.mark.parametrize("option, path", (("/worker", "/worker"), ("off", None), ("", None)))
def test_the_path_is_a_setting(gateway, certificates, option, path):
    with Origin(hello).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, "--worker-document-path", option).running():
        # Then the usual one is the application's.
        assert Answer(*OWN, gateway.url(PATH)).body == "hello"
        assert [request.path for request in origin.requests] == [PATH]
        if path:
            assert Answer(*OWN, gateway.url(path)).document()["draining"] is False


@pytest.mark.parametrize("way", WAYS)
def test_it_is_there_in_every_way_to_reverse_a_connection(tmp_path, way):
    # The one question that the development gateway has, at this path: it looks for JSON first.
    token = tmp_path / "token"
    token.write_text("unused")
    question = ("--challenge-token-file", token, "--challenge-path", PATH)
    profile, of_gateway, of_agent = VARIANTS.get(way, (way, (), PROFILES.get(way)))
    with gateway_program(tmp_path, profile, *of_gateway, *question).running() as gateway, \
            origin_program(tmp_path).running() as origin:
        up = DevStage(tmp_path, profile, gateway, f"http://{origin.listens()['http']}")
        # Some ways begin only when there is something to send.
        with up.agent(*of_agent).running(), \
                process(["curl", "-s", "-o", "/dev/null", *authority(up), up.url("/hello")]):
            # Whoever speaks in cleartext may be anyone, so there the path is the application's.
            reason = "the answer has the status 404" if way == "envoy-cleartext" else \
                "it does not say which worker it is"
            gateway.wait_for(f"worker refused.*{reason}")


def test_users_behind_a_gateway_that_says_so_never_read_it(tmp_path):
    with dev_stage(tmp_path, "direct") as up:
        user = Answer("-H", "Host: localhost", up.url(PATH))
        assert user.status == 404 and "own requests" in user.body


OVER_HTTP1 = ("--alpn", "http/1.1", "--http1-alpn", "http/1.1")


@pytest.mark.parametrize("alpn, profile, more", (("ph2", "potato", ()), ("http/1.1", "direct", OVER_HTTP1)))
def test_node_reads_it_over_both_versions_and_sees_what_it_may_have(tmp_path, alpn, profile, more):
    key = Key(tmp_path)
    with node_stage(tmp_path, "--challenge-key-file", key.file, "--challenge-prefix", "/shop", *more,
                    alpn=alpn, profile=profile) as (gateway, origin, _):
        asked = 0

        def ask(**fields):
            # Node uses a connection of HTTP/1.1 once.
            nonlocal asked
            connection = asked if more else 0
            asked += 1
            gateway.wait_for(lambda line: line.get("connection") == connection)
            return gateway.ask(connection=connection, headers={":path": PATH, **fields})

        answer = ask()
        document = json.loads(answer["body"])
        jsonschema.validate(document, SCHEMA)
        assert document["path_prefixes"] == ["/shop"]
        unchanged = ask(**{"if-none-match": answer["headers"]["etag"]})
        assert (unchanged["status"], unchanged["body"]) == (304, "")
        assert ask(**{":authority": "app.example"})["status"] == 404
        assert ask(**{"x-forwarded-for": "192.0.2.1"})["status"] == 404
        assert not origin.requests
