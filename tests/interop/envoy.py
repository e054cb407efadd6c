"""An Envoy as gateway, emulated from what it does on the wire: real sockets, real TLS, an HTTP/2 client
of python3-h2. The test plays it step by step, so that it can say everything at any moment."""

import contextlib
import socket
import ssl

from http2_client import Http2Client

TIMEOUT = 20
PING = b"RPING"


class Connection:
    """A worker's connection. What is written and read goes through TLS until leave_tls()."""

    def __init__(self, raw, context):
        self.raw = raw
        self.raw.settimeout(TIMEOUT)
        self._tls = None
        self.begin_tls(context, server_side=True)

    def begin_tls(self, context, server_side, **parameters):
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side,
                                     **parameters)
        self._drive(self._tls.do_handshake)

    def leave_tls(self):
        """Without close_notify: what comes next is raw."""
        self._flush()
        self._tls = None

    def _flush(self):
        if self._outgoing.pending:
            self.raw.sendall(self._outgoing.read())

    def _drive(self, call, *arguments):
        while True:
            try:
                result = call(*arguments)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self.raw.recv(65536)
                if not data:
                    return b""
                self._incoming.write(data)

    def record(self, data):
        """The bytes of the record that carries the data, not sent yet."""
        self._tls.write(data)
        return self._outgoing.read()

    def send(self, data):
        if self._tls is None:
            self.raw.sendall(data)
        else:
            self._drive(self._tls.write, data)

    def receive(self):
        if self._tls is None:
            return self.raw.recv(65536)
        try:
            return self._drive(self._tls.read, 65536)
        except ssl.SSLZeroReturnError:
            return b""

    def receive_exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.receive() if self._tls else self.raw.recv(count - len(data))
            assert more, data
            data += more
        return data

    def is_silent(self):
        """Nothing has come so far."""
        self.raw.setblocking(False)
        try:
            return self.raw.recv(1, socket.MSG_PEEK) and False
        except BlockingIOError:
            return True
        finally:
            self.raw.settimeout(TIMEOUT)

    def hello(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = self.receive()
            assert more, head
            head += more
        lines = head.decode().split("\r\n")
        self.request = lines[0]
        self.fields = dict(line.split(": ", 1) for line in lines[1:-2])
        return self

    def ping(self, count=1):
        self.send(PING * count)
        assert self.receive_exactly(5 * count) == PING * count

    def is_closed(self):
        try:
            while self.receive():
                pass
        except (OSError, ssl.SSLError):
            pass
        return True

    def request_over_http2(self, path="/"):
        return Http2Client(self).request(path)


class Envoy:
    def __init__(self, certificates):
        self.outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.outer.load_cert_chain(certificates.gateway, certificates.gateway_key)
        self.outer.load_verify_locations(certificates.ca)
        self.outer.verify_mode = ssl.CERT_REQUIRED
        # Behind the hello it is the client.
        self.inner = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.inner.load_verify_locations(certificates.ca)
        self.inner.load_cert_chain(certificates.gateway, certificates.gateway_key)
        self.inner.check_hostname = False
        self.inner.set_alpn_protocols(["h2"])
        self.connections = []

    @contextlib.contextmanager
    def running(self):
        with socket.create_server(("127.0.0.1", 0)) as self._listener:
            self._listener.settimeout(TIMEOUT)
            self.port = self._listener.getsockname()[1]
            try:
                yield self
            finally:
                for connection in self.connections:
                    connection.raw.close()

    def next_hello(self):
        raw, _ = self._listener.accept()
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(raw, self.outer)
        self.connections.append(connection)
        return connection.hello()
