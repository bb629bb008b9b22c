//! What is wrong with bytes that are not RESP.

/// The peer does not speak RESP, or exceeds a limit. The stream cannot be read any further: a server
/// answers with the text (see [`ReplyWriter::protocol_error`](super::ReplyWriter::protocol_error)) and
/// closes the connection.
///
/// `Display` gives the text of Redis 7.2 without the code `ERR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// `*` is followed by something that is no integer, or by more than the most arguments allowed.
    #[error("Protocol error: invalid multibulk length")]
    MultibulkLength,
    /// No end of line within the longest line allowed after `*`.
    #[error("Protocol error: too big mbulk count string")]
    MultibulkLineTooLong,
    /// More arguments than a client may send before it authenticated.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// An argument does not begin with `$`.
    #[error("Protocol error: expected '$', got '{}'", *.got as char)]
    ExpectedBulk {
        /// The byte in its place.
        got: u8,
    },
    /// `$` is followed by something that is no integer, a negative one, or more than the bytes allowed.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// No end of line within the longest line allowed after `$`.
    #[error("Protocol error: too big bulk count string")]
    BulkLineTooLong,
    /// A longer argument than a client may send before it authenticated.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// No end of line within the longest inline request allowed.
    #[error("Protocol error: too big inline request")]
    InlineTooLong,
    /// An inline request with a quote that is not closed, or closed in the middle of an argument.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// The request as a whole does not fit the parser's bound. (Redis closes the connection without a
    /// word, at `client-query-buffer-limit`.)
    #[error("Protocol error: too big request")]
    RequestTooLong,
    /// In a reply: a byte that begins no RESP2 or RESP3 type.
    #[error("Protocol error: unknown reply type '{}'", .got.escape_ascii())]
    ReplyType {
        /// The byte in its place.
        got: u8,
    },
    /// In a reply: a length, integer, double or boolean that is none.
    #[error("Protocol error: malformed value of a reply of type '{}'", *.kind as char)]
    ReplyValue {
        /// First byte of the reply.
        kind: u8,
    },
    /// In a reply: a bulk string, or a reply's end, is not followed by CR LF.
    #[error("Protocol error: a reply does not end with CR LF")]
    ReplyEnd,
    /// A reply nested deeper than any command's is.
    #[error("Protocol error: reply nested too deeply")]
    ReplyTooDeep,
}
