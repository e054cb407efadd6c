"""The agent's metrics, read by Prometheus's own linter and by a strict OpenMetrics parser; its log
and its probes while neither a gateway nor an origin is there."""

import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

AGENT = pathlib.Path(os.environ["PTTH_BUILD_DIR"]) / "ptth-agent"
DEADLINE_SECONDS = 30


class Agent:
    """A running agent whose gateway and origin refuse connections."""

    def __init__(self, refusing_port):
        self.log = []
        self.process = subprocess.Popen(
            [AGENT, "run", "--gateway", f"https://127.0.0.1:{refusing_port}", "--origin",
             f"http://127.0.0.1:{refusing_port}", "--admin", "127.0.0.1:0", "--log-format", "json"],
            stderr=subprocess.PIPE)
        listening = self.wait_for("admin listening")
        self.url = f"http://127.0.0.1:{listening['port']}"

    def wait_for(self, message):
        """The first line with this message; every line before it must be JSON too."""
        end = time.monotonic() + DEADLINE_SECONDS
        while True:
            ready, _, _ = select.select([self.process.stderr], [], [], end - time.monotonic())
            assert ready, f"no line {message!r} in {self.log}"
            line = self.process.stderr.readline()
            assert line, f"the agent ended: {self.log}"
            self.log.append(json.loads(line))
            if self.log[-1]["message"] == message:
                return self.log[-1]

    def get(self, path, **headers):
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as response:
                return response.status, response.headers, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()


@pytest.fixture(scope="module", name="agent")
def fixture_agent():
    # Bound and not listening: whoever connects is refused, and nobody else gets the port.
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        running = Agent(refusing.getsockname()[1])
        yield running
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(DEADLINE_SECONDS) == 0
        running.process.stderr.close()


def test_promtool_finds_nothing_to_complain_about(agent):
    status, headers, text = agent.get("/metrics", Accept="text/plain")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    result = subprocess.run(["promtool", "check", "metrics"], input=text, text=True,
                            capture_output=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", ""), text


def test_a_strict_parser_reads_the_openmetrics_text(agent):
    status, headers, text = agent.get("/metrics")
    assert status == 200
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) > 10
    assert all(name.startswith("ptth_") for name in families)
    assert all(family.documentation for family in families.values())
    assert families["ptth_process_resident_memory_bytes"].samples[0].value > 1e6
    assert families["ptth_loop_lag_seconds"].type == "histogram"
    assert families["ptth_loop_lag_seconds"].unit == "seconds"


def test_counters_move_between_two_looks(agent):
    def requests():
        for family in text_string_to_metric_families(agent.get("/metrics")[2]):
            for sample in family.samples:
                if sample.labels == {"code": "404", "path": "other"}:
                    return sample.value
        return 0
    before = requests()
    agent.get("/nowhere")
    assert requests() == before + 1


def test_liveness_depends_on_nobody_and_readiness_on_links_and_origin(agent):
    assert agent.get("/livez")[::2] == (200, "ok\n")
    assert agent.get("/readyz")[::2] == (503, "not ok: links origin\n")
    assert agent.get("/startupz")[0] == 503
    verbose = agent.get("/readyz?verbose")[2].splitlines()
    assert verbose[0] == "[-] links: 0 of 1 attached"
    assert verbose[1].startswith("[-] origin: 127.0.0.1:")
    assert verbose[2:] == ["[+] serving", "not ok"]


def test_a_page_of_another_name_learns_nothing(agent):
    assert agent.get("/metrics", Host="rebound.example")[0] == 421
