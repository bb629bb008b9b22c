//! The sizes that the allocator really gives.

/// The bytes that an allocation of `bytes` takes: jemalloc's size classes (8, then steps of 16 up to 128, then
/// four steps per doubling).
///
/// Everything here allocates whole classes, which makes the room in an allocation known from the length of
/// what is in it, memory accounting exact, and growth geometric. Another allocator only has to give at least
/// what is asked for. Source: jemalloc(3), "Size classes".
#[inline]
pub(super) const fn class_bytes(bytes: usize) -> usize {
    if bytes <= 8 {
        return 8;
    }
    if bytes <= 128 {
        return (bytes + 15) & !15;
    }
    let step = 1usize << ((bytes - 1).ilog2() - 2);
    (bytes + step - 1) & !(step - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_jemalloc() {
        let mut classes = Vec::new();
        for bytes in 0..=4096 {
            let class = class_bytes(bytes);
            assert!(class >= bytes);
            assert_eq!(class_bytes(class), class, "a class is its own class");
            if classes.last() != Some(&class) {
                classes.push(class);
            }
        }
        assert_eq!(
            classes,
            [
                8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896,
                1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096
            ]
        );
        assert_eq!(class_bytes((512 << 20) + 1), 640 << 20);
    }
}
