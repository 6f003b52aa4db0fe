// Goal: SEQ-1 over crashes: nothing acknowledged is lost, nothing is signed twice, the log is the same. Method: power is lost
// between any two effects of one member, or of all; staged entries survive or do not; clients send again.
use crate::common::{Fate, Inside, Net, Order, Rng, World, net::wallet};
use crypto::eip712;
use types::{Envelope, Hash, Params, Slot};

/// Envelopes of wallets and nonces, with the member that they go to.
fn traffic(net: &Net, wallets: usize, nonces: u64) -> Vec<(usize, Hash, Envelope)> {
    let mut all = Vec::new();
    for nonce in 0..nonces {
        for wallet in 0..wallets {
            let inside = if wallet % 3 == 0 { Inside::Transfer } else { Inside::Junk };
            let (hash, envelope) = net.envelope(&Order::new(wallet, nonce, inside));
            all.push((wallet % net.n, hash, envelope));
        }
    }
    all
}

/// Everything for which there is a receipt is in a set, at every member; the logs are one.
fn nothing_is_lost(world: &mut World) {
    world.until(60_000, "all members run", |w| w.members.iter().all(|m| m.machine.is_some()));
    let acknowledged: Vec<Hash> = world.acknowledged().into_iter().collect();
    assert!(!acknowledged.is_empty());
    world.executed(&acknowledged);
    let heads: Vec<_> = world.members.iter().map(|m| m.disk.slot).collect();
    let low = heads.iter().min().unwrap().0;
    world.open(low + 2);
    // all logs are one (SEQ-3 is held at every entry): an auditor reads one of them
    let member = usize::try_from(world.seed).unwrap() % world.net.n;
    world.audit(member);
}

#[test]
fn seq_1_one_member_loses_power_between_any_two_effects() {
    let net = Net::four();
    for round in 0..24u64 {
        let mut world = World::new(net, 100 + round);
        for (member, _, envelope) in traffic(net, 8, 1) {
            world.submit(member, &envelope);
        }
        // the first twelve effects one by one, then wider apart
        world.members[1].crash_in = Some(if round < 12 { round } else { 12 + 5 * (round - 12) });
        world.members[1].down_ms = 100 + 40 * (round % 20);
        world.until(20_000, "the crash has been", |w| w.members[1].crashes == 1 && w.members[1].machine.is_some());
        // clients that got no answer send again
        for (member, _, envelope) in traffic(net, 8, 1) {
            world.submit(member, &envelope);
        }
        nothing_is_lost(&mut world);
    }
}

#[test]
fn seq_1_all_members_lose_power_at_any_time() {
    for seed in 200..206u64 {
        let net = if seed % 4 == 0 { Net::seven() } else { Net::narrow() };
        let mut world = World::new(net, seed);
        let mut rng = Rng(seed);
        let all = traffic(net, 10, 2);
        for round in 0..3 {
            for (member, _, envelope) in &all {
                world.submit(*member, envelope);
            }
            for member in net.members() {
                let down = 50 + rng.below(700);
                world.members[member].crash_in = Some(rng.below(60));
                world.members[member].down_ms = down;
            }
            world.until(60_000, "all have crashed and run again", |w| {
                w.members.iter().all(|m| m.crashes > round && m.machine.is_some())
            });
        }
        nothing_is_lost(&mut world);
    }
}

#[test]
fn seq_1_power_is_lost_everywhere_at_once() {
    for seed in 300..305u64 {
        let net = Net::narrow();
        let mut world = World::new(net, seed);
        let all = traffic(net, 12, 2);
        for (member, _, envelope) in &all {
            world.submit(*member, envelope);
        }
        for round in 0..4u64 {
            world.pass(120 + 97 * ((seed + round) % 11));
            for member in net.members() {
                world.crash(member);
            }
            world.pass(20);
            for member in net.members() {
                world.start(member);
            }
            // the receipt of an item is the same, however often it is sent
            for (member, _, envelope) in &all {
                world.submit(*member, envelope);
            }
        }
        nothing_is_lost(&mut world);
    }
}

#[test]
fn seq_1_two_members_are_a_slot_ahead_when_power_is_lost() {
    // Members 0 and 1 have opened slot h and committed h + 1; 2 and 3 have not opened h. Nobody's own shares of h suffice.
    let net = Net::four();
    let mut world = World::new(net, 61);
    let all = traffic(net, 8, 2);
    for (member, _, envelope) in &all {
        world.submit(*member, envelope);
    }
    world.open(2);
    world.filter = Box::new(|passing| match passing.channel {
        sequencer::Channel::Shares | sequencer::Channel::Fetch if passing.to >= 2 => Fate::Lost,
        _ => Fate::Arrives,
    });
    // a block needs a third vote: slot h + 1 is an empty one, made final while 2 and 3 still wait for shares of h
    let next = world.consensus.chain.len();
    world.consensus.withheld.insert(u64::try_from(next).unwrap());
    world.until(20_000, "two members are a slot ahead", |w| {
        let slot = |m: usize| w.members[m].disk.slot.0;
        slot(0) == slot(1) && slot(2) == slot(3) && slot(0) > slot(2)
    });
    world.consensus.paused = true;
    for member in net.members() {
        world.crash(member);
    }
    world.filter = Box::new(|_| Fate::Arrives);
    for member in net.members() {
        world.start(member);
    }
    world.pass(500);
    world.go_on();
    nothing_is_lost(&mut world);
}

#[test]
fn seq_1_chains_of_envelopes_survive_a_restart_of_all() {
    // Pending envelopes that hang on others: nonces of one account, and `after` over payers.
    let net = Net::four();
    let mut world = World::idle(net, 62);
    // messages of one member to another arrive in their order
    world.filter = Box::new(|_| Fate::Late(1));
    let mut hashes = Vec::new();
    let mut last: Option<(usize, Hash)> = None;
    for (payer, nonce) in [(4, 0), (4, 1), (2, 0), (7, 0), (7, 1), (4, 2)] {
        let mut order = Order::new(payer, nonce, Inside::Junk);
        if let Some((before, unit)) = last {
            order.after = vec![unit];
            if before != payer {
                let digest = eip712::consent_digest(&net.id, &unit, &wallet(payer).address(), types::Nonce(nonce));
                order.consents = vec![wallet(before).sign(&digest)];
            }
        }
        let (hash, envelope) = net.envelope(&order);
        world.submit(0, &envelope);
        hashes.push(hash);
        last = Some((payer, hash));
    }
    world.pass(300);
    assert_eq!(world.acknowledged().len(), hashes.len());
    for member in net.members() {
        assert_eq!(world.machine(member).pending().0, hashes.len(), "relayed to member {member}");
        world.crash(member);
        world.start(member);
    }
    world.pass(300);
    for member in net.members() {
        assert_eq!(world.machine(member).pending().0, hashes.len(), "still at member {member}");
    }
    world.begin();
    world.executed(&hashes);
    world.audit(0);
}

#[test]
fn seq_1_a_set_that_names_a_unit_at_the_edge_of_memory_is_opened_after_a_restart() {
    // The named unit was closed so long ago that the ledger forgets it with the very close that includes the second.
    let net: &'static Net = Box::leak(Box::new(Net::new(
        4,
        Params { expiry_slots_max: 3, ..Params::default_for(crate::common::net::SLOT_MS) },
    )));
    let mut world = World::new(net, 63);
    let (first, envelope) = net.envelope(&Order { expiry: 3, ..Order::new(1, 0, Inside::Junk) });
    world.submit(0, &envelope);
    world.executed(&[first]);
    let types::wire::Status::Executed { slot, .. } = world.machine(0).status(&first) else { panic!("executed") };
    let edge = Slot(slot.0 + 3);
    world.until(20_000, "the slot before", |w| w.machine(0).opened() == edge.prev());
    let order = Order { expiry: edge.0 + 1, after: vec![first], ..Order::new(1, 1, Inside::Junk) };
    let (second, envelope) = net.envelope(&order);
    for member in net.members() {
        world.submit(member, &envelope);
    }
    world.filter = Box::new(|passing| match passing.channel {
        sequencer::Channel::Shares => Fate::Lost,
        _ => Fate::Arrives,
    });
    world.until(10_000, "the second is fixed", |w| {
        (0..4).all(|m| w.machine(m).status(&second) == types::wire::Status::Fixed { slot: edge })
    });
    for member in net.members() {
        world.crash(member);
        world.start(member);
    }
    world.filter = Box::new(|_| Fate::Arrives);
    world.executed(&[second]);
    world.audit(0);
}

#[test]
fn seq_1_an_envelope_acknowledged_just_before_a_crash_comes_to_all() {
    // The receipt is out, the relay is not.
    let net = Net::four();
    let mut world = World::new(net, 64);
    world.filter = Box::new(|passing| match passing.channel {
        sequencer::Channel::Items => Fate::Lost,
        _ => Fate::Arrives,
    });
    let (hash, envelope) = net.envelope(&Order::new(3, 0, Inside::Transfer));
    world.submit(2, &envelope);
    world.until(1_000, "the receipt", |w| w.receipts.contains_key(&(hash, 2)));
    world.crash(2);
    world.filter = Box::new(|_| Fate::Arrives);
    world.pass(1_000);
    world.start(2);
    nothing_is_lost(&mut world);
}

#[test]
fn a_restart_answers_about_what_was_included() {
    let net = Net::four();
    let mut world = World::new(net, 65);
    let all = traffic(net, 6, 1);
    for (member, _, envelope) in &all {
        world.submit(*member, envelope);
    }
    let hashes: Vec<Hash> = all.iter().map(|(_, hash, _)| *hash).collect();
    world.executed(&hashes);
    let before: Vec<_> = hashes.iter().map(|hash| world.machine(1).status(hash)).collect();
    world.crash(1);
    world.start(1);
    let after: Vec<_> = hashes.iter().map(|hash| world.machine(1).status(hash)).collect();
    let placed = |status: &types::wire::Status| match status {
        types::wire::Status::Executed { slot, index, .. } | types::wire::Status::Opened { slot, index } => {
            Some((*slot, *index))
        }
        types::wire::Status::Fixed { slot } => Some((*slot, u32::MAX)),
        _ => None,
    };
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(placed(before).map(|p| p.0), placed(after).map(|p| p.0));
    }
    assert_eq!(world.machine(1).last_final(), world.members[1].disk.slot);
}
