"""A gateway that takes extended CONNECT (RFC 8441), with python3-h2 on both floors: the server that is
asked, and the client inside the tunnel. The test plays it step by step."""

import contextlib
import socket
import ssl

import h2.config
import h2.connection
import h2.events
import h2.settings

TIMEOUT = 20


class Outer:
    """A worker's connection. Each stream that it opens is a Tunnel."""

    def __init__(self, stream, takes_connect, window, streams_max):
        self._stream, self._hellos = stream, []
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.http2.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: int(takes_connect),
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: streams_max,
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.http2.initiate_connection()
        self.flush()
        self.tunnels = {}
        self.connection_ended, self.is_left = False, False

    def flush(self):
        data = self.http2.data_to_send()
        if data:
            self._stream.sendall(data)

    def turn(self):
        """Reads once. False at the end of the connection."""
        try:
            data = self._stream.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.connection_ended = True
            return False
        for event in self.http2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                tunnel = Tunnel(self, event)
                self.tunnels[event.stream_id] = tunnel
                self._hellos.append(tunnel)
            elif isinstance(event, h2.events.DataReceived):
                self.tunnels[event.stream_id].take(event)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                tunnel = self.tunnels[event.stream_id]
                tunnel.ended = True
                tunnel.is_gone |= isinstance(event, h2.events.StreamReset)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.is_left = True
        self.flush()
        return True

    def next_hello(self):
        while not self._hellos:
            assert self.turn(), "closed before the hello"
        return self._hellos.pop(0)

    def goaway(self, last_stream_id):
        """python3-h2 sends nothing behind it; the streams that it covers go on, so it is written by
        hand."""
        self._stream.sendall(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" +
                             last_stream_id.to_bytes(4, "big") + bytes(4))

    def cut(self):
        self._stream.close()

    def await_end(self):
        while self.turn():
            pass


class Tunnel:
    """One stream that a worker has opened. send() and receive() are inside it."""

    def __init__(self, outer, hello):
        self.outer, self.id = outer, hello.stream_id
        self.fields = {name.decode(): value.decode() for name, value in hello.headers}
        self.is_taking, self.ended, self.is_gone = True, False, False
        self._inside, self._owed = [], 0

    @property
    def connection_ended(self):
        return self.outer.connection_ended

    def take(self, data):
        self._inside.append(data.data)
        self._owed += data.flow_controlled_length
        self.give_credit()

    def give_credit(self):
        if self.is_taking and self._owed and not self.ended:
            self.outer.http2.acknowledge_received_data(self._owed, self.id)
            self._owed = 0

    def answer(self, status, *fields, body=None):
        self.outer.http2.send_headers(self.id, [(":status", str(status)), *fields])
        if body is not None:
            self.outer.http2.send_data(self.id, body, end_stream=True)
        self.outer.flush()

    def accept(self, channel="h2"):
        self.answer(200, ("alpn", channel))
        return self

    def send(self, data):
        while data:
            count = min(len(data), self.outer.http2.max_outbound_frame_size,
                        self.outer.http2.local_flow_control_window(self.id))
            if count == 0:
                self.outer.flush()
                assert self.outer.turn(), "closed while the tunnel was full"
                continue
            self.outer.http2.send_data(self.id, data[:count])
            data = data[count:]
        self.outer.flush()

    def receive(self):
        while not self._inside:
            if self.ended or not self.outer.turn():
                return b""
        data = b"".join(self._inside)
        self._inside.clear()
        return data

    def end(self):
        """Unless the worker has given the stream up behind its own end."""
        if self.is_gone or self.outer.is_left:
            return
        self.outer.http2.end_stream(self.id)
        self.outer.flush()

    def reset(self):
        self.outer.http2.reset_stream(self.id, 7)
        self.outer.flush()

    def goaway(self):
        """Without our stream."""
        self.outer.http2.close_connection(last_stream_id=0)
        self.outer.flush()

    def cut(self):
        self.outer.cut()

    def await_end(self):
        self.outer.await_end()


class ConnectGateway:
    def __init__(self, certificates, takes_connect=True, window=65535, streams_max=100,
                 address="127.0.0.1", asks_who=True):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.gateway, certificates.gateway_key)
        self._context.load_verify_locations(certificates.ca)
        self._context.verify_mode = ssl.CERT_REQUIRED if asks_who else ssl.CERT_NONE
        self.offer("h2")
        self.takes_connect, self._window, self._streams_max = takes_connect, window, streams_max
        self._address, self._streams = address, []

    @contextlib.contextmanager
    def running(self):
        with socket.create_server((self._address, 0)) as self._listener:
            self._listener.settimeout(TIMEOUT)
            self.port = self._listener.getsockname()[1]
            try:
                yield self
            finally:
                for stream in self._streams:
                    stream.close()

    def offer(self, *ids):
        """The ALPN ids of connections that are accepted from now on, the best first."""
        self._context.set_alpn_protocols(list(ids))

    def accept_stream(self):
        """Secured; without an ALPN id if the worker offers none of ours."""
        raw, _ = self._listener.accept()
        raw.settimeout(TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = self._context.wrap_socket(raw, server_side=True)
        self._streams.append(stream)
        return stream

    def accept(self):
        return Outer(self.accept_stream(), self.takes_connect, self._window, self._streams_max)

    def next_hello(self):
        """The first of a new connection."""
        return self.accept().next_hello()
