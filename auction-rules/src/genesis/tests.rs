// Goal: and the shapes that a genesis file must have. Method: the default passes, each single fault does not.
use super::*;
use crate::testing::{BALANCES, amount, genesis};
use types::{Fork, Hash, RollupSpec};

fn good() -> Genesis {
    genesis(Params::default_for(500), BALANCES)
}

fn fault(change: impl FnOnce(&mut Genesis)) -> Result<(), GenesisError> {
    let mut genesis = good();
    change(&mut genesis);
    check(&genesis)
}

fn parameter(change: impl FnOnce(&mut Params)) -> Result<(), GenesisError> {
    fault(|genesis| change(&mut genesis.params))
}

fn rollup(chain_id: u64) -> RollupSpec {
    RollupSpec {
        chain_id: ChainId(chain_id),
        fork: Fork::Cancun,
        gas_limit: 30_000_000,
        max_leg_gas: 7_500_000,
        fee_recipient: Address([0; 20]),
        mailbox: Address([0; 20]),
        genesis: Hash::ZERO,
        exec: true,
        operator: Address([0; 20]),
    }
}

#[test]
fn the_default_network_opens() {
    assert_eq!(check(&good()), Ok(()));
    assert_eq!(fault(|g| g.rollups = [901, 902].map(rollup).to_vec()), Ok(()));
    for origin in ["a/b", "log.example.net/dev-1"] {
        assert_eq!(fault(|g| g.origin = origin.into()), Ok(()));
    }
}

#[test]
fn a25_returns_and_split() {
    assert_eq!(parameter(|p| p.builder_fee_bps = 1_001), Err(GenesisError::Returns));
    assert_eq!(parameter(|p| p.rebate_cap_bps = 5_001), Err(GenesisError::Returns));
    assert_eq!(parameter(|p| (p.builder_fee_bps, p.rebate_cap_bps) = (8_500, 0)), Ok(()));
    assert_eq!(parameter(|p| (p.builder_fee_bps, p.rebate_cap_bps) = (8_501, 0)), Err(GenesisError::Returns));
    assert_eq!(parameter(|p| p.price_users_bps = 5_001), Err(GenesisError::PriceSplit));
    assert_eq!(parameter(|p| p.price_users_bps = u16::MAX), Err(GenesisError::PriceSplit));
}

#[test]
fn a27_the_largest_class_fits_a_quarter_of_the_forced_bytes() {
    assert_eq!(parameter(|p| p.bytes_limit = 8 * 61_440), Ok(()));
    assert_eq!(parameter(|p| p.bytes_limit = 8 * 61_440 - 1), Err(GenesisError::LargestClass));
    assert_eq!(parameter(|p| p.forced_bps = 0), Err(GenesisError::Parameter("forced_bps")));
    assert_eq!(parameter(|p| p.gas_limit = 15), Err(GenesisError::Parameter("gas_limit")));
}

#[test]
fn parameters_out_of_range() {
    type Change = fn(&mut Params);
    let faults: [(&str, Change); 12] = [
        ("epoch_slots", |p| p.epoch_slots = 15),
        ("slot_ms", |p| p.slot_ms = 0),
        ("count_limit", |p| p.count_limit = 16_384),
        ("max_builders", |p| p.max_builders = 65),
        ("bytes_limit", |p| p.bytes_limit = 1 << 32),
        ("gas_limit", |p| p.gas_limit = 1 << 32),
        ("forced_bps", |p| p.forced_bps = 10_001),
        ("expiry_slots_max", |p| p.expiry_slots_max = 0),
        ("combiners", |p| p.combiners = 0),
        ("combiners", |p| p.combiners = 4),
        ("tail_gas_bps", |p| p.tail_gas_bps = 999),
        ("tail_gas_bps", |p| p.tail_gas_bps = 1_001),
    ];
    for (name, change) in faults {
        assert_eq!(parameter(change), Err(GenesisError::Parameter(name)));
    }
}

#[test]
fn members_are_3f_plus_1_and_ascending() {
    for count in [0, 2, 3] {
        assert_eq!(fault(|g| g.members.truncate(count)), Err(GenesisError::MemberCount(count)));
    }
    assert_eq!(fault(|g| g.members.truncate(1)), Ok(()));
    assert_eq!(fault(|g| g.members.swap(1, 2)), Err(GenesisError::MemberOrder(2)));
    assert_eq!(fault(|g| g.members[3] = g.members[2].clone()), Err(GenesisError::MemberOrder(3)));
}

#[test]
fn balances_and_rollups_are_ascending() {
    assert_eq!(fault(|g| g.balances.swap(0, 1)), Err(GenesisError::BalanceOrder(Address([0; 20]))));
    assert_eq!(fault(|g| g.balances[1] = g.balances[0]), Err(GenesisError::BalanceOrder(Address([0; 20]))));
    let order = |ids: &[u64]| fault(|g| g.rollups = ids.iter().copied().map(rollup).collect());
    assert_eq!(order(&[902, 901]), Err(GenesisError::RollupOrder(ChainId(901))));
    assert_eq!(order(&[901, 901]), Err(GenesisError::RollupOrder(ChainId(901))));
    assert_eq!(order(&[0, 901]), Err(GenesisError::RollupOrder(ChainId(0))));
    assert_eq!(order(&[1 << 63]), Err(GenesisError::RollupOrder(ChainId(1 << 63))));
    assert_eq!(order(&[(1 << 63) - 1]), Ok(()));
    let many: std::vec::Vec<u64> = (1..=129).collect();
    assert_eq!(order(&many), Err(GenesisError::RollupCount(129)));
}

#[test]
fn origins_that_are_none() {
    let long = std::format!("a/{}", "b".repeat(198));
    for origin in ["", "a", "/b", "a/", "a b/c", "a/b+c", "a/\u{e9}", long.as_str()] {
        assert_eq!(fault(|g| g.origin = origin.into()), Err(GenesisError::Origin), "{origin}");
    }
}

#[test]
fn a26_the_supply_stays_below_the_end_of_amounts() {
    let half = amount(1 << 95);
    let over = fault(|g| {
        g.balances[0].balance = half;
        g.balances[1].bond = half;
    });
    assert_eq!(over, Ok(()), "a shape that is right");
    let mut genesis = good();
    genesis.balances[0].balance = half;
    genesis.balances[1].bond = half;
    assert_eq!(crate::Ledger::genesis(&genesis).map(|_| ()), Err(GenesisError::Supply));
}
