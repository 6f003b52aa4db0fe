// Goal: KEY-1 to KEY-4 on whole ceremonies, over a wire that loses and alters messages.
use super::*;
use crate::party::{LogError, consensus_public};
use crypto::keys::{BeaconShareKey, DecryptionShareKey, KeySet};
use std::collections::BTreeSet;

const NETWORK: Hash = Hash([7; 32]);

fn seeds(n: u8) -> Vec<Zeroizing<[u8; 32]>> {
    let mut seeds: Vec<_> = (1..=n).map(|i| Zeroizing::new([i; 32])).collect();
    seeds.sort_by_key(|seed| consensus_public(seed).unwrap());
    seeds
}

/// Everything a finished ceremony owes, whatever happened on the wire.
fn assert_sound(result: &CeremonyResult, n: usize) {
    let q = quorum(n).unwrap();
    let parts = &result.parts;
    assert_eq!([parts.decrypt.len(), parts.beacon.len()], [q, q]);
    assert_eq!([parts.share_keys_g2.len(), result.secrets.len()], [n, n]);
    assert_ne!(parts.decrypt, parts.beacon, "two secrets");
    let members = u16::try_from(n).unwrap();
    let keys = KeySet::new(members, (members - 1) / 3, parts).unwrap();
    for (index, secret) in result.secrets.iter().enumerate() {
        let member = member_id(index);
        let decrypt = DecryptionShareKey::from_le_bytes(secret.decrypt.clone()).unwrap();
        assert_eq!(Some(decrypt.public_g1()), keys.share_key(member));
        assert_eq!(Some(decrypt.public_g2()), keys.share_key_g2(member));
        let beacon = BeaconShareKey::from_le_bytes(secret.beacon.clone()).unwrap();
        assert_eq!(Some(beacon.public_g1()), keys.beacon_share_key(member));
    }
    #[cfg(feature = "dealer")]
    crate::dealer::cross_check(parts, &result.secrets).unwrap();
}

/// A ceremony of four over a wire that `tamper` holds: `None` loses a message.
fn four(tamper: impl Fn(Route, &mut Vec<u8>) -> bool) -> Result<CeremonyResult, CeremonyError> {
    run(&NETWORK, &seeds(4), [4; 32], &mut |route, mut bytes| tamper(route, &mut bytes).then_some(bytes))
}

fn involves(route: &Route, member: u16) -> bool {
    route.from == MemberId(member) || route.to == Some(MemberId(member))
}

#[test]
fn key_2_all_sizes_agree_and_every_share_fits() {
    for n in [4, 7, 10] {
        let result = run_in_process(&NETWORK, &seeds(n), [n; 32]).unwrap();
        assert_sound(&result, usize::from(n));
        assert!(result.parts.revealed.is_empty());
        assert_eq!(result.round, 0);
        assert_ne!(result.logs, Hash::ZERO);
    }
}

#[test]
fn equal_inputs_give_equal_keys_and_any_other_input_gives_others() {
    let seeds = seeds(4);
    let run = |network: Hash, entropy| run_in_process(&network, &seeds, entropy).unwrap();
    let first = run(NETWORK, [1; 32]);
    let again = run(NETWORK, [1; 32]);
    assert_eq!((&first.parts, first.logs), (&again.parts, again.logs));
    for (a, b) in first.secrets.iter().zip(&again.secrets) {
        assert!(a.decrypt == b.decrypt && a.beacon == b.beacon);
    }
    let distinct: BTreeSet<_> = first.secrets.iter().flat_map(|s| [*s.decrypt, *s.beacon]).collect();
    assert_eq!(distinct.len(), 8);
    for other in [run(NETWORK, [2; 32]), run(Hash([8; 32]), [1; 32])] {
        assert_ne!(first.parts.decrypt, other.parts.decrypt);
        assert_ne!(first.parts.beacon, other.parts.beacon);
        assert_ne!(first.logs, other.logs);
    }
}

#[test]
fn key_1_sizes_and_orders_that_are_refused() {
    for n in [0, 1, 2, 3, 5, 6, 8, 9, 11, 126] {
        let error = run_in_process(&NETWORK, &seeds(n), [1; 32]).err();
        assert!(matches!(error, Some(CeremonyError::Size { n: found }) if found == usize::from(n)), "{n}: {error:?}");
    }
    assert!(matches!(quorum(130), Err(CeremonyError::Size { n: 130 })));
    assert_eq!(quorum(127).unwrap(), 85);
    let mut swapped = seeds(4);
    swapped.swap(1, 2);
    assert!(matches!(run_in_process(&NETWORK, &swapped, [1; 32]), Err(CeremonyError::Order { index: 1 })));
    let mut twice = seeds(4);
    twice[3] = twice[2].clone();
    assert!(matches!(run_in_process(&NETWORK, &twice, [1; 32]), Err(CeremonyError::Order { index: 3 })));
}

#[test]
fn key_1_consensus_keys_are_those_of_the_crypto_crate() {
    for byte in [0, 1, 0x5a, 0xff] {
        let seed = Zeroizing::new([byte; 32]);
        assert_eq!(consensus_public(&seed).unwrap(), crypto::ed25519::SigningKey::from_seed(seed).public());
    }
}

#[test]
fn key_4_a_silent_member_is_named_and_the_others_finish() {
    for silent in 0..4 {
        let result = four(|route, _| !involves(&route, silent)).unwrap();
        assert_sound(&result, 4);
        assert_eq!(result.parts.revealed, [MemberId(silent)]);
        assert_eq!(result.round, ROUNDS_MAX - 1, "accepted only when every round had it");
    }
}

#[test]
fn key_4_a_member_that_comes_back_costs_a_round_and_is_not_named() {
    let result = four(|route, _| route.round > 0 || !involves(&route, 1)).unwrap();
    assert_sound(&result, 4);
    assert!(result.parts.revealed.is_empty());
    assert_eq!(result.round, 1);
}

#[test]
fn key_4_silence_towards_one_secret_is_silence() {
    let result = four(|route, _| route.secret == Secret::Decrypt || !involves(&route, 3)).unwrap();
    assert_sound(&result, 4);
    assert_eq!(result.parts.revealed, [MemberId(3)]);
}

#[test]
fn key_3_more_silence_than_f_ends_with_the_names() {
    let error = four(|route, _| !involves(&route, 0) && !involves(&route, 2)).err();
    let Some(CeremonyError::TooFewLogs { required: 3, found: 0, faulty, unavailable }) = error else {
        panic!("{error:?}");
    };
    assert!(faulty.is_empty());
    assert_eq!(unavailable.len(), 4, "two sent no log, the two others could not reveal two shares");
}

#[test]
fn key_3_a_wrong_scalar_is_not_acknowledged_and_names_nobody() {
    // Dealer 1 sends member 2 another scalar; its log then shows the right one, which one dealer may do to anyone.
    let result = four(|route, bytes| {
        if (route.step, route.from, route.to) == (Step::Dealing, MemberId(1), Some(MemberId(2))) {
            *bytes.last_mut().unwrap() ^= 1;
        }
        true
    })
    .unwrap();
    assert_sound(&result, 4);
    assert!(result.parts.revealed.is_empty());
    assert_eq!(result.round, 0);
}

#[test]
fn key_3_wrong_scalars_of_f_plus_1_dealers_reveal_a_share_and_that_is_said() {
    let result = four(|route, bytes| {
        if route.step == Step::Dealing && route.from.0 < 2 && route.to == Some(MemberId(3)) {
            *bytes.last_mut().unwrap() ^= 1;
        }
        true
    })
    .unwrap();
    assert_sound(&result, 4);
    assert_eq!(result.parts.revealed, [MemberId(3)]);
}

#[test]
fn key_3_altered_acknowledgements_and_logs_count_as_none() {
    for step in [Step::Ack, Step::Log] {
        let result = four(|route, bytes| {
            if route.step == step && route.from == MemberId(0) {
                let last = bytes.len() - 1;
                bytes[last] ^= 0x40;
            }
            true
        })
        .unwrap();
        assert_sound(&result, 4);
        let named: &[MemberId] = if step == Step::Ack { &[MemberId(0)] } else { &[] };
        assert_eq!(result.parts.revealed, named, "{step:?}");
    }
}

#[test]
fn key_3_a_wrong_key_in_g2_is_replaced_by_the_right_one() {
    let honest = four(|_, _| true).unwrap();
    let other_member = honest.parts.share_keys_g2[0].as_bytes().to_vec();
    for wrong in [Vec::new(), vec![0xc0; 96], vec![7; 96], other_member] {
        let result = four(|route, bytes| {
            if route.step == Step::ShareKey && route.from == MemberId(2) {
                bytes.clone_from(&wrong);
            }
            true
        })
        .unwrap();
        assert_eq!(result.parts, honest.parts);
    }
    let error = four(|route, _| route.step != Step::ShareKey || route.from.0 > 1).err();
    assert!(matches!(error, Some(CeremonyError::TooFewShareKeys { required: 3, found: 2 })), "{error:?}");
}

#[test]
fn key_3_seeded_alterations_of_one_members_messages_never_spoil_the_others() {
    // A flipped bit, a cut, an extension, in any message that member 1 sends, of any kind.
    for case in 0u8..24 {
        let kind = [Step::Dealing, Step::Ack, Step::Log, Step::ShareKey][usize::from(case % 4)];
        let result = four(|route, bytes| {
            if route.step == kind && route.from == MemberId(1) {
                let noise = crypto::hash::sha256(&[&[case, u8::from(route.secret == Secret::Beacon)], &*bytes]);
                let at = usize::from(noise.as_bytes()[0]) * 7 % bytes.len();
                match case / 8 {
                    0 => bytes[at] ^= 1 << (noise.as_bytes()[1] % 8),
                    1 => bytes.truncate(at),
                    _ => bytes.extend_from_slice(&noise.as_bytes()[..=usize::from(noise.as_bytes()[2] % 31)]),
                }
            }
            true
        })
        .unwrap_or_else(|error| panic!("case {case}: {error}"));
        assert_sound(&result, 4);
        assert!(result.parts.revealed.iter().all(|member| *member == MemberId(1)), "case {case}");
    }
}

#[test]
fn a_board_takes_one_log_per_dealer_of_this_round_only() {
    let keys: Vec<PrivateKey> = seeds(4).iter().map(|seed| consensus_key(seed).unwrap()).collect();
    let public: Vec<PublicKey> = keys.iter().map(Signer::public_key).collect();
    let round = |secret, number| Round::new(&NETWORK, secret, number, &public).unwrap();
    let log = |round: &Round, entropy: u8| {
        Dealing::start(round, &keys[1], &Zeroizing::new([entropy; 32])).unwrap().party.seal().0
    };
    let this = round(Secret::Decrypt, 0);
    let first = log(&this, 1);
    let mut board = Board::default();
    assert!(matches!(board.post(&this, &first), Ok(MemberId(1))));
    assert!(matches!(board.post(&this, &first), Ok(MemberId(1))));
    assert!(matches!(board.post(&this, &log(&this, 2)), Err(LogError::Second { member: MemberId(1) })));
    for other in [round(Secret::Beacon, 0), round(Secret::Decrypt, 1)] {
        assert!(matches!(board.post(&this, &log(&other, 1)), Err(LogError::Signature)));
    }
    assert!(matches!(board.post(&this, &[]), Err(LogError::Malformed(_))));
    assert!(matches!(board.post(&this, &vec![0; 1 << 20]), Err(LogError::TooLong)));
    let mut longer = first.clone();
    longer.push(0);
    assert!(matches!(board.post(&this, &longer), Err(LogError::Malformed(_) | LogError::TooLong)));
    assert_eq!(board.bytes().collect::<Vec<_>>(), [first.as_slice()]);
}

#[test]
fn key_3_decoders_refuse_seeded_mutations_without_a_panic() {
    let keys: Vec<PrivateKey> = seeds(4).iter().map(|seed| consensus_key(seed).unwrap()).collect();
    let public: Vec<PublicKey> = keys.iter().map(Signer::public_key).collect();
    let round = Round::new(&NETWORK, Secret::Decrypt, 0, &public).unwrap();
    let start = |member: usize| Dealing::start(&round, &keys[member], &Zeroizing::new([1; 32])).unwrap();
    let dealing = start(0).dealings[1].to_vec();
    let ack = start(1).party.on_dealing(MemberId(0), &dealing).unwrap();
    let log = start(0).party.seal().0;
    let mut party = start(1).party;
    let mut dealer = start(0).party;
    let mut board = Board::default();
    for case in 0u16..400 {
        let noise = crypto::hash::sha256(&[&case.to_le_bytes()]).0;
        let mutate = |good: &[u8]| {
            let mut bytes = good.to_vec();
            let at = usize::from(u16::from_le_bytes([noise[0], noise[1]])) % bytes.len();
            match noise[2] % 3 {
                0 => bytes[at] ^= 1 << (noise[3] % 8),
                1 => bytes.truncate(at),
                _ => bytes.splice(at..at, noise).for_each(drop),
            }
            bytes
        };
        assert!(party.on_dealing(MemberId(case % 4), &mutate(&dealing)).is_none(), "dealing {case}");
        assert!(!dealer.on_ack(MemberId(case % 5), &mutate(&ack)), "ack {case}");
        assert!(board.post(&round, &mutate(&log)).is_err(), "log {case}");
    }
    assert!(party.on_dealing(MemberId(0), &dealing).is_some());
    assert!(dealer.on_ack(MemberId(1), &ack));
    assert!(board.post(&round, &log).is_ok());
}
