//! Short ways to write a slot down in tests.
use crate::{Ledger, Terms, base_fee, root::sha256};
use alloc::vec::Vec;
use proptest::prelude::*;
use types::{Address, Amount, Balance, Epoch, Genesis, Hash, MemberRecord, Nonce, Params, Slot};

pub(crate) fn amount(units: u128) -> Amount {
    Amount::new(units).unwrap()
}

pub(crate) fn name(text: &str) -> Hash {
    sha256(&[text.as_bytes()])
}

pub(crate) fn address(byte: u8) -> Address {
    Address([byte; 20])
}

/// Four members, no rollups, these opening balances.
pub(crate) fn genesis(params: Params, balances: &[(u8, u128)]) -> Genesis {
    let member = |key: u8| MemberRecord {
        name: std::format!("m{key}"),
        consensus: Hash([key; 32]),
        log: Hash([key; 32]),
        cosigner: Hash([key; 32]),
        receipt: Hash([key; 32]),
        tls: Hash([key; 32]),
    };
    let balance =
        |(byte, units): &(u8, u128)| Balance { address: address(*byte), balance: amount(*units), bond: Amount::ZERO };
    Genesis {
        origin: "example.net/test".into(),
        members: (0..4).map(member).collect(),
        params,
        rollups: Vec::new(),
        balances: balances.iter().map(balance).collect(),
    }
}

pub(crate) fn ledger(params: &Params, balances: &[(u8, u128)]) -> Ledger {
    Ledger::genesis(&genesis(params.clone(), balances)).unwrap()
}

/// A unit of size class 0 and gas class 0 that offers `over` above the base fee of floor prices.
pub(crate) fn unit(text: &str, payer: u8, nonce: u64, over: u128, after: &[&str]) -> Terms {
    let floor = crate::Prices { byte: 16, gas: 1 };
    Terms {
        hash: name(text),
        epoch: Epoch(0),
        expiry: Slot(20),
        account: address(payer),
        nonce: Nonce(nonce),
        size: 0,
        gas: 0,
        max_fee: base_fee(&floor, 0, 0).unwrap().checked_add(amount(over)).unwrap(),
        after: after.iter().map(|text| name(text)).collect(),
    }
}

pub(crate) const RICH: u128 = 1 << 60;

/// Any listed set of up to `len` units over six accounts: versions, gaps, cycles, strangers, poor payers, all classes.
pub(crate) fn listed(len: usize) -> impl Strategy<Value = Vec<Terms>> {
    let one = (0u8..6, 0u64..5, 0u32..64, 0u8..5, 0u8..26, proptest::collection::vec(0usize..len + 2, 0..3), 0u8..40);
    proptest::collection::vec(one, 0..len).prop_map(|draws| {
        let hash_of = |at: usize| name(&std::format!("unit {at}"));
        let draws = draws.into_iter().enumerate();
        draws
            .map(move |(at, draw)| {
                let (payer, nonce, over, size, gas, after, odd) = draw;
                let class = Terms { size, gas, ..unit("", payer, nonce, 0, &[]) };
                let base = base_fee(&crate::Prices { byte: 16, gas: 1 }, size, gas).unwrap();
                // Few distinct offers, so that ranks tie.
                let offer = base.units() + u128::from(over) * u128::from(class.bytes()) / 4;
                let max_fee = if odd == 0 { base.units() - 1 } else { offer };
                let mut after: Vec<Hash> = after.into_iter().map(hash_of).collect();
                after.sort_unstable();
                after.dedup();
                Terms {
                    hash: hash_of(at),
                    expiry: Slot(if odd == 1 { 0 } else { 200 }),
                    epoch: Epoch(u64::from(odd == 2)),
                    max_fee: amount(max_fee),
                    after,
                    ..class
                }
            })
            .collect()
    })
}

/// Account 5 is poor, account 6 unknown; the others can pay for anything.
pub(crate) const BALANCES: &[(u8, u128)] = &[(0, RICH), (1, RICH), (2, RICH), (3, RICH), (4, RICH), (5, 300_000)];

/// A network whose slots fill up after a few units.
pub(crate) fn narrow() -> Params {
    Params { count_limit: 12, bytes_limit: 16 * 61_440 / 2, ..Params::default_for(500) }
}
