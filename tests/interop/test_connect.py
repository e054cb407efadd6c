"""The profiles that ask by extended CONNECT, against python3-h2 as the gateway."""

import contextlib
import hashlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from connect_gateway import ConnectGateway  # noqa: E402
from http2_client import Http2Client  # noqa: E402
from peers import IS_SANITIZED, Agent, Origin, plain  # noqa: E402

LARGE = 1024**2  # Does not fit into the windows either.
BULK = (1 if IS_SANITIZED else 16) * 1024**2
PROFILES = {
    "ptth-connect": ("--serve", "https://app.example"),
    "reverse-connect": ("--hello-uri", "https://gw.test/worker1", "--serve", "https://app.example"),
}


def echo(request, write):
    body = b"".join(request.body())
    size = {"/bulk": BULK, "/large": LARGE}.get(request.path)
    if size:
        write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65536):
            write(b"x" * 65536)
    else:
        write(plain(f"{request.path} {len(body)} {hashlib.sha256(body).hexdigest()}".encode()))


@contextlib.contextmanager
def stage(certificates, *options, profile="ptth-connect", takes_connect=True, window=65535,
          streams_max=100):
    with ConnectGateway(certificates, takes_connect, window, streams_max).running() as gateway, \
            Origin(echo).running() as origin, \
            Agent(gateway.port, certificates, origin.url, "--profile", profile, "--reconnect-min",
                  "10ms", "--reconnect-refused-min", "10ms", *(options or PROFILES[profile])
                  ).running(wait=False) as agent:
        yield gateway, agent


def failure(agent, count=1):
    return agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off",
                          count=count)["reason"]


def attached(agent, count=1):
    agent.wait_for(lambda line: line.get("to") == "attached", "attached", count=count)


def path(text):
    return text.split()[0]


def test_the_hello_of_ptth_is_as_the_draft_has_it(certificates):
    with stage(certificates) as (gateway, _):
        assert gateway.next_hello().fields == {
            ":method": "CONNECT", ":protocol": "ptth", ":scheme": "https",
            ":authority": f"gw.test:{gateway.port}",
            ":path": "/.well-known/ptth/https%3A%2F%2Fapp.example/", "alpn": "h2"}


def test_the_hello_of_reverse_is_as_the_draft_has_it(certificates):
    with stage(certificates, profile="reverse-connect") as (gateway, _):
        assert gateway.next_hello().fields == {
            ":method": "CONNECT", ":protocol": "reverse", ":scheme": "https",
            ":authority": "gw.test", ":path": "/worker1", "alpn": "h2"}


def test_another_revision_is_a_configuration_and_a_token_is_shown(certificates, tmp_path):
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    with stage(certificates, "--hello-uri", "https://gw.test/w?x", "--hello-token", "ptth-02",
               "--hello-header", "X-Pool: blue", "--token-file", token) as (gateway, _):
        tunnel = gateway.next_hello()
        assert tunnel.fields == {
            ":method": "CONNECT", ":protocol": "ptth-02", ":scheme": "https",
            ":authority": "gw.test", ":path": "/w?x", "alpn": "h2", "x-pool": "blue",
            "authorization": "Bearer secret"}


@pytest.mark.parametrize("profile", PROFILES)
def test_requests_pass_through_the_tunnel(certificates, profile):
    with stage(certificates, profile=profile) as (gateway, agent):
        tunnel = gateway.next_hello()
        tunnel.answer(103)
        tunnel.accept()
        client = Http2Client(tunnel)
        status, text = client.request("/a?b")
        assert (status, path(text.decode())) == ("200", "/a?b")
        attached(agent)
        assert client.request("/c")[0] == "200"


@pytest.mark.parametrize("window", [65535, 1000])
def test_large_bodies_both_ways_whatever_the_window(certificates, window):
    size = BULK if window > 10_000 else 256 * 1024
    with stage(certificates, window=window) as (gateway, agent):
        client = Http2Client(gateway.next_hello().accept())
        body = bytes(range(256)) * (size // 256)
        text = client.request("/up", body)[1].decode()
        assert text == f"/up {size} {hashlib.sha256(body).hexdigest()}"
        if window > 10_000:
            assert client.request("/bulk")[1] == b"x" * BULK
            assert agent.peak_kib() < (600 if IS_SANITIZED else 64) * 1024


@pytest.mark.parametrize("status, fields, words", [
    (401, (("www-authenticate", "Bearer"),), "credentials"), (403, (), "register"),
    (404, (), "--hello-template"), (503, (("retry-after", "0"),), "no room"),
    (200, (("alpn", "h3"),), "not offered"), (200, (("alpn", "h2, h2"),), "more than one"),
    (307, (("location", "https://evil.example/"),), "--redirect-host"),
])
def test_a_no_is_told_in_words_and_the_gateway_is_asked_again(certificates, status, fields, words):
    with stage(certificates) as (gateway, agent):
        gateway.next_hello().answer(status, *fields, body=b"the reason")
        reason = failure(agent)
        assert words in reason
        assert "the reason" in reason or status in (200, 307)
        assert gateway.next_hello().fields


def test_any_2xx_is_a_yes_a_redirect_is_followed_and_204_is_no_fault(certificates):
    with stage(certificates) as (gateway, _):
        gateway.next_hello().answer(307, ("location", "/there"), body=b"")
        tunnel = gateway.next_hello()
        assert tunnel.fields[":path"] == "/there"
        tunnel.answer(204, body=b"")
        tunnel = gateway.next_hello()
        tunnel.answer(202, ("alpn", "h2"))
        assert Http2Client(tunnel).request()[0] == "200"


def test_a_gateway_without_extended_connect_is_told_from_others(certificates):
    with stage(certificates, takes_connect=False) as (gateway, agent):
        tunnel = gateway.accept()
        tunnel.await_end()
        assert not tunnel.tunnels
        assert "RFC 8441" in failure(agent)


@pytest.mark.parametrize("how", ["end", "reset", "goaway", "cut"])
def test_a_tunnel_that_ends_is_dialled_again(certificates, how):
    with stage(certificates) as (gateway, agent):
        tunnel = gateway.next_hello().accept()
        assert Http2Client(tunnel).request()[0] == "200"
        attached(agent)
        getattr(tunnel, how)()
        again = gateway.next_hello().accept()
        assert Http2Client(again).request()[0] == "200"


@pytest.mark.parametrize("how", ["reset", "goaway", "cut"])
def test_a_connection_that_ends_before_the_answer_is_a_failure(certificates, how):
    with stage(certificates) as (gateway, agent):
        getattr(gateway.next_hello(), how)()
        assert failure(agent)
        assert gateway.next_hello().fields


def test_what_is_no_http2_inside_the_tunnel_is_refused(certificates):
    with stage(certificates) as (gateway, agent):
        gateway.next_hello().accept().send(b"HTTP/1.1 200 OK\r\n\r\n")
        assert "magic" in failure(agent)


def test_a_drain_leaves_politely_on_both_floors(certificates):
    with stage(certificates) as (gateway, agent):
        tunnel = gateway.next_hello().accept()
        client = Http2Client(tunnel)
        assert client.request()[0] == "200"
        agent.child.terminate()
        # A GOAWAY, type 7 with 8 bytes: python3-h2 would want nothing behind it.
        assert b"\x00\x00\x08\x07" in tunnel.receive()
        tunnel.end()
        tunnel.await_end()
        assert agent.child.wait(20) == 0


# --- Several channels on one connection ---------------------------------------------------------

def shared(*options, channels=3):
    return ("--serve", "https://app.example", "--connections", str(channels),
            "--channels-per-connection", str(channels), *options)


def clients_of(outer, count):
    return [Http2Client(outer.next_hello().accept()) for _ in range(count)]


def test_several_channels_share_a_connection(certificates):
    with stage(certificates, *shared()) as (gateway, agent):
        outer = gateway.accept()
        clients = clients_of(outer, 3)
        assert len(outer.tunnels) == 3
        for number, client in enumerate(clients):
            status, text = client.request(f"/{number}")
            assert (status, path(text.decode())) == ("200", f"/{number}")
        attached(agent, count=3)
        agent.child.terminate()
        for client in clients:
            client.await_end()
            client.channel.end()
        outer.await_end()
        assert outer.is_left
        assert agent.child.wait(20) == 0


def test_more_channels_than_the_gateway_allows_get_more_connections(certificates):
    with stage(certificates, *shared(), streams_max=2) as (gateway, agent):
        first = gateway.accept()
        clients = clients_of(first, 2)
        second = gateway.accept()
        clients += clients_of(second, 1)
        for client in clients:
            assert client.request()[0] == "200"
        attached(agent, count=3)
        assert len(first.tunnels) == 2 and len(second.tunnels) == 1


def test_channels_of_http1_share_a_connection(certificates):
    with stage(certificates, *shared("--hello-channel", "http/1.1", "--http1-connections-spare",
                                     "0", channels=2)) as (gateway, agent):
        outer = gateway.accept()
        tunnels = [outer.next_hello().accept("http%2F1.1") for _ in range(2)]
        assert tunnels[0].fields["alpn"] == "http%2F1.1"
        for tunnel in reversed(tunnels):
            tunnel.send(f"GET /{tunnel.id} HTTP/1.1\r\nHost: app.example\r\n\r\n".encode())
            answer = b""
            while not answer.endswith(hashlib.sha256().hexdigest().encode()):
                part = tunnel.receive()
                assert part, answer
                answer += part
            assert answer.startswith(b"HTTP/1.1 200") and f"/{tunnel.id} 0".encode() in answer
        attached(agent, count=2)


def test_a_channel_that_is_reset_comes_back_and_the_others_stay(certificates):
    with stage(certificates, *shared()) as (gateway, agent):
        outer = gateway.accept()
        clients = clients_of(outer, 3)
        for client in clients:
            assert client.request()[0] == "200"
        clients[1].channel.reset()
        assert Http2Client(outer.next_hello().accept()).request()[0] == "200"
        for client in (clients[0], clients[2]):
            assert client.request()[0] == "200"
        attached(agent, count=4)
        left = [line for line in agent.lines if line.get("from") == "attached"]
        assert len(left) == 1 and "REFUSED_STREAM" in left[0]["reason"]


def test_a_channel_that_gets_no_credit_holds_up_no_other(certificates):
    # Less than python3-h2 gives inside the channel.
    with stage(certificates, *shared(channels=2), window=20_000) as (gateway, _):
        outer = gateway.accept()
        stalled, other = clients_of(outer, 2)
        assert stalled.request()[0] == "200"
        assert other.request()[0] == "200"
        # From now on what comes is not acknowledged: the stream's window fills.
        stalled.channel.is_taking = False
        stalled.begin("/bulk")
        while outer.http2.remote_flow_control_window(stalled.channel.id) > 0:
            assert outer.turn()
        assert other.request("/bulk")[1] == b"x" * BULK
        body = b"y" * BULK
        assert other.request("/up", body)[1].decode() == \
            f"/up {BULK} {hashlib.sha256(body).hexdigest()}"
        stalled.channel.is_taking = True
        stalled.channel.give_credit()
        outer.flush()
        assert stalled.finish()[1] == b"x" * BULK


def test_a_goaway_replaces_the_connection_without_losing_a_request(certificates):
    with stage(certificates, *shared(channels=2)) as (gateway, agent):
        outer = gateway.accept()
        clients = clients_of(outer, 2)
        served = 0
        for _ in range(3):
            for client in clients:
                assert client.request("/up", b"x" * 10_000)[0] == "200"
                served += 1
            # In flight while the connection is replaced.
            clients[0].begin("/large")
            outer.goaway(max(outer.tunnels))
            following = gateway.accept()
            # Until the new ones are attached, requests go to the old ones.
            assert clients[1].request("/late")[0] == "200"
            next_clients = clients_of(following, 2)
            for client in next_clients:
                assert client.request("/first")[0] == "200"
            status, text = clients[0].finish()
            assert (status, len(text)) == ("200", LARGE)
            served += 4
            for client in clients:
                client.await_end()
                assert client.is_left
                client.channel.end()
            outer.await_end()
            outer, clients = following, next_clients
        assert {line["to"] for line in agent.lines if line.get("from") == "attached"} == {"attached"}
        agent.wait_for(lambda line: line["message"] == "exchange" and line["verdict"] == "ok",
                       "all served", count=served)
        assert {line["verdict"] for line in agent.exchanges()} == {"ok"}


def test_the_end_of_the_connection_ends_all_its_channels_in_clear_words(certificates):
    with stage(certificates, *shared(channels=2)) as (gateway, agent):
        outer = gateway.accept()
        for client in clients_of(outer, 2):
            assert client.request()[0] == "200"
        attached(agent, count=2)
        outer.cut()
        failure(agent, count=2)
        reasons = [line["reason"] for line in agent.lines if line.get("to") == "backing_off"]
        assert all("connection" in reason for reason in reasons), reasons
        for client in clients_of(gateway.accept(), 2):
            assert client.request()[0] == "200"
