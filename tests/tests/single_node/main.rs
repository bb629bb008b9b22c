//! One node on its own, as a stock client sees it: with one shard and with several, on both runtimes.

mod checkpoints;
mod commands;
mod connections;
mod durability;
mod fred;
mod groups;
mod keyspace;
mod load;
mod logging;
mod memory;
mod prompt;
mod protocol;
mod service_manager;
mod transactions;

use carousel_tests::Server;

/// A node of each kind: `auto` is io_uring where it works.
async fn each_kind() -> Vec<Server> {
    let mut servers = Vec::new();
    for runtime in ["auto", "epoll"] {
        for shards in ["1", "4"] {
            servers.push(Server::start_new(&[("runtime", runtime), ("shards", shards)]).await);
        }
    }
    servers
}
