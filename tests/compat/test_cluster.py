"""Stock cluster clients against three nodes."""

import re

import harness
import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster

KEYS = 5_000


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(trio, request):
    with connect(trio, protocol=request.param) as client:
        client.flushall()
        yield client


def connect(cluster, **options):
    nodes = [ClusterNode(harness.HOST, node.port) for node in cluster.nodes]
    return RedisCluster(startup_nodes=nodes, decode_responses=True, **options)


def test_redis_py(client):
    for n in range(KEYS):
        assert client.set(f"k:{n}", n)
    assert [client.get(f"k:{n}") for n in range(KEYS)] == [str(n) for n in range(KEYS)]
    assert client.dbsize(target_nodes=RedisCluster.PRIMARIES) == KEYS
    assert sorted(client.scan_iter(count=500)) == sorted(f"k:{n}" for n in range(KEYS))
    assert client.mget_nonatomic([f"k:{n}" for n in range(100)]) == [str(n) for n in range(100)]
    assert client.delete("k:0", "k:1", "k:2") == 3
    with client.pipeline() as pipe:
        for n in range(1_000):
            pipe.incr(f"k:{n + 10}")
        assert pipe.execute() == [n + 11 for n in range(1_000)]


def test_several_keys_of_one_slot(client):
    assert client.mset({"{user}:a": 1, "{user}:b": 2})
    assert client.mget("{user}:a", "{user}:none", "{user}:b") == ["1", None, "2"]
    assert client.exists("{user}:a", "{user}:b") == 2
    assert client.delete("{user}:a", "{user}:b") == 2


def test_several_keys_of_several_slots_are_refused(trio):
    for arguments in (["MGET", "a", "b"], ["MSET", "a", 1, "b", 2], ["DEL", "a", "b"]):
        for node in trio.nodes:
            with harness.Raw(node.port) as raw:
                assert raw.call(*arguments) == b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"


def test_a_wrong_node_says_which_is_right(trio):
    answers = {}
    for node in trio.nodes:
        with harness.Raw(node.port) as raw:
            answers[node.address] = raw.call("SET", "foo", "bar")
    owners = [address for address, answer in answers.items() if answer == b"+OK\r\n"]
    assert len(owners) == 1
    moved = f"-MOVED 12182 {owners[0]}\r\n".encode()
    assert all(answer == moved for address, answer in answers.items() if address != owners[0])


def test_all_nodes_show_one_map(trio):
    maps = set()
    for node in trio.nodes:
        with harness.Raw(node.port) as raw:
            maps.add(raw.call("CLUSTER", "SLOTS"))
    assert len(maps) == 1
    with redis.Redis(port=trio.nodes[0].port) as client:
        ranges = client.execute_command("CLUSTER", "SLOTS")
    if isinstance(ranges, dict):
        ranges = [[first, last] for first, last in ranges]
    covered = sorted(slot for first, last, *_ in ranges for slot in range(first, last + 1))
    assert covered == list(range(16_384))


def test_each_node_leads_a_third(trio):
    status = trio.status()
    assert sorted(node["primaries"] for node in status["nodes"]) == [5461, 5461, 5462]
    assert all(node["slots"] == 16_384 for node in status["nodes"])
    assert (status["replicas"], status["write_quorum"], status["slots_served"]) == (3, 2, 16_384)


def test_redis_cli_follows(trio):
    argv = ["redis-cli", "-c", "-h", harness.HOST, "-p", trio.nodes[0].port]
    requests = "".join(f"SET cli:{n} {n}\n" for n in range(200)) + "".join(f"GET cli:{n}\n" for n in range(200))
    answers = [line for line in harness.run_tool(argv, stdin=requests).split("\n") if line and "Redirected" not in line]
    assert answers == ["OK"] * 200 + [str(n) for n in range(200)]


def test_redis_cli_check(trio):
    for node in trio.nodes:
        output = harness.run_tool(["redis-cli", "--cluster", "check", node.address])
        assert "[OK] All nodes agree about slots configuration." in output
        assert "[OK] All 16384 slots covered." in output
        assert not re.search(r"\[(ERR|WARNING)\]", output), output


def test_redis_cli_call_reaches_every_node(trio):
    output = harness.run_tool(["redis-cli", "--cluster", "call", trio.nodes[0].address, "PING"])
    assert output.count("PONG") == 3, output


def test_redis_benchmark(trio):
    argv = ["redis-benchmark", "--cluster", "-h", harness.HOST, "-p", trio.nodes[1].port, "-t", "set,get"]
    output = harness.run_tool([*argv, "-n", 100_000, "-r", 100_000, "-P", 8, "-d", 100, "-q"])
    assert not re.search("error|warning", output, re.IGNORECASE), output
    assert len(re.findall(r"(?:SET|GET)\b[^\r\n]*?: [\d.]+ requests per second", output)) == 2, output


def test_members_are_not_taken_twice(trio):
    with pytest.raises(AssertionError, match="this node is a member of cluster [0-9a-f]{40} already"):
        harness.admin(trio.nodes[0], "create", *(node.address for node in trio.nodes))
    member = trio.nodes[1].address
    with pytest.raises(AssertionError, match=f"{re.escape(member)} is a member of cluster [0-9a-f]{{40}} already"):
        harness.admin(trio.nodes[0], "add-node", member)
    assert len(trio.status()["nodes"]) == 3


def test_strangers_are_refused(trio, redis_server):
    unreachable = f"{harness.HOST}:{harness.free_ports(1)[0]}"
    for address, refusal in ((unreachable, ": connection refused"), (redis_server.address, " is not a Carousel node")):
        with pytest.raises(AssertionError, match=re.escape(address + refusal)):
            harness.admin(trio.nodes[0], "add-node", address)
    assert len(trio.status()["nodes"]) == 3
