"""scripts/replace, as an operator runs it: a new process of the agent takes over while users ask."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from peers import AGENT, MANY_REQUESTS, ROOT, curl, free_port, process, wait_until  # noqa: E402
from unique_requests import Counter, Users  # noqa: E402

REPLACEMENTS = 3


class Operator:
    """Who starts an agent, and replaces it; each has an admin socket of its own."""

    def __init__(self, directory, gateway, certificates, origin):
        self._directory = directory
        self._arguments = ["run", "--gateway", f"https://127.0.0.1:{gateway.workers}", "--server-name", "gw.test",
                           "--ca-file", certificates.ca, "--cert-file", certificates.worker, "--key-file",
                           certificates.worker_key, "--origin", origin, "--log-format", "json"]
        self.log = directory / "operator.log"
        self._newest = None

    def admin(self, number):
        return f"unix:{self._directory}/admin-{number}.sock"

    def is_ready(self, number):
        return subprocess.run([AGENT, "healthcheck", "--admin", self.admin(number)], capture_output=True,
                              check=False).returncode == 0

    @contextlib.contextmanager
    def running(self):
        with process([AGENT, *self._arguments, "--admin", self.admin(0)], stderr=subprocess.DEVNULL) as child:
            wait_until(lambda: self.is_ready(0), "the first agent")
            try:
                yield child
            finally:
                if self._newest:
                    os.kill(self._newest, signal.SIGKILL)

    def replace(self, old, new, *more, timeout_s=60):
        """The script's exit status."""
        with open(self.log, "ab") as log:
            done = subprocess.run([ROOT / "scripts/replace", self.admin(old), self.admin(new), AGENT,
                                   *map(str, self._arguments), *more], stdout=subprocess.PIPE, stderr=log, text=True,
                                  check=False, env={**os.environ, "REPLACE_TIMEOUT": str(timeout_s)})
        if done.stdout:
            self._newest = int(done.stdout)
        return done.returncode


def test_a_process_is_replaced_under_load_and_no_request_is_lost(tmp_path, gateway, certificates):
    count = MANY_REQUESTS // 10
    with Counter() as origin:
        operator = Operator(tmp_path, gateway, certificates, origin.url)
        with operator.running() as first, Users(gateway.http1, "user", count,
                                                     host="app.example") as users:
            for number in range(1, REPLACEMENTS + 1):
                users.wait_for(count * number // (REPLACEMENTS + 2))
                assert operator.replace(number - 1, number) == 0, operator.log.read_text()
                # The old one has left, and only then did the script.
                assert not operator.is_ready(number - 1) and operator.is_ready(number)
            assert first.wait(20) == 0
            load = users.report()
        seen = origin.report()
    assert load["wrong"] == []
    assert seen == {"requests": load["sent"], "ids": load["sent"], "doubled": [], "mixed_up": []}
    assert operator.log.read_text().count("cut 0") == REPLACEMENTS


def test_the_old_process_stays_when_the_new_one_is_no_good(tmp_path, gateway, certificates):
    with Counter() as origin:
        operator = Operator(tmp_path, gateway, certificates, origin.url)
        with operator.running():
            assert operator.replace(0, 1, "--capacity", "0") == 1
            assert "the new agent has ended; the old agent stays" in operator.log.read_text()
            nowhere = f"http://127.0.0.1:{free_port()}"
            assert operator.replace(0, 1, "--origin", nowhere, timeout_s=1) == 1
            assert "did not become ready in time; the old agent stays" in operator.log.read_text()
            assert not operator.is_ready(1) and operator.is_ready(0)
            assert curl("-H", "X-Id: one", "-d", "one ", gateway.url("/one")).stdout == b"one "
