// Goal: SEQ-1 and SEQ-2. Method: the router holds every effect against the disk as it is carried out; here the order of
// effects is spoiled on purpose, finality is kept back, and proofs and share messages are forged.
use crate::common::{Fate, Inside, Net, Order, World, id, wire};
use sequencer::{Channel, Effect, Halt, Input, Record};
use std::{cell::RefCell, rc::Rc};
use types::{
    Hash, Slot, Timestamp, codec,
    reason::{Finding, Reason},
};

fn spoiled(postponed: fn(&Effect) -> bool) {
    let mut world = World::new(Net::four(), 1);
    world.postponed = postponed;
    let (_, envelope) = Net::four().envelope(&Order::new(1, 0, Inside::Junk));
    world.submit(0, &envelope);
    world.open(2);
}

#[test]
#[should_panic(expected = "SEQ-1: a receipt that is not durable")]
fn seq_1_a_receipt_before_its_envelope_is_durable_would_be_seen() {
    spoiled(|effect| matches!(effect, Effect::Persist(Record::Items(_))));
}

#[test]
#[should_panic(expected = "SEQ-1: a list that is not durable")]
fn seq_1_a_list_before_it_is_durable_would_be_seen() {
    spoiled(|effect| matches!(effect, Effect::Persist(Record::List { .. })));
}

#[test]
#[should_panic(expected = "SEQ-1: a share message that is not durable")]
fn seq_1_shares_before_the_commit_would_be_seen() {
    spoiled(|effect| matches!(effect, Effect::Persist(Record::Commit(_))));
}

#[test]
fn seq_1_effects_before_persist_never_leave_the_member() {
    let mut world = World::new(Net::four(), 2);
    for wallet in 0..6 {
        let (_, envelope) = Net::four().envelope(&Order::new(wallet, 0, Inside::Junk));
        world.submit(wallet % 4, &envelope);
    }
    world.open(3);
    assert_eq!(world.receipts.len(), 6);
}

/// Counts messages of a channel.
fn count(world: &mut World, channel: Channel) -> Rc<RefCell<u64>> {
    let counter = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&counter);
    world.filter = Box::new(move |passing| {
        if passing.channel == channel {
            *counted.borrow_mut() += 1;
        }
        Fate::Arrives
    });
    counter
}

#[test]
fn seq_2_no_share_leaves_before_finality() {
    let net = Net::four();
    let mut world = World::new(net, 3);
    let shares = count(&mut world, Channel::Shares);
    let (hash, envelope) = net.envelope(&Order::new(1, 0, Inside::Junk));
    for member in net.members() {
        world.submit(member, &envelope);
    }
    world.consensus.withheld.insert(1);
    world.until(5_000, "a block is certified", |w| w.consensus.chain.len() == 2);
    world.consensus.paused = true;
    world.pass(3_000);
    // everybody voted for it, nobody knows it to be final
    assert_eq!((*shares.borrow(), world.consensus.final_height()), (0, 0));
    for member in net.members() {
        assert_eq!(world.machine(member).status(&hash), types::wire::Status::Pending);
    }
    world.go_on();
    world.executed(&[hash]);
    assert!(*shares.borrow() > 0);
    world.audit(0);
}

#[test]
fn seq_2_a_proof_that_does_not_verify_ends_the_member_and_releases_nothing() {
    let net = Net::four();
    let mut world = World::new(net, 4);
    world.consensus.withheld.insert(1);
    world.until(5_000, "a block is certified", |w| w.consensus.chain.len() == 2);
    world.consensus.paused = true;
    world.pass(100);
    let block = world.consensus.chain[1].clone();
    let genuine = |members: &[usize], digest: &Hash| types::FinalityProof {
        headers: vec![block.header.clone()],
        view: block.header.view,
        parent_view: 0,
        votes: members.iter().map(|m| net.finalize_vote(*m, &block.header, 0, digest)).collect(),
    };
    let mut moved = genuine(&[0, 1, 2], &block.digest);
    moved.view += 1;
    let mut headless = genuine(&[0, 1, 2], &block.digest);
    headless.headers.clear();
    let bad = [
        ("a vote short", genuine(&[0, 1], &block.digest)),
        ("a member twice", genuine(&[0, 1, 1], &block.digest)),
        ("votes for another block", genuine(&[0, 1, 2], &Hash([9; 32]))),
        ("votes of another view", moved),
        ("no header", headless),
    ];
    for (at, (what, proof)) in bad.into_iter().enumerate().take(4) {
        let now = Timestamp(world.now + 100);
        let machine = world.members[at].machine.as_mut().unwrap();
        let result = machine.step(now, Input::Final { block: block.bytes.clone(), proof });
        assert!(matches!(result, Err(Halt::Finality(_))), "{what}: {result:?}");
    }
}

#[test]
fn seq_2_shares_for_another_digest_are_neither_given_nor_used() {
    let net = Net::four();
    let mut world = World::new(net, 5);
    world.guilty.insert(3);
    // member 3 signs shares for another digest, and sends them before anybody's
    world.filter = Box::new(move |passing| {
        if passing.channel != Channel::Shares || passing.from != 3 {
            return Fate::Arrives;
        }
        let forged = wire::forge_share(net, 3, &wire::share(passing.bytes), |message, _| {
            message.header.digest = Hash([3; 32]);
        });
        Fate::Changed(codec::encode(&forged))
    });
    let (hash, envelope) = net.envelope(&Order::new(1, 0, Inside::Junk));
    world.submit(0, &envelope);
    world.open(4);
    world.executed(&[hash]);
    let stray = |at: usize| world.members[at].evidence.iter().any(|proved| proved.finding == Finding::ShareStray);
    assert!((0..3).all(stray));
    // its true message comes second
    let true_message = world.members[3].shares[&world.members[3].disk.slot].clone();
    let slot = world.members[3].disk.slot;
    world.consensus.paused = true;
    world.until(5_000, "all are where member 3 is", |w| w.members.iter().all(|m| m.disk.slot == slot));
    world.inject(3, 0, Channel::Shares, true_message);
    world.pass(50);
    assert!(world.members[0].rejects.contains(&(Some(id(3)), Reason::Equivocation, "share")));
    assert!(world.members[3].notes.len() < 4 || world.members[0].disk.slot >= Slot(4));
}

#[test]
fn what_a_slow_member_has_signed_is_known_although_it_came_too_late_to_count() {
    let mut world = World::new(Net::four(), 41);
    world.filter = Box::new(|passing| {
        let slow = passing.channel == Channel::Shares && passing.from == 3;
        if slow { Fate::Late(1_400) } else { Fate::Arrives }
    });
    world.open(8);
    for member in 0..3 {
        let known = world.machine(member).cosigners().get(&id(3)).copied();
        assert!(known.is_some_and(|slot| slot >= Slot(3)), "m{member} knows {known:?}");
        assert_eq!(world.members[member].rejects, []);
    }
}
