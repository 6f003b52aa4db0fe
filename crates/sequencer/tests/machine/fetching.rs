// Goal: what a member lacks it gets, and what a bad member sends is survived and named. Method: messages of one kind are
// lost or forged for good.
use crate::common::{
    Fate, Inside, Net, Order, World, id,
    wire::{self, Fetch, Items},
};
use crypto::tdh2::SharePoint;
use sequencer::Channel;
use std::{cell::RefCell, rc::Rc};
use types::{
    G2Bytes, Hash, Key128, Leaf, MemberId, Opening, Slot, codec,
    reason::{Finding, Reason},
};

/// Wallets submit to members 0 to 2.
fn submit(world: &mut World, net: &Net, nonces: u64) -> Vec<Hash> {
    let mut hashes = Vec::new();
    for nonce in 0..nonces {
        for wallet in 0..9 {
            let (hash, envelope) = net.envelope(&Order::new(wallet, nonce, Inside::Junk));
            world.submit(wallet % 3, &envelope);
            hashes.push(hash);
        }
    }
    hashes
}

#[test]
fn seq_5_a_member_that_lacks_envelopes_fetches_them_and_votes() {
    let net = Net::four();
    let mut world = World::new(net, 11);
    let asked = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&asked);
    world.filter = Box::new(move |passing| match passing.channel {
        Channel::Items if passing.to == 3 => Fate::Lost,
        Channel::Fetch if passing.from == 3 => {
            *counter.borrow_mut() += u64::from(matches!(wire::fetch(passing.bytes), Fetch::GetItems(_)));
            Fate::Arrives
        }
        _ => Fate::Arrives,
    });
    // the other three need its vote
    world.crash(2);
    let hashes: Vec<Hash> = (0..6)
        .map(|wallet| {
            let (hash, envelope) = net.envelope(&Order::new(wallet, 0, Inside::Junk));
            world.submit(wallet % 2, &envelope);
            hash
        })
        .collect();
    world.executed(&hashes);
    assert!(*asked.borrow() > 0);
    world.audit(3);
}

#[test]
fn seq_1_an_acknowledged_envelope_is_included_although_relays_get_lost() {
    for seed in [12, 13] {
        let net = Net::four();
        let mut world = World::new(net, seed);
        let mut lost = crate::common::Rng(seed);
        world.filter = Box::new(move |passing| match passing.channel {
            Channel::Items if lost.below(10) < 7 => Fate::Lost,
            _ => Fate::Arrives,
        });
        let hashes = submit(&mut world, net, 3);
        world.executed(&hashes);
        assert_eq!(world.acknowledged().len(), hashes.len());
    }
}

#[test]
fn seq_3_a_member_whose_share_messages_get_lost_opens_by_what_others_opened() {
    let net = Net::four();
    let mut world = World::new(net, 14);
    world.filter = Box::new(|passing| match passing.channel {
        Channel::Shares if passing.to == 2 => Fate::Lost,
        _ => Fate::Arrives,
    });
    let hashes = submit(&mut world, net, 2);
    world.open(4);
    world.executed(&hashes);
    world.audit(2);
}

fn garbage_opening(bytes: &[u8]) -> Option<Vec<u8>> {
    match wire::fetch(bytes) {
        Fetch::Opening(mut section) => {
            section.sig = G2Bytes([0x55; 96]);
            section.openings.iter_mut().for_each(|o| *o = Opening::Key(Key128([1; 16])));
            Some(codec::encode(&Fetch::Opening(section)))
        }
        _ => None,
    }
}

#[test]
fn seq_3_a_garbage_opening_that_always_comes_first_keeps_nobody_waiting() {
    let net = Net::four();
    let mut world = World::new(net, 15);
    world.filter = Box::new(|passing| match passing.channel {
        Channel::Shares if passing.to == 2 => Fate::Lost,
        Channel::Fetch if passing.to == 2 && passing.from == 3 => {
            garbage_opening(passing.bytes).map_or(Fate::Arrives, Fate::Changed)
        }
        Channel::Fetch if passing.to == 2 => Fate::Late(150),
        _ => Fate::Arrives,
    });
    let hashes = submit(&mut world, net, 1);
    world.open(3);
    world.executed(&hashes);
    let named = (Some(id(3)), Reason::BadCiphertext, "share");
    assert!(world.members[2].rejects.contains(&named), "{:?}", world.members[2].rejects);
}

#[test]
fn seq_3_bad_shares_of_one_member_are_survived_and_named() {
    type Change = fn(&mut types::ShareMessage, &mut Vec<SharePoint>);
    let cases: [(&str, Change); 4] = [
        ("points swapped", |_, points| points.reverse()),
        ("one point of another unit", |_, points| {
            if let [a, .., b] = points.as_mut_slice() {
                *a = *b;
            }
        }),
        ("no beacon point", |message, _| message.header.beacon = G2Bytes([0xff; 96])),
        ("a share short", |_, points| points.truncate(points.len().saturating_sub(1))),
    ];
    for (at, (what, change)) in cases.into_iter().enumerate() {
        let net = Net::four();
        let mut world = World::new(net, 16);
        world.guilty.insert(0);
        world.filter = Box::new(move |passing| {
            if passing.channel != Channel::Shares || passing.from != 0 {
                return Fate::Arrives;
            }
            Fate::Changed(codec::encode(&wire::forge_share(net, 0, &wire::share(passing.bytes), change)))
        });
        let hashes = submit(&mut world, net, 1);
        world.open(3);
        world.executed(&hashes);
        world.audit(1);
        let named = world.members[1..].iter().any(|m| m.rejects.iter().any(|r| r.0 == Some(MemberId(0))));
        assert!(named || at == 3, "{what}: nobody names the culprit");
        let proved = world.members.iter().flat_map(|m| &m.evidence).filter(|p| p.finding == Finding::ShareBad).count();
        assert_eq!(proved > 0, at != 3, "{what}");
    }
}

#[test]
fn seq_3_f_bad_members_of_seven_are_survived() {
    let net = Net::seven();
    let mut world = World::new(net, 17);
    world.guilty.extend([0, 1]);
    world.filter = Box::new(move |passing| {
        if passing.channel != Channel::Shares || passing.from > 1 {
            return Fate::Arrives;
        }
        let forged = wire::forge_share(net, passing.from, &wire::share(passing.bytes), |message, points| {
            points.reverse();
            message.header.beacon = G2Bytes([0xff; 96]);
        });
        Fate::Changed(codec::encode(&forged))
    });
    let hashes = submit(&mut world, net, 1);
    world.open(3);
    world.executed(&hashes);
    world.audit(6);
}

#[test]
fn a_second_list_or_share_message_is_refused_as_equivocation() {
    let net = Net::four();
    let mut world = World::new(net, 18);
    world.guilty.insert(3);
    let hashes = submit(&mut world, net, 1);
    world.open(2);
    world.consensus.paused = true;
    world.pass(2_000);
    // all lists of the next slot are out
    let slot = world.machine(0).last_final().next();
    let first = wire::list(&world.members[3].lists[&slot]);
    let invented = Leaf::Envelope { hash: Hash([7; 32]), fee_per_byte: 3, size: 0, gas: 3 };
    let second = wire::sign_list(net, slot, 3, vec![invented], None);
    assert_ne!(first, second);
    let rejects = |world: &World| world.members[0].rejects.len();
    let before = rejects(&world);
    let mut unsigned = second.clone();
    unsigned.sig = first.sig;
    let mut of_another = second.clone();
    of_another.member = id(1);
    let mut stale = second.clone();
    stale.slot = slot.prev();
    for list in [&first, &unsigned, &stale] {
        world.inject(3, 0, Channel::Lists, codec::encode(list));
    }
    world.pass(50);
    assert_eq!(rejects(&world), before, "the same list again, an unsigned second one, and an old one convict nobody");
    for (list, reason) in [(&second, Reason::Equivocation), (&of_another, Reason::WrongSignature)] {
        world.inject(3, 0, Channel::Lists, codec::encode(list));
        world.pass(50);
        assert_eq!(world.members[0].rejects.last(), Some(&(Some(id(3)), reason, "list")));
    }
    let own = world.members[3].shares[&slot.prev()].clone();
    let forged = wire::forge_share(net, 3, &wire::share(&own), |message, _| message.header.digest = Hash([1; 32]));
    world.inject(3, 0, Channel::Shares, own);
    world.pass(50);
    assert_eq!(world.members[0].rejects.last(), Some(&(Some(id(3)), Reason::WrongSignature, "list")));
    world.inject(3, 0, Channel::Shares, codec::encode(&forged));
    world.pass(50);
    assert_eq!(world.members[0].rejects.last(), Some(&(Some(id(3)), Reason::Equivocation, "share")));
    let found: Vec<Finding> = world.members[0].evidence.iter().map(|proved| proved.finding).collect();
    assert_eq!(found, [Finding::ListEquivocation, Finding::ShareEquivocation]);
    world.go_on();
    world.executed(&hashes);
}

#[test]
fn bytes_that_are_no_message_are_refused_and_change_nothing() {
    let net = Net::four();
    let mut world = World::new(net, 19);
    let hashes = submit(&mut world, net, 1);
    let mut rng = crate::common::Rng(19);
    for round in 0..200 {
        let channel = [Channel::Items, Channel::Lists, Channel::Shares, Channel::Fetch][rng.pick(4)];
        // noise, or a real message with a byte changed
        let mut bytes: Vec<u8> = (0..rng.pick(80)).map(|_| u8::try_from(rng.below(256)).unwrap()).collect();
        if let (true, Some(list)) = (round % 3 == 0, world.members[3].disk.list.clone()) {
            bytes =
                if channel == Channel::Shares { world.members[3].disk.share.clone().unwrap_or(bytes) } else { list.1 };
            let at = rng.pick(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
        world.inject(3, rng.pick(3), channel, bytes);
        world.pass(15);
    }
    world.open(4);
    world.executed(&hashes);
    assert!(world.members[0].rejects.iter().any(|r| r.1 == Reason::MalformedData));
    world.audit(0);
}

#[test]
fn a_member_asks_for_nothing_that_does_not_exist_for_ever() {
    // One member lists what nobody has: it is unlisted, nobody needs it, and nobody keeps asking for it.
    let net = Net::four();
    let mut world = World::new(net, 20);
    let invented: Vec<Leaf> =
        (0..50).map(|at| Leaf::Envelope { hash: Hash([at; 32]), fee_per_byte: 3, size: 0, gas: 3 }).collect();
    let asked = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&asked);
    world.filter = Box::new(move |passing| match passing.channel {
        Channel::Lists if passing.from == 3 => {
            let slot = wire::list(passing.bytes).slot;
            Fate::Changed(codec::encode(&wire::sign_list(net, slot, 3, invented.clone(), None)))
        }
        Channel::Fetch if passing.from != 3 => {
            *counter.borrow_mut() += 1;
            Fate::Arrives
        }
        _ => Fate::Arrives,
    });
    // member 3's own blocks would carry its own list
    world.consensus.leader = Some(0);
    let hashes = submit(&mut world, net, 1);
    world.open(5);
    world.executed(&hashes);
    assert!(*asked.borrow() <= 60, "{} requests", asked.borrow());
    assert!(world.machine(0).last_final() >= Slot(5));
}

#[test]
fn seq_3_a_member_that_was_away_for_thirty_slots_catches_up_at_once() {
    let net = Net::four();
    let mut world = World::new(net, 21);
    let hashes = submit(&mut world, net, 1);
    world.open(1);
    world.crash(3);
    world.open(30);
    world.start(3);
    let tip = world.consensus.final_height();
    let began = world.now;
    world.until(4_000, "the member is where the others were", |w| w.machine(3).opened() >= Slot(tip));
    // thirty slots took the others at least fifteen seconds
    assert!(world.now - began < 4_000);
    world.executed(&hashes);
    world.audit(3);
}

#[test]
fn bad_envelopes_in_a_relay_spoil_nothing_for_the_good_ones() {
    let net = Net::four();
    let mut world = World::new(net, 22);
    let (good, envelope) = net.envelope(&Order::new(4, 0, Inside::Junk));
    let (forged, mut other) = net.envelope(&Order::new(5, 0, Inside::Junk));
    other.ciphertext[250] ^= 1;
    let (stranger, unknown) = net.envelope(&Order::new(400, 0, Inside::Junk));
    let (gap, ahead) = net.envelope(&Order::new(6, 3, Inside::Junk));
    let relay = Items {
        envelopes: vec![
            vec![1, 2, 3],
            codec::encode(&other),
            codec::encode(&unknown),
            codec::encode(&ahead),
            codec::encode(&envelope),
            codec::encode(&envelope),
        ],
        bids: vec![vec![4, 5]],
        ..Items::default()
    };
    for member in [0, 1] {
        world.inject(3, member, Channel::Items, codec::encode(&relay));
    }
    world.pass(150);
    assert_eq!(world.machine(0).pending().0, 1);
    let reasons: Vec<Reason> = world.members[0].rejects.iter().map(|(_, reason, _)| *reason).collect();
    assert_eq!(reasons, [Reason::MalformedData, Reason::MalformedData, Reason::WrongSignature]);
    world.executed(&[good]);
    for hash in [forged, stranger, gap] {
        assert!(!world.included().contains(&hash));
    }
}

#[test]
fn seq_1_every_receipted_envelope_is_relayed_again_in_turn() {
    // All relays are lost for good: a hundred envelopes stay with one member, who tries all of them, not always the same.
    let net = Net::four();
    let mut world = World::new(net, 23);
    let relayed = Rc::new(RefCell::new(std::collections::BTreeSet::new()));
    let seen = Rc::clone(&relayed);
    let late = world.now + 3_000;
    world.filter = Box::new(move |passing| {
        if passing.channel != Channel::Items {
            return Fate::Arrives;
        }
        if passing.now > late {
            let items: Items = codec::decode(passing.bytes, 1 << 20).unwrap();
            seen.borrow_mut().extend(items.envelopes);
        }
        Fate::Lost
    });
    for nonce in 0..5 {
        for wallet in 0..20 {
            world.submit(0, &net.envelope(&Order::new(wallet, nonce, Inside::Junk)).1);
        }
    }
    world.open(14);
    assert_eq!((world.acknowledged().len(), relayed.borrow().len()), (100, 100));
}

#[test]
fn f_members_that_are_down_delay_nobody_for_good() {
    for (net, down, seed) in [(Net::four(), vec![2], 24), (Net::seven(), vec![0, 5], 25)] {
        let mut world = World::new(net, seed);
        down.iter().for_each(|member| world.crash(*member));
        let hashes: Vec<Hash> = (0..6)
            .map(|wallet| {
                let (hash, envelope) = net.envelope(&Order::new(wallet, 0, Inside::Junk));
                world.submit([1, 3][wallet % 2], &envelope);
                hash
            })
            .collect();
        world.executed(&hashes);
        world.open(6);
        down.iter().for_each(|member| world.start(*member));
        world.executed(&hashes);
        world.audit(down[0]);
    }
}

#[test]
fn a_clock_that_is_wrong_delays_only_its_own_blocks() {
    for (skew, seed) in [(0, 26), (4_000, 27)] {
        let net = Net::four();
        let mut world = World::idle(net, seed);
        // everybody else is two seconds ahead, or behind
        (0..4).for_each(|member| world.members[member].skew = 2_000 + u64::try_from(member).unwrap());
        world.members[3].skew = skew;
        world.begin();
        let hashes = submit(&mut world, net, 1);
        world.open(6);
        world.executed(&hashes);
        let refused = world.consensus.refused.iter().filter(|(_, _, r)| *r != sequencer::Refused::EmptyLate);
        assert_eq!(refused.count(), 0);
        world.audit(3);
    }
}
