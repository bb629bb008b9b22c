//! How many slots each node should lead and hold.

use carousel_protocol::SlotId;

const SLOTS: u64 = SlotId::COUNT as u64;

/// A node as the quotas see it.
pub(super) struct Claim {
    /// Relative share; 0 means none.
    pub(super) weight: u32,
    /// Number of its zone, below the number of zones.
    pub(super) zone: usize,
    /// Slots that it leads now.
    pub(super) leads: u32,
    /// Slots that it holds now.
    pub(super) holds: u32,
}

/// What every node should have, by index.
pub(super) struct Quotas {
    /// Slots to lead; the sum is the number of slots.
    pub(super) leads: Vec<u32>,
    /// Slots to hold; the sum is `replicas` times the number of slots.
    pub(super) holds: Vec<u32>,
    /// Size of a replica set: what was asked for, or all nodes with a weight where there are fewer.
    pub(super) replicas: usize,
    /// Most replicas of a slot in one zone.
    pub(super) zone_limit: usize,
}

/// A share before rounding: `num / den`.
#[derive(Clone, Copy)]
struct Share {
    num: u128,
    den: u128,
}

impl Share {
    fn floor(self) -> u64 {
        (self.num / self.den) as u64
    }

    fn has_rest(self) -> bool {
        !self.num.is_multiple_of(self.den)
    }
}

/// Quotas by weight, or `None` where no node has a weight.
///
/// A node never gets more than one copy of each slot and a zone never more than its limit; what a capped node cannot
/// take goes to the others, by weight. Rounding favours nodes that have the odd slot already.
pub(super) fn quotas(claims: &[Claim], zones: usize, replicas: u8) -> Option<Quotas> {
    let weighted = claims.iter().filter(|claim| claim.weight > 0).count();
    if weighted == 0 {
        return None;
    }
    let replicas = usize::from(replicas.max(1)).min(weighted);
    let zone_limit = zone_limit(claims, zones, replicas);

    let all: Vec<usize> = (0..claims.len()).collect();
    let mut lead_shares = vec![Share { num: 0, den: 1 }; claims.len()];
    share_out(claims, &all, SLOTS, SLOTS, &mut lead_shares);
    let none = vec![0; claims.len()];
    let leads = round(&lead_shares, SLOTS, &none, |node| claims[node].leads, |_, _| true);

    let holds = if replicas == 1 {
        leads.clone()
    } else {
        let total = SLOTS * replicas as u64;
        let shares = hold_shares(claims, zones, total, zone_limit as u64 * SLOTS);
        let zone_full = |quota: &[u32], node: usize| {
            let zone = claims[node].zone;
            let held: u64 =
                quota.iter().zip(claims).filter(|(_, c)| c.zone == zone).map(|(&q, _)| u64::from(q)).sum();
            held >= zone_limit as u64 * SLOTS
        };
        round(&shares, total, &leads, |node| claims[node].holds, |quota, node| !zone_full(quota, node))
    };
    Some(Quotas { leads, holds, replicas, zone_limit })
}

/// The smallest number of replicas per zone with which a set of `replicas` nodes exists.
fn zone_limit(claims: &[Claim], zones: usize, replicas: usize) -> usize {
    let mut sizes = vec![0; zones];
    for claim in claims.iter().filter(|claim| claim.weight > 0) {
        sizes[claim.zone] += 1;
    }
    (1..=replicas)
        .find(|&limit| sizes.iter().map(|&size: &usize| size.min(limit)).sum::<usize>() >= replicas)
        .unwrap_or(replicas)
}

/// Divides `total` among `nodes` by weight, at most `cap` each.
fn share_out(claims: &[Claim], nodes: &[usize], total: u64, cap: u64, shares: &mut [Share]) {
    let mut open: Vec<usize> = nodes.iter().copied().filter(|&node| claims[node].weight > 0).collect();
    let mut left = total;
    loop {
        let weight: u128 = open.iter().map(|&node| u128::from(claims[node].weight)).sum();
        let before = open.len();
        let mut capped = 0;
        open.retain(|&node| {
            let share = Share { num: u128::from(left) * u128::from(claims[node].weight), den: weight };
            let over = share.num > u128::from(cap) * weight;
            shares[node] = if over { Share { num: u128::from(cap), den: 1 } } else { share };
            capped += u64::from(over) * cap;
            !over
        });
        left = left.saturating_sub(capped);
        if open.len() == before || open.is_empty() {
            return;
        }
    }
}

/// Shares of `total` copies where no zone takes more than `zone_cap`. Filling one zone up only raises what the others
/// get, so a zone found too full stays full.
fn hold_shares(claims: &[Claim], zones: usize, total: u64, zone_cap: u64) -> Vec<Share> {
    let mut shares = vec![Share { num: 0, den: 1 }; claims.len()];
    let mut full = vec![false; zones];
    loop {
        let open: Vec<usize> = (0..claims.len()).filter(|&node| !full[claims[node].zone]).collect();
        let taken = full.iter().filter(|&&is_full| is_full).count() as u64 * zone_cap;
        share_out(claims, &open, total.saturating_sub(taken), SLOTS, &mut shares);
        let mut changed = false;
        for (zone, is_full) in full.iter_mut().enumerate() {
            let nodes: Vec<usize> = (0..claims.len()).filter(|&node| claims[node].zone == zone).collect();
            if !*is_full && exceeds(nodes.iter().map(|&node| shares[node]), zone_cap) {
                *is_full = true;
                changed = true;
                share_out(claims, &nodes, zone_cap, SLOTS, &mut shares);
            }
        }
        if !changed {
            return shares;
        }
    }
}

/// Is the sum of these shares above `cap`? Shares of one call of [`share_out`] have few denominators: the capped ones
/// are whole numbers, the others share theirs.
fn exceeds(shares: impl Iterator<Item = Share>, cap: u64) -> bool {
    let (mut whole, mut num, mut den) = (0_u128, 0_u128, 1_u128);
    for share in shares {
        if share.den == 1 {
            whole += share.num;
        } else {
            num += share.num;
            den = share.den;
        }
    }
    whole * den + num > u128::from(cap) * den
}

/// Rounds shares down or up so that the sum is `total` and none is below `least`. Up go first those that `least` asks
/// for, then those that have that much now, then those that lose most by going down, then in the order of ids.
fn round(
    shares: &[Share],
    total: u64,
    least: &[u32],
    has: impl Fn(usize) -> u32,
    may_take: impl Fn(&[u32], usize) -> bool,
) -> Vec<u32> {
    let mut quota: Vec<u32> = shares.iter().map(|share| share.floor() as u32).collect();
    let mut given: u64 = quota.iter().map(|&q| u64::from(q)).sum();
    let mut up: Vec<usize> = (0..shares.len()).filter(|&node| shares[node].has_rest()).collect();
    up.sort_by(|&a, &b| {
        let key = |node: usize| (least[node] <= quota[node], has(node) <= quota[node]);
        let (share, other) = (shares[a], shares[b]);
        let lost = (share.num % share.den) * other.den;
        let other_lost = (other.num % other.den) * share.den;
        key(a).cmp(&key(b)).then(other_lost.cmp(&lost)).then(a.cmp(&b))
    });
    // A zone may be one short of its limit before rounding; only if that leaves slots over is its limit passed by one.
    for strict in [true, false] {
        for &node in &up {
            let rounded_up = u64::from(quota[node]) > shares[node].floor();
            if given < total && !rounded_up && (!strict || may_take(&quota, node)) {
                quota[node] += 1;
                given += 1;
            }
        }
    }
    assert_eq!(given, total, "every slot has its place");
    quota
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(of: &[(u32, usize)]) -> Vec<Claim> {
        of.iter().map(|&(weight, zone)| Claim { weight, zone, leads: 0, holds: 0 }).collect()
    }

    #[test]
    fn equal_nodes_get_equal_quotas() {
        let four = quotas(&claims(&[(8, 0), (8, 1), (8, 2), (8, 3)]), 4, 3).unwrap();
        assert_eq!((four.leads, four.holds), (vec![4096; 4], vec![12288; 4]));
        let mut three = quotas(&claims(&[(1, 0), (1, 1), (1, 2)]), 3, 3).unwrap();
        three.leads.sort_unstable();
        assert_eq!((three.leads, three.holds), (vec![5461, 5461, 5462], vec![16384; 3]));
    }

    #[test]
    fn a_node_holds_no_slot_twice_however_heavy() {
        let q = quotas(&claims(&[(10, 0), (1, 1), (1, 2)]), 3, 2).unwrap();
        assert_eq!(q.holds, [16384, 8192, 8192]);
        assert_eq!(q.leads.iter().sum::<u32>(), 16384);
    }

    #[test]
    fn a_small_zone_holds_a_copy_of_everything_when_it_must() {
        let q = quotas(&claims(&[(1, 0), (1, 0), (1, 0), (1, 1)]), 2, 2).unwrap();
        assert_eq!(q.zone_limit, 1);
        assert_eq!(q.holds[3], 16384);
        assert_eq!(q.holds[..3].iter().sum::<u32>(), 16384);
    }

    #[test]
    fn fewer_zones_than_replicas_share_them_out() {
        let q = quotas(&claims(&[(1, 0), (1, 0), (1, 1), (1, 1)]), 2, 3).unwrap();
        assert_eq!((q.zone_limit, q.replicas), (2, 3));
        assert_eq!(q.holds, [12288; 4]);
    }

    #[test]
    fn the_odd_slot_stays_where_it_is() {
        let mut three = claims(&[(1, 0), (1, 1), (1, 2)]);
        three[2].leads = 5462;
        assert_eq!(quotas(&three, 3, 3).unwrap().leads, [5461, 5461, 5462]);
    }

    #[test]
    fn no_weight_no_quota() {
        assert!(quotas(&claims(&[(0, 0)]), 1, 3).is_none());
    }
}
