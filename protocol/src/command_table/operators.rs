//! The rows of the commands by which operators watch a server.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Place, SubcommandSpec};

const ALWAYS: &[Flags] = &[Flags::LOADING, Flags::STALE];
const NOSCRIPT_ALWAYS: &[Flags] = &[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];
const ADMIN_ALWAYS: &[Flags] = &[Flags::ADMIN, Flags::LOADING, Flags::STALE];
const ADMIN_NOSCRIPT_ALWAYS: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];

pub(super) const ROWS: &[CommandSpec] = &[
    CommandSpec::new(CommandId::Monitor, "MONITOR", Exactly(1), Keys::NONE, Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("server", "1.0.0", "Listens for all requests received by the server in real-time."),
    CommandSpec::new(CommandId::SlowLog, "SLOWLOG", AtLeast(2), Keys::NONE, Place::Connection)
        .subcommands(SLOWLOG)
        .docs("server", "2.2.12", "A container for slow log commands."),
    CommandSpec::new(CommandId::Latency, "LATENCY", AtLeast(2), Keys::NONE, Place::Connection)
        .subcommands(LATENCY)
        .docs("server", "2.8.13", "A container for latency diagnostics commands."),
    CommandSpec::new(CommandId::Debug, "DEBUG", AtLeast(2), Keys::NONE, Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .subcommands(DEBUG)
        .docs("server", "1.0.0", "A container for debugging commands."),
    CommandSpec::new(CommandId::LolWut, "LOLWUT", AtLeast(1), Keys::NONE, Place::Connection)
        .flags(&[Flags::READONLY, Flags::FAST])
        .docs("server", "5.0.0", "Displays computer art and the Redis version."),
    CommandSpec::new(CommandId::Role, "ROLE", Exactly(1), Keys::NONE, Place::Connection)
        .flags(&[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::FAST])
        .docs("server", "2.8.12", "Returns the replication role."),
    CommandSpec::new(CommandId::ReplicaOf, "REPLICAOF", Exactly(3), Keys::NONE, Place::Connection)
        .flags(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::STALE])
        .docs("server", "5.0.0", "Configures a server as replica of another, or promotes it to a master."),
    CommandSpec::new(CommandId::SlaveOf, "SLAVEOF", Exactly(3), Keys::NONE, Place::Connection)
        .flags(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::STALE])
        .docs("server", "1.0.0", "Sets a Redis server as a replica of another, or promotes it to being a master."),
    CommandSpec::new(CommandId::Failover, "FAILOVER", AtLeast(1), Keys::NONE, Place::Connection)
        .flags(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::STALE])
        .docs("server", "6.2.0", "Starts a coordinated failover from a server to one of its replicas."),
    CommandSpec::new(CommandId::Wait, "WAIT", Exactly(3), Keys::NONE, Place::Connection)
        .flags(&[Flags::NOSCRIPT])
        .docs(
            "generic",
            "3.0.0",
            "Blocks until the asynchronous replication of all preceding write commands sent by the connection is completed.",
        ),
    CommandSpec::new(CommandId::WaitAof, "WAITAOF", Exactly(4), Keys::NONE, Place::Connection)
        .flags(&[Flags::NOSCRIPT])
        .docs(
            "generic",
            "7.2.0",
            "Blocks until all of the preceding write commands sent by the connection are written to the append-only file of the master and/or replicas.",
        ),
    CommandSpec::new(CommandId::Acl, "ACL", AtLeast(2), Keys::NONE, Place::Connection)
        .subcommands(ACL)
        .docs("server", "6.0.0", "A container for Access List Control commands."),
];

const LATENCY: &[SubcommandSpec] = &[
    SubcommandSpec::new("DOCTOR", Exactly(2), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("2.8.13", "Returns a human-readable latency analysis report."),
    SubcommandSpec::new("GRAPH", Exactly(3), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("2.8.13", "Returns a latency graph for an event."),
    SubcommandSpec::new("HISTOGRAM", AtLeast(2), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("7.0.0", "Returns the cumulative distribution of latencies of a subset or all commands."),
    SubcommandSpec::new("HISTORY", Exactly(3), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("2.8.13", "Returns timestamp-latency samples for an event."),
    SubcommandSpec::new("LATEST", Exactly(2), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("2.8.13", "Returns the latest latency samples for all events."),
    SubcommandSpec::new("RESET", AtLeast(2), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("2.8.13", "Resets the latency data for one or more events."),
    SubcommandSpec::new("HELP", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("2.8.13", "Returns helpful text about the different subcommands."),
];

/// Only what does not execute on the connection; the others are in no table of Redis' either.
const DEBUG: &[SubcommandSpec] = &[SubcommandSpec::new("OBJECT", Exactly(3), Place::Slot)
    .flags(ADMIN_NOSCRIPT_ALWAYS)
    .docs("1.0.0", "Returns low-level information about a key and its value.")];

const ACL: &[SubcommandSpec] = &[
    SubcommandSpec::new("CAT", AtLeast(2), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Lists the ACL categories, or the commands inside a category."),
    SubcommandSpec::new("DELUSER", AtLeast(3), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Deletes ACL users, and terminates their connections."),
    SubcommandSpec::new("GETUSER", Exactly(3), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Lists the ACL rules of a user."),
    SubcommandSpec::new("LIST", Exactly(2), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Dumps the effective rules in ACL file format."),
    SubcommandSpec::new("LOAD", Exactly(2), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Reloads the rules from the configured ACL file."),
    SubcommandSpec::new("LOG", AtLeast(2), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Lists recent security events generated due to ACL rules."),
    SubcommandSpec::new("SAVE", Exactly(2), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Saves the effective ACL rules in the configured ACL file."),
    SubcommandSpec::new("SETUSER", AtLeast(3), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Creates and modifies an ACL user and its rules."),
    SubcommandSpec::new("USERS", Exactly(2), Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Lists all ACL users."),
    SubcommandSpec::new("WHOAMI", Exactly(2), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Returns the authenticated username of the current connection."),
    SubcommandSpec::new("HELP", Exactly(2), Place::Connection)
        .flags(NOSCRIPT_ALWAYS)
        .docs("6.0.0", "Returns helpful text about the different subcommands."),
];

const SLOWLOG: &[SubcommandSpec] = &[
    SubcommandSpec::new("GET", AtLeast(2), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("2.2.12", "Returns the slow log's entries."),
    SubcommandSpec::new("LEN", Exactly(2), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("2.2.12", "Returns the number of entries in the slow log."),
    SubcommandSpec::new("RESET", Exactly(2), Place::Connection)
        .flags(ADMIN_ALWAYS)
        .docs("2.2.12", "Clears all entries from the slow log."),
    SubcommandSpec::new("HELP", Exactly(2), Place::Connection)
        .flags(ALWAYS)
        .docs("6.2.0", "Returns helpful text about the different subcommands."),
];
