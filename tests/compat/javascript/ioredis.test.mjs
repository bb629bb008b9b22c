// ioredis against a lone node and a cluster: what applications do with it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, beforeEach } from "node:test";
import Redis from "ioredis";
import { bytes, databases, eventually, lacks, members, port, sortedOf, test } from "./support.mjs";

let redis;
before(() => (redis = new Redis({ port })));
beforeEach(() => redis.flushall());
after(() => redis.quit());

test("strings, options of SET, counters and binary values", async () => {
    assert.equal(await redis.set("k", "v"), "OK");
    assert.equal(await redis.set("k", "w", "NX"), null);
    assert.equal(await redis.set("k", "w", "XX", "GET"), "v");
    assert.deepEqual(await redis.mget("k", "none"), ["w", null]);
    assert.equal(await redis.incrby("n", 41), 41);
    assert.equal(await redis.incrbyfloat("n", 0.5), "41.5");
    await redis.set(bytes, bytes);
    assert.deepEqual(await redis.getBuffer(bytes), bytes);
    await assert.rejects(redis.incr("k"), /ERR value is not an integer or out of range/);
});

test("times to live", async () => {
    await redis.set("k", "v", "PX", 50_000);
    const left = await redis.pttl("k");
    assert.ok(left > 40_000 && left <= 50_000, `${left}`);
    assert.equal(await redis.persist("k"), 1);
    assert.equal(await redis.ttl("k"), -1);
    assert.equal(await redis.pexpire("k", 30), 1);
    await eventually("the key expires", async () => (await redis.exists("k")) === 0);
});

test("hashes, lists, sets and sorted sets", async () => {
    await redis.hset("h", { a: 1, b: "two" });
    assert.deepEqual(await redis.hgetall("h"), { a: "1", b: "two" });
    assert.equal(await redis.hincrby("h", "a", 2), 3);
    await redis.rpush("l", 1, 2, 3, 4);
    assert.deepEqual(await redis.lrange("l", 1, -1), ["2", "3", "4"]);
    assert.equal(await redis.lpop("l"), "1");
    await redis.sadd("s", "a", "b", "c");
    assert.deepEqual(await redis.smismember("s", "a", "z"), [1, 0]);
    await redis.zadd("z", 1, "a", 2.5, "b", "+inf", "c");
    assert.deepEqual(await redis.zrange("z", 0, -1, "WITHSCORES"), ["a", "1", "b", "2.5", "c", "inf"]);
    await assert.rejects(redis.lpush("h", 1), /^ReplyError: WRONGTYPE/);
});

test("pipelines, with errors in their place", async () => {
    const pipeline = redis.pipeline();
    for (let n = 0; n < 1_000; n++) pipeline.set(`k:${n}`, n).get(`k:${n}`);
    pipeline.lpush("k:0", "x");
    const replies = await pipeline.exec();
    assert.equal(replies.length, 2_001);
    assert.deepEqual(replies[1_999], [null, "999"]);
    assert.match(replies[2_000][0].message, /WRONGTYPE/);
});

test("many requests at once, and automatic pipelining", async () => {
    const auto = new Redis({ port, enableAutoPipelining: true });
    const numbers = Array.from({ length: 2_000 }, (_, n) => n);
    await Promise.all(numbers.map((n) => auto.set(`k:${n}`, n)));
    const found = await Promise.all(numbers.map((n) => auto.get(`k:${n}`)));
    assert.deepEqual(found.map(Number), numbers);
    await auto.quit();
});

test("scan streams see every key and field", async () => {
    const numbers = Array.from({ length: 3_000 }, (_, n) => `k:${n}`);
    await redis.mset(...numbers.flatMap((key) => [key, key]));
    assert.deepEqual(await sortedOf(redis.scanStream({ match: "k:*", count: 100 })), [...numbers].sort());
    await redis.sadd("s", ...numbers);
    const members = new Set(await sortedOf(redis.sscanStream("s", { count: 100 })));
    assert.equal(members.size, numbers.length);
});

test("transactions", { skip: lacks("multi") }, async () => {
    const replies = await redis.multi().set("k", 1).incr("k").lpush("k", 1).exec();
    assert.deepEqual(replies.slice(0, 2), [[null, "OK"], [null, 2]]);
    assert.match(replies[2][0].message, /WRONGTYPE/);
    const other = redis.duplicate();
    await redis.watch("k");
    await other.incr("k");
    assert.equal(await redis.multi().set("k", 0).exec(), null);
    assert.equal(await redis.get("k"), "3");
    await other.quit();
});

test("blocking pops are served by another connection's push", { skip: lacks("blpop") }, async () => {
    const waiting = redis.duplicate();
    const popped = waiting.blpop("none", "l", 30);
    await eventually("it waits", async () => /blocked_clients:1\b/.test(await redis.info("clients")));
    await redis.rpush("l", "x");
    assert.deepEqual(await popped, ["l", "x"]);
    assert.equal(await waiting.blpop("none", 0.05), null);
    await waiting.quit();
});

test("a connection that was cut is made again, and what waited is sent", async () => {
    const victim = new Redis({ port, connectionName: "victim" });
    await victim.set("k", 1);
    const id = await victim.client("ID");
    const closed = once(victim, "close");
    await redis.client("KILL", "ID", id);
    await closed;
    assert.equal(await victim.incr("k"), 2);
    assert.notEqual(await victim.client("ID"), id);
    await victim.quit();
});

test("a database of its own", { skip: databases < 4 && "the server has one database" }, async () => {
    const third = new Redis({ port, db: 3 });
    await third.set("k", "of three");
    assert.equal(await redis.get("k"), null);
    assert.equal(await third.get("k"), "of three");
    await third.quit();
});

test("a cluster", async () => {
    const cluster = new Redis.Cluster(members);
    await once(cluster, "ready");
    await Promise.all(cluster.nodes("master").map((node) => node.flushall()));
    const numbers = Array.from({ length: 1_000 }, (_, n) => n);
    await Promise.all(numbers.map((n) => cluster.set(`k:${n}`, n)));
    const found = await Promise.all(numbers.map((n) => cluster.get(`k:${n}`)));
    assert.deepEqual(found.map(Number), numbers);
    const pipeline = cluster.pipeline();
    numbers.forEach((n) => pipeline.hset(`{tag}h:${n}`, "f", n));
    assert.ok((await pipeline.exec()).every(([error, reply]) => error === null && reply === 1));
    const keys = new Set();
    for (const node of cluster.nodes("master")) {
        for (const key of await sortedOf(node.scanStream({ match: "k:*", count: 200 }))) keys.add(key);
    }
    assert.equal(keys.size, numbers.length);
    await assert.rejects(cluster.mget("k:1", "k:2"), /CROSSSLOT/);
    await cluster.quit();
});
