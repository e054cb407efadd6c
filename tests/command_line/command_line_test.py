"""The program as a user meets it: verbs, exit codes, and what it says when something is wrong."""

import json
import os
import pathlib
import re
import socket
import subprocess
import threading

import pytest

AGENT = pathlib.Path(os.environ["PTTH_BUILD_DIR"]) / "ptth-agent"
COMPLETE = ["--gateway", "https://gw.example", "--origin", "3000", "--serve", "https://app.example"]


def agent(*arguments, environment=None):
    return subprocess.run(
        [AGENT, *map(str, arguments)],
        env=environment or {},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_a_complete_configuration_is_valid():
    result = agent("check", *COMPLETE)
    assert (result.returncode, result.stdout, result.stderr) == (0, "configuration is valid\n", "")


def test_the_same_comes_from_the_environment_and_from_a_file(tmp_path):
    variables = {
        "PTTH_GATEWAY": "https://gw.example",
        "PTTH_ORIGIN": "3000",
        "PTTH_SERVE": "https://app.example",
    }
    assert agent("check", environment=variables).returncode == 0
    file = tmp_path / "agent.json"
    file.write_text('{"gateways": [{"url": "https://gw.example"}], "origin": 3000} // fine\n')
    assert agent("check", "--config", file).returncode == 0
    assert agent("check", environment={"PTTH_CONFIG": str(file)}).returncode == 0


def test_effective_values_are_shown_with_their_source(tmp_path):
    file = tmp_path / "agent.json"
    file.write_text('{\n  "capacity": 7\n}\n')
    result = agent(
        "check", "--print", "--config", file, *COMPLETE, environment={"PTTH_DRAIN_TIMEOUT": "5s"}
    )
    assert result.returncode == 0
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in result.stdout.splitlines())
    assert re.split(r"  +", rows["capacity"]) == ["7", f"{file}:2: capacity"]
    assert re.split(r"  +", rows["drain.timeout"]) == ["5s", "PTTH_DRAIN_TIMEOUT"]
    assert re.split(r"  +", rows["origin.url"]) == ["http://localhost:3000", "--origin"]
    assert re.split(r"  +", rows["log.level"]) == ["info", "default"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--capcity", "3"], 'unknown flag --capcity; did you mean "--capacity"?'),
        (["--capcity=3"], 'unknown flag --capcity; did you mean "--capacity"?'),
        (["--bananas"], "unknown flag --bananas\n"),
        (["chekc"], 'unknown verb "chekc"; did you mean "check"?'),
        (["run", "check"], 'unexpected "check": the verb comes first'),
        (["run", "--capacity"], "--capacity needs one value"),
        (["run", "--print", *COMPLETE], "unknown flag --print"),
        (["version", "--capacity", "3"], "unknown flag --capacity"),
        (["check", "--capacity", "many", *COMPLETE], '--capacity: "many" is not a whole number'),
        (["check", "--drain-timeout", "30", *COMPLETE], "write 30ms or 30s or 30m or 30h"),
        (["check", "--gateway", "gw.example", "--origin", "3000"], "write https://gw.example"),
        (["healthcheck", "--admin", "nowhere"], '--admin: "nowhere" has no port'),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_what_to_write(arguments, said):
    result = agent(*arguments)
    assert said in result.stderr
    assert result.returncode == 2
    assert result.stdout == ""


def test_a_wrong_file_exits_78_with_file_line_key_and_suggestion(tmp_path):
    file = tmp_path / "agent.json"
    file.write_text('{\n  "gateways": [{"url": "https://gw.example", "profil": "direct"}]\n}\n')
    for verb in ("check", "run"):
        result = agent(verb, "--config", file)
        assert result.returncode == 78
        assert result.stderr == (
            f'ptth-agent: {file}:2: gateways[0].profil: unknown key; did you mean "profile"?\n'
        )


def test_a_wrong_variable_exits_78():
    result = agent("check", *COMPLETE, environment={"PTTH_CAPACTIY": "3"})
    assert result.returncode == 78
    assert 'PTTH_CAPACTIY: unknown variable; did you mean "PTTH_CAPACITY"?' in result.stderr


def test_a_bare_call_says_what_is_missing():
    result = agent()
    assert result.returncode == 78
    assert "no gateway: give --gateway https://..." in result.stderr
    assert "no origin: give --origin" in result.stderr


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read_exits_78(tmp_path, name):
    result = agent("check", "--config", tmp_path / name)
    assert result.returncode == 78
    assert str(tmp_path / name) in result.stderr


def test_a_file_without_an_end_is_refused():
    result = agent("check", "--config", "/dev/zero")
    assert result.returncode == 78
    assert "/dev/zero: larger than 1024KiB" in result.stderr


def test_a_missing_certificate_file_is_found_before_anything_is_dialled(tmp_path):
    result = agent("check", *COMPLETE, "--ca-file", tmp_path / "ca.pem")
    assert result.returncode == 78
    assert str(tmp_path / "ca.pem") in result.stderr


def test_a_key_that_others_may_read_gets_a_warning(tmp_path):
    pair = tmp_path / "worker.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-subj", "/CN=worker", "-keyout", pair, "-out", tmp_path / "cert.pem"],
        check=True,
        capture_output=True,
    )
    pair.write_bytes(pair.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    pair.chmod(0o644)
    warned = agent("check", *COMPLETE, "--cert-file", pair)
    assert warned.returncode == 0, warned.stderr
    assert f"warning: {pair}: others may read this private key" in warned.stderr
    pair.chmod(0o600)
    assert agent("check", *COMPLETE, "--cert-file", pair).stderr == ""


def test_a_password_in_a_url_is_not_repeated():
    for flag in ("--gateway", "--origin"):
        result = agent("check", flag, "https://me:hunter2@gw.example")
        assert result.returncode == 2
        assert "hunter2" not in result.stdout + result.stderr


def test_the_last_of_a_repeated_flag_counts_and_lists_grow():
    more = ["--serve", "https://b.example,https://c.example", "--gateway", "https://gw2.example"]
    result = agent("check", "--print", *COMPLETE, "--capacity", "3", "--capacity=4", *more)
    assert re.search(r"^capacity +4 +--capacity$", result.stdout, re.M)
    assert re.search(
        r"^serve +https://app.example,https://b.example,https://c.example ", result.stdout, re.M
    )
    assert re.search(r"^gateways\[1\].url +https://gw2.example:443 ", result.stdout, re.M)


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["-h"], ["run", "--help"]])
def test_help_names_verbs_settings_and_exit_codes(arguments):
    result = agent(*arguments)
    assert result.returncode == 0
    for part in ("healthcheck", "--drain-timeout DURATION", "[30s]", "Exit codes:"):
        assert part in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_version_tells_commit_libraries_and_tls_groups():
    assert re.fullmatch(r"ptth-agent \d+\.\d+\.\d+ \(commit \S+\)\n", agent("version").stdout)
    assert agent("--version").stdout == agent("version").stdout
    told = json.loads(agent("version", "--json").stdout)
    assert told["version"] in agent("version").stdout
    assert told["commit"] in agent("version").stdout
    assert {"openssl", "libuv", "nghttp2", "nlohmann_json", "cli11"} <= set(told["libraries"])
    assert "X25519" in told["tls_groups"]


class OneAnswer:
    """Listens, answers one request with the given bytes, and keeps the request."""

    def __init__(self, answer, path=None):
        self.answer = answer
        self.request = b""
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.address = f"unix:{path}"
        else:
            self.listener = socket.socket()
            self.listener.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.listener.listen()
        self.listener.settimeout(30)
        self.thread = threading.Thread(target=self._serve)

    def _serve(self):
        connection, _ = self.listener.accept()
        with connection:
            while b"\r\n\r\n" not in self.request:
                self.request += connection.recv(4096)
            connection.sendall(self.answer)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join()
        self.listener.close()


READY = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
NOT_READY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\ndraining\n"


def test_healthcheck_is_0_when_the_agent_is_ready():
    with OneAnswer(READY) as admin:
        result = agent("healthcheck", "--admin", admin.address)
    assert (result.returncode, result.stderr) == (0, "")
    assert admin.request.startswith(b"GET /readyz HTTP/1.1\r\n")


def test_healthcheck_takes_the_address_from_where_the_agent_does(tmp_path):
    with OneAnswer(READY, tmp_path / "admin.sock") as admin:
        assert agent("healthcheck", environment={"PTTH_ADMIN": admin.address}).returncode == 0
    file = tmp_path / "agent.json"
    with OneAnswer(READY) as admin:
        file.write_text(json.dumps({"admin": {"listen": admin.address}}))
        assert agent("healthcheck", "--config", file).returncode == 0


def test_healthcheck_is_1_with_the_reason_when_the_agent_is_not_ready():
    with OneAnswer(NOT_READY) as admin:
        result = agent("healthcheck", "--admin", admin.address)
    assert result.returncode == 1
    assert result.stderr == f"ptth-agent: {admin.address}: 503 draining\n"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"SSH-2.0-x\r\n"])
def test_healthcheck_is_1_when_the_answer_is_none(answer):
    with OneAnswer(answer) as admin:
        result = agent("healthcheck", "--admin", admin.address)
    assert result.returncode == 1
    assert admin.address in result.stderr


def test_healthcheck_is_1_when_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        result = agent("healthcheck", "--admin", address)
    assert result.returncode == 1
    assert address in result.stderr


def test_healthcheck_gives_up_on_an_agent_that_does_not_answer():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        result = agent("healthcheck", "--admin", address)
    assert result.returncode == 1
    assert "no answer in time" in result.stderr


def test_healthcheck_is_1_when_the_admin_interface_is_off():
    result = agent("healthcheck", "--admin", "off")
    assert result.returncode == 1
    assert "off" in result.stderr
