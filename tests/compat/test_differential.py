"""The same requests to Carousel and to Redis must be answered with the same bytes."""

import harness
import pytest
from sessions import SESSIONS, normalised, parse_line

#: Bytes as they may arrive; the server's whole answer until it closes is compared.
PAYLOADS = {
    "inline": b"PING\r\n",
    "inline by hand": b"SET greeting hello\nGET greeting\n",
    "inline quotes": b"SET q \"a b\\x41\\n\\\"\"\r\nGET q\r\nSET s 'it\\'s'\r\nGET s\r\n",
    "inline unbalanced quotes": b'SET q "a b\r\n',
    "inline quote followed by text": b'SET q "a"b\r\n',
    "blank lines": b"\r\n\r\nPING\r\n",
    "empty request": b"*0\r\n*1\r\n$4\r\nPING\r\n",
    "negative count": b"*-1\r\n*1\r\n$4\r\nPING\r\n",
    "count is no number": b"*abc\r\n",
    "count beyond any limit": b"*2147483648\r\n",
    "count without end": b"*" + b"1" * 70_000,
    "bulk length is no number": b"*1\r\n$abc\r\n",
    "bulk length is negative": b"*1\r\n$-1\r\n",
    "bulk length beyond the limit": b"*1\r\n$536870913\r\n",
    "bulk length without end": b"*1\r\n$" + b"1" * 70_000,
    "another type where a bulk should be": b"*2\r\n$3\r\nGET\r\n:4\r\n",
    "inline without end": b"x" * 70_000,
    "pipeline": b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$4\r\nnone\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\nPING\r\n",
    "good, then broken, then unread": b"PING\r\n*1\r\n!\r\nPING\r\n",
    "empty argument": b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
    "empty command": b"*1\r\n$0\r\n\r\n",
    "quit": b"PING\r\nQUIT\r\nPING\r\n",
    "line breaks in an unknown command": b"*2\r\n$4\r\na\r\nb\r\n$4\r\nc\r\nd\r\n",
}


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_reads_the_same(node, redis_server, name, protocol):
    with harness.Raw(node.port) as ours, harness.Raw(redis_server.port) as theirs:
        for raw in (ours, theirs):
            assert raw.call("HELLO", protocol)[:1] == (b"*" if protocol == 2 else b"%")
            assert raw.call("FLUSHALL") == b"+OK\r\n"
        differences = []
        for line in SESSIONS[name]:
            marks, args = parse_line(line)
            expected = normalised(marks, theirs.call(*args))
            actual = normalised(marks, ours.call(*args))
            if actual != expected:
                differences.append(f"{line}\n    redis:    {expected!r}\n    carousel: {actual!r}")
        assert not differences, f"{len(differences)} of {len(SESSIONS[name])} differ\n" + "\n".join(differences)


@pytest.mark.parametrize("name", PAYLOADS)
def test_bytes_are_answered_the_same(node, redis_server, name):
    payload = PAYLOADS[name]
    answers = []
    for server in (node, redis_server):
        with harness.Raw(server.port) as raw:
            raw.call("FLUSHALL")
        with harness.Raw(server.port) as raw:
            answers.append(raw.exchange(payload))
    assert answers[0] == answers[1]


def test_bad_input_disturbs_nobody(node):
    with harness.Raw(node.port) as bystander:
        assert bystander.call("SET", "mine", "safe") == b"+OK\r\n"
        for payload in PAYLOADS.values():
            with harness.Raw(node.port) as raw:
                raw.exchange(payload)
            assert bystander.call("GET", "mine") == b"$4\r\nsafe\r\n"


def test_a_request_in_single_bytes_is_one_request(node):
    with harness.Raw(node.port) as raw:
        for byte in harness.encode(["SET", "slow", "v" * 40]) + b"GET slow\r\n":
            raw.socket.sendall(bytes([byte]))
        assert raw.reply() == b"+OK\r\n"
        assert raw.reply() == b"$40\r\n" + b"v" * 40 + b"\r\n"


def test_the_sessions_are_worth_the_name():
    assert sum(len(lines) for lines in SESSIONS.values()) >= 300
