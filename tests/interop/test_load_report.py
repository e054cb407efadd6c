"""How busy the worker is, in the answers of those gateways that are to be told, as a user behind HAProxy
sees it. Read as strictly as Envoy reads it: one field, that form, no name twice, no value that is no number."""

import contextlib
import math
import re
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import Origin, curl, plain, wait_until  # noqa: E402
from test_reload import ConfiguredAgent, gateways  # noqa: E402

FIELD = "endpoint-load-metrics"
ON, OFF = {"load_report": True}, {}
OWN = "TEXT application_utilization:0.9"


def reports(gateway, path="/"):
    """The values of that field, each as it came."""
    head = curl("-i", gateway.url(path)).stdout.decode().split("\r\n\r\n")[0]
    return re.findall(rf"^{FIELD}(?:-bin)?: (.*?)\r?$", head, re.MULTILINE)


def orca(report):
    form, _, rest = report.partition(" ")
    assert form == "TEXT", report
    values = {}
    for entry in rest.split(","):
        name, value = entry.strip().split(":")
        assert name not in values, report
        values[name] = float(value)
        assert math.isfinite(values[name]) and values[name] >= 0, report
    assert {"application_utilization", "rps_fractional", "eps"} <= set(values)
    assert set(values) <= {"application_utilization", "rps_fractional", "eps", "cpu_utilization",
                           "mem_utilization"}
    assert values.get("cpu_utilization", 0) <= 1 and values.get("mem_utilization", 0) <= 1
    return values


def last_report(gateway, fulfils=lambda values: True):
    """The first that is as wanted: it is measured once a second."""
    found = []

    def look():
        found[:] = [orca(report) for report in reports(gateway)]
        return found and fulfils(found[0])

    wait_until(look, "a load report")
    return found[0]


@contextlib.contextmanager
def stage(tmp_path, certificates, answer, told=ON, **settings):
    a, b = gateways(tmp_path, certificates, "a", "b")
    with a.running(), b.running(), Origin(answer).running() as origin, \
            ConfiguredAgent(tmp_path, certificates, origin.url, [("a", a, told), ("b", b, OFF)],
                            **settings).running() as agent:
        agent.attached("a")
        agent.attached("b")
        yield a, b, origin, agent


def test_only_the_gateway_that_asked_for_it_is_told(tmp_path, certificates):
    def answer(_, write):
        write(plain(b"ok"))

    with stage(tmp_path, certificates, answer) as (a, b, _, agent):
        assert last_report(a)["eps"] == 0
        assert last_report(a, lambda values: values["rps_fractional"] > 0)
        assert reports(b) == []
        # And no longer, without a restart.
        agent.reload([("a", a, OFF), ("b", b, ON)])
        agent.attached("a", count=2)
        agent.attached("b", count=2)
        last_report(b)
        wait_until(lambda: reports(a) == [], "no more reports")


def test_it_says_what_is_in_flight_of_the_capacity(tmp_path, certificates):
    release = threading.Event()

    def answer(request, write):
        if request.path == "/slow":
            assert release.wait(60)
        write(plain(b"ok"))

    with stage(tmp_path, certificates, answer, capacity=4) as (a, b, origin, _):
        users = [threading.Thread(target=curl, args=(gateway.url("/slow"),)) for gateway in (a, b)]
        for user in users:
            user.start()
        try:
            wait_until(lambda: origin.in_hand == 2, "two in hand")
            last_report(a, lambda values: values["application_utilization"] == 0.5)
        finally:
            release.set()
            for user in users:
                user.join()
        last_report(a, lambda values: values["application_utilization"] == 0)


@pytest.mark.parametrize("own", (f"{FIELD}: {OWN}", f"Endpoint-Load-Metrics-Bin: CQAAAAAAAOA/"))
def test_the_report_of_the_application_itself_wins_and_passes_everywhere(tmp_path, certificates, own):
    def answer(request, write):
        write(plain(b"ok", "200 OK", *([own] if request.path == "/own" else [])))

    with stage(tmp_path, certificates, answer) as (a, b, _, _):
        last_report(a)
        value = own.split(": ")[1]
        assert reports(a, "/own") == reports(b, "/own") == [value]


def test_failures_count(tmp_path, certificates):
    def answer(request, write):
        if request.path == "/broken":
            return False
        return write(plain(b"ok"))

    with stage(tmp_path, certificates, answer) as (a, _, _, _):
        last_report(a)

        def fails():
            curl("-X", "POST", a.url("/broken"))
            return orca(reports(a)[0])["eps"] > 0

        wait_until(fails, "failures in a report")
