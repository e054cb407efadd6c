#!/usr/bin/env python3
"""Draws what `--capacity auto` does with an origin whose ideal capacity is known and changes.

usage: plot_capacity.py SIMULATION OUTPUT.svg
SIMULATION is build/<preset>/tests/bench/ptth-capacity-simulation.
"""

import csv
import io
import subprocess
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "capacity"  # The same picture from the same numbers.

from matplotlib import pyplot  # noqa: E402  (the backend comes first)

FIXED = (100, 15)
COLOURS = {0: "#1f77b4", 100: "#d62728", 15: "#ff7f0e"}


def simulate(program):
    text = subprocess.run([program, *map(str, FIXED)], check=True, capture_output=True, text=True).stdout
    runs = {}
    for row in csv.DictReader(io.StringIO(text)):
        runs.setdefault(int(row.pop("limit")), []).append({key: float(value) for key, value in row.items()})
    return runs


def column(rows, name):
    return [row[name] for row in rows]


def label(limit):
    return "auto" if limit == 0 else f"fixed at {limit}"


def draw(runs, output):
    figure, (capacity, latency, served) = pyplot.subplots(3, 1, sharex=True, figsize=(10, 8))
    seconds = column(runs[0], "seconds")
    ideal = column(runs[0], "ideal")
    capacity.fill_between(seconds, [0.8 * value for value in ideal], [1.2 * value for value in ideal],
                          color="#cccccc", step="pre", label="ideal ± 20 %")
    capacity.step(seconds, ideal, color="black", linewidth=1, label="ideal: the origin's threads")
    capacity.set_ylabel("capacity")
    latency.step(seconds, column(runs[0], "unloaded_ms"), color="black", linewidth=1,
                 label="unloaded")
    latency.set_ylabel("latency of the origin (ms)")
    latency.set_yscale("log")
    most = [1000 * row["ideal"] / row["unloaded_ms"] for row in runs[0]]
    served.step(seconds, most, color="black", linewidth=1, label="what the threads can serve")
    served.set_ylabel("served per second")
    served.set_xlabel("seconds")
    for limit, rows in sorted(runs.items()):
        style = {"color": COLOURS[limit], "linewidth": 1.2 if limit == 0 else 0.8, "label": label(limit)}
        capacity.plot(column(rows, "seconds"), column(rows, "capacity"), **style)
        latency.plot(column(rows, "seconds"), column(rows, "origin_ms"), **style)
        served.plot(column(rows, "seconds"), column(rows, "served"), **style)
    for axes in (capacity, latency, served):
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small")
        axes.grid(alpha=0.3)
    figure.suptitle("More requests than an origin of changing size can serve")
    figure.tight_layout()
    figure.savefig(output, metadata={"Date": None})


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    draw(simulate(sys.argv[1]), sys.argv[2])


if __name__ == "__main__":
    main()
