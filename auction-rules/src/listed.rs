//! The listed envelopes of a slot with their references resolved once: by index, in the order of their hashes.
use crate::{Ledger, Terms};
use alloc::{vec, vec::Vec};
use types::{Account, Hash, Params, Slot};

/// Units that a slot may include, if nothing else stands against them. Shape: `units` strictly ascending by hash, so that
/// comparing indices is comparing hashes; the other vectors of units run beside it.
#[derive(Debug)]
pub(crate) struct Listed<'a> {
    pub(crate) units: Vec<&'a Terms>,
    /// Index of each unit's nonce in `nonces`.
    pub(crate) nonce_of: Vec<usize>,
    /// The open units that each names in `after`.
    after: Vec<usize>,
    after_ends: Vec<usize>,
    /// Names something that is neither closed nor listed.
    pub(crate) astray: Vec<bool>,
    /// Ascending by account and nonce.
    pub(crate) nonces: Vec<ListedNonce>,
    /// The payers on the ledger; one that is not there has nothing.
    pub(crate) accounts: Vec<Account>,
    /// Listed, but not open to inclusion in this slot at all.
    pub(crate) inadmissible: Vec<&'a Terms>,
}

/// A nonce of an account of which versions are listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListedNonce {
    /// Index of its account in `accounts`.
    pub(crate) account: usize,
    pub(crate) before: Before,
}

/// What is known of the nonce before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// It is used.
    Used,
    /// Its versions are listed, under this index in `nonces`.
    Listed(usize),
    /// It is open, and no version is listed.
    Missing,
}

impl<'a> Listed<'a> {
    /// Sorts by hash, drops repetitions, and sets aside what no slot like this one may include.
    pub(crate) fn new(ledger: &Ledger, params: &Params, slot: Slot, listed: &'a [Terms]) -> Self {
        let mut all: Vec<&Terms> = listed.iter().collect();
        all.sort_unstable_by_key(|unit| unit.hash);
        all.dedup_by_key(|unit| unit.hash);
        let open = |unit: &&Terms| unit.admissible(params, slot) && !ledger.is_closed(&unit.hash);
        let (units, mut inadmissible): (Vec<&Terms>, Vec<&Terms>) = all.into_iter().partition(open);
        let used = |unit: &&Terms| ledger.account(&unit.account).is_some_and(|account| unit.nonce < account.nonce);
        let (used, units): (Vec<&Terms>, Vec<&Terms>) = units.into_iter().partition(used);
        inadmissible.extend(used);
        Self { inadmissible, ..Self::resolve(ledger, units) }
    }

    /// Resolves units that are strictly ascending by hash, in no earlier set, and of unused nonces.
    pub(crate) fn resolve(ledger: &Ledger, units: Vec<&'a Terms>) -> Self {
        let count = units.len();
        let mut resolved = Self {
            nonce_of: vec![0; count],
            after: Vec::new(),
            after_ends: Vec::with_capacity(count),
            astray: vec![false; count],
            nonces: Vec::with_capacity(count),
            accounts: Vec::new(),
            inadmissible: Vec::new(),
            units,
        };
        resolved.resolve_nonces(ledger);
        resolved.resolve_after(ledger);
        resolved
    }

    fn resolve_nonces(&mut self, ledger: &Ledger) {
        let mut by_nonce: Vec<(&Terms, usize)> = self.units.iter().copied().zip(0..).collect();
        by_nonce.sort_unstable_by_key(|(unit, index)| (unit.account, unit.nonce, *index));
        let mut last: Option<(&Terms, Account)> = None;
        for (unit, index) in by_nonce {
            let lower = last.filter(|(lower, _)| lower.account == unit.account);
            let account = match lower {
                Some((_, account)) => account,
                None => {
                    let account = ledger.account(&unit.account).unwrap_or_default();
                    self.accounts.push(account);
                    account
                }
            };
            if lower.is_none_or(|(lower, _)| lower.nonce != unit.nonce) {
                let adjacent = lower.is_some_and(|(lower, _)| lower.nonce.next() == unit.nonce);
                let before = if unit.nonce <= account.nonce {
                    Before::Used
                } else if adjacent {
                    Before::Listed(self.nonces.len().saturating_sub(1))
                } else {
                    Before::Missing
                };
                self.nonces.push(ListedNonce { account: self.accounts.len().saturating_sub(1), before });
            }
            if let Some(nonce) = self.nonce_of.get_mut(index) {
                *nonce = self.nonces.len().saturating_sub(1);
            }
            last = Some((unit, account));
        }
    }

    fn resolve_after(&mut self, ledger: &Ledger) {
        let index = Index::new(&self.units);
        for (unit, astray) in self.units.iter().zip(&mut self.astray) {
            for hash in &unit.after {
                match index.find(&self.units, hash) {
                    Some(named) => self.after.push(named),
                    None => *astray |= !ledger.is_closed(hash),
                }
            }
            self.after_ends.push(self.after.len());
        }
    }

    /// The open units that unit `index` names.
    pub(crate) fn after(&self, index: usize) -> &[usize] {
        let start = index.checked_sub(1).and_then(|before| self.after_ends.get(before)).copied().unwrap_or(0);
        let end = self.after_ends.get(index).copied().unwrap_or(start);
        self.after.get(start..end).unwrap_or(&[])
    }
    /// The nonce that a unit is a version of.
    pub(crate) fn nonce(&self, index: usize) -> Option<&ListedNonce> {
        self.nonces.get(*self.nonce_of.get(index)?)
    }
    /// The index of a hash.
    pub(crate) fn find(&self, hash: &Hash) -> Option<usize> {
        self.units.binary_search_by(|unit| unit.hash.cmp(hash)).ok()
    }
}

/// First eight bytes of the hashes, side by side: most lookups end without touching a unit.
struct Index(Vec<u64>);

impl Index {
    fn new(units: &[&Terms]) -> Self {
        Self(units.iter().map(|unit| prefix(&unit.hash)).collect())
    }
    fn find(&self, units: &[&Terms], hash: &Hash) -> Option<usize> {
        let prefix = prefix(hash);
        let start = self.0.partition_point(|other| *other < prefix);
        let end = self.0.get(start..)?.partition_point(|other| *other == prefix);
        let equal = units.get(start..)?.get(..end)?;
        let found = equal.binary_search_by(|unit| unit.hash.cmp(hash)).ok()?;
        start.checked_add(found)
    }
}

fn prefix(hash: &Hash) -> u64 {
    hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
