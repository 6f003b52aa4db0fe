//! C_h: the listed envelopes that may be in the set (A-27, A-34; protocol.md section 3).
use crate::{Ledger, Prices, Terms, base_fee, charge, listed::Listed, rank, rank::Ranking, unit_bond};
use alloc::{vec, vec::Vec};
use types::{Account, Amount, Nonce, Params, Slot, reason::Why};

/// The listed units and what the rules say of each. Shape: vectors run beside `listed.units`.
#[derive(Debug)]
pub(crate) struct Judged<'a> {
    pub(crate) listed: Listed<'a>,
    pub(crate) ranking: Ranking,
    pub(crate) verdicts: Vec<Verdict>,
    /// Indices of the candidates, best first.
    pub(crate) candidates: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// In C_h; the candidate of the nonce before, or `None` when that nonce is used.
    Candidate { before: Option<usize> },
    /// Not in C_h.
    Left(Why),
}

/// What an account has used of the slot, counted in nonce order.
#[derive(Clone)]
struct Used {
    next: Nonce,
    balance: Amount,
    count: u32,
    bytes: u64,
    /// The candidate of the nonce before `next`.
    last: Option<usize>,
}

/// Judges the listed units on the ledger as of the reveal of the slot before.
pub(crate) fn judge<'a>(ledger: &Ledger, params: &Params, slot: Slot, listed: &'a [Terms]) -> Judged<'a> {
    let listed = Listed::new(ledger, params, slot, listed);
    let prices = ledger.prices();
    let ranking = rank::rank(&listed, &prices);
    let open =
        |account: &Account| Used { next: account.nonce, balance: account.balance, count: 0, bytes: 0, last: None };
    let mut used: Vec<Used> = listed.accounts.iter().map(open).collect();
    // What has no rank hangs in a cycle or on something unlisted; it is looked at after all others.
    let mut verdicts = vec![Verdict::Left(Why::AfterOpen); listed.units.len()];
    let mut candidates = Vec::with_capacity(listed.units.len());

    // Best first, so whatever a unit hangs on has been judged before it, and each account's nonces come in order.
    for index in &ranking.order {
        let Some((unit, of_account)) = with_account(&listed, &mut used, *index) else { continue };
        let is_candidate = |before: &usize| matches!(verdicts.get(*before), Some(Verdict::Candidate { .. }));
        let taken = if ranking.best.get(*index) != Some(&true) {
            Err(Why::Replaced)
        } else if of_account.next != unit.nonce {
            Err(Why::NonceGap)
        } else if !listed.after(*index).iter().all(is_candidate) {
            Err(Why::AfterOpen)
        } else {
            of_account.take(params, &prices, unit)
        };
        let verdict = match taken {
            Ok(()) => {
                candidates.push(*index);
                Verdict::Candidate { before: of_account.last.replace(*index) }
            }
            Err(why) => Verdict::Left(why),
        };
        if let Some(place) = verdicts.get_mut(*index) {
            *place = verdict;
        }
    }
    let mut judged = Judged { listed, ranking, verdicts, candidates };
    judged.explain_unranked(&mut used);
    judged
}

fn with_account<'a, 'u>(listed: &Listed<'a>, used: &'u mut [Used], index: usize) -> Option<(&'a Terms, &'u mut Used)> {
    let account = listed.nonce(index)?.account;
    Some((listed.units.get(index)?, used.get_mut(account)?))
}

impl Judged<'_> {
    fn explain_unranked(&mut self, used: &mut [Used]) {
        for index in 0..self.listed.units.len() {
            if self.ranking.rank(&self.listed, index).is_some() {
                continue;
            }
            let Some((unit, of_account)) = with_account(&self.listed, used, index) else { continue };
            let why = match of_account.next.cmp(&unit.nonce) {
                core::cmp::Ordering::Greater => Why::Replaced,
                core::cmp::Ordering::Equal => Why::AfterOpen,
                core::cmp::Ordering::Less => Why::NonceGap,
            };
            if let Some(verdict) = self.verdicts.get_mut(index) {
                *verdict = Verdict::Left(why);
            }
        }
    }
}

impl Used {
    /// charge and unit bond must be covered; then the quotas of a slot.
    fn take(&mut self, params: &Params, prices: &Prices, unit: &Terms) -> Result<(), Why> {
        let base = base_fee(prices, unit.size, unit.gas).ok_or(Why::BelowBase)?;
        let paid = charge(unit.max_fee, base).ok_or(Why::BelowBase)?;
        let locked = unit_bond(params, base).and_then(|bond| paid.checked_add(bond)).ok_or(Why::NoFunds)?;
        let balance = self.balance.checked_sub(locked).ok_or(Why::NoFunds)?;
        let count = self.count.saturating_add(1);
        let bytes = self.bytes.saturating_add(unit.bytes());
        if count > params.account_slot_count || bytes > params.account_slot_bytes {
            return Err(Why::Quota);
        }
        *self = Self { next: unit.nonce.next(), balance, count, bytes, last: self.last };
        Ok(())
    }
}
