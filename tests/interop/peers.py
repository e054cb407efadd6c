"""What the interop tests put up around the agent: HAProxy as the gateway, origins, and the agent
itself with its log. Everything listens on free ports of 127.0.0.1 and ends with its `with` block."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/bench"))
from stage import Certificates, can_connect, free_port, nginx, process, wait_until  # noqa: E402,F401

BUILD = Path(os.environ.get("PTTH_BUILD_DIR", ROOT / "build/dev"))
AGENT = BUILD / "ptth-agent"
# Sanitized builds show the same faults with less of everything.
IS_SANITIZED = any(kind in BUILD.name for kind in ("asan", "tsan"))
BULK_BYTES = (64 if IS_SANITIZED else 1024) * 1024**2
MANY_REQUESTS = 10_000 if IS_SANITIZED else 100_000


def haproxy_program():
    for path in (os.environ.get("PTTH_HAPROXY"), ROOT / "build/tools/haproxy/haproxy",
                 shutil.which("haproxy")):
        if path and Path(path).is_file():
            return str(path)
    raise AssertionError("HAProxy not found: scripts/dev setup")


HAPROXY = """
global
    expose-experimental-directives
    nbthread 1
    stats socket {directory}/haproxy.sock level admin
defaults
    mode http
    log stdout format raw local0
    option httplog
    option dontlog-normal
    timeout connect 5s
    timeout client  60s
    timeout server  60s
    timeout tunnel  1h
frontend pub
    bind 127.0.0.1:{http1}
    bind 127.0.0.1:{http2} proto h2
    default_backend be-reverse
frontend workers
    bind {workers_at}:{workers} ssl crt {gateway} ca-file {ca} verify required alpn h2
    tcp-request session attach-srv be-reverse/dev {name}
backend be-reverse
    {options}
    server dev rhttp@ {server}
"""

# Both as in the project's notes on HAProxy: users write both.
CONFIGURATIONS = {
    "recommended": {
        "name": "name ssl_c_s_dn(CN)",
        "options": "\n    ".join(("http-reuse always", "retries 3",
                                  "retry-on all-retryable-errors", "option redispatch",
                                  "option abortonclose")),
        "server": "pool-purge-delay 1h pool-conn-name str(worker1)",
    },
    "minimal": {"name": "", "options": "", "server": ""},
}


class Gateway:
    """HAProxy, with the ports for users (http1, http2) and for workers."""

    def __init__(self, directory, certificates, configuration="recommended", **overrides):
        self.directory, self.certificates = directory, certificates
        self.http1, self.http2, self.workers = free_port(), free_port(), free_port()
        both = directory / "gateway-both.pem"
        both.write_text(certificates.gateway.read_text() + certificates.gateway_key.read_text())
        self._conf = directory / "haproxy.cfg"
        settings = {"workers_at": "127.0.0.1", **CONFIGURATIONS[configuration], **overrides}
        self._conf.write_text(HAPROXY.format(
            directory=directory, http1=self.http1, http2=self.http2, workers=self.workers,
            gateway=both, ca=certificates.ca, **settings))

    @contextlib.contextmanager
    def running(self):
        with open(self.directory / "haproxy.log", "ab") as log, \
                process([haproxy_program(), "-f", self._conf, "-db"], stderr=log,
                        stdout=log) as child:
            wait_until(lambda: child.poll() is not None or can_connect(self.http1), "HAProxy")
            assert child.poll() is None, (self.directory / "haproxy.log").read_text()
            yield child

    def url(self, path):
        return f"http://127.0.0.1:{self.http1}{path}"

    def http2_url(self, path):
        return f"http://127.0.0.1:{self.http2}{path}"


class MountedCertificates:
    """The worker's certificate and key as Kubernetes mounts secrets: links through a link that is
    swapped when the secret is renewed. Stands in for Certificates."""

    def __init__(self, directory, certificates):
        self._directory, self._certificates, self._version = directory, certificates, 0
        self.ca = certificates.ca
        self.worker, self.worker_key = directory / "tls.crt", directory / "tls.key"
        for link in (self.worker, self.worker_key):
            link.symlink_to(Path("..data") / link.name)
        self.renew()

    def renew(self):
        self._version += 1
        version = self._directory / f"..{self._version}"
        version.mkdir()
        self.fill(version, self._version)
        self.point_to(version)

    def fill(self, version, _number):
        self._certificates.issue_worker(version / "tls.crt", version / "tls.key")

    def point_to(self, version):
        fresh = self._directory / "..data_tmp"
        fresh.symlink_to(version.name)
        fresh.rename(self._directory / "..data")


class Agent:
    """The agent under test. Its JSON log lines are kept as they come."""

    def __init__(self, gateway_port, certificates, origin, *options, admin="off",
                 gateway_host="127.0.0.1", runner=()):
        self.lines = []
        self._changed = threading.Condition()
        self._command = [str(part) for part in (
            *runner, AGENT, "run", "--gateway", f"https://{gateway_host}:{gateway_port}",
            "--server-name", "gw.test", "--ca-file", certificates.ca,
            "--cert-file", certificates.worker, "--key-file", certificates.worker_key,
            "--origin", origin, "--admin", admin, "--log-format", "json", *options)]

    @contextlib.contextmanager
    def running(self, wait=True):
        with process(self._command, stderr=subprocess.PIPE) as child:
            self.child = child
            reader = threading.Thread(target=self._read, args=(child.stderr,))
            reader.start()
            try:
                if wait:
                    self.wait_for(lambda line: line.get("to") == "attached", "attached")
                yield self
            finally:
                if child.poll() is None:
                    child.send_signal(signal.SIGINT)
                child.wait(20)
                reader.join()

    def _read(self, stream):
        for raw in stream:
            with self._changed:
                try:
                    self.lines.append(json.loads(raw))
                except ValueError:
                    self.lines.append({"message": raw.decode(errors="replace")})
                self._changed.notify_all()

    def wait_for(self, predicate, what, seconds=20, count=1):
        """Until so many log lines fulfil the predicate; gives the last of them."""
        found, read = [], 0

        def enough():
            nonlocal read
            found.extend(line for line in self.lines[read:] if predicate(line))
            read = len(self.lines)
            return len(found) >= count

        with self._changed:
            assert self._changed.wait_for(enough, seconds), \
                f"{what}: not within {seconds} s; log:\n" + "\n".join(map(str, self.lines[-30:]))
            return found[count - 1]

    def exchanges(self):
        return [line for line in self.lines if line["message"] == "exchange"]

    def peak_kib(self):
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def pattern(count, chunk=1024 * 1024):
    """The same bytes for everyone who asks for so many of them."""
    block = hashlib.sha512(b"ptth").digest() * (chunk // 64)
    while count > 0:
        yield block[:count]
        count -= chunk


def pattern_digest(count):
    digest = hashlib.sha256()
    for block in pattern(count):
        digest.update(block)
    return digest.hexdigest()


class Request:
    """One request as the origin got it."""

    def __init__(self, reader):
        line = reader.readline()
        if not line:
            raise EOFError
        self.method, self.path, self.version = line.decode().split()
        self.fields = self.read_fields(reader)
        self._reader = reader
        self.trailers = {}

    @staticmethod
    def read_fields(reader):
        fields = {}
        while (line := reader.readline()) not in (b"\r\n", b""):
            name, value = line.decode().rstrip("\r\n").split(":", 1)
            name = name.lower()
            fields[name] = fields[name] + ", " + value.strip() if name in fields else value.strip()
        return fields

    def body(self):
        if self.fields.get("transfer-encoding") == "chunked":
            while size := int(self._reader.readline(), 16):
                yield self._reader.read(size)
                self._reader.readline()
            self.trailers = self.read_fields(self._reader)
            return
        left = int(self.fields.get("content-length", 0))
        while left > 0:
            block = self._reader.read(min(left, 65536))
            if not block:
                raise EOFError
            left -= len(block)
            yield block


class Origin:
    """An HTTP/1.1 origin in the test's hands: `answer(request, write)` writes raw bytes. It keeps
    the requests that it got, and how many it had in hand at once at most."""

    def __init__(self, answer, port=0):
        self.requests = []
        self.in_hand = self.in_hand_max = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                with contextlib.suppress(EOFError, OSError, ValueError):
                    while True:
                        request = Request(self.rfile)
                        with outer._lock:
                            outer.requests.append(request)
                            outer.in_hand += 1
                            outer.in_hand_max = max(outer.in_hand_max, outer.in_hand)
                        try:
                            if answer(request, self.connection.sendall) is False:
                                return
                        finally:
                            with outer._lock:
                                outer.in_hand -= 1

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 1024

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def running(self):
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def plain(body, status="200 OK", *fields):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def curl(*arguments, check=True):
    done = subprocess.run(["curl", "-sS", "--max-time", "60", *map(str, arguments)],
                          capture_output=True, check=False)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done


def h2load(*arguments):
    """What h2load says of its requests."""
    done = subprocess.run(["h2load", *map(str, arguments)], capture_output=True, text=True,
                          check=True)
    line = re.search(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored",
                     done.stdout)
    codes = re.search(r"status codes: (\d+) 2xx", done.stdout)
    return {"total": int(line[1]), "succeeded": int(line[2]), "failed": int(line[3]),
            "errored": int(line[4]), "2xx": int(codes[1])}
