// Goal: check 20 for what accounts ask for and for builders' faults: an honest log has no finding and says what was done
// and taken; an omitted, forged or undone operation, a false and a second slash have theirs. Method: a network with
// bonded payers; plants that it makes again with all that follows; entries changed under a quorum's signature.
#![expect(clippy::wildcard_enum_match_arm, reason = "tests pick the kinds that they change")]
use super::{codes, kind};
use crate::{
    Checks, Replay, Status,
    testing::{Draft, Plant, World},
};
use auction_rules::Ledger;
use std::{vec, vec::Vec};
use types::{AccountHeader, Address, Amount, Entry, Evidence, Hash, Kind, Slot};

const BOND: u128 = 1 << 60;

fn ledger(world: &World) -> Ledger {
    let mut replay = Replay::new(world.anchor(), Checks::TRUSTED).unwrap();
    for (index, entry) in (0..).zip(world.log()) {
        replay.entry(index, entry);
    }
    replay.end().ledger
}

/// Two slots with what accounts ask for, then one without.
fn asked(seed: u8, forged: bool) -> World {
    let mut world = World::new(seed);
    let to = world.payer(4);
    world.submit(Draft::of(1));
    world.ask(3, AccountHeader::BOND, Address::ZERO, 700);
    world.slot();
    world.empty_slot();
    world.submit(Draft::of(2));
    if forged {
        world.forge();
    }
    world.ask(3, AccountHeader::TRANSFER, to, 50);
    world.ask(0, AccountHeader::UNBOND, Address::ZERO, BOND / 2);
    world.ask(1, AccountHeader::WITHDRAW, Address::ZERO, 5);
    world.slot();
    world.slot();
    world
}

#[test]
fn a02_what_accounts_ask_for_is_done_at_the_close() {
    let world = asked(21, false);
    let report = world.audit();
    assert_eq!(report.findings, vec![]);
    assert_eq!((&report.checks[19].status, report.checks[19].units), (&Status::Pass, 4));
    let ledger = ledger(&world);
    let (three, zero, one) = (world.payer(3), world.payer(0), world.payer(1));
    assert_eq!(ledger.account(&three).unwrap().bond.units(), 700);
    assert_eq!(ledger.operation_nonce(&three).0, 2);
    assert_eq!(ledger.free_bond(&zero).units(), BOND / 2);
    assert_eq!(ledger.operation_nonce(&one).0, 1, "what asks for too much uses its nonce");
    assert_eq!(ledger.account(&one).unwrap().bond.units(), BOND);
}

#[test]
fn every_lie_about_an_operation_gives_its_finding() {
    for (plant, forged, code) in [
        (Plant::OmitOperation, false, "operation-omitted"),
        (Plant::UndoneOperation, false, "fees-wrong"),
        (Plant::FalseOperation, true, "operation-invalid"),
    ] {
        let mut world = asked(21, forged);
        world.plant(plant);
        let report = world.audit();
        let found: Vec<_> = report.findings.iter().map(|f| f.code.name()).collect();
        assert_eq!(found, [code], "{plant:?}: {:?}", report.findings);
    }
    // listed by more than f members although nobody signed it: no log with that is right
    let report = asked(21, true).audit();
    assert_eq!(report.findings.first().map(|f| f.code.name()), Some("operation-omitted"));
}

/// A builder that is convicted of two slots, and of one again with another pair.
fn convicted() -> World {
    let mut world = World::new(22);
    world.submit(Draft::of(4));
    world.slot();
    let pieces = [world.two_bids(0, Slot(2)), world.two_bids(0, Slot(3)), world.two_bids(1, Slot(9))];
    for piece in pieces {
        world.accuse(piece);
    }
    world.slot();
    world.accuse(again(&world));
    world.submit(Draft::of(5));
    world.slot();
    world.slot();
    world
}

/// Another pair of the first.
fn again(world: &World) -> Evidence {
    let Evidence::Builder { double } = world.two_bids(0, Slot(2)) else { panic!() };
    let types::BuilderDouble::Bid { mut a, b } = *double else { panic!() };
    a.header.cap_class = 3;
    let key = world.payer_key(0);
    a.signature = key.sign(&crypto::eip712::bid_digest(&a.header, &a.ciphertext));
    let (a, b) = if types::codec::encode(&a) < types::codec::encode(&b) { (a, b) } else { (b, a) };
    Evidence::Builder { double: types::BuilderDouble::Bid { a, b }.into() }
}

fn word(address: Address) -> Hash {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&address.0);
    Hash(word)
}

#[test]
fn a35_a38_a_builder_is_slashed_once_a_slot_and_the_log_says_what_was_taken() {
    let world = convicted();
    assert_eq!(world.audit().findings, vec![]);
    let mut taken: Vec<(Slot, Vec<Hash>, u128)> = vec![];
    for entry in world.log() {
        if let Kind::Fault { slot, finding, accused, penalty, .. } = kind(entry) {
            assert_eq!(finding, 56);
            taken.push((slot, accused, penalty.units()));
        }
    }
    taken.sort_by_key(|(_, accused, penalty)| (accused.clone(), std::cmp::Reverse(*penalty)));
    let (first, second) = (BOND / 10, (BOND - BOND / 10) / 10);
    let mut wanted = vec![
        (Slot(2), vec![word(world.payer(0))], first),
        (Slot(2), vec![word(world.payer(0))], second),
        (Slot(2), vec![word(world.payer(1))], first),
    ];
    wanted.sort_by_key(|(_, accused, penalty)| (accused.clone(), std::cmp::Reverse(*penalty)));
    assert_eq!(taken, wanted);
    let ledger = ledger(&world);
    assert_eq!(ledger.account(&world.payer(0)).unwrap().bond.units(), BOND - first - second);
    assert!(!ledger.is_active(&world.payer(0), types::Epoch(0)));
    // the third slot's other pair stands as an operation without effect
    let operations = world.log().iter().filter(|entry| matches!(kind(entry), Kind::Operation { .. })).count();
    assert_eq!(operations, 1);
}

/// A builder is convicted, and slashed.
fn slashed() -> World {
    let mut world = World::new(23);
    world.submit(Draft::of(4));
    world.slot();
    world.accuse(world.two_bids(0, Slot(2)));
    world.slot();
    world.slot();
    world
}

#[test]
fn every_lie_about_a_slash_gives_its_finding() {
    let mut world = convicted();
    world.plant(Plant::SecondFault);
    let found: Vec<_> = world.audit().findings.iter().map(|f| f.code.name()).collect();
    assert_eq!(found, ["fault-false"]);
    let world = slashed();
    let honest = world.log().to_vec();
    assert_eq!(codes(&world, &honest), vec![] as Vec<&str>);
    let edited = |change: &dyn Fn(&mut Kind)| {
        let entries: Vec<_> = honest
            .iter()
            .map(|entry| match kind(entry) {
                mut fault @ Kind::Fault { .. } => {
                    change(&mut fault);
                    Entry::bytes(fault)
                }
                _ => entry.clone(),
            })
            .collect();
        codes(&world, &entries)
    };
    let one = Amount::new(1).unwrap();
    type Lie<'a> = (&'a dyn Fn(&mut Kind), &'a str);
    let lies: [Lie<'_>; 4] = [
        (
            &|k| {
                if let Kind::Fault { penalty, .. } = k {
                    *penalty = penalty.checked_add(one).unwrap()
                }
            },
            "penalty-wrong",
        ),
        (
            &|k| {
                if let Kind::Fault { penalty, .. } = k {
                    *penalty = Amount::ZERO
                }
            },
            "penalty-wrong",
        ),
        (
            &|k| {
                if let Kind::Fault { accused, .. } = k {
                    accused[0].0[31] ^= 1
                }
            },
            "fault-false",
        ),
        (
            &|k| {
                if let Kind::Fault { finding, .. } = k {
                    *finding = 57
                }
            },
            "fault-false",
        ),
    ];
    for (lie, code) in lies {
        assert_eq!(edited(lie), [code]);
    }
    // planted with all that follows: the ledger took what the rule says
    let mut world = slashed();
    world.plant(Plant::WrongSlash);
    let found: Vec<_> = world.audit().findings.iter().map(|f| f.code.name()).collect();
    assert_eq!(found, ["penalty-wrong"]);
}
