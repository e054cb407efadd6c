"""Node as a gateway, in each way to reverse that it can play: node_gateway.mjs and the agent that
dials it."""

import contextlib
import hashlib
import json
import subprocess
import threading
from pathlib import Path

from peers import Agent, Origin, plain

PROGRAM = Path(__file__).with_name("node_gateway.mjs")

# What each profile needs: of the gateway, and of the agent.
PROFILES = {
    "direct": ({"alpn": "ph2"}, ("--alpn", "ph2")),
    # An id that is no text, as in the newest revision.
    "potato": ({"alpnBytes": "d587c9a5"}, ()),
    "h2-reverse": ({"alpn": "h2-reverse"}, ("--serve", "https://app.example,https://*.x.example:8443")),
    "ptth": ({"upgrade": {"token": "ptth", "offer": "alpn", "choice": "ALPN"}},
             ("--serve", "https://app.example")),
    "reverse": ({"upgrade": {"token": "reverse", "offer": "alpn", "choice": "Selected-ALPN"}},
                ("--hello-uri", "https://gw.test/worker1")),
}


class NodeGateway:
    def __init__(self, certificates, program=PROGRAM, **options):
        self.lines, self._changed, self._next = [], threading.Condition(), 0
        self._child = subprocess.Popen(
            ["node", program, certificates.gateway, certificates.gateway_key, certificates.ca,
             json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)

    @contextlib.contextmanager
    def running(self):
        self._reader.start()
        try:
            self.port = self.wait_for(lambda line: "port" in line)["port"]
            yield self
        finally:
            self._child.stdin.close()
            self._child.wait(20)
            self._reader.join()

    def _read(self):
        for line in self._child.stdout:
            with self._changed:
                self.lines.append(json.loads(line))
                self._changed.notify_all()

    def wait_for(self, predicate, count=1, seconds=60):
        def found():
            return [line for line in self.lines if predicate(line)]
        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, seconds), self.lines
            return found()[count - 1]

    def tell(self, **message):
        self._child.stdin.write(json.dumps(message) + "\n")
        self._child.stdin.flush()

    def ask(self, **request):
        self._next += 1
        number = self._next
        self.tell(id=number, **request)
        return self.wait_for(lambda line: line.get("id") == number)



@contextlib.contextmanager
def stage(certificates, answer, *options, profile="direct", wait=True, admin="off",
          **gateway_options):
    of_gateway, of_agent = PROFILES[profile]
    with NodeGateway(certificates, **{**of_gateway, **gateway_options}).running() as gateway, \
            Origin(answer).running() as origin, \
            Agent(gateway.port, certificates, origin.url, "--profile", profile, *of_agent,
                  *options, admin=admin).running(wait=wait) as agent:
        yield gateway, origin, agent


def echo(request, write):
    body = b"".join(request.body())
    write(plain(json.dumps({"method": request.method, "path": request.path,
                            "fields": request.fields, "trailers": request.trailers,
                            "length": len(body), "digest": hashlib.sha256(body).hexdigest()}
                           ).encode()))
