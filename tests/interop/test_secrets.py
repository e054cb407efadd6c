"""A canary in every place where a secret can be: none of it may come out again."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import (Agent, Certificates, Gateway, Origin, curl, free_port, plain,  # noqa: E402
                   wait_until)

CANARY = "canary-4f1d"


@pytest.mark.parametrize("origin_state", ["up", "away"])
def test_keys_field_values_and_queries_come_out_nowhere(tmp_path, origin_state):
    def answer(request, write):
        write(plain(b"ok", "200 OK", f"Set-Cookie: session={CANARY}"))

    certificates = Certificates(tmp_path)
    gateway = Gateway(tmp_path, certificates)
    admin = free_port()
    with Origin(answer).running() as origin, gateway.running():
        port = origin.port if origin_state == "up" else free_port()
        with Agent(gateway.workers, certificates, f"http://127.0.0.1:{port}", "--log-level",
                   "debug", admin=f"127.0.0.1:{admin}").running() as agent:
            curl("-o", "/dev/null", "-H", f"Authorization: Bearer {CANARY}", "-H",
                 f"Cookie: a={CANARY}", gateway.url(f"/?token={CANARY}"))
            agent.wait_for(lambda line: line["message"] == "exchange", "the exchange")
            wait_until(lambda: curl(f"http://127.0.0.1:{admin}/livez",
                                    check=False).returncode == 0, "admin")
            pages = [curl(f"http://127.0.0.1:{admin}/{page}").stdout.decode()
                     for page in ("metrics", "readyz?verbose", "startupz")]
            command_line = Path(f"/proc/{agent.child.pid}/cmdline").read_text()
            said = "\n".join([*map(str, agent.lines), *pages, command_line])
    assert CANARY not in said
    key = "".join(re.findall(r"^[A-Za-z0-9+/=]{20,}$", certificates.worker_key.read_text(),
                             re.MULTILINE))
    assert key and key[:40] not in said
