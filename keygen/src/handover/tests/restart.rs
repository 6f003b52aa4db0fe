// Restarts: what is saved and the log are all that is needed to go on.
use super::*;

/// After every message of the log every machine loses its memory.
#[test]
fn key_7_restarts_after_every_message_give_the_same_bytes_and_outcome() {
    let from = Holders::fresh(1..=4);
    let to = seeds(3..=6);
    let mut calm = World::new(&from, &to, 0);
    calm.run(as_said);
    let (log, want) = (calm.log.clone(), calm.conclude().unwrap());
    let (_, shares) = calm.end(&from, &to);

    let mut world = World::new(&from, &to, 0);
    for phase in PHASES {
        let said = world.due(phase);
        let mut pending: Vec<Handover> = said.clone();
        for message in said {
            world.log.push((phase, message.clone()));
            pending.retain(|other| *other != message);
            // Only the disk and the log are left. What is not in the log yet is said again; what is, is not.
            for machine in &mut world.machines {
                // New randomness at each start: what was saved is what counts.
                machine.entropy = Zeroizing::new([world.log.len().to_le_bytes()[0]; 32]);
                machine.running = machine.program(&world.plan);
                machine.read = 0;
            }
            world.read();
            assert_eq!(world.due(phase), pending);
            assert_eq!(world.due(phase), pending, "asked again");
        }
        world.read();
    }
    assert!(world.log == log, "byte by byte");
    assert_eq!(world.conclude().unwrap(), want);
    let (_, next) = world.end(&from, &to);
    assert_eq!(next.parts, shares.parts);
    for (one, other) in next.secrets.iter().zip(&shares.secrets) {
        assert!(one.decrypt == other.decrypt && one.beacon == other.beacon);
    }
}

#[test]
fn a_log_that_was_saved_is_the_one_that_is_sent_whatever_the_log_says_now() {
    let from = Holders::fresh(1..=4);
    let to = seeds(11..=14);
    let mut world = World::new(&from, &to, 0);
    for phase in [Phase::Deal, Phase::Ack] {
        let said = world.due(phase);
        world.log.extend(said.into_iter().map(|message| (phase, message)));
        world.read();
    }
    let first = world.due(Phase::Seal);
    // It did not leave, and the log is read again by a caller that leaves a player's word out.
    let machine = world.machines.iter().find(|machine| machine.public == first[0].from).unwrap();
    let mut program = machine.program(&world.plan);
    for (phase, message) in world.log.iter().filter(|(phase, _)| *phase == Phase::Deal) {
        program.on(*phase, message).unwrap();
    }
    assert_eq!(program.due(Phase::Seal).unwrap().message, first[0]);
    // For another attempt it is worth nothing.
    let saved = Saved::read(machine.disk.as_ref().unwrap()).unwrap();
    assert_eq!(saved.plan(), world.plan.name());
    let secrets = from.secrets_of(0);
    let me = OldMember { seed: &machine.seed, secrets: &secrets, entropy: &machine.entropy };
    let next = from.plan(1, &to);
    let mut program = Participant::new(next).with_dealer(&me, Some(&saved)).unwrap();
    assert!(program.due(Phase::Deal).is_some());
    assert!(program.due(Phase::Seal).is_none());
}

#[test]
fn a_dealer_that_lost_its_disk_seals_nothing_more() {
    let from = Holders::fresh(1..=4);
    let to = seeds(3..=6);
    let mut world = World::new(&from, &to, 0);
    let lost = publics(&from.seeds)[2];
    for phase in PHASES {
        let said = world.due(phase);
        world.log.extend(said.into_iter().map(|message| (phase, message)));
        world.read();
        for machine in world.machines.iter_mut().filter(|machine| machine.public == lost) {
            (machine.disk, machine.entropy, machine.read) = (None, Zeroizing::new([0xee; 32]), 0);
            machine.running = machine.program(&world.plan);
        }
        world.read();
    }
    assert!(world.log.iter().all(|(phase, message)| *phase != Phase::Seal || message.from != lost));
    let (outcome, _) = world.end(&from, &to);
    assert_eq!(outcome.dealers, [0, 1, 3].map(MemberId));
    assert!(outcome.faulty.is_empty());
}

#[test]
fn what_is_saved_is_read_back_or_refused() {
    let from = Holders::fresh(1..=4);
    let to = seeds(11..=14);
    let mut world = World::new(&from, &to, 0);
    world.run(as_said);
    let disk = world.machines.iter().find_map(|machine| machine.disk.clone()).unwrap();
    assert_eq!(Saved::read(&disk).unwrap().bytes().as_slice(), disk.as_slice());
    for cut in 0..disk.len() {
        assert!(Saved::read(&disk[..cut]).is_err());
    }
    let longer = [disk.as_slice(), &[0]].concat();
    assert!(matches!(Saved::read(&longer), Err(SavedError::Malformed(_))));
    assert!(matches!(Saved::read(&vec![0; 70_000]), Err(SavedError::Malformed(_))));
}

#[test]
fn key_7_what_a_dealer_saves_opens_under_its_seed_alone() {
    let holders = Holders::fresh(1..=4);
    let plan = holders.plan(0, &holders.seeds);
    let secrets = holders.secrets_of(0);
    let me = OldMember { seed: &holders.seeds[0], secrets: &secrets, entropy: &Zeroizing::new([5; 32]) };
    let mut dealer = Participant::new(plan).with_dealer(&me, None).unwrap();
    let saved = dealer.due(Phase::Deal).unwrap().save.unwrap();
    let sealed = saved.seal(&holders.seeds[0]).unwrap();
    assert!(!sealed.windows(8).any(|window| window == [5; 8]), "the entropy is not in it");
    assert_eq!(*Saved::open(&sealed, &holders.seeds[0]).unwrap().bytes(), *saved.bytes());
    assert!(matches!(Saved::open(&sealed, &holders.seeds[1]), Err(SavedError::Seal)));
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert!(matches!(Saved::open(&altered, &holders.seeds[0]), Err(SavedError::Seal)), "at {at}");
        assert!(Saved::open(&sealed[..at], &holders.seeds[0]).is_err(), "cut at {at}");
    }
}
