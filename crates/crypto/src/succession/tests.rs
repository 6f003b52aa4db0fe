// Goal: what the log says of the next epoch counts in its window and nowhere else, and a handover that does not end
// changes nothing. Method: real changes; a ceremony of a dealer instead of keygen's, which has its own tests.
use super::*;
use crate::{
    change::tests::{NEXT, change, current, key, sign},
    dealer::deal,
};
use std::vec;
use types::{Amount, Epoch, G2Bytes, HandoverStep, Signature};

const LEAF: Hash = Hash([9; 32]);
const FACTS: EpochFacts = EpochFacts { ledger: Hash([1; 32]), states: Hash([2; 32]), reserve: Amount::ZERO };

/// The same secrets, whoever has shares of them.
fn dealt(n: usize, seed: u8) -> KeySetParts {
    let n = u16::try_from(n).unwrap();
    deal(n, (n - 1) / 3, &[seed; 32]).parts
}

/// Epoch 4 has the slots 64 to 79: changes until 67, phases of a slot from 68, the last one until 74, announced at 75.
fn epochs() -> Epochs {
    let params = Params { epoch_slots: 16, ..current().params };
    Epochs::new(EpochRecord { params, ..current() }.with_keys(dealt(4, 1)), LEAF)
}

fn made(epochs: &Epochs, seeds: &[u8], alter: impl FnOnce(&mut Change)) -> SignedChange {
    let mut change = change(seeds);
    (change.base, change.params) = (change::base(epochs.last()), epochs.last().params.clone());
    alter(&mut change);
    sign(change, seeds)
}

/// Everybody's first word holds, and four of them are a key set.
const CEREMONY: Ceremony = Ceremony {
    holds: |_, _, message| message.sig == Signature([0; 64]),
    conclude: |_, to, messages| (messages.len() >= 4).then(|| dealt(to.len(), 1)),
};

fn says(step: HandoverStep, seed: u8) -> Handover {
    Handover { epoch: Epoch(5), attempt: 0, from: key(seed, 0).public(), step, sig: Signature([0; 64]) }
}

fn deals(seed: u8) -> Handover {
    says(HandoverStep::Dealing { commitments: vec![], sealed: vec![] }, seed)
}

fn publishes(seed: u8) -> Handover {
    says(HandoverStep::ShareKey { point: G2Bytes([0; 96]), sig: Signature([0; 64]) }, seed)
}

struct Log {
    epochs: Epochs,
    succession: Succession,
}

impl Log {
    fn new() -> Self {
        Self { epochs: epochs(), succession: Succession::default() }
    }
    fn change(&mut self, slot: u64, signed: &SignedChange) -> Result<(), NotCounted> {
        self.on(slot, &Operation::Change(Box::new(signed.clone())))
    }
    fn says(&mut self, slot: u64, message: Handover) -> Result<(), NotCounted> {
        self.on(slot, &Operation::Handover(Box::new(message)))
    }
    fn on(&mut self, slot: u64, operation: &Operation) -> Result<(), NotCounted> {
        let rules = |_: &[MemberRecord], params: &Params| params.count_limit > 0;
        self.succession.on(&self.epochs, Slot(slot), operation, (rules, Some(&CEREMONY)))
    }
    fn announce(&mut self) -> EpochRecord {
        self.succession.announce(&self.epochs, FACTS, &CEREMONY)
    }
}

#[test]
fn a_change_counts_in_the_first_quarter_and_the_last_one_wins() {
    let mut log = Log::new();
    let [first, second, third] =
        [&NEXT[..], &[1, 2, 3, 9], &[1, 2, 3, 7]].map(|seeds| made(&log.epochs, seeds, |_| {}));
    log.change(64, &second).unwrap();
    log.change(67, &first).unwrap();
    assert_eq!(log.change(68, &third), Err(NotCounted::Window));
    assert_eq!(log.change(63, &third), Err(NotCounted::Window));
    assert_eq!(log.succession.next().unwrap().change, first.change);
    assert_eq!(log.change(67, &second), Err(NotCounted::Repeated), "who signed it said it once");
    let late = made(&log.epochs, &NEXT, |c| c.until = Epoch(4));
    assert_eq!(log.change(64, &late), Err(NotCounted::Change(ChangeError::Late)));
    let broken = made(&log.epochs, &NEXT, |c| c.params.count_limit = 0);
    assert_eq!(log.change(64, &broken), Err(NotCounted::Rules));
}

#[test]
fn messages_of_the_handover_count_in_their_phase_once_and_of_the_right_committee() {
    let mut log = Log::new();
    assert_eq!(log.says(68, deals(1)), Err(NotCounted::NoHandover));
    let signed = made(&log.epochs, &NEXT, |_| {});
    log.change(64, &signed).unwrap();
    for slot in [67, 69, 74, 75, 84] {
        assert_eq!(log.says(slot, deals(1)), Err(NotCounted::Window), "{slot}");
    }
    assert_eq!(log.says(68, deals(8)), Err(NotCounted::Message), "one that joins has nothing to deal");
    assert_eq!(log.says(68, Handover { attempt: 1, ..deals(1) }), Err(NotCounted::Message));
    assert_eq!(log.says(68, Handover { sig: Signature([1; 64]), ..deals(1) }), Err(NotCounted::Message));
    log.says(68, deals(1)).unwrap();
    assert_eq!(log.says(68, deals(1)), Err(NotCounted::Repeated));
    assert_eq!(log.says(71, publishes(2)), Err(NotCounted::Message), "one that leaves has nothing to publish");
    log.says(71, publishes(8)).unwrap();
    log.says(74, publishes(1)).unwrap();
    assert_eq!(log.succession.messages().len(), 3);
}

#[test]
fn the_next_epoch_has_the_committee_that_the_secrets_were_handed_to() {
    let mut log = Log::new();
    let signed = made(&log.epochs, &NEXT, |c| c.params.count_limit = 77);
    log.change(64, &signed).unwrap();
    for (slot, message) in [(68, deals(1)), (68, deals(2)), (74, publishes(8)), (74, publishes(3))] {
        log.says(slot, message).unwrap();
    }
    let read = log.succession.clone();
    let record = log.announce();
    assert_eq!((record.epoch, record.first_slot, record.prev), (Epoch(5), Slot(80), LEAF));
    assert_eq!((record.ledger, record.states, record.reserve), (FACTS.ledger, FACTS.states, FACTS.reserve));
    assert_eq!((record.f, record.params.count_limit, record.since), (1, 77, Epoch(5)));
    let members: Vec<_> = record.members.iter().map(|m| m.consensus).collect();
    let mut want = NEXT.map(|seed| key(seed, 0).public());
    want.sort();
    assert_eq!(members, want);
    let joined = key(8, 0).public();
    assert_eq!(log.succession.joined(&joined).map(|joining| joining.record.consensus), Some(joined));
    let handed = log.succession.handed(Epoch(5)).unwrap();
    assert_eq!((handed.from.epoch, handed.messages.len()), (Epoch(4), 4));
    assert!(log.succession.next().is_none() && log.succession.messages().is_empty());
    // who has no ceremony believes keys of the same secrets, and nothing else
    let believes = |said: &EpochRecord| read.clone().announce_as(&epochs(), FACTS, said);
    assert_eq!(believes(&record), record);
    let other = record.clone().with_keys(dealt(4, 3));
    assert_ne!(believes(&other), other);
    let one_less = EpochRecord { members: record.members[1..].to_vec(), ..record.clone() };
    assert_ne!(believes(&one_less), one_less);
    let stays = epochs().last().next(LEAF, FACTS);
    assert_eq!(believes(&stays), stays, "the handover may not have ended");
}

#[test]
fn a_handover_that_does_not_end_leaves_everything_as_it_is() {
    let stays = epochs().last().next(LEAF, FACTS);
    assert_eq!(Log::new().announce(), stays);
    let mut log = Log::new();
    let signed = made(&log.epochs, &NEXT, |c| c.params.count_limit = 77);
    log.change(64, &signed).unwrap();
    log.says(68, deals(1)).unwrap();
    let record = log.announce();
    assert_eq!(record, stays);
    assert!(log.succession.handed(Epoch(5)).is_none());
}

#[test]
fn parameters_alone_change_without_a_handover() {
    let mut log = Log::new();
    let signed = made(&log.epochs, &[1, 2, 3, 4], |c| c.params.count_limit = 77);
    log.change(64, &signed).unwrap();
    assert_eq!(log.says(68, deals(1)), Err(NotCounted::NoHandover));
    let read = log.succession.clone();
    let record = log.announce();
    let want = epochs().last().next(LEAF, FACTS);
    assert_eq!(record, EpochRecord { since: Epoch(5), params: signed.change.params, ..want });
    assert!(log.succession.handed(Epoch(5)).is_none());
    assert_eq!(read.clone().announce_as(&epochs(), FACTS, &record), record);
}
