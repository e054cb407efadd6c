"""What Node's https server sees of a hello, and what the agent makes of Node's answers to it."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from node import echo, stage  # noqa: E402
from peers import Certificates  # noqa: E402

QUICK = ("--reconnect-min", "10ms", "--reconnect-refused-min", "10ms")


def is_hello(line):
    return line.get("hello")


def failed(agent, count=1):
    return agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off", count=count)


def serves(gateway):
    return gateway.ask(headers={":path": "/served"})["headers"][":status"] == 200


def test_the_hello_of_ptth_is_as_the_draft_has_it(certificates):
    with stage(certificates, echo, "--serve", "https://api.example:8443", "--hello-header",
               "X-Pool: blue, green", profile="ptth") as (gateway, _, _):
        hello = gateway.wait_for(is_hello)
        assert hello["method"] == "GET"
        assert hello["version"] == "1.1"
        assert hello["url"] == ("/.well-known/ptth/https%3A%2F%2Fapi.example%3A8443,"
                                "https%3A%2F%2Fapp.example/")
        assert hello["alpn"] == "http/1.1"
        assert hello["headers"] == {"host": f"gw.test:{gateway.port}", "connection": "upgrade",
                                    "upgrade": "ptth", "alpn": "h2", "x-pool": "blue, green"}
        # Nothing behind the hello until the gateway has spoken.
        assert hello["early"] == 0


def test_the_hello_of_reverse_is_as_the_draft_has_it(certificates):
    with stage(certificates, echo, profile="reverse") as (gateway, _, _):
        hello = gateway.wait_for(is_hello)
        assert (hello["method"], hello["url"]) == ("GET", "/worker1")
        assert hello["headers"] == {"host": "gw.test", "connection": "upgrade",
                                    "upgrade": "reverse", "alpn": "h2"}


def test_another_revision_of_a_draft_is_another_configuration(certificates, tmp_path):
    file = tmp_path / "agent.json"
    file.write_text(json.dumps({"hello": {
        "token": "PTTH/7", "template": "https://gw.test/workers{?serialized_origin*,tenant}",
        "variables": ["tenant=a b"], "method": "OPTIONS", "alpn_header": "Protocols",
        "choice_headers": ["Protocol"]}}))
    with stage(certificates, echo, "--config", file, profile="ptth", upgrade={
            "token": "ptth/7", "offer": "protocols", "choice": "Protocol"}) as (gateway, _, _):
        hello = gateway.wait_for(is_hello)
        assert hello["method"] == "OPTIONS"
        assert hello["url"] == "/workers?serialized_origin=https%3A%2F%2Fapp.example&tenant=a%20b"
        assert serves(gateway)


def test_interim_answers_of_all_kinds_come_before_the_yes(certificates):
    interim = "".join(f"HTTP/1.1 {line}\r\n\r\n" for line in (
        "100 Continue", "102 Processing", "103 Early Hints\r\nLink: </a>", "100 Continue"))
    with stage(certificates, echo, profile="reverse", interim=interim) as (gateway, _, _):
        assert serves(gateway)


def test_a_gateway_that_gave_up_waiting_is_asked_again_on_the_same_connection(certificates):
    with stage(certificates, echo, profile="reverse",
               answers=["HTTP/1.1 204 No Content\r\n\r\n"] * 2) as (gateway, _, agent):
        assert serves(gateway)
        assert sum(bool(is_hello(line)) for line in gateway.lines) == 3
        assert not [line for line in agent.lines if line.get("to") == "backing_off"]


@pytest.mark.parametrize("answer, words", [
    ("401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"a\"", "credentials"),
    ("403 Forbidden", "register"),
    ("404 Not Found", "--hello-template"),
    ("400 Bad Request", "revision"),
    ("405 Method Not Allowed", "--profile"),
    ("426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: other", "to other"),
    ("200 OK", "plain web server"),
    ("503 Service Unavailable", "no room"),
    ("101 Switching\r\nConnection: upgrade\r\nUpgrade: other", "instead of ptth"),
])
def test_a_no_is_told_in_words_and_the_gateway_is_asked_again(certificates, answer, words):
    body = "" if answer.startswith("101") else "the reason"
    text = f"HTTP/1.1 {answer}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with stage(certificates, echo, *QUICK, profile="ptth", answers=[text]) as (gateway, _, agent):
        line = failed(agent)
        assert words in line["reason"], line
        assert body in line["reason"], line
        assert serves(gateway)


def test_retry_after_is_kept(certificates):
    answer = "HTTP/1.1 503 x\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"
    with stage(certificates, echo, *QUICK, profile="ptth", answers=[answer]) as (gateway, _, agent):
        assert 2000 <= failed(agent)["wait_ms"] <= 2010
        assert serves(gateway)


def test_a_redirect_is_followed_on_the_same_host_and_nowhere_else(certificates):
    def to(location):
        return f"HTTP/1.1 307 x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"

    answers = [to("/there"), to("https://evil.example/"), to("http://gw.test/")]
    with stage(certificates, echo, *QUICK, profile="ptth", answers=answers) as (gateway, _, agent):
        assert "sends us to" in failed(agent)["reason"]
        assert gateway.wait_for(is_hello, count=2)["url"] == "/there"
        assert "--redirect-host" in failed(agent, count=2)["reason"]
        assert gateway.wait_for(is_hello, count=3)["url"].startswith("/.well-known/")
        assert "not encrypted" in failed(agent, count=3)["reason"]
        assert serves(gateway)


def test_a_worker_that_leaves_answers_what_it_has_in_hand(certificates):
    with stage(certificates, echo, profile="ptth") as (gateway, _, agent):
        assert serves(gateway)
        agent.child.terminate()
        assert agent.child.wait(20) == 0
