// Goal: KEY-6, and KEY-3 and KEY-4 for resharings. Method: whole resharings in this process over a wire that loses and
// alters messages, dealers that sign what they must not, restarts at every step, and the crypto crate as judge of the
// shares that come out.
use super::*;
use crate::{CeremonyResult, MemberSecrets, ceremony::member_id, consensus_public, party::DealerSide, run_in_process};
use commonware_codec::Encode;
use commonware_math::algebra::HashToGroup;
use crypto::{
    beacon,
    keys::{BeaconShareKey, DecryptionShareKey, KeySet},
    tdh2,
};
use std::collections::BTreeSet;
use types::{Opening, Slot};
use zeroize::Zeroizing;

mod faults;
mod forged;
mod resume;

type Seed = Zeroizing<[u8; 32]>;

const NETWORK: Hash = Hash([7; 32]);

/// Seeds by rank of their public keys.
fn seeds(ids: impl IntoIterator<Item = u8>) -> Vec<Seed> {
    let mut seeds: Vec<Seed> = ids.into_iter().map(|id| Zeroizing::new([id; 32])).collect();
    seeds.sort_by_key(|seed| consensus_public(seed).unwrap());
    seeds
}

fn publics(seeds: &[Seed]) -> Vec<Hash> {
    seeds.iter().map(|seed| consensus_public(seed).unwrap()).collect()
}

/// A committee that holds a key set.
struct Holders {
    seeds: Vec<Seed>,
    parts: KeySetParts,
    secrets: Vec<MemberSecrets>,
}

impl Holders {
    fn fresh(ids: impl IntoIterator<Item = u8>) -> Self {
        let seeds = seeds(ids);
        let CeremonyResult { parts, secrets, .. } = run_in_process(&NETWORK, &seeds, [9; 32]).unwrap();
        Self { seeds, parts, secrets }
    }
    fn plan(&self, attempt: u8, to: &[Seed]) -> Plan {
        Plan::new(&NETWORK, (Epoch(3), attempt), (&publics(&self.seeds), &self.parts), &publics(to)).unwrap()
    }
    fn keys(&self) -> KeySet {
        let n = u16::try_from(self.seeds.len()).unwrap();
        KeySet::new(n, (n - 1) / 3, &self.parts).unwrap()
    }
    fn dealer(&self, plan: &Plan, index: usize) -> (Dealer, Vec<Dealing>) {
        Dealer::start(plan, &self.seeds[index], &self.secrets[index], &entropy(index)).unwrap()
    }
}

fn entropy(dealer: usize) -> Zeroizing<[u8; 32]> {
    Zeroizing::new([u8::try_from(dealer).unwrap() + 0x80; 32])
}

/// What is on the wire; members by index in their committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Dealing { dealer: u16, player: u16 },
    Ack { player: u16, dealer: u16 },
    Log { dealer: u16 },
}

/// Dealings, acknowledgements, logs. `wire` alters a message, or loses it by saying `false`.
fn exchange(
    from: &Holders,
    plan: &Plan,
    to: &[Seed],
    wire: impl Fn(Message, &mut Vec<u8>) -> bool,
) -> (Vec<Vec<u8>>, Vec<Player>) {
    let mut players: Vec<Player> = to.iter().map(|seed| Player::start(plan, seed).unwrap()).collect();
    let mut logs = Vec::new();
    for index in 0..from.seeds.len() {
        let (mut dealer, dealings) = from.dealer(plan, index);
        let me = member_id(index);
        for (at, (player, dealing)) in players.iter_mut().zip(&dealings).enumerate() {
            let to = member_id(at);
            let mut bytes = dealing.to_vec();
            if wire(Message::Dealing { dealer: me.0, player: to.0 }, &mut bytes)
                && let Some(mut ack) = player.on_dealing(me, &bytes)
                && wire(Message::Ack { player: to.0, dealer: me.0 }, &mut ack)
            {
                dealer.on_ack(to, &ack);
            }
        }
        let mut log = dealer.seal();
        if wire(Message::Log { dealer: me.0 }, &mut log) {
            logs.push(log);
        }
    }
    (logs, players)
}

fn refs(logs: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    logs.iter().map(Vec::as_slice)
}

/// A resharing in which everybody finishes with the same outcome, and what it owes.
fn reshare(
    from: &Holders,
    to: &[Seed],
    wire: impl Fn(Message, &mut Vec<u8>) -> bool,
) -> Result<(Outcome, Holders), ReshareError> {
    let plan = from.plan(0, to);
    let (logs, players) = exchange(from, &plan, to, wire);
    let outcome = observe(&plan, refs(&logs))?;
    let mut secrets = Vec::new();
    for player in players {
        let (own, secret) = player.finish(&plan, refs(&logs))?;
        assert_eq!(own, outcome);
        secrets.push(secret);
    }
    let parts = key_set(&outcome, to, &secrets);
    let next = Holders { seeds: to.to_vec(), parts, secrets };
    assert_sound(from, &next);
    Ok((outcome, next))
}

fn share_keys(outcome: &Outcome, to: &[Seed], secrets: &[MemberSecrets]) -> Vec<ShareKey> {
    let sign = |(seed, secret)| {
        let bytes = ShareKey::sign(outcome, seed, secret).unwrap().bytes();
        check_share_key(outcome, &bytes).unwrap()
    };
    to.iter().zip(secrets).map(sign).collect()
}

/// The same whoever publishes, as long as q do.
fn key_set(outcome: &Outcome, to: &[Seed], secrets: &[MemberSecrets]) -> KeySetParts {
    let keys = share_keys(outcome, to, secrets);
    let q = quorum(to.len()).unwrap();
    let parts = outcome.key_set(&keys).unwrap();
    assert_eq!(outcome.key_set(&keys[..q]).unwrap(), parts);
    assert_eq!(outcome.key_set(&keys[to.len() - q..]).unwrap(), parts);
    let error = outcome.key_set(&keys[1..q]).unwrap_err();
    assert!(matches!(error, CeremonyError::TooFewShareKeys { required, found } if (required, found) == (q, q - 1)));
    parts
}

/// Both public keys stay, all shares are new, and each is the one that the key set names.
fn assert_sound(from: &Holders, to: &Holders) {
    let (old, new) = (from.keys(), to.keys());
    assert_eq!(old.key_id(), new.key_id());
    assert_eq!((from.parts.decrypt[0], from.parts.decrypt_g2), (to.parts.decrypt[0], to.parts.decrypt_g2));
    assert_eq!(old.beacon_key(), new.beacon_key());
    assert!(from.parts.decrypt[1..].iter().all(|point| !to.parts.decrypt.contains(point)));
    for (index, secret) in to.secrets.iter().enumerate() {
        let member = member_id(index);
        let decrypt = DecryptionShareKey::from_le_bytes(secret.decrypt.clone()).unwrap();
        assert_eq!(Some(decrypt.public_g1()), new.share_key(member));
        assert_eq!(Some(decrypt.public_g2()), new.share_key_g2(member));
        let beacon = BeaconShareKey::from_le_bytes(secret.beacon.clone()).unwrap();
        assert_eq!(Some(beacon.public_g1()), new.beacon_share_key(member));
    }
    let scalars = |holders: &Holders| holders.secrets.iter().flat_map(|s| [*s.decrypt, *s.beacon]).collect::<Vec<_>>();
    let all: BTreeSet<_> = scalars(from).into_iter().chain(scalars(to)).collect();
    assert_eq!(all.len(), 2 * (from.seeds.len() + to.seeds.len()), "no share is kept");
    #[cfg(feature = "dealer")]
    crate::dealer::cross_check(&to.parts, &to.secrets).unwrap();
}

/// An id whose key has a lower rank than all of `ids`.
fn first_id(ids: core::ops::RangeInclusive<u8>) -> u8 {
    let lowest = publics(&seeds(ids))[0];
    (100..=255).find(|id| consensus_public(&Zeroizing::new([*id; 32])).unwrap() < lowest).unwrap()
}

#[test]
fn key_6_committees_of_any_change_keep_both_public_keys() {
    let four = Holders::fresh(1..=4);
    let seven = Holders::fresh(1..=7);
    let shifted = first_id(2..=4);
    for (name, from, to) in [
        ("the same four", &four, seeds(1..=4)),
        ("one replaced", &four, seeds([1, 2, 3, 5])),
        ("one replaced, all ranks shift", &four, seeds([2, 3, 4, shifted])),
        ("all replaced", &four, seeds(11..=14)),
        ("four to seven", &four, seeds(1..=7)),
        ("seven to four", &seven, seeds(3..=6)),
    ] {
        let (outcome, next) = reshare(from, &to, |_, _| true).unwrap();
        assert_eq!(outcome.members, publics(&to), "{name}");
        let q = quorum(from.seeds.len()).unwrap();
        assert_eq!(outcome.dealers, (0..q).map(member_id).collect::<Vec<_>>(), "{name}: the first q");
        assert!(outcome.faulty.is_empty() && outcome.revealed.is_empty(), "{name}");
        assert_eq!(next.parts.decrypt.len(), quorum(to.len()).unwrap(), "{name}");
    }
    assert!(consensus_public(&seeds([2, 3, 4, shifted])[0]).unwrap() < publics(&four.seeds)[0]);
}

#[test]
fn key_6_epoch_after_epoch() {
    let mut holders = Holders::fresh(1..=4);
    let first = holders.keys();
    for ids in [2..=5, 3..=9, 6..=9, 1..=4] {
        holders = reshare(&holders, &seeds(ids), |_, _| true).unwrap().1;
    }
    let last = holders.keys();
    assert_eq!((first.key_id(), first.beacon_key()), (last.key_id(), last.beacon_key()));
}

/// x_j U, as the release of a share writes it.
fn decryption_share(secret: &MemberSecrets, ciphertext: &[u8]) -> tdh2::SharePoint {
    let u = public::points(&[G1Bytes::try_from(&ciphertext[..48]).unwrap()]).unwrap()[0];
    let share = u * &public::scalar(&secret.decrypt).unwrap();
    tdh2::SharePoint::from_compressed(&public::g1_bytes(&share).unwrap()).unwrap()
}

#[test]
fn key_6_a_pending_envelope_opens_with_new_shares_and_not_with_a_mix() {
    const AAD: &[u8] = b"\x01a pending envelope";
    let old = Holders::fresh(1..=4);
    let keys = old.keys();
    let padded = tdh2::pad(b"sealed in the old epoch", 512).unwrap();
    let ciphertext = tdh2::seal(keys.encryption_key(), Zeroizing::new([3; 32]), AAD, &padded);
    let new = reshare(&old, &seeds([2, 3, 4, first_id(2..=4)]), |_, _| true).unwrap().1;

    let item = tdh2::Item { aad: AAD, class_bytes: 512, ciphertext: &ciphertext };
    let keys = new.keys();
    let admitted = tdh2::admit(keys.encryption_key(), &[item], [1; 32]).remove(0).unwrap();
    let open = |shares: &[(usize, &MemberSecrets)]| {
        let shares: Vec<_> =
            shares.iter().map(|(i, s)| (member_id(*i), vec![decryption_share(s, &ciphertext)])).collect();
        tdh2::reveal(&keys, &[(item, &admitted)], &shares, [1; 32])
    };
    for quorum in [[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]] {
        let reveal = open(&quorum.map(|i| (i, &new.secrets[i]))).unwrap();
        assert!(matches!(reveal.openings[..], [Opening::Key(_)]), "{quorum:?}");
        let text = reveal.plaintexts[0].as_ref().unwrap();
        assert_eq!(tdh2::unpad(text), Some(b"sealed in the old epoch".as_slice()));
    }
    // Two new shares, and any old share at any index, the old member's own or another.
    for (i, j) in [(0, 1), (0, 3), (1, 2)] {
        for secret in &old.secrets {
            for at in (0..4).filter(|at| *at != i && *at != j) {
                let mix = [(i, &new.secrets[i]), (j, &new.secrets[j]), (at, secret)];
                assert!(matches!(open(&mix), Err(tdh2::RevealError::NeedMore { .. })), "{i} {j} {at}");
            }
        }
    }
}

#[test]
fn key_6_the_beacon_signs_the_same_before_and_after() {
    let old = Holders::fresh(1..=4);
    let new = reshare(&old, &seeds(2..=8), |_, _| true).unwrap().1;
    let message = beacon::Message { network: NETWORK, slot: Slot(5), digest: Hash([6; 32]) };
    let hashed =
        commonware_cryptography::bls12381::primitives::group::G2::hash_to_group(tag::BEACON_DST, &message.bytes());
    let sign = |holders: &Holders| {
        let share = |(i, secret): (usize, &MemberSecrets)| {
            let share = hashed * &public::scalar(&secret.beacon).unwrap();
            (member_id(i), G2Bytes::try_from(share.encode().as_ref()).unwrap())
        };
        let shares: Vec<_> = holders.secrets.iter().enumerate().map(share).collect();
        beacon::combine(&holders.keys(), &shares, &message).unwrap()
    };
    let signature = sign(&old);
    assert_eq!(signature, sign(&new));
    assert!(beacon::verify(&new.keys(), &message, &signature).is_ok());
}

#[test]
fn key_6_logs_in_any_order_and_number_give_one_outcome() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let (logs, _players) = exchange(&from, &plan, &to, |_, _| true);
    let want = observe(&plan, refs(&logs)).unwrap();
    let junk = vec![7u8; 40];
    for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        let mut shuffled: Vec<&[u8]> = order.map(|i| logs[i].as_slice()).to_vec();
        shuffled.extend([logs[0].as_slice(), &junk, &[]]);
        assert_eq!(observe(&plan, shuffled).unwrap(), want, "{order:?}");
    }
    // Another set of logs is another outcome, with the same public keys.
    let other = observe(&plan, refs(&logs[1..])).unwrap();
    assert_eq!((other.decrypt[0], other.beacon[0]), (want.decrypt[0], want.beacon[0]));
    assert_ne!((&other.decrypt[1], other.logs), (&want.decrypt[1], want.logs));
}

#[test]
fn plans_that_are_refused() {
    let four = Holders::fresh(1..=4);
    let members = publics(&four.seeds);
    let plan = |from: &[Hash], parts: &KeySetParts, to: &[Hash]| {
        Plan::new(&NETWORK, (Epoch(1), 0), (from, parts), to).unwrap_err()
    };
    let refused = |error, which, at| {
        let ReshareError::Committee { committee, source: CeremonyError::Order { index } } = error else {
            panic!("{error:?}");
        };
        assert_eq!((committee, index), (which, at));
    };
    let mut swapped = members.clone();
    swapped.swap(1, 2);
    refused(plan(&swapped, &four.parts, &members), Committee::Old, 2);
    refused(plan(&members, &four.parts, &swapped), Committee::New, 2);
    let mut twice = members.clone();
    twice[1] = twice[0];
    refused(plan(&members, &four.parts, &twice), Committee::New, 1);
    for n in [0, 1, 3] {
        let error = plan(&members, &four.parts, &members[..n]);
        let size = |source: &CeremonyError| matches!(source, CeremonyError::Size { n: found } if *found == n);
        assert!(matches!(error, ReshareError::Committee { committee: Committee::New, source } if size(&source)));
    }
    let mut no_key = members.clone();
    let is_no_key = |key: &Hash| PublicKey::decode(Copying(key.as_bytes().as_slice())).is_err();
    no_key[3] = (0xf0..=0xff).map(|byte| Hash([byte; 32])).find(is_no_key).unwrap();
    let error = plan(&members, &four.parts, &no_key);
    assert!(matches!(error, ReshareError::Key { committee: Committee::New, member: MemberId(3) }), "{error:?}");
    let mut parts = four.parts.clone();
    parts.decrypt_g2 = parts.share_keys_g2[0];
    assert!(matches!(plan(&members, &parts, &members), ReshareError::KeySet(KeySetError::PublicKeys)));
    let mut parts = four.parts.clone();
    parts.beacon[2] = G1Bytes([0xff; 48]);
    assert!(matches!(plan(&members, &parts, &members), ReshareError::KeySet(KeySetError::Point)));
    let seven = publics(&seeds(1..=7));
    assert!(matches!(plan(&seven, &four.parts, &members), ReshareError::KeySet(KeySetError::Count)));
}

#[test]
fn who_may_deal_and_who_may_play() {
    let from = Holders::fresh(1..=4);
    let to = seeds(11..=14);
    let plan = from.plan(0, &to);
    let start = |seed: &Seed, secrets: &MemberSecrets| Dealer::start(&plan, seed, secrets, &entropy(0)).err().unwrap();
    assert!(matches!(start(&to[0], &from.secrets[0]), ReshareError::Stranger { committee: Committee::Old }));
    assert!(matches!(start(&from.seeds[0], &from.secrets[1]), ReshareError::Shares));
    for wrong in [[0; 32], [0xff; 32]] {
        let secrets = MemberSecrets { decrypt: from.secrets[0].decrypt.clone(), beacon: Zeroizing::new(wrong) };
        assert!(matches!(start(&from.seeds[0], &secrets), ReshareError::Shares));
    }
    let error = Player::start(&plan, &from.seeds[0]).err().unwrap();
    assert!(matches!(error, ReshareError::Stranger { committee: Committee::New }));
}

#[test]
fn sizes_on_the_wire() {
    use commonware_cryptography::{
        bls12381::{dkg::feldman_desmedt::SignedDealerLog, primitives::variant::MinPk},
        ed25519::PublicKey,
    };
    for (n, dealing, log) in [(4, 354, 1_270), (7, 546, 2_044), (16, 1_122, 4_366)] {
        let from = Holders::fresh(1..=4);
        let to = seeds(1..=n);
        let plan = from.plan(0, &to);
        assert_eq!(from.dealer(&plan, 0).1[0].len(), dealing);
        let (logs, mut players) = exchange(&from, &plan, &to, |_, _| true);
        assert_eq!(logs[0].len(), log, "n = {n}");
        let ack = players[0].on_dealing(MemberId(0), &from.dealer(&plan, 0).1[0]).unwrap();
        assert_eq!(ack.len(), 128);
    }
    let most = 128u32.try_into().unwrap();
    let half = SignedDealerLog::<MinPk, PublicKey>::max_encode_size(most);
    assert!(outcome::join(vec![0; half], vec![0; half]).len() < LOG_BYTES_MAX);
}

#[test]
fn share_keys_that_are_refused() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let (outcome, next) = reshare(&from, &to, |_, _| true).unwrap();
    let key = |i: usize| ShareKey::sign(&outcome, &to[i], &next.secrets[i]).unwrap();
    let check = |key: &ShareKey| check_share_key(&outcome, &key.bytes()).unwrap_err();
    assert_eq!(check(&ShareKey { member: MemberId(1), ..key(0) }), ShareKeyError::Signature);
    assert_eq!(check(&ShareKey { member: MemberId(4), ..key(0) }), ShareKeyError::Member(MemberId(4)));
    assert_eq!(check(&ShareKey { point: key(1).point, ..key(0) }), ShareKeyError::Signature);
    let lie = key(1).point;
    let signer = crypto::ed25519::SigningKey::from_seed(to[0].clone());
    let text = t256(tag::RESHARE_SHARE_KEY, &[outcome.logs.as_bytes(), &[0, 0], lie.as_bytes()]);
    let signature = signer.sign(text.as_bytes());
    let lie = ShareKey { member: MemberId(0), point: lie, signature };
    assert_eq!(check(&lie), ShareKeyError::Point(MemberId(0)));
    // A lie that got in all the same is ignored: the right key is interpolated.
    let keys = [lie, key(1), key(2), key(3)];
    assert_eq!(outcome.key_set(&keys).unwrap(), next.parts);
    let other = Outcome { logs: Hash([1; 32]), ..outcome.clone() };
    assert_eq!(check_share_key(&other, &key(0).bytes()), Err(ShareKeyError::Signature));
    let sign = |seed, secrets| ShareKey::sign(&outcome, seed, secrets).unwrap_err();
    assert_eq!(sign(&to[0], &next.secrets[1]), ShareKeyError::Secrets);
    assert_eq!(sign(&seeds([1])[0], &next.secrets[1]), ShareKeyError::Secrets);
}

#[test]
fn key_5_files_of_a_later_epoch() {
    use crate::files::{self, KeySetFile, Origin, Protection, ShareFile, Unlock};
    let dir = tempfile::tempdir().unwrap();
    let (outcome, next) = reshare(&Holders::fresh(1..=4), &seeds(2..=8), |_, _| true).unwrap();
    let keyset = KeySetFile {
        network: NETWORK,
        epoch: Epoch(3),
        f: 2,
        origin: Origin::Dkg,
        members: outcome.members.clone(),
        parts: next.parts.clone(),
        logs: outcome.logs,
    };
    let path = dir.path().join("keyset.lks");
    files::write_keyset(&path, &keyset).unwrap();
    assert_eq!(files::read_keyset(&path, &NETWORK).unwrap(), keyset);
    let share = ShareFile {
        network: NETWORK,
        epoch: Epoch(3),
        index: MemberId(6),
        decrypt: next.secrets[6].decrypt.clone(),
        beacon: next.secrets[6].beacon.clone(),
        keyset_hash: files::keyset_hash(&keyset),
    };
    let path = dir.path().join("share.lks");
    files::write_share(&path, &share, &Protection::InsecurePlaintext).unwrap();
    let read = files::read_share(&path, &NETWORK, Unlock::InsecurePlaintext).unwrap();
    assert_eq!((read.epoch, read.index, read.keyset_hash), (Epoch(3), MemberId(6), share.keyset_hash));
    assert!(read.decrypt == share.decrypt && read.beacon == share.beacon);
}
