#!/usr/bin/python3
"""What one gateway's attack costs the others: one agent, three gateways, A attacks, B and C ask at a
constant rate.

Undisturbed and disturbed phases take turns, so that what else the machine does falls on both. A
latency counts from the time at which a request was to be sent. Compared are the medians, over the
rounds, of the 99th percentiles of each phase.
"""

import argparse
import collections
import contextlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import report
from raw_gateway import ATTACKS, Attacker, Child, Honest, quantiles
from stage import BenchError, Certificates, nginx, process, run_bench, wait_until
from workers import ROOT, find_agent

TITLES = {"requests": "requests without end, over every limit",
          "full": "80 requests at once, all the time",
          "frames": "PING, SETTINGS, WINDOW_UPDATE, unknown frames",
          "resets": "every request reset at once",
          "stalls": "40 downloads not taken, 30 slow uploads",
          "downloads": "20 downloads of 100 MiB, as fast as they come",
          "closes": "GOAWAY or the end, right after attaching"}


def options():
    parser = argparse.ArgumentParser(prog="scripts/dev bench --isolation", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolation", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--attacks", default=",".join(ATTACKS), help="comma-separated: %(default)s")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each phase")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second of B and C")
    parser.add_argument("--control", action="store_true",
                        help="A attacks an agent of its own, on the same machine and before the same "
                             "origin: what is lost then is not lost inside the agent")
    parser.add_argument("--agent", help="the agent's binary")
    parser.add_argument("--output", default=str(ROOT / "build/bench/isolation.json"))
    return parser.parse_args()


class Stage:
    """The agent and its three gateways."""

    def __init__(self, chosen, directory):
        self.chosen, self.directory = chosen, directory
        self.certificates = Certificates(directory)

    @contextlib.contextmanager
    def running(self):
        with nginx(self.directory) as origin, contextlib.ExitStack() as stack:
            self.attacker = stack.enter_context(Child(Attacker, self.certificates))
            self.others = [stack.enter_context(Child(Honest, self.certificates)) for _ in "BC"]
            log = stack.enter_context(open(self.directory / "agent.log", "wb"))
            for names in ("A", "BC") if self.chosen.control else ("ABC",):
                self._agent = stack.enter_context(process(
                    [find_agent(self.chosen.agent), "run", "--config", self._config(origin, names)],
                    stderr=log, stdout=log))
            wait_until(lambda: all(other.ask("attached") for other in self.others), "B and C")
            yield self

    def _config(self, origin, names):
        ports = {"A": self.attacker.port, "B": self.others[0].port, "C": self.others[1].port}
        gateways = [{"name": name, "url": f"https://127.0.0.1:{port}", "profile": "direct",
                     "tls": {"server_name": "gw.test", "ca_file": str(self.certificates.ca)}}
                    for name, port in ports.items() if name in names]
        if "A" in names:
            # It is dialled again as fast as possible.
            gateways[0]["reconnect"] = {"at_once_burst": 1000, "at_once_jitter": "1ms",
                                        "min": "10ms", "max": "20ms"}
        path = self.directory / f"agent-{names}.json"
        path.write_text(json.dumps({"gateways": gateways, "log": {"level": "off"},
                                    "origin": {"url": f"http://127.0.0.1:{origin}"},
                                    "admin": {"listen": "off"}}))
        return path

    def phase(self):
        """([latencies of B, of C], failed) of one."""
        for other in self.others:
            other.orders.send(("measure", self.chosen.rate, self.chosen.seconds))
        outcomes = []
        for other in self.others:
            if not other.orders.poll(self.chosen.seconds + 30):
                raise BenchError("B or C does not come to an end")
            outcomes.append(other.orders.recv())
        if self._agent.poll() is not None:
            raise BenchError("the agent has gone: " + (self.directory / "agent.log").read_text())
        return [took for took, _ in outcomes], outcomes[0][1] + outcomes[1][1]

    def measure(self, attack):
        calm, rough, failed, done, links = [], [], collections.Counter(), 0, 0
        for _ in range(self.chosen.rounds):
            took, lost = self.phase()
            calm.append(quantiles(took[0]) + quantiles(took[1]))
            failed.update({f"undisturbed, {why}": count for why, count in lost.items()})
            self.attacker.orders.send(("start", attack))
            # The agent stays away for a while from a gateway whose flood it has ended.
            if not self.attacker.orders.poll(60):
                raise BenchError("A is not dialled")
            self.attacker.orders.recv()
            took, lost = self.phase()
            more, accepted = self.attacker.ask("stop")
            rough.append(quantiles(took[0]) + quantiles(took[1]))
            failed.update(lost)
            done, links = done + more, links + accepted
            time.sleep(0.2)
        return figure_of(calm, rough, failed, done, links)


def figure_of(calm, rough, failed, done, links):
    keys = ("B p50", "B p99", "C p50", "C p99")
    figure = {"failed": failed.total(), "failures": failed, "done": done, "links": links}
    for index, key in enumerate(keys):
        figure[key] = [statistics.median(each[index] for each in phases) for phases in (calm, rough)]
        figure[key + " rounds"] = [[each[index] for each in phases] for phases in (calm, rough)]
    return figure


def row(attack, figure):
    def pair(key):
        return "{:.2f} -> {:.2f}".format(*figure[key])

    ratio = figure["B p99"][1] / figure["B p99"][0]
    held = ratio < 2 and figure["failed"] == 0
    return (f"| {TITLES[attack]} | {pair('B p50')} | {pair('B p99')} | {ratio:.2f} | {pair('C p99')} "
            f"| {figure['failed']} | {'reached' if held else '**not reached**'} |")


def main():
    chosen = options()
    unknown = set(chosen.attacks.split(",")) - set(ATTACKS)
    if unknown:
        raise BenchError(f"no such attack: {', '.join(sorted(unknown))}")
    figures = {}
    with tempfile.TemporaryDirectory(prefix="ptth-isolation-") as name:
        with Stage(chosen, Path(name)).running() as stage:
            stage.phase()  # Warms up.
            print("| what A does | B p50, ms | B p99, ms | ratio | C p99, ms | failed of B and C "
                  "| p99 < 2x |\n|---|---|---|---|---|---|---|")
            for attack in chosen.attacks.split(","):
                figures[attack] = stage.measure(attack)
                print(row(attack, figures[attack]), flush=True)
    for attack, figure in figures.items():
        failures = ", ".join(f"{count} x {why}" for why, count in figure["failures"].items())
        print(f"{attack:10} A did {figure['done']} over {figure['links']} links", failures,
              file=sys.stderr)
    report.save(figures, {"rounds": chosen.rounds, "seconds": chosen.seconds, "rate": chosen.rate},
                chosen.output)
    return 0


if __name__ == "__main__":
    run_bench(main)
