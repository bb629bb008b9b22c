//! Up to where a collection is packed.

/// Up to where a collection is packed: beyond any of these it becomes a big one, and stays one. Redis' thresholds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packing {
    /// Fields of a hash: `hash-max-listpack-entries`.
    pub hash_fields: usize,
    /// Bytes of a field or value of a hash: `hash-max-listpack-value`.
    pub hash_item_bytes: usize,
    /// Members of a set that are all integers: `set-max-intset-entries`.
    pub set_integers: usize,
    /// Members of another set: `set-max-listpack-entries`.
    pub set_members: usize,
    /// Bytes of a member of it: `set-max-listpack-value`.
    pub set_item_bytes: usize,
    /// Members of a sorted set: `zset-max-listpack-entries`.
    pub sorted_set_members: usize,
    /// Bytes of a member of a sorted set: `zset-max-listpack-value`.
    pub sorted_set_item_bytes: usize,
    /// Bytes of a list's items.
    pub list_bytes: usize,
    /// Elements of a list.
    pub list_elements: usize,
}

impl Packing {
    /// Most items of anything packed: their number has two bytes.
    pub const ITEMS_MAX: usize = u16::MAX as usize;
    /// Most bytes of an item of a packed hash, set or sorted set, whatever is set: so all of them together stay a value.
    pub const ITEM_BYTES_MAX: usize = 32 << 10;
    /// Most bytes of a packed list, whatever is set.
    pub const LIST_BYTES_MAX: usize = 64 << 10;
    /// Most bytes of a list that is bounded by its elements.
    const COUNTED_LIST_BYTES: usize = 8 << 10;

    /// The bounds of lists that `list-max-listpack-size` means: so many elements, or from -1 to -5, 4 to 64 KiB.
    #[must_use]
    pub fn with_list_size(self, size: i64) -> Self {
        let (list_bytes, list_elements) = match size {
            1.. => {
                (Self::COUNTED_LIST_BYTES, usize::try_from(size).unwrap_or(usize::MAX).min(Self::ITEMS_MAX))
            }
            ..=0 => (2048 << size.clamp(-5, -1).unsigned_abs(), Self::ITEMS_MAX),
        };
        Self { list_bytes, list_elements, ..self }
    }
}

const _: () = assert!(
    Packing::ITEMS_MAX as u64 * (Packing::ITEM_BYTES_MAX as u64 + 5) < u32::MAX as u64,
    "a packed collection is a value"
);

impl Default for Packing {
    /// Redis' defaults.
    fn default() -> Self {
        Self {
            hash_fields: 512,
            hash_item_bytes: 64,
            set_integers: 512,
            set_members: 128,
            set_item_bytes: 64,
            sorted_set_members: 128,
            sorted_set_item_bytes: 64,
            list_bytes: 8 << 10,
            list_elements: Self::ITEMS_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_of_lists_is_bytes_if_negative_and_elements_if_not() {
        let bounds = |size| {
            let packing = Packing::default().with_list_size(size);
            (packing.list_bytes, packing.list_elements)
        };
        assert_eq!([-1, -2, -5, -9].map(|size| bounds(size).0), [4096, 8192, 65_536, 65_536]);
        assert_eq!(bounds(-2), (Packing::default().list_bytes, Packing::ITEMS_MAX));
        assert_eq!((bounds(1), bounds(100), bounds(1 << 40)), ((8192, 1), (8192, 100), (8192, 65_535)));
        assert_eq!(bounds(0).0, 4096);
    }
}
