//! Token buckets, and what an address prefix is doing here.
use dashmap::{DashMap, mapref::entry::Entry};
use std::{
    collections::VecDeque,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};
use types::Timestamp;

/// Prefixes remembered as held; the oldest hold ends early above it.
const HELD_MAX: usize = 65_536;

/// The /24 or /48 that a connection comes from: what a stranger pays for to get another quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// /24.
    V4([u8; 3]),
    /// /48.
    V6([u8; 6]),
}

impl Prefix {
    /// The prefix of an address; an IPv4 address inside IPv6 counts as IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f])
            }
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4([a, b, c]) => write!(out, "{}/24", Ipv4Addr::new(a, b, c, 0)),
            Self::V6([a, b, c, d, e, f]) => {
                write!(out, "{}/48", Ipv6Addr::from([a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
            }
        }
    }
}

/// A token bucket that holds a second's worth. Counts in thousandths of a token, so that a millisecond refills exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    per_second: u64,
    thousandths: u64,
    at: Timestamp,
}

impl Bucket {
    pub(crate) const fn full(per_second: u64, now: Timestamp) -> Self {
        Self { per_second, thousandths: per_second.saturating_mul(1_000), at: now }
    }

    /// Takes `tokens`, or says how many ms to wait until it could. A clock that steps back refills nothing.
    pub(crate) fn take(&mut self, tokens: u64, now: Timestamp) -> Result<(), u32> {
        let elapsed = now.0.saturating_sub(self.at.0);
        self.at = self.at.max(now);
        let most = self.per_second.saturating_mul(1_000);
        self.thousandths = self.thousandths.saturating_add(elapsed.saturating_mul(self.per_second)).min(most);
        let need = tokens.saturating_mul(1_000);
        match self.thousandths.checked_sub(need) {
            Some(rest) => {
                self.thousandths = rest;
                Ok(())
            }
            None => {
                let missing = need.saturating_sub(self.thousandths);
                Err(u32::try_from(missing.div_ceil(self.per_second.max(1))).unwrap_or(u32::MAX))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Use {
    connections: u32,
    held_until: Option<Timestamp>,
}

/// Connections and holds by prefix. Looked up by key only; an entry lives while it counts something.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    uses: DashMap<Prefix, Use>,
    /// In the order in which they end: the hold's length is one constant.
    holds: Mutex<VecDeque<(Timestamp, Prefix)>>,
}

impl Prefixes {
    /// Counts a connection until the guard is dropped; `None` at the limit.
    pub(crate) fn enter(self: &Arc<Self>, prefix: Prefix, max: u32) -> Option<PrefixGuard> {
        let mut entry = self.uses.entry(prefix).or_default();
        if entry.connections >= max {
            return None;
        }
        entry.connections = entry.connections.saturating_add(1);
        drop(entry);
        Some(PrefixGuard { prefixes: Arc::clone(self), prefix })
    }

    /// The prefix has connections to spare and is not held.
    pub(crate) fn admits(&self, prefix: Prefix, max: u32, now: Timestamp) -> bool {
        self.uses
            .get(&prefix)
            .is_none_or(|entry| entry.connections < max && entry.held_until.is_none_or(|until| until <= now))
    }

    /// Turns the prefix away until then.
    pub(crate) fn hold(&self, prefix: Prefix, until: Timestamp) {
        self.uses.entry(prefix).or_default().held_until = Some(until);
        let oldest = {
            let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
            holds.push_back((until, prefix));
            if holds.len() > HELD_MAX { holds.pop_front() } else { None }
        };
        if let Some((ended, prefix)) = oldest {
            self.release(prefix, ended);
        }
    }

    /// Forgets holds that have ended.
    pub(crate) fn expire(&self, now: Timestamp) {
        loop {
            let ended = {
                let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
                match holds.front() {
                    Some((until, _)) if *until <= now => holds.pop_front(),
                    _ => None,
                }
            };
            let Some((until, prefix)) = ended else { return };
            self.release(prefix, until);
        }
    }

    fn release(&self, prefix: Prefix, ended: Timestamp) {
        if let Entry::Occupied(mut entry) = self.uses.entry(prefix) {
            // A later hold of the same prefix has its own place in the queue.
            if entry.get().held_until.is_some_and(|until| until <= ended) {
                entry.get_mut().held_until = None;
            }
            if entry.get().connections == 0 && entry.get().held_until.is_none() {
                entry.remove();
            }
        }
    }

    fn leave(&self, prefix: Prefix) {
        if let Entry::Occupied(mut entry) = self.uses.entry(prefix) {
            let rest = entry.get().connections.saturating_sub(1);
            entry.get_mut().connections = rest;
            if rest == 0 && entry.get().held_until.is_none() {
                entry.remove();
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.uses.len()
    }
}

/// One counted connection.
#[derive(Debug)]
pub(crate) struct PrefixGuard {
    prefixes: Arc<Prefixes>,
    prefix: Prefix,
}

impl Drop for PrefixGuard {
    fn drop(&mut self) {
        self.prefixes.leave(self.prefix);
    }
}

#[cfg(test)]
mod tests {
    // Goal: ING-6 on the structures alone, with time as an argument.
    use super::*;

    #[test]
    fn ing_6_a_bucket_gives_a_second_at_once_and_then_its_rate() {
        let mut bucket = Bucket::full(128, Timestamp(1_000));
        for _ in 0..128 {
            assert_eq!(bucket.take(1, Timestamp(1_000)), Ok(()));
        }
        assert_eq!(bucket.take(1, Timestamp(1_000)), Err(8));
        assert_eq!(bucket.take(1, Timestamp(1_007)), Err(1));
        assert_eq!(bucket.take(1, Timestamp(1_008)), Ok(()));
        assert_eq!(bucket.take(1, Timestamp(500)), Err(8), "a clock that steps back refills nothing");
        assert_eq!(bucket.take(128, Timestamp(9_000)), Ok(()));
        assert_eq!(bucket.take(1, Timestamp(9_000)), Err(8), "an idle hour is worth a second");
    }

    #[test]
    fn ing_6_prefixes_are_24_and_48() {
        let prefix = |text: &str| Prefix::of(text.parse().unwrap());
        assert_eq!(prefix("192.0.2.1"), prefix("192.0.2.254"));
        assert_ne!(prefix("192.0.2.1"), prefix("192.0.3.1"));
        assert_eq!(prefix("::ffff:192.0.2.1"), prefix("192.0.2.9"));
        assert_eq!(prefix("2001:db8:1::1"), prefix("2001:db8:1:ffff::2"));
        assert_ne!(prefix("2001:db8:1::1"), prefix("2001:db8:2::1"));
        assert_eq!(prefix("2001:db8:1::1").to_string(), "2001:db8:1::/48");
        assert_eq!(prefix("192.0.2.1").to_string(), "192.0.2.0/24");
    }

    #[test]
    fn ing_6_a_prefix_counts_and_forgets() {
        let prefixes = Arc::new(Prefixes::default());
        let prefix = Prefix::V4([192, 0, 2]);
        let first = prefixes.enter(prefix, 2).unwrap();
        let second = prefixes.enter(prefix, 2).unwrap();
        assert!(prefixes.enter(prefix, 2).is_none());
        assert!(!prefixes.admits(prefix, 2, Timestamp(0)));
        drop(first);
        assert!(prefixes.admits(prefix, 2, Timestamp(0)));
        drop(second);
        assert_eq!(prefixes.len(), 0);
    }

    #[test]
    fn ing_6_a_hold_ends_and_is_forgotten() {
        let prefixes = Arc::new(Prefixes::default());
        let prefix = Prefix::V4([192, 0, 2]);
        prefixes.hold(prefix, Timestamp(60));
        assert!(!prefixes.admits(prefix, 2, Timestamp(59)));
        assert!(prefixes.admits(prefix, 2, Timestamp(60)));
        prefixes.hold(prefix, Timestamp(90));
        prefixes.expire(Timestamp(60));
        assert!(!prefixes.admits(prefix, 2, Timestamp(61)), "the second hold stands");
        prefixes.expire(Timestamp(90));
        assert_eq!(prefixes.len(), 0);
    }

    #[test]
    fn ing_6_holds_are_bounded() {
        let prefixes = Arc::new(Prefixes::default());
        for i in 0..70_000u32 {
            let [_, a, b, c] = i.to_be_bytes();
            prefixes.hold(Prefix::V4([a, b, c]), Timestamp(u64::from(i)));
        }
        assert_eq!(prefixes.len(), HELD_MAX);
    }
}
