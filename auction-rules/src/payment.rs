//! Where the money of auctions goes: the split of a price, rebates, the rollups' pool, the reserve.
//!
//! No product leaves 128 bits: shares are divided limb by limb ([`share_floor`]), everything else multiplies amounts
//! below 2^96 with numbers below 2^32.
use alloc::vec::Vec;
use types::{Amount, Params};

/// A price, split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// The remainder: to the users' pool.
    pub users: Amount,
    /// To the rollups' pool.
    pub rollups: Amount,
    /// To the committee's pool.
    pub committee: Amount,
}

/// committee and rollups get floors of their shares, the users' pool what is left.
#[must_use]
pub fn split_price(params: &Params, price: Amount) -> Split {
    let committee = price.bps_floor(params.price_committee_bps);
    let rollups = price.bps_floor(params.price_rollups_bps);
    Split { users: price.saturating_sub(committee).saturating_sub(rollups), rollups, committee }
}

/// floor(whole x part / of) for part <= of; nothing for of = 0. Sixteen bits of `part` at a time, so that nothing
/// reaches 2^113.
#[must_use]
pub fn share_floor(whole: Amount, part: Amount, of: Amount) -> Amount {
    let (whole, of) = (whole.units(), of.units());
    let part = part.units().min(of);
    // Invariant: quotient x of + rest = whole x (the limbs so far), rest < of.
    let (mut quotient, mut rest) = (0u128, 0u128);
    for shift in [80u32, 64, 48, 32, 16, 0] {
        let limb = part.wrapping_shr(shift) & 0xffff;
        let value = rest.saturating_mul(1 << 16).saturating_add(whole.saturating_mul(limb));
        let (Some(more), Some(left)) = (value.checked_div(of), value.checked_rem(of)) else { return Amount::ZERO };
        quotient = quotient.saturating_mul(1 << 16).saturating_add(more);
        rest = left;
    }
    // part <= of, so the quotient is at most `whole`
    Amount::new(quotient).unwrap_or(Amount::ZERO)
}

/// The part of a fee whose outcome became final, as the rebate reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalFee {
    /// The fee; of an expired unit the base.
    pub fee: Amount,
    /// The unit failed: it gets nothing, and its part stays in the pool.
    pub failed: bool,
}

/// What a slot gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebates {
    /// One per fee, in the order given.
    pub shares: Vec<Amount>,
    /// Their sum.
    pub paid: Amount,
    /// The users' pool afterwards: rounding and the parts of failed units stay.
    pub left: Amount,
}

/// the smaller of the users' pool and kappa x the fees, by fee; every division rounds down. `None` when the fees
/// reach 2^96, which is more money than there is.
#[must_use]
pub fn rebates(params: &Params, pool: Amount, fees: &[FinalFee]) -> Option<Rebates> {
    let all = Amount::sum(fees.iter().map(|fee| fee.fee))?;
    let rebate = all.bps_floor(params.rebate_cap_bps).min(pool);
    let share = |fee: &FinalFee| if fee.failed { Amount::ZERO } else { share_floor(rebate, fee.fee, all) };
    let shares: Vec<Amount> = fees.iter().map(share).collect();
    let paid = Amount::sum(shares.iter().copied())?;
    Some(Rebates { shares, paid, left: pool.checked_sub(paid)? })
}

/// the rollups' pool by fixed weights, one share per weight; what rounding leaves stays in the pool. Weights that
/// are all 0 get nothing.
#[must_use]
pub fn pool_shares(pool: Amount, weights: &[u32]) -> Vec<Amount> {
    let amount = |weight: u128| Amount::new(weight).unwrap_or(Amount::ZERO);
    // At most 2^64 weights of 32 bits each: no `usize` holds as many as it takes to reach 2^96.
    let all = amount(weights.iter().map(|weight| u128::from(*weight)).fold(0, u128::saturating_add));
    weights.iter().map(|weight| share_floor(pool, amount(u128::from(*weight)), all)).collect()
}

/// what the users' pool holds above kappa x the epoch's fees.
#[must_use]
pub fn overflow_of_users(params: &Params, users: Amount, epoch_fees: u128) -> Amount {
    let kappa = u128::from(params.rebate_cap_bps);
    // Fees whose product does not fit 128 bits are more than any pool.
    let kept = epoch_fees.checked_mul(kappa).and_then(|product| product.checked_div(10_000)).and_then(Amount::new);
    kept.map_or(Amount::ZERO, |kept| users.saturating_sub(kept))
}

/// the committee's pool in even parts; the remainder is carried.
#[must_use]
pub fn even_shares(pool: Amount, members: u16) -> (Amount, Amount) {
    let each = pool.units().checked_div(u128::from(members)).and_then(Amount::new).unwrap_or(Amount::ZERO);
    let left = each.checked_mul(u64::from(members)).map_or(pool, |paid| pool.saturating_sub(paid));
    (each, left)
}

/// The moving average of prices, in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Average(u128);

impl Average {
    /// EMA_{-1}: twice the floor.
    #[must_use]
    pub fn opening(params: &Params) -> Self {
        Self(params.reserve_floor.units().saturating_mul(2))
    }
    /// EMA_e from EMA_{e-1} and the prices recorded in epoch e, summed over its slots: at most `epoch_slots` of them,
    /// each below 2^96, so the mean is too.
    #[must_use]
    pub fn after(self, params: &Params, prices: u128) -> Self {
        let mean = prices.checked_div(u128::from(params.schedule().slots())).unwrap_or(0);
        Self(self.0.saturating_mul(7).saturating_add(mean).checked_div(8).unwrap_or(0))
    }
    /// the reserve two epochs after the one that this average ends with.
    #[must_use]
    pub fn reserve(self, params: &Params) -> Amount {
        let half = self.0.checked_div(2).and_then(Amount::new).unwrap_or(Amount::ZERO);
        half.max(params.reserve_floor)
    }
    /// Base units.
    #[must_use]
    pub fn units(self) -> u128 {
        self.0
    }
}

#[cfg(test)]
mod tests;
