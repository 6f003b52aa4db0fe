//! The cheap checks, in order of cost: nothing here touches a signature or a point (wallets-and-builders.md section 7).
use crate::Mempool;
use auction_rules::{Ledger, Prices, Terms, admissible, base_fee, charge, fee_per_byte, unit_bond};
use types::{Account, Amount, Envelope, Hash, Nonce, Rank, Slot, reason::Reason};

impl Mempool {
    /// Whether an envelope may be admitted here, for a set from `slot` (the next to close) on.
    ///
    /// # Errors
    /// In this order: version, classes, shape of `after` and number of consents; network; epoch; expiry; account; nonce;
    /// fee against the base, this member's cut and the versions held; funds; `after`; the account's quota.
    /// [`Reason::NonceTooFar`] when a lower nonce is missing here, which ends the check of all that hangs on it.
    pub fn precheck(&self, ledger: &Ledger, slot: Slot, hash: &Hash, envelope: &Envelope) -> Result<Terms, Reason> {
        let header = &envelope.signed.header;
        admissible(header, &self.network, slot, &self.params)?;
        if envelope.signed.consents.len() > header.after.len() {
            return Err(Reason::MalformedData);
        }
        let terms = Terms::of(*hash, header);
        let account = ledger.account(&terms.account).ok_or(Reason::UnknownAccount)?;
        if terms.nonce < account.nonce || ledger.is_closed(hash) {
            return Err(Reason::NonceTooLow);
        }
        if self.contains(hash) {
            return Ok(terms);
        }
        self.check_nonce(&terms, account.nonce)?;
        let prices = ledger.prices();
        self.check_fee(&terms, &prices)?;
        self.check_funds(&terms, &account, &prices)?;
        self.check_after(ledger, &terms)?;
        let live = u32::try_from(self.by_account(&terms.account).count()).unwrap_or(u32::MAX);
        if live >= self.params.account_live_max {
            return Err(Reason::Quota);
        }
        Ok(terms)
    }

    /// POOL-2: every open nonce below is held.
    fn check_nonce(&self, terms: &Terms, next: Nonce) -> Result<(), Reason> {
        let ahead = terms.nonce.0.saturating_sub(next.0);
        if ahead >= u64::from(self.params.account_live_max) {
            return Err(Reason::NonceTooFar);
        }
        let nonces = self.accounts.get(&terms.account);
        let held = nonces.map_or(0, |nonces| nonces.range(next..terms.nonce).count());
        if u64::try_from(held) == Ok(ahead) { Ok(()) } else { Err(Reason::NonceTooFar) }
    }

    fn check_fee(&self, terms: &Terms, prices: &Prices) -> Result<(), Reason> {
        if base_fee(prices, terms.size, terms.gas).is_none_or(|base| terms.max_fee < base) {
            return Err(Reason::FeeTooLow);
        }
        let offer = |terms: &Terms| fee_per_byte(terms.max_fee, terms.size, terms.gas, prices);
        // Below the cut of the last list a receipt would promise nothing.
        let own = Rank { fee_per_byte: offer(terms), hash: terms.hash };
        if self.cut.is_some_and(|cut| own >= cut) {
            return Err(Reason::FeeTooLow);
        }
        // A replacement offers a tenth more than every version held, and ranks above it.
        let outbid = |held: &Terms| {
            let tenth = held.max_fee.units().div_ceil(10);
            held.max_fee.units().saturating_add(tenth) <= terms.max_fee.units() && offer(held) < own.fee_per_byte
        };
        let mut versions = self.by_account(&terms.account).filter(|held| held.terms.nonce == terms.nonce);
        if versions.all(|held| outbid(&held.terms)) { Ok(()) } else { Err(Reason::FeeTooLow) }
    }

    /// Counted in nonce order, with the dearest version of each lower nonce, the balance covers charge and unit bond.
    fn check_funds(&self, terms: &Terms, account: &Account, prices: &Prices) -> Result<(), Reason> {
        let cost = |terms: &Terms| {
            let base = base_fee(prices, terms.size, terms.gas)?;
            charge(terms.max_fee, base)?.checked_add(unit_bond(&self.params, base)?)
        };
        let mut lower: std::collections::BTreeMap<Nonce, Amount> = std::collections::BTreeMap::new();
        for held in self.by_account(&terms.account).filter(|held| held.terms.nonce < terms.nonce) {
            // A version below today's base fee costs nothing today.
            let cost = cost(&held.terms).unwrap_or_default();
            let dearest = lower.entry(held.terms.nonce).or_default();
            *dearest = cost.max(*dearest);
        }
        let own = cost(terms).ok_or(Reason::InsufficientBalance)?;
        let all = Amount::sum(lower.into_values().chain([own]));
        if all.is_some_and(|all| all <= account.balance) { Ok(()) } else { Err(Reason::InsufficientBalance) }
    }

    /// Every unit named is pending here or in an earlier set; an own one has a lower nonce.
    fn check_after(&self, ledger: &Ledger, terms: &Terms) -> Result<(), Reason> {
        for unit in &terms.after {
            match self.get(unit) {
                Some(held) if held.terms.account == terms.account && held.terms.nonce >= terms.nonce => {
                    return Err(Reason::AfterNotAllowed);
                }
                Some(_) => {}
                None if ledger.is_closed(unit) => {}
                None => return Err(Reason::AfterUnknown),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
