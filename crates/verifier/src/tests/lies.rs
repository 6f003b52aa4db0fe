// Goal: VER-2, one finding per lie and the one that says what it is. Method: plants that the network makes again with
// all that follows, then entries changed one by one under a quorum's signature, at last single bytes everywhere.
#![expect(clippy::wildcard_enum_match_arm, reason = "tests pick the kinds that they change")]
use super::{busy, codes, honest::full, kind};
use crate::{
    Auditor, Checks, Need, Status,
    testing::{Draft, MEMBERS, Plant, World, tile_of},
};
use crypto::{ids, merkle};
use std::{collections::BTreeSet, sync::OnceLock, vec, vec::Vec};
use types::{
    Amount, Entry, Envelope, Epoch, EpochRecord, Evidence, Hash, Key128, Kind, Leaf, MemberId, Opening, Params, Rank,
    SetRef, SignedHeader, Slot, Timestamp, codec, limits, reason::Why,
};

#[test]
fn ver_2_every_plant_gives_its_finding() {
    let plants = [
        (Plant::SwapOrder, "order-wrong", 13),
        (Plant::OmitListed, "forced-omitted", 7),
        (Plant::WrongOpening, "opening-wrong", 14),
        (Plant::WrongStateRoot, "exec-root-wrong", 16),
        (Plant::WrongFee, "fees-wrong", 17),
    ];
    for (plant, code, check) in plants {
        let mut world = busy(1);
        world.plant(plant);
        let report = world.audit();
        assert_eq!(report.findings.len(), 1, "{plant:?}: {:?}", report.findings);
        let finding = &report.findings[0];
        assert_eq!((finding.code.name(), finding.slot, report.exit()), (code, Slot(4), 1), "{plant:?}");
        assert!(finding.accused.is_empty(), "every cosigner is accused");
        for line in &report.checks {
            let ran = [1, 3].contains(&line.n);
            let want_fail = line.n == check;
            assert_eq!(line.status == Status::Fail, want_fail, "{plant:?}: {line:?}");
            assert_eq!(line.status == Status::Pass, ran, "{plant:?}: a check that stopped has not passed: {line:?}");
        }
    }
}

#[test]
fn a_members_own_fault_convicts_it_and_ends_nothing() {
    for (plant, code) in [(Plant::CutWithRoom, "list-invalid"), (Plant::WrongLeaf, "list-item-wrong")] {
        let mut world = busy(1);
        world.plant(plant);
        let report = world.audit();
        assert_eq!(report.findings.len(), 1, "{plant:?}: {:?}", report.findings);
        let finding = &report.findings[0];
        assert_eq!((finding.code.name(), finding.slot, report.exit()), (code, Slot(4), 1));
        assert_eq!(finding.accused, ["example.net/test/m3/receipt"]);
        assert!(report.checks.iter().all(|c| c.n == 6 || c.status != Status::Fail));
        assert_eq!(report.checks[15].status, Status::Pass, "the rest was judged to the end");
        let trusted = world.audit_of(world.log(), &world.checkpoint(), Checks::TRUSTED);
        assert_eq!(trusted.findings, vec![], "without signatures nobody is convicted");
    }
}

/// A busy log that no test changes.
fn shared() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| busy(1))
}

/// The log with every entry of a slot passed through `f`; `None` drops it.
fn edit(world: &World, slot: u64, mut f: impl FnMut(&mut Kind) -> bool) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    for entry in world.log() {
        let mut kind = kind(entry);
        if kind.slot() != Slot(slot) {
            entries.push(entry.clone());
        } else if f(&mut kind) {
            entries.push(Entry::bytes(kind));
        }
    }
    entries
}

/// What changing the entries of a slot gives.
fn edited(slot: u64, f: impl Fn(&mut Kind)) -> Vec<&'static str> {
    let world = shared();
    let entries = edit(world, slot, |kind| {
        f(kind);
        true
    });
    assert_ne!(entries, world.log(), "the edit changes something");
    codes(world, &entries)
}

fn flip(hash: &mut Hash) {
    hash.0[3] ^= 4;
}

macro_rules! lie {
    ($slot:expr, $pattern:pat => $body:expr) => {
        edited($slot, |kind| {
            if let $pattern = kind {
                $body;
            }
        })
    };
}

#[test]
fn genesis_entries() {
    assert_eq!(lie!(0, Kind::Epoch(e) => e.reserve = Amount::ZERO), ["epoch-wrong"]);
    assert_eq!(lie!(0, Kind::Epoch(e) => e.params.forced_bps += 1), ["epoch-wrong"]);
    assert_eq!(lie!(0, Kind::Epoch(e) => flip(&mut e.states)), ["epoch-wrong"]);
    assert_eq!(lie!(0, Kind::Registry { records, .. } => records.reverse()), ["registry-wrong"]);
    assert_eq!(lie!(0, Kind::Registry { first, .. } => *first = 1), ["registry-wrong"]);
    let world = shared();
    assert_eq!(codes(world, &world.log()[1..]), ["section-order"]);
}

/// Slots 12 and 28 announce epochs 1 and 2, with an empty block at one boundary and at one announcement.
fn epochs() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut world = World::with_params(3, Params { epoch_slots: 16, ..Params::default_for(500) });
        for slot in 1..=33 {
            if slot % 5 == 3 {
                world.submit(Draft::of(slot % 2));
            }
            if [15, 28].contains(&slot) { world.empty_slot() } else { world.slot() }
        }
        world
    })
}

#[test]
fn epochs_are_announced_once_and_say_what_the_log_gives() {
    let world = epochs();
    let report = world.audit();
    assert_eq!((report.findings.clone(), report.exit()), (vec![], 0));
    assert_eq!(report.checks[18].units, 11, "three EPOCH entries and eight records");
    let places: Vec<usize> =
        (0..world.log().len()).filter(|i| matches!(kind(&world.log()[*i]), Kind::Epoch(_))).collect();
    let [_, one, two] = places[..] else { panic!("{places:?}") };
    let with = |place: usize, entry: Option<Vec<u8>>| {
        let mut entries = world.log().to_vec();
        entries.splice(place..=place, entry);
        codes(world, &entries)
    };
    assert_eq!(with(one, None), ["epoch-wrong"]);
    assert_eq!(with(two, None), ["epoch-wrong"]);
    let changes: [fn(&mut EpochRecord); 7] = [
        |e| e.reserve = Amount::ZERO,
        |e| e.params.forced_bps += 1,
        |e| e.members.swap(0, 1),
        |e| flip(&mut e.prev),
        |e| flip(&mut e.ledger),
        |e| flip(&mut e.states),
        |e| e.last_slot = e.last_slot.next(),
    ];
    for place in [one, two] {
        for change in changes {
            let Kind::Epoch(mut record) = kind(&world.log()[place]) else { panic!("EPOCH") };
            change(&mut record);
            assert_eq!(with(place, Some(Entry::bytes(Kind::Epoch(record)))), ["epoch-wrong"]);
        }
    }
    // twice, a slot late, and before the EXEC that it stands on
    let twice = [world.log()[..=one].to_vec(), world.log()[one..].to_vec()].concat();
    assert_eq!(codes(world, &twice), ["section-order"]);
    let mut early = world.log().to_vec();
    early.swap(one - 1, one);
    // that slot had no units, so what EPOCH says is right there, but its place is not
    assert_eq!(codes(world, &early), ["section-order"]);
    let next = (one + 1..).find(|i| matches!(kind(&world.log()[*i]), Kind::Exec { .. })).unwrap();
    let mut late = world.log().to_vec();
    let entry = late.remove(one);
    late.insert(next, entry);
    assert_eq!(codes(world, &late), ["epoch-wrong"]);
}

#[test]
fn a_header_names_the_epoch_of_its_slot() {
    let world = epochs();
    for slot in [15u64, 16] {
        let entries = edit(world, slot, |kind| {
            if let Kind::Close { header, .. } = kind {
                header.epoch = Epoch(1 - header.epoch.0);
            }
            true
        });
        assert_eq!(codes(world, &entries), ["parent-wrong"]);
    }
}

#[test]
fn headers() {
    assert_eq!(lie!(3, Kind::Close { header, .. } => flip(&mut header.parent)), ["parent-wrong"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => header.time_ms = Timestamp(9)), ["parent-wrong"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => header.view = 2), ["parent-wrong"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => header.proposer = MemberId(4)), ["parent-wrong"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => flip(&mut header.network)), ["parent-wrong"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => header.reveal = None), ["reveal-wrong"]);
    assert_eq!(
        lie!(3, Kind::Close { header, .. } => header.reveal.iter_mut().for_each(|r| flip(&mut r.root))),
        ["reveal-wrong"]
    );
    assert_eq!(lie!(3, Kind::Close { header, .. } => flip(&mut header.set.root)), ["close-roots-wrong"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => flip(&mut header.lists.root)), ["close-roots-wrong"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => header.bids.count = 1), ["section-order"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => flip(&mut header.bids.root)), ["close-roots-wrong"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => header.objects.count = 1), ["section-order"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => flip(&mut header.objects.root)), ["close-roots-wrong"]);
    assert_eq!(lie!(3, Kind::Close { byte_price, .. } => *byte_price += 1), ["close-roots-wrong"]);
    assert_eq!(lie!(3, Kind::Close { bytes, .. } => *bytes += 1), ["close-roots-wrong"]);
    assert_eq!(lie!(2, Kind::Close { forced, .. } => *forced += 1), ["close-roots-wrong"]);
}

#[test]
fn a_header_that_is_not_final() {
    // the entries are consistent, but the votes are for another block
    assert_eq!(lie!(3, Kind::Close { header, .. } => header.time_ms = header.time_ms.next()), ["finality-invalid"]);
    let world = shared();
    let mut other = world.finality(Slot(4));
    for (garbled, proof) in [(false, other.clone()), (true, other.take().map(|p| p[1..].to_vec()))] {
        let mut auditor = Auditor::new(world.anchor(), Checks::ALL).unwrap();
        auditor.head(&world.checkpoint()).unwrap();
        loop {
            match auditor.need() {
                Need::Tile { tile, .. } => auditor.feed_tile(&tile, &tile_of(world.log(), &tile).unwrap()),
                Need::Finality(slot) if slot == Slot(3) => auditor.feed_finality(slot, proof.as_deref()),
                Need::Finality(slot) => auditor.feed_finality(slot, world.finality(slot).as_deref()),
                Need::Done => break,
            }
        }
        let report = auditor.finish();
        let names: Vec<_> = report.findings.iter().map(|f| (f.code.name(), f.slot)).collect();
        assert_eq!(names, [("finality-invalid", Slot(3))], "garbled: {garbled}");
        assert_eq!(report.checks[4].status, Status::Fail);
    }
}

#[test]
fn lists() {
    assert_eq!(lie!(3, Kind::List { sig, .. } => sig.0[9] ^= 1), ["lists-short"]);
    assert_eq!(lie!(3, Kind::List { bits, .. } => bits[0] ^= 1), ["lists-short"]);
    assert_eq!(lie!(3, Kind::List { bits, .. } => bits[0] ^= 0x80), ["lists-short"]);
    assert_eq!(lie!(3, Kind::List { bits, .. } => bits.push(0)), ["lists-short"]);
    assert_eq!(lie!(3, Kind::List { count, .. } => *count += 1), ["lists-short"]);
    assert_eq!(lie!(3, Kind::List { member: MemberId(m @ 3), .. } => *m = 9), ["lists-short"]);
    let world = shared();
    let two = edit(world, 3, |kind| match kind {
        Kind::Close { header, .. } => {
            header.lists.count = 2;
            true
        }
        Kind::List { member, .. } => member.0 < 2,
        _ => true,
    });
    assert_eq!(codes(world, &two), ["lists-short"]);
}

#[test]
fn reasons_and_candidates() {
    assert_eq!(lie!(3, Kind::Left { items, .. } => items[0].why ^= 1), ["candidates-wrong"]);
    assert_eq!(lie!(1, Kind::Left { items, .. } => items[0].why = Why::Inadmissible.number()), ["candidates-wrong"]);
    assert_eq!(lie!(3, Kind::Close { candidates, .. } => flip(&mut candidates.root)), ["candidates-wrong"]);
    assert_eq!(lie!(3, Kind::Close { forced, .. } => *forced += 1), ["cut-wrong"]);
    let cut = Rank { fee_per_byte: 1, hash: Hash::ZERO };
    assert_eq!(lie!(3, Kind::Close { cut: c, .. } => *c = Some(cut)), ["cut-wrong"]);
    assert_eq!(lie!(1, Kind::LeftHead { heads, .. } => heads.truncate(1)), ["candidates-wrong"]);
    let world = shared();
    let leaf = Leaf::Op { hash: Hash([1; 32]) };
    let stray = edit(world, 1, |kind| {
        if let Kind::Left { items, .. } = kind {
            items.push(types::LeftItem { leaf, why: Why::Inadmissible.number() });
        }
        true
    });
    assert_eq!(codes(world, &stray), ["candidates-wrong"], "a leaf that no list names");
}

/// Moves a left unit into the set: LEFT and LEFTHEAD lose it, ENVELOPE and the header's root gain it.
fn include(world: &World, slot: u64, hash: Hash, envelope: &[u8]) -> Vec<Vec<u8>> {
    let mut set: Vec<Hash> = Vec::new();
    for entry in world.log() {
        if let Kind::Envelope { slot: s, bytes } = kind(entry)
            && s == Slot(slot)
        {
            set.push(ids::hash_envelope(&codec::decode::<Envelope>(&bytes, limits::ENVELOPE_BYTES_MAX).unwrap()));
        }
    }
    let after = set.iter().filter(|h| **h < hash).count();
    set.push(hash);
    set.sort_unstable();
    let mut out = Vec::new();
    let (mut lists, mut units) = (0, 0);
    for entry in world.log() {
        let mut kind = kind(entry);
        let here = kind.slot() == Slot(slot);
        let mut keep = true;
        match &mut kind {
            Kind::Close { header, .. } if here => header.set = merkle::set_ref(&set),
            Kind::Left { items, .. } if here => {
                items.retain(|i| i.leaf.hash() != hash);
                keep = !items.is_empty();
            }
            Kind::LeftHead { heads, .. } if here => {
                heads.retain(|h| {
                    let signed = codec::decode::<SignedHeader>(&h.signed, limits::ENVELOPE_BYTES_MAX).unwrap();
                    ids::envelope_hash(&signed, &h.ciphertext) != hash
                });
                keep = !heads.is_empty();
            }
            Kind::List { .. } if here => lists += 1,
            Kind::Envelope { .. } if here => units += 1,
            _ => {}
        }
        let place = here && lists == MEMBERS && units == after;
        let (before, own) = (matches!(kind, Kind::Envelope { .. }), Entry::bytes(kind));
        if keep && (!place || !before || after > 0) {
            out.push(own.clone());
        }
        if place {
            out.push(Entry::bytes(Kind::Envelope { slot: Slot(slot), bytes: envelope.to_vec() }));
            if keep && before && after == 0 {
                out.push(own);
            }
            lists = 0;
        }
    }
    out
}

#[test]
fn what_is_not_listed_is_not_in() {
    let mut world = World::new(6);
    world.submit(Draft::of(0));
    let lone = world.submit(Draft { holders: vec![MemberId(1)], ..Draft::of(1) });
    let poor = world.submit(Draft::of(5));
    let (one, two) = (world.sealed(&lone), world.sealed(&poor));
    world.slot();
    world.slot();
    assert_eq!(world.audit().findings, vec![]);
    assert_eq!(codes(&world, &include(&world, 1, lone, &one)), ["unlisted-included"]);
    assert_eq!(codes(&world, &include(&world, 1, poor, &two)), ["set-wrong"], "it cannot pay");
    // one that no list has at all
    let nowhere = world.submit(Draft::of(2));
    let found = codes(&world, &include(&world, 1, nowhere, &world.sealed(&nowhere)));
    // by its place in the union the lists' bits still fit, or do not
    assert!([["unlisted-included"], ["lists-short"]].iter().any(|want| found == want), "{found:?}");
}

#[test]
fn limits_of_a_set() {
    let mut world = full();
    let left = world.log().iter().find_map(|e| match kind(e) {
        Kind::Left { items, .. } => Some(items[0].leaf.hash()),
        _ => None,
    });
    let left = left.unwrap();
    assert_eq!(codes(&world, &include(&world, 1, left, &world.sealed(&left))), ["limits-exceeded"]);
    // the worst unit of pass 3 is left out
    world.plant(Plant::OmitWorst);
    assert_eq!(world.audit().findings.iter().map(|f| f.code.name()).collect::<Vec<_>>(), ["set-wrong"]);
}

#[test]
fn units_that_no_set_may_have() {
    for (draft, consents) in
        [(Draft { signed: false, ..Draft::of(1) }, true), (Draft { consents: false, ..Draft::of(1) }, false)]
    {
        let mut world = World::new(7);
        let first = world.submit(Draft::of(0));
        world.submit(Draft { after: if consents { vec![] } else { vec![first] }, ..draft });
        world.slot();
        world.slot();
        assert_eq!(world.audit().findings.iter().map(|f| f.code.name()).collect::<Vec<_>>(), ["envelope-invalid"]);
        // a member that replays its own log checked this when it voted
        assert_eq!(world.audit_of(world.log(), &world.checkpoint(), Checks::TRUSTED).findings, vec![]);
    }
    // left for want of funds, but not even signed
    let mut world = World::new(7);
    world.submit(Draft { signed: false, ..Draft::of(5) });
    world.slot();
    assert_eq!(world.audit().findings.iter().map(|f| f.code.name()).collect::<Vec<_>>(), ["envelope-invalid"]);
}

#[test]
fn a_unit_of_an_earlier_set() {
    let mut world = World::new(8);
    let hash = world.submit(Draft::of(0));
    world.slot();
    world.slot();
    let bytes = world.sealed(&hash);
    let envelope: Envelope = codec::decode(&bytes, limits::ENVELOPE_BYTES_MAX).unwrap();
    let header = &envelope.signed.header;
    // all members list it again, the header says that it is the set
    let mut prices = (0, 0);
    let _all = edit(&world, 2, |kind| {
        if let Kind::Close { byte_price, gas_price, .. } = kind {
            prices = (*byte_price, *gas_price);
        }
        true
    });
    let prices = auction_rules::Prices { byte: prices.0, gas: prices.1 };
    let (size, gas) = (header.size_class, header.gas_class);
    let fee_per_byte = auction_rules::fee_per_byte(header.max_fee, size, gas, &prices);
    let leaf = Leaf::Envelope { hash, fee_per_byte, size, gas };
    let union = BTreeSet::from([leaf]);
    let listed: Vec<_> = (0..MEMBERS).map(|m| world.list(Slot(2), MemberId(m), &union, &[leaf], None)).collect();
    let roots: Vec<_> = listed.iter().map(|(_, leaf)| leaf.clone()).collect();
    let mut out = Vec::new();
    for entry in world.log() {
        let mut kind = kind(entry);
        let here = kind.slot() == Slot(2);
        if let (true, Kind::Close { header, .. }) = (here, &mut kind) {
            header.lists = merkle::set_ref(&roots);
            header.set = merkle::set_ref(&[hash]);
        }
        match kind {
            Kind::List { member, .. } if here => {
                out.push(listed[usize::from(member.0)].0.clone());
                if member.0 + 1 == MEMBERS {
                    out.push(Entry::bytes(Kind::Envelope { slot: Slot(2), bytes: bytes.clone() }));
                }
            }
            other => out.push(Entry::bytes(other)),
        }
    }
    assert_eq!(codes(&world, &out), ["envelope-duplicate"]);
}

#[test]
fn openings() {
    let world = shared();
    let mut other = None;
    let _all = edit(world, 1, |kind| {
        if let Kind::Beacon { sig, .. } = kind {
            other = Some(*sig);
        }
        true
    });
    assert_eq!(lie!(3, Kind::Beacon { sig, .. } => *sig = other.unwrap()), ["beacon-invalid"]);
    assert_eq!(lie!(3, Kind::Beacon { sig, .. } => sig.0[60] ^= 1), ["beacon-invalid"]);
    assert_eq!(lie!(3, Kind::Auction { reserve, .. } => *reserve = Amount::ZERO), ["reserve-wrong"]);
    assert_eq!(lie!(3, Kind::Auction { winner, .. } => *winner = Some(0)), ["winner-wrong"]);
    assert_eq!(lie!(3, Kind::Auction { price, reserve, .. } => *price = *reserve), ["price-wrong"]);
    assert_eq!(lie!(3, Kind::Order { root, .. } => flip(root)), ["order-wrong"]);
    assert_eq!(lie!(1, Kind::Order { perm, .. } => perm.reverse()), ["order-wrong"]);
    assert_eq!(lie!(1, Kind::Order { perm, .. } => perm.truncate(1)), ["order-wrong"]);
    assert_eq!(lie!(1, Kind::Opened { openings, .. } => openings.truncate(1)), ["openings-missing"]);
    assert_eq!(lie!(1, Kind::Opened { openings, .. } => openings.push(openings[0])), ["openings-missing"]);
    assert_eq!(lie!(1, Kind::Opened { first, .. } => *first = 1), ["openings-missing"]);
    let point = world.anchor().network().keys.decrypt[0];
    assert_eq!(lie!(1, Kind::Opened { openings, .. } => openings[0] = Opening::Bottom(point)), ["failure-false"]);
    // slot 3 has one unit that opens for nobody
    assert_eq!(
        lie!(3, Kind::Opened { openings, .. } => openings.iter_mut().for_each(|o| *o = Opening::Key(Key128([1; 16])))),
        ["opening-wrong"]
    );
    assert_eq!(
        lie!(3, Kind::Opened { openings, .. } => openings.iter_mut().for_each(|o| *o = Opening::Bottom(point))),
        ["failure-false"]
    );
}

#[test]
fn executions() {
    assert_eq!(lie!(1, Kind::Exec { outcomes, .. } => outcomes[0] ^= 1), ["outcome-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { outcomes, .. } => outcomes.truncate(1)), ["outcome-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { chains, .. } => chains[1].units += 1), ["projection-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { chains, .. } => flip(&mut chains[0].units_root)), ["projection-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { chains, .. } => chains.truncate(1)), ["projection-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { chains, .. } => flip(&mut chains[0].pre)), ["exec-root-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { chains, .. } => flip(&mut chains[0].receipts)), ["exec-root-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { chains, .. } => chains[0].gas += 1), ["exec-root-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { batch, .. } => flip(batch)), ["exec-root-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { carry, .. } => *carry = SetRef { count: 1, ..*carry }), ["carry-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { mailbox, .. } => flip(mailbox)), ["mailbox-unequal"]);
    assert_eq!(lie!(1, Kind::Exec { sums, .. } => sums.swap(3, 4)), ["fees-wrong"]);
    assert_eq!(lie!(1, Kind::Exec { ledger, .. } => flip(ledger)), ["ledger-wrong"]);
    // the first cause of several
    assert_eq!(
        lie!(1, Kind::Exec { outcomes, sums, ledger, .. } => {
            outcomes[0] ^= 1;
            sums.swap(3, 4);
            flip(ledger);
        }),
        ["outcome-wrong"]
    );
}

#[test]
fn the_grammar() {
    let world = shared();
    let at = |wanted: fn(&Kind) -> bool| world.log().iter().position(|e| wanted(&kind(e))).unwrap();
    let swapped = |a: usize, b: usize| {
        let mut entries = world.log().to_vec();
        entries.swap(a, b);
        codes(world, &entries)
    };
    let list = at(|k| matches!(k, Kind::List { .. }));
    assert_eq!(swapped(list, list + 1), ["section-order"]);
    let left = at(|k| matches!(k, Kind::Left { .. }));
    assert_eq!(swapped(left, left + 1), ["section-order"], "LEFTHEAD before LEFT");
    let unit = at(|k| matches!(k, Kind::Envelope { .. }));
    assert_eq!(swapped(unit, unit + 1), ["section-order"]);
    let beacon = at(|k| matches!(k, Kind::Beacon { .. }));
    assert_eq!(swapped(beacon, beacon + 1), ["section-order"]);

    // EXEC of slot 1 belongs before CLOSE of slot 3, after the empty block's
    let exec = at(|k| matches!(k, Kind::Exec { slot: Slot(1), .. }));
    let empty = at(|k| matches!(k, Kind::Close { slot: Slot(2), .. }));
    let mut early = world.log().to_vec();
    let moved = early.remove(exec);
    early.insert(empty, moved);
    assert_eq!(codes(world, &early), ["section-order"]);
    let mut without = world.log().to_vec();
    without.remove(exec);
    assert_eq!(codes(world, &without), ["section-order"]);
    assert_eq!(swapped(exec, exec + 1), ["section-order"], "the older slot's comes first");

    // kinds that nothing here can give rise to, at every place
    for place in 2..world.log().len() {
        let mut entries = world.log().to_vec();
        let slot = kind(&entries[place]).slot();
        entries.insert(place, Entry::bytes(Kind::Tail { slot, bytes: vec![1] }));
        // of an opened slot without EXEC a tail may come, but these bytes are none
        let due = matches!(kind(&world.log()[place]), Kind::Exec { .. } | Kind::Close { .. });
        let found = codes(world, &entries);
        assert!(found == ["section-order"] || due && found == ["entry-malformed"], "before entry {place}: {found:?}");
    }
    for place in 0..world.log().len() {
        let mut entries = world.log().to_vec();
        entries[place].push(0);
        assert_eq!(codes(world, &entries), ["entry-malformed"], "entry {place}");
    }
    let mut entries = world.log().to_vec();
    entries[4][4] = 2;
    assert_eq!(codes(world, &entries), ["entry-malformed"]);
    // LEFTHEAD for what needs none: listed by one member only, or there already
    assert_eq!(lie!(3, Kind::LeftHead { heads, .. } => heads.push(heads[0].clone())), ["section-order"]);
    assert_eq!(lie!(1, Kind::Left { first, .. } => *first = 1), ["section-order"]);
}

#[test]
fn ver_2_no_byte_of_an_entry_is_beyond_the_checks() {
    let world = shared();
    let mut state = 7usize;
    for (place, entry) in world.log().iter().enumerate() {
        for _ in 0..2 {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            let mut entries = world.log().to_vec();
            entries[place][(state >> 8) % entry.len()] ^= 1 << (state >> 4 & 7);
            let found = codes(world, &entries);
            assert_eq!(found.len(), 1, "entry {place}, {}: {found:?}", kind(entry).name());
        }
    }
}

#[test]
fn ver_2_no_entry_can_be_left_out_or_doubled() {
    let world = shared();
    for place in 0..world.log().len() - 4 {
        let mut entries = world.log().to_vec();
        entries.remove(place);
        assert_eq!(codes(world, &entries).len(), 1, "without entry {place}");
        let mut entries = world.log().to_vec();
        entries.insert(place, entries[place].clone());
        assert_eq!(codes(world, &entries).len(), 1, "entry {place} twice");
    }
}

/// The entry of the FAULT, changed by `f`.
fn fault(f: impl Fn(&mut Kind)) -> Vec<&'static str> {
    edited(3, |kind| {
        if matches!(kind, Kind::Fault { .. }) {
            f(kind);
        }
    })
}

#[test]
fn faults() {
    assert_eq!(
        fault(|k| if let Kind::Fault { finding, .. } = k {
            *finding = 55
        }),
        ["fault-false"]
    );
    assert_eq!(
        fault(|k| if let Kind::Fault { accused, .. } = k {
            flip(&mut accused[0])
        }),
        ["fault-false"]
    );
    assert_eq!(
        fault(|k| if let Kind::Fault { accused, .. } = k {
            accused.clear()
        }),
        ["fault-false"]
    );
    let one = Amount::new(1).unwrap();
    assert_eq!(
        fault(|k| if let Kind::Fault { penalty, .. } = k {
            *penalty = one
        }),
        ["penalty-wrong"]
    );
    assert_eq!(
        fault(|k| if let Kind::Fault { evidence, .. } = k {
            evidence.truncate(9)
        }),
        ["fault-false"]
    );
    let operation = |evidence: &[u8]| [&[0], evidence].concat();
    let let_off = fault(|k| {
        if let Kind::Fault { slot, evidence, .. } = k {
            *k = Kind::Operation { slot: *slot, bytes: operation(evidence) };
        }
    });
    assert_eq!(let_off, ["fault-false"], "evidence that convicts has no effect");
    // the other piece convicts a second time
    let mut key = Vec::new();
    for entry in shared().log() {
        if let Kind::Fault { accused, .. } = kind(entry) {
            key = accused;
        }
    }
    let twice = edited(3, |k| {
        if let Kind::Operation { slot, bytes } = k {
            let (accused, evidence) = (key.clone(), bytes[1..].to_vec());
            *k = Kind::Fault { slot: *slot, finding: 13, accused, penalty: Amount::ZERO, evidence };
        }
    });
    assert_eq!(twice, ["fault-false"]);
    let changed = lie!(3, Kind::Operation { bytes, .. } => bytes[40] ^= 1);
    assert!([["close-roots-wrong"], ["section-order"]].iter().any(|want| changed == want), "{changed:?}");
    assert_eq!(lie!(3, Kind::Close { header, .. } => flip(&mut header.operations.root)), ["close-roots-wrong"]);
    assert_eq!(lie!(3, Kind::Close { header, .. } => header.operations.count = 1), ["close-roots-wrong"]);
}

#[test]
fn every_kind_of_evidence_convicts_once_and_a_lie_about_it_is_found() {
    let mut world =
        World::with_params(9, Params { member_penalty: Amount::new(7).unwrap(), ..Params::default_for(500) });
    world.submit(Draft::of(0));
    world.slot();
    let (bad, slot) = (MemberId(2), Slot(1));
    let pieces = world.guilt(bad, slot);
    for piece in &pieces {
        let proved = crypto::evidence::verify(piece, &world.context()).unwrap();
        assert_eq!((proved.claim(), proved.accused), (crypto::evidence::claim(piece), types::Accused::Member(bad)));
        world.accuse(piece.clone());
    }
    world.slot();
    // nothing more of the kind for the rest of the epoch
    for piece in world.guilt(bad, Slot(2)) {
        world.accuse(piece);
    }
    world.slot();
    world.slot();
    let report = world.audit();
    assert_eq!(report.findings, vec![]);
    assert_eq!(report.checks[19].status, Status::Pass);
    let found = |world: &World| {
        let mut found: Vec<(u16, u128)> = world
            .log()
            .iter()
            .filter_map(|e| match kind(e) {
                Kind::Fault { finding, penalty, .. } => Some((finding, penalty.units())),
                _ => None,
            })
            .collect();
        found.sort_unstable();
        found
    };
    assert_eq!(found(&world), [(11, 7), (13, 7), (50, 7), (52, 7), (53, 7), (54, 7), (55, 7), (60, 7)]);
    let state = {
        let mut replay = crate::Replay::new(world.anchor(), Checks::TRUSTED).unwrap();
        for (index, entry) in (0..).zip(world.log()) {
            replay.entry(index, entry);
        }
        replay.end()
    };
    assert_eq!(state.faults.len(), 8, "a member that replays its own log knows them");
    // each with a signature that is not the culprit's
    for piece in pieces {
        let mut forged = piece;
        let sig = match &mut forged {
            Evidence::ListDouble { a_sig, .. } | Evidence::ReceiptDouble { a_sig, .. } => a_sig,
            Evidence::ListInvalid { list } => &mut list.sig,
            Evidence::VoteDouble { a, .. } => &mut a.sig,
            Evidence::ShareDouble { a, .. } => &mut a.sig,
            Evidence::ShareBad { fault } => &mut fault.share.sig,
            Evidence::OpeningBad { fault } => &mut fault.sig,
            Evidence::BeaconBad { share } | Evidence::ShareStray { share, .. } => &mut share.sig,
            Evidence::Builder { .. } => panic!("no member's"),
        };
        sig.0[7] ^= 1;
        let mut world = World::new(9);
        world.submit(Draft::of(0));
        world.slot();
        world.accuse(forged);
        world.slot();
        world.slot();
        assert_eq!(world.audit().findings, vec![], "it has no effect");
        assert_eq!(found(&world), []);
        world.plant(Plant::FalseFault);
        let report = world.audit();
        assert_eq!(
            report.findings.iter().map(|f| (f.code.name(), f.slot)).collect::<Vec<_>>(),
            [("fault-false", Slot(2))]
        );
        assert_eq!(report.checks[19].status, Status::Fail);
    }
}

#[test]
fn operations_have_budgets_and_places() {
    let mut world = World::new(10);
    let all: Vec<MemberId> = (0..MEMBERS).map(MemberId).collect();
    for byte in 0..11 {
        world.operate(vec![byte; 40], &all);
    }
    world.operate(vec![99; 40], &[MemberId(1)]);
    world.slot();
    world.slot();
    world.slot();
    assert_eq!(world.audit().findings, vec![]);
    let count = |slot: u64| {
        let here = |e: &&Vec<u8>| matches!(kind(e), Kind::Operation { slot: s, .. } if s == Slot(slot));
        world.log().iter().filter(here).count()
    };
    assert_eq!((count(1), count(2), count(3)), (8, 3, 0), "what had no room waits");
    // one that had room is left out, as if it had none
    let mut world = World::new(10);
    world.operate(vec![1; 40], &all);
    world.slot();
    world.slot();
    world.plant(Plant::OmitOperation);
    assert_eq!(world.audit().findings.iter().map(|f| f.code.name()).collect::<Vec<_>>(), ["operation-omitted"]);
    // one that too few list is in
    let mut world = World::new(10);
    let lone = world.operate(vec![1; 40], &[MemberId(1)]);
    world.slot();
    world.slot();
    let entries = edit(&world, 1, |kind| match kind {
        Kind::Close { header, .. } => {
            header.operations = merkle::set_ref(&[lone]);
            true
        }
        Kind::Left { .. } => false,
        _ => true,
    });
    let at = entries.iter().position(|e| matches!(kind(e), Kind::Beacon { .. })).unwrap();
    let mut with = entries;
    with.insert(at, Entry::bytes(Kind::Operation { slot: Slot(1), bytes: vec![1; 40] }));
    assert_eq!(codes(&world, &with), ["unlisted-included"]);
}
