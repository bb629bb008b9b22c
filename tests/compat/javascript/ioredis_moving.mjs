// ioredis while slots move; see `countWhileSlotsMove`.

import Redis from "ioredis";
import { countWhileSlotsMove, members } from "./support.mjs";

const cluster = new Redis.Cluster(members);
await countWhileSlotsMove("ioredis", {
    incr: (key) => cluster.incr(key),
    hincr: (key) => cluster.hincrby(key, "count", 1),
    push: (key) => cluster.rpush(key, "x"),
    zincr: (key) => cluster.zincrby(key, 1, "member"),
    read: ([string, hash, list, zset]) =>
        Promise.all([cluster.get(string), cluster.hget(hash, "count"), cluster.llen(list), cluster.zscore(zset, "member")]),
});
await cluster.quit();
// ioredis may have forgotten a connection to the newcomer, made when one node's map had it and dropped when another's had not yet: it
// would keep the process.
process.exit();
