"""Node's http2 client as a gateway: the profiles that it can play, each with the same requests."""

import hashlib
import json
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from node import PROFILES, NodeGateway, echo, stage  # noqa: E402
from peers import IS_SANITIZED, Agent, Origin, plain  # noqa: E402

BULK = (8 if IS_SANITIZED else 100) * 1024**2


@pytest.fixture(params=PROFILES)
def profile(request):
    return request.param


def test_the_gateway_knows_who_we_are_and_how_much_we_take(certificates, profile):
    with stage(certificates, echo, "--capacity", 7, profile=profile) as (gateway, _, _):
        attached = gateway.wait_for(lambda line: line.get("attached"))
        alpn = {"direct": "ph2", "potato": "\u00d5\u0087\u00c9\u00a5",
                "h2-reverse": "h2-reverse"}.get(profile, "http/1.1")
        assert attached["alpn"] == alpn
        assert attached["worker"] == "worker1"
        assert attached["maxConcurrentStreams"] == 7
        # Extended CONNECT does not work yet, so it is not announced.
        assert attached["connectProtocol"] is False


def test_requests_bodies_and_trailers_arrive(certificates, profile):
    with stage(certificates, echo, profile=profile) as (gateway, _, _):
        seen = json.loads(gateway.ask(headers={":path": "/a?b"})["body"])
        assert (seen["method"], seen["path"]) == ("GET", "/a?b")
        answer = gateway.ask(headers={":method": "POST"}, body="hello", trailers={"digest": "abc"})
        seen = json.loads(answer["body"])
        assert seen["length"] == 5
        assert seen["trailers"] == {"digest": "abc"}
        assert seen["fields"]["transfer-encoding"] == "chunked"


def test_interim_answers_and_trailers_come_back(certificates, profile):
    def answer(request, write):
        write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
              b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")

    with stage(certificates, answer, profile=profile) as (gateway, _, _):
        seen = gateway.ask()
        assert seen["interim"][0][":status"] == 103
        assert seen["body"] == "ok"
        assert seen["trailers"]["x-sum"] == "1"


def test_large_bodies_both_ways(certificates, profile):
    expected = hashlib.sha256(b"x" * BULK).hexdigest()

    def answer(request, write):
        if request.method == "POST":
            return echo(request, write)
        write(f"HTTP/1.1 200 OK\r\nContent-Length: {BULK}\r\n\r\n".encode())
        for _ in range(BULK // 65536):
            write(b"x" * 65536)

    with stage(certificates, answer, profile=profile) as (gateway, _, agent):
        down = gateway.ask()
        assert (down["length"], down["digest"]) == (BULK, expected)
        up = json.loads(gateway.ask(headers={":method": "POST"}, bulk=BULK)["body"])
        assert (up["length"], up["digest"]) == (BULK, expected)
        assert agent.peak_kib() < (600 if IS_SANITIZED else 64) * 1024


def test_a_reset_in_mid_answer_stops_the_origin_and_harms_nobody_else(certificates, profile):
    stopped = threading.Event()

    def answer(request, write):
        if request.path == "/fine":
            return write(plain(b"fine"))
        write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                write(b"5\r\nhello\r\n")
        except OSError:
            stopped.set()
            raise

    with stage(certificates, answer, profile=profile) as (gateway, _, _):
        assert gateway.ask(resetAfter=100_000)["code"] == 8
        assert stopped.wait(20)
        assert gateway.ask(headers={":path": "/fine"})["body"] == "fine"


def test_goaway_of_the_gateway_brings_a_new_link_and_loses_nothing(certificates, profile):
    with stage(certificates, echo, profile=profile) as (gateway, _, _):
        gateway.ask()
        gateway.tell(goaway=True)
        gateway.wait_for(lambda line: line.get("attached"), count=2)
        assert gateway.ask(headers={":path": "/after"})["headers"][":status"] == 200


def test_a_connection_that_is_cut_is_dialled_again(certificates, profile):
    with stage(certificates, echo, profile=profile) as (gateway, _, _):
        gateway.ask()
        gateway.tell(destroy=True)
        gateway.wait_for(lambda line: line.get("attached"), count=2)
        assert gateway.ask()["headers"][":status"] == 200


def test_alpn_ids_may_be_any_bytes_and_must_be_agreed(certificates):
    with NodeGateway(certificates, alpn="ph2").running() as gateway, \
            Origin(echo).running() as origin, \
            Agent(gateway.port, certificates, origin.url, "--profile", "direct", "--alpn",
                  "hex:d587c9a5").running(wait=False) as agent:
        line = agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off")
        assert "ALPN" in line["reason"] or "alert" in line["reason"] or \
            "protocol" in line["reason"], line


def test_every_revision_of_potato_is_offered_and_the_gateway_chooses(certificates):
    with stage(certificates, echo, profile="potato", alpnBytes="726832") as (gateway, _, _):
        assert gateway.wait_for(lambda line: line.get("attached"))["alpn"] == "rh2"
        assert gateway.ask()["headers"][":status"] == 200


def test_a_gateway_of_another_revision_of_potato_is_not_taken(certificates):
    with stage(certificates, echo, "--revision", "02", profile="potato", wait=False,
               alpnBytes="706832") as (_, _, agent):
        line = agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off")
        assert "\\xd5\\x87\\xc9\\xa5" in line["reason"], line


def test_the_origins_that_are_served_are_announced_at_once(certificates):
    with stage(certificates, echo, profile="h2-reverse") as (gateway, _, _):
        announced = gateway.wait_for(lambda line: "origins" in line)
        assert announced["origins"] == ["https://app.example", "https://*.x.example:8443"]
        assert gateway.ask()["headers"][":status"] == 200


def first_failure(agent):
    return agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off")["reason"]


def test_h2_reverse_is_left_when_the_gateway_does_not_confirm_it(certificates):
    with stage(certificates, echo, profile="h2-reverse", wait=False, alpn="h2") as (_, _, agent):
        assert "h2-reverse" in first_failure(agent)
    # Node's https server confirms no id that it does not have, and goes on without one.
    with NodeGateway(certificates, noAlpn=True).running() as gateway, Origin(echo).running() as origin, \
            Agent(gateway.port, certificates, origin.url, "--profile", "h2-reverse", "--serve",
                  "https://app.example").running(wait=False) as agent:
        assert "did not agree" in first_failure(agent)
        assert not any(line.get("to") == "reversing" for line in agent.lines)


def test_h2_reverse_is_left_when_the_gateway_does_not_ask_who_we_are(certificates):
    with stage(certificates, echo, profile="h2-reverse", wait=False, asksWho=False) as (_, _, agent):
        assert "did not ask for our certificate" in first_failure(agent)


@pytest.mark.parametrize("profile", ["ptth", "reverse"])
def test_a_token_is_shown_in_the_hello_and_a_renewed_one_in_the_next(certificates, profile, tmp_path):
    token = tmp_path / "token"
    token.write_text("first-token\n")
    token.chmod(0o600)
    refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    with stage(certificates, echo, "--token-file", token, "--reconnect-refused-min", "1s",
               profile=profile, wait=False, answers=[refused]) as (gateway, _, agent):
        assert gateway.wait_for(lambda line: line.get("hello"))["headers"]["authorization"] \
            == "Bearer first-token"
        agent.wait_for(lambda line: line.get("to") == "backing_off", "the refusal")
        renewed = tmp_path / "renewed"
        renewed.write_text("second-token")
        renewed.replace(token)
        assert gateway.wait_for(lambda line: line.get("hello"), 2)["headers"]["authorization"] \
            == "Bearer second-token"
        assert json.loads(gateway.ask()["body"])["method"] == "GET"
        assert not any("-token" in str(line) for line in agent.lines)
