// Goal: what bad units and bad submissions get. Method: a unit that nobody can open stands between others; each refusal of
// the ingress is provoked once.
use crate::common::{Inside, Net, Order, World, net::wallet};
use crypto::{eip712, eth::EthKey};
use types::{
    Amount, Envelope, Hash, Kind, Opening, Slot,
    reason::{Outcome, Reason},
};
use zeroize::Zeroizing;

#[test]
fn a_unit_that_does_not_open_keeps_its_place_and_harms_nobody() {
    let net = Net::four();
    let mut world = World::new(net, 51);
    let (mut hashes, mut bad) = (Vec::new(), Vec::new());
    for wallet in 0..10 {
        let inside = if wallet % 3 == 1 { Inside::Undecryptable } else { Inside::Transfer };
        let (hash, envelope) = net.envelope(&Order::new(wallet, 0, inside));
        world.submit(wallet % 4, &envelope);
        hashes.push(hash);
        if inside == Inside::Undecryptable {
            bad.push(hash);
        }
    }
    world.executed(&hashes);
    for hash in &hashes {
        let right = if bad.contains(hash) { Outcome::NotOpened } else { Outcome::Committed };
        for member in 0..4 {
            assert_eq!(world.outcome(member, hash), Some(right));
        }
    }
    let bottoms = world.log.iter().map(|entry| crate::common::world::kind(entry)).map(|kind| match kind {
        Kind::Opened { openings, .. } => openings.iter().filter(|o| matches!(o, Opening::Bottom(_))).count(),
        _ => 0,
    });
    assert_eq!(bottoms.sum::<usize>(), 3);
    // fee and unit bond are taken with EXEC
    let next = world.machine(0).opened().0 + 2;
    world.open(next);
    let account = |at: usize| world.machine(0).account(&wallet(at).address()).account.unwrap();
    let (opened, not_opened) = (account(0), account(1));
    assert!(opened.balance.units() - not_opened.balance.units() > 100_000, "the unit bond is forfeited");
    assert_eq!((opened.nonce.0, not_opened.nonce.0), (1, 1));
    world.audit(2);
}

#[test]
fn a_bad_unit_is_opened_the_same_by_a_member_that_fetches_the_opening() {
    let net = Net::four();
    let mut world = World::new(net, 52);
    world.filter = Box::new(|passing| match passing.channel {
        sequencer::Channel::Shares if passing.to == 1 => crate::common::Fate::Lost,
        _ => crate::common::Fate::Arrives,
    });
    let hashes: Vec<Hash> = (0..4)
        .map(|wallet| {
            let inside = if wallet == 2 { Inside::Undecryptable } else { Inside::Junk };
            let (hash, envelope) = net.envelope(&Order::new(wallet, 0, inside));
            world.submit(wallet, &envelope);
            hash
        })
        .collect();
    world.executed(&hashes);
    assert_eq!(world.outcome(1, &hashes[2]), Some(Outcome::NotOpened));
    world.audit(1);
}

/// The refusal of a submission to member 0.
fn refusal(world: &mut World, envelope: &Envelope) -> Result<(), (Reason, String)> {
    let ticket = world.submit(0, envelope);
    world.pass(150);
    match &world.replies[&ticket] {
        Ok(_) => Ok(()),
        Err(refusal) => Err((refusal.known().unwrap(), refusal.detail.clone())),
    }
}

#[test]
fn every_bad_submission_gets_its_refusal() {
    let net = Net::four();
    let mut world = World::new(net, 53);
    world.open(2);
    let order = |wallet| Order::new(wallet, 0, Inside::Junk);
    let changed = |change: &dyn Fn(&mut types::EnvelopeHeader)| {
        let order = order(5);
        let mut header = net.header(&order);
        change(&mut header);
        net.seal(header, &order).1
    };
    let class = |size_class| {
        let header = types::EnvelopeHeader { size_class, ..net.header(&order(5)) };
        net.sign(header, &order(5), vec![0; 600]).1
    };
    let base = net.header(&order(5)).max_fee.units() / 2;
    let mut cases: Vec<(&str, Envelope, Reason)> = vec![
        ("version", changed(&|h| h.version = 2), Reason::MalformedData),
        ("size class", class(5), Reason::MalformedData),
        ("gas class", changed(&|h| h.gas_class = 60), Reason::MalformedData),
        ("after not ascending", changed(&|h| h.after = vec![Hash([2; 32]), Hash([1; 32])]), Reason::MalformedData),
        ("after too long", changed(&|h| h.after = (0..17).map(|at| Hash([at; 32])).collect()), Reason::MalformedData),
        ("network", changed(&|h| h.network = Hash([1; 32])), Reason::WrongNetwork),
        ("epoch", changed(&|h| h.epoch = types::Epoch(1)), Reason::WrongEpoch),
        ("expired", changed(&|h| h.expiry_slot = Slot(1)), Reason::Expired),
        ("expires too late", changed(&|h| h.expiry_slot = Slot(900)), Reason::Expired),
        ("a gap", changed(&|h| h.nonce.0 = 1), Reason::NonceTooFar),
        ("far ahead", changed(&|h| h.nonce.0 = 1 << 40), Reason::NonceTooFar),
        ("below the base fee", changed(&|h| h.max_fee = Amount::new(base / 8).unwrap()), Reason::FeeTooLow),
        ("more than there is", changed(&|h| h.max_fee = Amount::new(1 << 90).unwrap()), Reason::InsufficientBalance),
        ("after unknown", changed(&|h| h.after = vec![Hash([1; 32])]), Reason::AfterUnknown),
        ("no account", net.envelope(&order(400)).1, Reason::UnknownAccount),
    ];
    let honest = net.envelope(&order(5)).1;
    let mut signed_by_another = honest.clone();
    let stranger = EthKey::from_bytes(Zeroizing::new([9; 32])).unwrap();
    let hash = crypto::ids::ciphertext_hash(&honest.ciphertext);
    signed_by_another.signed.signature = stranger.sign(&eip712::envelope_digest(&honest.signed.header, &hash));
    cases.push(("signed by another", signed_by_another, Reason::WrongSignature));
    let mut header_changed = honest.clone();
    header_changed.signed.header.max_fee = Amount::new(2 * base + 1).unwrap();
    cases.push(("header changed after signing", header_changed, Reason::WrongSignature));
    let mut body_changed = honest.clone();
    body_changed.ciphertext[300] ^= 1;
    cases.push(("body changed after signing", body_changed, Reason::WrongSignature));
    let mut consents = honest.clone();
    consents.signed.consents.push(consents.signed.signature);
    cases.push(("a consent too many", consents, Reason::MalformedData));
    for (what, envelope, reason) in &cases {
        assert_eq!(refusal(&mut world, envelope).map_err(|r| r.0), Err(*reason), "{what}");
    }
    // ciphertexts, properly signed
    let resign = |ciphertext: Vec<u8>| net.sign(net.header(&order(5)), &order(5), ciphertext).1;
    let mut proof = honest.ciphertext.clone();
    proof[200] ^= 1;
    let mut point = honest.ciphertext.clone();
    point[..48].fill(0xff);
    let mut scalar = honest.ciphertext.clone();
    scalar[192..224].fill(0xff);
    let short = honest.ciphertext[..honest.ciphertext.len() - 1].to_vec();
    let long = vec![0; 70_000];
    for (detail, ciphertext) in
        [("PROOF", proof), ("POINT", point), ("SCALAR", scalar), ("LENGTH", short), ("LENGTH", long)]
    {
        let wanted = Err((Reason::BadCiphertext, detail.to_owned()));
        assert_eq!(refusal(&mut world, &resign(ciphertext)), wanted, "{detail}");
    }
    assert!(world.members[0].disk.items.is_empty(), "nothing of it was stored");

    // the honest one: first, again, as a replacement, and after it is included
    assert_eq!(refusal(&mut world, &honest), Ok(()));
    assert_eq!(refusal(&mut world, &honest), Ok(()), "the same receipt again");
    let cheap = net.envelope(&Order { tip: 205_001, ..order(5) }).1;
    assert_eq!(refusal(&mut world, &cheap).map_err(|r| r.0), Err(Reason::FeeTooLow), "no tenth more");
    world.executed(&[crypto::ids::hash_envelope(&honest)]);
    assert_eq!(refusal(&mut world, &honest).map_err(|r| r.0), Err(Reason::NonceTooLow));
    assert_eq!(refusal(&mut world, &cheap).map_err(|r| r.0), Err(Reason::NonceTooLow));
    world.audit(0);
}

#[test]
fn a_replacement_takes_the_place_of_what_it_replaces() {
    let net = Net::four();
    let mut world = World::new(net, 54);
    world.consensus.withheld.insert(1);
    let (first, envelope) = net.envelope(&Order::new(3, 0, Inside::Junk));
    let (second, dearer) = net.envelope(&Order { tip: 900_000, ..Order::new(3, 0, Inside::Junk) });
    world.submit(0, &envelope);
    world.pass(60);
    let ticket = world.submit(1, &dearer);
    world.executed(&[second]);
    assert!(world.replies[&ticket].is_ok());
    let included = world.included();
    assert!(included.contains(&second) && !included.contains(&first));
    for member in 0..4 {
        assert_eq!(world.machine(member).dropped(&first), Some(Reason::NonceTooLow));
    }
    world.audit(0);
}

#[test]
fn units_stand_behind_what_they_name() {
    let net = Net::four();
    let mut world = World::new(net, 55);
    // a chain over three payers, each with the consent of the one before; the last is submitted elsewhere
    let mut hashes = Vec::new();
    let mut last: Option<(usize, Hash)> = None;
    for payer in [4, 2, 7] {
        let mut order = Order::new(payer, 0, Inside::Junk);
        if let Some((before, unit)) = last {
            order.after = vec![unit];
            let digest = eip712::consent_digest(&net.id, &unit, &wallet(payer).address(), types::Nonce(0));
            order.consents = vec![wallet(before).sign(&digest)];
        }
        let (hash, envelope) = net.envelope(&order);
        world.submit(0, &envelope);
        hashes.push(hash);
        last = Some((payer, hash));
    }
    // and one that names a unit without its payer's consent
    let mut thief = Order::new(9, 0, Inside::Junk);
    thief.after = vec![hashes[0]];
    world.pass(150);
    let (_, envelope) = net.envelope(&thief);
    assert_eq!(refusal(&mut world, &envelope).map_err(|r| r.0), Err(Reason::AfterNotAllowed));
    world.executed(&hashes);
    let order: Vec<Hash> = world.members[0]
        .told
        .iter()
        .filter_map(|event| match event {
            types::wire::Event::Opened { order, .. } => Some(order.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(order, hashes);
    world.audit(3);
}

#[test]
fn a_queue_is_admitted_together_and_nothing_waits_without_one() {
    let net = Net::four();
    let mut world = World::new(net, 58);
    world.open(1);
    let submit = |from: usize, count: usize, world: &mut World| -> Vec<Hash> {
        let envelopes = (from..from + count).map(|wallet| net.envelope(&Order::new(wallet, 0, Inside::Junk)));
        envelopes.map(|(hash, envelope)| (world.submit(0, &envelope), hash).1).collect()
    };
    let mut hashes = submit(0, 1, &mut world);
    world.pass(100);
    assert_eq!(world.members[0].admissions, [(1, 1)], "alone: at once, in one part");
    hashes.extend(submit(1, 50, &mut world));
    world.pass(150);
    let done = &world.members[0].admissions[1..];
    assert_eq!(done.iter().map(|(asked, _)| asked).sum::<usize>(), 50);
    let (most, parts) = *done.iter().max().unwrap();
    assert!(most >= 32 && done.len() < 10, "what comes in during an admission is the next one: {done:?}");
    assert_eq!(parts, most / 16, "a long one is done on several processors");
    assert!(hashes.iter().all(|hash| world.receipts.contains_key(&(*hash, 0))), "each has its receipt");
}
