"""scripts/check-layers accepts this tree's rules and refuses each way to break them."""

import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check-layers"

# A small tree that keeps every rule; each case below adds one file to it.
SOUND = {
    "common/loop.h": "#pragma once\n#include <uv.h>\n",
    "common/c_handle.h": "#pragma once\n",
    "common/socket.h": "#pragma once\n#include <uv.h>\n",
    "common/listener.cpp": '#include "common/socket.h"\n',
    "common/tls.h": '#pragma once\n#include "common/c_handle.h"\n#include <openssl/ssl.h>\n',
    "common/tls.cpp": '#include "common/tls.h"\n\n#include <openssl/err.h>\n',
    "agent/config.h": '#pragma once\n#include "agent/link/link.h"\n',
    "agent/agent.cpp": '#include "agent/config.h"\n#include "common/loop.h"\n',
    "agent/link/link.h": '#pragma once\n#include "agent/relay/session.h"\n',
    "agent/relay/session.h": '#pragma once\n#include "agent/origin/origin.h"\n',
    "agent/relay/session.cpp": '#include "agent/relay/session.h"\n\n#include <nghttp2/nghttp2.h>\n',
    "agent/origin/origin.h": '#pragma once\n#include "common/loop.h"\n#include <string>\n',
    "tests/unit/session_test.cpp": '#include "agent/relay/session.h"\n#include <nghttp2/nghttp2.h>\n',
}

VIOLATIONS = {
    "common below agent": ("common/x.cpp", '#include "agent/origin/origin.h"', "is below"),
    "origin below relay": ("agent/origin/x.cpp", '#include "agent/relay/session.h"', "is below"),
    "relay below link": ("agent/relay/x.cpp", '#include "agent/link/link.h"', "is below"),
    "configuration below agent": ("agent/link/x.cpp", '#include "agent/config.h"', "is below"),
    "spaces do not hide it": ("common/x.cpp", '  #  include  "agent/config.h"', "is below"),
    "tests are included by nobody": (
        "agent/relay/x.cpp", '#include "tests/support/y.h"', "in no layer"),
    "relative path": ("agent/relay/x.cpp", '#include "session.h"', "not a path from the root"),
    "own header in angle brackets": (
        "agent/relay/x.cpp", "#include <agent/relay/session.h>", "is written"),
    "C library away from its wrapper": (
        "agent/origin/x.cpp", "#include <nghttp2/nghttp2.h>", "is wrapped in"),
    "C library in a header": ("common/x.h", "#pragma once\n#include <uv.h>", "shows uv.h"),
    "header of few, included by another": (
        "common/x.cpp", '#include "common/socket.h"', "is for common/listener.cpp"),
    "header without a guard": ("common/x.h", "#include <string>", "no #pragma once"),
}


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def check(root):
    return subprocess.run([SCRIPT, root], capture_output=True, text=True, check=False)


def test_a_tree_that_keeps_the_rules_passes(tmp_path):
    write(tmp_path, SOUND)
    result = check(tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("case", VIOLATIONS)
def test_a_violation_fails_and_is_named_with_file_and_line(tmp_path, case):
    name, text, message = VIOLATIONS[case]
    write(tmp_path, SOUND | {"tests/support/y.h": "#pragma once\n", name: text + "\n"})
    result = check(tmp_path)
    problem = result.stdout.splitlines()[0]
    assert result.returncode == 1
    assert problem.startswith(f"{name}:") and message in problem
    assert ", 1 problems" in result.stdout


def test_a_folder_without_sources_is_an_error_not_a_success(tmp_path):
    assert check(tmp_path).returncode == 1
