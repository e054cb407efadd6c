"""Capacity, queue and classes, as HAProxy's users meet them."""

import contextlib
import json
import re
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from peers import Agent, Gateway, Origin, curl, plain, wait_until  # noqa: E402

PATIENT = ("--queue-age-max", "30s", "--queue-delay-target", "0")


class HeldOrigin(Origin):
    """Answers when it is told to, with the path."""

    def __init__(self, *fields):
        self.release = threading.Event()
        super().__init__(self.answer)
        self._fields = fields

    def answer(self, request, write):
        assert self.release.wait(30)
        write(plain(request.path.encode(), "200 OK", *self._fields))

    def seen(self):
        return [request.path for request in self.requests]


@contextlib.contextmanager
def users(urls, *options):
    """One curl for each; gives what they print when they are done."""
    started = [subprocess.Popen(["curl", "-s", "--max-time", "40", "-w", " %{http_code}", *options, url],
                                stdout=subprocess.PIPE, text=True) for url in urls]
    try:
        yield lambda: [user.communicate()[0] for user in started]
    finally:
        for user in started:
            user.kill()
            user.wait()


def admin_url(agent, path):
    line = agent.wait_for(lambda line: line["message"] == "admin listening", "the admin listener")
    return f"http://127.0.0.1:{line['port']}{path}"


def metric(agent, series):
    with urllib.request.urlopen(admin_url(agent, "/metrics"), timeout=20) as answer:
        text = answer.read().decode()
    found = re.search("^" + re.escape(series) + " (.*)$", text, re.M)
    return float(found[1]) if found else None


def test_what_two_gateways_send_at_once_waits_and_is_served(tmp_path, certificates):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    gateways = [Gateway(folder, certificates) for folder in folders]
    with gateways[0].running(), gateways[1].running(), HeldOrigin().running() as origin, \
            Agent(gateways[0].workers, certificates, origin.url, "--capacity", 5, *PATIENT,
                  "--gateway", f"https://127.0.0.1:{gateways[1].workers}",
                  admin="127.0.0.1:0").running() as agent:
        agent.wait_for(lambda line: line.get("to") == "attached", "both attached", count=2)
        with users([gateway.url("/") for gateway in gateways for _ in range(5)]) as answers:
            wait_until(lambda: metric(agent, 'ptth_queue_length{class="none"}') == 5, "a queue")
            assert metric(agent, "ptth_saturation") == 2
            assert len(origin.requests) == 5
            origin.release.set()
            assert answers() == ["/ 200"] * 10
        assert origin.in_hand_max == 5
        assert metric(agent, 'ptth_in_flight{class="none"}') == 0


def test_urgent_requests_overtake_those_that_wait(tmp_path, certificates):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    gateways = [Gateway(folder, certificates) for folder in folders]
    with gateways[0].running(), gateways[1].running(), HeldOrigin().running() as origin, \
            Agent(gateways[0].workers, certificates, origin.url, "--capacity", 100, *PATIENT,
                  "--capacity-share-interval", "1h", "--gateway",
                  f"https://127.0.0.1:{gateways[1].workers}", admin="127.0.0.1:0").running() as agent:
        agent.wait_for(lambda line: line.get("to") == "attached", "both attached", count=2)
        curl("-X", "PUT", "-H", "content-type: application/json", "-d", '{"capacity": 1}',
             admin_url(agent, "/capacity"))
        queued = 'ptth_queue_length{class="none"}'
        with users([gateways[0].url("/held")]) as held:
            wait_until(lambda: len(origin.requests) == 1, "the capacity in hand")
            with users([gateways[1].url("/bulk")], "-H", "priority: u=6") as bulk:
                wait_until(lambda: metric(agent, queued) == 1, "one that waits")
                with users([gateways[1].url("/urgent")], "-H", "priority: u=0") as urgent:
                    wait_until(lambda: metric(agent, queued) == 2, "two that wait")
                    origin.release.set()
                    assert held() + bulk() + urgent() == ["/held 200", "/bulk 200", "/urgent 200"]
        assert origin.seen() == ["/held", "/urgent", "/bulk"]


def test_heavy_requests_leave_room_for_the_others(tmp_path, certificates):
    settings = tmp_path / "agent.json"
    settings.write_text(json.dumps({
        "capacity": 6, "queue": {"age_max": "30s", "delay_target": 0},
        "classes": [{"name": "export", "match": {"path": "/export/*"}, "concurrency": 2,
                     "queue": {"age_max": "30s", "delay_target": 0}}]}))
    release = threading.Event()

    def answer(request, write):
        if request.path.startswith("/export/"):
            assert release.wait(30)
        write(plain(b"ok"))

    gateway = Gateway(tmp_path, certificates)
    with gateway.running(), Origin(answer).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, "--config", settings,
                  admin="127.0.0.1:0").running() as agent:
        with users([gateway.url("/export/all")] * 4) as exports:
            wait_until(lambda: metric(agent, 'ptth_queue_length{class="export"}') == 2, "a queue")
            assert metric(agent, 'ptth_in_flight{class="export"}') == 2
            assert origin.in_hand == 2
            assert curl(gateway.url("/checkout")).stdout == b"ok"
            release.set()
            assert exports() == ["ok 200"] * 4


def test_the_application_says_how_much_it_takes(tmp_path, certificates):
    gateway = Gateway(tmp_path, certificates)
    with gateway.running(), HeldOrigin("X-Capacity: 9").running() as origin, \
            Agent(gateway.workers, certificates, origin.url, "--capacity-header", "x-capacity",
                  admin="127.0.0.1:0").running() as agent:
        origin.release.set()
        answer = curl("-D", "-", gateway.url("/")).stdout.decode().lower()
        assert "200" in answer
        assert "x-capacity" not in answer
        assert json.loads(curl(admin_url(agent, "/capacity")).stdout) == {
            "capacity": 9, "source": "application", "in_flight": 0, "queued": 0}
        assert metric(agent, 'ptth_capacity_said{source="fixed"}') == 100


def test_the_capacity_is_set_while_requests_wait(tmp_path, certificates):
    gateway = Gateway(tmp_path, certificates)
    with gateway.running(), HeldOrigin().running() as origin, \
            Agent(gateway.workers, certificates, origin.url, "--capacity", 100, *PATIENT,
                  "--capacity-share-interval", "1h", admin="127.0.0.1:0").running() as agent:
        def put(body, *more):
            done = curl("-X", "PUT", "-H", "content-type: application/json", "-d", body, "-w",
                        "%{http_code}", "-o", "/dev/null", *more, admin_url(agent, "/capacity"))
            return int(done.stdout)

        assert put('{"capacity": 2}') == 200
        with users([gateway.url("/")] * 5) as answers:
            wait_until(lambda: metric(agent, 'ptth_queue_length{class="none"}') == 3, "a queue")
            assert put('{"capacity": 1}', "-H", "origin: http://evil.example") == 403
            assert put('{"capacity": 4}') == 200
            wait_until(lambda: len(origin.requests) == 4, "more of them")
            assert put('{"capacity": null}') == 200
            wait_until(lambda: len(origin.requests) == 5, "all of them")
            origin.release.set()
            assert answers() == ["/ 200"] * 5


def test_refusals_are_answers_where_the_gateway_would_come_back(tmp_path, certificates):
    gateway = Gateway(tmp_path, certificates)
    with gateway.running(), HeldOrigin().running() as origin, \
            Agent(gateway.workers, certificates, origin.url, "--queue-length-max", 0, "--refusal",
                  "answer", "--capacity-share-interval", "1h", admin="127.0.0.1:0").running() as agent:
        curl("-X", "PUT", "-H", "content-type: application/json", "-d", '{"capacity": 1}',
             admin_url(agent, "/capacity"))
        with users([gateway.url("/held")]) as held:
            wait_until(lambda: len(origin.requests) == 1, "the capacity in hand")
            answer = curl("-D", "-", gateway.url("/more")).stdout.decode().lower()
            assert answer.startswith("http/1.1 503")
            assert "retry-after: 1" in answer
            assert "ptth-agent; error=" in answer
            origin.release.set()
            assert held() == ["/held 200"]
        assert origin.seen() == ["/held"]


def test_a_haproxy_whose_share_moves_loses_nothing(tmp_path, certificates):
    with contextlib.ExitStack() as stack:
        gateways = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            gateways.append(Gateway(tmp_path / name, certificates))
            stack.enter_context(gateways[-1].running())
        origin = stack.enter_context(Origin(lambda request, write: write(plain(b"ok"))).running())
        agent = stack.enter_context(
            Agent(gateways[0].workers, certificates, origin.url, "--capacity", 20,
                  "--capacity-overcommit-percent", 100, "--capacity-share-interval", "20ms", *PATIENT,
                  "--gateway", f"https://127.0.0.1:{gateways[1].workers}").running())
        agent.wait_for(lambda line: line.get("to") == "attached", "both attached", count=2)
        # The demand goes from one to the other and back, within what either may have.
        for gateway in gateways * 3:
            done = subprocess.run(["h2load", "-n", "2000", "-c", "1", "-m", "5", gateway.http2_url("/")],
                                  capture_output=True, text=True, check=True)
            assert re.search(r"status codes: 2000 2xx", done.stdout), done.stdout
