//! Hands the secrets of n members to the same n and prints what each step costs, sizes and milliseconds. Nothing secret
//! is printed.
//!
//! `cargo run --release -p keygen --no-default-features --example reshare -- 4 16`
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example that measures and reports")]
use keygen::{
    MemberSecrets, consensus_public,
    reshare::{Dealer, Plan, Player, ShareKey, check_log, check_share_key, observe},
    run_in_process,
};
use std::time::Instant;
use types::{Epoch, Hash, MemberId};
use zeroize::Zeroizing;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("   n  plan  deal dealing  check  log bytes  admit  observe  finish  share key  key set  (ms)");
    for size in std::env::args().skip(1) {
        one(size.parse()?)?;
    }
    Ok(())
}

fn now() -> Instant {
    Instant::now()
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn one(n: u8) -> Result<(), Failure> {
    // Fixed bytes: these keys protect nothing.
    let mut members = Vec::new();
    for byte in 1..=n {
        let seed = Zeroizing::new([byte; 32]);
        members.push((consensus_public(&seed)?, seed));
    }
    members.sort_by_key(|(public, _)| *public);
    let (keys, seeds): (Vec<Hash>, Vec<_>) = members.into_iter().unzip();
    let network = Hash([1; 32]);
    let old = run_in_process(&network, &seeds, [2; 32])?;

    let start = now();
    let plan = Plan::new(&network, (Epoch(1), 0), (&keys, &old.parts), &keys)?;
    let planned = ms(start);

    let mut players = seeds.iter().map(|seed| Player::start(&plan, seed)).collect::<Result<Vec<_>, _>>()?;
    let (mut logs, mut dealt, mut checked, mut dealing_bytes) = (Vec::new(), 0.0, 0.0, 0);
    for (me, (seed, secrets)) in (0..).map(MemberId).zip(seeds.iter().zip(&old.secrets)) {
        let start = now();
        let (mut dealer, dealings) = Dealer::start(&plan, seed, secrets, &Zeroizing::new([me.0.to_le_bytes()[0]; 32]))?;
        dealt = ms(start);
        for (to, (player, dealing)) in (0..).map(MemberId).zip(players.iter_mut().zip(&dealings)) {
            let start = now();
            let ack = player.on_dealing(me, dealing).ok_or("no acknowledgement")?;
            checked = ms(start);
            dealing_bytes = dealing.len();
            if !dealer.on_ack(to, &ack) {
                return Err("an acknowledgement is refused".into());
            }
        }
        logs.push(dealer.seal());
    }
    let refs = || logs.iter().map(Vec::as_slice);
    let start = now();
    let log_bytes = refs().map(|log| check_log(&plan, log).map(|_dealer| log.len())).next().ok_or("no log")??;
    let admitted = ms(start);
    let start = now();
    let outcome = observe(&plan, refs())?;
    let observed = ms(start);
    let mut finished = 0.0;
    let mut shares: Vec<MemberSecrets> = Vec::new();
    for player in players {
        let start = now();
        shares.push(player.finish(&plan, refs())?.1);
        finished = ms(start);
    }
    let (mut share_keys, mut share_key) = (Vec::new(), 0.0);
    for (seed, secrets) in seeds.iter().zip(&shares) {
        let bytes = ShareKey::sign(&outcome, seed, secrets)?.bytes();
        let start = now();
        share_keys.push(check_share_key(&outcome, &bytes)?);
        share_key = ms(start);
    }
    let start = now();
    let parts = outcome.key_set(&share_keys)?;
    let set = ms(start);
    println!(
        "{n:4} {planned:5.1} {dealt:5.1} {dealing_bytes:7} {checked:6.1} {log_bytes:10} {admitted:6.1} {observed:8.1} \
         {finished:7.1} {share_key:10.1} {set:8.1}"
    );
    if parts.decrypt.first() != old.parts.decrypt.first() || parts.beacon.first() != old.parts.beacon.first() {
        return Err("a public key changed".into());
    }
    Ok(())
}
