"""The promise of the agent, counted: two agents serve behind a gateway while they are restarted one after the
other, reloaded, and given new credentials, and of a hundred thousand requests not one fails, is doubled or
gets another's answer. And when a gateway is killed, that is true of all that was not in flight there."""

import contextlib
import json
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import (AGENT, BUILD, MANY_REQUESTS, Agent, Gateway, MountedCertificates,  # noqa: E402
                   can_connect, free_port, process, wait_until)
from unique_requests import Counter, Users  # noqa: E402

ROUNDS = 20
EVENTS = 3 * ROUNDS
KILLS = 6


class MountedCredentials(MountedCertificates):
    """With a token of the hello beside them."""

    TOKENS = ("token-0", "token-1", "token-2")

    def __init__(self, directory, certificates):
        super().__init__(directory, certificates)
        self.token = directory / "token"
        self.token.symlink_to("..data/token")

    def fill(self, version, number):
        super().fill(version, number)
        (version / "token").write_text(self.TOKENS[number % len(self.TOKENS)])
        (version / "token").chmod(0o600)


class HaproxyEdge(Gateway):
    """HAProxy as the README has it."""

    host, requests = "app.example", MANY_REQUESTS

    @property
    def users(self):
        return self.http1

    def settings(self, credentials):
        return {"url": f"https://127.0.0.1:{self.workers}", "profile": "haproxy"}

    def complaints(self):
        """What HAProxy logged: only what went wrong."""
        return (self.directory / "haproxy.log").read_text()


class DevelopmentEdge:
    """The development gateway, to which workers show a certificate and a token."""

    host, requests = "localhost", MANY_REQUESTS

    def __init__(self, directory, certificates):
        self.users, self.workers = free_port(), free_port()
        self._log = directory / "gateway.log"
        tokens = [directory / token for token in MountedCredentials.TOKENS]
        for file in tokens:
            file.write_text(file.name)
        self._command = [BUILD / "ptth-dev-gateway", "--ca-file", certificates.ca, "--cert-file", certificates.gateway,
                         "--key-file", certificates.gateway_key, "--worker-token-file", ",".join(map(str, tokens)),
                         "--ptth", f"127.0.0.1:{self.workers}", "--http", f"127.0.0.1:{self.users}"]

    @contextlib.contextmanager
    def running(self):
        with open(self._log, "ab") as log, process(self._command, stdout=log, stderr=log) as child:
            wait_until(lambda: child.poll() is not None or can_connect(self.users), "the development gateway")
            assert child.poll() is None, self._log.read_text()
            yield child

    def settings(self, credentials):
        return {"url": f"https://127.0.0.1:{self.workers}", "profile": "ptth",
                "hello": {"origins": ["http://localhost:80"]}, "auth": {"token_file": str(credentials.token)}}

    def complaints(self):
        return self._log.read_text()


class Http1Edge(DevelopmentEdge):
    """The same, but behind the hello it speaks HTTP/1.1: a connection carries one request at a time, and must not
    be closed when the next one is on its way."""

    requests = MANY_REQUESTS // 5

    def settings(self, credentials):
        settings = super().settings(credentials)
        settings["hello"]["channels"] = ["http/1.1"]
        return settings


def mounted(directory, certificates):
    (directory / "credentials").mkdir()
    return MountedCredentials(directory / "credentials", certificates)


EDGES = {"haproxy": HaproxyEdge, "development-gateway": DevelopmentEdge, "http1": Http1Edge}


class Worker(Agent):
    """An agent with a file of settings. Of the exchanges in its log, only those that failed are kept."""

    def __init__(self, file, credentials, origin, edges):
        super().__init__(0, credentials, origin)
        self._file, self._reloads = file, 0
        self._settings = {
            "origin": origin, "admin": "off", "reload": {"interval": 0}, "credentials": {"interval": "50ms"},
            "renew_spread": "20ms", "reconnect": {"min": "50ms", "max": "500ms"},
            "tls": {"ca_file": str(credentials.ca), "cert_file": str(credentials.worker),
                    "key_file": str(credentials.worker_key), "server_name": "gw.test"},
            "gateways": [{"name": name, **edge.settings(credentials)} for name, edge in edges.items()]}
        self._write()
        self._command = [str(AGENT), "run", "--config", str(file), "--log-format", "json"]

    def _write(self):
        self._file.write_text(json.dumps(self._settings, indent=1))

    def _read(self, stream):
        super()._read(line for line in stream if b'"verdict":"ok"' not in line)

    def attached(self, count, gateway):
        self.wait_for(lambda line: line.get("to") == "attached" and line.get("gateway") == gateway, "attached", 30, count)

    def reload(self, **settings):
        """Until the new settings are in force; gives the log's line of it."""
        self._settings.update(settings)
        self._write()
        self._reloads += 1
        self.child.send_signal(signal.SIGHUP)
        return self.wait_for(lambda line: line["message"] == "configuration reloaded", "the reload",
                             count=self._reloads)

    def handed_over(self):
        """Until the links of before the last reload have gone."""
        self.wait_for(lambda line: line.get("to") == "closed", "the old links gone", 30, self._reloads)

    def renewed(self, before):
        self.wait_for(is_renewal, "a new connection with the new credentials", 30, before + 1)

    def renewals(self):
        return sum(map(is_renewal, list(self.lines)))

    def leave(self):
        """A drain that ends well; gives how many requests were served in all."""
        self.child.send_signal(signal.SIGTERM)
        assert self.child.wait(60) == 0
        receipt = self.wait_for(lambda line: line["message"] == "receipt", "the receipt")
        assert receipt["cut"] == 0, receipt
        return receipt["served"]

    def was_busy(self):
        """Whether it had something in hand when it began to leave."""
        return self.wait_for(lambda line: line["message"] == "draining", "draining")["in_flight"] > 0


def is_renewal(line):
    return line["message"] == "link state" and line.get("reason", "").startswith("replaced: ")


class Fleet:
    """Two workers, and what may happen to them."""

    def __init__(self, directory, credentials, origin, edge, stack):
        self._directory, self._credentials, self._origin, self._edge = directory, credentials, origin, edge
        self._stack = stack
        self._started = self.served = self.left_busy = 0
        self._workers = [self._start(), self._start()]

    def _start(self):
        self._started += 1
        worker = Worker(self._directory / f"worker-{self._started}.json", self._credentials, self._origin,
                        {"edge": self._edge})
        self._stack.enter_context(worker.running())
        return worker

    def restart(self, _):
        # One after the other, because HAProxy sends nearly all requests to one of them.
        for index, old in enumerate(self._workers):
            self._workers[index] = self._start()
            self._part_from(old)

    def _part_from(self, worker):
        self.served += worker.leave()
        self.left_busy += worker.was_busy()

    def reload(self, number):
        for worker in self._workers:
            line = worker.reload(capacity=40 + number, reconnect={"min": "50ms", "max": f"{500 + number}ms"})
            assert line["gateways_replaced"] == 1, line
            worker.handed_over()

    def rotate(self, _):
        before = [worker.renewals() for worker in self._workers]
        self._credentials.renew()
        for worker, renewals in zip(self._workers, before):
            worker.renewed(renewals)

    def leave(self):
        for worker in self._workers:
            self._part_from(worker)


@pytest.mark.parametrize("kind", EDGES)
def test_restarts_reloads_and_new_credentials_under_load_cost_no_request(tmp_path, certificates, kind):
    credentials = mounted(tmp_path, certificates)
    edge = EDGES[kind](tmp_path, certificates)
    # What is entered last leaves first: the workers before the gateway.
    with edge.running(), Counter() as origin, contextlib.ExitStack() as stack:
        fleet = Fleet(tmp_path, credentials, origin.url, edge, stack)
        with Users(edge.users, "user", edge.requests, host=edge.host) as users:
            events = [event for _ in range(ROUNDS) for event in (fleet.restart, fleet.reload, fleet.rotate)]
            for number, event in enumerate(events, 1):
                users.wait_for(edge.requests * number // (EVENTS + 1))
                event(number)
            load = users.report()
        fleet.leave()
        seen = origin.report()
    assert load["wrong"] == [], edge.complaints()
    assert load["sent"] == load["answered"] >= edge.requests
    assert seen == {"requests": load["sent"], "ids": load["sent"], "doubled": [], "mixed_up": []}
    assert fleet.served == load["sent"]
    # Else it would have been no proof.
    assert fleet.left_busy >= ROUNDS // 2


def only_lost_what_was_in_flight(load):
    """Each user of a gateway that was killed: the one request that it waited for."""
    lost = load["wrong"]
    assert all(wrong.endswith(("the connection was closed", "Connection reset by peer", "Broken pipe"))
               for wrong in lost), lost
    assert load["sent"] == load["answered"] + len(lost) and 0 < len(lost) <= Users.CONNECTIONS


@pytest.mark.parametrize("kind", EDGES)
def test_a_gateway_that_is_killed_takes_along_what_was_in_flight_there_and_nothing_else(tmp_path, certificates, kind):
    credentials, edges = mounted(tmp_path, certificates), {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        edges[name] = EDGES[kind](tmp_path / name, certificates)
    share = MANY_REQUESTS // 10 // KILLS
    with contextlib.ExitStack() as running, Counter() as origin:
        gateways = {name: running.enter_context(edge.running()) for name, edge in edges.items()}
        worker = running.enter_context(Worker(tmp_path / "worker.json", credentials, origin.url, edges).running())
        attached = dict.fromkeys(edges, 1)

        def users_of(name, prefix):
            worker.attached(attached[name], name)
            return running.enter_context(Users(edges[name].users, prefix, share, host=edges[name].host))

        users = {name: users_of(name, name) for name in edges}
        sent = answered = 0
        for number in range(KILLS):
            victim = "ab"[number % 2]
            users[victim].wait_for(share // 2)
            gateways[victim].kill()
            load = users[victim].report()
            only_lost_what_was_in_flight(load)
            sent, answered = sent + load["sent"], answered + load["answered"]
            gateways[victim] = running.enter_context(edges[victim].running())
            attached[victim] += 1
            users[victim] = users_of(victim, f"{victim}{number}")
        for name, of_edge in users.items():
            load = of_edge.report()
            assert load["wrong"] == [], name
            sent, answered = sent + load["sent"], answered + load["answered"]
        worker.leave()
        seen = origin.report()
    assert seen["doubled"] == seen["mixed_up"] == []
    assert answered <= seen["ids"] == seen["requests"] <= sent
