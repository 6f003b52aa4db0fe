//! What a slot is worth: the part of a builder that is its owner's to write. Pure.
use super::Sale;
use crypto::hash::sha256;
use types::{Address, Amount, Slot};

/// What is known when a bid is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    /// The slot on sale.
    pub slot: Slot,
    /// Less is no bid.
    pub reserve: Amount,
    /// What an opened bid costs, winner or not.
    pub bid_fee: Amount,
    /// The most that the bond covers.
    pub most: Amount,
}

/// Says what slots are worth. The winner pays the second amount, so a bid of anything but the worth only loses.
pub trait Strategy: Send {
    /// What the slot of this chance is worth now, all costs but the price taken off; `None`: no bid.
    fn bid(&mut self, chance: &Chance) -> Option<Amount>;

    /// A slot was sold, or was not.
    fn sold(&mut self, sale: &Sale) {
        // who does not learn need not listen
        let _unused = sale;
    }

    /// What a tail after the slot that was just opened would have earned, base units.
    fn earnings(&mut self, slot: Slot, profit: Amount) {
        let _unused = (slot, profit);
    }
}

/// The reference strategy: a worth of its own, different in each slot, and the average of what tails would have earned.
///
/// Bid = own worth, moved by up to the spread, + average profit - bid fee: as it is, for the second price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    bidder: Address,
    worth: Amount,
    spread_bps: u16,
    /// Moving average of profits, base units: seven parts old, one part new.
    average: u128,
}

impl Reference {
    /// A strategy that holds a slot to be worth `worth` beside what its tail earns, moved up or down by as much as
    /// `spread_bps` of it. Two bidders differ, and so do two slots.
    #[must_use]
    pub fn new(bidder: Address, worth: Amount, spread_bps: u16) -> Self {
        Self { bidder, worth, spread_bps: spread_bps.min(10_000), average: 0 }
    }

    /// The worth of this slot without its tail.
    fn moved(&self, slot: Slot) -> u128 {
        let spread = u64::from(self.spread_bps);
        let [a, b, c, d, ..] = sha256(&[b"lockstep builder worth", self.bidder.as_ref(), &slot.0.to_le_bytes()]).0;
        let steps = spread.saturating_mul(2).saturating_add(1);
        let step = u64::from(u32::from_le_bytes([a, b, c, d])).checked_rem(steps).unwrap_or(0);
        let bps = 10_000u64.saturating_sub(spread).saturating_add(step);
        self.worth.units().saturating_mul(u128::from(bps)).checked_div(10_000).unwrap_or(0)
    }
}

impl Strategy for Reference {
    fn bid(&mut self, chance: &Chance) -> Option<Amount> {
        let worth = self.moved(chance.slot).saturating_add(self.average).saturating_sub(chance.bid_fee.units());
        let amount = Amount::new(worth.min(chance.most.units()))?;
        (amount >= chance.reserve && amount > Amount::ZERO).then_some(amount)
    }

    fn earnings(&mut self, _slot: Slot, profit: Amount) {
        self.average = self.average.saturating_mul(7).saturating_add(profit.units()) >> 3u32;
    }
}

#[cfg(test)]
mod tests {
    // Goal: a bid is the worth of the slot, between reserve and bond, and differs by bidder and slot.
    use super::*;

    fn amount(units: u128) -> Amount {
        Amount::new(units).unwrap()
    }

    fn chance(slot: u64) -> Chance {
        Chance { slot: Slot(slot), reserve: amount(500), bid_fee: amount(10), most: amount(1_000_000) }
    }

    #[test]
    fn a_bid_is_worth_and_average_less_the_fee() {
        let mut plain = Reference::new(Address([1; 20]), amount(1_000), 0);
        assert_eq!(plain.bid(&chance(3)), Some(amount(990)));
        for _ in 0..200 {
            plain.earnings(Slot(3), amount(8_000));
        }
        let units = plain.bid(&chance(3)).unwrap().units();
        assert!((8_900..=8_990).contains(&units), "the average comes near: {units}");
        for _ in 0..200 {
            plain.earnings(Slot(3), Amount::ZERO);
        }
        assert_eq!(plain.bid(&chance(3)), Some(amount(990)), "and goes again");
    }

    #[test]
    fn no_bid_below_the_reserve_and_none_above_the_bond() {
        let mut poor = Reference::new(Address([1; 20]), amount(509), 0);
        assert_eq!(poor.bid(&chance(3)), None, "499 after the fee");
        let mut fair = Reference::new(Address([1; 20]), amount(510), 0);
        assert_eq!(fair.bid(&chance(3)), Some(amount(500)), "the reserve itself is a bid");
        let mut rich = Reference::new(Address([1; 20]), amount(1 << 90), 0);
        assert_eq!(rich.bid(&chance(3)), Some(amount(1_000_000)));
        assert_eq!(rich.bid(&Chance { most: amount(499), ..chance(3) }), None, "a bond below the reserve");
    }

    #[test]
    fn worths_differ_by_bidder_and_slot_within_the_spread() {
        let mut one = Reference::new(Address([1; 20]), amount(100_000), 3_000);
        let mut other = Reference::new(Address([2; 20]), amount(100_000), 3_000);
        let pairs: Vec<_> = (0..50).map(|slot| (one.bid(&chance(slot)), other.bid(&chance(slot)))).collect();
        assert!(pairs.iter().filter(|(a, b)| a != b).count() > 45);
        assert!(pairs.iter().any(|(a, b)| a > b) && pairs.iter().any(|(a, b)| a < b));
        let within = |bid: &Option<Amount>| (69_990..=129_990).contains(&bid.unwrap().units());
        assert!(pairs.iter().all(|(a, b)| within(a) && within(b)));
        assert_eq!(one.bid(&chance(7)), pairs[7].0, "the same slot, the same worth");
    }
}
