"""What the bench puts up around a worker: certificates, nginx, an origin that never answers, and
the splice that plays the gateway. Everything listens on free ports of 127.0.0.1 and ends with its
`with` block."""

import contextlib
import fcntl
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

START_SECONDS = 20


class BenchError(Exception):
    """The run cannot go on, or its figures would mean nothing."""


def run_bench(main):
    """Ends the program with main's status, or with what kept it from its figures."""
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"bench: {error}")


def wait_until(condition, what, seconds=START_SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


@contextlib.contextmanager
def process(command, **options):
    """A child that is gone when the block ends."""
    child = subprocess.Popen([str(part) for part in command], **options)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                child.wait()


def free_port():
    """Below those that the kernel gives to connections, and none that another process was given by this function a
    moment ago: either would be taken until it is listened to."""
    ports = range(10_000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    with open(Path(tempfile.gettempdir()) / f"ptth-ports-{os.getuid()}", "a+") as last_given:
        fcntl.flock(last_given, fcntl.LOCK_EX)
        last_given.seek(0)
        given = int(last_given.read() or 0)
        for step in range(1, len(ports)):
            port = ports[(given + step) % len(ports)]
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                last_given.truncate(0)
                last_given.write(str(given + step))
                return port
    raise BenchError("no port is free")


class Certificates:
    """One authority, the gateway's certificate for gw.test and the worker's, CN=worker1."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = directory / "ca.pem"
        self.gateway, self.gateway_key = directory / "gw.pem", directory / "gw.key"
        self.worker, self.worker_key = directory / "worker.pem", directory / "worker.key"
        self.worker_both = directory / "worker-both.pem"
        ca_key = directory / "ca.key"
        # Python 3.13 verifies as RFC 5280 wants it: a CA says that it signs certificates.
        self._openssl("req", "-x509", "-subj", "/CN=bench ca", "-addext",
                      "keyUsage=critical,keyCertSign,cRLSign", "-keyout", ca_key, "-out", self.ca)
        self._signed = signed = ("-CA", self.ca, "-CAkey", ca_key)
        self._openssl("req", "-x509", *signed, "-subj", "/CN=gw.test", "-addext",
                      "subjectAltName=DNS:gw.test,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
                      "-keyout", self.gateway_key, "-out", self.gateway)
        self.issue_worker(self.worker, self.worker_key)
        self.worker_both.write_text(self.worker.read_text() + self.worker_key.read_text())

    def issue_worker(self, certificate, key):
        """Another certificate for the same worker."""
        self._openssl("req", "-x509", *self._signed, "-subj", "/CN=worker1", "-addext",
                      "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate)

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments), "-nodes", "-days", "2", "-newkey", "ec",
                        "-pkeyopt", "ec_paramgen_curve:P-256"], check=True, capture_output=True)


NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 1h;
  keepalive_requests 4000000000;
  open_file_cache max=16;
  open_file_cache_valid 1h;
  client_max_body_size 0;
  client_body_buffer_size 128m;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {directory}/www;
    # Static files refuse POST, but only after `mirror` has read the whole body, which is what an
    # upload needs: nginx's own cheapest way to take a body and answer 200.
    location = /sink {{
      mirror /nothing;
      mirror_request_body on;
      error_page 405 =200 /answer;
    }}
    location = /nothing {{ internal; return 204; }}
  }}
}}
"""

FILES = {"128": 128, "1k": 1024, "10k": 10 * 1024, "100m": 100 * 1024**2, "sink": 0, "answer": 2}


@contextlib.contextmanager
def nginx(directory):
    """Yields the port of an nginx that serves FILES and swallows what is posted to /sink."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not program:
        raise BenchError("nginx not found (scripts/dev setup)")
    www = directory / "www"
    www.mkdir()
    for name, size in FILES.items():
        (www / name).write_bytes(os.urandom(1024 * 1024)[:size] * max(1, size // (1024 * 1024)))
    port = free_port()
    conf, log_file = directory / "nginx.conf", directory / "nginx.log"
    conf.write_text(NGINX.format(directory=directory, port=port))
    with process([program, "-e", log_file, "-c", conf, "-p", directory]) as child:
        wait_until(lambda: child.poll() is not None or can_connect(port), "nginx")
        if child.poll() is not None:
            raise BenchError("nginx did not start: " + log_file.read_text())
        yield port


def can_connect(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Holder:
    """An origin that takes requests and answers none: `held` counts those that it has in hand."""

    def __init__(self):
        self.held = 0
        self._connections = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self):
        with selectors.DefaultSelector() as selector:
            self._listener.setblocking(False)
            selector.register(self._listener, selectors.EVENT_READ, None)
            while self._listener.fileno() >= 0:
                for key, _ in selector.select(0.05):
                    if key.data is None:
                        self._take(selector)
                    else:
                        self._read(selector, key)

    def _take(self, selector):
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            self._connections.append(connection)
            selector.register(connection, selectors.EVENT_READ, bytearray())

    def _read(self, selector, key):
        try:
            data = key.fileobj.recv(65536)
        except OSError:
            data = b""
        if not data:
            selector.unregister(key.fileobj)
            return
        key.data.extend(data)
        self.held += key.data.count(b"\r\n\r\n")
        del key.data[:key.data.rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in key.data else 0]


class Splice:
    """The gateway's place: `worker_port` for the worker, `load_port` for h2load."""

    def __init__(self, program, certificates):
        self._command = [program, certificates.gateway, certificates.gateway_key, certificates.ca]
        self._is_ready = threading.Event()
        self._is_done = threading.Event()
        self.security = None
        self._last_refusal = "none dialled"
        self.worker_port = self.load_port = 0

    @contextlib.contextmanager
    def running(self):
        with process(self._command, stdout=subprocess.PIPE, text=True) as child:
            _, worker_port, load_port = child.stdout.readline().split()
            self.worker_port, self.load_port = int(worker_port), int(load_port)
            threading.Thread(target=self._listen, args=(child.stdout,), daemon=True).start()
            yield self

    def _listen(self, lines):
        for line in lines:
            word, *rest = line.split()
            if word == "ready":
                self.security = " ".join(rest)
                self._is_ready.set()
            else:
                self._is_ready.clear()
                if word == "refused":
                    self._last_refusal = " ".join(rest)
                elif word == "done":
                    self._is_done.set()
        self._is_ready.clear()

    @contextlib.contextmanager
    def one_run(self):
        """Entered when a worker has shaken hands and waits for its first request; left when the
        load generator's connection has ended."""
        if not self._is_ready.wait(START_SECONDS):
            raise BenchError(f"no worker connection came: {self._last_refusal}")
        self._is_done.clear()
        yield
        if not self._is_done.wait(START_SECONDS):
            raise BenchError("the splice did not see the end of the load")
