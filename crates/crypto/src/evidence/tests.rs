// Goal: evidence proves what its culprit did, and nothing proves anything against an honest member. Method: each kind with
// real keys; every byte of every piece changed; all that an honest member signs in some slots and views, in all pairs.
#![expect(clippy::disallowed_methods, reason = "the tokens here are made from real votes")]
use super::*;
use crate::{
    dealer::{Deal, Voters, deal},
    ed25519::SigningKey,
    tdh2::{HeldShares, Item, Padded, SharePoint, admit, envelope_aad, pad, seal},
    vectors,
};
use serde_json::json;
use std::{boxed::Box, collections::BTreeSet, vec};
use types::{
    Address, Amount, Block, BlockHeader, Envelope, EnvelopeHeader, EthSignature, Head, Nonce, ReceiptKind, ShareMode,
    SignatureStamp, SignedHeader, Timestamp, VoteSig,
};
use zeroize::Zeroizing;

const NETWORK: Hash = Hash([0x4e; 32]);

struct Scene {
    dealt: Deal,
    keys: KeySet,
    voters: Voters,
    receipt: Vec<SigningKey>,
    members: Vec<MemberRecord>,
    params: Params,
    /// Bids that count in every block.
    bids: u32,
}

/// What a member sends of a slot's shares.
struct Shared {
    share: SignedShare,
    chunks: Vec<Vec<G1Bytes>>,
}

impl Scene {
    fn new() -> Self {
        let dealt = deal(4, 1, &[7; 32]);
        let voters = Voters::new(4, 1, &[3; 32]);
        let seed = |at: u16| Zeroizing::new(t256("receipt", &[&at.to_le_bytes()]).0);
        let receipt: Vec<SigningKey> = (0..4).map(|at| SigningKey::from_seed(seed(at))).collect();
        let member = |(consensus, receipt): (&SigningKey, &SigningKey)| MemberRecord {
            name: "m".into(),
            consensus: consensus.public(),
            log: Hash::ZERO,
            cosigner: Hash::ZERO,
            receipt: receipt.public(),
            tls: Hash::ZERO,
        };
        let members = voters.keys.iter().zip(&receipt).map(member).collect();
        let params = Params { count_limit: 3, ..Params::default_for(500) };
        Self { keys: dealt.key_set(), dealt, voters, receipt, members, params, bids: 0 }
    }
    /// Shares of bids come before those of units.
    fn with_bids(bids: u32) -> Self {
        Self { bids, ..Self::new() }
    }
    fn item(&self, unit: usize) -> usize {
        unit + usize::try_from(self.bids).unwrap()
    }
    fn context(&self) -> Context<'_> {
        let Self { keys, members, params, .. } = self;
        let (first_slot, last_slot) = (Slot(1), Slot(400));
        Context { network: NETWORK, epoch: Epoch(0), first_slot, last_slot, f: 1, members, params, keys }
    }
    fn verify(&self, evidence: &Evidence) -> Result<Proved, EvidenceError> {
        verify(evidence, &self.context())
    }

    fn list(&self, member: u16, slot: u64, leaves: Vec<Leaf>, cut: Option<Rank>) -> (SignedList, ListText) {
        let (slot, member) = (Slot(slot), MemberId(member));
        let text = list_text(NETWORK, slot, member, &leaves, cut);
        let sig = self.receipt[usize::from(member.0)].sign(list_digest(&text).as_bytes());
        (SignedList { slot, member, cut, leaves, sig }, text)
    }
    fn vote(&self, member: u16, view: u64, vote: Vote) -> Voted {
        let message = voted_bytes(&NETWORK, Epoch(0), view, &vote);
        Voted { vote, sig: self.voters.keys[usize::from(member)].sign(&message) }
    }
    fn sign_share(&self, header: ShareHeader) -> SignedShare {
        let sig = self.receipt[usize::from(header.member.0)].sign(share_digest(&header).as_bytes());
        SignedShare { header, sig }
    }

    fn envelope(&self, nonce: u64) -> Envelope {
        let header = EnvelopeHeader {
            version: EnvelopeHeader::VERSION,
            network: NETWORK,
            epoch: Epoch(0),
            expiry_slot: Slot(90),
            fee_account: Address([4; 20]),
            nonce: Nonce(nonce),
            size_class: 0,
            gas_class: 1,
            max_fee: Amount::ZERO,
            after: vec![],
        };
        let aad = envelope_aad(&header);
        let message: Padded = pad(&nonce.to_le_bytes(), 512).unwrap();
        let ciphertext = seal(self.keys.encryption_key(), Zeroizing::new([5; 32]), &aad, &message);
        Envelope { signed: SignedHeader { header, signature: EthSignature([8; 65]), consents: vec![] }, ciphertext }
    }
    /// The units of a slot in the order of S_h, and its block.
    fn block(&self, slot: u64, units: u64) -> (Vec<Envelope>, BlockHeader) {
        let mut envelopes: Vec<Envelope> = (0..units).map(|at| self.envelope(slot * 1_000 + at)).collect();
        envelopes.sort_by_key(hash_envelope);
        let hashes: Vec<Hash> = envelopes.iter().map(hash_envelope).collect();
        let mut header = Block::genesis(NETWORK).header;
        (header.height, header.view, header.set) = (Slot(slot), slot, merkle::set_ref(&hashes));
        header.bids = merkle::set_ref(&self.bids(Slot(slot)).1);
        (envelopes, header)
    }
    /// What stands for a slot's bids, and their leaves: bidder, seq, hash.
    fn bids(&self, slot: Slot) -> (Vec<Envelope>, Vec<Vec<u8>>) {
        let bids: Vec<Envelope> =
            (0..self.bids).map(|at| self.envelope(slot.0 * 1_000 + 900 + u64::from(at))).collect();
        let leaf = |(at, bid): (u8, &Envelope)| [&[at; 21][..], hash_envelope(bid).as_ref()].concat();
        let leaves = (1..).zip(&bids).map(leaf).collect();
        (bids, leaves)
    }
    /// The share message of an honest member, or with shares of another's key.
    fn shares(&self, member: u16, units: &[Envelope], block: &BlockHeader, key_of: u16) -> Shared {
        let hashes: Vec<Hash> = units.iter().map(hash_envelope).collect();
        let (bids, leaves) = self.bids(block.height);
        let token = self.voters.fix(NETWORK, block.height, hashes, leaves);
        assert_eq!(token.digest(), block_digest(block));
        let held = bids.iter().chain(units).map(|envelope| {
            let aad = envelope_aad(&envelope.signed.header);
            let item = Item { aad: &aad, class_bytes: 512, ciphertext: &envelope.ciphertext };
            let admitted = admit(self.keys.encryption_key(), &[item], [1; 32]).remove(0).unwrap();
            self.dealt.decrypt[usize::from(key_of)].share(hash_envelope(envelope), &admitted)
        });
        let points = HeldShares::collect(held.collect()).release(&token).unwrap();
        let compressed: Vec<G1Bytes> = points.iter().map(SharePoint::compressed).collect();
        let chunks: Vec<Vec<G1Bytes>> = compressed.chunks(512).map(<[G1Bytes]>::to_vec).collect();
        let header = ShareHeader {
            version: 1,
            network: NETWORK,
            epoch: Epoch(0),
            slot: block.height,
            digest: token.digest(),
            member: MemberId(member),
            mode: ShareMode::Direct,
            items: u32::try_from(self.item(units.len())).unwrap(),
            beacon: beacon::sign(&self.dealt.beacon[usize::from(member)], &token),
            head: Head { size: 9, root: Hash([9; 32]) },
            cosig: SignatureStamp::ZERO,
            root: merkle::root(&chunk_leaves(&chunks)),
        };
        Shared { share: self.sign_share(header), chunks }
    }
    fn share_bad(&self, shared: &Shared, units: &[Envelope], block: &BlockHeader, unit: usize) -> Evidence {
        let hashes: Vec<Hash> = units.iter().map(hash_envelope).collect();
        let chunk = self.item(unit) / 512;
        let fault = ShareFault {
            share: shared.share.clone(),
            block: block.clone(),
            unit: u32::try_from(unit).unwrap(),
            unit_path: merkle::path(&hashes, unit).unwrap(),
            envelope: units[unit].clone(),
            chunk: shared.chunks[chunk].clone(),
            chunk_path: merkle::path(&chunk_leaves(&shared.chunks), chunk).unwrap(),
        };
        Evidence::ShareBad { fault: fault.into() }
    }
}

impl Scene {
    /// The share message of a member where a few combine, and bad evidence of one of its chunks.
    fn sharded_bad(&self, key_of: u16, units: &[Envelope], block: &BlockHeader, unit: usize, role: usize) -> Evidence {
        let shared = self.shares(2, units, block, key_of);
        let all: Vec<G1Bytes> = shared.chunks.concat();
        let combiners = self.context().combiners(1, shared.share.header.items);
        let pick = |index: u16| combiners.chunk_items(index).iter().map(|item| all[*item]).collect();
        let chunks: Vec<Vec<G1Bytes>> = (0..u16::try_from(combiners.chunks()).unwrap()).map(pick).collect();
        let mut header = shared.share.header;
        header.mode = ShareMode::Sharded { offset: 1 };
        header.root = merkle::root(&chunk_leaves(&chunks));
        let item = self.item(unit);
        let member = combiners.of_item(item).nth(role).unwrap();
        let chunk = usize::from(combiners.place(item, member).unwrap().0);
        let hashes: Vec<Hash> = units.iter().map(hash_envelope).collect();
        let fault = ShareFault {
            share: self.sign_share(header),
            block: block.clone(),
            unit: u32::try_from(unit).unwrap(),
            unit_path: merkle::path(&hashes, unit).unwrap(),
            envelope: units[unit].clone(),
            chunk: chunks[chunk].clone(),
            chunk_path: merkle::path(&chunk_leaves(&chunks), chunk).unwrap(),
        };
        Evidence::ShareBad { fault: fault.into() }
    }
    /// What member 2 says as a combiner of the first and the third unit, and its fault in one of them.
    fn opening_bad(&self, units: &[Envelope], block: &BlockHeader, said: [Opening; 2], at: usize) -> Evidence {
        let items = [(self.bids, said[0]), (self.bids + 2, said[1])];
        let leaves: Vec<Vec<u8>> = items.iter().map(|(item, opening)| opening_leaf(*item, opening)).collect();
        let header = OpeningHeader {
            version: 1,
            network: NETWORK,
            epoch: Epoch(0),
            slot: block.height,
            digest: block_digest(block),
            member: MemberId(2),
            openings: merkle::set_ref(&leaves),
        };
        let hashes: Vec<Hash> = units.iter().map(hash_envelope).collect();
        let (item, opening) = items[at];
        let unit = item - self.bids;
        let place = usize::try_from(unit).unwrap();
        let fault = OpeningFault {
            sig: self.receipt[2].sign(openings_digest(&header).as_bytes()),
            header,
            block: block.clone(),
            unit,
            unit_path: merkle::path(&hashes, place).unwrap(),
            envelope: units[place].clone(),
            opening,
            at: u32::try_from(at).unwrap(),
            path: merkle::path(&leaves, at).unwrap(),
        };
        Evidence::OpeningBad { fault: fault.into() }
    }
    /// K of a unit, by everybody's shares; D of it as a Bottom.
    fn openings(&self, unit: &Envelope) -> [Opening; 2] {
        let hash = hash_envelope(unit);
        let token = self.voters.fix(NETWORK, Slot(5), vec![hash], vec![]);
        let aad = envelope_aad(&unit.signed.header);
        let item = Item { aad: &aad, class_bytes: 512, ciphertext: &unit.ciphertext };
        let admitted = admit(self.keys.encryption_key(), &[item], [1; 32]).remove(0).unwrap();
        let share = |at: u16| {
            let held = self.dealt.decrypt[usize::from(at)].share(hash, &admitted);
            (MemberId(at), HeldShares::collect(vec![held]).release(&token).unwrap())
        };
        let shares: Vec<_> = (0..4).map(share).collect();
        let combined = tdh2::combine(&self.keys, &shares, 1).unwrap();
        let opened = tdh2::reveal(&self.keys, &[(item, &admitted)], &shares, [1; 32]).unwrap();
        [opened.openings[0], Opening::Bottom(combined.point(0).unwrap())]
    }
}

fn chunk_leaves(chunks: &[Vec<G1Bytes>]) -> Vec<Hash> {
    (0u16..).zip(chunks).map(|(index, chunk)| chunk_leaf(index, chunk)).collect()
}

fn leaf(byte: u8) -> Leaf {
    Leaf::Envelope { hash: Hash([byte; 32]), fee_per_byte: 3, size: 0, gas: 1 }
}

fn rank() -> Rank {
    Rank { fee_per_byte: 1, hash: Hash([1; 32]) }
}

fn notarize(byte: u8) -> Vote {
    Vote::Notarize { parent_view: 6, digest: Hash([byte; 32]) }
}

fn finalize(byte: u8) -> Vote {
    Vote::Finalize { parent_view: 6, digest: Hash([byte; 32]) }
}

const GUILTY: Accused = Accused::Member(MemberId(2));

/// One piece of every kind, all of member 2, with what it proves.
fn guilty(scene: &Scene) -> Vec<(&'static str, Evidence, Proved)> {
    let slot = |finding| Proved { finding, accused: GUILTY, place: Place::Slot(Slot(5)) };
    let view = Proved { finding: Finding::VoteDouble, accused: GUILTY, place: Place::View(7) };
    let mut out = Vec::new();

    let signed = |leaves, cut| {
        let (list, text) = scene.list(2, 5, leaves, cut);
        (text, list.sig)
    };
    let two = lists(signed(vec![leaf(1)], None), signed(vec![leaf(2)], None));
    out.push(("list-double", two, slot(Finding::ListEquivocation)));
    let uncut = lists(signed(vec![leaf(1)], Some(rank())), signed(vec![leaf(1)], None));
    out.push(("list-double-cut", uncut, slot(Finding::ListEquivocation)));

    let invalid = |leaves, cut| Evidence::ListInvalid { list: scene.list(2, 5, leaves, cut).0 };
    let classless = Leaf::Envelope { hash: Hash([1; 32]), fee_per_byte: 3, size: 5, gas: 1 };
    for (name, evidence) in [
        ("list-order", invalid(vec![leaf(2), leaf(1)], None)),
        ("list-class", invalid(vec![classless], None)),
        ("list-caps", invalid((0..7).map(leaf).collect(), None)),
        ("list-cut", invalid(vec![leaf(1)], Some(rank()))),
    ] {
        out.push((name, evidence, slot(Finding::ListInvalid)));
    }

    for (name, a, b) in [
        ("vote-notarize", notarize(1), notarize(2)),
        ("vote-parent", notarize(1), Vote::Notarize { parent_view: 5, digest: Hash([1; 32]) }),
        ("vote-finalize", finalize(1), finalize(2)),
        ("vote-nullify-finalize", Vote::Nullify, finalize(1)),
    ] {
        out.push((name, votes(Epoch(0), 7, MemberId(2), scene.vote(2, 7, a), scene.vote(2, 7, b)), view));
    }

    let (units, block) = scene.block(5, 3);
    let honest = scene.shares(2, &units, &block, 2);
    let mut other = honest.share.header.clone();
    other.head.root = Hash([8; 32]);
    let two = shares(honest.share.clone(), scene.sign_share(other));
    out.push(("share-double", two, slot(Finding::ShareEquivocation)));

    let wrong = scene.shares(2, &units, &block, 1);
    out.push(("share-bad", scene.share_bad(&wrong, &units, &block, 1), slot(Finding::ShareBad)));
    // bytes that are no point
    let mut no_point = scene.shares(2, &units, &block, 2);
    no_point.chunks[0][scene.item(2)] = G1Bytes([0xff; 48]);
    let mut header = no_point.share.header.clone();
    header.root = merkle::root(&chunk_leaves(&no_point.chunks));
    no_point.share = scene.sign_share(header);
    out.push(("share-no-point", scene.share_bad(&no_point, &units, &block, 2), slot(Finding::ShareBad)));

    out.push(("share-bad-first-combiner", scene.sharded_bad(1, &units, &block, 1, 0), slot(Finding::ShareBad)));
    out.push(("share-bad-second-combiner", scene.sharded_bad(1, &units, &block, 1, 1), slot(Finding::ShareBad)));

    let ([k, bottom], [other, _]) = (scene.openings(&units[0]), scene.openings(&units[2]));
    for (name, said, at) in [
        ("opening-of-another", [other, other], 0),
        ("opening-no-key", [k, Opening::Key(types::Key128([9; 16]))], 1),
        // the right point, of a unit that opens
        ("opening-bottom-opens", [bottom, other], 0),
        ("opening-bottom-wrong", [k, bottom], 1),
    ] {
        out.push((name, scene.opening_bad(&units, &block, said, at), slot(Finding::OpeningBad)));
    }

    let mut header = honest.share.header.clone();
    header.beacon = scene.shares(1, &units, &block, 1).share.header.beacon;
    let share = scene.sign_share(header).into();
    out.push(("beacon-bad", Evidence::BeaconBad { share }, slot(Finding::ShareBad)));

    let receipt = |item: u8, list_from: u64| {
        let receipt = Receipt {
            name: "example.net/test/m2/receipt".into(),
            kind: ReceiptKind::Envelope,
            item: Hash([item; 32]),
            network: NETWORK,
            last_final: Slot(list_from - 1),
            list_from: Slot(list_from),
            admit_by: Slot(list_from + 1),
            expires: Slot(90),
            seq: 77,
            time: Timestamp(9_000),
        };
        let sig = scene.receipt[2].sign(receipt.text().as_bytes());
        (receipt.text(), sig)
    };
    let two = receipts(MemberId(2), receipt(1, 5), receipt(2, 5));
    out.push(("receipt-double", two, slot(Finding::ReceiptConflict)));

    let proof = scene.voters.finalize(vec![scene.block(5, 1).1]);
    out.push(("share-stray", Evidence::ShareStray { share: honest.share.into(), proof }, slot(Finding::ShareStray)));
    out
}

#[test]
fn every_kind_is_proved_and_named() {
    for scene in [Scene::new(), Scene::with_bids(2)] {
        let mut ids = BTreeSet::new();
        for (name, evidence, proved) in guilty(&scene) {
            assert_eq!(scene.verify(&evidence), Ok(proved), "{name}, {} bids", scene.bids);
            let bytes = codec::encode(&evidence);
            assert_eq!(decode(&bytes).as_ref(), Some(&evidence), "{name}");
            assert!(ids.insert(id(&evidence)));
        }
    }
}

#[test]
fn shares_and_openings_of_units_are_found_behind_those_of_bids() {
    let scene = Scene::with_bids(2);
    let (units, block) = scene.block(5, 3);
    let honest = scene.shares(2, &units, &block, 2);
    assert_eq!(honest.chunks.concat().len(), 5);
    for unit in 0..3 {
        assert_eq!(scene.verify(&scene.share_bad(&honest, &units, &block, unit)), Err(EvidenceError::ShareHolds));
        for role in [0, 1] {
            let right = scene.sharded_bad(2, &units, &block, unit, role);
            assert_eq!(scene.verify(&right), Err(EvidenceError::ShareHolds));
        }
    }
    let ([k, _], [other, _]) = (scene.openings(&units[0]), scene.openings(&units[2]));
    for at in [0, 1] {
        let right = scene.opening_bad(&units, &block, [k, other], at);
        assert_eq!(scene.verify(&right), Err(EvidenceError::OpeningHolds));
    }
    // the same bytes as if there were no bids: what stands there is another item's
    let plain = Scene::new();
    let Evidence::OpeningBad { fault } = plain.opening_bad(&units, &block, [other, k], 0) else { panic!() };
    assert_eq!(scene.verify(&Evidence::OpeningBad { fault }), Err(EvidenceError::Opening));
}

#[test]
fn no_change_of_a_byte_leaves_a_proof() {
    let scene = Scene::new();
    for (name, evidence, _) in guilty(&scene) {
        let bytes = codec::encode(&evidence);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let still = decode(&changed).map(|evidence| scene.verify(&evidence));
            assert!(!matches!(still, Some(Ok(_))), "{name}: byte {at}");
        }
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            assert_eq!(decode(&bytes[..cut]), None, "{name}");
        }
    }
}

#[test]
fn other_networks_epochs_and_members_are_refused() {
    let scene = Scene::new();
    for (name, evidence, proved) in guilty(&scene) {
        let network = Context { network: Hash([1; 32]), ..scene.context() };
        assert!(verify(&evidence, &network).is_err(), "{name}");
        let fewer = Context { members: &scene.members[..2], ..scene.context() };
        assert_eq!(verify(&evidence, &fewer), Err(EvidenceError::Member(MemberId(2))), "{name}");
        let epoch = verify(&evidence, &Context { epoch: Epoch(1), ..scene.context() });
        let epochless = matches!(
            evidence,
            Evidence::ListDouble { .. } | Evidence::ListInvalid { .. } | Evidence::ReceiptDouble { .. }
        );
        assert_eq!(epoch.err(), (!epochless).then_some(EvidenceError::Epoch), "{name}");
        if let (true, Place::Slot(slot)) = (epochless, proved.place) {
            for (first_slot, last_slot) in [(slot.next(), Slot(400)), (Slot(1), slot.prev())] {
                let elsewhere = Context { first_slot, last_slot, ..scene.context() };
                assert_eq!(
                    verify(&evidence, &elsewhere),
                    Err(EvidenceError::Slot(slot)),
                    "{name}: of another epoch's slots"
                );
            }
        }
        let mut swapped = scene.members.clone();
        swapped.swap(2, 3);
        let swapped = verify(&evidence, &Context { members: &swapped, ..scene.context() });
        assert!(matches!(swapped, Err(EvidenceError::Signature(_))), "{name}");
    }
}

#[test]
fn a_statement_beside_itself_and_two_in_the_wrong_order_are_no_evidence() {
    let scene = Scene::new();
    for (name, evidence, _) in guilty(&scene) {
        let (turned, twice) = match evidence {
            Evidence::ListDouble { a, a_sig, b, b_sig } => (
                Evidence::ListDouble { a: b, a_sig: b_sig, b: a, b_sig: a_sig },
                Evidence::ListDouble { a, a_sig, b: a, b_sig: a_sig },
            ),
            Evidence::VoteDouble { epoch, view, member, a, b } => (
                Evidence::VoteDouble { epoch, view, member, a: b, b: a },
                Evidence::VoteDouble { epoch, view, member, a, b: a },
            ),
            Evidence::ShareDouble { a, b } => {
                (Evidence::ShareDouble { a: b, b: a.clone() }, Evidence::ShareDouble { a: a.clone(), b: a })
            }
            Evidence::ReceiptDouble { member, a, a_sig, b, b_sig } => {
                let both = |a: &String, b: &String, a_sig, b_sig| {
                    let (a, b) = (a.clone(), b.clone());
                    Evidence::ReceiptDouble { member, a, a_sig, b, b_sig }
                };
                (both(&b, &a, b_sig, a_sig), both(&a, &a, a_sig, a_sig))
            }
            Evidence::ListInvalid { .. }
            | Evidence::ShareBad { .. }
            | Evidence::BeaconBad { .. }
            | Evidence::ShareStray { .. }
            | Evidence::OpeningBad { .. }
            | Evidence::Builder { .. } => continue,
        };
        assert_eq!(scene.verify(&turned), Err(EvidenceError::Order), "{name}");
        assert_eq!(scene.verify(&twice), Err(EvidenceError::Order), "{name}");
    }
}

#[test]
fn what_an_honest_member_signs_proves_nothing_in_any_pair() {
    let scene = Scene::new();
    let (mut texts, mut shared) = (Vec::new(), Vec::new());
    for slot in 1..4u64 {
        let (list, text) = scene.list(2, slot, vec![leaf(1), leaf(2)], None);
        assert_eq!(scene.verify(&Evidence::ListInvalid { list: list.clone() }), Err(EvidenceError::ListHolds));
        texts.push((text, list.sig));
        let (units, block) = scene.block(slot, 2);
        let shares = scene.shares(2, &units, &block, 2);
        for unit in 0..2 {
            let evidence = scene.share_bad(&shares, &units, &block, unit);
            assert_eq!(scene.verify(&evidence), Err(EvidenceError::ShareHolds));
        }
        let share = shares.share;
        let evidence = Evidence::BeaconBad { share: share.clone().into() };
        assert_eq!(scene.verify(&evidence), Err(EvidenceError::ShareHolds));
        // sent again with a younger cosignature
        let mut again = share.header.clone();
        again.cosig.0[0] ^= 1;
        shared.extend([share, scene.sign_share(again)]);
        let proof = scene.voters.finalize(vec![block]);
        for share in &shared {
            let evidence = Evidence::ShareStray { share: share.clone().into(), proof: proof.clone() };
            let same = share.header.slot == Slot(slot);
            let want = if same { EvidenceError::Agree } else { EvidenceError::Apart };
            assert_eq!(scene.verify(&evidence), Err(want));
        }
    }
    for (one, other) in pairs(&texts) {
        assert!(scene.verify(&lists(one, other)).is_err());
    }
    for (one, other) in pairs(&shared) {
        assert!(scene.verify(&shares(one, other)).is_err());
    }
    // view 1: notarized and finalized; 2: notarized, then nullified; 3: nullified at once
    let given: [(u64, &[Vote]); 3] =
        [(1, &[notarize(1), finalize(1)]), (2, &[notarize(2), Vote::Nullify]), (3, &[Vote::Nullify])];
    let mut given_votes = Vec::new();
    for (view, said) in given {
        given_votes.extend(said.iter().map(|vote| (view, scene.vote(2, view, *vote))));
    }
    for ((view, one), (_, other)) in pairs(&given_votes) {
        assert!(scene.verify(&votes(Epoch(0), view, MemberId(2), one, other)).is_err());
    }
}

fn pairs<T: Clone>(items: &[T]) -> Vec<(T, T)> {
    items.iter().flat_map(|a| items.iter().map(|b| (a.clone(), b.clone()))).collect()
}

#[test]
fn a_share_is_judged_by_its_own_unit_only() {
    let scene = Scene::new();
    let (units, block) = scene.block(5, 600);
    let honest = scene.shares(2, &units, &block, 2);
    assert_eq!(honest.chunks.len(), 2);
    for unit in [0, 511, 512, 599] {
        let evidence = scene.share_bad(&honest, &units, &block, unit);
        assert_eq!(scene.verify(&evidence), Err(EvidenceError::ShareHolds));
        let Evidence::ShareBad { fault } = evidence else { continue };
        let with = |change: fn(&mut ShareFault)| {
            let mut fault = fault.clone();
            change(&mut fault);
            scene.verify(&Evidence::ShareBad { fault }).err()
        };
        assert_eq!(with(|f| f.unit ^= 1), Some(EvidenceError::Unit));
        assert_eq!(with(|f| f.envelope.ciphertext.swap(0, 1)), Some(EvidenceError::Unit));
        assert_eq!(with(|f| f.unit_path.push(Hash::ZERO)), Some(EvidenceError::Unit));
        assert_eq!(with(|f| f.block.set.count += 1), Some(EvidenceError::Block));
        assert_eq!(with(|f| f.chunk.swap(0, 1)), Some(EvidenceError::Chunk));
        assert_eq!(with(|f| f.chunk_path.clear()), Some(EvidenceError::Chunk));
        // the other unit of the pair, with its real path: judged against its own share
        let neighbour = scene.share_bad(&honest, &units, &block, unit ^ 1);
        assert_eq!(scene.verify(&neighbour), Err(EvidenceError::ShareHolds));
    }
}

#[test]
fn a_stray_share_takes_a_quorum_for_another_block_of_its_slot() {
    let scene = Scene::new();
    let (units, block) = scene.block(5, 1);
    let share: Box<SignedShare> = scene.shares(2, &units, &block, 2).share.into();
    let of = |proof| scene.verify(&Evidence::ShareStray { share: share.clone(), proof });
    let other = scene.block(5, 2).1;
    let proof = scene.voters.finalize(vec![other.clone()]);
    assert!(of(proof.clone()).is_ok());
    let fewer = FinalityProof { votes: proof.votes[..2].to_vec(), ..proof.clone() };
    let short = EvidenceError::Finality(FinalityError::Votes { have: 2, need: 3 });
    assert_eq!(of(fewer), Err(short));
    let forged = VoteSig { sig: Signature([1; 64]), ..proof.votes[2] };
    let forged = FinalityProof { votes: [&proof.votes[..2], &[forged]].concat(), ..proof.clone() };
    assert_eq!(of(forged), Err(EvidenceError::Finality(FinalityError::Signature(MemberId(2)))));
    assert_eq!(of(FinalityProof { headers: vec![], ..proof }), Err(EvidenceError::Finality(FinalityError::Empty)));
}

#[test]
fn right_openings_and_those_that_were_not_said_are_no_evidence() {
    let scene = Scene::new();
    let (units, block) = scene.block(5, 3);
    let ([k, _], [other, _]) = (scene.openings(&units[0]), scene.openings(&units[2]));
    for at in [0, 1] {
        let right = scene.opening_bad(&units, &block, [k, other], at);
        assert_eq!(scene.verify(&right), Err(EvidenceError::OpeningHolds));
    }
    let wrong = Opening::Key(types::Key128([9; 16]));
    let of = |change: &dyn Fn(&mut OpeningFault)| {
        let Evidence::OpeningBad { mut fault } = scene.opening_bad(&units, &block, [k, wrong], 1) else { panic!() };
        change(&mut fault);
        scene.verify(&Evidence::OpeningBad { fault }).map(|proved| proved.accused)
    };
    assert_eq!(of(&|_| ()), Ok(GUILTY));
    assert_eq!(of(&|fault| fault.opening = Opening::Key(types::Key128([8; 16]))), Err(EvidenceError::Opening));
    assert_eq!(of(&|fault| fault.at = 0), Err(EvidenceError::Opening));
    assert_eq!(of(&|fault| fault.unit = 0), Err(EvidenceError::Unit));
    assert_eq!(of(&|fault| fault.envelope = units[0].clone()), Err(EvidenceError::Unit));
    assert_eq!(of(&|fault| fault.block.view += 1), Err(EvidenceError::Block));
    assert_eq!(of(&|fault| fault.header.slot = Slot(6)), Err(EvidenceError::Signature(Which::First)));
}

#[test]
fn a_share_for_a_combiner_that_is_right_is_no_evidence_and_no_other_chunk_is_one() {
    let scene = Scene::new();
    let (units, block) = scene.block(5, 3);
    for role in [0, 1] {
        let right = scene.sharded_bad(2, &units, &block, 1, role);
        assert_eq!(scene.verify(&right), Err(EvidenceError::ShareHolds));
        let of = |change: &dyn Fn(&mut ShareFault)| {
            let Evidence::ShareBad { mut fault } = scene.sharded_bad(1, &units, &block, 1, role) else { panic!() };
            change(&mut fault);
            scene.verify(&Evidence::ShareBad { fault }).unwrap_err()
        };
        // a chunk of combiners that the unit does not go to
        let hashes: Vec<Hash> = units.iter().map(hash_envelope).collect();
        let moved = of(&|fault| {
            (fault.unit, fault.envelope) = (0, units[0].clone());
            fault.unit_path = merkle::path(&hashes, 0).unwrap();
        });
        assert_eq!(moved, EvidenceError::Chunk);
        let resign = |fault: &mut ShareFault, mode: ShareMode| {
            fault.share.header.mode = mode;
            fault.share = scene.sign_share(fault.share.header.clone());
        };
        assert_eq!(of(&|fault| resign(fault, ShareMode::Direct)), EvidenceError::Chunk);
        assert_eq!(of(&|fault| resign(fault, ShareMode::Sharded { offset: 2 })), EvidenceError::Chunk);
    }
}

#[test]
fn receipts_of_two_numbers_or_for_one_item_are_no_evidence() {
    let scene = Scene::new();
    let Some((_, Evidence::ReceiptDouble { member, a, a_sig, b, b_sig }, _)) =
        guilty(&scene).into_iter().find(|(name, ..)| *name == "receipt-double")
    else {
        panic!()
    };
    let sign = |text: &str| scene.receipt[2].sign(text.as_bytes());
    let other = |from: &str, to: &str| {
        let text = b.replace(from, to);
        assert_ne!(text, b);
        let sig = sign(&text);
        scene.verify(&receipts(member, (a.clone(), a_sig), (text, sig))).unwrap_err()
    };
    assert_eq!(other("seq 77", "seq 78"), EvidenceError::Apart);
    // one item, with another promise
    let again = a.replace("expires 90", "expires 91");
    let sig = sign(&again);
    assert_eq!(scene.verify(&receipts(member, (a.clone(), a_sig), (again, sig))), Err(EvidenceError::Agree));
    let twice = a.replace("seq 77", "seq 077");
    let sig = sign(&twice);
    let refused = scene.verify(&receipts(member, (a.clone(), a_sig), (twice, sig)));
    assert!(matches!(refused, Err(EvidenceError::Receipt(..))), "{refused:?}");
    assert_eq!(
        scene.verify(&receipts(member, (a.clone(), a_sig), (b, b_sig))).map(|p| p.accused),
        Ok(Accused::Member(member))
    );
}

#[test]
fn evidence_is_bounded() {
    let scene = Scene::new();
    let leaves: Vec<Leaf> = (0..2_000).map(|_| leaf(1)).collect();
    let long = Evidence::ListInvalid { list: scene.list(2, 5, leaves, None).0 };
    assert_eq!(scene.verify(&long), Err(EvidenceError::Size));
    assert_eq!(decode(&codec::encode(&long)), None);
    let fault = limits::EVIDENCE_BYTES_MAX + 200;
    assert!(fault < limits::ENTRY_BYTES_MAX, "a FAULT entry holds it");
}

#[test]
fn golden_evidence() {
    let scene = Scene::new();
    let case = |(name, evidence, proved): (&str, Evidence, Proved)| {
        json!({
            "name": name, "finding": proved.finding.name(), "accused": 2,
            "place": std::format!("{}", proved.place), "id": vectors::text(&id(&evidence).0),
            "bytes": vectors::text(&codec::encode(&evidence)),
        })
    };
    let cases: Vec<_> = guilty(&scene).into_iter().map(case).collect();
    let members = scene
        .members
        .iter()
        .map(|m| json!({ "consensus": vectors::text(&m.consensus.0), "receipt": vectors::text(&m.receipt.0) }));
    let value = json!({
        "network": vectors::text(&NETWORK.0), "epoch": 0, "f": 1, "countLimit": scene.params.count_limit,
        "bytesLimit": scene.params.bytes_limit, "members": members.collect::<Vec<_>>(),
        "keySet": vectors::text(&codec::encode(&scene.dealt.parts)), "evidence": cases,
    });
    vectors::ours("tests/vectors/crypto", "evidence.json", &value);
}
