"""Where the agent spends its time under one case: callgrind counts instructions (repeatable), perf
samples the running program (kernel included)."""

import shutil
import subprocess

from load import CASES, run_h2load
from stage import BenchError, process
from workers import ROOT, Agent, find_agent

# Under valgrind the agent is some fifty times slower.
CALLGRIND_COUNTS = {"get128-1": 2000, "down-1": 1, "down-4": 4, "up-1": 1}
CALLGRIND_COUNT = 5000


def profile(bench, origin_port):
    cases = [case for case in CASES if case.name == bench.chosen.cases]
    if len(cases) != 1:
        raise BenchError("--profile-with takes exactly one load in --cases")
    output = ROOT / "build/bench" / f"{cases[0].name}.{bench.chosen.profile_with}"
    output.parent.mkdir(parents=True, exist_ok=True)
    if bench.chosen.profile_with == "callgrind":
        return callgrind(bench, cases[0], origin_port, output)
    return perf(bench, cases[0], origin_port, output)


def callgrind(bench, case, origin_port, output):
    count = CALLGRIND_COUNTS.get(case.name, CALLGRIND_COUNT)
    if not shutil.which("valgrind"):
        raise BenchError("callgrind: apt-get install valgrind")
    wrapper = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}",
               "--dump-instr=yes"]
    agent = Agent(find_agent(bench.chosen.agent), wrapper=wrapper)
    with agent.running(bench.setting(origin_port)) as worker:
        with worker.splice.one_run():
            run_h2load(case, count, worker.splice.load_port, bench.directory)
    text = subprocess.run(["callgrind_annotate", output], capture_output=True, text=True,
                          check=True)
    print("\n".join(text.stdout.splitlines()[:60]))
    print(f"{count} requests; kept in {output}")
    return 0


def perf(bench, case, origin_port, output):
    if not shutil.which("perf"):
        raise BenchError("perf: apt-get install linux-perf")
    with bench.workers["agent"].running(bench.setting(origin_port)) as worker:
        count = bench.count_for(worker, case)
        with process(["perf", "record", "-q", "-e", "cpu-clock", "-F", "4999", "-g", "-o", output,
                      "-p", worker.pid]):
            bench.one_run(worker, case, count)
    text = subprocess.run(["perf", "report", "--stdio", "--no-children", "-g", "none",
                           "--percent-limit", "0.4", "-i", output],
                          capture_output=True, text=True, check=True)
    print("\n".join(line for line in text.stdout.splitlines() if line.strip()))
    print(f"{count} requests; kept in {output}")
    return 0
