//! WAITAOF: until what the client has written is on the disk.

use std::pin::pin;
use std::time::Duration;

use carousel_protocol::resp::ReplyWriter;
use futures::future::{Either, join_all, select};

use super::serve::Connection;
use crate::command::{WaitAof, wait_aof_reply};
use crate::runtime::Runtime;
use crate::settings::AppendFsync;

impl Connection {
    /// Waits, and answers. What the client has been answered before is written on all shards, and only to be synced.
    pub(super) async fn wait_for_sync<R: Runtime>(&mut self, wait: WaitAof) {
        let settings = self.handle.node.settings();
        let is_synced = if wait.local {
            let synced = async { join_all(self.handle.sync_all()).await.iter().all(Result::is_ok) };
            if wait.timeout_ms == 0 {
                synced.await
            } else {
                match select(pin!(synced), pin!(R::sleep(Duration::from_millis(wait.timeout_ms)))).await {
                    Either::Left((synced, _)) => synced,
                    Either::Right(_) => false,
                }
            }
        } else {
            settings.appendonly && settings.appendfsync == AppendFsync::Always
        };
        let mark = self.batch.mark();
        wait_aof_reply(is_synced, &mut ReplyWriter::new(&mut self.batch.out, self.session.version));
        if !self.wants_replies() {
            self.batch.mute_since(mark);
        }
    }
}
