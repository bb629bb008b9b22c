"""What an operator does with one node, beside a Redis where the answer is the same: watching, pausing, cutting off, timing."""

import contextlib
import re
import socket
import stat
import time

import harness
import pytest


@pytest.fixture
def both(node, redis_server):
    """A connection to either, ours first; both servers empty and with their usual settings."""
    with harness.Raw(node.port) as ours, harness.Raw(redis_server.port) as theirs:
        for raw in (ours, theirs):
            assert raw.call("FLUSHALL") == b"+OK\r\n"
            assert raw.call("CONFIG", "SET", "slowlog-log-slower-than", 10_000) == b"+OK\r\n"
            assert raw.call("SLOWLOG", "RESET") == b"+OK\r\n"
        yield ours, theirs


def port_of(raw):
    return raw.socket.getpeername()[1]


def another(raw):
    return harness.Raw(port_of(raw))


def bulk(reply):
    return reply.split(b"\r\n", 1)[1].removesuffix(b"\r\n")


def test_a_monitor_sees_what_all_others_ask(both):
    seen = []
    for raw in both:
        with another(raw) as monitor, another(raw) as worker:
            assert monitor.call("MONITOR") == b"+OK\r\n"
            # Keys of any shard, and one request that no shard executes.
            for args in (["SET", "k", 'a "b"\r\n\x00\xff'.encode("latin1")], ["get", "k"], ["MSET", "x", 1, "y", 2], ["PING"]):
                worker.call(*args)
            worker.call("CONFIG", "GET", "port")
            worker.call("AUTH", "default", "secret")
            worker.call("NOSUCH")
            # Of a transaction what is executed is shown, when it is: not what is discarded, and not what a watched key stops.
            for args in (["MULTI"], ["SET", "k", 1], ["MSET", "x", 1, "y", 2], ["SELECT", 1], ["GET", "k"], ["SELECT", 0], ["EXEC"]):
                worker.call(*args)
            for args in (["MULTI"], ["SET", "k", 2], ["INCR", "k"], ["EXEC"], ["MULTI"], ["SET", "k", 3], ["DISCARD"]):
                worker.call(*args)
            for args in (["WATCH", "k"], ["SET", "k", 4], ["MULTI"], ["GET", "k"], ["EXEC"]):
                worker.call(*args)
            worker.call("ECHO", "end")
            lines = []
            while not lines or b'"end"' not in lines[-1]:
                lines.append(monitor.reply())
            assert all(re.match(rb'\+\d{10}\.\d{6} \[\d 127\.0\.0\.1:\d+\] "', line) for line in lines), lines
            seen.append([re.sub(rb"^\S+ \[(\d)[^\]]*\]", rb"\1", line) for line in lines])
            # It may leave; from then on it is a client as others are.
            assert monitor.call("RESET") == b"+RESET\r\n"
            assert monitor.call("GET", "k").startswith(b"$")
    assert seen[0] == seen[1]


def test_a_monitor_cannot_use_keys(both):
    for raw in both:
        with another(raw) as monitor:
            monitor.call("MONITOR")
            # Its own requests are among the lines.
            monitor.socket.sendall(harness.encode(["GET", "k"]))
            replies = [monitor.reply()]
            while not replies[-1].startswith(b"-"):
                replies.append(monitor.reply())
            assert replies[-1] == b"-ERR Replica can't interact with the keyspace\r\n"


def test_replies_can_be_switched_off(both):
    answers = []
    for raw in both:
        with another(raw) as client:
            requests = [
                ["PING"],
                ["CLIENT", "REPLY", "SKIP"],
                ["SET", "{a}1", 1],
                ["GET", "{a}1"],
                ["CLIENT", "REPLY", "OFF"],
                ["GET", "{b}1"],
                ["MGET", "{a}1", "{b}1", "{c}1", "{d}1"],
                ["NOSUCH"],
                ["CLIENT", "REPLY", "SKIP"],
                ["INCR", "{a}1"],
                ["CLIENT", "REPLY", "ON"],
                ["MGET", "{a}1", "{b}1"],
            ]
            answers.append(client.exchange(b"".join(map(harness.encode, requests))))
    assert answers[0] == answers[1]


def test_paused_writes_wait_and_reads_do_not(both):
    for raw in both:
        with another(raw) as writer, another(raw) as reader:
            assert raw.call("CLIENT", "PAUSE", 100_000, "WRITE") == b"+OK\r\n"
            writer.socket.sendall(harness.encode(["SET", "paused", 1]))
            assert reader.call("GET", "paused") == b"$-1\r\n"
            harness.eventually("the writer waits", lambda: b"blocked_clients:1\r\n" in reader.call("INFO", "clients"))
            assert raw.call("CLIENT", "UNPAUSE") == b"+OK\r\n"
            assert writer.reply() == b"+OK\r\n"
            assert reader.call("GET", "paused") == b"$1\r\n1\r\n"


def test_all_clients_wait_until_a_pause_is_over(both):
    for raw in both:
        with another(raw) as reader:
            before = time.monotonic()
            assert raw.call("CLIENT", "PAUSE", 300) == b"+OK\r\n"
            assert reader.call("PING") == b"+PONG\r\n"
            assert time.monotonic() - before >= 0.29


def test_a_client_that_waits_can_be_killed(both):
    ours, _ = both
    with another(ours) as writer:
        number = int(writer.call("CLIENT", "ID")[1:])
        ours.call("CLIENT", "PAUSE", 100_000, "WRITE")
        writer.socket.sendall(harness.encode(["SET", "paused", 1]))
        harness.eventually("the writer waits", lambda: b"blocked_clients:1\r\n" in ours.call("INFO", "clients"))
        assert ours.call("CLIENT", "KILL", "ID", number) == b":1\r\n"
        assert writer.file.read() == b""
        harness.eventually("it is gone", lambda: ours.call("CLIENT", "LIST", "ID", number) == b"$0\r\n\r\n")
        ours.call("CLIENT", "UNPAUSE")
    assert ours.call("GET", "paused") == b"$-1\r\n"


def test_the_slow_log_has_what_took_long(both):
    for raw in both:
        with another(raw) as client:
            client.call("CLIENT", "SETNAME", "sluggish")
            raw.call("CONFIG", "SET", "slowlog-log-slower-than", 0)
            client.call("SET", "k", "v" * 200)
            # Of one slot: each shard notes its own part of a command.
            client.call("DEL", *(f"{{t}}{n}" for n in range(40)))
            raw.call("CONFIG", "SET", "slowlog-log-slower-than", -1)
            client.call("GET", "k")
    entries = []
    for raw in both:
        # Newest first; the settings' own requests are there as well.
        reply = raw.call("SLOWLOG", "GET", -1)
        assert b"sluggish" in reply and re.search(rb"\r\n\$15\r\n127\.0\.0\.1:\d+\r\n|\r\n\$1\d\r\n127", reply)
        args = [part.split(b"\r\n$")[0] for part in reply.split(b"\r\n*6\r\n")]
        assert args
        shown = re.findall(rb"\*\d+\r\n\$\d+\r\n(?:SET|DEL)\r\n.*?(?=\r\n\$\d+\r\n127)", reply, re.DOTALL)
        entries.append(shown)
        length = int(raw.call("SLOWLOG", "LEN")[1:])
        assert length >= 3
        raw.call("CONFIG", "SET", "slowlog-log-slower-than", 10_000)
    assert entries[0] == entries[1] and len(entries[0]) >= 2


def test_commands_are_counted_and_timed(both):
    stats = []
    for raw in both:
        assert raw.call("CONFIG", "RESETSTAT") == b"+OK\r\n"
        for n in range(50):
            raw.call("SET", f"k{n}", n)
            raw.call("LPUSH", "list", n)
        raw.call("LPUSH", "k1", 1)
        raw.call("LPUSH")
        raw.call("NOSUCH")
        info = raw.call("INFO", "everything").decode()
        counts = {}
        for name in ("set", "lpush"):
            found = re.search(rf"cmdstat_{name}:calls=(\d+),usec=(\d+),usec_per_call=([\d.]+),rejected_calls=(\d+),failed_calls=(\d+)", info)
            calls, usec, per_call, rejected, failed = found.groups()
            assert int(usec) > 0 and abs(float(per_call) - int(usec) / int(calls)) < 0.1
            counts[name] = (calls, rejected, failed)
            percentiles = re.search(rf"latency_percentiles_usec_{name}:p50=([\d.]+),p99=([\d.]+),p99\.9=([\d.]+)", info)
            values = [float(value) for value in percentiles.groups()]
            assert 0 < values[0] <= values[1] <= values[2]
        counts["errors"] = sorted(re.findall(r"errorstat_\w+:count=\d+", info))
        stats.append(counts)
        histogram = raw.call("LATENCY", "HISTOGRAM", "set")
        assert histogram.startswith(b"*2\r\n$3\r\nset\r\n*4\r\n$5\r\ncalls\r\n:50\r\n$14\r\nhistogram_usec\r\n*"), histogram
    assert stats[0] == stats[1]


def test_who_does_not_read_is_cut_off(both):
    """By the hard limit for one reply, by the soft one for replies that stay for too long."""
    for raw in both:
        raw.call("SET", "large", b"x" * 8_000_000)
        for limit, seconds in (("normal 1000000 0 0", 10), ("normal 0 100000 1", 15)):
            assert raw.call("CONFIG", "SET", "client-output-buffer-limit", limit) == b"+OK\r\n"
            with another(raw) as lazy:
                number = int(lazy.call("CLIENT", "ID")[1:])
                with contextlib.suppress(ConnectionError):  # It may be cut off while it asks.
                    for _ in range(20):
                        lazy.socket.sendall(harness.encode(["GET", "large"]))
                is_gone = lambda: raw.call("CLIENT", "LIST", "ID", number) == b"$0\r\n\r\n"
                harness.eventually(f"it is cut off by {limit}", is_gone, seconds)
        assert raw.call("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0") == b"+OK\r\n"
        info = raw.call("INFO", "stats")
        if raw is both[0]:
            assert b"client_output_buffer_limit_disconnections:2\r\n" in info


def test_a_request_without_end_is_cut_off(both):
    for raw in both:
        assert raw.call("CONFIG", "SET", "client-query-buffer-limit", 1_048_576) == b"+OK\r\n"
        with another(raw) as endless:
            with contextlib.suppress(ConnectionError):
                endless.socket.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n" + b"x" * 5_000_000)
                assert endless.file.read() == b""
        assert raw.call("CONFIG", "SET", "client-query-buffer-limit", "1gb") == b"+OK\r\n"
        assert raw.call("EXISTS", "k") == b":0\r\n"


def test_settings_change_together_or_not_at_all(both):
    for raw in both:
        assert raw.call("CONFIG", "SET", "timeout", 100, "maxclients", 500) == b"+OK\r\n"
        assert raw.call("CONFIG", "SET", "timeout", 200, "maxclients", "many").startswith(b"-ERR CONFIG SET failed")
        assert raw.call("CONFIG", "GET", "timeout") == b"*2\r\n$7\r\ntimeout\r\n$3\r\n100\r\n"
        assert raw.call("CONFIG", "SET", "timeout", 0, "maxclients", 10_000) == b"+OK\r\n"


def test_too_many_clients_are_told_so(both):
    for raw in both:
        assert raw.call("CONFIG", "SET", "maxclients", 3) == b"+OK\r\n"
        with another(raw), another(raw) as second:
            harness.eventually("three are connected", lambda: second.call("PING") == b"+PONG\r\n")
            with another(raw) as fourth:
                assert fourth.file.read() == b"-ERR max number of clients reached\r\n"
            assert second.call("PING") == b"+PONG\r\n"
        assert raw.call("CONFIG", "SET", "maxclients", 10_000) == b"+OK\r\n"


@contextlib.contextmanager
def own_node(*settings, shards=2):
    """A node with settings of its own, in a workspace of its own."""
    with harness.Workspace() as path:
        node = harness.carousel(path, shards=shards)
        node.argv += [str(word) for word in settings]
        node.start()
        try:
            yield node
        finally:
            if node.child:
                node.kill()


class OverUnix(harness.Raw):
    """A connection by a Unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")


@pytest.mark.parametrize("runtime", ["uring", "epoll"])
def test_clients_come_by_a_unix_socket(runtime, tmp_path):
    path = tmp_path / "c.sock"
    with own_node("--unixsocket", path, "--unixsocketperm", 700, "--runtime", runtime) as node:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        with OverUnix(path) as client, OverUnix(path) as other, harness.Raw(node.port) as tcp:
            large = b"x" * 5_000_000
            for raw in (client, other):
                assert raw.call("SET", "large", large) == b"+OK\r\n"
                assert raw.call("GET", "large") == b"$5000000\r\n" + large + b"\r\n"
            line = client.call("CLIENT", "INFO").decode()
            assert f" addr={path}:0 laddr={path}:0 " in line and " flags=U " in line
            number = int(other.call("CLIENT", "ID")[1:])
            assert tcp.call("CLIENT", "KILL", "ID", number) == b":1\r\n"
            assert other.file.read() == b""
            assert tcp.call("CLIENT", "KILL", "ADDR", f"{path}:0") == b":1\r\n"
            assert client.file.read() == b""
        node.stop()
        assert not path.exists()


def test_a_socket_left_by_a_dead_process_is_replaced(tmp_path):
    path = tmp_path / "c.sock"
    with own_node("--unixsocket", path) as node:
        node.kill()
        assert path.exists()
        node.start()
        with OverUnix(path) as client:
            assert client.call("PING") == b"+PONG\r\n"


def test_clients_without_a_descriptor_are_told_so_and_others_go_on():
    with own_node(shards=1) as node:
        node.kill()
        node.argv = ["bash", "-c", 'ulimit -n 250; exec "$@"', "bash", *node.argv]
        node.start()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(harness.Raw(node.port)) for _ in range(100)]
            answers = []
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    client.socket.sendall(harness.encode(["PING"]))
                try:
                    answers.append(client.reply())
                except ConnectionError:
                    answers.append(b"")  # The error was reset away by our own request.
            assert answers.count(b"+PONG\r\n") >= 20
            assert set(answers) <= {b"+PONG\r\n", b"-ERR max number of clients reached\r\n", b""}
            assert len(set(answers)) > 1
            assert clients[0].call("SET", "k", "v" * 100_000) == b"+OK\r\n"
        # Those who went have their places freed at the server's next look.
        harness.eventually("another is served", lambda: one_reply(node, "STRLEN", "k") == b":100000\r\n")
        node.stop()


def one_reply(node, *args):
    with harness.Raw(node.port) as raw:
        return raw.call(*args)


def test_debug_is_for_those_who_may(redis_server):
    with own_node() as node, harness.Raw(node.port) as raw:
        assert raw.call("DEBUG", "SLEEP", 0).startswith(b"-ERR DEBUG command not allowed.")
        assert raw.call("DEBUG", "OBJECT", "k").startswith(b"-ERR DEBUG command not allowed.")
    with own_node("--enable-debug-command", "local") as node, harness.Raw(node.port) as raw:
        raw.call("SET", "k", "12")
        assert re.match(rb"\+Value at:0x\S+ refcount:1 encoding:int serializedlength:2 lru:\d+ ", raw.call("DEBUG", "OBJECT", "k"))
        assert raw.call("DEBUG", "OBJECT", "none") == b"-ERR no such key\r\n"
        raw.call("CONFIG", "SET", "latency-monitor-threshold", 100)
        before = time.monotonic()
        with another(raw) as other:
            number = other.call("CLIENT", "ID")
            raw.socket.sendall(harness.encode(["DEBUG", "SLEEP", "0.3"]))
            # Another connection, perhaps on another shard, waits as well.
            deadline = time.monotonic() + 5
            while time.monotonic() - before < 0.29 and time.monotonic() < deadline:
                assert other.call("CLIENT", "ID") == number
        assert raw.reply() == b"+OK\r\n" and time.monotonic() - before >= 0.29
        assert b"\r\nSLEEP\r\n" in raw.call("SLOWLOG", "GET", 1)
        assert raw.call("LATENCY", "LATEST").startswith(b"*1\r\n*4\r\n$7\r\ncommand\r\n")


@pytest.mark.parametrize("word", ["string", "integer", "double", "null", "array", "set", "map", "verbatim", "true", "false", "nosuch"])
def test_debug_protocol_shows_all_types(word):
    with harness.Workspace() as path:
        reference = harness.reference(path)
        reference.argv += ["--enable-debug-command", "yes"]
        reference.start()
        try:
            with own_node("--enable-debug-command", "yes") as node:
                with harness.Raw(node.port) as ours, harness.Raw(reference.port) as theirs:
                    for version in (2, 3):
                        answers = []
                        for raw in (ours, theirs):
                            raw.call("HELLO", version)
                            answers.append(raw.call("DEBUG", "PROTOCOL", word))
                        assert answers[0] == answers[1]
        finally:
            reference.kill()


@pytest.mark.parametrize("appendfsync", ["everysec", "always", "no"])
def test_waitaof_waits_for_the_disk(appendfsync):
    with own_node("--appendfsync", appendfsync) as node, harness.Raw(node.port) as raw:
        for n in range(20):
            raw.call("SET", f"k{n}", n)
        assert raw.call("WAITAOF", 1, 0, 10_000) == b"*2\r\n:1\r\n:0\r\n"
        # In one batch with a write.
        raw.socket.sendall(harness.encode(["SET", "k", 1]) + harness.encode(["WAITAOF", 1, 0, 0]) + harness.encode(["PING"]))
        assert [raw.reply() for _ in range(3)] == [b"+OK\r\n", b"*2\r\n:1\r\n:0\r\n", b"+PONG\r\n"]


def test_long_replies_of_other_shards_come_a_few_at_a_time():
    with own_node(shards=3) as node, harness.Raw(node.port) as raw:
        large, count = b"x" * 8_000_000, 40
        for key in "abcdef":  # On every shard.
            assert raw.call("SET", key, large) == b"+OK\r\n"
        raw.socket.sendall(b"".join(harness.encode(["GET", "abcdef"[n % 6]]) for n in range(count)))
        for _ in range(count):
            assert raw.reply() == b"$8000000\r\n" + large + b"\r\n"
        peak = int(re.search(rb"used_memory_peak:(\d+)", raw.call("INFO", "memory"))[1])
        assert peak < 6 * len(large) + 250_000_000
