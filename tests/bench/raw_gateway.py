"""A gateway in a process of its own, for isolation.py: it accepts what the agent dials, and speaks
HTTP/2 by hand, so that it can be honest and count, or do what no HTTP/2 library would do."""

import collections
import contextlib
import multiprocessing
import os
import selectors
import socket
import ssl
import statistics
import time

import hpack

MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
REFUSED_STREAM = 7
WINDOW = (2**30).to_bytes(4, "big")


def frame(kind, flags, stream_id, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + \
        stream_id.to_bytes(4, "big") + payload


def fields(method, path):
    """GET or POST of the static table, https, and two literals that no table keeps."""
    return (b"\x82" if method == "GET" else b"\x83") + b"\x87\x01\x02gw" + \
        b"\x04" + bytes([len(path)]) + path.encode()


def request(stream_id, path, method="GET", flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream_id, fields(method, path))


class Link:
    """One accepted connection: bytes out without blocking, frames in."""

    def __init__(self, connection):
        self.connection = connection
        self.out, self._in = bytearray(), bytearray()
        self.attached = self.gone = False
        self.next_id = 1
        self.streams_max = 100
        self.decoder = hpack.Decoder()

    def _note_limit(self, settings):
        for at in range(0, len(settings), 6):
            if settings[at:at + 2] == b"\0\3":
                self.streams_max = int.from_bytes(settings[at + 2:at + 6], "big")

    def new_stream(self):
        self.next_id += 2
        return self.next_id - 2

    def greet(self, window=65535):
        self.out += MAGIC + frame(SETTINGS, 0, 0, b"\0\4" + window.to_bytes(4, "big"))
        self.out += frame(WINDOW_UPDATE, 0, 0, WINDOW)

    def send(self):
        with contextlib.suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
            while self.out:
                del self.out[:self.connection.send(bytes(self.out[:65536]))]

    def frames(self):
        """What has come, as (kind, flags, stream, payload); answers PING and SETTINGS."""
        with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
            while data := self.connection.recv(65536):
                self._in += data
            self.gone = True
        at = 0
        while len(self._in) - at >= 9:
            size = int.from_bytes(self._in[at:at + 3], "big")
            if len(self._in) - at < 9 + size:
                break
            kind, flags = self._in[at + 3], self._in[at + 4]
            stream_id = int.from_bytes(self._in[at + 5:at + 9], "big")
            payload = bytes(self._in[at + 9:at + 9 + size])
            at += 9 + size
            if kind == SETTINGS and not flags & ACK:
                self.out += frame(SETTINGS, ACK, 0)
                self._note_limit(payload)
            elif kind == SETTINGS:
                self.attached = True
            elif kind == PING and not flags & ACK:
                self.out += frame(PING, ACK, 0, payload)
            yield kind, flags, stream_id, payload
        del self._in[:at]


class Gateway:
    """Runs in the child: accepts links, obeys the parent. Subclasses say what it does with them."""

    window = 65535

    def __init__(self, certificate, key, orders):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        tls.set_alpn_protocols(["ph2"])
        self._tls, self.orders = tls, orders
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self._listener, selectors.EVENT_READ)
        self.selector.register(orders, selectors.EVENT_READ)
        self.link = None
        self.accepted = 0
        orders.send(self._listener.getsockname()[1])

    def run(self):
        while True:
            for key, _ in self.selector.select(self.patience()):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self.orders:
                    order = self.orders.recv()
                    if order is None:
                        return
                    self.obey(*order)
            if self.link:
                with self.may_break():
                    for item in self.link.frames():
                        self.on_frame(*item)
                    self.work()
                    self.link.send()
                    if self.link.gone:
                        self.drop()

    @contextlib.contextmanager
    def may_break(self):
        try:
            yield
        except (OSError, ssl.SSLError):
            self.drop()

    def _accept(self):
        connection, _ = self._listener.accept()
        connection.settimeout(5)
        try:
            secured = self._tls.wrap_socket(connection, server_side=True)
        except (OSError, ssl.SSLError):
            return
        secured.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured.setblocking(False)
        if self.link:
            self.drop()
        self.accepted += 1
        self.link = Link(secured)
        self.link.greet(self.window)
        self.selector.register(secured, selectors.EVENT_READ)
        self.on_link()
        with self.may_break():
            self.link.send()

    def drop(self):
        if self.link:
            self.selector.unregister(self.link.connection)
            self.link.connection.close()
            self.link = None

    def patience(self):
        return 0.02

    def on_link(self):
        pass

    def on_frame(self, kind, flags, stream_id, payload):
        pass

    def work(self):
        pass

    def obey(self, order, *arguments):
        raise NotImplementedError


class Honest(Gateway):
    """Asks at a constant rate, whatever the answers do, and says how long each took: from the time
    at which it was to be asked. It keeps to the agent's limit, and tries again what was refused before
    the origin saw it, as gateways do: both cost time."""

    def __init__(self, *arguments):
        # It measures: that it waits for a processor itself is not to count.
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        self._due = self._end = None
        self._asked, self._waiting = {}, collections.deque()
        super().__init__(*arguments)

    def obey(self, order, *arguments):
        if order == "attached":
            self.orders.send(bool(self.link and self.link.attached))
            return
        rate, seconds = arguments
        self._interval, self._due = 1 / rate, time.monotonic()
        self._end = self._due + seconds
        self._asked, self._took, self._failures = {}, [], collections.Counter()

    def patience(self):
        return 0.02 if self._due is None else max(0, min(self._due - time.monotonic(), 0.02))

    def work(self):
        if self._due is None or not self.link.attached:
            return
        now = time.monotonic()
        while self._due <= now and self._due < self._end:
            self._waiting.append(self._due)
            self._due += self._interval
        while self._waiting and len(self._asked) < self.link.streams_max:
            stream_id = self.link.new_stream()
            self._asked[stream_id] = self._waiting.popleft()
            self.link.out += request(stream_id, "/128")
        is_answered = not self._asked and not self._waiting
        over = self._due >= self._end and (is_answered or now > self._end + 5)
        if over:
            self._report("unanswered")

    def drop(self):
        super().drop()
        if self._due is not None:
            self._report("link lost")

    def _report(self, why_open):
        self._failures[why_open] += len(self._asked) + len(self._waiting)
        self._waiting.clear()
        self.orders.send((self._took, +self._failures))
        self._asked, self._due = {}, None

    def on_frame(self, kind, flags, stream_id, payload):
        if kind == HEADERS:
            status = dict(self.link.decoder.decode(payload))[":status"]
            if status != "200" and self._asked.pop(stream_id, None):
                self._failures["status " + status] += 1
        if kind == RESET and stream_id in self._asked:
            due = self._asked.pop(stream_id)
            if payload[-1] == REFUSED_STREAM:
                self._waiting.append(due)
            else:
                self._failures[f"reset {payload[-1]}"] += 1
        if kind in (HEADERS, DATA) and flags & END_STREAM and stream_id in self._asked:
            self._took.append(time.monotonic() - self._asked.pop(stream_id))


class Attacker(Gateway):
    """Does the attack that it is told, for as long as it is told."""

    def __init__(self, *arguments):
        # It is on the machine of those whom it attacks: it gets the time that they leave, so that
        # what they lose they lose to the agent's work for it, as they would if it were far away.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        self.attack = None
        self.done = 0
        super().__init__(*arguments)

    def obey(self, order, *arguments):
        if order == "start":
            self.attack = ATTACKS[arguments[0]]
            self.done = self.accepted = 0
            self.has_begun = False
            self.window = 0 if self.attack is stalls else 65535
            self.drop()  # Begins with a link of its own.
        else:
            self.attack = None
            self.window = 65535
            self.drop()
            self.orders.send((self.done, self.accepted))

    def patience(self):
        if self.attack is None or self.link is None or not self.link.attached:
            return 0.02
        return 0 if self.attack in (requests, resets, frames) else 0.005

    def on_link(self):
        self.open = set()
        self.served = False

    def on_frame(self, kind, flags, stream_id, payload):
        if stream_id and (kind == RESET or (kind in (HEADERS, DATA) and flags & END_STREAM)):
            self.open.discard(stream_id)

    def work(self):
        if not self.attack or not self.link.attached:
            return
        if not self.has_begun:
            self.has_begun = True
            self.orders.send("begun")
        if len(self.link.out) < 65536:
            self.attack(self)


def requests(gateway):
    """As many as go out, whatever the limit is."""
    for _ in range(500):
        gateway.link.out += request(gateway.link.new_stream(), "/128")
    gateway.done += 500


def full(gateway):
    """As many at once as the agent allows, all the time."""
    while len(gateway.open) < 80:
        stream_id = gateway.link.new_stream()
        gateway.open.add(stream_id)
        gateway.link.out += request(stream_id, "/128")
        gateway.done += 1


FLOOD = b"".join(frame(PING, 0, 0, bytes(8)) + frame(SETTINGS, 0, 0) + frame(0x4d, 0, 0, b"x")
                 + frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") for _ in range(100))


def frames(gateway):
    """PING, SETTINGS, unknown frames and WINDOW_UPDATE, until the agent has had enough."""
    gateway.link.out += FLOOD
    gateway.done += 400


def resets(gateway):
    """Each request is reset at once."""
    for _ in range(250):
        stream_id = gateway.link.new_stream()
        gateway.link.out += request(stream_id, "/10k") + frame(RESET, 0, stream_id, b"\0\0\0\x08")
    gateway.done += 250


def stalls(gateway):
    """Downloads that are not taken, and uploads of a byte now and then."""
    if not gateway.served:
        gateway.served = True
        gateway.uploads = []
        for _ in range(40):
            gateway.link.out += request(gateway.link.new_stream(), "/100m")
        for _ in range(30):
            gateway.uploads.append(gateway.link.new_stream())
            gateway.link.out += request(gateway.uploads[-1], "/sink", "POST", END_HEADERS)
        gateway.done += 70
    if int(time.monotonic() * 5) % 2 == 0:
        gateway.link.out += b"".join(frame(DATA, 0, each, b"x") for each in gateway.uploads[:3])


def downloads(gateway):
    """Large ones, as fast as they come."""
    while len(gateway.open) < 20:
        stream_id = gateway.link.new_stream()
        gateway.open.add(stream_id)
        gateway.link.out += request(stream_id, "/100m")
        gateway.link.out += frame(WINDOW_UPDATE, 0, stream_id, WINDOW)
        gateway.done += 1


def closes(gateway):
    """Says goodbye as soon as the link is attached, or just goes."""
    gateway.done += 1
    if gateway.done % 2:
        gateway.link.out += frame(GOAWAY, 0, 0, bytes(8))
        gateway.link.send()
    raise ConnectionError("gone")


ATTACKS = {attack.__name__: attack
           for attack in (requests, full, frames, resets, stalls, downloads, closes)}


class Child:
    """The parent's view of one."""

    def __init__(self, kind, certificates):
        self.orders, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(
            target=run, daemon=True,
            args=(kind, str(certificates.gateway), str(certificates.gateway_key), theirs))

    def __enter__(self):
        self._process.start()
        self.port = self.orders.recv()
        return self

    def __exit__(self, *_):
        self.orders.send(None)
        self._process.join(5)
        self._process.kill()

    def ask(self, *order):
        self.orders.send(order)
        return self.orders.recv()


def run(kind, certificate, key, orders):
    with contextlib.suppress(KeyboardInterrupt, EOFError, BrokenPipeError):
        kind(certificate, key, orders).run()


def quantiles(took):
    """p50 and p99 in milliseconds."""
    cuts = statistics.quantiles(took, n=100)
    return cuts[49] * 1e3, cuts[98] * 1e3
