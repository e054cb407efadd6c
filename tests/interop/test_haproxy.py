"""HAProxy 3.x as the gateway: what its users see, and what the agent does when HAProxy misbehaves
as it is known to."""

import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import (BULK_BYTES, IS_SANITIZED, MANY_REQUESTS, Agent, Certificates, Gateway,  # noqa: E402
                   MountedCertificates, Origin, curl, h2load, nginx, pattern, pattern_digest, plain, wait_until)


@pytest.fixture(params=["recommended", "minimal"])
def gateway(request, tmp_path, certificates):
    gateway = Gateway(tmp_path, certificates, request.param)
    with gateway.running():
        yield gateway


@pytest.fixture
def recommended(tmp_path, certificates):
    gateway = Gateway(tmp_path, certificates)
    with gateway.running():
        yield gateway


def echo(request, write):
    """Says what arrived, as JSON."""
    body = b"".join(request.body())
    write(plain(json.dumps({"method": request.method, "path": request.path,
                            "fields": request.fields, "trailers": request.trailers,
                            "body": body.decode()}).encode()))


def test_requests_of_both_http_versions_arrive_as_they_were_sent(gateway, certificates):
    with Origin(echo).running() as origin, \
            Agent(gateway.workers, certificates, origin.url).running():
        for url, more in ((gateway.url, []), (gateway.http2_url, ["--http2-prior-knowledge"])):
            seen = json.loads(curl(*more, "-X", "PATCH", "-d", "a=b", "-H", "Host: app.example",
                                   "--path-as-is", url("/a//b/../c?d=%20")).stdout)
            assert seen["method"] == "PATCH"
            assert seen["path"] == "/a//b/../c?d=%20"
            assert seen["fields"]["host"] == "app.example"
            assert seen["body"] == "a=b"
            assert "2.0 ptth-agent" in seen["fields"]["via"]


def test_a_body_of_unknown_length_arrives_whole(gateway, certificates):
    with Origin(echo).running() as origin, \
            Agent(gateway.workers, certificates, origin.url).running():
        seen = json.loads(curl("-H", "Transfer-Encoding: chunked", "--data-binary", "x" * 100_000,
                               gateway.url("/")).stdout)
        assert seen["body"] == "x" * 100_000
        assert seen["fields"]["transfer-encoding"] == "chunked"


def test_head_204_and_304_have_no_body(gateway, certificates):
    def answer(request, write):
        if request.method == "HEAD":
            write(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
        elif request.path == "/204":
            write(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            write(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n")

    with Origin(answer).running() as origin, \
            Agent(gateway.workers, certificates, origin.url).running():
        head = curl("-I", gateway.url("/")).stdout.decode().lower()
        assert "content-length: 1234" in head
        for path in ("/204", "/304"):
            done = curl("-o", "-", "-w", "%{http_code}", gateway.url(path))
            assert done.stdout.decode() == path[1:]
        # The same connection to the origin is still good.
        assert curl("-I", gateway.url("/")).returncode == 0


def test_interim_answers_and_trailers_pass(recommended, certificates):
    def answer(request, write):
        write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: digest\r\n\r\n"
              b"5\r\nhello\r\n0\r\nDigest: abc\r\n\r\n")

    with Origin(answer).running() as origin, \
            Agent(recommended.workers, certificates, origin.url).running():
        with socket.create_connection(("127.0.0.1", recommended.http1), 20) as user:
            user.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n")
            said = b""
            while block := user.recv(65536):
                said += block
        assert b" 103 " in said and b"</a.css>" in said
        assert b"hello" in said
        assert b"digest: abc" in said.lower()


def test_an_answer_leaves_while_the_origin_still_writes_it(recommended, certificates):
    go_on = threading.Event()

    def answer(request, write):
        write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert go_on.wait(20)
        write(b"4\r\nlast\r\n0\r\n\r\n")

    with Origin(answer).running() as origin, \
            Agent(recommended.workers, certificates, origin.url).running():
        with socket.create_connection(("127.0.0.1", recommended.http1), 20) as user:
            user.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            said = b""
            while b"first" not in said:
                said += user.recv(65536)
            go_on.set()
            while block := user.recv(65536):
                said += block
        assert b"last" in said


def test_a_large_download_and_upload_are_the_same_bytes_in_flat_memory(recommended, certificates):
    def answer(request, write):
        if request.method == "GET":
            write(f"HTTP/1.1 200 OK\r\nContent-Length: {BULK_BYTES}\r\n\r\n".encode())
            for block in pattern(BULK_BYTES):
                write(block)
            return
        digest = hashlib.sha256()
        for block in request.body():
            digest.update(block)
        write(plain(digest.hexdigest().encode()))

    expected = pattern_digest(BULK_BYTES)
    with Origin(answer).running() as origin, \
            Agent(recommended.workers, certificates, origin.url).running() as agent:
        curl(recommended.url("/warm-up"), "-r", "0-0", "-o", "/dev/null", "--max-filesize", 1,
             check=False)
        before = agent.peak_kib()
        digest = hashlib.sha256()
        with subprocess.Popen(["curl", "-sS", recommended.url("/")],
                              stdout=subprocess.PIPE) as download:
            while block := download.stdout.read(1024 * 1024):
                digest.update(block)
        assert download.returncode == 0
        assert digest.hexdigest() == expected
        with subprocess.Popen(["curl", "-sS", "-T", "-", recommended.url("/")],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as upload:
            for block in pattern(BULK_BYTES):
                upload.stdin.write(block)
            upload.stdin.close()
            assert upload.stdout.read().decode() == expected
        # The windows and buffers of one exchange, not the size of the body. A sanitizer keeps what
        # was freed.
        assert IS_SANITIZED or agent.peak_kib() - before < 32 * 1024


def test_many_requests_to_nginx_without_one_error(recommended, certificates, tmp_path):
    with nginx(tmp_path) as port, \
            Agent(recommended.workers, certificates, f"http://127.0.0.1:{port}").running() as agent:
        result = h2load("-n", MANY_REQUESTS, "-c", 4, "-m", 20, recommended.http2_url("/128"))
        assert result["2xx"] == MANY_REQUESTS
        agent.wait_for(lambda line: line["message"] == "exchange", "all exchanges",
                       count=MANY_REQUESTS)
        assert {line["verdict"] for line in agent.exchanges()} == {"ok"}


def test_the_origin_never_has_more_in_hand_than_the_capacity(tmp_path, certificates):
    release = threading.Event()

    def answer(request, write):
        assert release.wait(20)
        write(plain(b"ok"))

    gateway = Gateway(tmp_path, certificates)
    with gateway.running(), Origin(answer).running() as origin, \
            Agent(gateway.workers, certificates, origin.url, "--capacity", 5).running():
        users = [subprocess.Popen(["curl", "-s", "--max-time", "30", gateway.url("/")],
                                  stdout=subprocess.PIPE) for _ in range(30)]
        wait_until(lambda: origin.in_hand == 5, "the capacity in hand")
        release.set()
        answers = [user.communicate()[0] for user in users]
        assert origin.in_hand_max == 5
        assert answers.count(b"ok") >= 5


def test_the_link_comes_back_when_the_gateway_does(tmp_path, certificates):
    gateway = Gateway(tmp_path, certificates)
    with Origin(echo).running() as origin:
        with gateway.running():
            agent = Agent(gateway.workers, certificates, origin.url)
            context = agent.running()
            context.__enter__()
            assert curl(gateway.url("/")).returncode == 0
        try:
            agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off")
            with gateway.running():
                agent.wait_for(lambda line: line.get("to") == "attached", "attached", 40, count=2)
                seen = json.loads(curl(gateway.url("/again")).stdout)
                assert seen["path"] == "/again"
        finally:
            context.__exit__(None, None, None)


def test_an_idle_link_that_haproxy_purges_is_dialled_again_at_once(tmp_path, certificates):
    gateway = Gateway(tmp_path, certificates, server="pool-purge-delay 1s pool-conn-name "
                      "str(worker1)")
    with gateway.running(), Origin(echo).running() as origin, \
            Agent(gateway.workers, certificates, origin.url).running() as agent:
        agent.wait_for(lambda line: line.get("from") == "attached", "purged", 30)
        agent.wait_for(lambda line: line.get("to") == "attached", "attached", 30, count=2)
        assert curl(gateway.url("/")).returncode == 0
        assert not [line for line in agent.lines if line.get("wait_ms", 0) >= 500]


def test_credentials_that_haproxy_refuses_are_told_from_unavailability(tmp_path, certificates):
    (tmp_path / "other").mkdir()
    stranger = Certificates(tmp_path / "other")
    stranger.ca = certificates.ca
    gateway = Gateway(tmp_path, certificates)
    with gateway.running(), Origin(echo).running() as origin, \
            Agent(gateway.workers, stranger, origin.url).running(wait=False) as agent:
        line = agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off")
        assert "certificate" in line["reason"] or "refused" in line["reason"] or \
            "credential" in line["reason"], line


def test_a_gateway_of_another_authority_or_name_is_not_trusted(tmp_path, certificates):
    (tmp_path / "other").mkdir()
    other = Certificates(tmp_path / "other")
    gateway = Gateway(tmp_path, certificates)
    with gateway.running(), Origin(echo).running() as origin:
        wrong_ca = Certificates.__new__(Certificates)
        wrong_ca.__dict__ = {**certificates.__dict__, "ca": other.ca}
        with Agent(gateway.workers, wrong_ca, origin.url).running(wait=False) as agent:
            line = agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off")
            assert "certificate" in line["reason"], line
        with Agent(gateway.workers, certificates, origin.url, "--server-name",
                   "elsewhere.test").running(wait=False) as agent:
            line = agent.wait_for(lambda line: line.get("to") == "backing_off", "backing off")
            assert "elsewhere.test" in line["reason"], line


def test_a_drain_finishes_what_is_in_flight_and_exits_cleanly(recommended, certificates):
    release = threading.Event()

    def answer(request, write):
        assert release.wait(20)
        write(plain(b"finished"))

    with Origin(answer).running() as origin, \
            Agent(recommended.workers, certificates, origin.url).running() as agent:
        with subprocess.Popen(["curl", "-s", recommended.url("/")],
                              stdout=subprocess.PIPE) as user:
            wait_until(lambda: origin.in_hand == 1, "the request in hand")
            agent.child.send_signal(signal.SIGTERM)
            agent.wait_for(lambda line: line["message"] == "draining", "draining")
            release.set()
            assert user.stdout.read() == b"finished"
        assert agent.child.wait(20) == 0
        receipt = agent.wait_for(lambda line: line["message"] == "receipt", "the receipt")
        assert receipt["served"] == 1 and receipt["cut"] == 0


def test_a_drain_that_takes_too_long_cuts_and_says_so(recommended, certificates):
    release = threading.Event()

    def answer(request, write):
        release.wait(30)
        return False

    with Origin(answer).running() as origin, \
            Agent(recommended.workers, certificates, origin.url, "--drain-timeout",
                  "500ms").running() as agent:
        with subprocess.Popen(["curl", "-s", recommended.url("/")],
                              stdout=subprocess.DEVNULL) as user:
            wait_until(lambda: origin.in_hand == 1, "the request in hand")
            agent.child.send_signal(signal.SIGTERM)
            assert agent.child.wait(20) == 75
            user.wait(20)
        release.set()


@pytest.mark.parametrize("attempt", range(5))
def test_one_of_two_workers_leaves_under_load_and_nothing_is_lost_or_doubled(recommended, certificates, attempt):
    def answer(request, write):
        write(plain(b"ok"))

    count = MANY_REQUESTS // 10
    with Origin(answer).running() as origin, \
            Agent(recommended.workers, certificates, origin.url).running() as leaver, \
            Agent(recommended.workers, certificates, origin.url).running():
        result = {}

        def load():
            result.update(h2load("-n", count, "-c", 4, "-m", 5, recommended.http2_url("/")))

        loader = threading.Thread(target=load)
        loader.start()
        wait_until(lambda: len(origin.requests) > count // 10, "load")
        leaver.child.send_signal(signal.SIGTERM)
        assert leaver.child.wait(30) == 0
        loader.join()
        assert result["2xx"] == count
        assert len(origin.requests) == count


def test_certificates_are_rotated_under_load_and_nothing_is_lost_or_doubled(recommended, certificates, tmp_path):
    def answer(request, write):
        write(plain(b"ok"))

    count, rotations = MANY_REQUESTS // 5, 5
    mounted = MountedCertificates(tmp_path, certificates)
    with Origin(answer).running() as origin, \
            Agent(recommended.workers, mounted, origin.url, "--credentials-interval", "50ms",
                  "--renew-spread", "50ms").running() as agent:
        result = {}

        def load():
            result.update(h2load("-n", count, "-c", 4, "-m", 5, recommended.http2_url("/")))

        loader = threading.Thread(target=load)
        loader.start()
        for rotation in range(1, rotations + 1):
            wait_until(lambda: len(origin.requests) > count * rotation // (rotations + 2), "load")
            mounted.renew()
            agent.wait_for(lambda line: "replaced" in line.get("reason", ""), "a new connection",
                           count=rotation)
        loader.join()
        assert result["2xx"] == count
        assert len(origin.requests) == count


def test_a_certificate_that_cannot_be_used_leaves_the_link_as_it_is(recommended, certificates, tmp_path):
    mounted = MountedCertificates(tmp_path, certificates)
    with Origin(echo).running() as origin, \
            Agent(recommended.workers, mounted, origin.url, "--credentials-interval",
                  "50ms").running() as agent:
        broken = tmp_path / "..broken"
        broken.mkdir()
        (broken / "tls.crt").write_bytes(mounted.worker.read_bytes())
        (broken / "tls.key").write_bytes(certificates.gateway_key.read_bytes())
        mounted.point_to(broken)
        complaint = agent.wait_for(lambda line: "cannot be used" in line["message"], "a complaint")
        assert "does not belong to the certificate" in complaint["detail"]
        assert curl(recommended.url("/")).stdout
        assert not [line for line in agent.lines if "replac" in line["message"]]


def test_an_origin_that_is_away_is_a_502_and_its_return_is_noticed(recommended, certificates):
    def answer(request, write):
        write(plain(b"ok", "200 OK", "Connection: close"))
        return False

    code = ("-o", "/dev/null", "-w", "%{http_code}")
    with Origin(answer).running() as origin:
        agent = Agent(recommended.workers, certificates, origin.url)
        context = agent.running()
        context.__enter__()
        assert curl(*code, recommended.url("/")).stdout == b"200"
    try:
        away = curl("-i", recommended.url("/")).stdout
        assert b" 502 " in away.splitlines()[0]
        assert b"proxy-status: ptth-agent; error=connection_refused" in away
        with Origin(answer, origin.port).running():
            assert curl(*code, recommended.url("/")).stdout == b"200"
    finally:
        context.__exit__(None, None, None)


def test_an_answer_that_breaks_off_is_never_a_clean_end(gateway, certificates):
    def answer(request, write):
        write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        return False

    with Origin(answer).running() as origin, \
            Agent(gateway.workers, certificates, origin.url).running() as agent:
        assert curl(gateway.url("/"), check=False).returncode != 0
        line = agent.wait_for(lambda line: line["message"] == "exchange", "the exchange")
        assert line["verdict"] == "origin_closed"


def test_a_user_who_gives_up_is_not_an_error_and_stops_the_origin(recommended, certificates):
    asked = threading.Event()

    def answer(request, write):
        asked.set()
        write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            write(b"5\r\nhello\r\n")

    with Origin(answer).running() as origin, \
            Agent(recommended.workers, certificates, origin.url).running() as agent:
        with subprocess.Popen(["curl", "-s", recommended.url("/")],
                              stdout=subprocess.DEVNULL) as user:
            assert asked.wait(20)
            user.kill()
        line = agent.wait_for(lambda line: line["message"] == "exchange", "the exchange")
        assert line["verdict"] == "gateway_reset" and line["level"] == "info"
        wait_until(lambda: origin.in_hand == 0, "the origin's work to end")


def test_only_served_authorities_are_relayed(recommended, certificates):
    with Origin(echo).running() as origin, \
            Agent(recommended.workers, certificates, origin.url, "--serve",
                  "https://app.example").running():
        code = ("-o", "/dev/null", "-w", "%{http_code}")
        assert curl(*code, "-H", "Host: app.example", recommended.url("/")).stdout == b"200"
        assert curl(*code, "-H", "Host: evil.example", recommended.url("/")).stdout == b"421"
        assert len(origin.requests) == 1
