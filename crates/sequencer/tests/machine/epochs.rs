// Goal: epochs follow each other in the log and at every member, over empty blocks and restarts, and pending envelopes
// survive. Method: epochs of 16 slots, of which the 12th announces the next; the auditor reads the logs.
use crate::common::{Inside, Net, Order, Rng, World, net::id, wire, world::kind};
use crypto::change;
use sequencer::Input;
use types::{
    Change, Epoch, Hash, Kind, MemberId, Operation, Params, RevealMode, Seat, ShareMode, SignedChange, Slot, VoteSig,
    codec, reason::Reason,
};

/// Envelopes of epoch 0 that wait until their wallets' lower nonces come, and some that are sent at once.
fn submit(world: &mut World, nonces: core::ops::Range<u64>) -> Vec<Hash> {
    let net = world.net;
    let mut hashes = Vec::new();
    for nonce in nonces {
        for wallet in 0..6 {
            let inside = if wallet % 2 == 0 { Inside::Transfer } else { Inside::Junk };
            let (hash, envelope) = net.envelope(&Order::new(wallet, nonce, inside));
            world.submit(wallet % net.n, &envelope);
            hashes.push(hash);
        }
    }
    hashes
}

/// Every EPOCH with the slot of the CLOSE that follows it.
fn announced(world: &World) -> Vec<(Epoch, Slot)> {
    let mut told = Vec::new();
    let mut epochs = Vec::new();
    for entry in &world.log {
        match kind(entry) {
            Kind::Epoch(record) => epochs.push(record.epoch),
            Kind::Close { slot, .. } => told.extend(epochs.drain(..).map(|epoch| (epoch, slot))),
            _ => {}
        }
    }
    told
}

#[test]
fn epochs_follow_each_other_and_pending_envelopes_survive() {
    let mut world = World::new(Net::short_epochs(), 51);
    let mut hashes = submit(&mut world, 0..2);
    world.open(17);
    // sealed for epoch 0, first seen in epoch 1
    hashes.extend(submit(&mut world, 2..3));
    world.open(40);
    world.executed(&hashes);
    let told = announced(&world);
    assert_eq!(told, [(Epoch(0), Slot(1)), (Epoch(1), Slot(11)), (Epoch(2), Slot(27))]);
    let starts = &world.members[0].epochs;
    assert_eq!(starts.iter().map(|s| s.epoch).collect::<Vec<_>>(), [Epoch(1), Epoch(2)]);
    assert_eq!(starts[0].parent, world.consensus.final_digest(Slot(15)).unwrap());
    assert_ne!(starts[0].leader_seed, starts[1].leader_seed);
    for member in 0..4 {
        assert_eq!(&world.members[member].epochs, starts);
        assert_eq!(world.machine(member).epoch_start(), starts[1]);
        world.audit(member);
    }
}

#[test]
fn empty_blocks_may_stand_where_epochs_are_announced_and_end() {
    for (seed, withheld) in [(52, vec![10, 11]), (53, vec![11, 12, 13]), (54, vec![14]), (55, vec![26, 30])] {
        let mut world = World::new(Net::short_epochs(), seed);
        world.consensus.withheld.extend(withheld);
        let hashes = submit(&mut world, 0..2);
        world.open(35);
        world.executed(&hashes);
        assert_eq!(announced(&world), [(Epoch(0), Slot(1)), (Epoch(1), Slot(11)), (Epoch(2), Slot(27))]);
        (0..4).for_each(|member| world.audit(member));
    }
}

#[test]
fn members_that_start_again_anywhere_know_their_epoch() {
    for seed in 56..62u64 {
        let net = Net::short_epochs();
        let mut world = World::new(net, seed);
        let mut rng = Rng(seed);
        let hashes = submit(&mut world, 0..2);
        // around the announcement, around the end, and in the next epoch
        for (round, slot) in [(0, 10), (1, 14), (2, 17)] {
            world.open(slot);
            for member in net.members() {
                world.members[member].crash_in = Some(rng.below(80));
                world.members[member].down_ms = 50 + rng.below(700);
            }
            world.until(60_000, "all have crashed and run again", |w| {
                w.members.iter().all(|m| m.crashes > round && m.machine.is_some())
            });
        }
        world.open(34);
        world.executed(&hashes);
        let start = world.machine(0).epoch_start();
        assert_eq!(start.epoch, Epoch(2));
        for member in net.members() {
            assert_eq!(world.machine(member).epoch_start(), start, "seed {seed}: m{member}");
            world.audit(member);
        }
    }
}

/// Other parameters, with the word of three of four.
fn change(world: &World, alter: impl FnOnce(&mut Params)) -> Operation {
    let current = world.machine(0).epochs().last().clone();
    let seats = (0..4).map(|member| Seat::Stays(MemberId(member))).collect();
    let mut change = Change {
        network: current.network,
        until: Epoch(9),
        base: change::base(&current),
        seats,
        params: current.params.clone(),
    };
    alter(&mut change.params);
    let digest = change::approval(&change);
    let approve =
        |member: usize| VoteSig { member: id(member), sig: world.net.voters.keys[member].sign(digest.as_bytes()) };
    let approvals = (1..4).map(approve).collect();
    Operation::Change(Box::new(SignedChange { change, approvals, acceptances: Vec::new() }))
}

#[test]
fn parameters_change_with_an_epoch_at_every_member_and_pending_envelopes_survive() {
    let mut world = World::new(Net::short_epochs(), 63);
    let mut hashes = submit(&mut world, 0..2);
    world.open(5);
    let wanted = change(&world, |params| params.account_slot_count = 3);
    let unsigned = match wanted.clone() {
        Operation::Change(mut signed) => {
            signed.approvals.pop();
            Operation::Change(signed)
        }
        other => other,
    };
    // handed in after the window of epoch 0: it waits for that of epoch 1
    let tickets = [wanted.clone(), wanted, unsigned].map(|operation| {
        let ticket = world.ticket();
        world.input_after(1, 2, Input::Operation { ticket, operation: codec::encode(&operation) });
        ticket
    });
    world.open(30);
    // sealed before, executed after
    hashes.extend(submit(&mut world, 2..4));
    world.open(37);
    world.executed(&hashes);
    assert_eq!((&world.taken[&tickets[0]], &world.taken[&tickets[1]]), (&Ok(()), &Ok(())));
    let refusal = world.taken[&tickets[2]].clone().unwrap_err();
    assert_eq!(refusal.known(), Some(Reason::WrongSignature));
    let entered = world.log.iter().filter_map(|entry| match kind(entry) {
        Kind::Operation { slot, .. } => Some(slot),
        _ => None,
    });
    let entered: Vec<_> = entered.collect();
    assert!(matches!(entered[..], [Slot(16..=19)]), "once, in the first quarter of epoch 1: {entered:?}");
    for member in 0..4 {
        let starts = &world.members[member].epochs;
        assert_eq!(starts.iter().map(|s| s.changed).collect::<Vec<_>>(), [false, true]);
        let record = world.machine(member).epochs().of(Epoch(2)).clone();
        assert_eq!(record.params.account_slot_count, 3);
        world.audit(member);
    }
}

/// Slots by the way that everybody's shares went.
fn sharded_slots(world: &World) -> Vec<Slot> {
    let mut sharded: Vec<Slot> = Vec::new();
    for (slot, bytes) in world.members.iter().flat_map(|member| &member.shares) {
        if matches!(wire::share(bytes).header.mode, ShareMode::Sharded { .. }) {
            sharded.push(*slot);
        }
    }
    sharded.sort_unstable();
    sharded.dedup();
    sharded
}

#[test]
fn who_combines_changes_with_an_epoch() {
    for (net, reveal) in [(Net::sharded(), RevealMode::Direct), (Net::short_epochs(), RevealMode::Sharded)] {
        let mut world = World::new(net, 64);
        let mut hashes = submit(&mut world, 0..2);
        let operation = codec::encode(&change(&world, |params| params.reveal = reveal));
        let ticket = world.ticket();
        world.input_after(1, 2, Input::Operation { ticket, operation });
        world.open(14);
        // in sets before and after the end of the epoch
        hashes.extend(submit(&mut world, 2..4));
        world.open(18);
        hashes.extend(submit(&mut world, 4..5));
        world.open(21);
        world.executed(&hashes);
        let sharded = sharded_slots(&world);
        match reveal {
            RevealMode::Sharded => assert!(sharded.iter().all(|slot| *slot >= Slot(16)) && sharded.len() > 4),
            RevealMode::Direct | RevealMode::Auto => {
                assert!(sharded.iter().all(|slot| *slot < Slot(16)) && sharded.len() == 15);
            }
        }
        (0..4).for_each(|member| world.audit(member));
    }
}
