// node-redis against a lone node and a cluster: what applications do with it.

import assert from "node:assert/strict";
import { after, before, beforeEach } from "node:test";
import { RESP_TYPES, createClient, createCluster } from "redis";
import { bytes, eventually, lacks, members, port, sortedOf, test } from "./support.mjs";

const url = (member) => `redis://${member.host}:${member.port}`;
const connect = (options = {}) =>
    createClient({ socket: { port }, ...options })
        .on("error", () => {})
        .connect();

for (const RESP of [2, 3]) {
    test(`RESP${RESP}`, async (suite) => {
        let client;
        before(async () => (client = await connect({ RESP })));
        after(() => client.close());

        await suite.test("strings, options of SET and times to live", async () => {
            await client.flushAll();
            assert.equal(await client.set("k", "v", { EX: 100 }), "OK");
            assert.equal(await client.set("k", "w", { condition: "NX" }), null);
            assert.equal(await client.ttl("k"), 100);
            assert.equal(await client.getEx("k", { type: "PERSIST" }), "v");
            assert.equal(await client.ttl("k"), -1);
            assert.deepEqual(await client.mGet(["k", "none"]), ["v", null]);
            await client.pExpire("k", 30);
            await eventually("the key expires", async () => (await client.exists("k")) === 0);
            await assert.rejects(client.hIncrBy("k", "f", 1).then(() => client.get("k")), /WRONGTYPE/);
        });

        await suite.test("binary values", async () => {
            const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
            await buffers.set(bytes, bytes);
            assert.deepEqual(await buffers.get(bytes), bytes);
            await buffers.hSet("binary", bytes, bytes);
            assert.deepEqual(await buffers.hGet("binary", bytes), bytes);
        });

        await suite.test("hashes, lists, sets and sorted sets", async () => {
            await client.flushAll();
            await client.hSet("h", { a: "1", b: "two" });
            assert.deepEqual({ ...(await client.hGetAll("h")) }, { a: "1", b: "two" });
            await client.rPush("{l}", ["1", "2", "3"]);
            assert.deepEqual(await client.lRange("{l}", 0, -1), ["1", "2", "3"]);
            assert.equal(await client.lMove("{l}", "{l}m", "LEFT", "RIGHT"), "1");
            await client.sAdd("s", ["a", "b"]);
            assert.deepEqual((await client.sMembers("s")).sort(), ["a", "b"]);
            await client.zAdd("z", [{ score: 1.5, value: "a" }, { score: Infinity, value: "b" }]);
            const scores = [{ value: "a", score: 1.5 }, { value: "b", score: Infinity }];
            assert.deepEqual(await client.zRangeWithScores("z", 0, -1), scores);
            assert.equal(await client.zScore("z", "a"), 1.5);
        });

        await suite.test("many requests at once share a pipeline", async () => {
            const numbers = Array.from({ length: 2_000 }, (_, n) => n);
            await Promise.all(numbers.map((n) => client.set(`k:${n}`, `${n}`)));
            const found = await Promise.all(numbers.map((n) => client.get(`k:${n}`)));
            assert.deepEqual(found.map(Number), numbers);
        });

        await suite.test("scan iterators see every key and field", async () => {
            await client.flushAll();
            const names = Array.from({ length: 2_000 }, (_, n) => `k:${n}`);
            await client.mSet(names.map((name) => [name, name]));
            assert.deepEqual(await sortedOf(client.scanIterator({ MATCH: "k:*", COUNT: 100 })), [...names].sort());
            await client.hSet("h", Object.fromEntries(names.map((name) => [name, "v"])));
            const fields = await sortedOf(client.hScanIterator("h", { COUNT: 100 }));
            assert.equal(new Set(fields.map(({ field }) => field)).size, names.length);
        });

        await suite.test("transactions", { skip: lacks("multi") }, async () => {
            await client.set("k", "1");
            assert.deepEqual(await client.multi().incr("k").get("k").exec(), [2, "2"]);
            const other = await connect({ RESP });
            await client.watch("k");
            await other.incr("k");
            await assert.rejects(client.multi().set("k", "0").exec(), /WatchError|One \(or more\) of the watched keys/);
            assert.equal(await client.get("k"), "3");
            await other.close();
        });

        await suite.test("blocking pops are served by another connection's push", { skip: lacks("blpop") }, async () => {
            const waiting = await connect({ RESP });
            const popped = waiting.blPop(["none", "l"], 30);
            await eventually("it waits", async () => /blocked_clients:1\b/.test(await client.info("clients")));
            await client.del("l");
            await client.rPush("l", "x");
            assert.deepEqual({ ...(await popped) }, { key: "l", element: "x" });
            assert.equal(await waiting.bzPopMin("none", 0.05), null);
            await waiting.close();
        });

        await suite.test("a connection that was cut is made again", async () => {
            const victim = await connect({ RESP });
            await victim.set("k", "1");
            const id = await victim.clientId();
            await client.clientKill({ filter: "ID", id });
            await eventually("it has another one", async () => (await victim.clientId().catch(() => id)) !== id);
            assert.equal(await victim.incr("k"), 2);
            await victim.close();
        });
    });
}

test("a cluster", async () => {
    const cluster = await createCluster({ rootNodes: members.map((member) => ({ url: url(member) })) })
        .on("error", () => {})
        .connect();
    const numbers = Array.from({ length: 1_000 }, (_, n) => n);
    await Promise.all(numbers.map((n) => cluster.set(`k:${n}`, `${n}`)));
    const found = await Promise.all(numbers.map((n) => cluster.get(`k:${n}`)));
    assert.deepEqual(found.map(Number), numbers);
    const keys = new Set();
    for (const master of cluster.masters) {
        const client = await cluster.nodeClient(master);
        for (const key of await sortedOf(client.scanIterator({ MATCH: "k:*", COUNT: 200 }))) keys.add(key);
    }
    assert.equal(keys.size, numbers.length);
    await cluster.close();
});
