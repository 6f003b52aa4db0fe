// Goal: a log in which a body or a tail is not what was listed and signed is found out by whoever reads it. Method: the log
// of a full slot with a body and a tail, whose BODY, TAIL or EXEC is then changed, left out, doubled or signed anew by the
// winner itself; a second implementation, which shares no state with members, reads each and names what is wrong.
use crate::{
    build::{body, bought, coins, crowd, header, outcomes, reveal, tail, to_all},
    common::{Net, World, net::wallet, world::kind},
};
use types::{Body, Entry, Hash, Kind, Object, Tail, codec, limits, reason::Outcome};
use verifier::{Checks, Replay};

/// A full slot whose body placed the worst of the crowd, and whose tail has two bundles.
fn built() -> (World, u64, Vec<Hash>) {
    let mut world = World::new(Net::narrow(), 381);
    let slot = bought(&mut world);
    let ranked = crowd(&mut world);
    to_all(&mut world, &body(Net::narrow(), slot, 0, 0, &ranked[17..]));
    world.open(slot);
    let object = tail(Net::narrow(), slot, reveal(&world, slot), 0, vec![coins(8, 5), coins(11, 1)]);
    to_all(&mut world, &object);
    world.open(slot + 3);
    (world, slot, ranked)
}

fn findings(world: &World, entries: &[Vec<u8>]) -> Vec<&'static str> {
    let mut replay = Replay::new(&world.net.anchor, Checks::ALL).unwrap();
    for (index, entry) in (0u64..).zip(entries) {
        replay.entry(index, entry);
    }
    let mut names: Vec<&str> = replay.findings().iter().map(|finding| finding.code.name()).collect();
    names.dedup();
    names
}

/// What is found when each entry is replaced by what `change` gives for it.
pub(super) fn changed(world: &World, change: impl Fn(Kind) -> Vec<Kind>) -> Vec<&'static str> {
    let entries: Vec<Vec<u8>> = world.log.iter().flat_map(|entry| change(kind(entry))).map(Entry::bytes).collect();
    findings(world, &entries)
}

fn with_body(world: &World, change: impl Fn(Body) -> Vec<Body>) -> Vec<&'static str> {
    changed(world, |kind| match kind {
        Kind::Body { slot, bytes } => {
            let bodies = change(codec::decode(&bytes, limits::BODY_BYTES_MAX).unwrap());
            bodies.iter().map(|body| Kind::Body { slot, bytes: codec::encode(body) }).collect()
        }
        other => vec![other],
    })
}

fn with_tail(world: &World, change: impl Fn(Tail) -> Vec<Tail>) -> Vec<&'static str> {
    changed(world, |kind| match kind {
        Kind::Tail { slot, bytes } => {
            let tails = change(codec::decode(&bytes, limits::TAIL_BYTES_MAX).unwrap());
            tails.iter().map(|tail| Kind::Tail { slot, bytes: codec::encode(tail) }).collect()
        }
        other => vec![other],
    })
}

fn signed_body(slot: u64, seq: u8, units: Vec<Hash>) -> Body {
    crypto::build::body(&wallet(0), header(Net::narrow(), slot, 0, seq), units)
}

#[test]
fn every_lie_about_a_body_is_found() {
    let (world, slot, ranked) = built();
    assert_eq!(findings(&world, &world.log), Vec::<&str>::new());
    type Lie<'a> = (&'a str, &'a str, Box<dyn Fn(Body) -> Vec<Body> + 'a>);
    let lies: [Lie<'_>; 7] = [
        ("left out", "section-order", Box::new(|_| vec![])),
        ("twice", "section-order", Box::new(|body| vec![body.clone(), body])),
        (
            "another order",
            "close-roots-wrong",
            Box::new(|mut body| {
                body.units.reverse();
                vec![body]
            }),
        ),
        (
            "a unit less",
            "close-roots-wrong",
            Box::new(|mut body| {
                body.units.pop();
                vec![body]
            }),
        ),
        (
            "a signature of nobody",
            "close-roots-wrong",
            Box::new(|mut body| {
                body.signature.0[9] ^= 1;
                vec![body]
            }),
        ),
        (
            "another one that the winner signed",
            "close-roots-wrong",
            Box::new(|_| vec![signed_body(slot, 0, ranked[13..].to_vec())]),
        ),
        (
            "a later one that the winner signed",
            "close-roots-wrong",
            Box::new(|body| vec![signed_body(slot, 1, body.units)]),
        ),
    ];
    for (what, finding, lie) in lies {
        assert_eq!(with_body(&world, lie), [finding], "{what}");
    }
}

#[test]
fn every_lie_about_a_tail_is_found() {
    let (world, slot, _) = built();
    let named = reveal(&world, slot);
    let other = |seq: u8, nonce: u64| match tail(Net::narrow(), slot, named, seq, vec![coins(9, nonce)]) {
        Object::Tail(tail) => *tail,
        Object::Body(_) => panic!("a tail"),
    };
    type Lie<'a> = (&'a str, &'a str, Box<dyn Fn(Tail) -> Vec<Tail> + 'a>);
    let lies: [Lie<'_>; 8] = [
        ("left out", "outcome-wrong", Box::new(|_| vec![])),
        ("twice", "section-order", Box::new(|tail| vec![tail.clone(), tail])),
        (
            "another order",
            "tail-invalid",
            Box::new(|mut tail| {
                tail.bundles.reverse();
                vec![tail]
            }),
        ),
        (
            "a bundle less",
            "tail-invalid",
            Box::new(|mut tail| {
                tail.bundles.pop();
                vec![tail]
            }),
        ),
        (
            "a signature of nobody",
            "tail-invalid",
            Box::new(|mut tail| {
                tail.signature.0[9] ^= 1;
                vec![tail]
            }),
        ),
        (
            "of another slot's opening",
            "tail-invalid",
            Box::new(|mut tail| {
                tail.reveal.0[0] ^= 1;
                vec![tail]
            }),
        ),
        ("another one that the winner signed", "outcome-wrong", Box::new(|_| vec![other(0, 1)])),
        ("a later one that the winner signed", "outcome-wrong", Box::new(|_| vec![other(1, 1)])),
    ];
    for (what, finding, lie) in lies {
        assert_eq!(with_tail(&world, lie), [finding], "{what}");
    }
    // an EXEC that keeps silent about what the tail did
    let (codes, units) = outcomes(&world, slot);
    assert_eq!(codes.len(), units + 2);
    let silent = changed(&world, |kind| match kind {
        mut exec @ Kind::Exec { slot: of, .. } if of.0 == slot => {
            if let Kind::Exec { outcomes, .. } = &mut exec {
                *outcomes.last_mut().unwrap() = Outcome::TailGas.number();
            }
            vec![exec]
        }
        other => vec![other],
    });
    assert_eq!(silent, ["outcome-wrong"]);
}
