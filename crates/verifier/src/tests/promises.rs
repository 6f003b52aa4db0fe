// Goal: a receipt convicts a member that did not list its item, and nobody else; two under one number convict by
// themselves. Method: receipts of every member for envelopes that some, all or none of them list.
use crate::{
    Auditor, Checks, ReceiptInputError, Report, Status,
    testing::{Draft, MEMBERS, World},
};
use std::{string::String, vec, vec::Vec};
use types::{Evidence, Hash, MemberId, Nonce, Slot, codec, limits};

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
    assert_eq!((proved.finding.name(), proved.accused), ("receipt-conflict", types::Accused::Member(MemberId(3))));
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
