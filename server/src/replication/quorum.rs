//! Counting copies.

use carousel_protocol::Seq;

/// The highest seq that at least `quorum` of `held` reach; zero where there are fewer copies than that.
///
/// `held` is the last seq of each copy in the set, the primary's own included; it is reordered.
pub fn committed(held: &mut [Seq], quorum: usize) -> Seq {
    assert!(quorum > 0, "a quorum of none commits everything");
    if held.len() < quorum {
        return Seq(0);
    }
    held.sort_unstable_by(|a, b| b.cmp(a));
    held[quorum - 1]
}

/// W that holds for a set of `members`: `min(W, size)`, at least one.
pub fn effective(write_quorum: u8, members: usize) -> usize {
    (write_quorum as usize).clamp(1, members.max(1))
}

/// How many whole copies of a set must report before its successor may be chosen, so that every write quorum
/// is met: N - W + 1.
pub fn seal_reports(members: usize, write_quorum: u8) -> usize {
    members - effective(write_quorum, members) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wth_highest_copy_commits() {
        assert_eq!(committed(&mut [Seq(5), Seq(9), Seq(7)], 2), Seq(7));
        assert_eq!(committed(&mut [Seq(5), Seq(9), Seq(7)], 3), Seq(5));
        assert_eq!(committed(&mut [Seq(5)], 2), Seq(0));
    }

    #[test]
    fn every_seal_quorum_meets_every_write_quorum() {
        for members in 1..=7usize {
            for w in 1..=7u8 {
                assert!(seal_reports(members, w) + effective(w, members) > members);
            }
        }
    }
}
