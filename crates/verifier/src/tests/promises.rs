// Goal: a receipt convicts a member that did not list its item, and nobody else; two under one number convict by
// themselves, also when the committee or its parameters change. Method: receipts of every member for envelopes that some,
// all or none of them list; then of an epoch and the next, whose committee has one member less and one more.
use crate::{
    Auditor, Checks, ReceiptInputError, Report, Status,
    testing::{Draft, MEMBERS, World},
};
use std::{string::String, vec, vec::Vec};
use types::{Accused, Epoch, Evidence, Hash, MemberId, Nonce, Params, Slot, codec, limits};

fn found(report: &Report) -> Vec<(&str, Slot, Vec<String>)> {
    report.findings.iter().map(|f| (f.code.name(), f.slot, f.accused.clone())).collect()
}

fn line(report: &Report) -> (&Status, u64) {
    let check = report.checks.iter().find(|check| check.n == 21).unwrap();
    (&check.status, check.units)
}

/// Slot 1: all list `whole`, all but member 1 list `most`, member 2 alone lists `lone`.
fn world() -> (World, [Hash; 3]) {
    let mut world = World::new(12);
    let whole = world.submit(Draft::of(0));
    let most = world.submit(Draft { holders: [0, 2, 3].map(MemberId).to_vec(), ..Draft::of(1) });
    let lone = world.submit(Draft { holders: vec![MemberId(2)], ..Draft::of(3) });
    for _ in 0..3 {
        world.slot();
    }
    (world, [whole, most, lone])
}

#[test]
fn a_list_without_what_was_promised_convicts_its_member() {
    let (world, [whole, most, lone]) = world();
    let kept: Vec<Vec<u8>> = (0..MEMBERS).map(|m| world.receipt(MemberId(m), whole, Slot(1), m.into())).collect();
    let report = world.audit_with(&kept);
    assert_eq!((found(&report), line(&report), report.exit()), (vec![], (&Status::Pass, 4), 0));

    for (member, item) in [(1, most), (0, lone), (3, lone)] {
        let receipt = world.receipt(MemberId(member), item, Slot(1), 9);
        let report = world.audit_with(&[kept[0].clone(), receipt.clone()]);
        let key = std::format!("example.net/test/m{member}/receipt");
        assert_eq!(found(&report), [("receipt-unlisted", Slot(1), vec![key])]);
        assert_eq!((line(&report), report.exit()), ((&Status::Fail, 2), 1));
        // what it writes shows the same again
        assert_eq!(
            report.proofs.iter().map(|proof| (proof.member.0, &proof.bytes)).collect::<Vec<_>>(),
            [(member, &receipt)]
        );
        assert_eq!(found(&world.audit_with(&[report.proofs[0].bytes.clone()])), found(&report));
    }
    // promised and listed, and listed until the end
    let report =
        world.audit_with(&[world.receipt(MemberId(2), lone, Slot(1), 9), world.receipt(MemberId(0), most, Slot(1), 9)]);
    assert_eq!((found(&report), line(&report)), (vec![], (&Status::Pass, 2)));
}

#[test]
fn what_the_log_does_not_show_convicts_nobody() {
    let (world, [_, most, lone]) = world();
    let unknown = |receipt: Vec<u8>, why: &str| {
        let report = world.audit_with(&[receipt]);
        assert_eq!((found(&report), report.exit()), (vec![], 0));
        assert!(matches!(line(&report).0, Status::NotChecked(reason) if reason.contains(why)), "{:?}", line(&report));
    };
    // without its envelope nobody knows whose nonce it has
    let bare = |case: Vec<u8>| {
        let text = String::from_utf8(case).unwrap();
        text.split_once("\nenvelope ").map(|(note, _)| std::format!("{note}\n")).unwrap().into_bytes()
    };
    unknown(bare(world.receipt(MemberId(0), lone, Slot(1), 9)), "envelope is not beside");
    // promised from the slot after that of its set: over before it began
    let report = world.audit_with(&[world.receipt(MemberId(1), most, Slot(2), 9)]);
    assert_eq!((found(&report), line(&report)), (vec![], (&Status::Pass, 1)));

    // an empty block hides a list
    let mut gap = World::new(12);
    let lone = gap.submit(Draft { holders: vec![MemberId(2)], ..Draft::of(3) });
    gap.empty_slot();
    gap.slot();
    gap.slot();
    let report = gap.audit_with(&[gap.receipt(MemberId(0), lone, Slot(1), 9)]);
    assert!(found(&report).is_empty() && matches!(line(&report).0, Status::NotChecked(_)));
    assert_eq!(found(&gap.audit_with(&[gap.receipt(MemberId(0), lone, Slot(2), 9)])).len(), 1);

    // another unit of its nonce is in a set
    let mut used = World::new(12);
    used.submit(Draft::of(2));
    let replaced = Draft { percent: 150, nonce: Some(Nonce(0)), holders: vec![MemberId(2)], ..Draft::of(2) };
    let replaced = used.submit(replaced);
    for _ in 0..3 {
        used.slot();
    }
    let report = used.audit_with(&[used.receipt(MemberId(0), replaced, Slot(2), 9)]);
    assert_eq!((found(&report), line(&report)), (vec![], (&Status::Pass, 1)));
}

#[test]
fn two_receipts_of_one_number_convict_by_themselves() {
    let (world, [whole, most, _]) = world();
    let two = [world.receipt(MemberId(3), whole, Slot(1), 77), world.receipt(MemberId(3), most, Slot(1), 77)];
    let report = world.audit_with(&two);
    assert_eq!(found(&report), [("receipt-conflict", Slot(1), vec!["example.net/test/m3/receipt".into()])]);
    let piece = crypto::evidence::decode(&report.proofs[0].bytes).unwrap();
    assert!(matches!(piece, Evidence::ReceiptDouble { .. }));
    let proved = crypto::evidence::verify(&piece, &world.context()).unwrap();
    assert_eq!((proved.finding.name(), proved.accused), ("receipt-conflict", Accused::Member(MemberId(3))));
    assert!(codec::encode(&piece).len() < limits::EVIDENCE_BYTES_MAX);
    // other numbers, other members
    let apart =
        [two[0].clone(), world.receipt(MemberId(3), most, Slot(1), 78), world.receipt(MemberId(2), most, Slot(1), 77)];
    assert_eq!(found(&world.audit_with(&apart)), []);
}

#[test]
fn what_is_no_receipt_of_the_network_is_refused() {
    let (world, [whole, most, _]) = world();
    let receipt = world.receipt(MemberId(0), whole, Slot(1), 1);
    let refused = |case: &[u8]| Auditor::new(world.anchor(), Checks::ALL).unwrap().receipt(case).unwrap_err();
    let mut forged = receipt.clone();
    forged[200] ^= 1;
    assert_eq!(refused(&forged), ReceiptInputError::Note);
    assert_eq!(refused(&World::new(13).receipt(MemberId(0), whole, Slot(1), 1)), ReceiptInputError::Note);
    let other = world.receipt(MemberId(0), most, Slot(1), 1);
    let place = |case: &[u8]| String::from_utf8_lossy(case).rfind("envelope ").unwrap();
    let mixed = [&receipt[..place(&receipt)], &other[place(&other)..]].concat();
    assert_eq!(refused(&mixed), ReceiptInputError::Envelope);
    assert_eq!(refused(&receipt[..receipt.len() - 2]), ReceiptInputError::Envelope);
}

/// The last slot of epoch 0.
const LAST: Slot = Slot(15);

/// Epochs of 16 slots, up to slot 13, and an envelope that all list until it expires: it waits for a lower nonce. With
/// epoch 1 member 1 leaves, if anybody does: then 2 and 3 are 1 and 2 there, and 3 is one that joins.
fn before_the_end(leaves: bool, alter: fn(&mut Params)) -> (World, Hash) {
    let mut params = Params { epoch_slots: 16, ..Params::default_for(500) };
    let mut world = World::with_params(14, params.clone());
    alter(&mut params);
    world.change(leaves.then_some(MemberId(1)), params);
    (0..13).for_each(|_| world.slot());
    let item = world.submit(Draft { nonce: Some(Nonce(3)), ..Draft::of(4) });
    (world, item)
}

fn slots_until(world: &mut World, slot: Slot) {
    while world.last_slot() < slot {
        world.slot();
    }
}

/// Receipts by members of an epoch for lists from a slot on, given when the slot before was final.
fn given(world: &World, epoch: u64, members: &[u16], item: Hash, list_from: u64) -> Vec<Vec<u8>> {
    let slots = [Slot(list_from).prev(), Slot(list_from)];
    let by = |member: &u16| world.receipt_by((Epoch(epoch), MemberId(*member)), item, slots, u64::from(*member));
    members.iter().map(by).collect()
}

fn unlisted(slot: u64, member: u16) -> (&'static str, Slot, Vec<String>) {
    ("receipt-unlisted", Slot(slot), vec![std::format!("example.net/test/m{member}/receipt")])
}

fn unjudged(report: &Report, count: usize, why: &str) -> bool {
    let begins = std::format!("{count} receipts cannot be judged: {why}");
    matches!(line(report).0, Status::NotChecked(reason) if reason.starts_with(&begins))
}

#[test]
fn a_promise_goes_on_with_a_member_that_stays_and_ends_with_one_that_leaves() {
    let (mut world, item) = before_the_end(true, |_| {});
    slots_until(&mut world, Slot(18));
    // 0 stays as it is, 2 and 3 become 1 and 2; from a slot of epoch 0, and from the first of epoch 1
    for list_from in [14, 16] {
        let report = world.audit_with(&given(&world, 0, &[0, 2, 3], item, list_from));
        assert_eq!((found(&report), line(&report), report.exit()), (vec![], (&Status::Pass, 3), 0));
        let report = world.audit_with(&given(&world, 0, &[0, 1, 2, 3], item, list_from));
        assert_eq!((found(&report), line(&report).1, report.exit()), (vec![], 3, 0));
        assert!(unjudged(&report, 1, "its member left the committee"), "{:?}", line(&report));
    }

    // kept in epoch 0; in epoch 1 all but member 1 stop to list it
    let (mut world, item) = before_the_end(true, |_| {});
    slots_until(&mut world, LAST);
    [0, 2].iter().for_each(|member| world.hold(MemberId(*member), &item, false));
    slots_until(&mut world, Slot(18));
    let all = given(&world, 0, &[0, 1, 2, 3], item, 14);
    let report = world.audit_with(&all);
    assert_eq!(found(&report), [unlisted(16, 0), unlisted(16, 2)], "by the index that its list has");
    assert_eq!((line(&report), report.exit()), ((&Status::Fail, 3), 1));
    let proofs: Vec<_> = report.proofs.iter().map(|proof| (proof.member.0, &proof.bytes)).collect();
    assert_eq!(proofs, [(0, &all[0]), (2, &all[3])]);
    assert_eq!(found(&world.audit_with(&[report.proofs[1].bytes.clone()])), [unlisted(16, 2)]);

    // broken before it leaves: the verdict stays
    let (mut world, item) = before_the_end(true, |_| {});
    slots_until(&mut world, Slot(14));
    world.hold(MemberId(1), &item, false);
    slots_until(&mut world, Slot(18));
    let report = world.audit_with(&given(&world, 0, &[0, 1, 2, 3], item, 14));
    assert_eq!((found(&report), line(&report)), (vec![unlisted(15, 1)], (&Status::Fail, 4)));
    assert_eq!(report.proofs[0].member, MemberId(1));
}

#[test]
fn a_receipt_of_a_later_committee_waits_for_it() {
    let (mut world, item) = before_the_end(true, |_| {});
    slots_until(&mut world, LAST);
    let (mut lists, lists_not) = (world, before_the_end(true, |_| {}));
    lists.hold(MemberId(3), &item, true);
    slots_until(&mut lists, Slot(19));
    // member 3 of epoch 0 is 2 there: it lists, and who joins as 3 does or does not
    let receipts = |world: &World| [given(world, 0, &[3], item, 14), given(world, 1, &[0, 1, 2, 3], item, 17)].concat();
    let report = lists.audit_with(&receipts(&lists));
    assert_eq!((found(&report), line(&report), report.exit()), (vec![], (&Status::Pass, 5), 0));

    let (mut world, same) = lists_not;
    assert_eq!(item, same);
    slots_until(&mut world, LAST);
    world.hold(MemberId(1), &item, false);
    slots_until(&mut world, Slot(19));
    let report = world.audit_with(&receipts(&world));
    assert_eq!((found(&report), line(&report)), (vec![unlisted(17, 1), unlisted(17, 3)], (&Status::Fail, 5)));
    // who left speaks for nobody who has its index now
    let late = world.receipt_by((Epoch(0), MemberId(1)), item, [Slot(16), Slot(17)], 8);
    let report = world.audit_with(&[late]);
    assert_eq!((found(&report), report.exit()), (vec![], 0));
    assert!(unjudged(&report, 1, ""), "{:?}", line(&report));

    // nobody has signed it: said at the end, or at once when its epoch is there
    let (mut stays, _) = before_the_end(false, |_| {});
    slots_until(&mut stays, Slot(18));
    let report = stays.audit_with(&given(&world, 1, &[3], item, 17));
    assert_eq!((found(&report), line(&report).1, report.exit()), (vec![], 0, 0));
    assert!(unjudged(&report, 1, "no member"), "{:?}", line(&report));
    let early = world.receipt_by((Epoch(1), MemberId(3)), item, [Slot(14), LAST], 8);
    let refused = |case: &[u8]| Auditor::new(world.anchor(), Checks::ALL).unwrap().receipt(case).unwrap_err();
    assert_eq!(refused(&early), ReceiptInputError::Note);
    // who joins with epoch 2 had no lists in epoch 1
    let mut twice = stays;
    twice.change(Some(MemberId(1)), twice.anchor().network().genesis.params.clone());
    slots_until(&mut twice, Slot(33));
    let before = twice.receipt_by((Epoch(2), MemberId(3)), item, [Slot(16), Slot(17)], 8);
    assert!(unjudged(&twice.audit_with(&[before]), 1, "no member"));
    let after = twice.audit_with(&given(&twice, 2, &[3], item, 33));
    assert_eq!(found(&after), [unlisted(33, 3)]);
    let elsewhere = World::with_params(15, Params { epoch_slots: 16, ..Params::default_for(500) });
    assert_eq!(refused(&elsewhere.receipt(MemberId(3), item, Slot(17), 8)), ReceiptInputError::Network);
}

#[test]
fn other_parameters_end_what_was_promised_before_them_alone() {
    let fewer: fn(&mut Params) = |params| params.account_slot_count = 9;
    let (mut world, item) = before_the_end(false, fewer);
    slots_until(&mut world, LAST);
    world.hold(MemberId(2), &item, false);
    slots_until(&mut world, Slot(19));
    for list_from in [14, 16] {
        let report = world.audit_with(&given(&world, 0, &[1, 2], item, list_from));
        assert_eq!((found(&report), report.exit()), (vec![], 0));
        assert!(unjudged(&report, 2, "the parameters changed"), "{:?}", line(&report));
    }
    let report = world.audit_with(&given(&world, 1, &[1, 2], item, 17));
    assert_eq!((found(&report), line(&report)), (vec![unlisted(17, 2)], (&Status::Fail, 2)));

    let (mut world, item) = before_the_end(false, fewer);
    slots_until(&mut world, Slot(14));
    world.hold(MemberId(2), &item, false);
    slots_until(&mut world, Slot(18));
    let report = world.audit_with(&given(&world, 0, &[2], item, 14));
    assert_eq!((found(&report), line(&report)), (vec![unlisted(15, 2)], (&Status::Fail, 1)));
}

#[test]
fn two_receipts_of_one_number_name_their_giver_as_its_committee_did() {
    let (mut world, item) = before_the_end(true, |_| {});
    let other = world.submit(Draft { nonce: Some(Nonce(4)), ..Draft::of(4) });
    slots_until(&mut world, Slot(18));
    // the same member: 3 in epoch 0, 2 in epoch 1, to which a receipt for its lists belongs whenever it was given
    for (by, list_from, epoch, accused) in [(3, 14, 0, 3), (3, 16, 1, 2), (2, 17, 1, 2)] {
        let by = (Epoch(u64::from(by == 2)), MemberId(by));
        let slots = [Slot(list_from).prev(), Slot(list_from)];
        let two = [item, other].map(|item| world.receipt_by(by, item, slots, 77));
        let report = world.audit_with(&two);
        let key = std::format!("example.net/test/m{accused}/receipt");
        assert_eq!(found(&report), [("receipt-conflict", Slot(list_from), vec![key])]);
        let piece = crypto::evidence::decode(&report.proofs[0].bytes).unwrap();
        let proved = crypto::evidence::verify(&piece, &world.context_of(Epoch(epoch))).unwrap();
        assert_eq!(proved.accused, Accused::Member(MemberId(accused)));
        assert_eq!(report.proofs[0].member, MemberId(accused));
    }
}
