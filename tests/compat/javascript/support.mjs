// What the tests of both clients share: where the nodes are, and writers that know what they were promised.

import assert from "node:assert/strict";
import { test as nodeTest } from "node:test";

/** As Node's, and given up after a while. */
export const test = (name, ...rest) => nodeTest(name, { timeout: 90_000, ...(rest.length > 1 ? rest[0] : {}) }, rest.at(-1));

const commands = new Set((process.env.CAROUSEL_COMMANDS ?? "").split(","));

/** Why a test of this command is left out; false where the server has it. */
export const lacks = (command) => !commands.has(command) && `the server has no ${command}`;

/** How many databases there are. */
export const databases = Number(process.env.CAROUSEL_DATABASES);

const HOST = "127.0.0.1";

/** Port of a lone node. */
export const port = Number(process.env.CAROUSEL_PORT);

/** Members of a cluster. */
export const members = (process.env.CAROUSEL_CLUSTER_PORTS ?? "")
    .split(",")
    .filter(Boolean)
    .map((member) => ({ host: HOST, port: Number(member) }));

/** All byte values, and nothing that is text. */
export const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => 255 - n));

/** Waits until `condition` holds; fails with `what` after a minute. */
export async function eventually(what, condition) {
    const deadline = Date.now() + 60_000;
    while (!(await condition())) {
        assert.ok(Date.now() < deadline, `not within a minute: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
}

/** The elements of an asynchronous iterator of arrays, sorted. */
export async function sortedOf(pages) {
    const all = [];
    for await (const page of pages) all.push(...page);
    return all.sort();
}

/**
 * Counts up strings, hashes, lists and sorted sets until standard input ends, and checks each reply; then reads all of them.
 *
 * Keys begin with `prefix`, which nobody else uses. `client` has `incr`, `hincr`, `push` and `zincr`, each about a key and each giving back the new count, and `read`, which gives the four.
 * Says "ready" once every key was written, and at the end how many rounds there were: whoever started it moves slots in between.
 */
export async function countWhileSlotsMove(prefix, client, keys = 200) {
    let stop = false;
    process.stdin.on("end", () => (stop = true)).resume();
    const counts = new Array(keys).fill(0);
    const kinds = ["string", "hash", "list", "zset"];
    const names = (n) => kinds.map((kind) => name(n, kind));
    const name = (n, kind) => `${prefix}:${n}:${kind}`;
    let rounds = 0;
    while (!stop) {
        await Promise.all(
            counts.map(async (count, n) => {
                const up = async (kind, command, place) => {
                    const found = async () => Number((await client.read(names(n)))[place]);
                    const reply = await settled(() => client[command](name(n, kind)), found, count);
                    assert.equal(Number(reply), count + 1, name(n, kind));
                };
                await Promise.all([
                    up("string", "incr", 0),
                    up("hash", "hincr", 1),
                    up("list", "push", 2),
                    up("zset", "zincr", 3),
                ]);
                counts[n] = count + 1;
            }),
        );
        rounds += 1;
        if (rounds === 1) console.log("ready");
    }
    for (const [n, count] of counts.entries()) {
        const found = await client.read(names(n));
        assert.deepEqual(found.map(Number), [count, count, count, count], `key ${n} in the end`);
    }
    console.log(`rounds ${rounds}`);
}

/**
 * The reply to `request`, which counts up from `before`. Clients follow redirections, and leave to their user what a node says where a
 * hand-over of a slot takes long, as it may where all nodes share a busy machine: TRYAGAIN, not executed; NOQUORUM, perhaps executed, which
 * `found`, the count that is there, decides.
 */
async function settled(request, found, before) {
    for (;;) {
        try {
            return await request();
        } catch (error) {
            if (/^NOQUORUM/.test(error.message)) {
                const now = await again(found);
                if (now === before + 1) return now;
                assert.equal(now, before, "neither executed nor not executed");
            } else if (!/^TRYAGAIN/.test(error.message)) {
                throw error;
            }
        }
    }
}

/** A read, repeated while it is refused for the moment. */
async function again(read) {
    for (;;) {
        try {
            return await read();
        } catch (error) {
            if (!/^(TRYAGAIN|NOQUORUM)/.test(error.message)) throw error;
        }
    }
}
