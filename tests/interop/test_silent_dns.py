"""Name servers that never answer: they hold up neither the link to another gateway nor the end of
the process."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
AGENT = pathlib.Path(os.environ["PTTH_BUILD_DIR"]) / "ptth-agent"
DEADLINE_SECONDS = 15  # Half of what one question to the silent server takes.


def lines_until(stream, wanted):
    """The log until a line for which `wanted` holds. The caller's watchdog bounds it."""
    log = []
    for raw in stream:
        log.append(json.loads(raw) if raw.startswith(b"{") else {"message": raw.decode()})
        if wanted(log[-1]):
            return log
    raise AssertionError(f"the agent ended: {log}")


def test_silent_name_servers_hold_up_nobody(tmp_path):
    (tmp_path / "hosts").write_text("127.0.0.1 near.test\n")
    # More silent names than libuv, for one, would look up at a time.
    silent = [f"https://silent-{number}.test" for number in range(8)]
    gateways = [part for url in (*silent, "https://near.test:9") for part in ("--gateway", url)]
    agent = subprocess.Popen(
        [sys.executable, HERE / "silent_dns.py", tmp_path, AGENT, "run", *gateways, "--origin",
         "http://127.0.0.1:9", "--admin", "off", "--log-format", "json", "--log-level", "debug"],
        stderr=subprocess.PIPE)
    watchdog = threading.Timer(DEADLINE_SECONDS, agent.kill)
    watchdog.start()
    try:
        log = lines_until(
            agent.stderr, lambda line: line["message"].startswith("no network of its own")
            or (line.get("gateway") == "near.test:9" and line.get("from") == "resolving"))
        if log[-1]["message"].startswith("no network of its own"):
            pytest.skip(log[-1]["message"])
        assert log[-1]["to"] == "connecting", log
        assert not any(line.get("from") == "resolving" for line in log[:-1]), log

        agent.send_signal(signal.SIGTERM)
        lines_until(agent.stderr, lambda line: line["message"] == "receipt")
        assert agent.wait(DEADLINE_SECONDS) == 0
    finally:
        watchdog.cancel()
        agent.kill()
        agent.wait()
        agent.stderr.close()
