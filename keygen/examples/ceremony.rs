//! Runs a ceremony of n members and prints its public result. Nothing secret is printed.
//!
//! `cargo run --release -p keygen --no-default-features --example ceremony -- 4`
#![expect(clippy::print_stdout, reason = "an example that reports")]
use keygen::{CeremonyError, consensus_public, run_in_process};
use types::Hash;
use zeroize::Zeroizing;

fn main() -> Result<(), CeremonyError> {
    let n: u8 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(4);
    // Fixed bytes: these keys protect nothing.
    let mut members = Vec::new();
    for byte in 1..=n {
        let seed = Zeroizing::new([byte; 32]);
        members.push((consensus_public(&seed)?, seed));
    }
    members.sort_by_key(|(public, _)| *public);
    let seeds: Vec<_> = members.into_iter().map(|(_, seed)| seed).collect();
    let result = run_in_process(&Hash([1; 32]), &seeds, [2; 32])?;
    println!("members   {n}, quorum {}", result.parts.decrypt.len());
    for (name, keys) in [("decrypt", &result.parts.decrypt), ("beacon", &result.parts.beacon)] {
        if let Some(key) = keys.first() {
            println!("{name:9} {key}");
        }
    }
    println!("logs      {}", result.logs);
    println!("revealed  {:?}, round {}", result.parts.revealed, result.round);
    Ok(())
}
