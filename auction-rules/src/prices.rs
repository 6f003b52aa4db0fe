//! Prices of bytes and gas, and what an envelope pays at them.
use crate::terms::{class_bytes, class_gas};
use types::{Amount, Params, limits};

/// What inclusion costs in a slot. Units: base units per byte of size class, and per unit of gas of the gas class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Of a byte.
    pub byte: u128,
    /// Of a unit of gas.
    pub gas: u128,
}

/// base = byte price x class bytes + gas price x 2^gas class; `None` for a class that does not exist, or at 2^96.
#[must_use]
pub fn base_fee(prices: &Prices, size_class: u8, gas_class: u8) -> Option<Amount> {
    let bytes = class_bytes(size_class);
    if bytes == 0 {
        return None;
    }
    let of_bytes = Amount::new(prices.byte)?.checked_mul(bytes)?;
    let of_gas = Amount::new(prices.gas)?.checked_mul(class_gas(gas_class)?)?;
    of_bytes.checked_add(of_gas)
}

/// base + floor((max_fee - base) / 8): what a unit in the set pays. `None` when the offer is below base.
#[must_use]
pub fn charge(max_fee: Amount, base: Amount) -> Option<Amount> {
    let headroom = max_fee.checked_sub(base)?;
    let tip = Amount::new(headroom.units().checked_shr(3)?)?;
    base.checked_add(tip)
}

/// The bond that a unit forfeits when it does not open or is malformed: `unit_bond_base` x base; `None` at 2^96.
#[must_use]
pub fn unit_bond(params: &Params, base: Amount) -> Option<Amount> {
    base.checked_mul(params.unit_bond_base)
}

/// min(2^64 - 1, floor((max_fee - base) / class bytes)); 0 below base.
#[must_use]
pub fn fee_per_byte(max_fee: Amount, size: u8, gas: u8, prices: &Prices) -> u64 {
    let Some(base) = base_fee(prices, size, gas) else { return 0 };
    let over = max_fee.saturating_sub(base).units();
    u64::try_from(over.checked_div(u128::from(class_bytes(size))).unwrap_or(0)).unwrap_or(u64::MAX)
}

/// Prices of the slot after one whose set used `used_bytes` and `used_gas`.
#[must_use]
pub fn next_prices(params: &Params, prices: &Prices, used_bytes: u64, used_gas: u64) -> Prices {
    Prices {
        byte: next_price(prices.byte, used_bytes, params.bytes_limit, params.byte_price_min),
        gas: next_price(prices.gas, used_gas, params.gas_limit, params.gas_price_min),
    }
}

// p +- floor(p |2 use - limit| / (8 limit)), at least 1 when use is off the target, never below the floor nor 2^96.
// Genesis holds limits below 2^32, so the product stays below 2^128.
fn next_price(price: u128, used: u64, limit: u64, floor: Amount) -> u128 {
    let doubled = u128::from(used).saturating_mul(2);
    let limit = u128::from(limit);
    let off = doubled.abs_diff(limit).min(limit);
    let moved = price.saturating_mul(off).checked_div(limit.saturating_mul(8)).unwrap_or(0);
    let next = match doubled.cmp(&limit) {
        core::cmp::Ordering::Greater => price.saturating_add(moved.max(1)),
        core::cmp::Ordering::Equal => price,
        core::cmp::Ordering::Less => price.saturating_sub(moved.max(1)),
    };
    next.max(floor.units()).min(limits::AMOUNT_END.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    // Goal: the worked examples of RULES.md and the edges of.
    use super::*;
    use proptest::prelude::*;

    fn amount(units: u128) -> Amount {
        Amount::new(units).unwrap()
    }

    #[test]
    fn a34_charge_of_the_worked_example() {
        assert_eq!(charge(amount(16_000), amount(10_000)), Some(amount(10_750)));
        assert_eq!(charge(amount(10_000), amount(10_000)), Some(amount(10_000)));
        assert_eq!(charge(amount(10_007), amount(10_000)), Some(amount(10_000)));
        assert_eq!(charge(amount(9_999), amount(10_000)), None);
    }

    #[test]
    fn a34_byte_price_follows_the_fill() {
        let params = Params { bytes_limit: 1_000, byte_price_min: amount(16), ..Params::default_for(500) };
        let mut prices = Prices { byte: 1_000, gas: 1 };
        let mut seen = std::vec::Vec::new();
        for used in [1_000, 1_000, 500, 0] {
            prices = next_prices(&params, &prices, used, 0);
            seen.push(prices.byte);
        }
        assert_eq!(seen, [1_125, 1_265, 1_265, 1_107]);
    }

    #[test]
    fn a34_a_price_of_one_can_rise_and_come_back() {
        let params = Params::default_for(500);
        let start = Prices { byte: 16, gas: 1 };
        let full = next_prices(&params, &start, params.bytes_limit, params.gas_limit);
        assert_eq!(full, Prices { byte: 18, gas: 2 });
        let idle = next_prices(&params, &full, 0, 0);
        assert_eq!(idle, Prices { byte: 16, gas: 1 });
        assert_eq!(next_prices(&params, &idle, 0, 0), start, "never below the floor");
    }

    #[test]
    fn a34_the_largest_price_and_limit_do_not_overflow() {
        let params = Params { bytes_limit: u64::from(u32::MAX), ..Params::default_for(500) };
        let end = limits::AMOUNT_END - 1;
        assert!(end.checked_mul(u128::from(u32::MAX)).is_some(), "the product of A-34 fits 128 bits");
        let prices = Prices { byte: end, gas: end };
        assert_eq!(next_prices(&params, &prices, u64::MAX, u64::MAX).byte, end);
        assert_eq!(next_prices(&params, &prices, 0, 0).byte, end - end / 8);
    }

    #[test]
    fn a28_gas_buys_no_rank() {
        let prices = Prices { byte: 16, gas: 1 };
        let light = base_fee(&prices, 0, 10).unwrap();
        let heavy = base_fee(&prices, 0, 24).unwrap();
        assert_eq!(light, amount(16 * 512 + 1_024));
        let offer = |base: Amount| base.checked_add(amount(512 * 7 + 511)).unwrap();
        assert_eq!(fee_per_byte(offer(light), 0, 10, &prices), 7);
        assert_eq!(fee_per_byte(offer(heavy), 0, 24, &prices), 7);
        assert_eq!(fee_per_byte(amount(0), 0, 24, &prices), 0, "below base");
        assert_eq!(fee_per_byte(amount(limits::AMOUNT_END - 1), 0, 0, &prices), u64::MAX, "capped");
    }

    #[test]
    fn classes_out_of_range_have_no_base() {
        let prices = Prices { byte: 16, gas: 1 };
        assert_eq!(base_fee(&prices, 5, 0), None);
        assert_eq!(base_fee(&prices, 0, 64), None);
        assert_eq!(base_fee(&Prices { byte: limits::AMOUNT_END - 1, gas: 1 }, 0, 0), None);
        assert_eq!(fee_per_byte(amount(1), 5, 0, &prices), 0);
    }

    proptest! {
        #[test]
        fn a34_charge_is_between_base_and_offer(base in 0u128..1 << 90, more in 0u128..1 << 90) {
            let base = amount(base);
            let offer = base.checked_add(amount(more)).unwrap();
            let paid = charge(offer, base).unwrap();
            prop_assert!(base <= paid && paid <= offer);
            prop_assert_eq!(paid.units() - base.units(), more / 8);
        }

        #[test]
        fn a34_a_price_moves_at_most_an_eighth_or_one(price in 16u128..1 << 95, used in 0u64..=4 << 20) {
            let params = Params::default_for(500);
            let next = next_prices(&params, &Prices { byte: price, gas: 1 }, used, 0).byte;
            prop_assert!(next.abs_diff(price) <= (price / 8).max(1));
        }
    }
}
