"""A wall clock that is wrong, or jumps: what depends on it says so, and nothing else notices. The
clock is libfaketime's; the monotonic one stays the system's, as when somebody sets the time."""

from pathlib import Path

import pytest

from peers import IS_SANITIZED, Agent, Certificates, Gateway, Origin, curl, plain, wait_until

DAY = 86_400
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

pytestmark = [
    pytest.mark.skipif(LIBRARY is None, reason="faketime is not installed (scripts/dev setup)"),
    pytest.mark.skipif(IS_SANITIZED, reason="the sanitizers want to be the first library"),
]


def answer(request, write):
    for _ in request.body():
        pass
    write(plain(b"hello"))


class Stage:
    """HAProxy as the gateway, and an agent whose clock the test sets."""

    def __init__(self, directory):
        self.certificates = Certificates(directory)
        self.gateway = Gateway(directory, self.certificates)
        self._clock = directory / "clock"
        self.set_clock(0)

    def set_clock(self, days):
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(f"{days * DAY:+d}\n")
        fresh.rename(self._clock)

    def agent(self, origin, *options):
        clock = ("env", f"LD_PRELOAD={LIBRARY}", f"FAKETIME_TIMESTAMP_FILE={self._clock}",
                 "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1")
        return Agent(self.gateway.workers, self.certificates, origin, "--credentials-interval", "50ms",
                     "--reconnect-min", "50ms", "--reconnect-max", "200ms", "--log-level", "debug",
                     *options, runner=clock)


@pytest.fixture(name="stage")
def make_stage(tmp_path):
    return Stage(tmp_path)


@pytest.mark.parametrize("days, words", [(400, "the certificate expired on 20"),
                                         (-400, "the certificate is not valid before 20")])
def test_our_own_certificate_is_looked_at_before_anything_is_dialled(stage, days, words):
    stage.set_clock(days)
    with stage.agent("http://127.0.0.1:1").running(wait=False) as agent:
        line = agent.wait_for(lambda line: words in line["message"], words)["message"]
        assert f"cert_file {stage.certificates.worker}" in line
        assert "; by the clock of this machine it is 20" in line
        assert line.rstrip().endswith("is it right?") == (days < 0)
        assert agent.child.wait(20) == 78


def test_a_clock_that_jumps_moves_neither_links_nor_timers(stage):
    with Origin(answer).running() as origin:
        with stage.gateway.running(), stage.agent(origin.url).running() as agent:
            for days in (400, -400, 4000):
                stage.set_clock(days)
                assert curl(stage.gateway.url("/")).stdout == b"hello"
            agent.wait_for(lambda line: "certificate has expired" in line["message"], "a warning")
            stage.set_clock(0)
            assert curl(stage.gateway.url("/")).stdout == b"hello"
            assert not any(line.get("to") == "backing_off" for line in agent.lines)


def test_a_wait_goes_on_in_time_that_has_passed(stage):
    with Origin(answer).running() as origin:
        with stage.agent(origin.url).running(wait=False) as agent:
            for days in (0, 4000, -4000):
                stage.set_clock(days)
                seen = sum(line.get("to") == "backing_off" for line in agent.lines)
                agent.wait_for(lambda line: line.get("to") == "backing_off", "a wait", count=seen + 2)
            stage.set_clock(0)
            with stage.gateway.running():
                agent.wait_for(lambda line: line.get("to") == "attached", "attached")
                wait_until(lambda: curl(stage.gateway.url("/"), check=False).stdout == b"hello",
                           "served")
