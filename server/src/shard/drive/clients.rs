//! The clients of a shard: how they come, and how silent ones go.

use std::rc::Rc;
use std::time::Duration;

use super::{ShardHandle, ToShard};
use crate::Now;
use crate::command::session::Session;
use crate::control::accept::ClientPlace;
use crate::metrics::ClientAddr;
use crate::runtime::Runtime;

impl ShardHandle {
    /// Starts to serve a client.
    pub(super) fn welcome<R: Runtime>(
        self: &Rc<Self>,
        stream: std::net::TcpStream,
        addr: ClientAddr,
        laddr: ClientAddr,
        place: ClientPlace,
    ) -> std::io::Result<()> {
        let client = self.node.clients().register(addr, laddr, self.id, self.now());
        let session = Session::new(client, &self.node.settings());
        let stream = R::adopt(stream)?;
        self.metrics.connections.add(1);
        self.metrics.connections_accepted.add(1);
        let handle = self.clone();
        R::spawn(async move {
            let id = session.id;
            crate::conn::serve::<R>(handle.clone(), stream, session).await;
            handle.errands.forget(id);
            handle.metrics.connections.sub(1);
            drop(place);
        });
        Ok(())
    }

    /// No shard of the node does anything for so long, as for `DEBUG SLEEP`.
    pub(crate) fn stand_still(&self, duration: Duration) {
        for (i, mailbox) in self.mailboxes.iter().enumerate() {
            if i != self.id.index() {
                mailbox.send(ToShard::StandStill(duration));
            }
        }
        std::thread::sleep(duration);
    }

    /// Closes clients that let more replies wait, and for longer, than the setting `client-output-buffer-limit` allows.
    pub(super) fn close_slow_readers(&self, now: Now) {
        let limit = self.node.settings().client_output_buffer_limit.normal;
        if limit.soft_bytes == 0 || limit.soft_s == 0 {
            return;
        }
        for client in self.node.clients().all() {
            let (soft_bytes, soft_ms) = (limit.soft_bytes as usize, u64::from(limit.soft_s) * 1000);
            if client.shard == self.id && client.output_above_ms(soft_bytes, now) > soft_ms {
                self.metrics.clients_cut_for_output.add(1);
                tracing::warn!(
                    client = %client.addr,
                    bytes = client.output_bytes(),
                    "a client has not read its replies for longer than client-output-buffer-limit allows: it is disconnected"
                );
                client.kill();
            }
        }
    }

    /// Closes clients that have been silent for longer than the setting `timeout` allows.
    pub(super) fn close_idle_clients(&self, now: Now) {
        let timeout_ms = u64::from(self.node.settings().timeout_s) * 1000;
        if timeout_ms == 0 {
            return;
        }
        for client in self.node.clients().all() {
            if client.shard == self.id && client.idle_ms(now) > timeout_ms && !client.may_be_idle() {
                client.kill();
            }
        }
    }
}
