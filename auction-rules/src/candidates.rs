//! C_h: the listed envelopes that may be in the set (A-27, A-34; protocol.md section 3).
use crate::{Ledger, Prices, Terms, base_fee, charge, rank, rank::Ranking, unit_bond};
use alloc::{collections::BTreeMap, vec, vec::Vec};
use types::{Account, Address, Amount, Epoch, Nonce, Params, Slot, reason::Why};

/// The listed units, strictly ascending by hash, and what the rules say of each.
#[derive(Debug)]
pub(crate) struct Judged<'a> {
    pub(crate) units: Vec<&'a Terms>,
    pub(crate) ranking: Ranking,
    /// `None`: a candidate.
    pub(crate) why: Vec<Option<Why>>,
    /// Per unit, the candidate of the nonce before it; `None` when that nonce is used.
    pub(crate) before: Vec<Option<usize>>,
    /// Indices of the candidates, best first.
    pub(crate) candidates: Vec<usize>,
    /// Listed, but not open to inclusion in this slot at all.
    pub(crate) inadmissible: Vec<&'a Terms>,
}

/// What an account has used of the slot, counted in nonce order.
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
    let (units, inadmissible) = open_units(ledger, params, slot, listed);
    let prices = ledger.prices();
    let ranking = rank::rank(ledger, &prices, &units);
    let (why, before) = (vec![None; units.len()], vec![None; units.len()]);
    let mut judged = Judged { units, ranking, why, before, candidates: Vec::new(), inadmissible };
    let mut used: BTreeMap<Address, Used> = BTreeMap::new();
    let mut is_candidate = vec![false; judged.units.len()];

    // Best first, so whatever a unit hangs on has been judged before it, and each account's nonces come in order.
    for index in &judged.ranking.order {
        let Some(unit) = judged.units.get(*index) else { continue };
        let of_account = used.entry(unit.account).or_insert_with(|| {
            let Account { nonce, balance, .. } = ledger.account(&unit.account).unwrap_or_default();
            Used { next: nonce, balance, count: 0, bytes: 0, last: None }
        });
        let verdict = if judged.ranking.best.get(*index) != Some(&true) {
            Err(Why::Replaced)
        } else if of_account.next != unit.nonce {
            Err(Why::NonceGap)
        } else if !unit.after.iter().all(|hash| ledger.is_closed(hash) || contains(&judged.units, &is_candidate, hash))
        {
            Err(Why::AfterOpen)
        } else {
            of_account.take(params, &prices, unit)
        };
        match verdict {
            Ok(()) => {
                judged.candidates.push(*index);
                if let (Some(flag), Some(before)) = (is_candidate.get_mut(*index), judged.before.get_mut(*index)) {
                    *flag = true;
                    *before = of_account.last.replace(*index);
                }
            }
            Err(why) => set_why(&mut judged.why, *index, why),
        }
    }
    // What has no rank hangs in a cycle or on something unlisted.
    for (index, unit) in judged.units.iter().enumerate() {
        if judged.ranking.places.get(index).is_some_and(Option::is_none) {
            let next = match used.get(&unit.account) {
                Some(of_account) => of_account.next,
                None => ledger.account(&unit.account).unwrap_or_default().nonce,
            };
            let why = match next.cmp(&unit.nonce) {
                core::cmp::Ordering::Greater => Why::Replaced,
                core::cmp::Ordering::Equal => Why::AfterOpen,
                core::cmp::Ordering::Less => Why::NonceGap,
            };
            set_why(&mut judged.why, index, why);
        }
    }
    judged
}

fn set_why(all: &mut [Option<Why>], index: usize, why: Why) {
    if let Some(slot) = all.get_mut(index) {
        *slot = Some(why);
    }
}

fn contains(units: &[&Terms], is_candidate: &[bool], hash: &types::Hash) -> bool {
    let found = units.binary_search_by(|other| other.hash.cmp(hash));
    found.is_ok_and(|index| is_candidate.get(index) == Some(&true))
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

/// Sorts by hash, drops repetitions, and sets aside what no slot like this one may include.
fn open_units<'a>(
    ledger: &Ledger,
    params: &Params,
    slot: Slot,
    listed: &'a [Terms],
) -> (Vec<&'a Terms>, Vec<&'a Terms>) {
    let mut all: Vec<&Terms> = listed.iter().collect();
    all.sort_unstable_by_key(|unit| unit.hash);
    all.dedup_by_key(|unit| unit.hash);
    let epoch: Epoch = ledger.epoch();
    all.into_iter().partition(|unit| {
        unit.admissible(params, epoch, slot)
            && !ledger.is_closed(&unit.hash)
            && unit.nonce >= ledger.account(&unit.account).unwrap_or_default().nonce
    })
}
