"""Connections that ask the same are served alike."""

import os
import selectors
import socket
import time

import harness
import pytest

CONNECTIONS = 200
SECONDS = 10
#: The busiest may be served so many times as often as the least served.
RATIO_MAX = 2


@pytest.mark.parametrize("runtime", ["uring", "epoll"])
@pytest.mark.parametrize("shards", [1, 2])
def test_connections_are_served_alike(shards, runtime):
    with harness.Workspace() as path:
        node = harness.carousel(path, shards=shards, appendonly=False)
        node.argv += ["--runtime", runtime]
        # The server has one core and the clients another: otherwise a shard that shares its core with the clients is the slower one.
        mine = os.sched_getaffinity(0)
        first, *others = sorted(mine)
        node.argv = ["taskset", "-c", str(first), *node.argv]
        node.start()
        try:
            os.sched_setaffinity(0, others or [first])
            served = measure(node.port)
        finally:
            os.sched_setaffinity(0, mine)
            node.kill()
    least, most = min(served), max(served)
    print(f"{shards} shard(s), {runtime}: {sum(served) / SECONDS:.0f} replies/s, {least} to {most} per connection, {most / least:.2f} times")
    assert most <= RATIO_MAX * least


def measure(port):
    """Replies that each connection got, all of which always have one request under way."""
    selector = selectors.DefaultSelector()
    served, connections = [0] * CONNECTIONS, []
    for n in range(CONNECTIONS):
        connection = socket.create_connection((harness.HOST, port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, n)
        connections.append(connection)
    # Each connection goes through all keys, so that none has more to do with its own shard than another.
    requests = [harness.encode(["SET", f"key:{n}", n]) for n in range(1009)]
    for n, connection in enumerate(connections):
        connection.send(requests[n % len(requests)])
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for key, _ in selector.select(timeout=1):
            assert key.fileobj.recv(64) == b"+OK\r\n"
            served[key.data] += 1
            key.fileobj.send(requests[(key.data + served[key.data]) % len(requests)])
    for connection in connections:
        connection.close()
    return served
