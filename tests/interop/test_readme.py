"""What the README promises is what the binary does."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peers import AGENT, ROOT, Certificates  # noqa: E402

README = (ROOT / "README.md").read_text()


def test_the_table_of_settings_is_the_binarys_own():
    table = re.search(r"<!-- ptth-agent help --markdown -->\n(.*)<!-- end -->", README, re.DOTALL)[1]
    printed = subprocess.run([AGENT, "help", "--markdown"], capture_output=True, text=True,
                             check=True).stdout
    assert table.strip() == printed.strip(), "put the output of `help --markdown` into README.md"


def test_the_example_file_is_valid(tmp_path):
    example = re.search(r"\n(    \{\n      // Two vendors.*?\n    \}\n)", README, re.DOTALL)[1]
    worker = Certificates(tmp_path).worker_both.read_text()
    (tmp_path / "edge.pem").write_text(worker)
    (tmp_path / "other.pem").write_text(worker)
    file = tmp_path / "agent.json"
    file.write_text(example.replace("/etc/ptth", str(tmp_path)))
    done = subprocess.run([AGENT, "check", "--config", file], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr + done.stdout


def commands():
    """Each command line of the agent, in one line."""
    joined = README.replace("\\\n", " ")
    return re.findall(r"^    (?:\S*/)?ptth-agent (--.*)$", joined, re.MULTILINE)


@pytest.mark.parametrize("command", commands())
def test_each_command_line_is_valid(tmp_path, command):
    certificates = Certificates(tmp_path)
    files = {"ca.pem": certificates.ca, "certs/ca.crt": certificates.ca,
             "worker.pem": certificates.worker, "certs/worker.crt": certificates.worker,
             "worker.key": certificates.worker_key, "certs/worker.key": certificates.worker_key}
    token = tmp_path / "token"
    token.write_text("abc\n")
    token.chmod(0o600)
    arguments = [str(files.get(part, token if part.startswith("/run/secrets/") else part))
                 for part in shlex.split(command)]
    done = subprocess.run([AGENT, "check", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


def test_there_are_command_lines_for_each_profile():
    profiles = subprocess.run([AGENT, "help"], capture_output=True, text=True, check=True).stdout
    for profile in re.search(r"--profile (\S+)", profiles)[1].split("|"):
        assert f"`{profile}`" in README or f"--profile {profile} " in README


def test_the_hello_of_another_revision_is_valid(tmp_path):
    example = re.search(r"\n(    \{\n      // A revision.*?\n    \}\n)", README, re.DOTALL)[1]
    file = tmp_path / "agent.json"
    file.write_text(example)
    done = subprocess.run([AGENT, "check", "--config", file], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr + done.stdout


def test_the_exit_codes_are_those_of_the_source():
    source = (ROOT / "agent/exit_code.h").read_text()
    codes = set(re.findall(r"= (\d+),", source))
    assert set(re.findall(r"^\| (\d+) \| ", README[README.index("| code |"):], re.MULTILINE)) == codes
