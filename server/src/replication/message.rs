//! What two shards tell each other over their link, and its bytes.
//!
//! A link is a TCP connection dialled by the shard that leads slots to the shard that holds copies of them; both
//! name their node, shard and incarnation in its hello. A frame is
//! `[body length: u32 LE][tag: u8][body]`. Records travel with the bytes that the log has (`persist::record`).

use bytes::{Buf, Bytes, BytesMut};
use carousel_protocol::{Epoch, Incarnation, Position, Seq, SlotId};

use super::EpochHistory;
use crate::limits::PEER_FRAME_BYTES_MAX;

/// From a primary to a shard that holds, or will hold, a copy.
#[derive(Clone, PartialEq, Debug)]
pub enum ToReplica {
    /// I lead `slot` in `epoch`; say where your copy stands. Answered by [`ToPrimary::Standing`] or
    /// [`ToPrimary::Refuse`].
    Offer {
        /// The slot.
        slot: SlotId,
        /// The sender's epoch.
        epoch: Epoch,
        /// Names this attachment in everything about the slot until the next offer.
        attach: u64,
    },
    /// The next record of a slot in step. Acknowledged.
    Record(Bytes),
    /// Records of the slot up to here are committed: apply them.
    Commit {
        /// The slot.
        slot: SlotId,
        /// The sender's epoch.
        epoch: Epoch,
        /// Last committed seq.
        seq: Seq,
    },
    /// Your copy lacks nothing but positions: take this one. Brings the slot into step. Acknowledged.
    SetPosition {
        /// The slot.
        slot: SlotId,
        /// Where the copy now stands.
        position: Position,
        /// The sender's history up to there.
        history: EpochHistory,
    },
    /// A fresh copy of the slot follows, to be built beside the old one. Acknowledged.
    TransferBegin {
        /// The slot.
        slot: SlotId,
        /// The attachment that the transfer belongs to.
        attach: u64,
    },
    /// Effects that build the fresh copy. Acknowledged.
    TransferPart {
        /// The slot.
        slot: SlotId,
        /// The attachment that the transfer belongs to.
        attach: u64,
        /// Encoded effects (`command::effect`).
        effects: Bytes,
    },
    /// The fresh copy is complete and replaces the old one. Brings the slot into step. Acknowledged.
    TransferDone {
        /// The slot.
        slot: SlotId,
        /// The attachment that the transfer belongs to.
        attach: u64,
        /// Where the copy stands.
        position: Position,
        /// The sender's history up to there.
        history: EpochHistory,
    },
    /// I have stopped serving the slot and will hand it to you: park its requests.
    Freeze {
        /// The slot.
        slot: SlotId,
        /// The sender's epoch.
        epoch: Epoch,
    },
    /// I serve the slot again: send its requests back to me.
    Unfreeze {
        /// The slot.
        slot: SlotId,
        /// The sender's epoch.
        epoch: Epoch,
    },
}

/// From a shard that holds copies to the primary that dialled it.
#[derive(Clone, PartialEq, Debug)]
pub enum ToPrimary {
    /// Answers an offer: where the complete copy stands, or `None` without one.
    Standing {
        /// The slot.
        slot: SlotId,
        /// The attachment of the offer.
        attach: u64,
        /// The process that holds it. What is agreed on the strength of this copy names it.
        incarnation: Incarnation,
        /// Position of the last logged record.
        copy: Option<Position>,
    },
    /// The slot is not, or no longer, in step on this link. Ordered before any ack of what was sent for it since.
    Refuse {
        /// The slot.
        slot: SlotId,
        /// The attachment that ends; zero where there was none.
        attach: u64,
        /// A higher epoch that was promised or seen; the sender is deposed if it is above its own.
        promised: Epoch,
    },
    /// The first `count` acknowledged frames of this link are held as firmly as `appendfsync` says.
    Ack {
        /// Number of frames since the link began.
        count: u64,
    },
}

/// The bytes on a link make no sense; the link is closed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MessageError {
    /// A frame longer than any that is sent.
    #[error("peer frame of {0} bytes is above the limit")]
    TooLong(usize),
    /// A frame's body does not fit its tag.
    #[error("malformed peer frame with tag {0}")]
    Malformed(u8),
}

impl ToReplica {
    /// Frames of these kinds are counted and acknowledged.
    pub fn acknowledged(&self) -> bool {
        match self {
            Self::Record(_)
            | Self::SetPosition { .. }
            | Self::TransferBegin { .. }
            | Self::TransferPart { .. }
            | Self::TransferDone { .. } => true,
            Self::Offer { .. } | Self::Commit { .. } | Self::Freeze { .. } | Self::Unfreeze { .. } => false,
        }
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Offer { slot, epoch, attach } => frame(out, 1, |out| {
                put_slot(out, *slot);
                put_u64s(out, &[epoch.0, *attach]);
            }),
            Self::Record(record) => encode_record(out, record),
            Self::Commit { slot, epoch, seq } => frame(out, 3, |out| {
                put_slot(out, *slot);
                put_u64s(out, &[epoch.0, seq.0]);
            }),
            Self::SetPosition { slot, position, history } => frame(out, 4, |out| {
                put_slot(out, *slot);
                put_u64s(out, &[position.epoch.0, position.seq.0]);
                put_history(out, history);
            }),
            Self::TransferBegin { slot, attach } => frame(out, 5, |out| {
                put_slot(out, *slot);
                put_u64s(out, &[*attach]);
            }),
            Self::TransferPart { slot, attach, effects } => frame(out, 6, |out| {
                put_slot(out, *slot);
                put_u64s(out, &[*attach]);
                out.extend_from_slice(effects);
            }),
            Self::TransferDone { slot, attach, position, history } => frame(out, 7, |out| {
                put_slot(out, *slot);
                put_u64s(out, &[*attach, position.epoch.0, position.seq.0]);
                put_history(out, history);
            }),
            Self::Freeze { slot, epoch } => frame(out, 8, |out| {
                put_slot(out, *slot);
                put_u64s(out, &[epoch.0]);
            }),
            Self::Unfreeze { slot, epoch } => frame(out, 9, |out| {
                put_slot(out, *slot);
                put_u64s(out, &[epoch.0]);
            }),
        }
    }

    fn decode(tag: u8, mut body: Bytes) -> Option<Self> {
        if tag == 2 {
            return Some(Self::Record(body));
        }
        let slot = take_slot(&mut body)?;
        let message = match tag {
            1 => Self::Offer { slot, epoch: Epoch(take_u64(&mut body)?), attach: take_u64(&mut body)? },
            3 => Self::Commit { slot, epoch: Epoch(take_u64(&mut body)?), seq: Seq(take_u64(&mut body)?) },
            4 => {
                let (position, history) = take_standing(&mut body)?;
                Self::SetPosition { slot, position, history }
            }
            5 => Self::TransferBegin { slot, attach: take_u64(&mut body)? },
            6 => {
                Self::TransferPart { slot, attach: take_u64(&mut body)?, effects: std::mem::take(&mut body) }
            }
            7 => {
                let attach = take_u64(&mut body)?;
                let (position, history) = take_standing(&mut body)?;
                Self::TransferDone { slot, attach, position, history }
            }
            8 => Self::Freeze { slot, epoch: Epoch(take_u64(&mut body)?) },
            9 => Self::Unfreeze { slot, epoch: Epoch(take_u64(&mut body)?) },
            _ => return None,
        };
        body.is_empty().then_some(message)
    }
}

/// Appends a [`ToReplica::Record`] frame without owning the record: the hot path's encoding.
pub fn encode_record(out: &mut Vec<u8>, record: &[u8]) {
    frame(out, 2, |out| out.extend_from_slice(record));
}

impl ToPrimary {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Standing { slot, attach, incarnation, copy } => frame(out, 64, |out| {
                put_slot(out, *slot);
                put_u64s(out, &[*attach, incarnation.0]);
                if let Some(position) = copy {
                    put_u64s(out, &[position.epoch.0, position.seq.0]);
                }
            }),
            Self::Refuse { slot, attach, promised } => frame(out, 65, |out| {
                put_slot(out, *slot);
                put_u64s(out, &[*attach, promised.0]);
            }),
            Self::Ack { count } => frame(out, 66, |out| put_u64s(out, &[*count])),
        }
    }

    fn decode(tag: u8, mut body: Bytes) -> Option<Self> {
        let message = match tag {
            64 => {
                let (slot, attach) = (take_slot(&mut body)?, take_u64(&mut body)?);
                let incarnation = Incarnation(take_u64(&mut body)?);
                let copy = if body.is_empty() { None } else { Some(take_position(&mut body)?) };
                Self::Standing { slot, attach, incarnation, copy }
            }
            65 => Self::Refuse {
                slot: take_slot(&mut body)?,
                attach: take_u64(&mut body)?,
                promised: Epoch(take_u64(&mut body)?),
            },
            66 => Self::Ack { count: take_u64(&mut body)? },
            _ => return None,
        };
        body.is_empty().then_some(message)
    }
}

/// Bytes of a frame before its body.
const FRAME_HEADER_BYTES: usize = 5;

/// Most room made for a frame on the strength of the length that it announces; the rest of a longer one must arrive first.
const ANNOUNCED_BYTES_TRUSTED: usize = 16 * 1024 * 1024;

/// Cuts a link's bytes into frames; the bytes of a record stay where they were read, unless they came in pieces.
#[derive(Debug, Default)]
pub struct Frames {
    rest: BytesMut,
}

impl Frames {
    /// Adds what was read.
    pub fn push(&mut self, bytes: Bytes) {
        if self.rest.is_empty() {
            self.rest = BytesMut::from(bytes); // the same memory
            return;
        }
        if self.rest.len() + bytes.len() > self.rest.capacity() {
            // Room for all of the frame at once, or else for ever twice as much: no byte is moved often.
            let missing = self.announced().saturating_sub(self.rest.len()).min(ANNOUNCED_BYTES_TRUSTED);
            self.rest.reserve(missing.max(self.rest.len()).max(bytes.len()));
        }
        self.rest.extend_from_slice(&bytes);
    }

    /// The next message to a replica, or `None` until more bytes are there.
    pub fn next_to_replica(&mut self) -> Result<Option<ToReplica>, MessageError> {
        self.next(ToReplica::decode)
    }

    /// The next message to a primary, or `None` until more bytes are there.
    pub fn next_to_primary(&mut self) -> Result<Option<ToPrimary>, MessageError> {
        self.next(ToPrimary::decode)
    }

    /// Bytes of the frame that has begun, as far as known.
    fn announced(&self) -> usize {
        let body = self.rest.first_chunk::<4>().map_or(0, |len| u32::from_le_bytes(*len) as usize);
        FRAME_HEADER_BYTES + body
    }

    fn next<M>(&mut self, decode: impl Fn(u8, Bytes) -> Option<M>) -> Result<Option<M>, MessageError> {
        let bytes = self.announced();
        let len = bytes - FRAME_HEADER_BYTES;
        if len > PEER_FRAME_BYTES_MAX {
            return Err(MessageError::TooLong(len));
        }
        if self.rest.len() < bytes {
            return Ok(None);
        }
        let mut body = self.rest.split_to(bytes).freeze();
        if self.rest.is_empty() {
            self.rest = BytesMut::new(); // else a long frame's memory would be kept until the next one comes
        }
        let tag = body[4];
        body.advance(FRAME_HEADER_BYTES);
        decode(tag, body).map(Some).ok_or(MessageError::Malformed(tag))
    }
}

fn frame(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, tag]);
    body(out);
    let len = u32::try_from(out.len() - start - 5).expect("a frame is far below 4 GiB");
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

fn put_slot(out: &mut Vec<u8>, slot: SlotId) {
    out.extend_from_slice(&slot.get().to_le_bytes());
}

fn put_u64s(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
}

fn put_history(out: &mut Vec<u8>, history: &EpochHistory) {
    out.extend_from_slice(&postcard::to_stdvec(history).expect("a history of numbers always encodes"));
}

fn take_slot(body: &mut Bytes) -> Option<SlotId> {
    (body.len() >= 2).then(|| body.get_u16_le()).and_then(SlotId::new)
}

fn take_u64(body: &mut Bytes) -> Option<u64> {
    (body.len() >= 8).then(|| body.get_u64_le())
}

fn take_position(body: &mut Bytes) -> Option<Position> {
    Some(Position { epoch: Epoch(take_u64(body)?), seq: Seq(take_u64(body)?) })
}

/// A position and the history that leads there.
fn take_standing(body: &mut Bytes) -> Option<(Position, EpochHistory)> {
    let position = take_position(body)?;
    let (history, rest) = postcard::take_from_bytes::<EpochHistory>(body).ok()?;
    let used = body.len() - rest.len();
    body.advance(used);
    history.leads_to(position).then_some((position, history))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<ToReplica> {
        let slot = SlotId::new(16_383).unwrap();
        let position = Position { epoch: Epoch(4), seq: Seq(u64::MAX - 1) };
        let mut history = EpochHistory::default();
        history.begin(Epoch(4), Seq(300));
        vec![
            ToReplica::Offer { slot, epoch: Epoch(4), attach: 9 },
            ToReplica::Record(Bytes::from_static(b"any record")),
            ToReplica::Commit { slot, epoch: Epoch(4), seq: Seq(5) },
            ToReplica::SetPosition { slot, position, history: history.clone() },
            ToReplica::TransferBegin { slot, attach: 9 },
            ToReplica::TransferPart { slot, attach: 9, effects: Bytes::from_static(b"effects") },
            ToReplica::TransferDone { slot, attach: 9, position, history },
            ToReplica::Freeze { slot, epoch: Epoch(4) },
            ToReplica::Unfreeze { slot, epoch: Epoch(4) },
        ]
    }

    #[test]
    fn every_message_survives_its_bytes_in_pieces_of_any_size() {
        let slot = SlotId::new(7).unwrap();
        let mut bytes = Vec::new();
        samples().iter().for_each(|message| message.encode(&mut bytes));
        for piece in 1..40 {
            let (mut frames, mut got) = (Frames::default(), Vec::new());
            for chunk in bytes.chunks(piece) {
                frames.push(Bytes::copy_from_slice(chunk));
                while let Some(message) = frames.next_to_replica().unwrap() {
                    got.push(message);
                }
            }
            assert_eq!(got, samples());
        }
        let position = Position { epoch: Epoch(1), seq: Seq(2) };
        for message in [
            ToPrimary::Standing { slot, attach: 1, incarnation: Incarnation(3), copy: None },
            ToPrimary::Standing { slot, attach: 1, incarnation: Incarnation(3), copy: Some(position) },
            ToPrimary::Refuse { slot, attach: 0, promised: Epoch(8) },
            ToPrimary::Ack { count: 12 },
        ] {
            let (mut frames, mut bytes) = (Frames::default(), Vec::new());
            message.encode(&mut bytes);
            frames.push(bytes.into());
            assert_eq!(frames.next_to_primary(), Ok(Some(message)));
        }
    }

    #[test]
    fn a_cut_or_foreign_frame_is_an_error_and_never_a_panic() {
        for message in samples() {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            if matches!(message, ToReplica::Record(_) | ToReplica::TransferPart { .. }) {
                continue; // their bodies have no fixed length
            }
            bytes.pop();
            let len = bytes.len() as u32 - 5;
            bytes[..4].copy_from_slice(&len.to_le_bytes());
            let mut frames = Frames::default();
            frames.push(bytes.into());
            assert!(frames.next_to_replica().is_err(), "{message:?}");
        }
        let mut frames = Frames::default();
        frames.push(Bytes::from_static(&[255, 255, 255, 255, 1]));
        assert_eq!(frames.next_to_replica(), Err(MessageError::TooLong(u32::MAX as usize)));
    }

    #[test]
    fn a_long_frame_in_small_pieces_is_moved_only_a_few_times() {
        let record = Bytes::from(vec![7; 40 << 20]);
        let mut bytes = Vec::new();
        encode_record(&mut bytes, &record);
        ToReplica::TransferBegin { slot: SlotId::new(3).unwrap(), attach: 1 }.encode(&mut bytes);
        let (mut frames, mut moves, mut at) = (Frames::default(), 0, std::ptr::null());
        let mut got = Vec::new();
        for piece in bytes.chunks(4096) {
            frames.push(Bytes::copy_from_slice(piece));
            moves += usize::from(frames.rest.as_ptr() != at);
            at = frames.rest.as_ptr();
            while let Some(message) = frames.next_to_replica().unwrap() {
                got.push(message);
            }
        }
        assert!(got[0] == ToReplica::Record(record) && got.len() == 2);
        assert!(moves < 10, "moved {moves} times");
        assert_eq!(frames.rest.capacity(), 0, "nothing is kept");
    }

    #[test]
    fn a_history_that_is_none_closes_the_link() {
        let mut bytes = Vec::new();
        frame(&mut bytes, 4, |out| {
            put_slot(out, SlotId::new(3).unwrap());
            put_u64s(out, &[4, 300]);
            out.extend_from_slice(&postcard::to_stdvec(&vec![(4u64, 5u64), (3, 6)]).unwrap());
        });
        let mut frames = Frames::default();
        frames.push(bytes.into());
        assert_eq!(frames.next_to_replica(), Err(MessageError::Malformed(4)));
    }
}
