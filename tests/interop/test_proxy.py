"""An outbound proxy between the agent and its gateway: tinyproxy, also behind TLS."""

import contextlib
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import (Agent, Origin, can_connect, curl, free_port,  # noqa: E402
                   haproxy_program, plain, process, wait_until)

PASSWORD = "canary-of-the-proxy"


@pytest.fixture
def origin():
    with Origin(lambda request, write: write(plain(b"from the origin"))).running() as origin:
        yield origin


class Proxy:
    def __init__(self, directory, *more):
        self.port, self.log = free_port(), directory / "tinyproxy.log"
        self._config = directory / "tinyproxy.conf"
        self._config.write_text("\n".join((
            f"Port {self.port}", "Listen 127.0.0.1", "Timeout 600", "LogLevel Info",
            f'LogFile "{self.log}"', *more, "")))

    @contextlib.contextmanager
    def running(self):
        with process(["tinyproxy", "-d", "-c", self._config], stdout=subprocess.DEVNULL):
            wait_until(lambda: can_connect(self.port), "the proxy")
            yield self

    def tunnels(self):
        return re.findall(r"CONNECT (\S+)", self.log.read_text())


@contextlib.contextmanager
def tls_in_front(directory, certificates, port):
    """HAProxy takes TLS off what goes to that port; gives its own."""
    own, pem = free_port(), directory / "proxy.pem"
    pem.write_text(certificates.gateway.read_text() + certificates.gateway_key.read_text())
    config = directory / "tls.cfg"
    config.write_text(f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen proxy
    bind 127.0.0.1:{own} ssl crt {pem}
    server proxy 127.0.0.1:{port}
""")
    with process([haproxy_program(), "-db", "-f", config], stderr=subprocess.DEVNULL):
        wait_until(lambda: can_connect(own), "TLS in front of the proxy")
        yield own


def body(gateway):
    return curl(gateway.url("/")).stdout


def test_a_gateway_is_reached_through_a_proxy_only(tmp_path, gateway, certificates, origin):
    with Proxy(tmp_path).running() as proxy, \
            Agent(gateway.workers, certificates, origin.url, "--proxy",
                  f"http://127.0.0.1:{proxy.port}").running() as agent:
        assert body(gateway) == b"from the origin"
        assert proxy.tunnels() == [f"127.0.0.1:{gateway.workers}"]
        attached = agent.wait_for(lambda line: line.get("to") == "attached", "attached")
        assert attached["address"] == f"proxy 127.0.0.1:{proxy.port}"


def test_a_proxy_behind_tls_that_wants_a_password(tmp_path, gateway, certificates, origin):
    secret = tmp_path / "proxy-password"
    secret.write_text(f"worker:{PASSWORD}\n")
    secret.chmod(0o600)
    with Proxy(tmp_path, f"BasicAuth worker {PASSWORD}").running() as proxy, \
            tls_in_front(tmp_path, certificates, proxy.port) as port, \
            Agent(gateway.workers, certificates, origin.url, "--proxy", f"https://localhost:{port}",
                  "--proxy-ca-file", certificates.ca, "--proxy-credentials-file",
                  secret).running() as agent:
        assert body(gateway) == b"from the origin"
        assert PASSWORD not in "".join(map(str, agent.lines))


def test_credentials_that_the_proxy_refuses_are_told_from_unavailability(tmp_path, gateway, certificates, origin):
    secret = tmp_path / "proxy-password"
    with Proxy(tmp_path, f"BasicAuth worker {PASSWORD}").running() as proxy:
        options = ("--proxy", f"http://127.0.0.1:{proxy.port}", "--exit-on-auth-failure")
        for content, says in ((None, "wants a user and a password"), ("worker:wrong", "does not accept")):
            if content:
                secret.write_text(content)
                secret.chmod(0o600)
                options += ("--proxy-credentials-file", secret)
            with Agent(gateway.workers, certificates, origin.url, *options).running(wait=False) as agent:
                refused = agent.wait_for(lambda line: says in line.get("reason", ""), says)
                assert f"http://127.0.0.1:{proxy.port}" in refused["reason"]
                assert agent.child.wait(20) == 77


def test_a_proxy_that_goes_away_and_comes_back(tmp_path, gateway, certificates, origin):
    proxy = Proxy(tmp_path)
    with proxy.running():
        agent = Agent(gateway.workers, certificates, origin.url, "--proxy",
                      f"http://127.0.0.1:{proxy.port}", "--reconnect-min", "50ms",
                      "--reconnect-max", "200ms")
        context = agent.running()
        context.__enter__()
        assert body(gateway) == b"from the origin"
    try:
        away = agent.wait_for(lambda line: "refused by" in line.get("reason", ""), "the proxy is away")
        assert "the proxy http://127.0.0.1" in away["reason"]
        with proxy.running():
            agent.wait_for(lambda line: line.get("to") == "attached", "attached again", count=2)
            assert body(gateway) == b"from the origin"
    finally:
        agent.child.send_signal(signal.SIGINT)
        context.__exit__(None, None, None)


def test_a_proxy_that_is_none_is_named(tmp_path, gateway, certificates, origin):
    with Agent(gateway.workers, certificates, origin.url, "--proxy",
               f"http://127.0.0.1:{gateway.workers}").running(wait=False) as agent:
        reason = agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off")["reason"]
        assert f"the proxy http://127.0.0.1:{gateway.workers}" in reason
