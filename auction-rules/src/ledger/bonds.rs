//! Bonds and the operations of accounts: transfer, bond, unbond, withdraw.
//!
//! A bond stays whole in the account until it is withdrawn: what is being unbonded is noted beside it, is not free any
//! more, and can be slashed for `unbond_epochs` whole epochs.
use super::{Address, Amount, BTreeMap, BTreeSet, Hash, Ledger, LedgerError, Params, Slot, step::Step};
use crate::{auction::class0_fee, operations::is_of};
use alloc::vec::Vec;
use types::{AccountHeader, Epoch, Nonce, reason::Reason};

/// What an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// From the balance to another account's; one that is not on the ledger is from the next epoch on.
    Transfer {
        /// Who receives.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// From the balance to the bond. It is free at once; the builder is active when an epoch's builders are chosen
    /// next.
    Bond {
        /// How much.
        amount: Amount,
    },
    /// Of the free bond: to be withdrawn later.
    Unbond {
        /// How much.
        amount: Amount,
    },
    /// From the bond to the balance, of what was unbonded long enough ago.
    Withdraw {
        /// How much.
        amount: Amount,
    },
}

impl Act {
    /// How much.
    #[must_use]
    pub const fn amount(self) -> Amount {
        match self {
            Self::Transfer { amount, .. }
            | Self::Bond { amount }
            | Self::Unbond { amount }
            | Self::Withdraw { amount } => amount,
        }
    }
}

/// An operation of an account whose signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountOperation {
    /// Its hash.
    pub hash: Hash,
    /// It counts in this epoch and the next.
    pub epoch: Epoch,
    /// Who signs and pays.
    pub account: Address,
    /// Contiguous over the account's operations; envelopes count on their own.
    pub nonce: Nonce,
    /// What it asks for.
    pub act: Act,
}

impl AccountOperation {
    /// What the ledger reads of an operation of this hash; `None` for a kind that it does not know.
    #[must_use]
    pub fn of(hash: Hash, header: &AccountHeader) -> Option<Self> {
        let AccountHeader { epoch, kind, account, nonce, to, amount, .. } = *header;
        let act = match kind {
            AccountHeader::TRANSFER => Act::Transfer { to, amount },
            AccountHeader::BOND => Act::Bond { amount },
            AccountHeader::UNBOND => Act::Unbond { amount },
            AccountHeader::WITHDRAW => Act::Withdraw { amount },
            _ => return None,
        };
        Some(Self { hash, epoch, account, nonce, act })
    }
}

/// Why an operation does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The signer is not on the ledger.
    #[error("unknown account")]
    UnknownAccount,
    /// An operation of the account stands before it in the slot.
    #[error("second operation of the account in the slot")]
    Second,
    /// Neither of this epoch nor of the one before.
    #[error("of another epoch")]
    Epoch,
    /// Not the next nonce.
    #[error("not the next nonce")]
    Nonce,
    /// The balance does not cover the fee.
    #[error("the fee cannot be paid")]
    Fee,
    /// The balance does not cover the amount. The fee is paid.
    #[error("the balance does not cover it")]
    Balance,
    /// The free bond does not cover the amount. The fee is paid.
    #[error("the free bond does not cover it")]
    NotFree,
    /// Not that much can be withdrawn yet. The fee is paid.
    #[error("not that much can be withdrawn yet")]
    TooEarly,
}

impl Refused {
    /// It paid its fee and used its nonce; the others leave no trace.
    #[must_use]
    pub const fn is_charged(self) -> bool {
        matches!(self, Self::Balance | Self::NotFree | Self::TooEarly)
    }
    /// What people and programs are told.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::UnknownAccount => Reason::UnknownAccount,
            Self::Second => Reason::Quota,
            Self::Epoch => Reason::Expired,
            Self::Nonce => Reason::NonceTooLow,
            Self::Fee | Self::Balance | Self::NotFree => Reason::InsufficientBalance,
            Self::TooEarly => Reason::NotActive,
        }
    }
}

/// An operation's hash, and what became of it.
pub type Answer = (Hash, Result<(), Refused>);

/// What is noted of an address beside its account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holder {
    /// Next nonce of its operations.
    nonce: Nonce,
    /// What is leaving the bond, by the epoch in which it was unbonded.
    unbonding: BTreeMap<Epoch, Amount>,
    /// Barred up to the end of this epoch.
    barred: Option<Epoch>,
}

impl Holder {
    /// As the hash chain says it.
    pub(super) fn parts(&self) -> (Nonce, &BTreeMap<Epoch, Amount>, Option<Epoch>) {
        (self.nonce, &self.unbonding, self.barred)
    }
    pub(super) fn is_barred(&self, epoch: Epoch) -> bool {
        self.barred.is_some_and(|until| epoch <= until)
    }
    pub(super) fn bar(&mut self, until: Epoch) {
        self.barred = self.barred.max(Some(until));
    }
    /// Everything that is leaving or can leave: never more than the bond, since only free bond is unbonded and slashes
    /// lower both.
    pub(super) fn unbonding(&self) -> Amount {
        Amount::sum(self.unbonding.values().copied()).unwrap_or_default()
    }
    /// unbonded less than `unbond_epochs` whole epochs ago.
    fn is_held(params: &Params, of: Epoch, now: Epoch) -> bool {
        now <= of.plus(params.unbond_epochs)
    }
    /// What is leaving and can be slashed.
    pub(super) fn slashable(&self, params: &Params, now: Epoch) -> Option<Amount> {
        let held = self.unbonding.iter().filter(|(of, _)| Self::is_held(params, **of, now));
        Amount::sum(held.map(|(_, amount)| *amount))
    }
    /// Takes what the free bond did not cover of a slash, from what leaves first.
    pub(super) fn slash(&mut self, params: &Params, now: Epoch, amount: Amount) -> Option<()> {
        let held = |of: &Epoch| Self::is_held(params, *of, now);
        self.take(amount, held)
    }
    fn withdraw(&mut self, params: &Params, now: Epoch, amount: Amount) -> Option<()> {
        let ripe = |of: &Epoch| !Self::is_held(params, *of, now);
        self.take(amount, ripe)
    }
    /// `amount` out of the entries of these epochs, oldest first; `None`, and nothing changes, when they hold less.
    fn take(&mut self, amount: Amount, of: impl Fn(&Epoch) -> bool) -> Option<()> {
        let mut left = amount;
        let mut unbonding = self.unbonding.clone();
        for (epoch, entry) in &mut unbonding {
            if of(epoch) {
                let taken = left.min(*entry);
                (left, *entry) = (left.checked_sub(taken)?, entry.checked_sub(taken)?);
            }
        }
        if left != Amount::ZERO {
            return None;
        }
        unbonding.retain(|_, entry| *entry != Amount::ZERO);
        self.unbonding = unbonding;
        Some(())
    }
}

impl Ledger {
    /// the bond that a new bid may lock: neither locked nor being unbonded.
    #[must_use]
    pub fn free_bond(&self, builder: &Address) -> Amount {
        let bond = self.accounts.get(builder).map_or(Amount::ZERO, |account| account.bond);
        let leaving = self.market.holders.get(builder).map_or(Amount::ZERO, Holder::unbonding);
        bond.saturating_sub(leaving).saturating_sub(self.market.lock_of(builder))
    }
    /// The next nonce of an account's operations.
    #[must_use]
    pub fn operation_nonce(&self, account: &Address) -> Nonce {
        self.market.holders.get(account).map_or(Nonce(0), |holder| holder.nonce)
    }

    /// What of an account's bond is leaving, and what of that can be withdrawn in an epoch.
    #[must_use]
    pub fn leaving(&self, params: &Params, account: &Address, epoch: Epoch) -> (Amount, Amount) {
        let Some(holder) = self.market.holders.get(account) else { return (Amount::ZERO, Amount::ZERO) };
        let all = holder.unbonding();
        let held = holder.slashable(params, epoch).unwrap_or(all);
        (all, all.saturating_sub(held))
    }
    /// The fee of an operation in the next slot to close.
    #[must_use]
    pub fn operation_fee(&self) -> Option<Amount> {
        class0_fee(&self.prices)
    }

    /// Whether an operation may wait for its slot, as far as the ledger says: of an account that can pay the fee, in
    /// time, its nonce not used. `Ok(true)`: its nonce is next.
    ///
    /// # Errors
    /// The [`Reason`] that its sender gets.
    pub fn admit_operation(&self, params: &Params, operation: &AccountOperation) -> Result<bool, Reason> {
        let epoch = params.schedule().epoch_of(self.next_slot());
        if operation.epoch > epoch.next() {
            return Err(Reason::WrongEpoch);
        }
        if operation.epoch.next() < epoch {
            return Err(Reason::Expired);
        }
        let account = self.accounts.get(&operation.account).ok_or(Reason::UnknownAccount)?;
        let next = self.operation_nonce(&operation.account);
        if operation.nonce < next {
            return Err(Reason::NonceTooLow);
        }
        let fee = self.operation_fee().ok_or(Reason::InsufficientBalance)?;
        if account.balance < fee {
            return Err(Reason::InsufficientBalance);
        }
        Ok(operation.nonce == next && operation.epoch <= epoch)
    }

    /// Whether what an operation asks for is there, were it carried out now, after its fee.
    ///
    /// # Errors
    /// Why it would do nothing, and pay all the same.
    pub fn foresee(&self, params: &Params, operation: &AccountOperation) -> Result<(), Refused> {
        let account = self.accounts.get(&operation.account).ok_or(Refused::UnknownAccount)?;
        let left = self.operation_fee().and_then(|fee| account.balance.checked_sub(fee)).ok_or(Refused::Fee)?;
        let epoch = params.schedule().epoch_of(self.next_slot());
        let (there, why) = match operation.act {
            Act::Transfer { .. } | Act::Bond { .. } => (left, Refused::Balance),
            Act::Unbond { .. } => (self.free_bond(&operation.account), Refused::NotFree),
            Act::Withdraw { .. } => (self.leaving(params, &operation.account, epoch).1, Refused::TooEarly),
        };
        if operation.act.amount() <= there { Ok(()) } else { Err(why) }
    }

    pub(super) fn store_holder(&mut self, address: Address, holder: Holder) {
        self.market.holders.insert(address, holder);
        self.market.changed.insert(address);
        self.market.moved = true;
    }

    /// Carries out the listed operations of the slot last closed, in hash order, one per account (A-02; A-39, CLOSE,
    /// after slashes). Each pays the base fee of size class 0 of that slot to the users' pool, also when it turns out
    /// to ask for what is not there. The order of `listed` is irrelevant; the answers stand in hash order.
    ///
    /// # Errors
    /// [`LedgerError::AuctionOrder`] when this is not the slot last closed, or its operations were carried out.
    pub fn operate(
        &mut self,
        params: &Params,
        slot: Slot,
        listed: &[AccountOperation],
    ) -> Result<Vec<Answer>, LedgerError> {
        if slot != self.last_closed || slot <= self.market.operated {
            return Err(LedgerError::AuctionOrder { slot });
        }
        let range = LedgerError::Range { slot };
        let fee = class0_fee(&self.market.charged).ok_or(range)?;
        let mut listed = listed.to_vec();
        listed.sort_unstable_by_key(|operation| operation.hash);
        listed.dedup_by_key(|operation| operation.hash);
        let epoch = params.schedule().epoch_of(slot);
        let mut seen = BTreeSet::new();
        let mut answers = Vec::with_capacity(listed.len());
        for operation in &listed {
            let answer = if seen.contains(&operation.account) {
                Err(Refused::Second)
            } else {
                self.carry_out(params, slot, epoch, fee, operation)?
            };
            if answer.is_ok() || answer.is_err_and(Refused::is_charged) {
                seen.insert(operation.account);
            }
            answers.push((operation.hash, answer));
        }
        self.market.operated = slot;
        Ok(answers)
    }

    fn carry_out(
        &mut self,
        params: &Params,
        slot: Slot,
        epoch: Epoch,
        fee: Amount,
        operation: &AccountOperation,
    ) -> Result<Result<(), Refused>, LedgerError> {
        let range = LedgerError::Range { slot };
        let mut step = Step::new(self);
        let mut holder = self.market.holders.get(&operation.account).cloned().unwrap_or_default();
        let free = self.free_bond(&operation.account);
        let Some(account) = step.account(self, &operation.account) else { return Ok(Err(Refused::UnknownAccount)) };
        if !is_of(operation.epoch, epoch) {
            return Ok(Err(Refused::Epoch));
        }
        if operation.nonce != holder.nonce {
            return Ok(Err(Refused::Nonce));
        }
        let Some(after_fee) = account.balance.checked_sub(fee) else { return Ok(Err(Refused::Fee)) };
        account.balance = after_fee;
        holder.nonce = holder.nonce.next();
        let answer = match operation.act {
            Act::Transfer { to, amount } => match account.balance.checked_sub(amount) {
                Some(rest) => {
                    account.balance = rest;
                    step.credit(self, &to, amount).ok_or(range)?;
                    Ok(())
                }
                None => Err(Refused::Balance),
            },
            Act::Bond { amount } => match account.balance.checked_sub(amount) {
                Some(rest) => {
                    account.balance = rest;
                    account.bond = account.bond.checked_add(amount).ok_or(range)?;
                    Ok(())
                }
                None => Err(Refused::Balance),
            },
            Act::Unbond { amount } if amount > free => Err(Refused::NotFree),
            Act::Unbond { amount } => {
                let entry = holder.unbonding.entry(epoch).or_default();
                *entry = entry.checked_add(amount).ok_or(range)?;
                Ok(())
            }
            Act::Withdraw { amount } => match holder.withdraw(params, epoch, amount) {
                Some(()) => {
                    account.bond = account.bond.checked_sub(amount).ok_or(range)?;
                    account.balance = account.balance.checked_add(amount).ok_or(range)?;
                    Ok(())
                }
                None => Err(Refused::TooEarly),
            },
        };
        step.pools.users = step.pools.users.checked_add(fee).ok_or(range)?;
        self.store_step(slot, step, Amount::ZERO)?;
        self.store_holder(operation.account, holder);
        Ok(answer)
    }
}
