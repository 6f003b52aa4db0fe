// Goal: KEY-1 to KEY-4 on whole ceremonies, over a wire that loses and alters messages.
use super::*;
use crate::party::consensus_public;
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
    #[cfg(feature = "dealer")]
    crate::dealer::cross_check(parts, &result.secrets).unwrap();
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
