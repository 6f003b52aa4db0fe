// KEY-3 and KEY-4: members of either committee that are silent, lie, or sign what they must not.
use super::*;

fn silent(world: &mut World, who: impl Fn(Phase, MemberId) -> bool) {
    let plan = Arc::clone(&world.plan);
    world.run(|phase, mut said| {
        said.retain(|message| !who(phase, message::author(&plan, message).unwrap()));
        said
    });
}

fn dealt(phase: Phase) -> bool {
    matches!(phase, Phase::Deal | Phase::Seal)
}

#[test]
fn key_3_f_silent_dealers_are_survived() {
    for (n, f) in [(4, 1), (7, 2)] {
        let from = Holders::fresh(1..=n);
        let to = seeds(11..=14);
        for first in [0, 1] {
            for phases in [[Phase::Deal, Phase::Seal], [Phase::Seal, Phase::Seal], [Phase::Deal, Phase::Deal]] {
                let mut world = World::new(&from, &to, 0);
                let absent = first..first + f;
                silent(&mut world, |phase, member| phases.contains(&phase) && absent.contains(&member.0));
                let (outcome, _) = world.end(&from, &to);
                assert!(outcome.faulty.is_empty() && outcome.revealed.is_empty());
                assert!(outcome.dealers.iter().all(|dealer| !absent.contains(&dealer.0)));
            }
        }
    }
}

#[test]
fn key_3_too_few_logs_leave_the_old_committee_and_the_next_attempt_works() {
    let from = Holders::fresh(1..=4);
    let to = seeds(3..=6);
    let mut world = World::new(&from, &to, 0);
    silent(&mut world, |phase, member| dealt(phase) && member.0 < 2);
    let error = world.conclude().unwrap_err();
    let ConcludeError::Outcome(ReshareError::TooFewLogs { required: 3, found: 2, faulty, unavailable }) = error else {
        panic!("{error:?}");
    };
    assert_eq!((faulty, unavailable), (vec![], vec![MemberId(0), MemberId(1)]));
    assert!(world.log.iter().all(|(phase, _)| *phase != Phase::Publish), "nothing to publish");
    for machine in world.machines {
        let (transcript, secrets) = machine.running.finish();
        assert!(transcript.outcome().unwrap().is_err() && transcript.key_set().is_none());
        assert!(secrets.is_none_or(|own| matches!(own, Err(ReshareError::TooFewLogs { .. }))));
    }
    let mut world = World::new(&from, &to, 1);
    world.run(as_said);
    world.end(&from, &to);
}

#[test]
fn key_4_f_silent_players_are_named_and_still_have_their_shares() {
    for (n, f) in [(4, 1), (7, 2)] {
        let from = Holders::fresh(1..=4);
        let to = seeds(11..=10 + n);
        let mut world = World::new(&from, &to, 0);
        let absent = 1..=f;
        silent(&mut world, |phase, member| !dealt(phase) && absent.contains(&member.0));
        let (outcome, _) = world.end(&from, &to);
        assert_eq!(outcome.revealed, absent.map(MemberId).collect::<Vec<_>>());
        assert!(outcome.faulty.is_empty());
    }
}

#[test]
fn key_3_more_than_f_silent_players_leave_nothing_to_seal() {
    let from = Holders::fresh(1..=4);
    let to = seeds(11..=14);
    let mut world = World::new(&from, &to, 0);
    silent(&mut world, |phase, member| phase == Phase::Ack && member.0 < 2);
    assert!(world.log.iter().all(|(phase, _)| *phase < Phase::Seal), "no scalar is published for nothing");
    assert!(matches!(world.conclude(), Err(ConcludeError::Outcome(ReshareError::TooFewLogs { found: 0, .. }))));
}

/// Signs another step in the name of the author of `message`.
fn resign(world: &World, message: &Handover, step: HandoverStep) -> Handover {
    let machine = world.machines.iter().find(|machine| machine.public == message.from).unwrap();
    message::sign(&world.plan, &crypto::ed25519::SigningKey::from_seed(machine.seed.clone()), step)
}

/// A handover in which the dealer of rank 1 sends what `spoil` makes of its dealing.
fn spoilt(from: &Holders, to: &[Seed], spoil: impl Fn(&mut Vec<u8>, &mut Vec<SealedDealing>)) -> World {
    let mut world = World::new(from, to, 0);
    for phase in PHASES {
        let said = world.due(phase);
        for message in said {
            let message = match message.step.clone() {
                HandoverStep::Dealing { mut commitments, mut sealed } if world.rank(&message) == MemberId(1) => {
                    spoil(&mut commitments, &mut sealed);
                    resign(&world, &message, HandoverStep::Dealing { commitments, sealed })
                }
                HandoverStep::Dealing { .. }
                | HandoverStep::Acks { .. }
                | HandoverStep::Log { .. }
                | HandoverStep::ShareKey { .. } => message,
            };
            check(&world.plan, &message).unwrap();
            // Its own program would stop at a dealing that is not its own: it is not run by that.
            world.log.push((phase, message));
        }
        let liar = publics(&from.seeds)[1];
        for machine in &mut world.machines {
            for (phase, message) in &world.log[machine.read..] {
                if machine.public != liar || *phase != Phase::Deal || message.from != liar {
                    machine.running.on(*phase, message).unwrap();
                }
            }
            machine.read = world.log.len();
        }
    }
    world
}

#[test]
fn key_3_garbage_sealed_to_one_player_costs_nobody_a_share() {
    let from = Holders::fresh(1..=4);
    let to = seeds(11..=14);
    let scalars_of_another = |_: &mut Vec<u8>, sealed: &mut Vec<SealedDealing>| sealed[2] = sealed[0];
    let noise = |_: &mut Vec<u8>, sealed: &mut Vec<SealedDealing>| sealed[2].0[60] ^= 1;
    let no_point = |_: &mut Vec<u8>, sealed: &mut Vec<SealedDealing>| sealed[2] = SealedDealing::ZERO;
    for world in [spoilt(&from, &to, scalars_of_another), spoilt(&from, &to, noise), spoilt(&from, &to, no_point)] {
        let words = |message: &Handover| match &message.step {
            HandoverStep::Acks { acks } => Some(acks.len()),
            HandoverStep::Dealing { .. } | HandoverStep::Log { .. } | HandoverStep::ShareKey { .. } => None,
        };
        let words: Vec<_> = world.log.iter().filter_map(|(_, message)| words(message)).collect();
        assert_eq!(words, [4, 4, 3, 4], "three dealings hold for the victim");
        let (outcome, _) = world.end(&from, &to);
        assert!(outcome.revealed.is_empty() && outcome.faulty.is_empty(), "one dealer may publish anybody's scalar");
        assert_eq!(outcome.dealers, [0, 1, 2].map(MemberId));
    }
}

#[test]
fn key_3_commitments_that_are_none_or_of_others_cost_the_dealer_its_log() {
    let from = Holders::fresh(1..=4);
    let to = seeds(11..=14);
    let empty = |commitments: &mut Vec<u8>, _: &mut Vec<SealedDealing>| commitments.fill(0);
    let flipped = |commitments: &mut Vec<u8>, _: &mut Vec<SealedDealing>| commitments[1] ^= 0x20;
    let swapped = |commitments: &mut Vec<u8>, _: &mut Vec<SealedDealing>| {
        let half = commitments.len() / 2;
        commitments.rotate_left(half);
    };
    for world in [spoilt(&from, &to, empty), spoilt(&from, &to, flipped), spoilt(&from, &to, swapped)] {
        let (outcome, _) = world.end(&from, &to);
        assert_eq!(outcome.dealers, [0, 2, 3].map(MemberId), "nobody acknowledged it");
        assert!(outcome.revealed.is_empty());
    }
}

#[test]
fn key_3_two_logs_of_one_dealer_undo_each_other_and_a_third_says_nothing() {
    let from = Holders::fresh(1..=4);
    let to = seeds(11..=14);
    let mut world = World::new(&from, &to, 0);
    let dealer = publics(&from.seeds)[1];
    for phase in PHASES {
        let said = world.due(phase);
        world.log.extend(said.into_iter().map(|message| (phase, message)));
        if phase == Phase::Seal {
            // Programs of the same dealer that each miss another player's word.
            let others: Vec<_> = (0..2)
                .map(|missing| {
                    let machine = world.machines.iter().find(|machine| machine.public == dealer).unwrap();
                    let secrets = from.secrets_of(1);
                    let me = OldMember { seed: &machine.seed, secrets: &secrets, entropy: &machine.entropy };
                    let mut twin = Participant::new(Arc::clone(&world.plan)).with_dealer(&me, None).unwrap();
                    for (phase, message) in &world.log {
                        let miss = *phase == Phase::Ack && world.rank(message) == MemberId(missing);
                        if *phase < Phase::Seal && !miss {
                            twin.on(*phase, message).unwrap();
                        }
                    }
                    twin.due(Phase::Seal).unwrap().message
                })
                .collect();
            assert_ne!(others[0], others[1]);
            let mut reader = Transcript::new(Arc::clone(&world.plan));
            for (phase, message) in &world.log {
                reader.on(*phase, message).unwrap();
            }
            reader.on(Phase::Seal, &others[0]).unwrap();
            assert!(matches!(reader.admits(Phase::Seal, &others[0]), Err(HandoverError::Repeated)));
            assert!(matches!(reader.on(Phase::Seal, &others[1]), Err(HandoverError::Repeated)));
            world.log.extend(others.into_iter().map(|message| (phase, message)));
        }
        world.read();
    }
    let (outcome, _) = world.end(&from, &to);
    assert_eq!(outcome.faulty, [MemberId(1)]);
    assert_eq!(outcome.dealers, [0, 2, 3].map(MemberId));
}

#[test]
fn key_3_a_share_key_that_lies_is_refused_and_its_author_may_still_say_the_right_one() {
    let from = Holders::fresh(1..=4);
    let to = seeds(11..=14);
    let mut world = World::new(&from, &to, 0);
    world.run(as_said);
    let published: Vec<Handover> =
        world.log.iter().filter(|(phase, _)| *phase == Phase::Publish).map(|(_, message)| message.clone()).collect();
    let mut reader = Transcript::new(Arc::clone(&world.plan));
    for (phase, message) in &world.log {
        let early = matches!(reader.admits(Phase::Publish, &published[0]), Err(HandoverError::Outcome));
        assert_eq!(early, reader.outcome().is_none());
        if *phase == Phase::Publish {
            break;
        }
        reader.on(*phase, message).unwrap();
    }
    // The key of another, signed by another: twice a lie, of which only the signatures are its own.
    let lie = resign(&world, &published[0], published[1].step.clone());
    check(&world.plan, &lie).unwrap();
    assert!(matches!(reader.on(Phase::Publish, &lie), Err(HandoverError::ShareKey(ShareKeyError::Signature))));
    let HandoverStep::ShareKey { point, .. } = published[1].step.clone() else { panic!() };
    let outcome = reader.outcome().unwrap().unwrap();
    let seed = &world.machines.iter().find(|machine| machine.public == published[0].from).unwrap().seed;
    let text = crypto::hash::t256(
        types::tag::RESHARE_SHARE_KEY,
        &[outcome.logs.as_bytes(), &world.rank(&published[0]).0.to_le_bytes(), point.as_bytes()],
    );
    let sig = crypto::ed25519::SigningKey::from_seed(seed.clone()).sign(text.as_bytes());
    let lie = resign(&world, &published[0], HandoverStep::ShareKey { point, sig });
    let error = reader.on(Phase::Publish, &lie).unwrap_err();
    assert!(matches!(error, HandoverError::ShareKey(ShareKeyError::Point(MemberId(0)))), "{error:?}");
    for message in &published {
        reader.on(Phase::Publish, message).unwrap();
        assert!(matches!(reader.on(Phase::Publish, message), Err(HandoverError::Repeated)));
    }
    assert_eq!(reader.conclusion().unwrap(), world.conclude().unwrap());
}
