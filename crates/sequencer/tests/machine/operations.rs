// Goal: evidence that any honest member comes across is in every log, once for a finding and member, whatever is lost,
// restarted or sent to some only; and what proves nothing never is. Method: one member's lists are forged with its own
// key and handed to some members; the router holds every log against the others and every piece against `World::guilty`.
use crate::common::{
    Fate, Net, World, id, wire,
    world::{faults, kind},
};
use sequencer::Channel;
use types::{
    Evidence, Hash, Kind, Leaf, MemberId, Operation, Slot, codec, limits,
    reason::{Finding, Reason},
};

const BAD: usize = 3;

fn leaf(byte: u8) -> Leaf {
    Leaf::Envelope { hash: Hash([byte; 32]), fee_per_byte: 3, size: 0, gas: 3 }
}

fn evidence(world: &World, slot: u64, byte: u8) -> Evidence {
    let text = |leaves: Vec<Leaf>| {
        let list = wire::sign_list(world.net, Slot(slot), BAD, leaves, None);
        let text = crypto::evidence::list_text(world.net.id, list.slot, list.member, &list.leaves, None);
        (text, list.sig)
    };
    crypto::evidence::lists(text(vec![leaf(byte)]), text(Vec::new()))
}

/// A member that follows no rules tells one other member.
fn tell(world: &mut World, to: usize, operation: &Operation) {
    let items = wire::Items { operations: vec![codec::encode(operation)], ..wire::Items::default() };
    world.inject(BAD, to, Channel::Items, codec::encode(&items));
}

/// Two lists of one slot, to one member.
fn two_lists(world: &mut World, to: usize) {
    let slot = world.machine(to).last_final().plus(2);
    for leaves in [vec![leaf(1)], vec![leaf(2)]] {
        let list = wire::sign_list(world.net, slot, BAD, leaves, None);
        world.inject(BAD, to, Channel::Lists, codec::encode(&list));
    }
}

fn convicted(world: &World) -> Vec<(Finding, usize)> {
    faults(world.net, &world.log).into_iter().map(|(finding, of, _)| (finding, of)).collect()
}

fn until_fault(world: &mut World) {
    world.until(40_000, "a FAULT", |w| !convicted(w).is_empty());
}

fn operations(world: &World) -> usize {
    world.log.iter().filter(|entry| matches!(kind(entry), Kind::Operation { .. })).count()
}

/// Some slots later everybody has the same log, and an auditor finds nothing in it.
fn agree(world: &mut World) {
    let slot = world.members.iter().map(|m| m.disk.slot.0).max().unwrap();
    world.open(slot + 3);
    for member in 0..3 {
        assert!(!faults(world.net, &world.members[member].disk.entries).is_empty());
        world.audit(member);
    }
}

fn network(seed: u64) -> World {
    let mut world = World::new(Net::four(), seed);
    world.guilty.insert(BAD);
    world.open(2);
    world
}

#[test]
fn what_one_member_finds_is_in_every_log_once() {
    let mut world = network(71);
    two_lists(&mut world, 1);
    until_fault(&mut world);
    // again, and to another member
    two_lists(&mut world, 1);
    two_lists(&mut world, 0);
    agree(&mut world);
    assert_eq!(convicted(&world), [(Finding::ListEquivocation, BAD)]);
    for member in 0..3 {
        assert_eq!(world.members[member].evidence.len(), 1, "everybody who is told says so, once");
    }
    assert_eq!(operations(&world), 0);
}

#[test]
fn pieces_that_are_sent_to_one_member_each_convict_once_and_together() {
    let mut world = network(72);
    // each honest member hears of another one first: none of them is in f + 1 lists until they tell each other
    for member in 0..3 {
        let piece = Operation::Evidence(evidence(&world, 7, u8::try_from(member).unwrap()).into());
        tell(&mut world, member, &piece);
    }
    until_fault(&mut world);
    agree(&mut world);
    assert_eq!(convicted(&world), [(Finding::ListEquivocation, BAD)]);
    assert!(operations(&world) < 3, "at most the others of the slot");
}

#[test]
fn what_proves_nothing_is_refused_and_in_no_log() {
    let mut world = network(73);
    let Evidence::ListDouble { a, a_sig, b, mut b_sig } = evidence(&world, 7, 1) else { panic!() };
    b_sig.0[5] ^= 1;
    let forged = Operation::Evidence(Evidence::ListDouble { a, a_sig, b, b_sig }.into());
    for _ in 0..20 {
        tell(&mut world, 0, &forged);
    }
    let junk = wire::Items {
        operations: vec![vec![9; 40], vec![0; limits::OPERATION_BYTES_MAX + 1]],
        ..wire::Items::default()
    };
    world.inject(BAD, 1, Channel::Items, codec::encode(&junk));
    world.open(5);
    let refused = |member: usize, reason: Reason| {
        let of = |reject: &&(Option<MemberId>, Reason, &str)| **reject == (Some(id(BAD)), reason, "operation");
        world.members[member].rejects.iter().filter(of).count()
    };
    assert_eq!(refused(0, Reason::WrongSignature), 8, "a few are looked at in a slot");
    assert_eq!(refused(1, Reason::MalformedData), 2);
    assert_eq!((convicted(&world), operations(&world)), (vec![], 0));
    assert!(world.members.iter().all(|member| member.evidence.is_empty()));
}

#[test]
fn a_member_that_lacks_a_listed_operation_fetches_it() {
    let mut world = network(74);
    // nothing of it reaches member 2 but by being asked for
    world.filter = Box::new(|passing| {
        let items = |bytes: &[u8]| codec::decode::<wire::Items>(bytes, 1 << 20).unwrap();
        let lost = passing.to == 2 && passing.channel == Channel::Items && !items(passing.bytes).operations.is_empty();
        if lost { Fate::Lost } else { Fate::Arrives }
    });
    two_lists(&mut world, 0);
    until_fault(&mut world);
    agree(&mut world);
    assert_eq!(convicted(&world), [(Finding::ListEquivocation, BAD)]);
    assert_eq!(world.members[2].evidence.len(), 1);
}

#[test]
fn a_restart_lists_again_what_was_found() {
    let mut world = network(75);
    world.consensus.paused = true;
    world.pass(1_500);
    // nobody hears of it, and the finder stops
    world.filter = Box::new(|passing| if passing.channel == Channel::Items { Fate::Lost } else { Fate::Arrives });
    two_lists(&mut world, 0);
    world.pass(20);
    assert_eq!(world.members[0].disk.operations.len(), 1);
    world.crash(0);
    world.pass(100);
    world.start(0);
    world.filter = Box::new(|_| Fate::Arrives);
    world.go_on();
    until_fault(&mut world);
    agree(&mut world);
    assert_eq!(convicted(&world), [(Finding::ListEquivocation, BAD)]);
    // whoever starts from that log knows that it is there
    for member in 0..3 {
        world.crash(member);
        world.start(member);
    }
    for member in 0..3 {
        two_lists(&mut world, member);
    }
    agree(&mut world);
    assert_eq!(convicted(&world), [(Finding::ListEquivocation, BAD)]);
    assert!(world.members.iter().take(3).all(|member| member.disk.operations.is_empty()), "the WAL lets go of it");
}

/// A member could sign contradictions of any epoch to fill the log, or to be done with before it really equivocates.
#[test]
fn evidence_of_another_time_is_worth_nothing_and_hides_nothing() {
    let mut world = World::new(Net::short_epochs(), 76);
    world.guilty.insert(BAD);
    world.open(34);
    let of = |world: &World, slot: u64| Operation::Evidence(evidence(world, slot, 1).into());
    for slot in [3, 15, 70, 4_000] {
        let piece = of(&world, slot);
        (0..3).for_each(|member| tell(&mut world, member, &piece));
    }
    world.open(37);
    assert_eq!((convicted(&world), operations(&world)), (vec![], 0));
    assert!(world.members.iter().all(|member| member.evidence.is_empty() && member.disk.operations.is_empty()));

    // of the epoch before it convicts, and what it does in this one convicts again
    let piece = of(&world, 31);
    tell(&mut world, 1, &piece);
    until_fault(&mut world);
    two_lists(&mut world, 1);
    world.until(40_000, "a second FAULT", |w| convicted(w).len() == 2);

    // of the next epoch it waits until that has begun
    let piece = of(&world, 50);
    tell(&mut world, 2, &piece);
    world.open(46);
    assert_eq!(convicted(&world).len(), 2);
    world.open(52);
    assert_eq!(convicted(&world), [(Finding::ListEquivocation, BAD); 3]);
    agree(&mut world);
    assert_eq!(operations(&world), 0);
}
