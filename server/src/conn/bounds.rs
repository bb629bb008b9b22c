//! What a connection may keep in memory: requests that are not whole, and replies that are not read.

use super::serve::Connection;
use crate::limits;

impl Connection {
    /// Is the batch to be sent before more is executed?
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.batch.out.len() >= limits::BATCH_REPLY_BYTES_MAX
            || !self.batch.errands.is_empty() && self.batch.asked() >= self.asked_max
    }

    /// Other shards were asked so many requests, and their replies are there. How long replies will be is not known when they
    /// are asked for; so a connection that gets long ones asks for few at a time, and others for more and more.
    pub(super) fn fit_asking(&mut self, asked: usize) {
        let bytes = self.batch.out.len();
        self.asked_max = if bytes > limits::BATCH_REPLY_BYTES_MAX {
            (asked * limits::BATCH_REPLY_BYTES_MAX / bytes).max(1)
        } else {
            (2 * self.asked_max).clamp(limits::ASKED_MIN, limits::ASKED_MAX)
        };
    }

    /// Notes that the replies of the batch are about to be sent; false where they are more than the client may let wait.
    #[inline]
    pub(super) fn begin_output(&self) -> bool {
        let bytes = self.batch.out.len();
        let metrics = &self.handle.metrics;
        metrics.writes.add(1);
        metrics.net_out_bytes.add(bytes as u64);
        self.session.client.set_output(bytes);
        let most = self.handle.output_bytes_max();
        if most > 0 && bytes > most {
            self.too_slow(bytes);
            return false;
        }
        true
    }

    /// Everything has been sent.
    #[inline]
    pub(super) fn end_output(&self) {
        self.session.client.set_output(0);
    }

    #[cold]
    fn too_slow(&self, bytes: usize) {
        self.handle.metrics.clients_cut_for_output.add(1);
        tracing::warn!(
            client = %self.session.client.addr,
            bytes,
            "a client's replies are more than client-output-buffer-limit allows: it is disconnected"
        );
    }

    /// May what has been read and not executed stay? Otherwise the client is to be cut off.
    #[inline]
    pub(super) fn may_keep_input(&self) -> bool {
        let bytes = self.input.len();
        self.session.client.set_input(bytes);
        if bytes <= self.handle.input_bytes_max() {
            return true;
        }
        self.too_long(bytes)
    }

    #[cold]
    fn too_long(&self, bytes: usize) -> bool {
        self.handle.metrics.clients_cut_for_input.add(1);
        tracing::warn!(
            client = %self.session.client.addr,
            bytes,
            "a client's request is longer than client-query-buffer-limit allows: it is disconnected"
        );
        false
    }
}
