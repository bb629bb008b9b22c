//! The rows of the commands that make several requests one.

use super::Arity::{AtLeast, Exactly};
use super::{CommandId, CommandSpec, Flags, Keys, Place};

const FLAGS: &[Flags] = &[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::FAST, Flags::ALLOW_BUSY];
const EXEC: &[Flags] = &[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];

pub(super) const ROWS: &[CommandSpec] = &[
    CommandSpec::new(CommandId::Multi, "MULTI", Exactly(1), Keys::NONE, Place::Transaction)
        .flags(FLAGS)
        .docs("transactions", "1.2.0", "Starts a transaction."),
    CommandSpec::new(CommandId::Exec, "EXEC", Exactly(1), Keys::NONE, Place::Transaction).flags(EXEC).docs(
        "transactions",
        "1.2.0",
        "Executes all commands in a transaction.",
    ),
    CommandSpec::new(CommandId::Discard, "DISCARD", Exactly(1), Keys::NONE, Place::Transaction)
        .flags(FLAGS)
        .docs("transactions", "2.0.0", "Discards a transaction."),
    CommandSpec::new(CommandId::Watch, "WATCH", AtLeast(2), Keys::ALL, Place::Transaction).flags(FLAGS).docs(
        "transactions",
        "2.2.0",
        "Monitors changes to keys to determine the execution of a transaction.",
    ),
    CommandSpec::new(CommandId::Unwatch, "UNWATCH", Exactly(1), Keys::NONE, Place::Transaction)
        .flags(FLAGS)
        .docs("transactions", "2.2.0", "Forgets about watched keys of a transaction."),
];
