"""The bench's figures: kept as JSON beside the build, shown as the README's table."""

import json
import statistics
from pathlib import Path


def summary(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values),
            "rounds": values}


def verdict(ratio, target):
    return "reached" if ratio <= target else "**not reached**"


def rows(figures):
    """One row per figure: a dict of name -> {title, unit, target, agent, haproxy} summaries."""
    for figure in figures.values():
        agent, haproxy = figure.get("agent"), figure.get("haproxy")
        ratio = agent["median"] / haproxy["median"] if agent and haproxy else None
        yield figure, agent, haproxy, ratio


def markdown(figures, haproxy_name):
    lines = [f"| load | unit | ptth-agent, min / median | {haproxy_name}, min / median "
             "| ratio of medians | target | |",
             "|---|---|---|---|---|---|---|"]
    for figure, agent, haproxy, ratio in rows(figures):
        target = figure.get("target")
        lines.append("| " + " | ".join([
            figure["title"], figure["unit"], pair(agent), pair(haproxy),
            "" if ratio is None else f"{ratio:.2f}",
            "" if target is None else f"<= {target}",
            "" if ratio is None or target is None else verdict(ratio, target)]) + " |")
    return "\n".join(lines)


def pair(figure):
    if not figure:
        return "-"
    digits = 1 if figure["median"] >= 5 else 2
    return f"{figure['min']:.{digits}f} / {figure['median']:.{digits}f}"


def details(figures):
    """What the table leaves out: throughput and the split between user and system time."""
    lines = []
    for name, figure in figures.items():
        for who in ("agent", "haproxy"):
            extra = figure.get(f"{who}_extra")
            if extra:
                share = statistics.median(extra["system_share"])
                rate = statistics.median(extra["per_second"])
                lines.append(f"{name:14} {who:8} {rate:10.1f} req/s   system {share:4.0%} of CPU")
    return "\n".join(lines)


def compare(figures, path):
    """How the agent and its ratio moved since the run that `path` keeps."""
    if not Path(path).exists():
        return "no earlier run to compare with"
    earlier = json.loads(Path(path).read_text())["figures"]
    lines = [f"against the earlier run ({path}):"]
    for name, figure in figures.items():
        then = earlier.get(name, {})
        if not (then.get("agent") and figure.get("agent")):
            continue
        change = figure["agent"]["median"] / then["agent"]["median"] - 1
        line = f"  {name:12} agent {change:+.0%}"
        if figure.get("haproxy") and then.get("haproxy"):
            now_ratio = figure["agent"]["median"] / figure["haproxy"]["median"]
            then_ratio = then["agent"]["median"] / then["haproxy"]["median"]
            line += f", ratio {then_ratio:.2f} -> {now_ratio:.2f}"
        lines.append(line)
    return "\n".join(lines)


def save(figures, facts, path):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"facts": facts, "figures": figures}, indent=1) + "\n")
