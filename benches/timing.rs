//! Whether the time of a product by a secret scalar depends on the scalar (dudect: Reparaz, Balasch, Verbauwhede, "Dude,
//! is my code constant time?", 2017).
//!
//! Goal: a figure for docs/src/crypto.md section 10, on the machine at hand. Method: two classes of secrets, one that is
//! always the same and sparse, one drawn anew each time, in a random order; Welch's t over the CPU times, the slowest
//! tenth left out, since that is other programs. |t| above 4.5 would speak of a leak. Not a test of CI: the machine's
//! noise would be judged with it.
//!
//! `LOCKSTEP_TIMING_SAMPLES` (4000) a class.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench: it prints, and what does not hold ends it"
)]

#[path = "common/cpu.rs"]
#[expect(dead_code, reason = "criterion has no part in this")]
mod cpu;

use cpu::cpu_now;
use crypto::{
    dealer::deal,
    keys::DecryptionShareKey,
    tdh2::{self, Admitted, Item},
};
use std::hint::black_box;
use types::Hash;
use zeroize::Zeroizing;

const SEED: [u8; 32] = [0x7a; 32];

fn drawn(what: &str, at: u64) -> [u8; 32] {
    let mut bytes = crypto::hash::sha256(&[what.as_bytes(), &at.to_le_bytes()]).0;
    // below the order, little-endian
    bytes[31] &= 0x3f;
    bytes
}

/// Few bits, far apart.
fn sparse() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes[16] = 4;
    bytes[31] = 0x20;
    bytes
}

/// Mean and variance of the fastest nine tenths.
fn moments(mut times: Vec<f64>) -> (f64, f64, f64) {
    times.sort_by(f64::total_cmp);
    times.truncate(times.len() * 9 / 10);
    let count = f64::from(u32::try_from(times.len()).expect("few"));
    let mean = times.iter().sum::<f64>() / count;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (count, mean, variance)
}

/// Welch's t of two classes: `run(class, at)` prepares, and gives what is timed.
fn compare(name: &str, samples: u64, mut run: impl FnMut(bool, u64) -> Box<dyn FnOnce()>) {
    let mut times: [Vec<f64>; 2] = Default::default();
    for at in 0..samples * 2 {
        let class = drawn("class", at)[0] & 1 == 1;
        let work = run(class, at);
        let start = cpu_now();
        work();
        let spent = cpu_now().saturating_sub(start).as_secs_f64() * 1e6;
        times[usize::from(class)].push(spent);
    }
    let [fixed, random] = times.map(moments);
    let t = (fixed.1 - random.1) / (fixed.2 / fixed.0 + random.2 / random.0).sqrt();
    println!("{name}: {:.2} us fixed, {:.2} us drawn, t = {t:.2}", fixed.1, random.1);
}

#[expect(clippy::disallowed_methods, reason = "how much is measured, not configuration")]
fn main() {
    let samples = std::env::var("LOCKSTEP_TIMING_SAMPLES").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000);
    let keys = deal(4, 1, &SEED).key_set();
    let sealed: Vec<Vec<u8>> = (0..16u64)
        .map(|at| {
            let padded = tdh2::pad(&at.to_le_bytes(), 512).expect("it fits");
            tdh2::seal(keys.encryption_key(), Zeroizing::new(drawn("entropy", at)), b"\x01", &padded)
        })
        .collect();
    let items: Vec<Item<'_>> =
        sealed.iter().map(|ciphertext| Item { aad: b"\x01", class_bytes: 512, ciphertext }).collect();
    let admitted: Vec<Admitted> = tdh2::admit(keys.encryption_key(), &items, SEED)
        .into_iter()
        .map(|verdict| verdict.expect("what was sealed is admitted"))
        .collect();
    let admitted: &'static [Admitted] = admitted.leak();
    let keys: &'static crypto::keys::KeySet = Box::leak(Box::new(keys));
    let key = |class: bool, at: u64| {
        let secret = if class { drawn("secret", at) } else { sparse() };
        DecryptionShareKey::from_le_bytes(Zeroizing::new(secret)).expect("below the order")
    };
    compare("share, one item", samples, |class, at| {
        let (key, item) = (key(class, at), &admitted[0]);
        Box::new(move || drop(black_box(key.share(Hash([1; 32]), item))))
    });
    compare("share, sixteen items together", samples / 4, |class, at| {
        let key = key(class, at);
        Box::new(move || drop(black_box(key.share_all(admitted.iter().map(|item| (Hash([1; 32]), item))))))
    });
    compare("seal, by its entropy", samples, |class, at| {
        let entropy = Zeroizing::new(if class { drawn("fresh", at) } else { sparse() });
        let padded = tdh2::pad(b"the same text", 512).expect("it fits");
        Box::new(move || drop(black_box(tdh2::seal(keys.encryption_key(), entropy, b"\x01", &padded))))
    });
}
