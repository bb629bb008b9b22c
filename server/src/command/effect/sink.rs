//! The effects of a command on their way into records.

use carousel_protocol::SlotId;

use super::Effect;

/// Effects of one command, encoded, grouped by slot in the order they came.
///
/// A command that changes keys of several slots alternately (a lone node allows it) makes several groups for a
/// slot. While nothing records effects, pushing one costs a branch.
#[derive(Default)]
pub struct EffectSink {
    is_recording: bool,
    bytes: Vec<u8>,
    /// Each group's slot and where it ends in `bytes`.
    groups: Vec<(SlotId, usize)>,
}

impl EffectSink {
    /// A sink that does not record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether pushed effects are kept: where a log or a replica wants them.
    pub fn set_recording(&mut self, is_recording: bool) {
        self.is_recording = is_recording;
    }

    /// Whether nothing was kept since the last [`Self::clear`].
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The groups: a slot and its effects, encoded; read them with [`EffectIter`](super::EffectIter).
    pub fn groups(&self) -> impl Iterator<Item = (SlotId, &[u8])> {
        let mut start = 0;
        self.groups.iter().map(move |&(slot, end)| {
            let bytes = &self.bytes[start..end];
            start = end;
            (slot, bytes)
        })
    }

    /// Forgets what was kept; the memory stays for the next command, unless it was a huge one.
    #[inline]
    pub fn clear(&mut self) {
        const KEEP_BYTES: usize = 1 << 20;
        self.bytes.clear();
        self.groups.clear();
        if self.bytes.capacity() > KEEP_BYTES {
            self.bytes.shrink_to(KEEP_BYTES);
        }
    }

    /// Keeps an effect on a key of `slot`, if recording.
    #[inline]
    pub fn push(&mut self, slot: SlotId, effect: Effect<'_>) {
        if self.is_recording {
            effect.encode(&mut self.bytes);
            let end = self.bytes.len();
            match self.groups.last_mut() {
                Some(last) if last.0 == slot => last.1 = end,
                _ => self.groups.push((slot, end)),
            }
        }
    }
}
