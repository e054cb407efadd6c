"""What is done to a worker and what is read from the kernel about it: h2load's runs, CPU time,
resident memory."""

import dataclasses
import os
import re
import socket
import subprocess
from pathlib import Path

from stage import FILES, BenchError

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    title: str
    path: str
    streams: int
    target: float           # agent / HAProxy, of the medians
    upload: str = ""        # The file that is posted.
    first_count: int = 2000

    @property
    def response_bytes(self):
        return FILES["answer" if self.upload else self.path]

    @property
    def is_bulk(self):
        return max(self.response_bytes, FILES.get(self.upload, 0)) >= MIB

    @property
    def unit(self):
        return "s/GiB" if self.is_bulk else "us"

    def cost(self, cpu_seconds, requests):
        """CPU time in this case's unit."""
        if not self.is_bulk:
            return cpu_seconds / requests * 1e6
        body_bytes = max(self.response_bytes, FILES.get(self.upload, 0))
        return cpu_seconds / (requests * body_bytes / 1024**3)


CASES = [
    Case("get128-1", "GET 128 B, 1 stream", "128", 1, 0.65),
    Case("get128-10", "GET 128 B, 10 streams", "128", 10, 0.65),
    Case("get128-100", "GET 128 B, 100 streams", "128", 100, 0.5, first_count=5000),
    Case("get10k-100", "GET 10 KiB, 100 streams", "10k", 100, 0.65, first_count=5000),
    Case("post1k-100", "POST 1 KiB, 100 streams", "sink", 100, 0.65, upload="1k", first_count=5000),
    Case("down-1", "download 100 MiB, 1 stream", "100m", 1, 1.0, first_count=4),
    Case("down-4", "download 100 MiB, 4 streams", "100m", 4, 1.0, first_count=4),
    Case("up-1", "upload 100 MiB, 1 stream", "sink", 1, 0.8, upload="100m", first_count=4),
]


@dataclasses.dataclass(frozen=True)
class Cpu:
    """CPU time of a process since its start, by the scheduler's own clock; user and system parts
    are the kernel's estimate."""

    total: float
    user: float
    system: float

    def __sub__(self, earlier):
        return Cpu(self.total - earlier.total, self.user - earlier.user,
                   self.system - earlier.system)

    @staticmethod
    def of(pid):
        total = sum(int(path.read_text().split()[0])
                    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return Cpu(total / 1e9, int(fields[11]) / TICKS_PER_SECOND,
                   int(fields[12]) / TICKS_PER_SECOND)


def resident_mib(pid):
    """VmRSS, and the part of it that is the process's own (RssAnon)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return tuple(int(fields[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))


def h2load_command(case, count, port, directory, *more):
    command = ["h2load", "-t1", "-c1", f"-m{case.streams}", f"-n{count}", *more]
    if case.upload:
        command += ["-d", str(directory / "www" / case.upload)]
    return command + [f"http://127.0.0.1:{port}/{case.path}"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    requests: int
    per_second: float


def run_h2load(case, count, port, directory, *more):
    """Fails unless every request was answered with 200 and the whole body."""
    done = subprocess.run(h2load_command(case, count, port, directory, *more), text=True,
                          capture_output=True, timeout=300)
    output = done.stdout
    succeeded = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    codes = re.search(r"status codes: (\d+) 2xx", output)
    data = re.search(r"\((\d+)\) data", output)
    per_second = re.search(r"([\d.]+) req/s", output)
    if done.returncode or not (succeeded and codes and data and per_second):
        raise BenchError(f"{case.name}: h2load failed\n{output}{done.stderr}")
    expected = (count, 0, 0, 0, count, count * case.response_bytes)
    seen = (*map(int, succeeded.groups()), int(codes[1]), int(data[1]))
    if seen != expected:
        raise BenchError(f"{case.name}: not every request succeeded\n{output}{done.stderr}")
    return Outcome(count, float(per_second[1]))


def attach_idle(port):
    """An HTTP/2 client that agrees on SETTINGS and asks for nothing: the link is attached."""
    client = socket.create_connection(("127.0.0.1", port), 20)
    client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    stream = client.makefile("rb")
    while True:
        header = stream.read(9)
        if len(header) < 9:
            raise BenchError("the worker left before it was attached")
        stream.read(int.from_bytes(header[:3], "big"))
        if header[3] != 4:
            continue
        if header[4] & 1:
            return client
        client.sendall(b"\0\0\0\4\1\0\0\0\0")
