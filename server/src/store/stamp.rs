//! When and how often a key was used: three bytes beside its word, only where somebody wants to know.

/// What is kept of a key's use; what it means is the caller's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp([u8; 3]);

impl Stamp {
    /// Nothing has been noted.
    pub const UNSET: Self = Self([0; 3]);

    /// The low 24 bits of a number.
    pub const fn new(number: u32) -> Self {
        let [a, b, c, _] = number.to_le_bytes();
        Self([a, b, c])
    }

    /// The number.
    pub const fn get(self) -> u32 {
        let [a, b, c] = self.0;
        u32::from_le_bytes([a, b, c, 0])
    }
}
