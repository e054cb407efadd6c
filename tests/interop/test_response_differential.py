"""Our response parser against two that others wrote: Node's (llhttp, over a loopback socket) and h11.

What either of them refuses we must refuse; what we accept must read the same in both. What we refuse
alone is listed with its reason, so that we are not stricter by accident.
"""

import json
import os
import pathlib
import shutil
import subprocess

import h11
import pytest
import response_cases

VERDICT = pathlib.Path(os.environ["PTTH_BUILD_DIR"]) / "ptth-response-verdict"
CASES = response_cases.all_cases()

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
LOOKALIKES = {b"content_length", b"transfer_encoding"}
# Those of RFC 9110 section 6.5.1 that the cases use.
NOT_IN_TRAILERS = HOP_BY_HOP | LOOKALIKES | {
    b"authorization", b"content-length", b"content-type", b"date", b"host", b"set-cookie", b"trailer"}


def unhex(fields):
    return [(bytes.fromhex(name), bytes.fromhex(value)) for name, value in fields]


def heads_of(heads):
    return [(head["status"], unhex(head["fields"])) for head in heads]


def message(result):
    return {
        "accepted": result["accepted"],
        "why": result.get("why") or result.get("fault"),
        "leftover": result.get("leftover", 0),
        "interim": heads_of(result["interim"]),
        "heads": heads_of(result["heads"]),
        "body": bytes.fromhex(result["body"]),
        "trailers": unhex(result["trailers"]),
    }


def ours(method, answer):
    run = subprocess.run([VERDICT, method], input=answer, stdout=subprocess.PIPE, timeout=30, check=True)
    return message(json.loads(run.stdout))


def read_with_node(cases):
    answers = [{"method": method, "bytes": answer.hex()} for method, answer in cases.values()]
    program = pathlib.Path(__file__).with_name("response_reader.js")
    run = subprocess.run(["node", str(program)], input=json.dumps(answers).encode(), stdout=subprocess.PIPE,
                         timeout=300, check=True)
    return dict(zip(cases, map(message, json.loads(run.stdout))))


def read_with_h11(method, answer):
    result = {"accepted": False, "why": None, "leftover": 0, "interim": [], "heads": [], "body": b"", "trailers": []}
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=65536)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a.example")]))
    connection.send(h11.EndOfMessage())
    try:
        connection.receive_data(answer)
        ended = False
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA and not ended:
                connection.receive_data(b"")
                ended = True
            elif isinstance(event, h11.InformationalResponse):
                result["interim"].append((event.status_code, list(event.headers)))
            elif isinstance(event, h11.Response):
                result["heads"].append((event.status_code, list(event.headers)))
            elif isinstance(event, h11.Data):
                result["body"] += event.data
            elif isinstance(event, h11.EndOfMessage):
                result["trailers"] = list(event.headers)
                result["accepted"] = True
                return result
            else:
                result["why"] = repr(event)
                return result
    except h11.RemoteProtocolError as error:
        result["why"] = str(error)
        return result


@pytest.fixture(scope="module")
def by_node():
    assert shutil.which("node"), "this test needs nodejs"
    return read_with_node(CASES)


@pytest.fixture(scope="module")
def node_kinds():
    """How the lists below call the Node that is here: Debian 12 has 18, whose llhttp 6 was laxer."""
    run = subprocess.run(["node", "-p", "process.versions.llhttp"], stdout=subprocess.PIPE, check=True)
    return ("node", "old node" if int(run.stdout.split(b".")[0]) < 8 else "new node")


def end_to_end(fields, status):
    """What RFC 9110 section 7.6.1 leaves of a head."""
    nominated = {option.strip().lower() for name, value in fields if name == b"connection" for option in value.split(b",")}
    dropped = HOP_BY_HOP | LOOKALIKES | (nominated - {b"content-length"})
    if status < 200 or status == 204:
        dropped = dropped | {b"content-length"}
    return [(name, value) for name, value in fields if name not in dropped]


def expected(theirs):
    return {
        "interim": [(status, end_to_end(fields, status)) for status, fields in theirs["interim"]],
        "heads": [(status, end_to_end(fields, status)) for status, fields in theirs["heads"]],
        "body": theirs["body"],
        "trailers": [(name, value) for name, value in theirs["trailers"] if name not in NOT_IN_TRAILERS],
    }


# Why only we refuse -> who accepts, and what.
STRICTER = {
    "an origin answers with HTTP/1.0 or HTTP/1.1": {
        "node": ["version 2.0", "version 0.9"],
        "h11": ["version 2.0", "version 1.2", "version 0.9"],
    },
    "RFC 9110 section 15 knows 100 to 599": {
        "node": ["status 099", "status 600", "status 999"],
        "old node": ["status of two digits", "status after two spaces"],
        "h11": ["status 600", "status 999"],
    },
    "RFC 9112 section 2.2 lets servers skip an empty line, not clients": {
        "node": ["line end first"],
    },
    "control bytes have no use in a reason or a value, and readers differ on them": {
        "node": ["reason with NUL"],
        "old node": ["reason with CR"],
        "h11": ["control byte in a value", "delete in a value"],
    },
    "bare LF as a line end is how answers are split": {
        "old node": ["bare LF in the status line", "bare LF at the end"],
        "h11": ["bare LF in the status line", "bare LF in a field", "bare LF at the end", "bare LF everywhere",
                "trailer with bare LF"],
    },
    "folding is obsolete (RFC 9112 section 5.2), and readers differ on it": {
        "old node": ["folded first"],
        "h11": ["folded", "folded with a tab", "trailer folded"],
    },
    "a field's name is a token, and the colon follows it (RFC 9112 section 5.1)": {
        "old node": ["name empty", "name with space before the colon", "name with space",
                     "trailer with space before the colon"],
    },
    "two ways to tell the length are an attack or a bug (RFC 9112 section 6.3)": {
        "h11": ["length and chunked", "chunked and length", "HEAD, length and chunked"],
    },
    "who says the length twice did not decide on it": {
        "h11": ["two equal lengths", "length '5, 5'", "HEAD, length '5, 5'"],
    },
    "HTTP/1.0 has no transfer codings (RFC 9112 section 6.1)": {
        "node": ["http/1.0 chunked"],
        "h11": ["http/1.0 chunked"],
    },
    "a coding that we cannot take off must not be passed on as the content": {
        "node": ["chunked twice", "coding 'gzip'", "coding 'identity'", "coding 'gzip, chunked'",
                 "coding 'chunked, gzip'", "coding 'chunked, identity'", "coding 'chunked, chunked'",
                 "coding 'xchunked'", "coding 'chunked;a=b'", "coding ''", "coding ', chunked'"],
    },
    "a chunk size and its extensions follow the grammar, without white space": {
        "node": ["chunk size '5;a='"],
        "old node": ["chunk size '5; a'", "chunk size '5;'", "chunk size '5;a b'"],
        "h11": ["chunk extension with control byte", "chunk extension with CR", "chunk size '5 '",
                "chunk size '5\\t'", "chunk size '5; a'", "chunk size '5;'", "chunk size '5;a='", "chunk size '5;a b'"],
    },
}

# Why we accept what they refuse. Short, and it stays so.
LAXER = {
    "framing fields in trailers are dropped, as RFC 9110 section 6.5.1 has it": {
        "new node": ["trailers, forbidden"],
    },
    "an interim answer has no body, whatever length it tells (RFC 9112 section 6.3)": {
        "old node": ["100 with length"],
    },
}

# Why we read something else than they do.
OTHERWISE = {
    "a 204 has no body, whatever length it tells (RFC 9112 section 6.3)": {
        "old node": ["204 with a body"],
    },
}


def listed(exceptions, *kinds):
    return {name for readers in exceptions.values() for kind in kinds for name in readers.get(kind, [])}


def compare(name, mine, theirs, *kinds):
    if mine["accepted"] and theirs["accepted"]:
        is_same = {key: mine[key] for key in ("interim", "heads", "body", "trailers")} == expected(theirs)
        assert is_same == (name not in listed(OTHERWISE, *kinds)), f"{mine} and {kinds}: {theirs}"
    # Bytes behind the end: the answer is delivered and the connection is closed, which is a refusal too.
    only_they_refuse = mine["accepted"] and mine["leftover"] == 0 and not theirs["accepted"]
    only_we_refuse = not mine["accepted"] and theirs["accepted"]
    assert only_they_refuse == (name in listed(LAXER, *kinds)), f"{kinds}: {theirs['why']}"
    # What fuzzing found is mostly nonsense, and refusing nonsense needs no reason.
    if not name.startswith("corpus"):
        assert only_we_refuse == (name in listed(STRICTER, *kinds)), f"we: {mine['why']}; {kinds}: {theirs['why']}"


def test_each_exception_names_a_case():
    for exceptions in STRICTER, LAXER, OTHERWISE:
        for kind in "node", "old node", "new node", "h11":
            assert listed(exceptions, kind) <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_node_reads_the_same(name, by_node, node_kinds):
    compare(name, ours(*CASES[name]), by_node[name], *node_kinds)


@pytest.mark.parametrize("name", CASES)
def test_h11_reads_the_same(name):
    compare(name, ours(*CASES[name]), read_with_h11(*CASES[name]), "h11")
