//! What a command does and when it is allowed, as bits.

use std::fmt;
use std::ops::BitOr;

/// A set of facts about a command. Named as in Redis' `COMMAND` reply.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// May change data: needs a slot that takes writes, and its effects are recorded.
    pub const WRITE: Self = Self(1);
    /// Reads keys and never changes them.
    pub const READONLY: Self = Self(1 << 1);
    /// May use more memory: refused where that is used up.
    pub const DENYOOM: Self = Self(1 << 2);
    /// For operators.
    pub const ADMIN: Self = Self(1 << 3);
    /// Allowed before authentication.
    pub const NOAUTH: Self = Self(1 << 4);
    /// Allowed while the data is being loaded.
    pub const LOADING: Self = Self(1 << 5);
    /// Allowed where the data may be stale, or the cluster is down.
    pub const STALE: Self = Self(1 << 6);
    /// Takes constant or logarithmic time.
    pub const FAST: Self = Self(1 << 7);
    /// Not allowed inside MULTI.
    pub const NO_MULTI: Self = Self(1 << 8);
    /// Not allowed in scripts.
    pub const NOSCRIPT: Self = Self(1 << 9);
    /// Allowed while a script blocks the server.
    pub const ALLOW_BUSY: Self = Self(1 << 10);
    /// In the ACL category `@dangerous` without being for operators. No flag in the `COMMAND` reply.
    pub const DANGEROUS: Self = Self(1 << 11);

    /// May wait for another client.
    pub const BLOCKING: Self = Self(1 << 12);

    const NAMES: [(Self, &'static str); 12] = [
        (Self::WRITE, "write"),
        (Self::READONLY, "readonly"),
        (Self::DENYOOM, "denyoom"),
        (Self::ADMIN, "admin"),
        (Self::NOSCRIPT, "noscript"),
        (Self::BLOCKING, "blocking"),
        (Self::LOADING, "loading"),
        (Self::STALE, "stale"),
        (Self::FAST, "fast"),
        (Self::NOAUTH, "no_auth"),
        (Self::NO_MULTI, "no_multi"),
        (Self::ALLOW_BUSY, "allow_busy"),
    ];

    /// Whether all of `other` are in the set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names that `COMMAND` shows.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |&(flag, _)| self.contains(flag)).map(|(_, name)| name)
    }

    /// The ACL categories that follow from the flags. Source: `setImplicitACLCategories` of Redis' `server.c`.
    pub fn acl_categories(self) -> impl Iterator<Item = &'static str> {
        let admin = self.contains(Self::ADMIN);
        [
            (self.contains(Self::WRITE), "@write"),
            (self.contains(Self::READONLY), "@read"),
            (admin, "@admin"),
            (admin || self.contains(Self::DANGEROUS), "@dangerous"),
            (self.contains(Self::FAST), "@fast"),
            (!self.contains(Self::FAST), "@slow"),
            (self.contains(Self::BLOCKING), "@blocking"),
        ]
        .into_iter()
        .filter_map(|(is_in, name)| is_in.then_some(name))
    }

    /// The union of `list`, for the rows of the table: `|` cannot be used in constants.
    pub(super) const fn all_of(list: &[Self]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < list.len() {
            bits |= list[i].0;
            i += 1;
        }
        Self(bits)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
