"""Answers for the differential test: plain, odd, and hostile ones. Each is name -> (method, bytes)."""

import pathlib

OK = b"HTTP/1.1 200 OK\r\n"
CORPUS = pathlib.Path(__file__).parent.parent / "fuzz" / "corpus" / "http1_response"


def _head(*lines):
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def _empty(*lines):
    return _head(*lines, b"Content-Length: 0")


def _chunked(chunks):
    return _head(b"Transfer-Encoding: chunked") + chunks


def _well_formed():
    return {
        "length": _head(b"Content-Length: 5") + b"hello",
        "length zero": _empty(),
        "length with leading zeros": _head(b"Content-Length: 0005") + b"hello",
        "length padded with spaces": _head(b"Content-Length:   5  ") + b"hello",
        "until close": _head(b"Server: x") + b"to the end",
        "until close, nothing": _head(b"Server: x"),
        "http/1.0 until close": b"HTTP/1.0 200 OK\r\n\r\nbody",
        "http/1.0 length": b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        "http/1.0 keep-alive": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody",
        "chunked": _chunked(b"5\r\nhello\r\n0\r\n\r\n"),
        "chunked, nothing": _chunked(b"0\r\n\r\n"),
        "chunked, many": _chunked(b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"),
        "chunk size in capitals": _chunked(b"A\r\n0123456789\r\n0\r\n\r\n"),
        "chunk size in small letters": _chunked(b"a\r\n0123456789\r\n0\r\n\r\n"),
        "chunk size with zeros": _chunked(b"0005\r\nhello\r\n000\r\n\r\n"),
        "chunk extension": _chunked(b"5;name=value\r\nhello\r\n0;last\r\n\r\n"),
        "chunk extension, quoted": _chunked(b'5;a="b c;d"\r\nhello\r\n0\r\n\r\n'),
        "chunked, capitals": _head(b"Transfer-Encoding: CHUNKED") + b"0\r\n\r\n",
        "body that looks like chunks": _head(b"Content-Length: 10") + b"5\r\nhello\r\n",
        "body with every byte": _head(b"Content-Length: 256") + bytes(range(256)),
        "trailers": _chunked(b"0\r\nX-Sum: 1\r\nX-Other: a b\r\n\r\n"),
        "trailers, forbidden": _chunked(b"0\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: a\r\nSet-Cookie: a\r\n\r\n"),
        "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + _empty(),
        "103 twice": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2 + _empty(b"A: b"),
        "204": b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n",
        "204 with length": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "205": b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n",
        "304 with length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
        "500": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 1\r\n\r\nx",
        "599": b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n",
        "no reason": b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        "no reason, no space": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "reason beyond ASCII": b"HTTP/1.1 200 \xc3\xa4\r\nContent-Length: 0\r\n\r\n",
        "value empty": _empty(b"A:", b"B: ", b"C:\t"),
        "value without space": _empty(b"A:b"),
        "value in white space": _empty(b"A: \t b c \t "),
        "value with a tab": _empty(b"A: b\tc"),
        "value beyond ASCII": _empty(b"A: \xe4\xff\x80"),
        "value with quotes and colons": _empty(b'A: "b:c", d:e'),
        "names in odd case": _empty(b"x-CaMeL: a", b"ETAG: b"),
        "names of all symbols": _empty(b"!#$%&'*+-.^_`|~09: a"),
        "fields repeated": _empty(b"Set-Cookie: a=b", b"Set-Cookie: c=d", b"Vary: x", b"vary: y"),
        "close": _empty(b"Connection: close"),
        "nominated": _empty(b"X-Hop: 1", b"Connection: keep-alive, X-Hop", b"Keep-Alive: timeout=5"),
        "upgrade offered": _empty(b"Upgrade: h2c", b"Connection: upgrade"),
        "long value": _empty(b"A: " + b"x" * 8000),
        "many fields": _empty(*[b"X-%d: %d" % (i, i) for i in range(80)]),
    }


def _malformed():
    return {
        "nothing": b"",
        "only a line end": b"\r\n",
        "nonsense": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "line end first": b"\r\n" + _empty(),
        "version 2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "version 1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
        "version 0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        "version in small letters": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "version ICY": b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
        "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "status with letter": b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
        "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        "status 600": b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
        "status 999": b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
        "status after two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
        "status after a tab": b"HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n",
        "reason with CR": b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
        "reason with NUL": b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
        "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n",
        "bare LF in the status line": b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        "bare LF in a field": OK + b"A: b\nContent-Length: 0\r\n\r\n",
        "bare LF at the end": OK + b"Content-Length: 0\r\n\n",
        "bare LF everywhere": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "bare CR in a value": _empty(b"A: b\rc"),
        "bare CR between lines": OK + b"A: b\rContent-Length: 0\r\n\r\n",
        "CR CR LF": OK + b"Content-Length: 0\r\r\n\r\n",
        "NUL in a value": _empty(b"A: b\0c"),
        "control byte in a value": _empty(b"A: b\x01c"),
        "delete in a value": _empty(b"A: b\x7fc"),
        "folded": _empty(b"A: b\r\n c"),
        "folded with a tab": _empty(b"A: b\r\n\tc"),
        "folded first": OK + b" A: b\r\nContent-Length: 0\r\n\r\n",
        "name empty": _empty(b": b"),
        "name without colon": _empty(b"A"),
        "name with space before the colon": _empty(b"A : b"),
        "name with tab before the colon": _empty(b"A\t: b"),
        "name with space": _empty(b"A b: c"),
        "name with bracket": _empty(b"A(b): c"),
        "name with NUL": _empty(b"A\0: c"),
        "name beyond ASCII": _empty(b"\xc3\xa4: c"),
        "head without end": OK + b"Content-Length: 0\r\n",
    }


def _lengths():
    both = [b"Content-Length: 3", b"Transfer-Encoding: chunked"]
    cases = {
        "length and chunked": _head(*both) + b"0\r\n\r\n",
        "chunked and length": _head(*reversed(both)) + b"0\r\n\r\n",
        "two equal lengths": _head(b"Content-Length: 5", b"Content-Length: 5") + b"hello",
        "two different lengths": _head(b"Content-Length: 5", b"Content-Length: 6") + b"hello",
        "length short of the body": _head(b"Content-Length: 5") + b"hello, more",
        "length beyond the body": _head(b"Content-Length: 50") + b"hello",
        "http/1.0 chunked": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "chunked twice": _head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        "lookalikes": _head(b"content_length: 5", b"transfer_encoding: chunked", b"Content-Length: 1") + b"x",
        "204 with a body": b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\nhello",
        "304 with a body": b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\nhello",
        "100 with length": b"HTTP/1.1 100 X\r\nContent-Length: 5\r\n\r\n" + _empty(),
        "two answers": _empty() + _empty(),
        "junk behind an answer": _empty() + b"junk",
    }
    for value in ["5, 5", "5,6", "+5", "-5", "0x5", "5 5", "5.0", "1e1", "five", "", "5;",
                  "18446744073709551621", "99999999999999999999999"]:
        cases[f"length {value!r}"] = _head(b"Content-Length: " + value.encode()) + b"hello"
    for value in ["gzip", "identity", "gzip, chunked", "chunked, gzip", "chunked, identity",
                  "chunked, chunked", "xchunked", "chunked;a=b", "", ", chunked", "\x0bchunked"]:
        cases[f"coding {value!r}"] = (
            _head(b"Transfer-Encoding: " + value.encode()) + b"5\r\nhello\r\n0\r\n\r\n")
    return cases


def _chunks():
    cases = {
        "chunk longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
        "chunk shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
        "chunk without last chunk": b"5\r\nhello\r\n",
        "chunk without line end": b"5\r\nhello",
        "chunks without the empty line": b"5\r\nhello\r\n0\r\n",
        "chunk with bare LF behind the size": b"5\nhello\r\n0\r\n\r\n",
        "chunk with bare LF behind the data": b"5\r\nhello\n0\r\n\r\n",
        "chunk with bare CR behind the data": b"5\r\nhello\r0\r\n\r\n",
        "chunk extension with bare LF": b"5;a\nhello\r\n0\r\n\r\n",
        "chunk extension with control byte": b"5;a=\x01\r\nhello\r\n0\r\n\r\n",
        "chunk extension with CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        "trailer folded": b"0\r\nA: b\r\n c\r\n\r\n",
        "trailer without colon": b"0\r\nA\r\n\r\n",
        "trailer with space before the colon": b"0\r\nA : b\r\n\r\n",
        "trailer with bare LF": b"0\r\nA: b\n\r\n",
        "trailer with NUL": b"0\r\nA: b\0c\r\n\r\n",
        "trailers without end": b"0\r\nA: b\r\n",
        "chunks, then junk": b"0\r\n\r\njunk",
    }
    for size in ["", "g", "-5", "+5", "0x5", " 5", "5 ", "5\t", "5_0", "5,", "10000000000000005",
                 "ffffffffffffffffff", "5 ;a", "5; a", "5;", "5;a=", "5;a b", "\x0b5"]:
        cases[f"chunk size {size!r}"] = size.encode() + b"\r\nhello\r\n0\r\n\r\n"
    return {name: _chunked(chunks) for name, chunks in cases.items()}


def all_cases():
    texts = {**_well_formed(), **_malformed(), **_lengths(), **_chunks()}
    for path in sorted(CORPUS.iterdir()):
        texts[f"corpus {path.name}"] = path.read_bytes()
    cases = {name: ("GET", text) for name, text in texts.items()}
    for name in ["length", "chunked", "until close", "length and chunked", "length '5, 5'", "204", "304 with length"]:
        text = texts[name]
        cases[f"HEAD, {name}"] = ("HEAD", text[: text.index(b"\r\n\r\n") + 4])
    cases["HEAD, with a body"] = ("HEAD", texts["length"])
    return cases
