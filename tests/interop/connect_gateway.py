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


class Tunnel:
    """A worker's connection, and the one stream that it opens. send() and receive() are inside it."""

    def __init__(self, stream, takes_connect, window):
        self._stream, self._inside, self._ended = stream, [], False
        self._http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._http2.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: int(takes_connect),
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self._http2.initiate_connection()
        self._flush()
        self.fields, self.id = None, None
        self.connection_ended = False

    def _flush(self):
        data = self._http2.data_to_send()
        if data:
            self._stream.sendall(data)

    def _turn(self):
        """Reads once. False at the end of the connection."""
        try:
            data = self._stream.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.connection_ended = True
            return False
        for event in self._http2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.fields = {name.decode(): value.decode() for name, value in event.headers}
                self.id = event.stream_id
            elif isinstance(event, h2.events.DataReceived):
                self._inside.append(event.data)
                self._http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                self._ended = True
        self._flush()
        return True

    def hello(self):
        while self.fields is None:
            assert self._turn(), "closed before the hello"
        return self

    def answer(self, status, *fields, body=None):
        self._http2.send_headers(self.id, [(":status", str(status)), *fields])
        if body is not None:
            self._http2.send_data(self.id, body, end_stream=True)
        self._flush()

    def accept(self):
        self.answer(200, ("alpn", "h2"))
        return self

    def send(self, data):
        while data:
            count = min(len(data), self._http2.max_outbound_frame_size,
                        self._http2.local_flow_control_window(self.id))
            if count == 0:
                self._flush()
                assert self._turn(), "closed while the tunnel was full"
                continue
            self._http2.send_data(self.id, data[:count])
            data = data[count:]
        self._flush()

    def receive(self):
        while not self._inside:
            if self._ended or not self._turn():
                return b""
        data = b"".join(self._inside)
        self._inside.clear()
        return data

    def end(self):
        self._http2.end_stream(self.id)
        self._flush()

    def reset(self):
        self._http2.reset_stream(self.id, 7)
        self._flush()

    def goaway(self):
        """Without our stream."""
        self._http2.close_connection(last_stream_id=0)
        self._flush()

    def cut(self):
        self._stream.close()

    def await_end(self):
        while self._turn():
            pass


class ConnectGateway:
    def __init__(self, certificates, takes_connect=True, window=65535):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.gateway, certificates.gateway_key)
        self._context.load_verify_locations(certificates.ca)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.set_alpn_protocols(["h2"])
        self._takes_connect, self._window = takes_connect, window
        self._streams = []

    @contextlib.contextmanager
    def running(self):
        with socket.create_server(("127.0.0.1", 0)) as self._listener:
            self._listener.settimeout(TIMEOUT)
            self.port = self._listener.getsockname()[1]
            try:
                yield self
            finally:
                for stream in self._streams:
                    stream.close()

    def accept(self):
        raw, _ = self._listener.accept()
        raw.settimeout(TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = self._context.wrap_socket(raw, server_side=True)
        self._streams.append(stream)
        return Tunnel(stream, self._takes_connect, self._window)

    def next_hello(self):
        return self.accept().hello()
