"""The two workers under comparison: our agent, and HAProxy 3.x in the same role."""

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

from stage import BenchError, Splice, process

ROOT = Path(__file__).resolve().parents[2]


def find(option, candidates, what):
    for path in [option] if option else candidates:
        if path and Path(path).is_file() and os.access(path, os.X_OK):
            return Path(path).resolve()
    tried = ", ".join(str(path) for path in candidates if path)
    raise BenchError(f"{what} not found; tried {tried}")


def find_agent(option):
    return find(option, [ROOT / "build/release/ptth-agent",
                         ROOT / "build/release/agent/ptth-agent"],
                "the agent (scripts/dev build release)")


def find_splice(option):
    return find(option, [ROOT / "build/release/ptth-bench-splice",
                         ROOT / "build/release/tests/bench/ptth-bench-splice"], "ptth-bench-splice")


def find_haproxy(option):
    path = find(option, [os.environ.get("PTTH_HAPROXY"), ROOT / "build/tools/haproxy/haproxy",
                         shutil.which("haproxy")], "HAProxy (scripts/dev setup)")
    version = re.search(r"version ([\d.]+)", subprocess.run([path, "-v"], capture_output=True,
                                                            text=True, check=True).stdout)[1]
    if tuple(map(int, version.split(".")[:2])) < (2, 9):
        raise BenchError(f"{path} is {version}; reversed connections need HAProxy 2.9")
    return path, version


def same_libraries(haproxy):
    """What to put before the agent's command, so that both workers use the same OpenSSL and C library:
    HAProxy of build/tools brings its own."""
    wrapper = haproxy.parent / "with-libraries"
    return [wrapper] if wrapper.is_file() else []


@dataclasses.dataclass
class Running:
    """A worker and the splice that it has dialled."""

    name: str
    pid: int
    splice: Splice
    log: Path

    def last_words(self):
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        return "\n".join([f"the last of {self.name}'s log:", *lines])


@dataclasses.dataclass
class Setting:
    """What a worker is started against."""

    directory: Path
    certificates: object
    splice_program: Path
    origin_port: int
    held_streams: int = 0      # 0: the worker's own default limit.


class Worker:
    """Subclasses say how it is started: dialling(setting, gateway_port)."""

    name = None

    @contextlib.contextmanager
    def running(self, setting):
        """With the splice as its gateway."""
        with Splice(setting.splice_program, setting.certificates).running() as splice, \
                self.dialling(setting, splice.worker_port) as (child, log):
            yield Running(self.name, child.pid, splice, log)


class Agent(Worker):
    def __init__(self, program, name="ptth-agent", log_level="warn", wrapper=()):
        self.name = name
        self._program = program
        self._log_level = log_level
        self._wrapper = list(wrapper)

    @contextlib.contextmanager
    def dialling(self, setting, gateway_port):
        """Its process and its log."""
        certificates = setting.certificates
        command = [*self._wrapper, self._program, "run",
                   "--gateway", f"https://127.0.0.1:{gateway_port}",
                   "--server-name", "gw.test", "--profile", "haproxy",
                   "--ca-file", certificates.ca, "--cert-file", certificates.worker,
                   "--key-file", certificates.worker_key,
                   "--origin", f"http://127.0.0.1:{setting.origin_port}",
                   # Each run of the load ends the connection; the next must not wait.
                   "--reconnect-at-once-burst", "1000000",
                   "--admin", "127.0.0.1:0",
                   "--log-level", self._log_level, "--log-format", "json"]
        if setting.held_streams:
            command += ["--capacity", setting.held_streams]
        # Log lines go into a pipe that someone reads, as under a container runtime.
        log = setting.directory / "agent.log"
        with process(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader, \
                open(log, "ab") as log_file:
            drain = reader.stdin if self._log_level == "info" else log_file
            with process(command, stderr=drain, stdout=drain) as child:
                yield child, log


HAPROXY = """
global
  expose-experimental-directives
  nbthread 1
{tuning}
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  http-reuse always
frontend reversed
  bind rhttp@be-preconnect/gw nbconn 1
  default_backend origin
backend be-preconnect
  server gw 127.0.0.1:{gateway_port} ssl crt {both} ca-file {ca} verifyhost gw.test {identity}
backend origin
  server app 127.0.0.1:{origin_port}
"""


class Haproxy(Worker):
    def __init__(self, program, version):
        self.name = f"HAProxy {version}"
        self._program = program

    @contextlib.contextmanager
    def dialling(self, setting, gateway_port):
        """Its process and its log."""
        certificates = setting.certificates
        tuning = ""
        if setting.held_streams:
            tuning = f"  tune.h2.max-concurrent-streams {setting.held_streams}"
        conf = setting.directory / f"haproxy-{gateway_port}.cfg"
        conf.write_text(HAPROXY.format(
            tuning=tuning, gateway_port=gateway_port, both=certificates.worker_both,
            ca=certificates.ca, origin_port=setting.origin_port,
            identity="sni str(gw.test) alpn h2"))
        log = setting.directory / "haproxy.log"
        with open(log, "ab") as log_file, \
                process([self._program, "-f", conf, "-db"], stderr=log_file,
                        stdout=log_file) as child:
            yield child, log
