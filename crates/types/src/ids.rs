//! Newtypes for every id, index, amount and count that crosses a crate.
use crate::{Hash, limits};
use alloc::string::{String, ToString};
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! number {
    ($name:ident, $int:ty, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $int);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl $name {
            /// The next value, or the same at the end of the range.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
            /// The previous value, or zero.
            #[must_use]
            pub fn prev(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
            /// `self + n`, at most the end of the range.
            #[must_use]
            pub fn plus(self, n: $int) -> Self {
                Self(self.0.saturating_add(n))
            }
        }
    };
}

number!(Slot, u64, "A slot: one simplex height. Slot 0 is genesis.");
number!(Epoch, u64, "An epoch: a span of slots with one committee and one parameter set.");
number!(ChainId, u64, "A rollup's EIP-155 chain id, 1 to 2^63 - 1.");
number!(Nonce, u64, "A fee account's contiguous nonce on the sequencing ledger.");
number!(Timestamp, u64, "Unix time in milliseconds.");
number!(MemberId, u16, "A member's index: the rank of its consensus key in ascending byte order.");

/// The head of the log: how many entries, and the RFC 6962 root over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Head {
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root.
    pub root: Hash,
}

/// Money in base units, below 2^96: sums of up to 2^32 amounts cannot overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of `units`, or `None` at 2^96 and above.
    #[must_use]
    pub const fn new(units: u128) -> Option<Self> {
        if units < limits::AMOUNT_END { Some(Self(units)) } else { None }
    }
    /// Base units.
    #[must_use]
    pub const fn units(self) -> u128 {
        self.0
    }
    /// `self + other`, or `None` at 2^96 and above.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::new)
    }
    /// `self - other`, or `None` below zero.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
    /// `self - other`, or zero.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
    /// `self * n`, or `None` at 2^96 and above.
    #[must_use]
    pub fn checked_mul(self, n: u64) -> Option<Self> {
        self.0.checked_mul(u128::from(n)).and_then(Self::new)
    }
    /// floor(self * bps / 10^4): the remainder stays with whoever keeps the rest.
    #[must_use]
    pub fn bps_floor(self, bps: u16) -> Self {
        Self(self.0.saturating_mul(u128::from(bps)).checked_div(10_000).unwrap_or(0))
    }
    /// The sum of amounts, or `None` at 2^96 and above.
    #[must_use]
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.serialize_str(&self.0.to_string()) } else { s.serialize_u128(self.0) }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let units = if d.is_human_readable() {
            String::deserialize(d)?.parse().map_err(de::Error::custom)?
        } else {
            u128::deserialize(d)?
        };
        Self::new(units).ok_or_else(|| de::Error::custom("amount of 2^96 or more"))
    }
}
