//! What a connection is sent without having asked: the lines of MONITOR.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::input::Input;
use crate::metrics::Feed;
use crate::runtime::{Runtime, Writer};

/// Reads as [`Input::read`] does, and meanwhile sends what comes from `feed`. An error where that cannot be sent, or has
/// become too much for the client.
pub(super) async fn read_and_push<R: Runtime, W: Writer>(
    input: &mut Input<R>,
    writer: &mut W,
    buffer: Vec<u8>,
    feed: &Feed,
) -> (std::io::Result<usize>, Vec<u8>) {
    // One read for all the time: given up, it would lose what it has taken from the stream.
    let mut read = pin!(input.read(buffer));
    loop {
        let next = poll_fn(|context| match read.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => feed.poll_lines(context).map(Err),
        });
        let sent = match next.await {
            Ok(done) => return done,
            Err(Some(lines)) => writer.write_all(lines).await.0,
            Err(None) => Err(std::io::Error::other("the client reads too slowly")),
        };
        if let Err(error) = sent {
            return (Err(error), Vec::new());
        }
    }
}
