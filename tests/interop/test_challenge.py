"""A gateway asks the agent who it is, over the reversed connection. The judge is Node, which shares
nothing with the agent (node_challenge_gateway.mjs), and the development gateway."""

import base64
import contextlib
import hashlib
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from node import NodeGateway, echo  # noqa: E402
from peers import Agent, Certificates, Origin, curl, free_port, wait_until  # noqa: E402
from test_dev_gateway import Stage as DevStage  # noqa: E402
from test_dev_gateway import gateway_program, origin_program  # noqa: E402

PATH = "/.well-known/ptth-challenge"
CANARY = "canary-7c2e"
KINDS = {
    "ed25519": ("ed25519",),
    "p256": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
}
NUMBERS = itertools.count()


class Key:
    def __init__(self, directory, kind="ed25519", file=None):
        self.file = file or directory / f"id-{next(NUMBERS)}.key"
        fresh = self.file.with_suffix(".new")
        subprocess.run(["openssl", "genpkey", "-algorithm", *KINDS[kind], "-out", fresh],
                       check=True, capture_output=True)
        fresh.chmod(0o600)
        fresh.rename(self.file)
        self.public_file = self.file.with_suffix(".pub")
        subprocess.run(["openssl", "pkey", "-in", self.file, "-pubout", "-out", self.public_file],
                       check=True)
        self.public = self.public_file.read_text()


class Challenger(NodeGateway):
    """The gateway's side."""

    def ask_who(self, connection=0, **headers):
        nonce = f":{base64.b64encode(hashlib.sha256(str(next(NUMBERS)).encode()).digest()).decode()}:"
        answer = self.ask(connection=connection,
                          headers={":path": PATH, "ptth-challenge": nonce, **headers})
        return answer, nonce

    def judge(self, answer, nonce, key, connection=0, **more):
        return self.ask(judge={"answer": answer, "connection": connection, "nonce": nonce,
                               "key": key.public, **more})["wrong"]


@contextlib.contextmanager
def stage(directory, *options, alpn="ph2", profile="potato", admin="off", **of_gateway):
    certificates = Certificates(directory)
    program = Path(__file__).with_name("node_challenge_gateway.mjs")
    with Challenger(certificates, program, alpn=alpn, **of_gateway).running() as gateway, \
            Origin(echo).running() as origin, \
            Agent(gateway.port, certificates, origin.url, "--profile", profile, *options,
                  admin=admin).running() as agent:
        gateway.wait_for(lambda line: "connection" in line)
        yield gateway, origin, agent


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_each_kind_of_key_is_good(tmp_path, kind):
    key = Key(tmp_path, kind)
    with stage(tmp_path, "--challenge-key-file", key.file) as (gateway, origin, _):
        answer, nonce = gateway.ask_who()
        assert gateway.judge(answer, nonce, key) is None
        assert json.loads(answer["body"])["prefixes"] == ["/"]
        assert json.loads(answer["body"])["worker"].startswith("ptth-agent-")
        assert not origin.requests


@pytest.mark.parametrize("alpn, profile, more, tls", (
    ("http/1.1", "direct", ("--alpn", "http/1.1", "--http1-alpn", "http/1.1"), "TLSv1.3"),
    ("ph2", "potato", ("--tls-min-version", "1.2"), "TLSv1.2"),
))
def test_it_is_good_over_http1_and_tls12_too(tmp_path, alpn, profile, more, tls):
    key = Key(tmp_path)
    with stage(tmp_path, "--challenge-key-file", key.file, *more, alpn=alpn, profile=profile,
               tls=tls) as (gateway, _, _):
        assert gateway.lines[-1]["version"] == tls
        answer, nonce = gateway.ask_who()
        assert gateway.judge(answer, nonce, key) is None


def test_a_captured_answer_is_worth_nothing_on_another_connection(tmp_path):
    key = Key(tmp_path)
    with stage(tmp_path, "--challenge-key-file", key.file, "--connections", "2") as (gateway, _, _):
        gateway.wait_for(lambda line: line.get("connection") == 1)
        answer, nonce = gateway.ask_who(connection=0)
        other, _ = gateway.ask_who(connection=1)
        assert gateway.judge(answer, nonce, key, connection=0) is None
        # Even where the other gateway uses the same nonce.
        assert gateway.judge(answer, nonce, key, connection=1) == "exporter"
        answer["headers"]["ptth-exporter"] = other["headers"]["ptth-exporter"]
        assert gateway.judge(answer, nonce, key, connection=1) == "signature"


def test_what_is_not_as_it_was_signed_is_found_out(tmp_path):
    key = Key(tmp_path)
    with stage(tmp_path, "--challenge-key-file", key.file) as (gateway, _, _):
        answer, nonce = gateway.ask_who()
        assert gateway.judge(answer, nonce, key) is None
        assert gateway.judge(answer, nonce, Key(tmp_path)) == "keyid"
        assert gateway.judge(answer, nonce, key, later=61) == "time"
        _, another = gateway.ask_who()
        assert gateway.judge(answer, another, key) == "nonce"
        assert gateway.judge(answer, nonce, key, authority="other.test") == "signature"
        assert gateway.judge(answer, nonce, key, path="/other") == "signature"
        tampered = {**answer, "body": answer["body"].replace('"/"', '"/admin"')}
        assert gateway.judge(tampered, nonce, key) == "digest"
        digest = base64.b64encode(hashlib.sha256(tampered["body"].encode()).digest()).decode()
        tampered["headers"] = {**answer["headers"], "content-digest": f"sha-256=:{digest}:"}
        assert gateway.judge(tampered, nonce, key) == "signature"


def test_another_key_of_the_same_name_does_not_pass(tmp_path):
    key = Key(tmp_path)
    with stage(tmp_path, "--challenge-key-file", key.file, "--challenge-key-id", "worker-1",
               keyId="worker-1") as (gateway, _, _):
        answer, nonce = gateway.ask_who()
        assert 'keyid="worker-1"' in answer["headers"]["signature-input"]
        assert gateway.judge(answer, nonce, key) is None
        assert gateway.judge(answer, nonce, Key(tmp_path)) == "signature"


def test_users_are_served_as_before_and_never_get_an_answer(tmp_path):
    key = Key(tmp_path)
    with stage(tmp_path, "--challenge-key-file", key.file) as (gateway, origin, _):
        for headers in ({":path": "/a?b"}, {":path": PATH, ":authority": "app.example"}):
            answer = gateway.ask(connection=0, headers={":authority": "app.example", **headers})
            assert answer["status"] == 200
            assert json.loads(answer["body"])["path"] == headers[":path"]
            assert "signature" not in answer["headers"]
        assert len(origin.requests) == 2
        refused, _ = gateway.ask_who(**{"x-forwarded-for": "192.0.2.1"})
        assert refused["status"] == 403
        assert gateway.ask_who(**{"ptth-challenge": "nonce"})[0]["status"] == 400
        assert len(origin.requests) == 2


def test_a_gateway_gets_only_the_paths_that_were_listed(tmp_path):
    key = Key(tmp_path)
    with stage(tmp_path, "--challenge-key-file", key.file, "--challenge-prefix",
               "/shop,/cart/") as (gateway, origin, _):
        answer, nonce = gateway.ask_who()
        assert gateway.judge(answer, nonce, key) is None
        assert json.loads(answer["body"])["prefixes"] == ["/shop", "/cart/"]
        for path, status in (("/shop/1?a", 200), ("/cart", 200), ("/shopping", 421), ("/", 421),
                             ("/shop/%2e%2e/admin", 421)):
            got = gateway.ask(connection=0, headers={":authority": "app.example", ":path": path})
            assert got["status"] == status, path
        assert [request.path for request in origin.requests] == ["/shop/1?a", "/cart"]


def test_a_renewed_key_is_shown_on_a_new_connection(tmp_path):
    key = Key(tmp_path)
    with stage(tmp_path, "--challenge-key-file", key.file, "--credentials-interval", "50ms",
               "--renew-spread", "10ms", "--log-level", "debug") as (gateway, _, agent):
        answer, nonce = gateway.ask_who()
        assert gateway.judge(answer, nonce, key) is None
        renewed = Key(tmp_path, file=key.file)
        secret = renewed.file.read_text().splitlines()[1]
        gateway.wait_for(lambda line: line.get("connection") == 1)
        answer, nonce = gateway.ask_who(connection=1)
        assert gateway.judge(answer, nonce, renewed, connection=1) is None
        key.file.unlink()
        answer, _ = gateway.ask_who(connection=1)
        assert answer["status"] == 503 and "key" not in answer["body"]
        line = agent.wait_for(lambda line: line["message"] == "challenge not answered", "a warning")
        assert str(key.file) in line["detail"]
        assert secret not in "\n".join(map(str, agent.lines))


def test_a_token_comes_out_only_in_the_answer(tmp_path):
    token = tmp_path / "token"
    token.write_text(CANARY + "\n")
    token.chmod(0o600)
    admin = free_port()
    with stage(tmp_path, "--challenge-token-file", token, "--log-level", "debug",
               admin=f"127.0.0.1:{admin}") as (gateway, origin, agent):
        answer, _ = gateway.ask_who()
        document = json.loads(answer["body"])
        assert (document["token_type"], document["access_token"]) == ("Bearer", CANARY)
        assert CANARY not in str(answer["headers"])
        gateway.ask(connection=0, headers={":authority": "app.example", ":path": "/"})
        late, _ = gateway.ask_who()
        assert late["status"] == 403 and CANARY not in late["body"]
        agent.wait_for(lambda line: line["message"] == "exchange", "exchanges", count=3)
        wait_until(lambda: curl(f"http://127.0.0.1:{admin}/livez", check=False).returncode == 0,
                   "admin")
        pages = [curl(f"http://127.0.0.1:{admin}/{page}").stdout.decode()
                 for page in ("metrics", "readyz?verbose", "startupz")]
        assert 'outcome="answered"} 1' in pages[0]
        command_line = Path(f"/proc/{agent.child.pid}/cmdline").read_text()
        said = "\n".join([*map(str, agent.lines), *pages, command_line])
        assert len(origin.requests) == 1
    assert CANARY not in said


@contextlib.contextmanager
def dev_stage(directory, profile, *of_gateway):
    with gateway_program(directory, profile, *of_gateway).running() as gateway, \
            origin_program(directory).running() as origin:
        yield DevStage(directory, profile, gateway, f"http://{origin.listens()['http']}")


@pytest.mark.parametrize("profile, more", (
    ("potato", ()), ("direct", ()), ("haproxy", ()), ("h2-reverse", ("--serve", "http://localhost:80")),
    ("ptth", ("--serve", "https://app.example,http://localhost:80")),
))
@pytest.mark.parametrize("by", ("key", "token"))
def test_the_development_gateway_admits_a_worker_that_answers(tmp_path, profile, more, by):
    if by == "key":
        key = Key(tmp_path)
        of_gateway, of_agent = key.public_file, key.file
    else:
        of_gateway = of_agent = tmp_path / "token"
        of_agent.write_text(CANARY + "\n")
    with dev_stage(tmp_path, profile, f"--challenge-{by}-file", of_gateway) as up, \
            up.agent(f"--challenge-{by}-file", of_agent, "--challenge-prefix", "/hello",
                     *more).running():
        up.gateway.wait_for("worker attached")
        ask = ("-H", "Host: localhost", "-w", "%{http_code}")
        assert curl(*ask, up.url("/hello")).stdout == b"hello from ptth-dev-origin\n200"
        assert CANARY not in up.gateway.log()


@pytest.mark.parametrize("of_gateway, of_agent, reason", (
    (("--challenge-key-file", "{key}.pub"), ("--challenge-key-file", "{other}.key"),
     "not of this answer, or not of this key"),
    (("--challenge-key-file", "{key}.pub", "--challenge-authority", "LOCALHOST:443"),
     ("--challenge-key-file", "{key}.key"), "not of this answer, or not of this key"),
    (("--challenge-key-file", "{key}.pub"), ("--challenge-token-file", "{token}"),
     "not one Signature-Input"),
    (("--challenge-key-file", "{key}.pub"), (), "status 404"),
    (("--challenge-key-file", "{key}.pub", "--challenge-path", "/who"),
     ("--challenge-key-file", "{key}.key"), "status 404"),
    (("--challenge-token-file", "{token}"), ("--challenge-token-file", "{token}2"),
     "holds another token"),
    (("--challenge-token-file", "{token}"), ("--challenge-key-file", "{key}.key"),
     "holds no bearer token"),
))
def test_the_development_gateway_says_what_is_wrong_with_an_answer(tmp_path, of_gateway, of_agent,
                                                                   reason):
    key, other = Key(tmp_path), Key(tmp_path)
    names = {"key": key.file.with_suffix(""), "other": other.file.with_suffix(""),
             "token": tmp_path / "token"}
    (tmp_path / "token").write_text("one\n")
    (tmp_path / "token2").write_text("two\n")
    of_gateway = [text.format(**names) for text in of_gateway]
    of_agent = [text.format(**names) for text in of_agent]
    with dev_stage(tmp_path, "potato", *of_gateway, "--queue-time", "100ms") as up, \
            up.agent(*of_agent, "--serve", "http://localhost:80,https://localhost").running():
        up.gateway.wait_for(f"worker refused.*{reason}")
        code = curl("-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: localhost",
                    up.url("/hello")).stdout
        assert code == b"503"
