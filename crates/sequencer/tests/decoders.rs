//! Every decoder of bytes from outside, on the compiler that the project is built with: the functions that `fuzz/` runs
//! under libFuzzer, over its corpus and some thousands of seeded mutations of it.
//!
//! Goal: no bytes make a decoder panic, hang or accept two encodings of one value, in every run of CI. Method: the laws
//! are in `fuzz/targets.rs`; here is the driving.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test program")]

#[path = "../../../fuzz/targets.rs"]
mod targets;

use std::{
    fs,
    path::{Path, PathBuf},
};
use targets::ALL;

/// Mutations per target.
const ROUNDS: u64 = 3_000;
/// Of the target that checks proofs.
const SLOW_ROUNDS: u64 = 150;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn corpus(name: &str) -> PathBuf {
    root().join("fuzz/corpus").join(name)
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
        let entries = fs::read_dir(root().join(path)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(folders("fuzz/corpus"), names);
    assert_eq!(folders("fuzz/fuzz_targets"), names);
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    assert!(names.iter().all(|name| manifest.contains(&format!("fuzz_targets/{name}.rs"))));
}
