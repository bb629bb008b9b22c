//! The rows of the commands on connections, the server and the cluster.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Place, SubcommandSpec};

const FAST: &[Flags] = &[Flags::FAST];
const STALE: &[Flags] = &[Flags::STALE];
const ALWAYS: &[Flags] = &[Flags::LOADING, Flags::STALE];
const FAST_ALWAYS: &[Flags] = &[Flags::LOADING, Flags::STALE, Flags::FAST];
const NOSCRIPT_ALWAYS: &[Flags] = &[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];
const ADMIN: &[Flags] = &[Flags::ADMIN];
const ADMIN_ALWAYS: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];
const BEFORE_AUTH: &[Flags] =
    &[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::FAST, Flags::NOAUTH, Flags::ALLOW_BUSY];
const INFO_FLAGS: &[Flags] = &[Flags::LOADING, Flags::STALE, Flags::DANGEROUS];
const SHUTDOWN_FLAGS: &[Flags] =
    &[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::NO_MULTI, Flags::ALLOW_BUSY];

const SAVE_FLAGS: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::NO_MULTI];
const BGSAVE_FLAGS: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT];
const LASTSAVE_FLAGS: &[Flags] = &[Flags::LOADING, Flags::STALE, Flags::FAST];

pub(super) const ROWS: &[CommandSpec] =
    &[
        CommandSpec::new(CommandId::Ping, "PING", AtLeast(1), Keys::NONE, Place::Connection)
            .flags(FAST)
            .docs("connection", "1.0.0", "Returns the server's liveliness response."),
        CommandSpec::new(CommandId::Echo, "ECHO", Exactly(2), Keys::NONE, Place::Connection)
            .flags(FAST_ALWAYS)
            .docs("connection", "1.0.0", "Returns the given string."),
        CommandSpec::new(CommandId::Quit, "QUIT", AtLeast(1), Keys::NONE, Place::Connection)
            .flags(BEFORE_AUTH)
            .docs("connection", "1.0.0", "Closes the connection."),
        CommandSpec::new(CommandId::Reset, "RESET", Exactly(1), Keys::NONE, Place::Connection)
            .flags(BEFORE_AUTH)
            .docs("connection", "6.2.0", "Resets the connection."),
        CommandSpec::new(CommandId::Hello, "HELLO", AtLeast(1), Keys::NONE, Place::Connection)
            .flags(BEFORE_AUTH)
            .docs("connection", "6.0.0", "Handshakes with the server."),
        CommandSpec::new(CommandId::Auth, "AUTH", AtLeast(2), Keys::NONE, Place::Connection)
            .flags(BEFORE_AUTH)
            .docs("connection", "1.0.0", "Authenticates the connection."),
        CommandSpec::new(CommandId::Select, "SELECT", Exactly(2), Keys::NONE, Place::Connection)
            .flags(FAST_ALWAYS)
            .docs("connection", "1.0.0", "Changes the selected database."),
        CommandSpec::new(CommandId::Client, "CLIENT", AtLeast(2), Keys::NONE, Place::Connection)
            .subcommands(CLIENT)
            .docs("connection", "2.4.0", "A container for client connection commands."),
        CommandSpec::new(CommandId::Command, "COMMAND", AtLeast(1), Keys::NONE, Place::Connection)
            .flags(ALWAYS)
            .subcommands(COMMAND)
            .docs("server", "2.8.13", "Returns detailed information about all commands."),
        CommandSpec::new(CommandId::Config, "CONFIG", AtLeast(2), Keys::NONE, Place::Connection)
            .subcommands(CONFIG)
            .docs("server", "2.0.0", "A container for server configuration commands."),
        CommandSpec::new(CommandId::Info, "INFO", AtLeast(1), Keys::NONE, Place::Connection)
            .flags(INFO_FLAGS)
            .docs("server", "1.0.0", "Returns information and statistics about the server."),
        CommandSpec::new(CommandId::Time, "TIME", Exactly(1), Keys::NONE, Place::Connection)
            .flags(FAST_ALWAYS)
            .docs("server", "2.6.0", "Returns the server time."),
        CommandSpec::new(CommandId::ReadOnly, "READONLY", Exactly(1), Keys::NONE, Place::Connection)
            .flags(FAST_ALWAYS)
            .docs(
                "cluster",
                "3.0.0",
                "Enables read-only queries for a connection to a replica node of the cluster.",
            ),
        CommandSpec::new(CommandId::ReadWrite, "READWRITE", Exactly(1), Keys::NONE, Place::Connection)
            .flags(FAST_ALWAYS)
            .docs(
                "cluster",
                "3.0.0",
                "Enables read-write queries for a connection to a replica node of the cluster.",
            ),
        CommandSpec::new(CommandId::Asking, "ASKING", Exactly(1), Keys::NONE, Place::Connection)
            .flags(FAST)
            .docs("cluster", "3.0.0", "Signals that a cluster client is following an -ASK redirect."),
        CommandSpec::new(CommandId::Cluster, "CLUSTER", AtLeast(2), Keys::NONE, Place::Connection)
            .subcommands(CLUSTER)
            .docs("cluster", "3.0.0", "A container for cluster commands."),
        CommandSpec::new(CommandId::Save, "SAVE", Exactly(1), Keys::NONE, Place::Control)
            .flags(SAVE_FLAGS)
            .docs("server", "1.0.0", "Synchronously saves the database(s) to disk."),
        CommandSpec::new(CommandId::BgSave, "BGSAVE", AtLeast(1), Keys::NONE, Place::Control)
            .flags(BGSAVE_FLAGS)
            .docs("server", "1.0.0", "Asynchronously saves the database(s) to disk."),
        CommandSpec::new(CommandId::BgRewriteAof, "BGREWRITEAOF", Exactly(1), Keys::NONE, Place::Control)
            .flags(BGSAVE_FLAGS)
            .docs("server", "1.0.0", "Asynchronously rewrites the append-only file to disk."),
        CommandSpec::new(CommandId::LastSave, "LASTSAVE", Exactly(1), Keys::NONE, Place::Connection)
            .flags(LASTSAVE_FLAGS)
            .docs("server", "1.0.0", "Returns the Unix timestamp of the last successful save to disk."),
        CommandSpec::new(CommandId::Shutdown, "SHUTDOWN", AtLeast(1), Keys::NONE, Place::Control)
            .flags(SHUTDOWN_FLAGS)
            .docs("server", "1.0.0", "Synchronously saves the data to disk and shuts down the server."),
        CommandSpec::new(CommandId::Carousel, "CAROUSEL", AtLeast(2), Keys::NONE, Place::Control)
            .flags(ADMIN)
            .subcommands(CAROUSEL)
            .docs("server", "0.1.0", "A container for the commands of Carousel's operators."),
    ];

const CLIENT: &[SubcommandSpec] = &[
    SubcommandSpec::new("CACHING", Exactly(3), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Instructs the server whether to track the keys in the next request."),
    SubcommandSpec::new("GETNAME", Exactly(2), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("2.6.9", "Returns the name of the connection."),
    SubcommandSpec::new("GETREDIR", Exactly(2), Place::Connection).flags(NOSCRIPT_ALWAYS).docs(
        "6.0.0",
        "Returns the client ID to which the connection's tracking notifications are redirected.",
    ),
    SubcommandSpec::new("ID", Exactly(2), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("5.0.0", "Returns the unique client ID of the connection."),
    SubcommandSpec::new("INFO", Exactly(2), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("6.2.0", "Returns information about the connection."),
    SubcommandSpec::new("KILL", AtLeast(3), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("2.4.0", "Terminates open connections."),
    SubcommandSpec::new("LIST", AtLeast(2), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("2.4.0", "Lists open connections."),
    SubcommandSpec::new("NO-EVICT", Exactly(3), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("7.0.0", "Sets the client eviction mode of the connection."),
    SubcommandSpec::new("NO-TOUCH", Exactly(3), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("7.2.0", "Controls whether commands sent by the client affect the LRU/LFU of accessed keys."),
    SubcommandSpec::new("PAUSE", AtLeast(3), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("3.0.0", "Suspends commands processing."),
    SubcommandSpec::new("REPLY", Exactly(3), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("3.2.0", "Instructs the server whether to reply to commands."),
    SubcommandSpec::new("SETINFO", Exactly(4), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("7.2.0", "Sets information specific to the client or connection."),
    SubcommandSpec::new("SETNAME", Exactly(3), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("2.6.9", "Sets the connection name."),
    SubcommandSpec::new("TRACKING", AtLeast(3), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Controls server-assisted client-side caching for the connection."),
    SubcommandSpec::new("TRACKINGINFO", Exactly(2), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("6.2.0", "Returns information about server-assisted client-side caching for the connection."),
    SubcommandSpec::new("UNBLOCK", AtLeast(3), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("5.0.0", "Unblocks a client blocked by a blocking command from a different connection."),
    SubcommandSpec::new("UNPAUSE", Exactly(2), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("6.2.0", "Resumes processing commands from paused clients."),
    SubcommandSpec::new("HELP", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("5.0.0", "Returns helpful text about the different subcommands."),
];

const COMMAND: &[SubcommandSpec] = &[
    SubcommandSpec::new("COUNT", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("2.8.13", "Returns a count of commands."),
    SubcommandSpec::new("DOCS", AtLeast(2), Place::Connection)
        .flags(ALWAYS)
        .docs("7.0.0", "Returns documentary information about one, multiple or all commands."),
    SubcommandSpec::new("GETKEYS", AtLeast(3), Place::Connection)
        .flags(ALWAYS)
        .docs("2.8.13", "Extracts the key names from an arbitrary command."),
    SubcommandSpec::new("GETKEYSANDFLAGS", AtLeast(3), Place::Connection)
        .flags(ALWAYS)
        .docs("7.0.0", "Extracts the key names and access flags for an arbitrary command."),
    SubcommandSpec::new("INFO", AtLeast(2), Place::Connection)
        .flags(ALWAYS)
        .docs("2.8.13", "Returns information about one, multiple or all commands."),
    SubcommandSpec::new("LIST", AtLeast(2), Place::Connection)
        .flags(ALWAYS)
        .docs("7.0.0", "Returns a list of command names."),
    SubcommandSpec::new("HELP", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("5.0.0", "Returns helpful text about the different subcommands."),
];

const CONFIG: &[SubcommandSpec] = &[
    SubcommandSpec::new("GET", AtLeast(3), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("2.0.0", "Returns the effective values of configuration parameters."),
    SubcommandSpec::new("RESETSTAT", Exactly(2), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("2.0.0", "Resets the server's statistics."),
    SubcommandSpec::new("REWRITE", Exactly(2), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("2.8.0", "Persists the effective configuration to file."),
    SubcommandSpec::new("SET", AtLeast(4), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("2.0.0", "Sets configuration parameters in-flight."),
    SubcommandSpec::new("HELP", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("5.0.0", "Returns helpful text about the different subcommands."),
];

const CLUSTER: &[SubcommandSpec] = &[
    SubcommandSpec::new("COUNTKEYSINSLOT", Exactly(3), Place::Slot)
        .flags(STALE)
        .docs("3.0.0", "Returns the number of keys in a hash slot."),
    SubcommandSpec::new("GETKEYSINSLOT", Exactly(4), Place::Slot)
        .flags(STALE)
        .docs("3.0.0", "Returns the key names in a hash slot."),
    SubcommandSpec::new("INFO", Exactly(2), Place::Connection)
        .flags(STALE)
        .docs("3.0.0", "Returns information about the state of a node."),
    SubcommandSpec::new("KEYSLOT", Exactly(3), Place::Connection)
        .flags(STALE)
        .docs("3.0.0", "Returns the hash slot for a key."),
    SubcommandSpec::new("LINKS", Exactly(2), Place::Connection)
        .flags(STALE)
        .docs("7.0.0", "Returns a list of all TCP links to and from peer nodes."),
    SubcommandSpec::new("MYID", Exactly(2), Place::Connection)
        .flags(STALE)
        .docs("3.0.0", "Returns the ID of a node."),
    SubcommandSpec::new("NODES", Exactly(2), Place::Connection)
        .flags(STALE)
        .docs("3.0.0", "Returns the cluster configuration for a node."),
    SubcommandSpec::new("SHARDS", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("7.0.0", "Returns the mapping of cluster slots to shards."),
    SubcommandSpec::new("SLOTS", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("3.0.0", "Returns the mapping of cluster slots to nodes."),
    SubcommandSpec::new("HELP", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("5.0.0", "Returns helpful text about the different subcommands."),
];

const CAROUSEL: &[SubcommandSpec] = &[
    SubcommandSpec::new("CREATE", AtLeast(3), Place::Control)
        .flags(ADMIN)
        .docs("0.1.0", "Founds a cluster of this node and others."),
    SubcommandSpec::new("ADDNODE", Exactly(3), Place::Control)
        .flags(ADMIN)
        .docs("0.1.0", "Takes a node into the cluster."),
    SubcommandSpec::new("REBALANCE", AtLeast(2), Place::Control)
        .flags(ADMIN)
        .docs("0.1.0", "Moves slots until every node has its share, or shows what would move."),
    SubcommandSpec::new("STATUS", Exactly(2), Place::Control)
        .flags(ADMIN)
        .docs("0.1.0", "Returns the cluster as this node sees it."),
];
