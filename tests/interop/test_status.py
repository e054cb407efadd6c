"""What `ptth-agent status`, the status document and its page say of a running agent, and how
`ptth-agent drain` has it leave."""

import json
import re
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from peers import AGENT, Agent, Gateway, Origin, curl, plain, wait_until  # noqa: E402


def hello(_, write):
    write(plain(b"hello"))


def admin_of(agent):
    line = agent.wait_for(lambda line: line["message"] == "admin listening", "admin")
    return f"127.0.0.1:{line['port']}"


def verb(name, admin, *options):
    return subprocess.run([AGENT, name, "--admin", admin, *options], capture_output=True, text=True,
                          check=False, timeout=60)


def get(admin, path):
    with urllib.request.urlopen(f"http://{admin}{path}", timeout=20) as response:
        return response.headers, response.read().decode()


def metric(admin, name, **labels):
    text = get(admin, "/metrics")[1]
    for line in text.splitlines():
        found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
        given = dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")) if found else {}
        if found and labels.items() <= given.items():
            return float(found[2])
    raise AssertionError(f"no {name} with {labels} in\n{text}")


def test_the_status_says_what_the_metrics_say(gateway, certificates):
    with Origin(hello).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, admin="127.0.0.1:0").running() as agent:
        admin = admin_of(agent)
        for _ in range(5):
            assert curl(gateway.url("/")).stdout == b"hello"
        wait_until(lambda: len(agent.exchanges()) == 5, "five log lines")
        status = json.loads(get(admin, "/status")[1])
        assert status["phase"] == "serving"
        assert all(check["passing"] for check in status["checks"])
        [edge] = status["gateways"]
        assert (edge["profile"], edge["verdicts"]) == ("haproxy", {"ok": 5})
        [link] = edge["links"]
        assert (link["id"], link["state"], link["last_error"]) == (0, "attached", "")
        assert [event["state"] for event in edge["events"]] == ["attached"]
        assert status["now"]["exchanges"] == metric(admin, "ptth_exchanges_total", verdict="ok") == 5
        assert status["now"]["capacity"] == metric(admin, "ptth_capacity") == 100
        [first_byte] = [phase for phase in edge["phases"] if phase["name"] == "first byte"]
        assert first_byte["count"] == metric(admin, "ptth_first_byte_seconds_count") == 5
        assert 0 < first_byte["p50_seconds"] <= first_byte["p99_seconds"]
        shown = verb("status", admin)
        assert shown.returncode == 0, shown.stderr
        assert re.search(r"haproxy +0 +attached", shown.stdout), shown.stdout
        assert "5 ended, 0 failed" in shown.stdout
        assert json.loads(verb("status", admin, "--json").stdout)["worker"] == status["worker"]


def test_the_page_brings_all_that_it_needs(gateway, certificates):
    with Origin(hello).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, admin="127.0.0.1:0").running() as agent:
        fields, page = get(admin_of(agent), "/")
        assert fields["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in fields["content-security-policy"]
        assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
        assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_failure_of_the_gateway_is_among_the_last_warnings(tmp_path, certificates):
    away = Gateway(tmp_path, certificates)
    with Origin(hello).running() as origin, \
            Agent(away.workers, certificates, origin.url,
                  admin="127.0.0.1:0").running(wait=False) as agent:
        admin = admin_of(agent)
        agent.wait_for(lambda line: line.get("to") == "backing_off", "back-off")
        status = json.loads(get(admin, "/status")[1])
        assert "refused" in status["gateways"][0]["links"][0]["last_error"]
        assert status["warnings"][-1]["message"] == "link state"
        assert "last warnings" in verb("status", admin).stdout


def test_the_drain_verb_waits_for_what_is_in_flight_and_gives_the_receipt(gateway, certificates):
    arrived, go_on = threading.Event(), threading.Event()

    def slow(_, write):
        arrived.set()
        assert go_on.wait(30)
        write(plain(b"slow"))

    with Origin(slow).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, admin="127.0.0.1:0").running() as agent:
        admin = admin_of(agent)
        user = threading.Thread(target=lambda: answers.append(curl(gateway.url("/")).stdout))
        answers = []
        user.start()
        assert arrived.wait(20)
        leaving = subprocess.Popen([AGENT, "drain", "--admin", admin], stdout=subprocess.PIPE, text=True)
        agent.wait_for(lambda line: line["message"] == "draining", "draining")
        # A second one waits for the same drain.
        again = subprocess.Popen([AGENT, "drain", "--admin", admin], stdout=subprocess.PIPE, text=True)
        wait_until(lambda: metric(admin, "ptth_admin_requests_total", path="drain", code="202") == 2,
                   "both have asked")
        go_on.set()
        assert leaving.communicate(timeout=30)[0] == "served 1, refused_replayable 0, cut 0\n"
        assert leaving.returncode == 0
        assert again.wait(30) in (0, 1)  # The receipt is kept for a moment only.
        user.join()
        assert answers == [b"slow"]
        assert agent.child.wait(20) == 0


def test_a_drain_that_cuts_is_told_by_the_exit_status(gateway, certificates):
    arrived, never = threading.Event(), threading.Event()

    def stuck(_, write):
        arrived.set()
        never.wait(30)

    with Origin(stuck).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, "--drain-timeout", "200ms",
                  admin="127.0.0.1:0").running() as agent:
        user = threading.Thread(target=lambda: curl(gateway.url("/"), check=False))
        user.start()
        assert arrived.wait(20)
        done = verb("drain", admin_of(agent))
        assert done.returncode == 75, done
        assert "cut 1" in done.stdout
        assert agent.child.wait(20) == 75
        never.set()
        user.join()


def test_verbs_say_when_nobody_answers(tmp_path):
    for name in ("status", "drain"):
        done = verb(name, f"unix:{tmp_path}/nobody")
        assert done.returncode == 1
        assert "nobody" in done.stderr
