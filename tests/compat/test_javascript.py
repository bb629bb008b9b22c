"""ioredis and node-redis, by the tests in `javascript/`, against a lone node and clusters."""

import os
import subprocess
from pathlib import Path

import harness
import pytest
import redis

SCRIPTS = Path(__file__).parent / "javascript"
CLIENTS = ["ioredis", "node_redis"]


def environment(node=None, cluster=None):
    """Where the scripts find their nodes."""
    found = {}
    if cluster:
        found["CAROUSEL_CLUSTER_PORTS"] = ",".join(str(member.port) for member in cluster.nodes)
    if node:
        with redis.Redis(port=node.port, decode_responses=True) as client:
            found["CAROUSEL_COMMANDS"] = ",".join(client.command_list())
            found["CAROUSEL_DATABASES"] = client.config_get("databases").get("databases", "1")
        found["CAROUSEL_PORT"] = str(node.port)
    return os.environ | found


@pytest.mark.parametrize("client", CLIENTS)
def test_client(client, node, trio):
    try:
        done = subprocess.run(
            ["node", "--test", "--test-reporter=spec", f"{client}.test.mjs"],
            cwd=SCRIPTS,
            env=environment(node, trio),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
        )
    except subprocess.TimeoutExpired as expired:
        # A test that failed leaves its connections, and they the process.
        pytest.fail((expired.stdout or b"").decode(errors="replace"))
    assert done.returncode == 0, done.stdout
    assert "\u2139 pass 0" not in done.stdout, done.stdout


def test_slots_move_under_both(cluster):
    """A fourth node takes its part while each client counts; no error, no count lost."""
    writers = [
        subprocess.Popen(
            ["node", f"{client}_moving.mjs"],
            cwd=SCRIPTS,
            env=environment(cluster=cluster),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=harness.die_with_parent,
        )
        for client in CLIENTS
    ]
    try:
        for writer in writers:
            first = writer.stdout.readline()
            assert first == "ready\n", first + writer.communicate(timeout=30)[0]
        cluster.add()
        harness.admin(cluster.nodes[0], "rebalance", "--wait")
        for writer in writers:
            said, _ = writer.communicate(timeout=120)  # Closes its input, which ends it.
            assert writer.returncode == 0 and said.startswith("rounds "), said
            assert int(said.split()[1]) > 1, said
    finally:
        for writer in writers:
            writer.kill()
    assert [member["primaries"] for member in cluster.status()["nodes"]] == [4096] * 4
