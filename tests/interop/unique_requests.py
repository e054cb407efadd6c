"""Requests that cannot be mistaken for one another, and the origin that counts them: `Users` send
POST requests, each with an id and a body of its own, and compare every answer; `Counter` answers with
the digest of what arrived, the id and the same body, and knows how often it saw each id. Both are
processes with one thread and epoll, because there are a hundred thousand requests:

    unique_requests.py users PORT HOST PREFIX CONNECTIONS COUNT
    unique_requests.py origin

Users go on until they have been told to stop (standard input ends) and COUNT requests were answered."""

import collections
import contextlib
import hashlib
import heapq
import json
import random
import re
import select
import socket
import subprocess
import sys
import threading
import time

SIZE_MAX = 200_000
# Every so many requests: a large body; an answer that takes a while, so that every drain has to wait
# for something.
LARGE_EVERY, SLOW_EVERY, SLOW_SECONDS = 251, 31, 0.05
PROGRESS_EVERY = 20
READ_MAX = 256 * 1024
LISTED_MAX = 10


class Message:
    """An HTTP/1.1 message out of the bytes of a connection, with a length or in chunks."""

    LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
    ID = re.compile(rb"\r\nx-id: *(\S+)", re.I)

    def __init__(self):
        self._bytes = bytearray()
        self._start_over()

    def _start_over(self):
        self.head, self.id, self._length, self._body_at, self._chunks = None, "", 0, 0, []

    def feed(self, data):
        self._bytes += data

    def read_head(self):
        """Whether the head is there now, and was not before."""
        end = self._bytes.find(b"\r\n\r\n")
        if self.head is not None or end < 0:
            return False
        self.head = bytes(self._bytes[:end])
        found, length = self.ID.search(self.head), self.LENGTH.search(self.head)
        self.id = found[1].decode() if found else ""
        self._length = int(length[1]) if length else None
        self._body_at = end + 4
        return True

    @property
    def is_chunked(self):
        return self._length is None

    def take_body(self):
        """The body once it is whole; the next message begins behind it."""
        if self.head is None:
            return None
        if self.is_chunked:
            return self._take_chunks()
        end = self._body_at + self._length
        return self._take(bytes(self._bytes[self._body_at:end]), end) if len(self._bytes) >= end else None

    def _take_chunks(self):
        while (line_end := self._bytes.find(b"\r\n", self._body_at)) >= 0:
            size = int(self._bytes[self._body_at:line_end], 16)
            end = line_end + 2 + size
            if len(self._bytes) < end + 2:
                break
            if size == 0:
                return self._take(b"".join(self._chunks), end + 2)
            self._chunks.append(bytes(self._bytes[line_end + 2:end]))
            self._body_at = end + 2
        return None

    def _take(self, body, end):
        del self._bytes[:end]
        self._start_over()
        return body


def framed(start_line, fields, body, is_chunked):
    lines = [start_line, *fields]
    if not is_chunked:
        return "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode() + body
    pieces = (body[:len(body) // 3], body[len(body) // 3:])
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    return "\r\n".join((*lines, "Transfer-Encoding: chunked", "", "")).encode() + chunks + b"0\r\n\r\n"


class Connection:
    def __init__(self, sock):
        self.socket, self.message, self._unsent = sock, Message(), b""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data=b""):
        """Gives the events to wait for."""
        self._unsent += data
        with contextlib.suppress(BlockingIOError):
            self._unsent = self._unsent[self.socket.send(self._unsent):]
        return select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0)


class CountingOrigin:
    def __init__(self):
        self._seen = collections.Counter()
        self._mixed_up = []
        self._connections, self._late, self._order = {}, [], 0
        self._poll = select.epoll()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._poll.register(self._listener, select.EPOLLIN)
        self._poll.register(sys.stdin, select.EPOLLIN)
        print(self._listener.getsockname()[1], flush=True)

    def run(self):
        while True:
            wait = max(0, self._late[0][0] - time.monotonic()) if self._late else -1
            for number, _ in self._poll.poll(wait):
                if number == sys.stdin.fileno():
                    return self._report()
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._advance(self._connections[number])
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, connection, answer = heapq.heappop(self._late)
                self._send(connection, answer)

    def _report(self):
        doubled = [name for name, count in self._seen.items() if count > 1]
        print(json.dumps({"requests": self._seen.total(), "ids": len(self._seen), "doubled": doubled[:LISTED_MAX],
                          "mixed_up": self._mixed_up[:LISTED_MAX]}), flush=True)

    def _accept(self):
        sock, _ = self._listener.accept()
        self._connections[sock.fileno()] = Connection(sock)
        self._poll.register(sock, select.EPOLLIN)

    def _advance(self, connection):
        self._send(connection)
        try:
            data = connection.socket.recv(READ_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            connection.message.feed(data)
            self._take_request(connection)
        else:
            del self._connections[connection.socket.fileno()]
            connection.socket.close()

    def _take_request(self, connection):
        message = connection.message
        if message.read_head():
            # Counted before it is whole: half a request that comes again is one too many.
            self._seen[message.id] += 1
        head, name, is_chunked = message.head, message.id, message.is_chunked
        body = message.take_body()
        if body is None:
            return
        if not head.startswith(f"POST /{name} ".encode()) or not body.startswith(f"{name} ".encode()):
            self._mixed_up.append(name)
        self._answer(connection, name, body, is_chunked)

    def _answer(self, connection, name, body, is_chunked):
        answer = framed("HTTP/1.1 200 OK", (f"X-Id: {name}", f"X-Sha256: {hashlib.sha256(body).hexdigest()}"),
                        body, is_chunked)
        if sum(name.encode()) % SLOW_EVERY:
            self._send(connection, answer)
        else:
            self._order += 1
            heapq.heappush(self._late, (time.monotonic() + SLOW_SECONDS, self._order, connection, answer))

    def _send(self, connection, data=b""):
        with contextlib.suppress(OSError):
            self._poll.modify(connection.socket, connection.send(data))


class User(Connection):
    """One of those who ask: a connection with one request at a time."""

    def __init__(self, port):
        super().__init__(socket.create_connection(("127.0.0.1", port)))
        self.name, self.body = None, b""

    def ask(self, host, name, body, is_chunked):
        self.name, self.body = name, body
        return self.send(framed(f"POST /{name} HTTP/1.1", (f"Host: {host}", f"X-Id: {name}"), body, is_chunked))

    def read_answer(self):
        """None while it is not whole; else what is wrong with it, or an empty text."""
        try:
            data = self.socket.recv(READ_MAX)
        except BlockingIOError:
            return None
        except OSError as error:
            return f"{self.name}: {error}"
        if not data:
            return f"{self.name}: the connection was closed"
        self.message.feed(data)
        self.message.read_head()
        head, name = self.message.head, self.message.id
        body = self.message.take_body()
        return None if body is None else self._wrong_with(head, name, body)

    def _wrong_with(self, head, name, body):
        if not head.startswith(b"HTTP/1.1 200 "):
            return f"{self.name}: {head.splitlines()[0].decode()}"
        if name != self.name or body != self.body:
            return f"{self.name}: mixed up, this is the answer to {name}"
        if hashlib.sha256(self.body).hexdigest().encode() not in head:
            return f"{self.name}: the origin got other bytes"
        return ""


class AllUsers:
    def __init__(self, port, host, prefix, connections, count):
        self._host, self._prefix, self._count = host, prefix, count
        self._poll = select.epoll()
        self._poll.register(sys.stdin, select.EPOLLIN)
        self._sent = self._answered = 0
        self._stop_told = False
        self._wrong = []
        self._noise = random.Random(prefix).randbytes(2 * SIZE_MAX)
        self._users = {}
        for _ in range(connections):
            user = User(port)
            self._users[user.socket.fileno()] = user
            self._poll.register(user.socket, select.EPOLLIN)

    def run(self):
        for user in list(self._users.values()):
            self._ask(user)
        while self._users:
            for number, events in self._poll.poll():
                if number == sys.stdin.fileno():
                    self._stop_told = True
                    self._poll.unregister(sys.stdin)
                elif number in self._users:
                    self._advance(self._users[number], events)
        print(json.dumps({"sent": self._sent, "answered": self._answered, "wrong": self._wrong}), flush=True)

    def _ask(self, user):
        if self._stop_told and self._sent >= self._count:
            return self._dismiss(user)
        number = self._sent
        self._sent += 1
        name = f"{self._prefix}-{number}"
        size = SIZE_MAX if number % LARGE_EVERY == 0 else number * 7919 % 3000
        at = number * 104_729 % SIZE_MAX
        self._wait(user, user.ask(self._host, name, f"{name} ".encode() + self._noise[at:at + size], number % 4 == 3))
        return None

    def _wait(self, user, events):
        self._poll.modify(user.socket, events)

    def _advance(self, user, events):
        if events & select.EPOLLOUT:
            try:
                self._wait(user, user.send())
            except OSError as error:
                return self._complain(user, f"{user.name}: {error}")
        wrong = user.read_answer()
        if wrong:
            return self._complain(user, wrong)
        if wrong == "":
            self._answered += 1
            if self._answered % PROGRESS_EVERY == 0:
                print(self._answered, flush=True)
            self._ask(user)
        return None

    def _complain(self, user, wrong):
        # Whoever was let down does not come back: what follows on that connection would prove nothing.
        self._wrong.append(wrong)
        self._dismiss(user)

    def _dismiss(self, user):
        del self._users[user.socket.fileno()]
        user.socket.close()


class Child:
    def __init__(self, *arguments):
        self._child = subprocess.Popen([sys.executable, __file__, *map(str, arguments)], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)

    def finish(self):
        """Tells it to stop; gives what it has to report, once."""
        self._child.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._child.kill()
        self._child.wait()
        self._child.stdin.close()


class Counter(Child):
    """The origin, as a process."""

    def __init__(self):
        super().__init__("origin")
        self.url = f"http://127.0.0.1:{int(self._child.stdout.readline())}"

    def report(self):
        self.finish()
        return json.loads(self._child.stdout.readline())


class Users(Child):
    """The load, as a process. `wrong` of its report says of each request that failed what was seen."""

    CONNECTIONS = 24

    def __init__(self, port, prefix, count, host):
        super().__init__("users", port, host, prefix, self.CONNECTIONS, count)
        self._changed = threading.Condition()
        self.answered, self._report = 0, None
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self._child.stdout:
            with self._changed:
                if line.startswith("{"):
                    self._report = json.loads(line)
                else:
                    self.answered = int(line)
                self._changed.notify_all()

    def wait_for(self, answered, seconds=120):
        """Until so many requests were answered, or nobody is left who asks."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.answered >= answered or self._report, seconds), \
                f"{self.answered} of {answered} answers within {seconds} s"
            assert not self._report, self._report

    def report(self, seconds=120):
        self.finish()
        self._reader.join(seconds)
        assert self._report, f"no end of the load within {seconds} s"
        return self._report

    def __exit__(self, *_):
        super().__exit__(*_)
        self._reader.join()


def main():
    if sys.argv[1] == "origin":
        CountingOrigin().run()
    else:
        port, host, prefix, connections, count = sys.argv[2:]
        AllUsers(int(port), host, prefix, int(connections), int(count)).run()


if __name__ == "__main__":
    main()
