//! Which seeds are run, and what is said of them.
use crate::world::Report;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr as _,
};

/// Seeds that failed once.
const KNOWN: &str = include_str!("seeds.txt");
/// Sizes by turns, where the seed decides.
const SIZES: [u16; 4] = [4, 7, 4, 13];

#[expect(clippy::disallowed_methods, reason = "the seeds of a run are its arguments")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn number(text: &str) -> u64 {
    let hex = text.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16));
    hex.unwrap_or_else(|| u64::from_str(text)).unwrap_or_else(|_| panic!("{text} is no seed"))
}

fn size(seed: u64) -> u16 {
    let by_turns = || SIZES[usize::try_from(seed % 4).unwrap()];
    variable("LOCKSTEP_MEMBERS").map_or_else(by_turns, |n| u16::from_str(&n).unwrap())
}

/// What was asked for, or nothing.
pub(crate) fn wanted() -> Option<Vec<u64>> {
    if let Some(one) = variable("LOCKSTEP_SEED") {
        return Some(vec![number(&one)]);
    }
    let range = variable("LOCKSTEP_SEEDS")?;
    let (from, to) = range.split_once("..").unwrap_or_else(|| panic!("{range} is no range such as 0..8"));
    Some((number(from)..number(to)).collect())
}

fn known(scenario: &str) -> impl Iterator<Item = (u64, u16)> {
    let lines = KNOWN.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.filter_map(move |line| {
        let mut words = line.rsplitn(3, ' ');
        let (seed, n, name) = (words.next()?, words.next()?, words.next()?);
        (name == scenario).then(|| (number(seed), u16::from_str(n).unwrap()))
    })
}

/// Runs a scenario under the seeds that were asked for, each twice: same seed, same bytes; with `LOCKSTEP_ONCE` set, each
/// once. Or under a short list, of which the first `twice` are run again.
pub(crate) fn check(scenario: &str, short: &[(u64, u16)], twice: usize, run: impl Fn(u64, u16) -> Report) {
    let asked = wanted().map(|seeds| seeds.into_iter().map(|seed| (seed, size(seed))).collect::<Vec<_>>());
    let twice = if asked.is_none() {
        twice
    } else if variable("LOCKSTEP_ONCE").is_some() {
        0
    } else {
        usize::MAX
    };
    let all: Vec<(u64, u16)> = asked.unwrap_or_else(|| short.to_vec()).into_iter().chain(known(scenario)).collect();
    let (mut failed, mut slots, mut units, mut empty) = (Vec::new(), 0, 0, 0);
    let (mut sold, mut tails, mut slashes, mut changes) = (0, 0, 0, 0);
    for (at, (seed, n)) in all.iter().enumerate() {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let report = run(*seed, *n);
            if at < twice {
                assert_eq!(report, run(*seed, *n), "the same seed gives another run");
            }
            report
        }));
        match outcome {
            Ok(report) => {
                slots += report.slots;
                units += report.units;
                empty += report.empty;
                sold += report.sold;
                tails += report.tails;
                slashes += report.slashes;
                changes += report.changes;
            }
            Err(_) => {
                println!("{scenario}: n = {n}, LOCKSTEP_SEED={seed} failed");
                failed.push((*seed, *n));
            }
        }
    }
    println!(
        "{scenario}: {} seeds, {slots} slots, {units} units, {empty} empty blocks, {sold} sold, {tails} tails, {slashes} slashes, {changes} committees, failed {failed:?}",
        all.len()
    );
    assert_eq!(failed, [], "{scenario}: seeds and sizes that failed");
}
