"""What DUMP writes, Redis restores, and the other way round; and both restore every encoding that Redis has ever used."""

import os
import random
import struct

import harness
import pytest
import rdb

SEED = int(os.environ.get("DUMP_SEED", "1"))
ROUNDS = 20


class Generator:
    """Values of all types from a seed."""

    def __init__(self, seed):
        self.dice = random.Random(seed)

    def text(self):
        dice = self.dice
        pick = dice.randrange(12)
        if pick < 4:
            width = dice.choice((4, 8, 13, 16, 24, 31, 32, 33, 63))
            return b"%d" % dice.randint(-(1 << width), (1 << width) - 1)
        if pick < 6:
            return b"%d" % dice.choice((0, 12, 13, 127, 128, -128, -129, 4095, 4096, -4096, -4097, (1 << 63) - 1, -(1 << 63)))
        if pick < 7:
            return dice.choice((b"", b"-0", b"007", b"+1", b" 1", b"1e5", b"9223372036854775808", b"inf"))
        if pick < 9:
            return dice.randbytes(dice.choice((1, 3, 20, 63, 64, 65, 200)))
        if pick < 11:
            return dice.randbytes(dice.randint(1, 4)) * dice.randint(1, 60)
        size = dice.choice((253, 254, 4_095, 4_096, 16_380, 16_384, 70_000))
        return dice.choice((dice.randbytes(size), b"ab" * size))

    def score(self):
        dice = self.dice
        return dice.choice(
            (
                lambda: float(dice.randint(-1000, 1000)),
                lambda: float(dice.randint(-(1 << 62), 1 << 62)),
                lambda: dice.uniform(-1, 1),
                lambda: dice.choice((float("inf"), float("-inf"), 0.0, 5e-324, 1.7976931348623157e308)),
            )
        )()

    def texts(self, count):
        return [self.text() for _ in range(count)]

    def distinct(self, count):
        return list(dict.fromkeys(self.texts(count)))

    def count(self):
        return self.dice.choice((1, 2, 5, 40, 130, 600))

    def command(self, kind, key):
        """A command that makes a value of this type."""
        count = self.count()
        if kind == "string":
            return ["SET", key, self.text()]
        if kind == "list":
            return ["RPUSH", key, *self.texts(count)]
        if kind == "set":
            return ["SADD", key, *self.texts(count)]
        if kind == "integers":
            return ["SADD", key, *(b"%d" % self.dice.randint(-(1 << 40), 1 << 40) for _ in range(count))]
        if kind == "hash":
            return ["HSET", key, *self.texts(2 * count)]
        return ["ZADD", key, *(x for member in self.distinct(count) for x in (repr(self.score()), member))]


KINDS = ["string", "list", "set", "integers", "hash", "zset"]


def content(raw, key):
    """All of a value, and its kind, as bytes that are equal for equal values."""
    kind = raw.call("TYPE", key)
    if kind == b"+string\r\n":
        return kind, raw.call("GET", key)
    if kind == b"+list\r\n":
        return kind, raw.call("LRANGE", key, 0, -1)
    if kind == b"+zset\r\n":
        # Redis 7.0 writes a double with 17 digits, 7.2 in its shortest form: as numbers they are the same.
        members = bulks(raw.call("ZRANGE", key, 0, -1, "WITHSCORES"))
        return kind, [(member, struct.pack("<d", float(score) + 0.0)) for member, score in zip(members[::2], members[1::2])]
    if kind == b"+set\r\n":
        return kind, sorted(bulks(raw.call("SMEMBERS", key)))
    assert kind == b"+hash\r\n", kind
    flat = bulks(raw.call("HGETALL", key))
    return kind, sorted(zip(flat[::2], flat[1::2]))


def bulks(reply):
    """The strings of an array."""
    end = reply.index(b"\r\n")
    found, at = [], end + 2
    for _ in range(int(reply[1:end])):
        end = reply.index(b"\r\n", at)
        size, start = int(reply[at + 1 : end]), end + 2
        found.append(reply[start : start + size])
        at = start + size + 2
    assert at == len(reply)
    return found


def bulk(reply):
    return bulks(b"*1\r\n" + reply)[0]


@pytest.fixture
def pair(node, redis_server):
    with harness.Raw(node.port) as ours, harness.Raw(redis_server.port) as theirs:
        for raw in (ours, theirs):
            assert raw.call("FLUSHALL") == b"+OK\r\n"
        yield ours, theirs


@pytest.mark.parametrize("kind", KINDS)
def test_each_restores_what_the_other_has_dumped(pair, kind):
    ours, theirs = pair
    for seed in range(SEED, SEED + ROUNDS):
        command = Generator(seed).command(kind, "k")
        for maker, taker in ((ours, theirs), (theirs, ours)):
            hint = f"{kind} with DUMP_SEED={seed}"
            maker.call("DEL", "k")
            maker.call(*command)
            payload = bulk(maker.call("DUMP", "k"))
            assert taker.call("RESTORE", "r", 0, payload, "REPLACE") == b"+OK\r\n", hint
            assert content(taker, "r") == content(maker, "k"), hint
            assert taker.call("OBJECT", "ENCODING", "r") == encoding_of_70(maker, taker, "k"), hint


def encoding_of_70(maker, taker, key):
    """What the maker says; Redis 7.0 calls sets hash tables, and lists quicklists, that 7.2 packs."""
    said = maker.call("OBJECT", "ENCODING", key)
    if said in (b"$8\r\nlistpack\r\n", b"$9\r\nquicklist\r\n", b"$9\r\nhashtable\r\n"):
        # The taker is asked about a copy made item by item.
        kind = maker.call("TYPE", key)
        items = {b"+list\r\n": ["LRANGE", key, 0, -1], b"+set\r\n": ["SMEMBERS", key], b"+hash\r\n": ["HGETALL", key]}
        if kind not in items:
            return said
        add = {b"+list\r\n": "RPUSH", b"+set\r\n": "SADD", b"+hash\r\n": "HSET"}[kind]
        taker.call("DEL", "same")
        taker.call(add, "same", *bulks(maker.call(*items[kind])))
        return taker.call("OBJECT", "ENCODING", "same")
    return said


def payloads(kind, values):
    """A value of this type in every encoding."""
    count = min(values.count(), 130)
    if kind == "string":
        return rdb.of_string(values.text())
    if kind == "list":
        return rdb.of_list(values.texts(count))
    if kind == "set":
        return rdb.of_set(values.distinct(count))
    if kind == "integers":
        return rdb.of_set(list({b"%d" % values.dice.randint(-(1 << 40), 1 << 40) for _ in range(count)}))
    if kind == "hash":
        return rdb.of_hash([(field, values.text()) for field in values.distinct(count)])
    return rdb.of_zset([(member, values.score()) for member in values.distinct(count)])


@pytest.mark.parametrize("kind", KINDS)
def test_every_encoding_is_restored_to_the_same_value(pair, kind):
    ours, theirs = pair
    for seed in range(SEED, SEED + ROUNDS):
        values = set()
        for name, payload in payloads(kind, Generator(seed)):
            hint = f"{kind} as {name} with DUMP_SEED={seed}"
            assert ours.call("RESTORE", "k", 0, payload, "REPLACE") == b"+OK\r\n", hint
            mine = content(ours, "k")
            values.add(repr(mine))
            if payload[0] != rdb.SET_LISTPACK:  # Redis 7.2 has that first.
                assert theirs.call("RESTORE", "k", 0, payload, "REPLACE") == b"+OK\r\n", hint
                assert content(theirs, "k") == mine, hint
        assert len(values) == 1, f"{kind} with DUMP_SEED={seed} differs by encoding"


def test_big_values_go_both_ways(pair):
    ours, theirs = pair
    for raw in pair:
        raw.call("SET", "text", "0123456789abcdef" * 500_000)
        for at in range(0, 100_000, 1_000):
            numbers = range(at, at + 1_000)
            raw.call("RPUSH", "list", *(f"element {n}" for n in numbers))
            raw.call("SADD", "set", *(f"member {n}" for n in numbers))
            raw.call("HSET", "hash", *(x for n in numbers for x in (f"field {n}", n)))
            raw.call("ZADD", "zset", *(x for n in numbers for x in (n * 0.5, f"member {n}")))
    for key in ("text", "list", "set", "hash", "zset"):
        for maker, taker in ((ours, theirs), (theirs, ours)):
            payload = bulk(maker.call("DUMP", key))
            assert taker.call("RESTORE", "r", 100_000_000, payload, "REPLACE") == b"+OK\r\n"
            assert content(taker, "r") == content(maker, key), key
            assert 99_000_000 < int(taker.call("PTTL", "r")[1:]) <= 100_000_000


def test_payloads_that_are_none_are_refused_in_the_same_words(pair):
    ours, theirs = pair
    # Redis looks for items that come twice in small hashes only where it is told to.
    assert theirs.call("CONFIG", "SET", "sanitize-dump-payload", "yes") == b"+OK\r\n"
    good = rdb.payload(rdb.STRING, b"\x01a", 10)
    for name, args in {
        "version": ["k", 0, rdb.payload(rdb.STRING, b"\x01a", 12)],
        "checksum": ["k", 0, good[:-1] + bytes([good[-1] ^ 1])],
        "cut": ["k", 0, good[:9]],
        "empty": ["k", 0, b""],
        "type": ["k", 0, rdb.payload(99, b"\x01a", 10)],
        "cut inside": ["k", 0, rdb.payload(rdb.STRING, b"\x7f\xffa", 10)],
        "nothing in it": ["k", 0, rdb.payload(rdb.SET, b"\x00", 10)],
        "twice": ["k", 0, rdb.payload(rdb.SET, b"\x02\x01a\x01a", 10)],
        "twice in a hash": ["k", 0, rdb.payload(rdb.HASH, b"\x02\x01a\x01a\x01a\x01b", 10)],
        "not a number": ["k", 0, rdb.payload(rdb.ZSET, b"\x01\x01a" + struct.pack("<d", float("nan")), 10)],
        "busy": ["busy", 0, good],
        "busy and broken": ["busy", "x", b"broken"],
        "time": ["k", -1, good],
        "no time": ["k", "x", good],
        "option": ["k", 0, good, "WHAT"],
        "idle": ["k", 0, good, "IDLETIME", -1],
        "idle without": ["k", 0, good, "IDLETIME"],
        "frequency": ["k", 0, good, "FREQ", 256],
        "both": ["k", 0, good, "FREQ", 1, "IDLETIME", 1],
        "past": ["k", 5, good, "ABSTTL"],
        "arguments": ["k", 0],
    }.items():
        answers = []
        for raw in pair:
            raw.call("SET", "busy", "v")
            answers.append((raw.call("RESTORE", *args), raw.call("EXISTS", "k")))
        assert answers[0] == answers[1], name


def test_no_payload_takes_more_memory_than_it_stands_for(node):
    """Lengths beyond reason are refused before anything is allocated for them."""
    with harness.Raw(node.port) as raw:
        # Forty thousand bytes that say that they are 500 MiB.
        packed = b"\xe0\xff\x00" * 13_000
        bomb = b"\xc3" + rdb.length(len(packed)) + rdb.length(500 << 20) + packed
        for body in (bomb, b"\x81" + b"\xff" * 8, b"\x80\xff\xff\xff\xff"):
            for kind in range(21):
                reply = raw.call("RESTORE", "k", 0, rdb.payload(kind, body, 10))
                assert reply == b"-ERR Bad data format\r\n", (kind, body[:12], reply)
        info = raw.call("INFO", "memory").decode()
        peak = [int(line.split(":")[1]) for line in info.splitlines() if line.startswith("used_memory_peak:")]
        assert not peak or peak[0] < 400 << 20, peak
