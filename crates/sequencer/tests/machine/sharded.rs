// Goal: where a few combine each item, every slot opens to what all would have opened, whatever up to f members do; who
// combines follows from the log; what a combiner must not have signed becomes evidence, and nothing else does. Method: whole
// networks in that mode; what combiners say is lost, changed and repeated; the result is held against the shares of all.
use crate::common::{
    Fate, Inside, Net, Order, World, id, wire,
    world::{faults, kind},
};
use crypto::{combiners, evidence::Place, tdh2};
use sequencer::{Channel, ClaimKind, Job, JobResult, RevealItem, RevealWork};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};
use types::{
    Envelope, G2Bytes, Hash, Kind, MemberId, Opening, ShareMode, Slot, codec, limits,
    reason::{Finding, Reason},
};
use wire::Fetch;

/// Four units to each member; the last wallet's never open.
fn submit(world: &mut World, rounds: u64) -> Vec<Hash> {
    let mut hashes = Vec::new();
    for nonce in 0..rounds {
        for wallet in 0..4 * world.net.n {
            let inside = if wallet == 3 { Inside::Undecryptable } else { Inside::Junk };
            let (hash, envelope) = world.net.envelope(&Order::new(wallet, nonce, inside));
            world.submit(wallet % world.net.n, &envelope);
            hashes.push(hash);
        }
        world.pass(300);
    }
    hashes
}

/// Messages are fast enough for combiners to be in time.
fn world(net: &'static Net, seed: u64) -> World {
    let mut world = World::new(net, seed);
    world.delay_max = 3;
    world
}

/// Entries of a slot.
struct Section {
    units: Vec<Envelope>,
    sig: Option<G2Bytes>,
    perm: Vec<u16>,
    openings: Vec<Opening>,
}

fn sections(world: &World) -> BTreeMap<Slot, Section> {
    let mut sections: BTreeMap<Slot, Section> = BTreeMap::new();
    for entry in &world.log {
        let kind = kind(entry);
        let slot = kind.slot();
        let empty = || Section { units: Vec::new(), sig: None, perm: Vec::new(), openings: Vec::new() };
        let section = sections.entry(slot).or_insert_with(empty);
        match kind {
            Kind::Envelope { bytes, .. } => {
                section.units.push(codec::decode(&bytes, limits::ENVELOPE_BYTES_MAX).unwrap());
            }
            Kind::Beacon { sig, .. } => section.sig = Some(sig),
            Kind::Order { perm, .. } => section.perm = perm,
            Kind::Opened { openings, .. } => section.openings.extend(openings),
            _ => {}
        }
    }
    sections
}

/// What everybody's shares give where all combine all: held against the log. Says how many units that was.
fn same_as_direct(world: &World) -> usize {
    let (net, sections) = (world.net, sections(world));
    let mut units = 0;
    for (slot, section) in &sections {
        let Some(sig) = section.sig else { continue };
        let messages: Vec<_> =
            world.members.iter().filter_map(|m| m.shares.get(slot)).map(|bytes| wire::share(bytes)).collect();
        let shares = messages.iter().map(|m| (m.header.member, m.header.beacon, wire::points(m))).collect();
        let header = &messages[0].header;
        let message = crypto::beacon::Message { network: net.id, slot: *slot, digest: header.digest };
        let items = section.units.iter().map(|envelope| {
            let aad = tdh2::envelope_aad(&envelope.signed.header);
            let item = tdh2::Item { aad: &aad, class_bytes: 512, ciphertext: &envelope.ciphertext };
            let admitted = tdh2::admit(net.keys.encryption_key(), &[item], [1; 32]).remove(0).unwrap();
            let sealed = mempool::Sealed::Envelope(Arc::new(envelope.clone()));
            RevealItem { hash: crypto::ids::hash_envelope(envelope), sealed, admitted }
        });
        let work = Box::new(RevealWork { message, items: items.collect(), shares, seed: [2; 32] });
        let JobResult::Revealed { result, .. } = (Job::Reveal { keys: Arc::clone(&net.keys), work }).run() else {
            panic!("a reveal");
        };
        let revealed = result.unwrap();
        let in_order: Vec<Opening> = section.perm.iter().map(|at| revealed.openings[usize::from(*at)]).collect();
        assert_eq!((revealed.sig, in_order), (sig, section.openings.clone()), "slot {slot}");
        units += section.units.len();
    }
    units
}

/// Where the combiners of every slot begin, by the log alone; and what members' headers say.
fn offsets_follow_from_the_log(world: &World) {
    let sections = sections(world);
    for member in &world.members {
        for (slot, bytes) in &member.shares {
            let before = sections.get(&slot.prev()).and_then(|section| section.sig);
            let before = before.map_or(Hash::ZERO, |sig| crypto::hash::sha256(&[sig.as_ref()]));
            let n = u16::try_from(world.net.n).unwrap();
            let mode = ShareMode::Sharded { offset: combiners::offset(&before, *slot, n) };
            assert_eq!(wire::share(bytes).header.mode, mode, "slot {slot}");
        }
    }
}

/// Messages of channel `Fetch` that pass this are counted.
fn count(world: &mut World, counts: fn(&Fetch) -> bool) -> Rc<RefCell<u64>> {
    let counter = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&counter);
    world.filter = Box::new(move |passing| {
        if passing.channel == Channel::Fetch && counts(&wire::fetch(passing.bytes)) {
            *counted.borrow_mut() += 1;
        }
        Fate::Arrives
    });
    counter
}

fn evidence(world: &World, finding: Finding) -> BTreeSet<(usize, MemberId)> {
    let of = |(at, member): (usize, &crate::common::world::Member)| {
        let found: Vec<_> = member
            .evidence
            .iter()
            .filter(|p| p.finding == finding)
            .filter_map(|p| Some((at, member_of(p.accused)?)))
            .collect();
        found
    };
    world.members.iter().enumerate().flat_map(of).collect()
}

#[test]
fn seq_3_what_a_few_combine_is_what_all_would_have_opened() {
    for (seed, net) in [(1, Net::sharded()), (2, Net::sharded_seven()), (3, Net::sharded())] {
        let mut world = world(net, seed);
        let asked = count(&mut world, |fetch| matches!(fetch, Fetch::GetShares(..)));
        let hashes = submit(&mut world, 2);
        world.open(5);
        world.executed(&hashes);
        assert_eq!(same_as_direct(&world), hashes.len());
        offsets_follow_from_the_log(&world);
        assert_eq!(*asked.borrow(), 0, "nobody waited for a timer");
        assert!(world.members.iter().all(|member| member.rejects.is_empty()));
        world.audit(0);
    }
}

#[test]
fn seq_2_only_a_combiner_gets_shares_and_each_gets_its_own() {
    let net = Net::sharded_seven();
    let mut world = world(net, 4);
    let seen: Rc<RefCell<BTreeMap<(Slot, usize), usize>>> = Rc::default();
    let seeing = Rc::clone(&seen);
    world.filter = Box::new(move |passing| {
        if passing.channel == Channel::Shares {
            let message = wire::share(passing.bytes);
            let ShareMode::Sharded { offset } = message.header.mode else { panic!("direct") };
            let combiners = combiners::Combiners::new(7, 2, offset, message.header.items);
            let items = combiners.items_of(id(passing.to)).len();
            assert_eq!(message.chunks.iter().map(|chunk| chunk.form.len()).sum::<usize>(), items);
            assert!(message.chunks.iter().all(|chunk| combiners.owner(chunk.index) == Some(id(passing.to))));
            seeing.borrow_mut().insert((message.header.slot, passing.to), items);
        }
        Fate::Arrives
    });
    submit(&mut world, 1);
    world.open(4);
    let whole: BTreeMap<Slot, usize> = seen.borrow().iter().fold(BTreeMap::new(), |mut sums, ((slot, _), items)| {
        *sums.entry(*slot).or_default() += items;
        sums
    });
    // each item is with two of the seven
    for (slot, section) in sections(&world) {
        if let Some(items) = whole.get(&slot) {
            assert_eq!(*items, 2 * section.units.len(), "slot {slot}");
        }
    }
    assert!(whole.values().any(|items| *items > 0));
}

#[test]
fn r_of_the_slot_before_is_known_after_empty_blocks_epochs_and_restarts() {
    let net = Net::sharded();
    let mut world = world(net, 5);
    // empty blocks in the middle, and around the end of an epoch
    world.consensus.withheld.extend([2, 3, 13]);
    let mut hashes = submit(&mut world, 1);
    world.open(6);
    let whole = world.machine(0).last_final();
    for member in net.members() {
        world.crash(member);
    }
    world.pass(50);
    for member in net.members() {
        world.start(member);
    }
    world.open(15);
    // the first slot of an epoch takes the beacon of the epoch before
    world.crash(2);
    world.pass(50);
    world.start(2);
    for wallet in 40..44 {
        let (hash, envelope) = net.envelope(&Order::new(wallet, 0, Inside::Junk));
        world.submit(wallet % 4, &envelope);
        hashes.push(hash);
    }
    world.open(19);
    world.executed(&hashes);
    assert!(whole >= Slot(6));
    assert!(world.members.iter().all(|member| member.shares.len() > 17));
    offsets_follow_from_the_log(&world);
    assert_eq!(same_as_direct(&world), hashes.len());
    world.audit(2);
}

#[test]
fn when_all_combiners_of_items_are_silent_members_ask_each_other() {
    // items are with members 0 and 2, or with 1 and 3; who combines an item knows it
    for (seed, silent, lacking) in [(6u64, vec![0, 1, 2, 3], vec![0, 1, 2, 3]), (7, vec![1, 3], vec![0, 2])] {
        let net = Net::sharded();
        let mut world = world(net, seed);
        let asked: Rc<RefCell<BTreeSet<usize>>> = Rc::default();
        let asking = Rc::clone(&asked);
        world.filter = Box::new(move |passing| {
            if passing.channel != Channel::Fetch {
                return Fate::Arrives;
            }
            match wire::fetch(passing.bytes) {
                Fetch::Openings(_) if silent.contains(&passing.from) => Fate::Lost,
                Fetch::GetShares(_, combiners) => {
                    assert!(combiners.iter().collect::<BTreeSet<_>>().len() == combiners.len() && combiners.len() <= 4);
                    asking.borrow_mut().insert(passing.from);
                    Fate::Arrives
                }
                _ => Fate::Arrives,
            }
        });
        let hashes = submit(&mut world, 2);
        world.open(4);
        world.executed(&hashes);
        assert_eq!(*asked.borrow(), lacking.into_iter().collect(), "who lacks something asks");
        assert_eq!(same_as_direct(&world), hashes.len());
        assert!(world.members.iter().all(|member| member.rejects.is_empty()), "who is silent is not accused");
        world.audit(1);
    }
}

#[test]
fn a_member_that_hears_no_combiner_gets_what_opened_the_slot() {
    let mut world = world(Net::sharded_seven(), 8);
    world.filter = Box::new(|passing| match passing.channel {
        Channel::Shares if passing.to == 2 => Fate::Lost,
        Channel::Fetch if passing.to == 2 && wire::openings(passing.bytes).is_some() => Fate::Lost,
        _ => Fate::Arrives,
    });
    let hashes = submit(&mut world, 1);
    world.open(4);
    world.executed(&hashes);
    assert_eq!(same_as_direct(&world), hashes.len());
    world.audit(2);
}

#[test]
fn combiners_that_serve_only_some_keep_nobody_waiting() {
    // everybody lacks something else: who is a combiner tells the member after it alone
    let mut world = world(Net::sharded_seven(), 9);
    world.filter = Box::new(|passing| match passing.channel {
        Channel::Fetch if passing.to != (passing.from + 1) % 7 && wire::openings(passing.bytes).is_some() => Fate::Lost,
        _ => Fate::Arrives,
    });
    let hashes = submit(&mut world, 1);
    world.open(4);
    world.executed(&hashes);
    world.audit(5);
}

type Change = fn(&mut types::OpeningMessage);

fn no_key() -> Opening {
    Opening::Key(types::Key128([9; 16]))
}

#[test]
fn what_a_combiner_says_wrongly_is_dropped_and_convicts_it_and_the_other_one_is_awaited() {
    let changes: [(&str, Change); 4] = [
        ("no key", |message| message.items[0].1 = no_key()),
        ("none of the keys", |message| message.items.iter_mut().for_each(|(_, opening)| *opening = no_key())),
        ("keys of others", |message| {
            let count = message.items.len();
            if count > 1 {
                (message.items[0].1, message.items[count - 1].1) = (message.items[count - 1].1, message.items[0].1);
            } else {
                message.items[0].1 = no_key();
            }
        }),
        ("it does not open", |message| {
            let point = Net::sharded().keys.share_key(MemberId(2)).unwrap();
            message.items.last_mut().unwrap().1 = Opening::Bottom(point);
        }),
    ];
    for (at, (what, change)) in changes.into_iter().enumerate() {
        let net = Net::sharded();
        let mut world = world(net, 10 + u64::try_from(at).unwrap());
        world.guilty.insert(3);
        world.filter = Box::new(move |passing| {
            let said = if passing.channel == Channel::Fetch { wire::openings(passing.bytes) } else { None };
            let Some(message) = said.filter(|_| passing.from == 3) else { return Fate::Arrives };
            let forged = wire::forge_openings(net, 3, &message, change);
            // at some it is the first to come, at some the last
            let bytes = codec::encode(&Fetch::Openings(Box::new(forged)));
            if passing.to == 2 { Fate::Arrives } else { Fate::Changed(bytes) }
        });
        let hashes = submit(&mut world, 1);
        world.open(6);
        world.executed(&hashes);
        assert_eq!(same_as_direct(&world), hashes.len(), "{what}");
        let told = evidence(&world, Finding::OpeningBad);
        assert!(told.is_superset(&BTreeSet::from([(0, id(3)), (1, id(3))])), "{what}");
        let convicted: Vec<_> = faults(net, &world.log).into_iter().map(|(finding, of, _)| (finding, of)).collect();
        assert_eq!(convicted, [(Finding::OpeningBad, 3)], "{what}: once in the log");
        let named = (Some(id(3)), Reason::BadCiphertext, "openings");
        assert!(world.members[..2].iter().all(|member| member.rejects.contains(&named)), "{what}");
        world.audit(0);
    }
}

#[test]
fn wrong_openings_that_come_late_convict_all_the_same() {
    let net = Net::sharded();
    let mut world = world(net, 15);
    world.guilty.insert(3);
    let caught: Rc<RefCell<Option<types::OpeningMessage>>> = Rc::default();
    let catching = Rc::clone(&caught);
    world.filter = Box::new(move |passing| {
        let said = if passing.channel == Channel::Fetch { wire::openings(passing.bytes) } else { None };
        match said.filter(|_| passing.from == 3) {
            Some(message) => {
                *catching.borrow_mut() = Some(message);
                Fate::Lost
            }
            None => Fate::Arrives,
        }
    });
    submit(&mut world, 1);
    let opens = |world: &World| caught.borrow().as_ref().is_some_and(|m| m.header.slot == world.machine(0).opened());
    world.until(20_000, "a slot with units is opened", opens);
    let message = caught.borrow().clone().unwrap();
    let say = |world: &mut World, message: types::OpeningMessage| {
        world.inject(3, 0, Channel::Fetch, codec::encode(&Fetch::Openings(Box::new(message))));
        world.pass(5);
    };
    say(&mut world, message.clone());
    say(&mut world, message.clone());
    assert!(world.members[0].rejects.is_empty(), "late, and twice the same");
    // a second one, which differs: who looks at it sees which of the two is wrong
    say(&mut world, wire::forge_openings(net, 3, &message, |message| message.items[0].1 = no_key()));
    assert_eq!(world.members[0].rejects, [(Some(id(3)), Reason::Equivocation, "openings")]);
    assert_eq!(evidence(&world, Finding::OpeningBad), BTreeSet::new());
    // a member that had not heard the first
    let forged = wire::forge_openings(net, 3, &message, |message| message.items[0].1 = no_key());
    world.inject(3, 1, Channel::Fetch, codec::encode(&Fetch::Openings(Box::new(forged))));
    world.pass(2);
    assert!(evidence(&world, Finding::OpeningBad).contains(&(1, id(3))));
    let place = world.members[1].evidence[0].place;
    assert_eq!(place, Place::Slot(message.header.slot));
}

#[test]
fn junk_from_combiners_is_refused_with_its_reason_and_convicts_nobody() {
    fn all(message: &mut types::OpeningMessage, items: Vec<(u32, Opening)>) {
        message.items = items;
    }
    let changes: [(&str, Change, Reason); 8] = [
        ("nothing", |message| all(message, Vec::new()), Reason::MalformedData),
        ("beyond the items", |message| message.items.push((16_000, no_key())), Reason::MalformedData),
        (
            "an item of others",
            |message| {
                let others = (0..u32::MAX).find(|item| message.items.iter().all(|(own, _)| own != item)).unwrap();
                all(message, vec![(others, no_key())]);
            },
            Reason::MalformedData,
        ),
        ("an item twice", |message| message.items.push(message.items[0]), Reason::MalformedData),
        ("another block", |message| message.header.digest = Hash([4; 32]), Reason::MalformedData),
        ("another network", |message| message.header.network = Hash([4; 32]), Reason::MalformedData),
        ("another version", |message| message.header.version = 2, Reason::MalformedData),
        ("in another's name", |message| message.header.member = id(1), Reason::MalformedData),
    ];
    for (at, (what, change, reason)) in changes.into_iter().enumerate() {
        let net = Net::sharded();
        let mut world = world(net, 20 + u64::try_from(at).unwrap());
        world.filter = Box::new(move |passing| {
            let said = if passing.channel == Channel::Fetch { wire::openings(passing.bytes) } else { None };
            let Some(message) = said.filter(|_| passing.from == 3) else { return Fate::Arrives };
            let forged = wire::forge_openings(net, 3, &message, change);
            Fate::Changed(codec::encode(&Fetch::Openings(Box::new(forged))))
        });
        let hashes = submit(&mut world, 1);
        world.open(3);
        world.executed(&hashes);
        let refused: BTreeSet<_> = world.members[..3].iter().flat_map(|member| member.rejects.clone()).collect();
        assert_eq!(refused, BTreeSet::from([(Some(id(3)), reason, "openings")]), "{what}");
    }
    // a signature that is not its own
    let net = Net::sharded();
    let mut world = world(net, 30);
    world.filter = Box::new(move |passing| {
        let said = if passing.channel == Channel::Fetch { wire::openings(passing.bytes) } else { None };
        let Some(mut message) = said.filter(|_| passing.from == 3) else { return Fate::Arrives };
        message.sig.0[5] ^= 1;
        Fate::Changed(codec::encode(&Fetch::Openings(Box::new(message))))
    });
    let hashes = submit(&mut world, 1);
    world.open(3);
    world.executed(&hashes);
    assert!(world.members[0].rejects.iter().all(|r| *r == (Some(id(3)), Reason::WrongSignature, "openings")));
    assert!(!world.members[0].rejects.is_empty());
}

#[test]
fn bad_shares_for_combiners_are_survived_and_named_by_them() {
    type Bend = fn(&Net, &types::ShareMessage) -> types::ShareMessage;
    let cases: [(&str, Bend, bool); 5] = [
        (
            "one point for all",
            |net, slice| {
                let point = tdh2::SharePoint::from_compressed(&net.keys.share_key(id(0)).unwrap()).unwrap();
                wire::same_everywhere(net, 0, slice, point)
            },
            true,
        ),
        ("points swapped", |net, slice| wire::forge_slice(net, 0, slice, |_, points| points.reverse()), true),
        (
            "no beacon point",
            |net, slice| wire::forge_slice(net, 0, slice, |message, _| message.header.beacon = G2Bytes([0xff; 96])),
            true,
        ),
        (
            "other combiners",
            |net, slice| {
                let mut message = slice.clone();
                let ShareMode::Sharded { offset } = message.header.mode else { panic!("direct") };
                message.header.mode = ShareMode::Sharded { offset: (offset + 1) % 4 };
                message.chunks.clear();
                wire::sign_share(net, 0, message)
            },
            false,
        ),
        (
            "as if all combined all",
            |net, slice| {
                let mut message = slice.clone();
                message.header.mode = ShareMode::Direct;
                wire::sign_share(net, 0, message)
            },
            false,
        ),
    ];
    for (at, (what, bend, proves)) in cases.into_iter().enumerate() {
        let net = Net::sharded();
        let mut world = world(net, 40 + u64::try_from(at).unwrap());
        world.guilty.insert(0);
        world.filter = Box::new(move |passing| {
            if passing.channel != Channel::Shares || passing.from != 0 {
                return Fate::Arrives;
            }
            Fate::Changed(codec::encode(&bend(net, &wire::share(passing.bytes))))
        });
        let hashes = submit(&mut world, 2);
        world.open(5);
        world.executed(&hashes);
        world.audit(1);
        let named = world.members[1..].iter().any(|m| m.rejects.iter().any(|r| r.0 == Some(id(0)) && r.2 == "share"));
        assert!(named, "{what}: nobody names the culprit");
        assert_eq!(!evidence(&world, Finding::ShareBad).is_empty(), proves, "{what}");
    }
}

#[test]
fn seq_1_members_lose_power_between_release_and_opening() {
    let net = Net::sharded();
    for round in 0..10u64 {
        let mut world = world(net, 60 + round);
        let hashes = submit(&mut world, 1);
        // near the release of some slot with units
        world.members[1].crash_in = Some(3 * round);
        world.members[1].down_ms = 30 + 60 * round;
        if round % 2 == 0 {
            world.members[2].crash_in = Some(5 + 3 * round);
            world.members[2].down_ms = 40;
        }
        world.until(20_000, "the crash has been", |w| w.members[1].crashes == 1 && w.members[1].machine.is_some());
        world.until(20_000, "all run", |w| w.members.iter().all(|m| m.machine.is_some()));
        for (wallet, hash) in hashes.iter().enumerate() {
            let inside = if wallet == 3 { Inside::Undecryptable } else { Inside::Junk };
            let (again, envelope) = net.envelope(&Order::new(wallet, 0, inside));
            assert_eq!(again, *hash);
            world.submit(wallet % 4, &envelope);
        }
        world.executed(&hashes);
        offsets_follow_from_the_log(&world);
        world.audit(1);
    }
}

#[test]
fn seq_1_all_lose_power_when_shares_are_out_and_nothing_is_opened() {
    let net = Net::sharded_seven();
    let mut world = world(net, 80);
    // shares arrive nowhere: members commit, and wait
    world.filter = Box::new(|passing| if passing.channel == Channel::Shares { Fate::Lost } else { Fate::Arrives });
    let hashes = submit(&mut world, 1);
    world.until(20_000, "all wait for shares", |w| {
        w.members.iter().all(|m| m.disk.slot == Slot(1)) && w.machine(0).opened() == Slot(0)
    });
    for member in net.members() {
        world.crash(member);
    }
    world.pass(100);
    world.filter = Box::new(|_| Fate::Arrives);
    for member in net.members() {
        world.start(member);
    }
    world.executed(&hashes);
    assert_eq!(same_as_direct(&world), hashes.len());
    world.audit(3);
}

#[test]
fn bids_are_combined_before_the_set() {
    let net = Net::sharded();
    let mut world = world(net, 97);
    world.open(1);
    let sold = three_bids(&mut world);
    let hashes: Vec<Hash> = (0..6)
        .map(|wallet| {
            let (hash, envelope) = net.envelope(&Order::new(wallet, 0, Inside::Transfer));
            world.submit(wallet % 4, &envelope);
            hash
        })
        .collect();
    world.executed(&hashes);
    world.open(sold);
    let prices: Vec<(usize, u128)> = world
        .log
        .iter()
        .filter_map(|entry| match kind(entry) {
            Kind::Auction { for_slot, opened, price, .. } if for_slot == Slot(sold) => {
                Some((opened.len(), price.units()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(prices, [(3, 30_000_000_000_000)]);
    world.audit(2);
}

/// Two units of the largest class, which no evidence holds, come first, then some of the smallest.
fn large_and_small(world: &mut World) -> Vec<Hash> {
    let sealed = |wallet: usize, size_class: u8| {
        let of = |expiry| {
            let order = Order { expiry, size_class, ..Order::new(wallet, 0, Inside::Junk) };
            world.net.envelope(&order)
        };
        (150..400).map(of).find(|(hash, _)| (hash.0[0] < 0x20) == (size_class > 0)).unwrap()
    };
    let all: Vec<_> = (0..8).map(|wallet| sealed(wallet, if wallet < 2 { 4 } else { 0 })).collect();
    for (wallet, (_, envelope)) in all.iter().enumerate() {
        world.submit(wallet % world.net.n, envelope);
    }
    all.into_iter().map(|(hash, _)| hash).collect()
}

fn three_bids(world: &mut World) -> u64 {
    let sold = world.machine(0).last_final().0 + 2;
    for builder in 0..3u8 {
        let bid = world.net.bid(builder.into(), sold, 0, Some((2 + u128::from(builder)) * 10_000_000_000_000));
        world.bid(usize::from(builder), &bid);
    }
    sold
}

#[test]
fn who_lies_of_everything_is_convicted_by_what_fits_evidence() {
    // whether the lie that everybody comes to first is of a bid or of a large unit, and whether of openings or shares
    for (at, (bids, openings)) in (0u64..).zip([(true, true), (false, true), (true, false), (false, false)]) {
        let net = Net::sharded();
        let mut world = world(net, 100 + at);
        world.open(1);
        world.guilty.insert(3);
        let lies: Rc<RefCell<BTreeSet<Slot>>> = Rc::default();
        let lied = Rc::clone(&lies);
        world.filter = Box::new(move |passing| {
            if openings {
                let said = if passing.channel == Channel::Fetch { wire::openings(passing.bytes) } else { None };
                let Some(message) = said.filter(|m| passing.from == 3 && m.items.len() > 1) else {
                    return Fate::Arrives;
                };
                lied.borrow_mut().insert(message.header.slot);
                let forged = wire::forge_openings(net, 3, &message, |message| {
                    message.items.iter_mut().for_each(|(_, opening)| *opening = no_key());
                });
                return Fate::Changed(codec::encode(&Fetch::Openings(Box::new(forged))));
            }
            if passing.channel != Channel::Shares || passing.from != 3 {
                return Fate::Arrives;
            }
            let slice = wire::share(passing.bytes);
            if slice.header.items > 5 {
                lied.borrow_mut().insert(slice.header.slot);
            }
            let point = tdh2::SharePoint::from_compressed(&net.keys.share_key(id(3)).unwrap()).unwrap();
            Fate::Changed(codec::encode(&wire::same_everywhere(net, 3, &slice, point)))
        });
        let sold = if bids { three_bids(&mut world) } else { 0 };
        let hashes = large_and_small(&mut world);
        world.executed(&hashes);
        world.open(sold);
        let with_large: Vec<Slot> = sections(&world)
            .into_iter()
            .filter(|(_, s)| s.units.iter().take(2).filter(|unit| unit.signed.header.size_class == 4).count() == 2)
            .filter(|(_, s)| s.units.len() > 5)
            .map(|(slot, _)| slot)
            .collect();
        assert!(with_large.len() == 1 && lies.borrow().contains(&with_large[0]), "{with_large:?} {lies:?}");
        let finding = if openings { Finding::OpeningBad } else { Finding::ShareBad };
        let told = evidence(&world, finding);
        assert!(!told.is_empty() && told.iter().all(|(_, liar)| *liar == id(3)), "bids {bids}, openings {openings}");
        let large = world.members.iter().flat_map(|m| &m.evidence).any(|p| p.place == Place::Slot(with_large[0]));
        assert!(large, "by what it said in that slot: bids {bids}, openings {openings}");
        world.open(with_large[0].0 + 3);
        let convicted: Vec<_> = faults(net, &world.log).into_iter().map(|(finding, of, _)| (finding, of)).collect();
        assert_eq!(convicted, [(finding, 3)]);
        world.audit(0);
    }
}

#[test]
fn bad_shares_convict_also_when_another_combiner_is_faster_than_the_blame() {
    let net = Net::sharded();
    let mut world = world(net, 110);
    world.guilty.insert(3);
    // the leaf of member 0's chunk as it is sent, that of member 1's, and the rest of the tree
    let mut trees: BTreeMap<Slot, (Hash, Hash, Hash)> = BTreeMap::new();
    world.filter = Box::new(move |passing| {
        if passing.channel != Channel::Shares || (passing.from, passing.to) == (1, 0) {
            return if passing.channel == Channel::Shares { Fate::Lost } else { Fate::Arrives };
        }
        let mut slice = wire::share(passing.bytes);
        let chunk = slice.chunks.first_mut().filter(|_| passing.from == 3);
        let Some(chunk) = chunk else { return Fate::Arrives };
        let slot = slice.header.slot;
        if passing.to == 0 {
            let point = net.keys.share_key(id(3)).unwrap();
            let bad = vec![point; chunk.form.len()];
            chunk.form = types::ShareForm::Compressed(bad.clone());
            let leaf = crypto::merkle::leaf_hash(crypto::evidence::chunk_leaf(0, &bad).as_ref());
            trees.insert(slot, (leaf, chunk.path[0], chunk.path[1]));
        }
        let Some((bad, next, rest)) = trees.get(&slot) else { return Fate::Arrives };
        let pair = crypto::merkle::node_hash(bad, next);
        match passing.to {
            1 => chunk.path[0] = *bad,
            2 => chunk.path[1] = pair,
            _ => {}
        }
        slice.header.root = crypto::merkle::node_hash(&pair, rest);
        Fate::Changed(codec::encode(&wire::sign_share(net, 3, slice)))
    });
    world.slow = |member, job| if member == 0 && matches!(job, Job::Combine { .. }) { 100 } else { 0 };
    let hashes = submit(&mut world, 1);
    world.open(4);
    world.executed(&hashes);
    assert_eq!(same_as_direct(&world), hashes.len());
    assert!(evidence(&world, Finding::ShareBad).contains(&(0, id(3))));
    assert!(world.members[1..3].iter().all(|member| member.rejects.is_empty()), "they got right ones");
    world.audit(1);
}

#[test]
fn who_sent_bad_shares_is_left_out_for_the_rest_of_the_epoch() {
    let net = Net::sharded();
    let mut world = world(net, 120);
    world.guilty.insert(3);
    world.filter = Box::new(move |passing| {
        if passing.channel != Channel::Shares || passing.from != 3 {
            return Fate::Arrives;
        }
        let point = tdh2::SharePoint::from_compressed(&net.keys.share_key(id(3)).unwrap()).unwrap();
        Fate::Changed(codec::encode(&wire::same_everywhere(net, 3, &wire::share(passing.bytes), point)))
    });
    let named = |world: &World| -> Vec<usize> {
        let bad = (Some(id(3)), Reason::BadCiphertext, "share");
        world.members[..3].iter().map(|m| m.rejects.iter().filter(|r| **r == bad).count()).collect()
    };
    let mut hashes = Vec::new();
    let mut submit = |world: &mut World, nonces: core::ops::Range<u64>| {
        for nonce in nonces {
            for wallet in 0..8 {
                let (hash, envelope) = net.envelope(&Order::new(wallet, nonce, Inside::Junk));
                world.submit(wallet % 4, &envelope);
                hashes.push(hash);
            }
            world.pass(600);
        }
        world.executed(&hashes);
    };
    submit(&mut world, 0..8);
    assert!(world.machine(0).opened() < Slot(16));
    let in_epoch = named(&world);
    assert!(in_epoch.iter().all(|times| *times <= 1) && in_epoch.contains(&1), "{in_epoch:?}");
    // the next epoch begins anew
    world.open(16);
    submit(&mut world, 8..12);
    let after = named(&world);
    assert!(after.iter().all(|times| *times <= 2) && after.contains(&2), "{after:?}");
    world.audit(1);
}

#[test]
fn culprits_are_better_than_nobody() {
    // one that sent bad shares sends right ones afterwards, when another one is away
    let net = Net::sharded();
    let mut world = world(net, 122);
    world.guilty.insert(3);
    let lies = Rc::new(RefCell::new(true));
    let lying = Rc::clone(&lies);
    world.filter = Box::new(move |passing| {
        if passing.channel != Channel::Shares || passing.from != 3 || !*lying.borrow() {
            return Fate::Arrives;
        }
        let point = tdh2::SharePoint::from_compressed(&net.keys.share_key(id(3)).unwrap()).unwrap();
        Fate::Changed(codec::encode(&wire::same_everywhere(net, 3, &wire::share(passing.bytes), point)))
    });
    submit(&mut world, 1);
    let convicted = |w: &World| evidence(w, Finding::ShareBad).len() > 2;
    world.until(20_000, "the liar is known", convicted);
    *lies.borrow_mut() = false;
    let slot = world.machine(0).opened().0;
    world.crash(2);
    world.members[2].down_ms = 1 << 40;
    world.open(slot + 4);
    assert!(world.machine(0).opened() >= Slot(slot + 4) && world.members[2].machine.is_none());
    world.audit(1);
}

#[test]
fn claims_that_are_slow_to_check_keep_nobody_waiting() {
    let net = Net::sharded();
    let mut world = world(net, 121);
    world.guilty.insert(3);
    world.slow = |_, job| if matches!(job, Job::CheckClaims { kind: ClaimKind::Bottoms, .. }) { 2_000 } else { 0 };
    let asked = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&asked);
    world.filter = Box::new(move |passing| {
        if passing.channel != Channel::Fetch {
            return Fate::Arrives;
        }
        match wire::fetch(passing.bytes) {
            Fetch::GetShares(..) => *counted.borrow_mut() += 1,
            Fetch::Openings(message) if passing.from == 3 => {
                let forged = wire::forge_openings(net, 3, &message, |message| {
                    let point = net.keys.share_key(id(2)).unwrap();
                    message.items.iter_mut().for_each(|(_, opening)| *opening = Opening::Bottom(point));
                });
                return Fate::Changed(codec::encode(&Fetch::Openings(Box::new(forged))));
            }
            Fetch::Openings(_) => return Fate::Late(40),
            _ => {}
        }
        Fate::Arrives
    });
    let mut hashes = Vec::new();
    for wallet in 0..16 {
        let (hash, envelope) = net.envelope(&Order::new(wallet, 0, Inside::Junk));
        world.submit(wallet % 4, &envelope);
        hashes.push(hash);
    }
    world.executed(&hashes);
    assert_eq!(same_as_direct(&world), hashes.len());
    assert_eq!(*asked.borrow(), 0, "the other combiners' keys were enough");
    assert!(!evidence(&world, Finding::OpeningBad).is_empty());
    world.audit(0);
}

#[test]
fn bottoms_of_a_member_are_judged_up_to_the_first_wrong_one() {
    let net = Net::sharded();
    let item = |wallet: usize| {
        let (hash, envelope) = net.envelope(&Order::new(wallet, 0, Inside::Undecryptable));
        let aad = tdh2::envelope_aad(&envelope.signed.header);
        let item = tdh2::Item { aad: &aad, class_bytes: 512, ciphertext: &envelope.ciphertext };
        let admitted = tdh2::admit(net.keys.encryption_key(), &[item], [1; 32]).remove(0).unwrap();
        RevealItem { hash, sealed: mempool::Sealed::Envelope(Arc::new(envelope)), admitted }
    };
    let wrong = Opening::Bottom(net.keys.share_key(id(2)).unwrap());
    let claim = |member: usize, place: u32| sequencer::Claimed {
        member: id(member),
        place,
        opening: wrong,
        item: item(usize::try_from(place).unwrap()),
    };
    let claims = vec![claim(0, 1), claim(0, 4), claim(0, 7), claim(2, 2), claim(2, 5)];
    let (keys, slot, kind, seed) = (Arc::clone(&net.keys), Slot(1), ClaimKind::Bottoms, [2; 32]);
    let JobResult::Checked { judged, .. } = (Job::CheckClaims { keys, slot, kind, claims, seed }).run() else {
        panic!("claims");
    };
    let judged: Vec<_> = judged.iter().map(|j| (j.member, j.place, j.holds)).collect();
    assert_eq!(judged, [(id(0), 1, false), (id(2), 2, false)]);
}

#[test]
fn who_asks_again_and_again_gets_less_and_less() {
    let net = Net::sharded();
    let mut world = world(net, 123);
    let answers: Rc<RefCell<(u64, u64)>> = Rc::default();
    let counted = Rc::clone(&answers);
    world.filter = Box::new(move |passing| {
        let asker = (passing.from, passing.to) == (0, 3);
        if passing.channel == Channel::Shares {
            counted.borrow_mut().0 += u64::from(asker);
            return Fate::Lost;
        }
        if asker && passing.channel == Channel::Fetch {
            counted.borrow_mut().1 += u64::from(matches!(wire::fetch(passing.bytes), Fetch::Opening(_)));
        }
        Fate::Arrives
    });
    submit(&mut world, 1);
    world.until(20_000, "a slot waits for shares", |w| w.machine(0).last_final() == Slot(1));
    let everybody: Vec<MemberId> = (0..4).map(id).collect();
    *answers.borrow_mut() = (0, 0);
    for _ in 0..200 {
        world.inject(3, 0, Channel::Fetch, codec::encode(&Fetch::GetShares(Slot(1), everybody.clone())));
        world.pass(10);
    }
    // in two seconds ten times unasked
    let (shares, _) = *answers.borrow();
    assert!((11..=18).contains(&shares), "{shares}");
    world.filter = Box::new({
        let counted = Rc::clone(&answers);
        move |passing| {
            if (passing.from, passing.to, passing.channel) == (0, 3, Channel::Fetch) {
                counted.borrow_mut().1 += u64::from(matches!(wire::fetch(passing.bytes), Fetch::Opening(_)));
            }
            Fate::Arrives
        }
    });
    world.open(2);
    *answers.borrow_mut() = (0, 0);
    for _ in 0..200 {
        world.inject(3, 0, Channel::Fetch, codec::encode(&Fetch::GetOpening(Slot(1))));
        world.pass(1);
    }
    let (_, sections) = *answers.borrow();
    assert!((50..=70).contains(&sections), "{sections}");
}

fn member_of(accused: types::Accused) -> Option<MemberId> {
    if let types::Accused::Member(member) = accused { Some(member) } else { None }
}
