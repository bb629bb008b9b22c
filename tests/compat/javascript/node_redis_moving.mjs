// node-redis while slots move; see `countWhileSlotsMove`.

import { createCluster } from "redis";
import { countWhileSlotsMove, members } from "./support.mjs";

const rootNodes = members.map((member) => ({ url: `redis://${member.host}:${member.port}` }));
const cluster = await createCluster({ rootNodes })
    .on("error", () => {})
    .connect();
await countWhileSlotsMove("node-redis", {
    incr: (key) => cluster.incr(key),
    hincr: (key) => cluster.hIncrBy(key, "count", 1),
    push: (key) => cluster.rPush(key, "x"),
    zincr: (key) => cluster.zIncrBy(key, 1, "member"),
    read: ([string, hash, list, zset]) =>
        Promise.all([cluster.get(string), cluster.hGet(hash, "count"), cluster.lLen(list), cluster.zScore(zset, "member")]),
});
await cluster.close();
