// Goal: the empty-block rule (engine.md section 4), SEQ-4 and the order of sections around empty blocks. Method: some heights
// get no finalize votes of their own, so that only an empty descendant makes them final; single verdicts are asked for.
use crate::common::{Fate, Inside, Net, Order, World, world::kind};
use sequencer::{Refused, Ticket};
use types::{Hash, Kind, Slot, codec};

fn submit(world: &mut World, nonces: u64) -> Vec<Hash> {
    let net = world.net;
    let mut hashes = Vec::new();
    for nonce in 0..nonces {
        for wallet in 0..8 {
            let inside = if wallet % 2 == 0 { Inside::Transfer } else { Inside::Junk };
            let (hash, envelope) = net.envelope(&Order::new(wallet, nonce, inside));
            world.submit(wallet % net.n, &envelope);
            hashes.push(hash);
        }
    }
    hashes
}

/// Names of entries from the first CLOSE on, without lists and envelopes.
fn story(world: &World) -> Vec<String> {
    let kinds = world.log.iter().map(|entry| kind(entry));
    let told = kinds.filter_map(|kind| match &kind {
        Kind::Close { header, .. } if header.lists.count == 0 => Some(format!("CLOSE {} empty", kind.slot())),
        Kind::Close { .. } | Kind::Beacon { .. } | Kind::Order { .. } | Kind::Exec { .. } => {
            Some(format!("{} {}", kind.name(), kind.slot()))
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn seq_4_a_block_without_its_own_votes_is_opened_through_an_empty_one() {
    let mut world = World::new(Net::four(), 31);
    world.consensus.withheld.extend([2]);
    let hashes = submit(&mut world, 2);
    world.open(5);
    world.executed(&hashes);
    let story = story(&world);
    let around = |slot: u64| story.iter().position(|line| *line == format!("CLOSE {slot}")).unwrap();
    let begin = around(2);
    let wanted =
        ["CLOSE 2", "BEACON 2", "ORDER 2", "CLOSE 3 empty", "BEACON 3", "ORDER 3", "EXEC 2", "EXEC 3", "CLOSE 4"];
    assert_eq!(story[begin..begin + wanted.len()], wanted);
    // nobody signed a list for slot 3 that counts, and every member goes on listing
    assert!(world.log.iter().map(|entry| kind(entry)).all(|k| !matches!(k, Kind::List { slot: Slot(3), .. })));
    (0..4).for_each(|member| world.audit(member));
}

#[test]
fn seq_4_a_chain_of_empty_blocks_ends() {
    for seed in [32, 33] {
        let mut world = World::new(Net::seven(), seed);
        world.delay_max = 40;
        world.consensus.withheld.extend([1, 2, 3, 6]);
        let hashes = submit(&mut world, 2);
        world.open(9);
        world.executed(&hashes);
        let empty: Vec<String> = story(&world).into_iter().filter(|line| line.ends_with("empty")).collect();
        assert_eq!(empty[..3], ["CLOSE 2 empty", "CLOSE 3 empty", "CLOSE 4 empty"], "seed {seed}");
        world.audit(3);
    }
}

#[test]
fn seq_4_lost_shares_and_empty_blocks_together() {
    let mut world = World::new(Net::four(), 34);
    world.consensus.withheld.extend([2, 5]);
    world.filter = Box::new(|passing| match passing.channel {
        sequencer::Channel::Shares if passing.to == 1 => Fate::Lost,
        _ => Fate::Arrives,
    });
    let hashes = submit(&mut world, 2);
    world.open(7);
    world.executed(&hashes);
    world.audit(1);
}

/// A world whose height 2 is certified and not final, an empty block on it, and where it would be.
fn on_a_parent_that_is_not_final(seed: u64) -> (World, Vec<u8>, Vec<u8>, sequencer::At) {
    let mut world = World::new(Net::four(), seed);
    world.consensus.withheld.extend([2]);
    world.until(20_000, "height 2 is certified", |w| w.consensus.chain.len() == 3);
    world.consensus.paused = true;
    world.pass(200);
    let parent = world.consensus.tip().bytes.clone();
    world.consensus.leader = Some(0);
    let at = world.consensus.at(world.net, world.consensus.view + 1);
    let ticket = world.ask_build(0, &parent, at);
    world.until(400, "the leader fills in", |w| w.built.contains_key(&ticket));
    let block = world.built[&ticket].clone().unwrap();
    assert!(sequencer::open(&block).unwrap().block.lists.is_none());
    (world, block, parent, at)
}

fn verdict(world: &World, ticket: Ticket) -> Option<Result<(), Refused>> {
    world.checked.get(&ticket).copied()
}

#[test]
fn seq_5_an_empty_block_is_pending_until_fill_after_then_valid() {
    let (mut world, block, parent, at) = on_a_parent_that_is_not_final(35);
    let ticket = world.ask_check(1, &block, &parent, at);
    world.pass(245);
    assert_eq!(verdict(&world, ticket), None);
    world.pass(10);
    assert_eq!(verdict(&world, ticket), Some(Ok(())));
}

#[test]
fn seq_5_an_empty_block_is_refused_once_its_parent_is_opened() {
    let (mut world, block, parent, at) = on_a_parent_that_is_not_final(36);
    let pending = world.ask_check(1, &block, &parent, at);
    world.pass(100);
    assert_eq!(verdict(&world, pending), None);
    world.certify_tip();
    world.until(100, "the parent is final", |w| w.machine(1).last_final() == Slot(2));
    world.open(2);
    assert_eq!(verdict(&world, pending), Some(Err(Refused::EmptyLate)));
    let again = world.ask_check(1, &block, &parent, at);
    world.pass(600);
    assert_eq!(verdict(&world, again), Some(Err(Refused::EmptyLate)));
    // the leader of the next view has opened the parent, and proposes lists
    world.open(2);
    let ticket = world.ask_build(2, &parent, sequencer::At { leader: crate::common::id(2), ..at });
    world.until(1_000, "a block is built", |w| w.built.contains_key(&ticket));
    assert!(sequencer::open(world.built[&ticket].as_ref().unwrap()).unwrap().block.lists.is_some());
    world.go_on();
    world.open(4);
}

#[test]
fn seq_4_parent_final_but_not_opened_gives_no_block_until_it_is() {
    let mut world = World::new(Net::four(), 37);
    world.filter = Box::new(|passing| match passing.channel {
        sequencer::Channel::Shares | sequencer::Channel::Fetch if passing.now < crate::common::world::START + 9_000 => {
            Fate::Lost
        }
        _ => Fate::Arrives,
    });
    world.until(5_000, "block 1 is final", |w| (0..4).all(|m| w.machine(m).last_final() == Slot(1)));
    world.consensus.paused = true;
    world.pass(10);
    let parent = world.consensus.tip().bytes.clone();
    let at = world.consensus.at(world.net, world.consensus.view + 1);
    let leader = usize::from(at.leader.0);
    let ticket = world.ask_build(leader, &parent, at);
    world.pass(2_000);
    assert_eq!(world.built.get(&ticket), None, "neither lists nor an empty block");
    assert!((0..4).all(|m| world.members[m].disk.list.as_ref().unwrap().0 == Slot(1)), "SEQ-4: no list of slot 2");
    world.until(10_000, "a block is built", |w| w.built.contains_key(&ticket));
    assert!(sequencer::open(world.built[&ticket].as_ref().unwrap()).unwrap().block.lists.is_some());
    assert_eq!(codec::encode(&sequencer::open(&parent).unwrap().block), parent);
}

#[test]
fn seq_5_final_means_delivered_though_the_slot_before_is_not_opened_here() {
    // Member 1 hears that heights 2 and 3 are final while it still waits for the shares of slot 1.
    let mut world = World::new(Net::four(), 38);
    world.filter = Box::new(|passing| match passing.channel {
        sequencer::Channel::Shares | sequencer::Channel::Fetch if passing.to == 1 => Fate::Lost,
        _ => Fate::Arrives,
    });
    world.until(20_000, "height 3 is final", |w| w.consensus.final_height() >= 3);
    world.consensus.paused = true;
    world.pass(300);
    assert_eq!(world.machine(1).last_final(), Slot(1));
    let parent = world.consensus.tip().bytes.clone();
    let at = world.consensus.at(world.net, world.consensus.view + 1);
    let build = world.ask_build(1, &parent, sequencer::At { leader: crate::common::id(1), ..at });
    world.pass(1_000);
    assert_eq!(world.built.get(&build), None, "its parent is final: no empty block");
    // but one of a member that does not know it is valid: nothing else would tell those who send no shares for it
    let mut empty = types::Block::genesis(world.net.id);
    let tip = world.consensus.tip();
    empty.header.height = tip.header.height.next();
    empty.header.view = at.view;
    empty.header.proposer = at.leader;
    empty.header.parent = tip.digest;
    empty.header.time_ms = tip.header.time_ms.next();
    let tickets: Vec<Ticket> = [1, 2].map(|member| world.ask_check(member, &codec::encode(&empty), &parent, at)).into();
    world.pass(1_000);
    assert_eq!(verdict(&world, tickets[0]), Some(Ok(())));
    assert_eq!(verdict(&world, tickets[1]), Some(Err(Refused::EmptyLate)), "where it is opened, it is late");
}
