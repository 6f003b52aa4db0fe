// Goal: KEY-3 and KEY-8 against operators that lie. Method: machine 3 has its honest words forged by the test, with its
// key, and different others may get different ones.
use super::*;
use crate::reshare::outcome;
use types::HandoverAck;

const EVE: usize = 3;

impl World {
    fn sign(&self, member: usize, step: Step) -> Message {
        let key = SigningKey::from_seed(self.seeds[member].clone());
        Message::sign(&self.plan, member_id(member), &key, step)
    }

    /// As [`World::run_all`], but whoever is in `first` has heard `forged` before.
    fn run_with(&mut self, forged: &Message, first: &[usize]) {
        for to in first {
            self.machines[*to].hear(forged);
        }
        self.run_all();
    }

    fn assert_contradiction(&self, phase: Phase) {
        for machine in &self.machines {
            let pairs: Vec<_> = machine.running.contradictions().collect();
            let [[a, b]] = pairs.as_slice() else { panic!("{pairs:?}") };
            assert_eq!((a.from, b.from), (member_id(EVE), member_id(EVE)));
            assert_eq!((a.step.phase(), b.step.phase()), (phase, phase));
            assert_ne!(a.id(&self.plan), b.id(&self.plan));
        }
    }
}

/// Eve's dealing, with nothing in it for the members named.
fn bad_deal(world: &World, victims: &[usize]) -> Message {
    let mut eve = Operator::start(Arc::clone(&world.plan), &world.seeds[EVE]).unwrap();
    let Step::Deal { commitments, mut sealed } = eve.due().unwrap().step else { panic!() };
    for victim in victims {
        sealed[*victim] = SealedDealing::ZERO;
    }
    world.sign(EVE, Step::Deal { commitments, sealed })
}

#[test]
fn key_3_a_bad_share_to_one_player_is_published_by_its_dealer_and_reveals_nobody() {
    let mut world = World::new(4, &[]);
    let bad = bad_deal(&world, &[1]);
    // Eve herself sends it: to everybody the same
    world.run_with(&bad, &[0, 1, 2, EVE]);
    let finished = world.assert_sound();
    assert!(finished.outcome.revealed.is_empty(), "one dealer reveals nobody");
    let Step::Ack { acks } = world.machines[1].own(Phase::Ack).step else { panic!() };
    assert_eq!(acks.iter().map(|ack| ack.dealer).collect::<Vec<_>>(), [0, 1, 2].map(MemberId));
}

#[test]
fn key_3_bad_shares_to_more_than_f_players_cost_the_dealer_its_dealing() {
    let mut world = World::new(4, &[]);
    let bad = bad_deal(&world, &[0, 1]);
    world.run_with(&bad, &[0, 1, 2, EVE]);
    let finished = world.assert_sound();
    assert_eq!(finished.outcome.dealers, [0, 1, 2].map(MemberId));
}

#[test]
fn key_8_two_dealings_are_found_named_and_not_used() {
    for first in [vec![0], vec![0, 1], vec![0, 1, 2]] {
        let mut world = World::new(4, &[]);
        let other = bad_deal(&world, &[2]);
        world.run_with(&other, &first);
        let finished = world.assert_sound();
        assert_eq!(finished.outcome.faulty, [member_id(EVE)]);
        assert_eq!(finished.outcome.dealers, [0, 1, 2].map(MemberId));
        world.assert_contradiction(Phase::Deal);
    }
}

#[test]
fn key_8_two_logs_are_found_named_and_not_used() {
    for first in [vec![0], vec![1, 2]] {
        let mut world = World::new(4, &[]);
        // Up to the acknowledgements, all is well; Eve's other log leaves out the word of member 0.
        world.run(|_, _, message| message.step.phase() < Phase::Seal, |_| ());
        let mut other = Operator::start(Arc::clone(&world.plan), &world.seeds[EVE]).unwrap();
        for message in world.machines[EVE].journal.iter().filter(|m| m.step.phase() < Phase::Seal) {
            let mut message = message.clone();
            if let (Step::Ack { acks }, 0) = (&message.step, message.from.0) {
                let acks: Vec<HandoverAck> = acks.iter().filter(|ack| ack.dealer != member_id(EVE)).copied().collect();
                message = world.sign(0, Step::Ack { acks });
            }
            other.on(&message).unwrap();
        }
        let log = other.due().unwrap();
        assert_eq!(log.step.phase(), Phase::Seal);
        world.run_with(&log, &first);
        let finished = world.assert_sound();
        assert_eq!(finished.outcome.faulty, [member_id(EVE)]);
        assert_eq!(finished.outcome.dealers, [0, 1, 2].map(MemberId));
        world.assert_contradiction(Phase::Seal);
        let report = verify(
            &world.machines[0].running.transcript().unwrap(),
            &NETWORK,
            &members(&world.seeds),
            &finished.key_set,
        );
        assert_eq!(report.unwrap().contradicted, [(member_id(EVE), Phase::Seal)]);
    }
}

#[test]
fn key_3_a_log_of_another_ceremony_or_dealer_is_refused() {
    let mut world = World::new(4, &[]);
    world.run_all();
    let Step::Seal { log } = world.machines[0].own(Phase::Seal).step else { panic!() };
    let stolen = world.sign(EVE, Step::Seal { log });
    let fresh = |world: &World| Operator::start(Arc::clone(&world.plan), &world.seeds[0]).unwrap();
    assert!(matches!(fresh(&world).on(&stolen), Err(Refused::LogAuthor { member: MemberId(3) })));
    let empty = world.sign(EVE, Step::Seal { log: outcome::join(Vec::new(), Vec::new()) });
    assert!(matches!(fresh(&world).on(&empty), Err(Refused::Log(_))));
}

/// Eve's echo with this in it, too.
fn echo_with(world: &World, more: Sighting) -> Message {
    let Step::Echo { mut held } = world.machines[EVE].own(Phase::Echo).step else { panic!() };
    held.push(more);
    held.sort_unstable();
    world.sign(EVE, Step::Echo { held })
}

#[test]
fn key_8_two_echoes_end_it_with_a_proof_and_without_keys() {
    let mut world = World::new(4, &[]);
    world.run(|_, _, message| message.step.phase() < Phase::Echo, |_| ());
    // The other echo names a second dealing of Eve's that is there: both are good echoes.
    let second = bad_deal(&world, &[2]);
    let Step::Echo { mut held } =
        world.machines[0].running.due().unwrap_or_else(|| world.machines[0].own(Phase::Echo)).step
    else {
        panic!()
    };
    held.push(Sighting { author: member_id(EVE), phase: Phase::Deal, id: second.id(&world.plan) });
    held.sort_unstable();
    let other = world.sign(EVE, Step::Echo { held });
    world.machines[0].hear(&other);
    world.machines[0].hear(&second);
    world.run_all();
    for machine in &world.machines {
        let Failure::NoAgreement { said } = machine.failure() else { panic!("{:?}", machine.failure()) };
        assert_eq!(said.len(), 4);
        assert!(machine.running.secrets().is_none());
        let proved: Vec<_> = machine.running.contradictions().map(|[a, _]| (a.from, a.step.phase())).collect();
        assert!(proved.contains(&(member_id(EVE), Phase::Echo)), "{proved:?}");
    }
}

#[test]
fn key_8_an_echo_of_what_nobody_shows_stalls_and_is_named() {
    let mut world = World::new(4, &[]);
    world.run(|_, _, message| message.step.phase() < Phase::Echo, |_| ());
    let junk = Sighting { author: MemberId(1), phase: Phase::Ack, id: Hash([9; 32]) };
    let forged = echo_with(&world, junk);
    world.machines[EVE].journal.retain(|m| m.step.phase() < Phase::Echo || m.from != member_id(EVE));
    world.machines[EVE].restart();
    world.run_with(&forged, &[0, 1, 2, EVE]);
    for machine in &world.machines {
        let State::Waiting { phase: Phase::Agree, unseen, .. } = machine.running.state() else {
            panic!("{:?}", machine.running.state())
        };
        assert_eq!(unseen, [(junk, member_id(EVE))]);
    }
}

#[test]
fn key_8_echoes_that_are_none_are_refused() {
    let mut world = World::new(4, &[]);
    world.run_all();
    let Step::Echo { held } = world.machines[EVE].own(Phase::Echo).step else { panic!() };
    let refused = |held: Vec<Sighting>| {
        let mut fresh = Operator::start(Arc::clone(&world.plan), &world.seeds[0]).unwrap();
        matches!(fresh.on(&world.sign(EVE, Step::Echo { held })), Err(Refused::Counts { member: MemberId(3) }))
    };
    assert!(!refused(held.clone()));
    assert!(refused(held[1..].to_vec()), "one is missing");
    assert!(refused(Vec::new()));
    let mut swapped = held.clone();
    swapped.swap(0, 1);
    assert!(refused(swapped));
    let with = |phase, author| {
        let mut held = held.clone();
        held.push(Sighting { author: MemberId(author), phase, id: Hash([0xff; 32]) });
        held.sort_unstable();
        held
    };
    assert!(!refused(with(Phase::Deal, 0)), "two of one step");
    assert!(refused(with(Phase::Echo, 0)));
    assert!(refused(with(Phase::Deal, 4)));
    let mut three = with(Phase::Deal, 0);
    three.push(Sighting { author: MemberId(0), phase: Phase::Deal, id: Hash([0xfe; 32]) });
    three.sort_unstable();
    assert!(refused(three));
}

#[test]
fn key_8_two_agreements_do_not_keep_anybody_from_the_end() {
    let mut world = World::new(4, &[]);
    world.run(|_, _, message| message.step.phase() < Phase::Agree, |_| ());
    let Step::Agree { point, .. } = world.machines[EVE].own(Phase::Agree).step else { panic!() };
    for lie in [1, 2] {
        let forged = world.sign(EVE, Step::Agree { outcome: Hash([lie; 32]), point });
        world.machines[0].hear(&forged);
        world.machines[1].hear(&forged);
    }
    world.run_all();
    world.assert_sound();
    let transcript = world.machines[0].running.transcript().unwrap();
    let verified = verify(&transcript, &NETWORK, &members(&world.seeds), &world.machines[0].finished().key_set);
    assert_eq!(verified.unwrap().contradicted, [(member_id(EVE), Phase::Agree)]);
}

#[test]
fn key_8_another_outcome_is_no_agreement_and_says_who() {
    let mut world = World::new(4, &[]);
    let mine = |message: &Message| message.from == member_id(EVE) && message.step.phase() == Phase::Agree;
    world.run(|_, _, message| !mine(message), |_| ());
    let Step::Agree { point, .. } = world.machines[EVE].own(Phase::Agree).step else { panic!() };
    let forged = world.sign(EVE, Step::Agree { outcome: Hash([1; 32]), point });
    for machine in &mut world.machines[..3] {
        machine.hear(&forged);
        let Failure::NoAgreement { said } = machine.failure() else { panic!("{:?}", machine.failure()) };
        assert_eq!(said[EVE], (member_id(EVE), Hash([1; 32])));
        assert!(said[..3].iter().all(|(_, hash)| *hash == said[0].1));
    }
}

#[test]
fn key_3_a_wrong_share_key_is_replaced_and_names_its_member() {
    let mut world = World::new(4, &[]);
    let mine = |message: &Message| message.from == member_id(EVE) && message.step.phase() == Phase::Agree;
    world.run(|_, _, message| !mine(message), |_| ());
    let Step::Agree { outcome, .. } = world.machines[EVE].own(Phase::Agree).step else { panic!() };
    let Step::Agree { point, .. } = world.machines[0].own(Phase::Agree).step else { panic!() };
    let forged = world.sign(EVE, Step::Agree { outcome, point });
    for machine in &mut world.machines[..3] {
        machine.hear(&forged);
        assert_eq!(machine.finished().liars, [member_id(EVE)]);
    }
    // Eve has the right one from herself: the keys are the same.
    let honest = world.machines[EVE].finished().key_set.clone();
    assert_eq!(world.machines[0].finished().key_set, honest);
}

#[test]
fn key_8_words_that_do_not_count_change_nothing() {
    let world = World::new(4, &[]);
    let mut operator = Operator::start(Arc::clone(&world.plan), &world.seeds[0]).unwrap();
    let deal = bad_deal(&world, &[]);
    let mut unsigned = deal.clone();
    unsigned.sig.0[0] ^= 1;
    assert!(matches!(operator.on(&unsigned), Err(Refused::Signature)));
    let mut other = deal.clone();
    other.from = MemberId(2);
    assert!(matches!(operator.on(&other), Err(Refused::Signature)));
    other.from = MemberId(4);
    assert!(matches!(operator.on(&other), Err(Refused::Stranger)));
    let Step::Deal { commitments, sealed } = &deal.step else { panic!() };
    let short = Step::Deal { commitments: commitments.clone(), sealed: sealed[..3].to_vec() };
    assert!(matches!(operator.on(&world.sign(EVE, short)), Err(Refused::Counts { .. })));
    let ack = HandoverAck { dealer: MemberId(4), decrypt: deal.sig, beacon: deal.sig };
    assert!(matches!(operator.on(&world.sign(EVE, Step::Ack { acks: vec![ack] })), Err(Refused::Counts { .. })));
    assert!(operator.on(&deal).unwrap());
    assert!(!operator.on(&deal).unwrap(), "known");
    assert!(operator.on(&bad_deal(&world, &[1])).unwrap());
    let third = bad_deal(&world, &[2]);
    assert!(matches!(operator.on(&third), Err(Refused::Spent { member: MemberId(3) })));
    let absent = World::new(4, &[3]);
    let mut operator = Operator::start(Arc::clone(&absent.plan), &absent.seeds[0]).unwrap();
    let deal = absent.sign(EVE, deal.step);
    assert!(matches!(operator.on(&deal), Err(Refused::Absent { member: MemberId(3) })));
}

#[test]
fn key_3_seeded_alterations_are_refused_without_a_panic() {
    let mut world = World::new(4, &[]);
    world.run_all();
    let mut operator = Operator::start(Arc::clone(&world.plan), &world.seeds[0]).unwrap();
    let messages: Vec<Message> = world.machines[0].running.messages().cloned().collect();
    for case in 0u16..600 {
        let noise = crypto::hash::sha256(&[&case.to_le_bytes()]).0;
        let mut bytes = messages[usize::from(case) % messages.len()].bytes();
        let at = usize::from(u16::from_le_bytes([noise[0], noise[1]])) % bytes.len();
        match noise[2] % 3 {
            0 => bytes[at] ^= 1 << (noise[3] % 8),
            1 => bytes.truncate(at),
            _ => bytes.splice(at..at, noise).for_each(drop),
        }
        let taken = Message::read(&bytes).and_then(|message| operator.on(&message));
        assert!(taken.is_err(), "case {case}");
    }
    assert!(Message::read(&vec![0; MESSAGE_BYTES_MAX + 1]).is_err());
}

/// Every message of a finished ceremony, as another machine tells them: to whom in which order, the test says.
fn told(world: &World) -> Vec<Message> {
    world.machines[0].running.messages().cloned().collect()
}

#[test]
fn key_8_the_share_follows_from_what_u_names_whatever_was_heard_first() {
    let mut world = World::new(4, &[]);
    world.run_all();
    let keys = world.assert_sound().key_set.clone();
    // Eve shows them only when all have said what they hold
    let late = [bad_deal(&world, &[2]), bad_deal(&world, &[1]), bad_deal(&world, &[1, 2])];
    for heard in 0..=late.len() {
        let mut fresh = Machine::new(&world.plan, &world.seeds[2]);
        late[..heard].iter().for_each(|deal| fresh.hear(deal));
        // twice: with two others of Eve's here, hers counts only once the echoes name it
        for message in told(&world).iter().chain(&told(&world)) {
            fresh.hear(message);
        }
        assert_eq!(fresh.finished().key_set, keys, "{heard} before");
        assert_share(&keys, 4, MemberId(2), fresh.running.secrets().unwrap());
        assert_eq!(fresh.running.contradictions().count(), usize::from(heard > 0), "Eve's pair is kept");
        fresh.restart();
        assert_eq!(fresh.finished().key_set, keys, "{heard} before, again");
    }
}

#[test]
fn key_8_what_u_names_is_not_resolved_by_two_other_words() {
    let mut world = World::new(4, &[]);
    world.run_all();
    let named = world.machines[EVE].own(Phase::Deal);
    let mut fresh = Operator::start(Arc::clone(&world.plan), &world.seeds[0]).unwrap();
    for message in [bad_deal(&world, &[1]), bad_deal(&world, &[2])].iter().chain(&told(&world)) {
        fresh.on(message).ok();
    }
    let State::Waiting { unseen, .. } = fresh.state() else { panic!("{:?}", fresh.state()) };
    let sighting = Sighting { author: member_id(EVE), phase: Phase::Deal, id: named.id(&world.plan) };
    assert_eq!(unseen.iter().map(|(sighting, _)| *sighting).collect::<Vec<_>>(), [sighting]);
    assert!(fresh.on(&named).unwrap());
    assert!(matches!(fresh.state(), State::Finished(_)), "{:?}", fresh.state());
}
