// Goal: KEY-9. Method: a whole transcript, and everything that can be changed in it.
use super::*;

fn done() -> (World, Transcript, KeySetParts) {
    let mut world = World::new(4, &[1]);
    world.run_all();
    let keys = world.assert_sound().key_set.clone();
    let transcript = world.machines[0].running.transcript().unwrap();
    (world, transcript, keys)
}

fn code(world: &World, transcript: &Transcript, keys: &KeySetParts) -> &'static str {
    verify(transcript, &NETWORK, &members(&world.seeds), keys).map_or_else(|error| error.code(), |_| "")
}

#[test]
fn key_9_says_who_was_used_absent_and_revealed() {
    let (world, transcript, keys) = done();
    assert_eq!(Transcript::read(&transcript.bytes()).unwrap(), transcript);
    let report = verify(&transcript, &NETWORK, &members(&world.seeds), &keys).unwrap();
    assert_eq!((report.number, report.absent.as_slice()), (0, [MemberId(1)].as_slice()));
    assert_eq!(report.finished.outcome.revealed, [MemberId(1)]);
    assert_eq!(report.finished.outcome.dealers, [0, 2, 3].map(MemberId));
    assert!(report.contradicted.is_empty());
    // everybody's transcript says the same
    assert_eq!(world.machines[2].running.transcript().unwrap(), transcript);
}

#[test]
fn key_9_every_cut_and_seeded_flips_are_refused() {
    let (world, transcript, keys) = done();
    let bytes = transcript.bytes();
    for len in (0..bytes.len()).step_by(7) {
        assert!(Transcript::read(&bytes[..len]).is_err(), "cut at {len}");
    }
    for case in 0..300usize {
        let at = case * 7_919 % bytes.len();
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (case % 8);
        let refused = Transcript::read(&flipped).map_or(true, |read| !code(&world, &read, &keys).is_empty());
        assert!(refused, "flipped at {at}");
    }
}

#[test]
fn key_9_what_is_taken_away_added_or_moved_is_found() {
    let (world, transcript, keys) = done();
    let with = |change: &dyn Fn(&mut Transcript)| {
        let mut changed = transcript.clone();
        change(&mut changed);
        code(&world, &changed, &keys)
    };
    assert_eq!(with(&|_| ()), "");
    for at in 0..transcript.messages.len() {
        assert_eq!(with(&|t| drop(t.messages.remove(at))), "MISSING", "without {at}");
        assert_eq!(with(&|t| t.messages.insert(at, t.messages[at].clone())), "ORDER", "{at} twice");
    }
    assert_eq!(with(&|t| t.messages.swap(0, 1)), "ORDER");
    assert_eq!(with(&|t| t.proofs.push(t.messages[0].clone())), "ORDER");
    assert_eq!(with(&|t| t.network = Hash([1; 32])), "NETWORK");
    assert_eq!(with(&|t| t.number = 1), "MESSAGE");
    assert_eq!(with(&|t| t.absent = vec![MemberId(2)]), "MESSAGE");
    assert_eq!(with(&|t| t.absent = vec![MemberId(1), MemberId(2)]), "PLAN");
    assert_eq!(with(&|t| t.messages[2].sig.0[9] ^= 1), "MESSAGE");
    let mut other = keys.clone();
    other.beacon.swap(0, 1);
    assert_eq!(code(&world, &transcript, &other), "KEYS");
}

#[test]
fn key_9_an_outcome_that_was_not_computed_is_no_agreement() {
    let (world, mut transcript, keys) = done();
    for message in &mut transcript.messages {
        if let Step::Agree { point, .. } = message.step {
            let key = SigningKey::from_seed(world.seeds[usize::from(message.from.0)].clone());
            *message = Message::sign(&world.plan, message.from, &key, Step::Agree { outcome: Hash([1; 32]), point });
        }
    }
    // all of them lie together, and it is found
    assert_eq!(code(&world, &transcript, &keys), "NO_AGREEMENT");
}

/// A second dealing of member 3, with nothing in it for member 0.
fn second_deal(world: &World) -> Message {
    let mut eve = Operator::start(Arc::clone(&world.plan), &world.seeds[3]).unwrap();
    let Step::Deal { commitments, mut sealed } = eve.due().unwrap().step else { panic!() };
    sealed[0] = SealedDealing::ZERO;
    let key = SigningKey::from_seed(world.seeds[3].clone());
    Message::sign(&world.plan, MemberId(3), &key, Step::Deal { commitments, sealed })
}

#[test]
fn key_9_two_words_of_a_step_stand_in_one_order_and_give_the_same_shares() {
    let (world, mut transcript, keys) = done();
    let second = second_deal(&world);
    let at = transcript.messages.iter().position(|m| m.from == MemberId(3)).unwrap();
    let first_is_less = transcript.messages[at].id(&world.plan) < second.id(&world.plan);
    transcript.messages.insert(at + usize::from(first_is_less), second);
    let report = verify(&transcript, &NETWORK, &members(&world.seeds), &keys).unwrap();
    assert_eq!(report.contradicted, [(MemberId(3), Phase::Deal)]);
    assert!(report.finished.outcome.faulty.is_empty(), "U names one");
    transcript.messages.swap(at, at + 1);
    assert_eq!(code(&world, &transcript, &keys), "ORDER");
    // whoever writes its share again from either has the same
    let mut again = Operator::start(Arc::clone(&world.plan), &world.seeds[0]).unwrap();
    for message in &transcript.messages {
        assert!(again.on(message).unwrap());
    }
    assert_share(&keys, 4, MemberId(0), again.secrets().unwrap());
}

#[test]
fn key_9_a_word_that_u_names_is_missing_although_two_others_are_there() {
    let (world, mut transcript, keys) = done();
    let at = transcript.messages.iter().position(|m| m.from == MemberId(3)).unwrap();
    let (second, mut third) = (second_deal(&world), second_deal(&world));
    let Step::Deal { sealed, .. } = &mut third.step else { panic!() };
    sealed[2] = SealedDealing::ZERO;
    let key = SigningKey::from_seed(world.seeds[3].clone());
    let mut others = [second, Message::sign(&world.plan, MemberId(3), &key, third.step)];
    others.sort_by_key(|message| message.id(&world.plan));
    transcript.messages.splice(at..=at, others);
    assert_eq!(code(&world, &transcript, &keys), "MISSING");
}

#[test]
fn key_8_two_words_of_a_step_prove_it_to_anybody_and_nothing_else_does() {
    let (world, transcript, _) = done();
    let first = transcript.messages.iter().find(|m| m.from == MemberId(3)).unwrap();
    let (second, ack) = (second_deal(&world), world.machines[0].own(Phase::Ack));
    let proof = Transcript::read(&Transcript::proof(&world.plan, [first, &second]).bytes()).unwrap();
    let members = members(&world.seeds);
    let judged = |proof: &Transcript| verify_proof(proof, &NETWORK, &members).map_err(|error| error.code());
    assert_eq!(judged(&proof), Ok((MemberId(3), Phase::Deal)));
    let with = |change: &dyn Fn(&mut Transcript)| {
        let mut changed = proof.clone();
        change(&mut changed);
        judged(&changed)
    };
    assert_eq!(with(&|p| p.proofs[1] = first.clone()), Err("ORDER"), "twice the same");
    assert_eq!(with(&|p| p.proofs[1] = ack.clone()), Err("ORDER"), "another author and step");
    assert_eq!(with(&|p| p.proofs.push(ack.clone())), Err("ORDER"));
    assert_eq!(with(&|p| p.proofs.truncate(1)), Err("ORDER"));
    assert_eq!(with(&|p| p.messages.push(ack.clone())), Err("ORDER"));
    assert_eq!(with(&|p| p.proofs[1].sig.0[3] ^= 1), Err("MESSAGE"));
    assert_eq!(with(&|p| p.number = 1), Err("MESSAGE"));
    assert_eq!(with(&|p| p.absent.clear()), Err("MESSAGE"));
    assert_eq!(with(&|p| p.network = Hash([1; 32])), Err("NETWORK"));
    assert_eq!(judged(&transcript), Err("ORDER"));
    assert_eq!(code(&world, &proof, &world.machines[0].finished().key_set), "MISSING", "no transcript");
}
