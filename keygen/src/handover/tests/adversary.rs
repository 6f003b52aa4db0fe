// KEY-3, KEY-4, KEY-7 at once: f members of each committee do what a seeded draw says, authors are shuffled, honest
// members restart. The others must agree, name nobody honest, reveal nobody honest, and all have their shares.
use super::*;
use crypto::ed25519::SigningKey;

/// splitmix64: the draws of one seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
    fn some_of(&mut self, of: &[Hash], count: usize) -> Vec<Hash> {
        let mut all = of.to_vec();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }
}

/// Another program of the same dealer, with its own randomness or a part of the acknowledgements.
fn twin(world: &World, from: &Holders, of: &Hash, entropy: Option<u8>, draws: &mut Draws) -> Participant {
    let index = world.plan.dealers().binary_search(of).unwrap();
    let entropy = entropy.map_or_else(
        || world.machines.iter().find(|machine| machine.public == *of).unwrap().entropy.clone(),
        |byte| Zeroizing::new([byte; 32]),
    );
    let secrets = from.secrets_of(index);
    let me = OldMember { seed: &from.seeds[index], secrets: &secrets, entropy: &entropy };
    let mut twin = Participant::new(Arc::clone(&world.plan)).with_dealer(&me, None).unwrap();
    let deaf = draws.below(world.plan.players().len());
    for (phase, message) in &world.log {
        let missed = *phase == Phase::Ack && world.rank(message) == member_id(deaf);
        if *phase < Phase::Seal && !missed {
            let _counts_or_not = twin.on(*phase, message);
        }
    }
    twin
}

/// What a bad member sends in place of `message`, in this order.
fn lies(world: &World, from: &Holders, message: Handover, draws: &mut Draws) -> Vec<Handover> {
    let seed = world.machines.iter().find(|machine| machine.public == message.from).unwrap().seed.clone();
    let sign = |step| message::sign(&world.plan, &SigningKey::from_seed(seed.clone()), step);
    let choice = draws.below(6);
    match (message.step.clone(), choice) {
        (_, 0) => Vec::new(),
        (_, 1) => vec![message.clone(), message],
        (HandoverStep::Dealing { mut commitments, mut sealed }, 2 | 3) => {
            if choice == 2 {
                let at = draws.below(commitments.len());
                commitments[at] ^= 1 << draws.below(8);
            }
            for _ in 0..draws.below(sealed.len()) {
                let at = draws.below(sealed.len());
                sealed[at].0[draws.below(112)] ^= 4;
            }
            vec![sign(HandoverStep::Dealing { commitments, sealed }), message]
        }
        (HandoverStep::Dealing { .. }, _) => {
            let other = twin(world, from, &message.from, Some(0xaa), draws).due(Phase::Deal).unwrap().message;
            if choice == 4 { vec![other, message] } else { vec![message, other] }
        }
        (HandoverStep::Acks { mut acks }, _) => {
            let at = draws.below(acks.len());
            if choice < 4 && acks.len() > 1 {
                acks.remove(at);
            } else {
                acks[at].beacon.0[draws.below(64)] ^= 1;
            }
            vec![sign(HandoverStep::Acks { acks }), message]
        }
        (HandoverStep::Log { .. }, _) => {
            let other = twin(world, from, &message.from, None, draws).due(Phase::Seal).map(|due| due.message);
            match (other, choice) {
                (Some(other), 2 | 3) => vec![other],
                (other, _) => other.into_iter().chain([message]).collect(),
            }
        }
        (HandoverStep::ShareKey { point, mut sig }, _) => {
            sig.0[draws.below(64)] ^= 1;
            vec![sign(HandoverStep::ShareKey { point, sig })]
        }
    }
}

fn one(from: &Holders, to: &[Seed], seed: u64) {
    let mut draws = Draws(seed);
    let mut world = World::new(from, to, 0);
    let fault = |members: &[Hash]| (members.len() - 1) / 3;
    let (old, new) = (world.plan.dealers().to_vec(), world.plan.players().to_vec());
    let bad_old = draws.some_of(&old, fault(&old));
    // A member of both that is bad in one is bad in both.
    let mut bad_new: Vec<_> = bad_old.iter().filter(|key| new.contains(key)).copied().take(fault(&new)).collect();
    let honest: Vec<_> = new.iter().filter(|key| !bad_old.contains(key)).copied().collect();
    bad_new.extend(draws.some_of(&honest, fault(&new) - bad_new.len()));
    for phase in PHASES {
        let mut said = world.due(phase);
        draws.shuffle(&mut said);
        for message in said {
            let dealt = matches!(phase, Phase::Deal | Phase::Seal);
            let bad = if dealt { &bad_old } else { &bad_new };
            let sent =
                if bad.contains(&message.from) { lies(&world, from, message, &mut draws) } else { vec![message] };
            world.log.extend(sent.into_iter().map(|message| (phase, message)));
        }
        for machine in &mut world.machines {
            if draws.below(3) == 0 {
                machine.running = machine.program(&world.plan);
                machine.read = 0;
            }
        }
        world.read();
    }
    let Conclusion { outcome, key_set } = world.conclude().unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    let rank = |committee: &[Hash], key: &Hash| member_id(committee.binary_search(key).unwrap());
    let bad = |committee: &[Hash], keys: &[Hash]| keys.iter().map(|key| rank(committee, key)).collect::<Vec<_>>();
    let (guilty, silent) = (bad(&old, &bad_old), bad(&new, &bad_new));
    assert!(outcome.faulty.iter().all(|member| guilty.contains(member)), "seed {seed}");
    assert!(outcome.revealed.iter().all(|member| silent.contains(member)), "seed {seed}");
    let names = KeySet::new(u16::try_from(new.len()).unwrap(), u16::try_from(fault(&new)).unwrap(), &key_set).unwrap();
    assert_eq!(names.key_id(), keys(from).key_id());
    for machine in world.machines {
        let (transcript, own) = machine.running.finish();
        let concluded = transcript.conclusion().unwrap();
        assert!(concluded.outcome == outcome && concluded.key_set == key_set, "seed {seed}");
        if let Some(own) = own {
            let share = own.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
            let member = rank(&new, &machine.public);
            let decrypt = DecryptionShareKey::from_le_bytes(share.decrypt).unwrap();
            assert_eq!(Some(decrypt.public_g1()), names.share_key(member), "seed {seed}");
            let beacon = BeaconShareKey::from_le_bytes(share.beacon).unwrap();
            assert_eq!(Some(beacon.public_g1()), names.beacon_share_key(member), "seed {seed}");
        }
    }
}

#[test]
fn key_3_f_members_of_each_committee_that_do_anything_stop_nobody() {
    let (four, seven) = (Holders::fresh(1..=4), Holders::fresh(1..=7));
    for seed in 0..12 {
        one(&four, &seeds(3..=6), seed);
    }
    for seed in 100..103 {
        one(&four, &seeds(3..=9), seed);
        one(&seven, &seeds(5..=8), seed);
    }
}
