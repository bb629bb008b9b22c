"""Stock clients against one node, which must look to them like one Redis server."""

import re
import threading

import harness
import pytest
import redis

KEYS = 2_000


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(node, request):
    with redis.Redis(port=node.port, protocol=request.param, decode_responses=True) as client:
        client.flushall()
        yield client


def cli(node, *arguments, stdin=None):
    return harness.run_tool(["redis-cli", "-h", harness.HOST, "-p", node.port, *arguments], stdin=stdin).strip()


def test_redis_cli(node):
    assert cli(node, "PING") == "PONG"
    assert cli(node, "SET", "greeting", "hello world") == "OK"
    assert cli(node, "GET", "greeting") == "hello world"
    assert cli(node, "--no-raw", "GET", "none") == "(nil)"
    assert cli(node, "--no-raw", "INCR", "greeting") == "(error) ERR value is not an integer or out of range"
    assert cli(node, "-3", "--no-raw", "EXISTS", "greeting", "none") == "(integer) 1"
    assert cli(node, stdin="SET a 1\nINCR a\nGET a\n").split() == ["OK", "2", "2"]
    assert "redis_version:" in cli(node, "INFO", "server")


def test_redis_cli_scan_and_pipe(node):
    cli(node, "FLUSHALL")
    requests = b"".join(harness.encode(["SET", f"piped:{n}", n]) for n in range(KEYS)).decode()
    assert f"errors: 0, replies: {KEYS}" in cli(node, "--pipe", stdin=requests)
    assert cli(node, "DBSIZE") == str(KEYS)
    found = cli(node, "--scan", "--pattern", "piped:*").split()
    assert sorted(found) == sorted(f"piped:{n}" for n in range(KEYS))


@pytest.mark.parametrize("pipeline", [1, 16, 64])
def test_redis_benchmark(node, pipeline):
    requests = 20_000 * min(pipeline, 16)
    argv = ["redis-benchmark", "-h", harness.HOST, "-p", node.port, "-t", "set,get,incr,mset,ping"]
    output = harness.run_tool([*argv, "-P", pipeline, "-n", requests, "-r", 10_000, "-q"])
    assert not re.search("error|warning", output, re.IGNORECASE), output
    rates = dict(re.findall(r"(PING_INLINE|PING_MBULK|SET|GET|INCR|MSET)\b[^\r\n]*?: ([\d.]+) requests per second", output))
    assert set(rates) == {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET"}, output
    assert all(float(rate) > 0 for rate in rates.values()), output


def test_values_of_every_size_come_back(node):
    with redis.Redis(port=node.port) as client:
        values = {f"size:{n}": bytes(i * 7 % 256 for i in range(n)) for n in (0, 1, 63, 64, 1_000, 16_384, 70_000)}
        values["size:large"] = bytes(range(256)) * 80_000
        for key, value in values.items():
            assert client.set(key, value)
        for key, value in values.items():
            assert client.get(key) == value
            assert client.strlen(key) == len(value)


def test_strings(client):
    assert client.get("none") is None
    assert client.set("k", "v", nx=True) is True
    assert client.set("k", "w", nx=True) is None
    assert client.set("k", "w", get=True) == "v"
    assert client.mset({"a": 1, "b": 2}) is True
    assert client.mget("a", "none", "b") == ["1", None, "2"]
    assert client.incrby("a", 41) == 42
    assert client.incrbyfloat("a", 0.5) == 42.5
    assert client.append("k", "!") == 2
    assert client.setrange("k", 3, "x") == 4
    assert client.getrange("k", 0, -1) == "w!\0x"
    assert client.getdel("k") == "w!\0x"
    assert client.exists("k") == 0
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        client.incr("a")


def test_expiry(client):
    client.set("k", "v", ex=100)
    assert 99 <= client.ttl("k") <= 100
    assert client.getex("k", persist=True) == "v"
    assert client.ttl("k") == -1
    client.pexpire("k", 20)
    harness.eventually("the key expires", lambda: client.get("k") is None, seconds=5)
    assert client.ttl("k") == -2
    client.mset({f"soon:{n}": "v" for n in range(500)})
    with client.pipeline(transaction=False) as pipe:
        for n in range(500):
            pipe.pexpire(f"soon:{n}", 1 + n % 20)
        assert pipe.execute() == [True] * 500
    # Nobody asks for these keys again: they have to go by themselves.
    harness.eventually("expired keys leave unasked", lambda: client.dbsize() == 0, seconds=20)


def test_scan_shows_every_key_once(client):
    with client.pipeline(transaction=False) as pipe:
        for n in range(KEYS):
            pipe.set(f"{'even' if n % 2 == 0 else 'odd'}:{n}", n)
        pipe.execute()
    for count in (1, 10, 1_000):
        assert sorted(client.scan_iter(count=count)) == sorted(client.keys("*"))
    assert len(list(client.scan_iter(match="even:*"))) == KEYS / 2
    assert len(list(client.scan_iter(_type="string"))) == KEYS
    assert list(client.scan_iter(_type="hash")) == []
    assert client.dbsize() == KEYS
    assert client.randomkey().split(":")[0] in ("even", "odd")


def test_scan_shows_what_stays_while_keys_come_and_go(client):
    staying = {f"stay:{n}" for n in range(KEYS)}
    client.mset(dict.fromkeys(staying, "v"))
    seen, cursor, turn = set(), None, 0
    while cursor != 0:
        cursor, keys = client.scan(cursor or 0, count=50)
        seen.update(keys)
        client.mset({f"new:{turn}:{n}": "v" for n in range(100)})
        client.delete(*(f"new:{turn - 1}:{n}" for n in range(100)))
        turn += 1
    assert staying <= seen


def test_pipelines_answer_in_order(client):
    with client.pipeline(transaction=False) as pipe:
        for n in range(5_000):
            pipe.set(f"p:{n}", n)
            pipe.get(f"p:{n}")
        replies = pipe.execute()
    assert replies[0::2] == [True] * 5_000
    assert replies[1::2] == [str(n) for n in range(5_000)]


def test_connections_at_the_same_time_count_together(node):
    clients, each = 20, 500
    failures = []

    def count():
        try:
            with redis.Redis(port=node.port) as client:
                for _ in range(each):
                    client.incr("together")
        except redis.RedisError as error:
            failures.append(error)

    with redis.Redis(port=node.port) as client:
        client.delete("together")
        threads = [threading.Thread(target=count) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert client.get("together") == str(clients * each).encode()


def test_a_lone_node_is_one_endpoint(node):
    with redis.Redis(port=node.port, decode_responses=True) as client:
        info = client.info()
        assert (info["role"], info["connected_slaves"], info["cluster_enabled"]) == ("master", 0, 1)
        assert info["redis_version"].startswith("7.2.")
        assert client.execute_command("CLUSTER", "KEYSLOT", "foo") == 12182
        cluster = client.execute_command("CLUSTER", "INFO")
        cluster = cluster if isinstance(cluster, dict) else dict(line.split(":") for line in cluster.splitlines() if line)
        assert str(cluster["cluster_known_nodes"]) == "1"


def test_what_was_acknowledged_survives_kill_and_stop(tmp_path):
    node = harness.carousel(tmp_path, shards=2).start()
    expected = {}
    for turn, end in enumerate((node.kill, node.stop, node.kill)):
        with redis.Redis(port=node.port, decode_responses=True) as client:
            for n in range(KEYS):
                client.set(f"k:{n % 700}", f"{turn}:{n}")
                expected[f"k:{n % 700}"] = f"{turn}:{n}"
            client.set("leased", turn, ex=1_000)
            client.delete(f"k:{turn}")
            expected.pop(f"k:{turn}", None)
        end()
        node.start()
        with redis.Redis(port=node.port, decode_responses=True) as client:
            keys = list(expected)
            assert dict(zip(keys, client.mget(keys))) == expected
            assert client.dbsize() == len(expected) + 1
            assert 900 < client.ttl("leased") <= 1_000
    node.kill()


def test_a_used_port_and_a_used_directory_are_refused_in_one_line(tmp_path):
    node = harness.carousel(tmp_path).start()
    same_port = harness.carousel(tmp_path / "other", port=node.port)
    same_directory = harness.carousel(tmp_path)
    same_directory.argv = [str(node.directory) if a == str(same_directory.directory) else a for a in same_directory.argv]
    for second in (same_port, same_directory):
        code, log = second.refuses_to_start()
        assert code > 0, log
        errors = [line for line in log.splitlines() if re.search("error|in use", line, re.IGNORECASE)]
        assert len(errors) == 1, log
    node.stop()


def test_a_pipeline_that_switches_versions_is_answered_in_each(node):
    """Also where keys of other shards are asked for before and after the switch."""
    keys = range(30)
    with harness.Raw(node.port) as raw:
        requests = [["GET", key] for key in keys]
        raw.socket.sendall(b"".join(map(harness.encode, [*requests, ["HELLO", 3], *requests, ["HELLO", 2], *requests])))
        for nil, switched in ((b"$-1\r\n", b"%"), (b"_\r\n", b"*"), (b"$-1\r\n", None)):
            assert [raw.reply() for _ in keys] == [nil] * len(keys)
            if switched:
                assert raw.reply()[:1] == switched
