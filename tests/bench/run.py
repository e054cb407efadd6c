#!/usr/bin/python3
"""What the worker's side of a reversed connection costs: the agent's against HAProxy's.

One worker at a time is loaded by h2load over one reversed connection; the two take turns, round by
round, so that a ratio compares what the same machine did in the same minutes. Cost is the CPU time
that the kernel booked for the worker's process; nobody else's counts. Both use the same OpenSSL and C
library: those that HAProxy brings.
"""

import argparse
import contextlib
import os
import platform
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import report
from load import CASES, Case, Cpu, attach_idle, h2load_command, resident_mib, run_h2load
from profiling import profile
from stage import BenchError, Certificates, Holder, nginx, run_bench, wait_until
from workers import (ROOT, Agent, Haproxy, Setting, find_agent, find_haproxy, find_splice,
                     same_libraries)

HELD = 1000
HELD_CASE = Case("held", "", "held", HELD, 0)
MEMORY_TARGETS = {"memory-idle": ("resident memory, one idle link", 0.6),
                  "memory-after": ("resident memory, after all loads", None),
                  "memory-held": (f"resident memory, {HELD} streams held", 0.8)}
LOGGING = "get128-100-log"


def options():
    parser = argparse.ArgumentParser(prog="scripts/dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join([case.name for case in CASES] + ["memory", "log"])
    parser.add_argument("--cases", default="", help=f"comma-separated, all by default: {names}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load per case and round")
    parser.add_argument("--quick", action="store_true",
                        help="two short rounds: for a look, not for the record")
    parser.add_argument("--agent", help="the agent's binary")
    parser.add_argument("--other-agent", help="another agent's binary, to take turns with the rest")
    parser.add_argument("--haproxy", help="HAProxy's binary, 2.9 or later")
    parser.add_argument("--splice", help="ptth-bench-splice")
    parser.add_argument("--own-libraries", action="store_true",
                        help="run the agent with this system's OpenSSL and C library, not HAProxy's")
    parser.add_argument("--only", choices=["agent", "haproxy"], help="load only this worker")
    parser.add_argument("--profile-with", choices=["callgrind", "perf"],
                        help="instead of measuring, profile the agent under one case")
    parser.add_argument("--output", default=str(ROOT / "build/bench/last.json"),
                        help="figures as JSON, compared with those of the run before")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds = 2, 0.5
    return chosen


class Bench:
    def __init__(self, chosen, directory):
        self.chosen = chosen
        self.directory = directory
        self.certificates = Certificates(directory)
        self.splice_program = find_splice(chosen.splice)
        self.figures = {}
        self.workers = {}
        haproxy, version = find_haproxy(chosen.haproxy)
        self.libraries = [] if chosen.own_libraries else same_libraries(haproxy)
        if chosen.only != "haproxy":
            self.workers["agent"] = Agent(find_agent(chosen.agent), wrapper=self.libraries)
        if chosen.other_agent and not chosen.profile_with:
            self.workers["other"] = Agent(find_agent(chosen.other_agent), "the other agent",
                                          wrapper=self.libraries)
        if chosen.only != "agent" and not chosen.profile_with:
            self.workers["haproxy"] = Haproxy(haproxy, version)
        self.security = set()

    def wants(self, name):
        return not self.chosen.cases or name in self.chosen.cases.split(",")

    def setting(self, origin_port, held_streams=0):
        return Setting(self.directory, self.certificates, self.splice_program, origin_port,
                       held_streams)

    def one_run(self, worker, case, count):
        """(CPU time of the worker, h2load's outcome) of `count` requests."""
        try:
            with worker.splice.one_run():
                before = Cpu.of(worker.pid)
                outcome = run_h2load(case, count, worker.splice.load_port, self.directory)
                spent = Cpu.of(worker.pid) - before
        except BenchError as error:
            raise BenchError(f"{worker.name}, {case.name}: {error}\n"
                             + worker.last_words()) from error
        self.security.add(worker.splice.security)
        return spent, outcome

    def count_for(self, worker, case):
        """As many requests as this worker answers in the time that a round should take."""
        _, outcome = self.one_run(worker, case, case.first_count)
        count = int(outcome.per_second * self.chosen.seconds)
        return max(case.streams, case.first_count // 2, count)

    def measure(self, case, running, name=None):
        figure = self.figures.setdefault(name or case.name, {
            "title": case.title, "unit": case.unit, "target": case.target})
        counts = {who: self.count_for(worker, case) for who, worker in running.items()}
        costs = {who: [] for who in running}
        for who in running:
            figure[f"{who}_extra"] = {"per_second": [], "system_share": [], "requests": counts[who]}
        for _ in range(self.chosen.rounds):
            for who, worker in running.items():
                spent, outcome = self.one_run(worker, case, counts[who])
                costs[who].append(case.cost(spent.total, outcome.requests))
                extra = figure[f"{who}_extra"]
                extra["per_second"].append(outcome.per_second)
                extra["system_share"].append(spent.system / max(spent.user + spent.system, 0.01))
        for who, values in costs.items():
            figure[who] = report.summary(values)
        self.show(name or case.name, running)

    def show(self, name, running):
        figure = self.figures[name]
        print(f"  {name:14}", *(f"{who} {report.pair(figure[who])} {figure['unit']}"
                                for who in running), sep="  ", flush=True)

    def loads(self, origin_port):
        with contextlib.ExitStack() as stack:
            running = {who: stack.enter_context(worker.running(self.setting(origin_port)))
                       for who, worker in self.workers.items()}
            for case in CASES:
                if self.wants(case.name):
                    self.measure(case, running)
            if self.wants("memory") and any(self.wants(case.name) for case in CASES):
                for who, worker in running.items():
                    self.remember_memory("memory-after", who, worker.pid)

    def price_of_log_lines(self, origin_port):
        case = next(case for case in CASES if case.name == "get128-100")
        logging = Agent(find_agent(self.chosen.agent), log_level="info", wrapper=self.libraries)
        with logging.running(self.setting(origin_port)) as worker:
            self.measure(case, {"agent": worker}, LOGGING)
        self.figures[LOGGING].update(title=case.title + ", one log line each", target=None)

    def remember_memory(self, name, who, pid):
        resident, private = resident_mib(pid)
        title, target = MEMORY_TARGETS[name]
        figure = self.figures.setdefault(name, {"title": title, "unit": "MiB", "target": target})
        rounds = figure.get(who, {"rounds": []})["rounds"]
        figure[who] = report.summary([*rounds, resident])
        figure.setdefault(f"{who}_private", []).append(private)

    def idle_memory(self, worker, who, origin_port):
        with worker.running(self.setting(origin_port)) as running, running.splice.one_run():
            with attach_idle(running.splice.load_port):
                time.sleep(0.5)  # Whatever a worker does after attaching, it has done by then.
                self.remember_memory("memory-idle", who, running.pid)

    def held_memory(self, worker, who):
        with Holder() as holder, worker.running(self.setting(holder.port, HELD)) as running:
            with running.splice.one_run():
                command = h2load_command(HELD_CASE, HELD, running.splice.load_port, self.directory)
                with subprocess.Popen(command, stdout=subprocess.DEVNULL) as h2load:
                    try:
                        wait_until(lambda: holder.held >= HELD, f"{worker.name}, {HELD} streams")
                        time.sleep(0.5)
                        if holder.held != HELD or h2load.poll() is not None:
                            raise BenchError(f"{worker.name}: held {holder.held}, not {HELD}")
                        self.remember_memory("memory-held", who, running.pid)
                    finally:
                        h2load.kill()

    def memory(self, origin_port):
        for _ in range(min(3, self.chosen.rounds)):
            for who, worker in self.workers.items():
                self.idle_memory(worker, who, origin_port)
                self.held_memory(worker, who)
        self.show("memory-idle", self.workers)
        self.show("memory-held", self.workers)

    def facts(self):
        return {"machine": platform.machine(), "kernel": platform.release(), "cpus": os.cpu_count(),
                "load": os.getloadavg(), "tls": sorted(self.security),
                "rounds": self.chosen.rounds, "seconds": self.chosen.seconds,
                "workers": [worker.name for worker in self.workers.values()]}


def direct_to_origin(port, directory, seconds):
    """What h2load gets from nginx with nobody between, for orientation."""
    print("direct to nginx, HTTP/1.1 over as many connections as there are streams above:")
    for case in CASES[1:4]:
        command = ["h2load", "--h1", "-t1", f"-c{case.streams}", f"-D{max(1, seconds)}",
                   f"http://127.0.0.1:{port}/{case.path}"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        rate = next(line for line in result.stdout.splitlines() if "req/s" in line)
        print(f"  {case.name:14} {rate}")


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main():
    chosen = options()
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory(prefix="ptth-bench-") as name:
        directory = Path(name)
        bench = Bench(chosen, directory)
        with nginx(directory) as origin_port:
            if chosen.profile_with:
                return profile(bench, origin_port)
            print("CPU time of the worker, min / median over", chosen.rounds, "rounds:", flush=True)
            bench.loads(origin_port)
            if "agent" in bench.workers and bench.wants("log"):
                bench.price_of_log_lines(origin_port)
            if bench.wants("memory"):
                bench.memory(origin_port)
            if not chosen.cases:
                direct_to_origin(origin_port, directory, int(chosen.seconds))
    if len(bench.security) > 1:
        raise BenchError(f"the workers agreed on different ciphers: {bench.security}")
    haproxy = bench.workers.get("haproxy")
    print("\n" + report.markdown(bench.figures, haproxy.name if haproxy else "HAProxy"))
    print("\n" + report.details(bench.figures))
    print("\n" + report.compare(bench.figures, chosen.output))
    report.save(bench.figures, bench.facts(), chosen.output)
    print(f"kept in {chosen.output}")
    return 0


if __name__ == "__main__":
    run_bench(main)
