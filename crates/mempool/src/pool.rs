//! The store itself: what is held, by hash and by account.
use auction_rules::{Ledger, Terms};
use crypto::tdh2::{Admitted, HeldShare};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};
use types::{Address, Envelope, Hash, Nonce, Params, Rank, Slot, Timestamp, reason::Reason};

/// An admitted envelope.
pub struct Held {
    /// Envelope hash.
    pub hash: Hash,
    /// The envelope.
    pub envelope: Arc<Envelope>,
    /// Its codec bytes, as received.
    pub bytes: Vec<u8>,
    /// What the rules read of its header.
    pub terms: Terms,
    /// Its ciphertext's proof held.
    pub admitted: Admitted,
    /// This member's share, made ahead; it leaves only through `crypto::tdh2::HeldShares::release`.
    pub share: Option<HeldShare>,
    /// The receipt that was given.
    pub receipt: Option<String>,
    /// When it arrived.
    pub arrived: Timestamp,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("terms", &self.terms).field("arrived", &self.arrived).finish_non_exhaustive()
    }
}

/// Admitted envelopes that are in no set yet.
pub struct Mempool {
    pub(crate) network: Hash,
    pub(crate) params: Params,
    pub(crate) items: BTreeMap<Hash, Held>,
    /// Versions of each nonce of an account.
    pub(crate) accounts: BTreeMap<Address, BTreeMap<Nonce, BTreeSet<Hash>>>,
    bytes: usize,
    bytes_max: usize,
    /// Where the last list was cut.
    pub(crate) cut: Option<Rank>,
    /// What the last list left out, best first.
    pub(crate) below: Vec<Hash>,
    evicted: Vec<Hash>,
}

impl fmt::Debug for Mempool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mempool").field("len", &self.len()).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Mempool {
    /// Whether an envelope of so many bytes fits without evicting another.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) <= self.bytes_max
    }

    /// An empty store of a network, for at most `bytes_max` bytes of envelopes.
    #[must_use]
    pub fn new(network: Hash, params: Params, bytes_max: usize) -> Self {
        Self {
            network,
            params,
            items: BTreeMap::new(),
            accounts: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            cut: None,
            below: Vec::new(),
            evicted: Vec::new(),
        }
    }
    /// Number of envelopes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }
    /// Holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
    /// Bytes of all envelopes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
    /// Holds this envelope.
    #[must_use]
    pub fn contains(&self, hash: &Hash) -> bool {
        self.items.contains_key(hash)
    }
    /// The envelope of this hash.
    #[must_use]
    pub fn get(&self, hash: &Hash) -> Option<&Held> {
        self.items.get(hash)
    }
    /// The envelope of this hash, to note its receipt or share.
    pub fn get_mut(&mut self, hash: &Hash) -> Option<&mut Held> {
        self.items.get_mut(hash)
    }
    /// Everything held, ascending by hash.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.items.values()
    }
    /// What an account has here, by nonce, then by hash.
    pub fn by_account(&self, account: &Address) -> impl Iterator<Item = &Held> {
        let versions = self.accounts.get(account).into_iter().flat_map(BTreeMap::values).flatten();
        versions.filter_map(|hash| self.items.get(hash))
    }
    /// The nonce after the unbroken run of nonces that an account has here; `None` when it has nothing.
    #[must_use]
    pub fn pending_nonce(&self, account: &Address) -> Option<u64> {
        let mut nonces = self.accounts.get(account)?.keys();
        let first = nonces.next()?.next();
        let next = nonces.try_fold(first, |next, nonce| if *nonce == next { Ok(next.next()) } else { Err(next) });
        Some(next.unwrap_or_else(|gap| gap).0)
    }

    /// Takes an admitted envelope; one that is held already changes nothing.
    ///
    /// # Errors
    /// [`Reason::Busy`] when the store is full and nothing in it ranks below the last list's cut.
    pub fn insert(&mut self, held: Held) -> Result<(), Reason> {
        if self.contains(&held.hash) {
            return Ok(());
        }
        self.make_room(held.bytes.len())?;
        self.bytes = self.bytes.saturating_add(held.bytes.len());
        let Terms { account, nonce, .. } = held.terms;
        self.accounts.entry(account).or_default().entry(nonce).or_default().insert(held.hash);
        self.items.insert(held.hash, held);
        Ok(())
    }

    /// Drops what ranked below the last list's cut, the worst first, until `bytes` more fit.
    fn make_room(&mut self, bytes: usize) -> Result<(), Reason> {
        while self.bytes.saturating_add(bytes) > self.bytes_max {
            let worst = self.below.pop().ok_or(Reason::Busy)?;
            if self.take(&worst).is_some() {
                self.evicted.push(worst);
            }
        }
        Ok(())
    }

    /// Takes an envelope out, for instance because it is in a set.
    pub fn take(&mut self, hash: &Hash) -> Option<Held> {
        let held = self.items.remove(hash)?;
        self.bytes = self.bytes.saturating_sub(held.bytes.len());
        let Terms { account, nonce, .. } = held.terms;
        if let Some(nonces) = self.accounts.get_mut(&account) {
            if let Some(versions) = nonces.get_mut(&nonce) {
                versions.remove(hash);
                if versions.is_empty() {
                    nonces.remove(&nonce);
                }
            }
            if nonces.is_empty() {
                self.accounts.remove(&account);
            }
        }
        Some(held)
    }

    /// After a slot is closed on the ledger: drops what no set from `slot` on can hold, and tells what was dropped since
    /// the last call and why. Those in the set itself are taken out with [`Self::take`] before; they are not reported.
    pub fn settle(&mut self, ledger: &Ledger, slot: Slot) -> Vec<(Hash, Reason)> {
        let why = |held: &Held| {
            let used = ledger.account(&held.terms.account).is_none_or(|account| held.terms.nonce < account.nonce);
            if used || ledger.is_closed(&held.hash) {
                Some(Reason::NonceTooLow)
            } else if held.terms.expiry < slot {
                Some(Reason::Expired)
            } else {
                None
            }
        };
        let over: Vec<(Hash, Reason)> = self.items.values().filter_map(|held| Some((held.hash, why(held)?))).collect();
        for (hash, _) in &over {
            self.take(hash);
        }
        let evicted = std::mem::take(&mut self.evicted).into_iter().map(|hash| (hash, Reason::FeeTooLow));
        evicted.chain(over.into_iter().filter(|(hash, _)| !ledger.is_closed(hash))).collect()
    }
}

#[cfg(test)]
mod tests;
