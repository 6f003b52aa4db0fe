// KEY-3 against a dealer with a program of its own: logs that it signs and that an honest dealer would never sign. The
// library's transcript is computed here once more, so that any bytes can be signed.
use super::*;
use crate::party::consensus_key;
use commonware_cryptography::transcript::{Transcript, Version};
use commonware_utils::ordered::Set;

const SIGNATURE: usize = 64;
/// Dealer's key, number of commitments, three of them.
const RESULTS: usize = 32 + 1 + 3 * 48;
/// Tag of the results, number of players, their keys.
const KEYS: usize = RESULTS + 2;
/// Number of players again, then what each did.
const ENTRIES: usize = KEYS + 4 * 32 + 1;
/// Tag 0, acknowledgement.
const ENTRY: usize = 1 + 64;

/// The log of dealer 1 with a half edited and signed again.
fn forge(from: &Holders, plan: &Plan, log: &[u8], secret: Secret, edit: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let [mut decrypt, mut beacon] = outcome::split(log);
    let (half, bytes, tag) = match secret {
        Secret::Decrypt => (&plan.decrypt, &mut decrypt, tag::DKG_DECRYPT),
        Secret::Beacon => (&plan.beacon, &mut beacon, tag::DKG_BEACON),
    };
    let keys = |members: &[Hash]| committee(Committee::Old, members).unwrap().1;
    let (dealers, players) = (keys(&publics(&from.seeds)), keys(&plan.members));
    let previous = public::output(&plan.name, &dealers, &half.commitments).unwrap();
    let set = |keys: &[PublicKey]| Set::from_iter_dedup(keys.iter().cloned()).encode();
    let mut info = Transcript::new(b"_COMMONWARE_CRYPTOGRAPHY_BLS12381_DKG", Version::V0);
    info.commit([tag.as_bytes(), NETWORK.as_bytes()].concat().as_slice())
        .commit((3u64 * 256).encode())
        .commit(Some(previous).encode())
        .commit(set(&dealers))
        .commit(set(&players))
        .commit([0x80u8, 1].as_slice());
    let sign = |body: &[u8]| {
        let mut text = Transcript::resume(info.summarize(), Version::V0).fork(b"log");
        text.commit(&body[32..]);
        text.sign(&consensus_key(&from.seeds[1]).unwrap()).encode().to_vec()
    };
    let signature = bytes.split_off(bytes.len() - SIGNATURE);
    assert_eq!(sign(bytes), signature, "what is computed here is what the library signs");
    edit(bytes);
    bytes.extend(sign(bytes));
    outcome::join(decrypt, beacon)
}

fn entry(player: usize) -> core::ops::Range<usize> {
    ENTRIES + player * ENTRY..ENTRIES + (player + 1) * ENTRY
}

#[test]
fn key_3_whatever_a_dealer_signs_it_is_survived_and_named() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let (logs, _) = exchange(&from, &plan, &to, |_, _| true);
    let dealings = from.dealer(&plan, 1).1;
    for secret in [Secret::Decrypt, Secret::Beacon] {
        let scalar = |player: usize| {
            let (decrypt, beacon) = dealings[player].split_at(dealings[player].len() / 2);
            let half = if secret == Secret::Decrypt { decrypt } else { beacon };
            half[half.len() - 32..].to_vec()
        };
        let reveal = |bytes: &mut Vec<u8>, player: usize, scalar: &[u8]| {
            bytes.splice(entry(player), [&[1], scalar].concat());
        };
        let verdict = |name: &str, edit: &dyn Fn(&mut Vec<u8>)| {
            let forged = forge(&from, &plan, &logs[1], secret, edit);
            assert_eq!(check_log(&plan, &forged).unwrap(), MemberId(1), "{name}");
            let set = [logs[0].as_slice(), &forged, &logs[2], &logs[3]];
            let outcome = observe(&plan, set).unwrap();
            assert_eq!(outcome.dealers.contains(&MemberId(1)), outcome.faulty.is_empty(), "{name}");
            assert!(outcome.revealed.is_empty(), "{name}");
            outcome.faulty
        };
        let named = [MemberId(1)];
        assert_eq!(verdict("nothing altered", &|_| {}), []);
        assert_eq!(verdict("a scalar published in spite of the acknowledgement", &|b| reveal(b, 2, &scalar(2))), []);
        assert_eq!(verdict("an acknowledgement altered", &|b| b[entry(2).end - 1] ^= 1), named);
        assert_eq!(verdict("a scalar of another player", &|b| reveal(b, 2, &scalar(1))), named);
        assert_eq!(
            verdict("two scalars", &|b| {
                // From the back: a scalar is shorter than an acknowledgement.
                reveal(b, 2, &scalar(2));
                reveal(b, 1, &scalar(1));
            }),
            named
        );
        assert_eq!(
            verdict("a player left out", &|b| {
                b.drain(entry(3));
                b[ENTRIES - 1] = 3;
                b.drain(KEYS + 3 * 32..KEYS + 4 * 32);
                b[KEYS - 1] = 3;
            }),
            named
        );
        assert_eq!(verdict("a commitment twice", &|b| b.copy_within(33 + 48..33 + 96, 33 + 96)), named);
        assert_eq!(
            verdict("a degree too low", &|b| {
                b.drain(RESULTS - 48..RESULTS);
                b[32] = 2;
            }),
            named
        );
        assert_eq!(
            verdict("a degree too high", &|b| {
                let last = b[RESULTS - 48..RESULTS].to_vec();
                b.splice(RESULTS..RESULTS, last);
                b[32] = 4;
            }),
            named
        );
        assert_eq!(verdict("another member's share handed over", &|b| b.copy_within(33 + 48..33 + 96, 33)), named);
        // Not even well-formed: the operation is refused, there is nothing to survive.
        let refused = |edit: &dyn Fn(&mut Vec<u8>)| {
            let forged = forge(&from, &plan, &logs[1], secret, edit);
            check_log(&plan, &forged).unwrap_err()
        };
        assert!(matches!(refused(&|b| b.copy_within(KEYS..KEYS + 32, KEYS + 32)), LogError::Malformed(_)), "one twice");
        assert!(matches!(refused(&|b| b[33] = 0xc0), LogError::Malformed(_)), "no point");
        assert!(matches!(refused(&|b| b.push(0)), LogError::Malformed(_)), "a byte more");
        assert!(matches!(refused(&|b| b[0] ^= 1), LogError::Malformed(_) | LogError::Signature), "another dealer");
    }
}

#[test]
fn key_3_seeded_alterations_under_a_good_signature_never_panic_nor_count() {
    let from = Holders::fresh(1..=4);
    let to = seeds(2..=5);
    let plan = from.plan(0, &to);
    let (logs, _) = exchange(&from, &plan, &to, |_, _| true);
    let mut admitted = 0;
    for case in 0u16..60 {
        let noise = crypto::hash::sha256(&[b"signed", &case.to_le_bytes()]).0;
        let forged = forge(&from, &plan, &logs[1], Secret::Beacon, |bytes| {
            // Behind the dealer's key: mostly flipped bits, as other lengths are seldom an encoding.
            let at = 32 + usize::from(u16::from_le_bytes([noise[0], noise[1]])) % (bytes.len() - 32);
            match noise[2] % 8 {
                0 => bytes.truncate(at),
                1 => bytes.splice(at..at, noise).for_each(drop),
                _ => bytes[at] ^= 1 << (noise[3] % 8),
            }
        });
        if check_log(&plan, &forged).is_ok() {
            admitted += 1;
            let set = [logs[0].as_slice(), &forged, &logs[2], &logs[3]];
            let outcome = observe(&plan, set).unwrap();
            assert_eq!(outcome.faulty, [MemberId(1)], "case {case}");
        }
    }
    assert!((1..60).contains(&admitted), "{admitted} of 60 were admitted");
}
