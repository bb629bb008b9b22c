//! What a client sends, read when there is use for it, or to learn that the client has gone.

use std::io;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use crate::limits;
use crate::runtime::{Reader, Runtime, Stream};

type ReaderOf<R> = <<R as Runtime>::Stream as Stream>::Reader;
/// A read that has its reader and buffer, and gives them back.
type Reading<R> = LocalBoxFuture<'static, (ReaderOf<R>, io::Result<usize>, Vec<u8>)>;

/// See the module.
pub(super) struct Input<R: Runtime> {
    /// `None` while `reading` has it.
    reader: Option<ReaderOf<R>>,
    /// A read that was begun while the client waited: its bytes may be on their way, so it is never dropped.
    reading: Option<Reading<R>>,
    /// What arrived while the client waited.
    early: Vec<u8>,
    is_over: bool,
}

impl<R: Runtime> Input<R> {
    pub(super) fn new(reader: ReaderOf<R>) -> Self {
        Self { reader: Some(reader), reading: None, early: Vec::new(), is_over: false }
    }

    /// As [`Reader::read`]; what arrived early may be more than `buf` has room for.
    pub(super) async fn read(&mut self, mut buf: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        if self.early.is_empty()
            && let Some(reader) = &mut self.reader
        {
            return reader.read(buf).await;
        }
        while self.early.is_empty() && !self.is_over {
            let Some(reading) = self.reading.take() else {
                let reader = self.reader.as_mut().expect("it is here while nobody reads");
                return reader.read(buf).await;
            };
            let read = reading.await;
            self.keep(read);
        }
        let bytes = self.early.len();
        buf.append(&mut self.early);
        (Ok(bytes), buf)
    }

    /// Ready when the client has gone. What it sends until then is kept for the next read.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.is_over {
                return Poll::Ready(());
            }
            if self.reading.is_none() {
                if self.early.len() >= limits::READ_BYTES_MAX {
                    // It sends on and on: then it is there.
                    return Poll::Pending;
                }
                let mut reader = self.reader.take().expect("it is here while nobody reads");
                let buffer = Vec::with_capacity(limits::READ_BYTES_MIN);
                self.reading = Some(
                    async move {
                        let (result, buffer) = reader.read(buffer).await;
                        (reader, result, buffer)
                    }
                    .boxed_local(),
                );
            }
            let reading = self.reading.as_mut().expect("just begun");
            let Poll::Ready(read) = reading.poll_unpin(context) else { return Poll::Pending };
            self.reading = None;
            self.keep(read);
        }
    }

    fn keep(&mut self, (reader, result, buffer): (ReaderOf<R>, io::Result<usize>, Vec<u8>)) {
        self.reader = Some(reader);
        match result {
            Ok(1..) if self.early.is_empty() => self.early = buffer,
            Ok(1..) => self.early.extend_from_slice(&buffer),
            Ok(0) | Err(_) => self.is_over = true,
        }
    }
}
