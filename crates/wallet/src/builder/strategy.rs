//! What a slot is worth: the part of a builder that is its owner's to write. Pure.
use super::{Look, Sale, pools::Arbitrage, tail};
use crypto::{eth::EthKey, hash::sha256};
use types::{Address, Amount, Bundle, Hash, Slot, limits, wire::PendingUnit};

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

    /// What is found after the units of the slot that was opened last, whoever has the right to its tail.
    fn opened(&mut self, look: &Look) {
        let _unused = look;
    }

    /// The body of a slot that was won and does not hold all that waits for it. `waiting`: what rank does not force, the
    /// best first. What goes in, in this order; nothing: no body. A share of the charges of what it places is the builder's.
    /// By default all of it, as rank has it: what is larger and pays less for a byte can earn more.
    fn body(&mut self, waiting: &[PendingUnit]) -> Vec<Hash> {
        waiting.iter().map(|unit| unit.hash).collect()
    }

    /// The tail of a slot that was won. `sender` is this builder's account on every rollup.
    fn tail(&mut self, look: &Look, sender: &EthKey) -> Vec<Bundle> {
        let _unused = (look, sender);
        Vec::new()
    }
}

/// Bundles of a tail: what the gas of one slot's tail holds on a default rollup.
const BUNDLES_MAX: usize = 12;
/// More than any amount: averages of it do not overflow.
const MOST_PROFIT: u128 = limits::AMOUNT_END;

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

    fn found(&self, look: &Look) -> Vec<Arbitrage> {
        tail::trades(&look.scenes, BUNDLES_MAX)
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

    fn opened(&mut self, look: &Look) {
        // a coin of a rollup counts as a coin of the ledger
        let profit = tail::gain(&look.scenes, &self.found(look)).min(MOST_PROFIT);
        self.average = self.average.saturating_mul(7).saturating_add(profit) >> 3u32;
    }

    fn tail(&mut self, look: &Look, sender: &EthKey) -> Vec<Bundle> {
        tail::bundles(&look.scenes, &self.found(look), sender, look.slot)
    }
}

#[cfg(test)]
mod tests {
    // Goal: a bid is the worth of the slot, between reserve and bond, and differs by bidder and slot.
    use super::{
        super::pools::{Holding, Pool},
        *,
    };
    use types::ChainId;

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
        let coins = 1_000_000_000_000_000_000_000u128;
        let scene = |pool| tail::Scene { pool, held: Holding { coins, tokens: coins }, nonce: 0, base_fee: 0 };
        let (one, other) = (Pool { coins, tokens: coins }, Pool { coins: coins / 2, tokens: coins });
        let look = |pools: [Pool; 2]| Look {
            slot: Slot(3),
            reveal: Hash::ZERO,
            scenes: [ChainId(901), ChainId(902)].into_iter().zip(pools.map(scene)).collect(),
        };
        let profit = tail::gain(&look([one, other]).scenes, &tail::trades(&look([one, other]).scenes, 9));
        assert!(profit > coins / 50, "{profit}");
        let rich = Chance { most: amount(1 << 90), ..chance(3) };
        for _ in 0..400 {
            plain.opened(&look([one, other]));
        }
        let units = plain.bid(&rich).unwrap().units();
        assert!(units <= profit + 990 && units > profit - 100, "the average comes near: {units} of {profit}");
        for _ in 0..400 {
            plain.opened(&look([one, one]));
        }
        assert_eq!(plain.bid(&rich), Some(amount(990)), "and goes again");
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
