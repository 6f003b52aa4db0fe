// Goal: in the network: a builder that signs two bids of one seq is convicted in every log, once for a
// slot, pays and is barred, whoever holds which; an honest one never is. Method: two bids at several members, by clients
// and by a member that follows no rules; what ledgers and an auditor say.
use crate::common::{
    Fate, Net, World,
    net::wallet,
    wire,
    world::{faults, kind, slashes},
};
use auction_rules::Act;
use sequencer::Channel;
use types::{
    Amount, Bid, Evidence, Hash, Kind, Operation, codec,
    reason::{Finding, Reason},
};

const RESERVE: u128 = 10_000_000_000_000;
const BOND: u128 = 1_000_000_000_000_000_000;
/// A tenth of the bond, which is more than ten reserves.
const SLASH: u128 = BOND / 10;

fn sold(world: &mut World) -> u64 {
    let last = world.members.iter().filter_map(|m| m.machine.as_ref()).map(|m| m.last_final().0).max().unwrap();
    world.open(last.max(1));
    world.machine(0).last_final().0 + 2
}

fn word(builder: usize) -> Hash {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&wallet(builder).address().0);
    Hash(word)
}

fn bond(world: &World, builder: usize) -> u128 {
    world.machine(0).account(&wallet(builder).address()).account.unwrap().bond.units()
}

fn until_slash(world: &mut World) {
    world.until(40_000, "a FAULT", |w| !slashes(w.net, &w.log).is_empty());
}

fn network(net: &'static Net, seed: u64, builder: usize) -> World {
    let mut world = World::new(net, seed);
    world.guilty_builders.insert(wallet(builder).address());
    world.open(1);
    world
}

/// Some slots later everybody has the same log, and an auditor finds nothing in it.
fn agree(world: &mut World) {
    let slot = world.members.iter().map(|m| m.disk.slot.0).max().unwrap();
    world.open(slot + 3);
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn two_bids_of_one_seq_cost_their_builder_once_and_bar_it() {
    let net = Net::short_epochs();
    let mut world = network(net, 91, 1);
    let slot = sold(&mut world);
    for (member, units) in [(0, 8), (1, 6), (2, 5)] {
        world.bid(member, &net.bid(1, slot, 0, Some(units * RESERVE)));
    }
    world.bid(3, &net.bid(2, slot, 0, Some(3 * RESERVE)));
    until_slash(&mut world);
    agree(&mut world);
    let all = slashes(net, &world.log);
    assert_eq!(
        all.iter().map(|(finding, who, took, _)| (*finding, *who, *took)).collect::<Vec<_>>(),
        [(Finding::BidDouble, word(1), SLASH)]
    );
    assert_eq!(bond(&world, 1), BOND - SLASH);
    assert!(faults(net, &world.log).is_empty());
    for member in 0..4 {
        assert_eq!(world.members[member].evidence.len(), 1, "everybody says so, once");
    }
    // barred in this epoch and the next
    let next = sold(&mut world);
    let barred = world.bid(0, &net.bid(1, next, 0, Some(4 * RESERVE)));
    world.open(next);
    let told = |world: &World, ticket| world.replies[&ticket].as_ref().err().and_then(|refusal| refusal.known());
    assert_eq!(told(&world, barred), Some(Reason::NotActive));
    world.open(33);
    let later = sold(&mut world);
    let again = world.bid(0, &net.bid(1, later, 0, Some(4 * RESERVE)));
    world.open(later);
    assert_eq!(told(&world, again), None);
    assert_eq!(slashes(net, &world.log).len(), 1);
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn replaced_bids_and_copies_cost_nothing() {
    let net = Net::four();
    let mut world = World::new(net, 92);
    world.open(1);
    let slot = sold(&mut world);
    let bid = net.bid(1, slot, 0, Some(8 * RESERVE));
    for member in 0..4 {
        world.bid(member, &bid);
    }
    world.bid(2, &net.bid(1, slot, 1, Some(2 * RESERVE)));
    let next = slot + 1;
    world.open(slot - 1);
    world.bid(2, &net.bid(1, next, 1, Some(2 * RESERVE)));
    agree(&mut world);
    assert!(slashes(net, &world.log).is_empty());
    assert!(world.members.iter().all(|member| member.evidence.is_empty()));
}

/// A member that follows no rules gives one bid to one honest member and the other to another, and says nothing to the
/// rest: nobody holds both until the block names them.
#[test]
fn whoever_lacks_one_of_the_two_asks_for_it() {
    let net = Net::four();
    let mut world = network(net, 93, 1);
    let slot = sold(&mut world);
    let two = [net.bid(1, slot, 0, Some(8 * RESERVE)), net.bid(1, slot, 0, Some(6 * RESERVE))];
    let tell = |world: &mut World, to: usize, bid: &Bid| {
        let items = wire::Items { bids: vec![codec::encode(bid)], ..wire::Items::default() };
        world.inject(3, to, Channel::Items, codec::encode(&items));
    };
    for (to, bid) in [(0, &two[0]), (1, &two[0]), (1, &two[1]), (2, &two[1])] {
        tell(&mut world, to, bid);
    }
    // what member 1 finds stays with it for a while
    world.filter =
        Box::new(
            |passing| {
                if passing.from == 1 && passing.channel == Channel::Items { Fate::Lost } else { Fate::Arrives }
            },
        );
    world.open(slot);
    assert!(!world.members[0].evidence.is_empty() && !world.members[2].evidence.is_empty(), "the blocks named both");
    world.filter = Box::new(|_| Fate::Arrives);
    until_slash(&mut world);
    agree(&mut world);
    assert_eq!(slashes(net, &world.log).len(), 1);
    assert_eq!(bond(&world, 1), BOND - SLASH);
}

/// Keys cost nothing: contradictions of strangers would fill the room of evidence for ever.
#[test]
fn evidence_against_nobodys_bond_is_worth_nothing() {
    let net = Net::four();
    let mut world = network(net, 94, 12);
    let slot = world.machine(0).last_final().0 + 5;
    let piece = crypto::evidence::bids(&net.bid(12, slot, 0, Some(1)), &net.bid(12, slot, 0, Some(2)));
    let tell = |world: &mut World, piece: &Evidence| {
        let operation = codec::encode(&Operation::Evidence(piece.clone().into()));
        for to in 0..3 {
            let items = wire::Items { operations: vec![operation.clone()], ..wire::Items::default() };
            world.inject(3, to, Channel::Items, codec::encode(&items));
        }
    };
    tell(&mut world, &piece);
    world.open(6);
    assert!(slashes(net, &world.log).is_empty());
    assert!(world.members.iter().all(|member| member.disk.operations.is_empty()));
    // a builder's counts whenever its slot is
    world.guilty_builders.insert(wallet(2).address());
    let ahead = slot + 40;
    let piece = crypto::evidence::bids(&net.bid(2, ahead, 0, Some(1)), &net.bid(2, ahead, 0, Some(2)));
    tell(&mut world, &piece);
    until_slash(&mut world);
    agree(&mut world);
    assert_eq!(slashes(net, &world.log)[0].1, word(2));
    assert_eq!(bond(&world, 2), BOND - SLASH, "in this epoch, whichever of its slots");
}

#[test]
fn a_slash_comes_before_what_its_builder_asks_for_in_the_slot() {
    let net = Net::four();
    let mut world = network(net, 95, 1);
    let slot = sold(&mut world);
    for units in [8, 6] {
        world.bid(0, &net.bid(1, slot, 0, Some(units * RESERVE)));
    }
    let all = Act::Unbond { amount: Amount::new(BOND).unwrap() };
    world.operate(0, &net.ask(1, 0, 0, all));
    until_slash(&mut world);
    agree(&mut world);
    let entered = world.log.iter().map(|entry| kind(entry)).find(|kind| matches!(kind, Kind::Operation { .. }));
    assert_eq!(entered.map(|kind| kind.slot()), Some(slashes(net, &world.log)[0].3), "both in one slot");
    // what was slashed is not there to be unbonded
    let state = world.machine(0).account(&wallet(1).address());
    assert_eq!((state.operation_nonce, state.unbonding), (1, Amount::ZERO));
    assert_eq!(state.free_bond.units(), BOND - SLASH);
}
