#!/usr/bin/python3
"""How long small urgent answers take while large downloads run on the same link (RFC 9218): the
agent against HAProxy as the worker.

The gateway is HAProxy; its users read as fast as they can. What is scarce is the network between the
worker and the gateway: a relay that passes on so many bytes per second and holds few itself, so that
what a worker has put ahead of an urgent answer is what the answer waits for. The workers take turns,
round by round; a latency counts at the user, from the request to the last byte of the answer.
"""

import argparse
import contextlib
import multiprocessing
import selectors
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path

import report
from raw_gateway import quantiles
from stage import (BenchError, Certificates, can_connect, free_port, nginx, process, run_bench,
                   wait_until)
from workers import ROOT, Agent, Haproxy, Setting, find_agent, find_haproxy

PATIENCE_SECONDS = 60
DOWNLOAD, URGENT = "/100m", "/1k"
RELAY_BYTES = 64 * 1024   # What the network holds, each way.
PAUSE_SECONDS = 0.005     # Between an urgent answer and the next request.


def options():
    parser = argparse.ArgumentParser(prog="scripts/dev bench --urgency", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--urgency", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--downloads", type=int, default=8, help="of 100 MiB, at once, without end")
    parser.add_argument("--asked", type=int, default=200, help="urgent requests in each round")
    parser.add_argument("--mbytes", type=float, default=50.0, help="per second that the network carries")
    parser.add_argument("--credits", default="65535,1048576,16777216",
                        help="bytes that the gateway lets a worker send ahead on each stream "
                             "(tune.h2.initial-window-size): %(default)s")
    parser.add_argument("--agent", help="the agent's binary")
    parser.add_argument("--other-agent", help="another agent's binary, to take turns with the rest")
    parser.add_argument("--haproxy", help="HAProxy's binary, 2.9 or later")
    parser.add_argument("--output", default=str(ROOT / "build/bench/urgency.json"))
    return parser.parse_args()


GATEWAY = """
global
  expose-experimental-directives
  nbthread 1
  tune.h2.initial-window-size {credit}
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  http-reuse always
frontend users
  bind 127.0.0.1:{users}
  default_backend workers
frontend dialled
  bind 127.0.0.1:{workers} ssl crt {both} ca-file {ca} verify required alpn h2
  tcp-request session attach-srv workers/dev
backend workers
  server dev rhttp@
"""


@contextlib.contextmanager
def gateway(program, directory, certificates, credit):
    """(the port of the users, that of the workers)."""
    both = directory / "gateway-both.pem"
    both.write_text(certificates.gateway.read_text() + certificates.gateway_key.read_text())
    users, workers = free_port(), free_port()
    conf, log = directory / f"gateway-{credit}.cfg", directory / "gateway.log"
    conf.write_text(GATEWAY.format(credit=credit, users=users, workers=workers, both=both,
                                   ca=certificates.ca))
    with open(log, "ab") as log_file, \
            process([program, "-f", conf, "-db"], stderr=log_file, stdout=log_file) as child:
        wait_until(lambda: child.poll() is not None or can_connect(users), "the gateway")
        if child.poll() is not None:
            raise BenchError("the gateway did not start: " + log.read_text())
        yield users, workers


def carry(source, target, bytes_per_second):
    """One direction of the network, at this rate; what nobody could send is not sent the faster later."""
    due = time.monotonic()
    with contextlib.suppress(OSError):
        while data := source.recv(RELAY_BYTES // 4):
            target.sendall(data)
            now = time.monotonic()
            due = max(due, now - 0.002) + len(data) / bytes_per_second
            if due > now:
                time.sleep(due - now)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def relay(bytes_per_second, gateway_port, port_wanted):
    listener = socket.socket()
    # Before listening: the window that TCP announces is agreed at the handshake.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RELAY_BYTES)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port_wanted.send(listener.getsockname()[1])
    while True:
        worker, _ = listener.accept()
        onward = socket.create_connection(("127.0.0.1", gateway_port))
        for each in (worker, onward):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RELAY_BYTES)
        for way in ((worker, onward), (onward, worker)):
            threading.Thread(target=carry, args=(*way, bytes_per_second), daemon=True).start()


@contextlib.contextmanager
def network(mbytes, gateway_port):
    """The port that stands for the gateway's, at the worker's end."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=relay, args=(mbytes * 1e6, gateway_port, theirs),
                                    daemon=True)
    child.start()
    try:
        yield ours.recv()
    finally:
        child.kill()
        child.join()


class User:
    """A connection to the gateway, and the answer that it waits for."""

    def __init__(self, port, path, urgency):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(PATIENCE_SECONDS)
        self._request = (f"GET {path} HTTP/1.1\r\nHost: app.example\r\n"
                         f"Priority: u={urgency}\r\n\r\n").encode()
        self._head, self._left = bytearray(), 0

    def ask(self):
        self._head.clear()
        self._left = None
        self.socket.sendall(self._request)

    def read(self):
        """Bytes that came, once; whether the answer is whole."""
        data = self.socket.recv(1024**2)
        if not data:
            raise BenchError("the gateway closed a user's connection")
        count = len(data)
        if self._left is None:
            self._head += data
            head, end, rest = bytes(self._head).partition(b"\r\n\r\n")
            if not end:
                return 0, False
            if b" 200 " not in head[:13]:
                raise BenchError("the gateway answers: " + head.decode(errors="replace"))
            length = next(line for line in head.lower().split(b"\r\n")
                          if line.startswith(b"content-length:"))
            self._left, count = int(length.split(b":")[1]), len(rest)
        self._left -= count
        return count, self._left == 0


def is_served(port):
    user = User(port, URGENT, 0)
    with user.socket, contextlib.suppress(BenchError):
        user.ask()
        return user.read()[0] >= 0
    return False


def latencies(port, chosen):
    """Of the urgent answers, in seconds; and the megabytes per second of the downloads."""
    urgent = User(port, URGENT, 0)
    bulk = [User(port, DOWNLOAD, 5) for _ in range(chosen.downloads)]
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for user in (urgent, *bulk):
            stack.callback(user.socket.close)
            selector.register(user.socket, selectors.EVENT_READ, user)
        for user in bulk:
            user.ask()
        received, took, asked_at = 0, [], None
        # The downloads have filled what there is to fill.
        next_at = start = time.monotonic() + 1.0
        at_start = None
        while len(took) < chosen.asked:
            now = time.monotonic()
            if asked_at is None and now >= next_at:
                at_start = received if at_start is None else at_start
                urgent.ask()
                asked_at = time.monotonic()
            if asked_at is not None and now - asked_at > PATIENCE_SECONDS:
                raise BenchError("an urgent answer does not come")
            for key, _ in selector.select(0.001):
                user = key.data
                count, is_whole = user.read()
                if user is urgent:
                    if is_whole:
                        took.append(time.monotonic() - asked_at)
                        asked_at, next_at = None, time.monotonic() + PAUSE_SECONDS
                    continue
                received += count
                if is_whole:
                    user.ask()
        return took, (received - at_start) / (time.monotonic() - start) / 1e6


def measure(chosen, directory, workers, haproxy, origin, credit):
    """{worker: ([p50, p99] of each round, megabytes per second of each round)}."""
    certificates = Certificates(directory)
    found = {name: ([], []) for name in workers}
    with gateway(haproxy, directory, certificates, credit) as (users, workers_port), \
            network(chosen.mbytes, workers_port) as port:
        setting = Setting(directory, certificates, None, origin)
        for _ in range(chosen.rounds):
            for name, worker in workers.items():
                with worker.dialling(setting, port):
                    wait_until(lambda: is_served(users), worker.name)
                    took, rate = latencies(users, chosen)
                found[name][0].append(quantiles(took))
                found[name][1].append(rate)
                wait_until(lambda: not is_served(users), f"the end of {worker.name}")
    return found


def main():
    chosen = options()
    haproxy, version = find_haproxy(chosen.haproxy)
    workers = {"agent": Agent(find_agent(chosen.agent))}
    if chosen.other_agent:
        workers["other"] = Agent(find_agent(chosen.other_agent), "the other agent")
    workers["haproxy"] = Haproxy(haproxy, version)
    print(f"urgent answers of 1 KiB beside {chosen.downloads} downloads of 100 MiB over "
          f"{chosen.mbytes:.0f} MB/s, {chosen.rounds} rounds of {chosen.asked}, medians of the "
          "rounds\n\n| credit of a stream | worker | p50, ms | p99, ms | downloads, MB/s |\n"
          "|---|---|---|---|---|", flush=True)
    figures = {}
    for credit in map(int, chosen.credits.split(",")):
        with tempfile.TemporaryDirectory(prefix="ptth-urgency-") as name, \
                nginx(Path(name)) as origin:
            found = measure(chosen, Path(name), workers, haproxy, origin, credit)
        for worker, (rounds, rates) in found.items():
            p50, p99 = (statistics.median(each[index] for each in rounds) for index in (0, 1))
            figures[f"{worker} {credit}"] = {"p50": p50, "p99": p99, "rounds": rounds}
            print(f"| {round(credit / 1024)} KiB | {workers[worker].name} | {p50:.2f} | {p99:.2f} "
                  f"| {statistics.median(rates):.0f} |", flush=True)
    report.save(figures, {"rounds": chosen.rounds, "downloads": chosen.downloads}, chosen.output)
    return 0


if __name__ == "__main__":
    run_bench(main)
