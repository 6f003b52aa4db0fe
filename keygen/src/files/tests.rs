// Goal: KEY-5. Round trips, the layout, and every way in which a key file can be wrong.
use super::*;
use crate::run_in_process;
use types::{G1Bytes, G2Bytes};

const NETWORK: Hash = Hash([7; 32]);
const OTHER: Hash = Hash([8; 32]);
/// log2 N for tests that need no strength.
const CHEAP: u8 = 4;

fn keyset() -> KeySetFile {
    KeySetFile {
        network: NETWORK,
        epoch: Epoch(3),
        f: 1,
        origin: Origin::Dkg,
        members: (1..=4).map(|i| Hash([i; 32])).collect(),
        parts: KeySetParts {
            decrypt: vec![G1Bytes([1; 48]), G1Bytes([2; 48]), G1Bytes([3; 48])],
            decrypt_g2: G2Bytes([4; 96]),
            share_keys_g2: vec![G2Bytes([5; 96]); 4],
            beacon: vec![G1Bytes([6; 48]); 3],
            revealed: vec![MemberId(2)],
        },
        logs: Hash([9; 32]),
    }
}

fn share() -> ShareFile {
    ShareFile {
        network: NETWORK,
        epoch: Epoch(3),
        index: MemberId(2),
        decrypt: Zeroizing::new([0x11; 32]),
        beacon: Zeroizing::new([0x22; 32]),
        keyset_hash: keyset_hash(&keyset()),
    }
}

fn passphrase(text: &str) -> Protection {
    Protection::Passphrase { passphrase: Zeroizing::new(text.into()), salt: [1; 32], nonce: [2; 24] }
}

fn assert_same(read: &ShareFile) {
    let wrote = share();
    assert!(read.decrypt == wrote.decrypt && read.beacon == wrote.beacon);
    assert_eq!(
        (read.network, read.epoch, read.index, read.keyset_hash),
        (wrote.network, wrote.epoch, wrote.index, wrote.keyset_hash)
    );
}

/// The checksum put right again after a change: what an attacker can do.
fn resum(bytes: &mut [u8]) {
    let end = bytes.len() - CHECKSUM;
    let sum = checksum(&bytes[..end]);
    bytes[end..].copy_from_slice(sum.as_bytes());
}

#[test]
fn key_5_files_round_trip_on_disk_and_the_share_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (keys, shares) = (dir.path().join("keyset.lks"), dir.path().join("share.lks"));
    assert!(matches!(read_keyset(&keys, &NETWORK), Err(FileError::Missing)));
    assert!(matches!(read_share(&shares, &NETWORK, Unlock::InsecurePlaintext), Err(FileError::Missing)));
    write_keyset(&keys, &keyset()).unwrap();
    assert_eq!(read_keyset(&keys, &NETWORK).unwrap(), keyset());
    write_share(&shares, &share(), &Protection::InsecurePlaintext).unwrap();
    assert_same(&read_share(&shares, &NETWORK, Unlock::InsecurePlaintext).unwrap());
    assert_eq!(std::fs::metadata(&shares).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(read_keyset(&shares, &NETWORK), Err(FileError::Magic)));
    assert!(matches!(read_share(&keys, &NETWORK, Unlock::InsecurePlaintext), Err(FileError::Magic)));
    std::fs::write(&keys, vec![0; 1 << 17]).unwrap();
    assert!(matches!(read_keyset(&keys, &NETWORK), Err(FileError::Disk(_))));
}

#[test]
fn key_5_real_keys_go_through_files() {
    let mut seeds: Vec<_> = (1..=4).map(|i| Zeroizing::new([i; 32])).collect();
    seeds.sort_by_key(|seed| crate::consensus_public(seed).unwrap());
    let result = run_in_process(&NETWORK, &seeds, [1; 32]).unwrap();
    let file = KeySetFile {
        members: seeds.iter().map(|seed| crate::consensus_public(seed).unwrap()).collect(),
        parts: result.parts,
        logs: result.logs,
        ..keyset()
    };
    let bytes = keyset_bytes(&file).unwrap();
    assert_eq!(parse_keyset(&bytes, &NETWORK).unwrap(), file);
    assert!(bytes.len() < 1_024, "{}", bytes.len());
}

fn first_8(hash: &Hash) -> u64 {
    u64::from_be_bytes(*hash.0.first_chunk().unwrap())
}

#[test]
fn key_5_layout_of_both_files() {
    let keys = keyset_bytes(&keyset()).unwrap();
    assert_eq!(&keys[..5], b"LKKS\x01");
    assert_eq!(&keys[5..37], NETWORK.as_bytes());
    assert_eq!(keys[keys.len() - 32..], keyset_hash(&keyset()).0);
    let plain = share_bytes(&share(), &Protection::InsecurePlaintext, SCRYPT_LOG_N).unwrap();
    assert_eq!(&plain[..5], b"LKSH\x01");
    assert_eq!(plain[5..63], [0; 58], "no lock");
    assert_eq!((&plain[63..95], &plain[95..127]), ([0x11; 32].as_slice(), [0x22; 32].as_slice()));
    let sealed = share_bytes(&share(), &passphrase("a"), CHEAP).unwrap();
    assert_eq!(sealed[5..7], [1, CHEAP]);
    assert_eq!((&sealed[7..39], &sealed[39..63]), ([1; 32].as_slice(), [2; 24].as_slice()));
    assert_eq!(sealed.len(), plain.len() + 16, "the tag");
    assert!(!sealed.windows(8).any(|w| w == [0x11; 8] || w == [0x22; 8]));
    // Frozen: a change of these bytes is a new version.
    let frozen = [checksum(&keys), checksum(&plain), checksum(&sealed)].map(|hash| first_8(&hash));
    assert_eq!(frozen, [0xb1ff_651a_d417_92aa, 0xcfec_0ea0_75a5_03e3, 0xbaa4_3dac_cee7_825f]);
}

#[test]
fn key_5_a_passphrase_opens_what_it_sealed_and_nothing_else() {
    let sealed = share_bytes(&share(), &passphrase("correct horse"), CHEAP).unwrap();
    assert_same(&parse_share(&sealed, &NETWORK, Unlock::Passphrase(b"correct horse")).unwrap());
    let read = |unlock| parse_share(&sealed, &NETWORK, unlock).err().unwrap();
    for wrong in ["correct horsf", "correct horse ", "Correct horse", ""] {
        assert!(matches!(read(Unlock::Passphrase(wrong.as_bytes())), FileError::Passphrase), "{wrong}");
    }
    assert!(matches!(read(Unlock::InsecurePlaintext), FileError::Sealed));
    assert!(matches!(share_bytes(&share(), &passphrase(""), CHEAP), Err(FileError::Passphrase)));
    let plain = share_bytes(&share(), &Protection::InsecurePlaintext, CHEAP).unwrap();
    assert!(matches!(parse_share(&plain, &NETWORK, Unlock::Passphrase(b"x")), Err(FileError::NotSealed)));
}

#[test]
fn key_5_files_of_another_network_are_refused() {
    let keys = keyset_bytes(&keyset()).unwrap();
    assert!(matches!(parse_keyset(&keys, &OTHER), Err(FileError::Network)));
    let plain = share_bytes(&share(), &Protection::InsecurePlaintext, CHEAP).unwrap();
    assert!(matches!(parse_share(&plain, &OTHER, Unlock::InsecurePlaintext), Err(FileError::Network)));
    let sealed = share_bytes(&share(), &passphrase("a"), CHEAP).unwrap();
    assert!(matches!(parse_share(&sealed, &OTHER, Unlock::Passphrase(b"a")), Err(FileError::Network)));
}

#[test]
fn key_5_every_truncation_and_every_flipped_bit_is_refused() {
    let keys = keyset_bytes(&keyset()).unwrap();
    let plain = share_bytes(&share(), &Protection::InsecurePlaintext, CHEAP).unwrap();
    let sealed = share_bytes(&share(), &passphrase("a"), CHEAP).unwrap();
    let refused = |bytes: &[u8]| {
        parse_keyset(bytes, &NETWORK).is_err()
            && parse_share(bytes, &NETWORK, Unlock::InsecurePlaintext).is_err()
            && parse_share(bytes, &NETWORK, Unlock::Passphrase(b"a")).is_err()
    };
    for good in [&keys, &*plain, &*sealed] {
        for len in 0..good.len() {
            assert!(refused(&good[..len]), "cut at {len}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(refused(&longer));
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(refused(&flipped), "flipped at {at}");
        }
    }
}

#[test]
fn key_5_a_sealed_file_altered_under_a_right_checksum_fails_its_tag() {
    let sealed = share_bytes(&share(), &passphrase("a"), CHEAP).unwrap();
    for at in 7..sealed.len() - CHECKSUM {
        let mut altered = sealed.to_vec();
        altered[at] ^= 0x10;
        resum(&mut altered);
        let error = parse_share(&altered, &NETWORK, Unlock::Passphrase(b"a")).err();
        assert!(matches!(error, Some(FileError::Passphrase)), "at {at}: {error:?}");
    }
}

#[test]
fn key_5_versions_locks_and_costs_that_are_not_known() {
    let alter = |at: usize, to: u8| {
        let mut bytes = share_bytes(&share(), &passphrase("a"), CHEAP).unwrap().to_vec();
        bytes[at] = to;
        resum(&mut bytes);
        parse_share(&bytes, &NETWORK, Unlock::Passphrase(b"a")).err().unwrap()
    };
    assert!(matches!(alter(0, b'l'), FileError::Magic));
    assert!(matches!(alter(4, 2), FileError::Version { found: 2 }));
    assert!(matches!(alter(5, 0), FileError::NotSealed));
    assert!(matches!(alter(5, 2), FileError::Lock));
    assert!(matches!(alter(6, 0), FileError::Lock));
    assert!(matches!(alter(6, 21), FileError::Lock), "2 GiB for whoever writes a file");
    let mut short = prefix(SHARE_MAGIC);
    short.extend_from_slice(&[0; LOCK + 63]);
    short.extend_from_slice(&[0; CHECKSUM]);
    resum(&mut short);
    assert!(matches!(parse_share(&short, &NETWORK, Unlock::InsecurePlaintext), Err(FileError::Length)));
}

#[test]
fn key_5_counts_that_do_not_fit_are_neither_written_nor_read() {
    type Change = fn(&mut KeySetFile);
    let changes: [Change; 9] = [
        |k| k.f = 0,
        |k| k.f = 2,
        |k| k.f = 43,
        |k| k.members.swap(0, 1),
        |k| k.parts.decrypt.truncate(2),
        |k| k.parts.beacon.push(G1Bytes([6; 48])),
        |k| k.parts.share_keys_g2.truncate(3),
        |k| k.parts.revealed = vec![MemberId(1), MemberId(1)],
        |k| k.parts.revealed = vec![MemberId(4)],
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut keys = keyset();
        change(&mut keys);
        assert!(matches!(keyset_bytes(&keys), Err(FileError::Counts)), "change {index}");
        let mut bytes = [keyset_prefix(&keys), vec![0; CHECKSUM]].concat();
        resum(&mut bytes);
        assert!(matches!(parse_keyset(&bytes, &NETWORK), Err(FileError::Counts)), "change {index}");
    }
}

#[test]
fn key_5_the_cost_that_is_written_is_the_one_promised() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("share.lks");
    write_share(&path, &share(), &passphrase("a")).unwrap();
    assert_eq!(std::fs::read(&path).unwrap()[5..7], [1, 17]);
}

#[test]
fn key_5_seeded_mutations_are_read_or_refused() {
    // Under a right checksum, so that the decoders behind it are reached. What is accepted says the same again.
    let keys = keyset_bytes(&keyset()).unwrap();
    let plain = share_bytes(&share(), &Protection::InsecurePlaintext, CHEAP).unwrap();
    let mut accepted = 0;
    for case in 0u32..4_000 {
        let noise = crypto::hash::sha256(&[&case.to_le_bytes()]);
        let mut bytes = if case % 2 == 0 { keys.clone() } else { plain.to_vec() };
        for chunk in noise.as_bytes()[..usize::from(noise.as_bytes()[30] % 10) * 3].as_chunks::<3>().0 {
            let at = usize::from(u16::from_le_bytes([chunk[0], chunk[1]])) % bytes.len();
            match chunk[2] % 4 {
                0 => bytes[at] = chunk[2],
                1 => bytes[at] ^= 1 << (chunk[2] >> 5),
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, chunk[2]),
            }
        }
        resum(&mut bytes);
        if let Ok(read) = parse_keyset(&bytes, &NETWORK) {
            assert_eq!(keyset_bytes(&read).unwrap(), bytes);
            accepted += 1;
        }
        if let Ok(read) = parse_share(&bytes, &NETWORK, Unlock::InsecurePlaintext) {
            assert_eq!(read.network, NETWORK);
            accepted += 1;
        }
    }
    assert!((1..4_000).contains(&accepted), "{accepted}");
}
