//! Every decoder of bytes from outside, on the compiler that the project is built with: the functions that `fuzz/` runs
//! under libFuzzer, over its corpus and some thousands of seeded mutations of it.
//!
//! Goal: no bytes make a decoder panic, hang or accept two encodings of one value, in every run of CI. Method: the laws
//! are in `fuzz/targets.rs`; here is the driving. `UPDATE_CORPUS=1` writes the corpus anew.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test program")]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use targets::{ALL, MESSAGES};

/// Mutations per target.
const ROUNDS: u64 = 3_000;
/// Of the target that checks proofs.
const SLOW_ROUNDS: u64 = 150;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no corpus");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// A stream of numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 29
    }
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }
    /// A few changes of the kinds that decoders trip over.
    fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut out = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(out.len());
            match self.below(8) {
                0 => out.truncate(at),
                1 => out.insert(at, self.byte()),
                2 => out.extend_from_within(at..),
                3 => out.splice(at.., seeds[self.below(seeds.len())].iter().copied().skip(at)).for_each(drop),
                // lengths and counts as the codec writes large ones
                4 => out.splice(at..at, [[251, 255, 255], [252, 0, 1], [253, 255, 127]][self.below(3)]).for_each(drop),
                5 => out.iter_mut().skip(at).take(1).for_each(|byte| *byte = [0, 1, 0x7f, 0x80, 0xff][self.below(5)]),
                6 => out.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << self.below(8)),
                _ => out.iter_mut().skip(at).take(8).for_each(|byte| *byte = self.byte()),
            }
            out.truncate(70_000);
        }
        out
    }
}

#[test]
fn no_bytes_break_a_decoder() {
    for (name, target) in ALL {
        let (seeds, mut numbers) = (seeds(name), Numbers(1));
        seeds.iter().for_each(|seed| target(seed));
        let rounds = if *name == "ciphertext" { SLOW_ROUNDS } else { ROUNDS };
        for _ in 0..rounds {
            target(&numbers.mutate(&seeds));
        }
    }
}

#[test]
fn every_corpus_has_a_target_and_every_target_a_fuzzer() {
    let folders = |path: &str| -> Vec<String> {
        let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(folders("fuzz/corpus"), names);
    assert_eq!(folders("fuzz/fuzz_targets"), names);
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    assert!(names.iter().all(|name| manifest.contains(&format!("fuzz_targets/{name}.rs"))));
}

/// The least value of a type is often all zeros: the shortest run of them that decodes.
fn zeros<T: serde::Serialize + serde::de::DeserializeOwned>() -> Option<Vec<u8>> {
    (0..3_000).map(|length| vec![0; length]).find(|bytes| types::codec::decode::<T>(bytes, bytes.len()).is_ok())
}

fn written() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let keys = crypto::dealer::deal(4, 1, &[3; 32]).key_set();
    let sealed = |class: usize, text: &[u8]| {
        let padded = crypto::tdh2::pad(text, class).unwrap();
        crypto::tdh2::seal(keys.encryption_key(), zeroize::Zeroizing::new([7; 32]), b"\x01fuzz", &padded)
    };
    let (bid, small) = (sealed(128, b"a bid"), sealed(512, b"an envelope"));
    let kinds: [Option<Vec<u8>>; 13] = [
        zeros::<types::Envelope>(),
        zeros::<types::Entry>(),
        zeros::<types::ShareMessage>(),
        zeros::<types::FinalityProof>(),
        zeros::<types::SignedList>(),
        zeros::<types::Operation>(),
        zeros::<types::Bundle>(),
        zeros::<types::Handover>(),
        zeros::<types::Evidence>(),
        zeros::<types::wire::Event>(),
        zeros::<types::wire::Refusal>(),
        zeros::<types::wire::Status>(),
        zeros::<types::wire::Params>(),
    ];
    let with_kind = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let mut messages: Vec<Vec<u8>> =
        (0..).zip(&kinds).map(|(kind, bytes)| with_kind(kind, bytes.as_deref().unwrap_or_default())).collect();
    let block = zeros::<types::Block>().unwrap_or_default();
    messages.extend([with_kind(13, &block), with_kind(MESSAGES - 1, kinds[8].as_deref().unwrap_or_default())]);
    let share = small[..48].try_into().map(types::G1Bytes).unwrap();
    let affine = crypto::tdh2::SharePoint::from_compressed(&share).unwrap().affine();
    let head = types::Head { size: 777, root: types::Hash([9; 32]) };
    let note = format!("{}\n\u{2014} example AAAAAAAA\n", tlog::checkpoint::text("example.org/log", &head));
    let envelope = kinds[0].clone().unwrap_or_default();
    BTreeMap::from([
        ("ciphertext", vec![with_kind(0, &bid), with_kind(1, &small)]),
        ("points", vec![share.0.to_vec(), affine.0.to_vec(), small[..96].to_vec()]),
        ("messages", messages),
        ("log", vec![note.into_bytes(), b"tile/0/x001/234.p/5".to_vec(), [&[3, 0], &b"abc"[..], &[0, 0]].concat()]),
        (
            "requests",
            vec![
                with_kind(0, &envelope),
                with_kind(1, &[0; 32]),
                vec![2],
                with_kind(3, &[0; 20]),
                with_kind(4, &[0, 0, 0]),
                with_kind(5, br#"{"config":{"chainId":1},"alloc":{},"gasLimit":"0x1"}"#),
            ],
        ),
    ])
}

/// The corpus starts from what this writes; what a fuzzer found is kept beside it.
#[test]
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not configuration")]
fn the_corpus_holds_a_value_of_every_kind() {
    for (name, seeds) in written() {
        for (at, seed) in seeds.iter().enumerate() {
            let file = corpus(name).join(format!("seed-{at:02}"));
            if std::env::var("UPDATE_CORPUS").is_ok() {
                fs::create_dir_all(corpus(name)).unwrap();
                fs::write(&file, seed).unwrap();
            }
            assert!(fs::read(&file).unwrap() == *seed, "{file:?}: UPDATE_CORPUS=1 writes it anew");
        }
    }
}
