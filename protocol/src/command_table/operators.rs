//! The rows of the commands by which operators watch a server.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Place, SubcommandSpec};

const ALWAYS: &[Flags] = &[Flags::LOADING, Flags::STALE];
const ADMIN_ALWAYS: &[Flags] = &[Flags::ADMIN, Flags::LOADING, Flags::STALE];
const ADMIN_NOSCRIPT_ALWAYS: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];

pub(super) const ROWS: &[CommandSpec] = &[
    CommandSpec::new(CommandId::Monitor, "MONITOR", Exactly(1), Keys::NONE, Place::Connection)
        .flags(ADMIN_NOSCRIPT_ALWAYS)
        .docs("server", "1.0.0", "Listens for all requests received by the server in real-time."),
    CommandSpec::new(CommandId::SlowLog, "SLOWLOG", AtLeast(2), Keys::NONE, Place::Connection)
        .subcommands(SLOWLOG)
        .docs("server", "2.2.12", "A container for slow log commands."),
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
