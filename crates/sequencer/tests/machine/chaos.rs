// Goal: all invariants under everything at once. Method: a seed picks losses, stragglers, crashes, blocks without votes of
// their own, replacements, chains and bad units; then the network heals, and nothing acknowledged may be missing.
use crate::common::{Fate, Inside, Net, Order, Rng, World, net::wallet};
use crypto::eip712;
use std::collections::BTreeMap;
use types::Hash;

/// What a client remembers of an envelope.
struct Sent {
    hash: Hash,
    wallet: usize,
    nonce: u64,
}

fn submit(world: &mut World, rng: &mut Rng, nonces: &mut [u64], sent: &mut Vec<Sent>) {
    let net = world.net;
    for _ in 0..1 + rng.below(6) {
        let payer = rng.pick(nonces.len());
        let again = nonces[payer] > 0 && rng.below(6) == 0;
        let nonce = if again { nonces[payer] - 1 } else { nonces[payer] };
        let inside = [Inside::Junk, Inside::Junk, Inside::Transfer, Inside::Undecryptable][rng.pick(4)];
        let mut order = Order::new(payer, nonce, inside);
        order.tip += u128::from(rng.below(400_000)) + if again { 900_000 } else { 0 };
        if let (Some(last), 0) = (sent.last(), rng.below(4)) {
            order.after = vec![last.hash];
            if last.wallet != payer {
                let consent =
                    eip712::consent_digest(&net.id, &last.hash, &wallet(payer).address(), types::Nonce(nonce));
                order.consents = vec![wallet(last.wallet).sign(&consent)];
            }
        }
        let (hash, envelope) = net.envelope(&order);
        for _ in 0..1 + rng.below(2) {
            world.submit(rng.pick(net.n), &envelope);
        }
        sent.push(Sent { hash, wallet: payer, nonce });
        nonces[payer] = nonces[payer].max(nonce + 1);
    }
}

fn chaos(net: &'static Net, seed: u64) {
    let mut world = World::new(net, seed);
    let mut rng = Rng(seed ^ 0xc4a0);
    world.delay_max = 2 + rng.below(50);
    let (lossy, mut lost) = (rng.below(25), Rng(seed));
    world.filter = Box::new(move |_| if lost.below(100) < lossy { Fate::Lost } else { Fate::Arrives });
    for height in 1..20 {
        if rng.below(5) == 0 {
            world.consensus.withheld.insert(height);
        }
    }
    let (mut nonces, mut sent) = (vec![0; 8], Vec::new());
    for _ in 0..12 {
        submit(&mut world, &mut rng, &mut nonces, &mut sent);
        world.pass(50 + rng.below(500));
        match rng.below(5) {
            0 => {
                let member = rng.pick(net.n);
                world.members[member].crash_in = Some(rng.below(25));
                world.members[member].down_ms = 50 + rng.below(2_000);
            }
            1 if rng.below(2) == 0 => {
                for member in net.members() {
                    if rng.below(3) == 0 {
                        continue;
                    }
                    world.members[member].crash_in = Some(rng.below(25));
                    world.members[member].down_ms = 50 + rng.below(900);
                }
            }
            _ => {}
        }
    }
    world.filter = Box::new(|_| Fate::Arrives);
    world.members.iter_mut().for_each(|member| member.crash_in = None);
    world.until(30_000, "all run", |w| w.members.iter().all(|m| m.machine.is_some()));
    let promised: Vec<&Sent> = sent.iter().filter(|s| world.receipts.keys().any(|(hash, _)| *hash == s.hash)).collect();
    let mut versions: BTreeMap<(usize, u64), Vec<Hash>> = BTreeMap::new();
    for s in &sent {
        versions.entry((s.wallet, s.nonce)).or_default().push(s.hash);
    }
    world.until(60_000, "what was promised is in a set", |w| {
        let included = w.included();
        let kept = |s: &&Sent| versions[&(s.wallet, s.nonce)].iter().any(|hash| included.contains(hash));
        promised.iter().all(kept)
    });
    let low = world.members.iter().map(|m| m.disk.slot.0).max().unwrap();
    world.open(low + 1);
    world.audit(rng.pick(net.n));
}

#[test]
fn seq_all_hold_in_chaos_of_four() {
    (400..405).for_each(|seed| chaos(Net::narrow(), seed));
}

#[test]
fn seq_all_hold_in_chaos_of_seven() {
    (500..502).for_each(|seed| chaos(Net::seven(), seed));
}
