"""An HTTP/2 client of python3-h2 on anything that has send(bytes) and receive(): what a gateway is on a
reversed connection."""

import h2.config
import h2.connection
import h2.events


class Http2Client:
    def __init__(self, channel):
        self.channel = channel
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.connection.initiate_connection()
        self._unread, self.is_left = b"", False
        self._flush()

    def _receive(self, data):
        """All but GOAWAY, behind which python3-h2 would want nothing."""
        self._unread, wanted = self._unread + data, b""
        while len(self._unread) >= 9:
            size = 9 + int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < size:
                break
            frame, self._unread = self._unread[:size], self._unread[size:]
            if frame[3] == 7:
                self.is_left = True
            else:
                wanted += frame
        return self.connection.receive_data(wanted)

    def _flush(self):
        data = self.connection.data_to_send()
        if data:
            self.channel.send(data)

    def request(self, path="/", body=None):
        """(status, body) of the whole answer."""
        self.begin(path, body)
        return self.finish()

    def begin(self, path="/", body=None):
        self._stream = self.connection.get_next_available_stream_id()
        self.connection.send_headers(self._stream, [
            (":method", "GET" if body is None else "POST"), (":scheme", "https"),
            (":authority", "app.example"), (":path", path)], end_stream=body is None)
        self._status, self._answer, self._complete = None, b"", False
        self._left = b"" if body is None else body
        self._upload_ends = body is not None
        self._upload()

    def finish(self):
        while not self._complete:
            data = self.channel.receive()
            assert data, "closed in mid-answer"
            self._take(self._receive(data))
            self._upload()
        return self._status, self._answer

    def await_end(self):
        """Of what the worker sends; its PINGs are answered until then."""
        while data := self.channel.receive():
            self._take(self._receive(data))
            self._flush()

    def _upload(self):
        while self._left:
            count = min(len(self._left), self.connection.max_outbound_frame_size,
                        self.connection.local_flow_control_window(self._stream))
            if count == 0:
                break
            self.connection.send_data(self._stream, self._left[:count])
            self._left = self._left[count:]
        if self._upload_ends and not self._left:
            self._upload_ends = False
            self.connection.end_stream(self._stream)
        self._flush()

    def _take(self, events):
        for event in events:
            if isinstance(event, h2.events.ResponseReceived):
                self._status = dict(event.headers)[b":status"].decode()
            elif isinstance(event, h2.events.DataReceived):
                self._answer += event.data
                self.connection.acknowledge_received_data(event.flow_controlled_length,
                                                          event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self._complete = True
            elif isinstance(event, h2.events.StreamReset):
                raise AssertionError(f"reset: {event.error_code}")
