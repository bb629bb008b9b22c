"""Writers that know what they were promised: each owns keys, and counts up what it writes to them."""

import sys
import threading
import time
import traceback

import harness
import redis
from redis.cluster import ClusterNode, RedisCluster


def connect(nodes, **options):
    """A stock cluster client that starts from any of the nodes."""
    startup = [ClusterNode(harness.HOST, node.port) for node in nodes]
    return RedisCluster(startup_nodes=startup, decode_responses=True, socket_timeout=5, **options)


class Writer(threading.Thread):
    """Reads and writes its keys, one after the other, until told to stop.

    For each key it remembers the last value known to be there (acknowledged or read) and the last one tried: what the cluster holds
    must lie between the two. It reads before it writes, or else its next value would cover up that the last one was lost.
    """

    def __init__(self, number, nodes, keys):
        super().__init__(name=f"writer {number}", daemon=True)
        self.nodes = nodes
        self.keys = [f"writer:{number}:{n}" for n in range(keys)]
        self.known = dict.fromkeys(self.keys, 0)
        self.tried = dict.fromkeys(self.keys, 0)
        self.errors = []
        self.violations = []
        self.rounds = 0
        self.key = None
        self.stopping = threading.Event()

    def run(self):
        client = None
        while not self.stopping.is_set():
            try:
                client = client or connect(self.nodes)
                for key in self.keys:
                    if self.stopping.is_set():
                        return
                    self.use(client, key)
                self.rounds += 1
            except Exception as error:  # Whatever a stock client throws is what its user gets to see.
                self.errors.append(f"{type(error).__name__}: {error}")
                if not isinstance(error, redis.RedisError):
                    client = None  # A client that found no node at all, or broke, does not mend.
                # While a node is down every attempt may fail at once; nothing is gained by a million of them.
                self.stopping.wait(0.02)

    def whereabouts(self):
        """What it waits for and what went wrong last."""
        frame = sys._current_frames().get(self.ident)
        stack = "".join(traceback.format_stack(frame)[-8:]) if frame else "it has ended\n"
        return f"last key: {self.key}, {len(self.errors)} errors, the last: {self.errors[-3:]}\n{stack}"

    def use(self, client, key):
        self.key = key
        self.read(client, key)
        self.tried[key] += 1
        client.set(key, self.tried[key])
        self.known[key] = self.tried[key]
        self.read(client, key)

    def read(self, client, key):
        value = int(client.get(key) or 0)
        if not self.known[key] <= value <= self.tried[key]:
            self.violations.append(f"{key}: holds {value}, known {self.known[key]}, tried {self.tried[key]}")
        self.known[key] = max(self.known[key], value)


class Load:
    """Several writers at once. Leaving the block stops them; what they met stays to be looked at."""

    def __init__(self, nodes, writers=3, keys=150):
        self.writers = [Writer(n, nodes, keys) for n in range(writers)]

    def __enter__(self):
        for writer in self.writers:
            writer.start()
        self.await_progress()
        return self

    def __exit__(self, *_):
        for writer in self.writers:
            writer.stopping.set()
        for writer in self.writers:
            writer.join(timeout=60)
            assert not writer.is_alive(), f"{writer.name} hangs"

    def await_progress(self, seconds=90):
        """Until every writer has written each of its keys anew: every slot that it uses takes writes."""
        started = time.monotonic()
        for writer in self.writers:
            goal = writer.rounds + 2
            try:
                harness.eventually(f"{writer.name} writes all its keys", lambda: writer.rounds >= goal, seconds)
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{writer.whereabouts()}") from None
        return time.monotonic() - started

    def errors(self):
        return [error for writer in self.writers for error in writer.errors]

    def violations(self, nodes):
        """What any writer found wrong, and what is wrong now."""
        with connect(nodes) as client:
            for writer in self.writers:
                for key in writer.keys:
                    writer.read(client, key)
        return [wrong for writer in self.writers for wrong in writer.violations]
