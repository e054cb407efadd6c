"""The configuration is changed while requests run: gateways come, go and change, and nobody who is
not concerned notices."""

import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from peers import (AGENT, MANY_REQUESTS, Agent, Gateway, Origin, curl, free_port,  # noqa: E402
                   h2load, plain, wait_until)


def gateways(tmp_path, certificates, *names):
    made = []
    for name in names:
        (tmp_path / name).mkdir()
        made.append(Gateway(tmp_path / name, certificates))
    return made


def ok(_, write):
    write(plain(b"ok"))


class ConfiguredAgent(Agent):
    """An agent with a file that the test rewrites."""

    def __init__(self, directory, certificates, origin, entries, **settings):
        super().__init__(0, certificates, origin)
        self.file = directory / "agent.json"
        self._base = {
            "origin": origin, "admin": "127.0.0.1:0", "reload": {"interval": 0},
            "tls": {"ca_file": str(certificates.ca), "cert_file": str(certificates.worker),
                    "key_file": str(certificates.worker_key), "server_name": "gw.test"}}
        self.write(entries, **settings)
        self._command = [str(AGENT), "run", "--config", str(self.file), "--log-format", "json"]

    def text(self, entries, **settings):
        listed = [{"name": name, "url": f"https://127.0.0.1:{gateway.workers}", **more}
                  for name, gateway, more in entries]
        return json.dumps({**self._base, **settings, "gateways": listed}, indent=1)

    def write(self, entries, **settings):
        self.file.write_text(self.text(entries, **settings))

    def reload(self, entries, **settings):
        """Until the new configuration is in force; gives the log's line of it."""
        count = len([line for line in self.lines if line["message"] == "configuration reloaded"])
        self.write(entries, **settings)
        self.child.send_signal(signal.SIGHUP)
        return self.wait_for(lambda line: line["message"] == "configuration reloaded", "the reload",
                             count=count + 1)

    def attached(self, name, count=1):
        self.wait_for(lambda line: line.get("to") == "attached" and line.get("gateway") == name,
                      f"{name} attached", count=count)

    def gone(self, name, count=1):
        self.wait_for(lambda line: line["message"] == "gateway gone" and line["gateway"] == name,
                      f"{name} gone", 40, count=count)

    def metrics(self):
        port = self.wait_for(lambda line: line["message"] == "admin listening", "admin")["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            return answer.read().decode()


def value_of(metrics, series):
    return float(re.search(rf"^{re.escape(series)} (\S+)$", metrics, re.M)[1])


def test_gateways_come_go_and_change_under_load_and_nothing_is_lost(tmp_path, certificates):
    count = MANY_REQUESTS // 5
    a, b = gateways(tmp_path, certificates, "a", "b")
    with a.running(), b.running(), Origin(ok).running() as origin:
        steps = [
            ([("a", a, {})], {}, "gateways_removed"),
            ([("a", a, {}), ("b", b, {})], {}, "gateways_added"),
            ([("a", a, {"connections": 3}), ("b", b, {})], {}, "gateways_retuned"),
            ([("a", a, {"connections": 1}), ("b", b, {})], {}, "gateways_retuned"),
            ([("a", a, {"reconnect": {"min": "1s"}}), ("b", b, {})], {}, "gateways_replaced"),
            ([("a", a, {}), ("b", b, {})], {"capacity": 60}, "gateways_replaced"),
            ([("a", a, {}), ("b", b, {})], {"capacity": 60, "serve": [f"http://127.0.0.1:{port}" for port in (a.http2, b.http1)]},
             "gateways_unchanged"),
        ]
        with ConfiguredAgent(tmp_path, certificates, origin.url,
                             [("a", a, {}), ("b", b, {})]).running() as agent:
            agent.attached("a")
            agent.attached("b")
            result = {}

            def load():
                result.update(h2load("-n", count, "-c", 4, "-m", 5, a.http2_url("/")))

            loader = threading.Thread(target=load)
            loader.start()
            reloads = steps * 3
            for number, (entries, settings, counted) in enumerate(reloads, 1):
                wait_until(lambda: len(origin.requests) > count * number // (len(reloads) + 2), "load")
                assert agent.reload(entries, **settings)[counted] >= 1, counted
            loader.join()
            assert result["2xx"] == count
            assert len(origin.requests) == count
            # It was replaced just now, perhaps before it had been attached.
            wait_until(lambda: curl(b.url("/")).stdout == b"ok", "b serving")


def test_a_gateway_that_is_removed_ends_what_is_in_flight_and_leaves_no_metrics(tmp_path, certificates):
    release = threading.Event()

    def answer(_, write):
        assert release.wait(20)
        write(plain(b"finished"))

    a, b = gateways(tmp_path, certificates, "a", "b")
    with a.running(), b.running(), Origin(answer).running() as origin, \
            ConfiguredAgent(tmp_path, certificates, origin.url,
                            [("a", a, {}), ("b", b, {})]).running() as agent:
        agent.attached("a")
        agent.attached("b")
        with subprocess.Popen(["curl", "-s", b.url("/")], stdout=subprocess.PIPE) as user:
            wait_until(lambda: origin.in_hand == 1, "the request in hand")
            agent.reload([("a", a, {})])
            assert 'gateway="b"' in agent.metrics()
            release.set()
            assert user.stdout.read() == b"finished"
        agent.gone("b")
        wait_until(lambda: 'gateway="b"' not in agent.metrics(), "its metrics to go")
        assert 'gateway="a"' in agent.metrics()
        assert curl(a.url("/")).stdout == b"finished"
        # The same again: it is a new one.
        agent.reload([("a", a, {}), ("b", b, {})])
        agent.attached("b", 2)
        assert curl(b.url("/")).stdout == b"finished"


def test_what_is_in_flight_ends_at_the_origin_where_it_began(tmp_path, certificates):
    release = threading.Event()

    def slow(_, write):
        assert release.wait(20)
        write(plain(b"old"))

    def new(_, write):
        write(plain(b"new"))

    (a,) = gateways(tmp_path, certificates, "a")
    with a.running(), Origin(slow).running() as before, Origin(new).running() as after, \
            ConfiguredAgent(tmp_path, certificates, before.url, [("a", a, {})]).running() as agent:
        with subprocess.Popen(["curl", "-s", a.url("/")], stdout=subprocess.PIPE) as user:
            wait_until(lambda: before.in_hand == 1, "the request in hand")
            line = agent.reload([("a", a, {})], origin=after.url)
            assert line["changed"] == "origin.url" and line["gateways_unchanged"] == 1
            assert curl(a.url("/")).stdout == b"new"
            release.set()
            assert user.stdout.read() == b"old"


def test_an_invalid_configuration_changes_nothing_and_is_told(tmp_path, certificates):
    (a,) = gateways(tmp_path, certificates, "a")
    with a.running(), Origin(ok).running() as origin, \
            ConfiguredAgent(tmp_path, certificates, origin.url, [("a", a, {})]).running() as agent:
        before = value_of(agent.metrics(), "ptth_config_hash")
        agent.file.write_text(agent.text([], capacity=0))
        agent.child.send_signal(signal.SIGHUP)
        agent.wait_for(lambda line: "not valid any more" in line["message"], "the complaint")
        agent.wait_for(lambda line: line["message"] == "configuration"
                       and "capacity" in line["detail"], "what is wrong")
        metrics = agent.metrics()
        assert value_of(metrics, 'ptth_reloads_total{outcome="invalid"}') == 1
        assert value_of(metrics, 'ptth_reloads_total{outcome="ok"}') == 0
        assert value_of(metrics, "ptth_config_hash") == before
        assert curl(a.url("/")).stdout == b"ok"
        agent.reload([("a", a, {})], capacity=7)
        metrics = agent.metrics()
        assert value_of(metrics, 'ptth_reloads_total{outcome="ok"}') == 1
        assert value_of(metrics, "ptth_config_hash") != before


def test_a_file_behind_a_link_that_is_swapped_is_read_again(tmp_path, certificates):
    a, b = gateways(tmp_path, certificates, "a", "b")
    with a.running(), b.running(), Origin(ok).running() as origin:
        agent = ConfiguredAgent(tmp_path, certificates, origin.url, [("a", a, {})])
        for version, entries in (("1", [("a", a, {})]), ("2", [("b", b, {})])):
            (tmp_path / version).mkdir()
            (tmp_path / version / "agent.json").write_text(
                agent.text(entries, reload={"interval": "20ms"}))
        agent.file.unlink()
        (tmp_path / "..data").symlink_to("1")
        agent.file.symlink_to("..data/agent.json")
        with agent.running():
            (tmp_path / "..data_tmp").symlink_to("2")
            (tmp_path / "..data_tmp").rename(tmp_path / "..data")
            agent.attached("b")
            agent.gone("a")
            assert curl(b.url("/")).stdout == b"ok"


def test_a_drain_under_way_is_not_undone_by_a_reload(tmp_path, certificates):
    release = threading.Event()

    def answer(_, write):
        assert release.wait(20)
        write(plain(b"finished"))

    a, b = gateways(tmp_path, certificates, "a", "b")
    with a.running(), b.running(), Origin(answer).running() as origin, \
            ConfiguredAgent(tmp_path, certificates, origin.url, [("a", a, {})]).running() as agent:
        with subprocess.Popen(["curl", "-s", a.url("/")], stdout=subprocess.PIPE) as user:
            wait_until(lambda: origin.in_hand == 1, "the request in hand")
            agent.child.send_signal(signal.SIGTERM)
            agent.wait_for(lambda line: line["message"] == "draining", "draining")
            agent.write([("a", a, {}), ("b", b, {})])
            agent.child.send_signal(signal.SIGHUP)
            agent.wait_for(lambda line: "the agent is leaving" in line["message"], "the refusal")
            release.set()
            assert user.stdout.read() == b"finished"
        assert agent.child.wait(20) == 0
    assert not [line for line in agent.lines if line.get("gateway") == "b"]


def test_a_changed_gateway_keeps_its_links_until_the_new_ones_are_attached(tmp_path, certificates):
    a, b = gateways(tmp_path, certificates, "a", "b")
    with a.running(), Origin(ok).running() as origin, \
            ConfiguredAgent(tmp_path, certificates, origin.url, [("gw", a, {})]).running() as agent:
        assert agent.reload([("gw", b, {})])["gateways_replaced"] == 1
        agent.wait_for(lambda line: line.get("to") == "backing_off", "the new one is not there")
        assert curl(a.url("/")).stdout == b"ok"
        with b.running():
            agent.gone("gw")
            assert curl(b.url("/")).stdout == b"ok"


def test_settings_of_the_start_are_named_when_they_change(tmp_path, certificates):
    (a,) = gateways(tmp_path, certificates, "a")
    with a.running(), Origin(ok).running() as origin, \
            ConfiguredAgent(tmp_path, certificates, origin.url, [("a", a, {})]).running() as agent:
        agent.reload([("a", a, {})], admin=f"127.0.0.1:{free_port()}", log={"level": "debug"})
        line = agent.wait_for(lambda line: "restart the agent" in line["message"], "the warning")
        assert line["settings"] == "admin.listen"
        # As it was at the start: no reason to restart.
        agent.reload([("a", a, {"reconnect": {"min": "1s"}})], log={"level": "debug"})
        agent.wait_for(lambda line: line["level"] == "debug", "lines of the new level")
        assert len([line for line in agent.lines if "restart the agent" in line["message"]]) == 1
