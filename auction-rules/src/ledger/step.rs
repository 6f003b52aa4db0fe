//! One step of the ledger before it is stored: copies of what it touches, and the sum that must not change.
use super::{Account, Address, Amount, BTreeMap, Ledger, LedgerError, Pools, Slot};
use alloc::vec::Vec;

/// Copies of the accounts that a step touches, and all money outside accounts that a step can move.
pub(super) struct Step {
    accounts: BTreeMap<Address, Account>,
    pub(super) pools: Pools,
    /// Credits of addresses that are accounts from the next epoch on.
    arriving: BTreeMap<Address, Amount>,
}

impl Step {
    pub(super) fn new(ledger: &Ledger) -> Self {
        Self { accounts: BTreeMap::new(), pools: ledger.pools, arriving: BTreeMap::new() }
    }
    /// An account as this step leaves it so far; `None` when it is not on the ledger.
    pub(super) fn account(&mut self, ledger: &Ledger, address: &Address) -> Option<&mut Account> {
        if !self.accounts.contains_key(address) {
            self.accounts.insert(*address, *ledger.accounts.get(address)?);
        }
        self.accounts.get_mut(address)
    }
    /// Credits whoever is new from the next epoch, everybody else at once.
    pub(super) fn credit(&mut self, ledger: &Ledger, to: &Address, amount: Amount) -> Option<()> {
        if amount == Amount::ZERO {
            return Some(());
        }
        let balance = match self.account(ledger, to) {
            Some(account) => &mut account.balance,
            None => self.arriving.entry(*to).or_default(),
        };
        *balance = balance.checked_add(amount)?;
        Some(())
    }
    fn total(&self) -> Option<Amount> {
        let held = self.accounts.values().flat_map(|account| [account.balance, account.bond]);
        Amount::sum(held.chain(self.pools.all()).chain(self.arriving.values().copied()))
    }
    fn total_before(&self, ledger: &Ledger) -> Option<Amount> {
        Amount::sum(ledger.pools.all())?.checked_add(ledger.held(self.accounts.keys())?)
    }
}

impl Ledger {
    /// Stores a step that brings `released` into accounts and pools (what units had prepaid); A-26 first.
    pub(super) fn store_step(&mut self, slot: Slot, step: Step, released: Amount) -> Result<(), LedgerError> {
        let range = LedgerError::Range { slot };
        let before = step.total_before(self).and_then(|total| total.checked_add(released)).ok_or(range)?;
        if step.total().ok_or(range)? != before {
            return Err(LedgerError::Conservation { slot });
        }
        let mut arriving: Vec<(Address, Amount)> = Vec::with_capacity(step.arriving.len());
        for (address, amount) in step.arriving {
            let waits = self.market.arriving.get(&address).copied().unwrap_or_default();
            arriving.push((address, waits.checked_add(amount).ok_or(range)?));
        }
        // Nothing below fails.
        self.store(step.accounts);
        self.pools = step.pools;
        self.market.arrive(arriving);
        Ok(())
    }
}
