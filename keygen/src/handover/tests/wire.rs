// What is on the wire: sizes, who can open what, and what `check` refuses.
use super::*;
use crate::handover::seal::Opener;
use commonware_cryptography::{
    bls12381::{dkg::feldman_desmedt::SignedDealerLog, primitives::variant::MinPk},
    ed25519::PublicKey,
};
use crypto::ed25519::SigningKey;
use types::{HandoverAck, codec};

fn signed(world: &World, who: usize, step: HandoverStep) -> Handover {
    message::sign(&world.plan, &SigningKey::from_seed(world.machines[who].seed.clone()), step)
}

#[test]
fn a_dealing_opens_for_its_player_and_for_nobody_else() {
    let from = Holders::fresh(1..=4);
    let to = seeds(3..=6);
    let mut world = World::new(&from, &to, 0);
    let said = world.due(Phase::Deal);
    let other = from.plan(1, &to);
    for message in &said {
        let HandoverStep::Dealing { commitments, sealed } = &message.step else { panic!() };
        let dealer = world.rank(message);
        for (to_index, sealed) in sealed.iter().enumerate() {
            let info = participant::info(&world.plan, dealer, member_id(to_index));
            for machine in &world.machines {
                let opener = Opener::from_seed(&machine.seed).unwrap();
                let mine = machine.public == publics(&to)[to_index];
                assert_eq!(opener.open(&info, commitments, sealed).is_some(), mine);
                for (plan, dealer, player) in [
                    (&other, dealer, member_id(to_index)),
                    (&world.plan, MemberId((dealer.0 + 1) % 4), member_id(to_index)),
                    (&world.plan, dealer, member_id((to_index + 1) % 4)),
                ] {
                    let info = participant::info(plan, dealer, player);
                    assert!(opener.open(&info, commitments, sealed).is_none(), "bound to plan, dealer and player");
                }
                let mut altered = commitments.clone();
                altered[7] ^= 1;
                assert!(opener.open(&info, &altered, sealed).is_none(), "and to the commitments");
            }
        }
    }
}

#[test]
fn mutated_messages_are_refused_and_never_panic() {
    let from = Holders::fresh(1..=4);
    let to = seeds(3..=6);
    let mut world = World::new(&from, &to, 0);
    world.run(as_said);
    let mut reader = Transcript::new(Arc::clone(&world.plan));
    for (phase, message) in &world.log {
        // The first of each phase; the others are the same but for their author.
        if world.log.iter().position(|(other, _)| other == phase) == world.log.iter().position(|(_, m)| m == message) {
            let bytes = codec::encode(message);
            for at in 0..bytes.len() {
                for bit in [0x01, 0x80] {
                    let mut other = bytes.clone();
                    other[at] ^= bit;
                    if let Ok(other) = codec::decode::<Handover>(&other, Handover::BYTES_MAX) {
                        assert!(check(&world.plan, &other).is_err(), "{phase:?}, byte {at}");
                        assert!(reader.admits(*phase, &other).is_err());
                    }
                }
            }
        }
        reader.on(*phase, message).unwrap();
    }
}

#[test]
fn signed_nonsense_is_refused_by_its_counts() {
    let from = Holders::fresh(1..=4);
    let to = seeds(1..=4);
    let world = World::new(&from, &to, 0);
    let dealing = |points: usize, players: usize| HandoverStep::Dealing {
        commitments: vec![3; points],
        sealed: vec![SealedDealing::ZERO; players],
    };
    let acks = |dealers: &[u16]| HandoverStep::Acks {
        acks: dealers
            .iter()
            .map(|dealer| HandoverAck {
                dealer: MemberId(*dealer),
                decrypt: Signature([1; 64]),
                beacon: Signature([2; 64]),
            })
            .collect(),
    };
    let bytes = message::commitments_bytes(&world.plan);
    assert_eq!(bytes, 290);
    for step in [
        dealing(bytes, 3),
        dealing(bytes, 5),
        dealing(bytes - 1, 4),
        dealing(bytes + 1, 4),
        dealing(0, 0),
        acks(&[]),
        acks(&[4]),
        acks(&[0, 2, 1]),
        acks(&[0, 1, 2, 3, u16::MAX]),
    ] {
        let message = signed(&world, 0, step);
        assert!(matches!(check(&world.plan, &message), Err(HandoverError::Counts)), "{message:?}");
    }
    for (step, ok) in [(dealing(bytes, 4), true), (acks(&[0, 1, 2, 3]), true), (acks(&[1, 1]), false)] {
        assert_eq!(check(&world.plan, &signed(&world, 0, step)).is_ok(), ok);
    }
    let log = |length| check(&world.plan, &signed(&world, 0, HandoverStep::Log { log: vec![0; length] }));
    assert!(matches!(log(60_000), Err(HandoverError::TooLong)));
    assert!(matches!(log(59_000), Err(HandoverError::Log(_))));
    assert!(matches!(log(0), Err(HandoverError::Log(_))));
    // Words that are no acknowledgements are admitted, and help nobody.
    let mut world = World::new(&from, &to, 0);
    for phase in PHASES {
        let mut said = world.due(phase);
        if phase == Phase::Ack {
            said[0] = signed(&world, 0, acks(&[0, 1, 2, 3]));
        }
        world.log.extend(said.into_iter().map(|message| (phase, message)));
        world.read();
    }
    let (outcome, _) = world.end(&from, &to);
    assert_eq!(outcome.revealed, [MemberId(0)]);
}

#[test]
fn who_may_say_what_and_when() {
    let from = Holders::fresh(1..=4);
    let to = seeds(11..=14);
    let mut world = World::new(&from, &to, 0);
    world.run(as_said);
    let reader = Transcript::new(Arc::clone(&world.plan));
    let next = from.plan(1, &to);
    for (phase, message) in &world.log {
        for other in PHASES.into_iter().filter(|other| other != phase) {
            assert!(matches!(reader.admits(other, message), Err(HandoverError::Phase { .. })));
        }
        assert!(matches!(check(&next, message), Err(HandoverError::Plan)));
        let renamed = Handover { attempt: 1, ..message.clone() };
        assert!(matches!(check(&next, &renamed), Err(HandoverError::Signature)), "of another attempt, renamed");
        // Signed by somebody of the other committee, and by nobody.
        let dealt = matches!(phase, Phase::Deal | Phase::Seal);
        let other = if dealt { &to[0] } else { &from.seeds[0] };
        for seed in [other, &Zeroizing::new([99; 32])] {
            let message = message::sign(&world.plan, &SigningKey::from_seed(seed.clone()), message.step.clone());
            assert!(matches!(check(&world.plan, &message), Err(HandoverError::Stranger)));
        }
    }
    // A log in the name of another dealer.
    let logs: Vec<_> = world.log.iter().filter(|(phase, _)| *phase == Phase::Seal).map(|(_, m)| m).collect();
    let thief = world.machines.iter().position(|machine| machine.public == logs[0].from).unwrap();
    let stolen = signed(&world, thief, logs[1].step.clone());
    assert!(matches!(check(&world.plan, &stolen), Err(HandoverError::LogAuthor)));
    // The phases of the log do not go back.
    let mut late = Transcript::new(Arc::clone(&world.plan));
    assert!(late.on(Phase::Ack, &world.log[0].1).is_err());
    assert!(matches!(late.on(Phase::Deal, &world.log[0].1), Err(HandoverError::Phase { .. })));
    let error = reader.admits(Phase::Publish, &world.log.last().unwrap().1).unwrap_err();
    assert!(matches!(error, HandoverError::Outcome), "{error:?}");
}

#[test]
fn sizes_on_the_wire() {
    let from = Holders::fresh(1..=4);
    for (n, sizes) in [(4, [841, 616, 1_372, 259]), (7, [1_369, 616, 2_146, 259]), (16, [2_953, 616, 4_468, 259])] {
        let to = seeds(11..=10 + n);
        let mut world = World::new(&from, &to, 0);
        world.run(as_said);
        let size = |phase: Phase| world.log.iter().filter(|(p, _)| *p == phase).map(|(_, m)| bytes(m)).max().unwrap();
        assert_eq!(PHASES.map(size), sizes, "n = {n}");
    }
}

#[test]
fn the_largest_committee_needs_one_message_per_step() {
    let from = Holders::fresh(1..=4);
    let mut world = World::new(&from, &seeds(101..=227), 0);
    // One dealer is enough to see its messages.
    let mut sizes = Vec::new();
    for phase in [Phase::Deal, Phase::Ack, Phase::Seal] {
        let mut said = world.due(phase);
        said.truncate(if phase == Phase::Ack { 127 } else { 1 });
        sizes.extend(said.iter().map(bytes).max());
        world.log.extend(said.into_iter().map(|message| (phase, message)));
        world.read();
    }
    assert_eq!((sizes[0], sizes[2]), (22_489, 33_106));
    // Words for 127 dealers, counted.
    let ack = |dealer| HandoverAck { dealer, decrypt: Signature([1; 64]), beacon: Signature([2; 64]) };
    let acks = HandoverStep::Acks { acks: (0..127).map(MemberId).map(ack).collect() };
    assert_eq!(bytes(&signed(&world, 0, acks)), 16_483);
    let longest = 2 * SignedDealerLog::<MinPk, PublicKey>::max_encode_size(127u32.try_into().unwrap());
    assert!(bytes(&signed(&world, 0, HandoverStep::Log { log: vec![0; longest + 8] })) < Handover::BYTES_MAX);
}
