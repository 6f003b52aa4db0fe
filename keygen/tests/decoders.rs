//! Goal: no bytes make a decoder of the key ceremony panic, hang or accept two encodings of one value, in every run of CI.
//! Method: the laws of `fuzz/keys`, which libFuzzer runs too, over seeded mutations of what a whole ceremony says.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test program")]

#[path = "../../fuzz/keys/laws.rs"]
mod laws;

use keygen::{
    consensus_public,
    files::{Protection, SHARE_MAGIC, lock},
    operators::{Operator, Phase, Plan, State},
};
use std::sync::Arc;
use types::Hash;
use zeroize::Zeroizing;

const ROUNDS: u64 = 6_000;

/// A message of each step, a transcript, a share file, each with the byte that says what it is.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = (1..=4u8).map(|id| Zeroizing::new([id; 32])).collect();
    seeds.sort_by_key(|seed| consensus_public(seed).unwrap());
    let members: Vec<Hash> = seeds.iter().map(|seed| consensus_public(seed).unwrap()).collect();
    let plan = Arc::new(Plan::new(&Hash([7; 32]), 0, &members, &[]).unwrap());
    let mut operators: Vec<_> = seeds.iter().map(|seed| Operator::start(Arc::clone(&plan), seed).unwrap()).collect();
    let mut found = Vec::new();
    while let Some(said) = operators.iter_mut().find_map(Operator::due) {
        if found.len() < Phase::ALL.len() && said.from == operators.first().unwrap().me() {
            found.push([&[0], said.bytes().as_slice()].concat());
        }
        operators.iter_mut().for_each(|operator| assert!(operator.on(&said).unwrap()));
    }
    let operator = operators.first().unwrap();
    let State::Finished(_) = operator.state() else { panic!("{:?}", operator.state()) };
    found.push([&[1], operator.transcript().unwrap().bytes().as_slice()].concat());
    let file = lock(SHARE_MAGIC, &[3; 140], &Protection::InsecurePlaintext).unwrap();
    found.push([&[2], file.as_slice()].concat());
    found.push([&[2], file.split_last_chunk::<32>().unwrap().0].concat());
    found
}

/// Numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 += 1;
        let hash = crypto::hash::sha256(&[&self.0.to_le_bytes()]).0;
        let number = u64::from_le_bytes(*hash.first_chunk().unwrap());
        usize::try_from(number % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
    /// A few changes of the kinds that decoders trip over.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut out = seed.to_vec();
        for _ in 0..=self.below(3) {
            let at = 1 + self.below(out.len());
            match self.below(6) {
                0 => out.truncate(at),
                1 => out.extend_from_slice(&seed[at.min(seed.len())..]),
                // lengths and counts as the codec and the frames write large ones
                2 => out.splice(at.min(out.len())..at.min(out.len()), [251, 255, 255]).for_each(drop),
                3 => out.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
                4 => out.iter_mut().skip(at).take(1).for_each(|byte| *byte = 0),
                _ => out.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << self.below(8)),
            }
        }
        out
    }
}

#[test]
fn no_bytes_break_a_decoder_of_the_ceremony() {
    let (seeds, mut numbers) = (seeds(), Numbers(0));
    assert_eq!(seeds.len(), Phase::ALL.len() + 3);
    seeds.iter().for_each(|seed| laws::keys(seed));
    for round in 0..ROUNDS {
        let seed = &seeds[usize::try_from(round).unwrap() % seeds.len()];
        laws::keys(&numbers.mutate(seed));
    }
}
