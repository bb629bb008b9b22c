//! What a connection does between two batches.

use std::ops::ControlFlow;

use carousel_protocol::command_table::CommandId;

use super::blocking::{self, Block, Waited};
use super::coordinate::{Failure, Wants, execute_alone, look_everywhere, reply_of};
use super::input::Input;
use super::serve::Connection;
use crate::command::{KeyPlace, Trip};
use crate::runtime::Runtime;
use crate::shard::encoded::Encoded;

/// Work that takes several shards, or time.
pub(super) enum Work {
    /// A command on keys of several shards.
    Command(Encoded),
    /// A command that looks at all shards.
    Look(Encoded),
    /// EXEC of commands on keys of another shard, or of several.
    Exec(Vec<Encoded>, Wants),
    /// WATCH of keys, some of which are on other shards.
    Watch(Vec<KeyPlace>, Trip),
    /// A command that may wait.
    Block(Block),
}

impl Work {
    /// The command that it is of.
    fn command(&self) -> CommandId {
        match self {
            Self::Command(command) | Self::Look(command) => command.spec.id,
            Self::Exec(..) => CommandId::Exec,
            Self::Watch(..) => CommandId::Watch,
            Self::Block(block) => block.command.spec.id,
        }
    }
}

impl Connection {
    /// Does what takes more than a batch, and appends its reply. Breaks where the connection is to end.
    pub(super) async fn do_work<R: Runtime>(&mut self, work: Work, input: &mut Input<R>) -> ControlFlow<()> {
        let (handle, version, id) = (self.handle.clone(), self.session.version, work.command());
        let result = match work {
            Work::Command(command) => execute_alone(&handle, version, &command).await,
            Work::Look(command) => look_everywhere(&handle, version, &command).await,
            Work::Watch(new, trip) => self.watch_across(new, trip).await.map_err(Failure::from),
            Work::Exec(commands, wants) => {
                let result = self.exec_across(commands, wants).await;
                self.multi.unwatch(&handle);
                result
            }
            Work::Block(block) => {
                match blocking::wait::<R>(&handle, &self.session.client, version, block, input).await {
                    Waited::Reply(reply) => Ok(reply),
                    Waited::Over => return ControlFlow::Break(()),
                }
            }
        };
        let reply = match result {
            Ok(reply) => {
                handle.metrics.command_answered(id, &reply);
                reply
            }
            Err(Failure::Refused(refusal)) => {
                let text = refusal.into_text();
                handle.metrics.command_rejected(id, text.as_bytes());
                reply_of(version, |out| out.error(&text))
            }
            Err(Failure::Stopped) => return ControlFlow::Break(()),
        };
        let mark = self.batch.mark();
        self.batch.out.extend_from_slice(&reply);
        if !self.wants_replies() {
            self.batch.mute_since(mark);
        }
        if self.session.closing { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
