// Goal: KEY-7, and KEY-3, KEY-4 and KEY-6 for handovers. Method: whole handovers over a log in this process, an ordered
// list that everybody reads; each test says who sends what when, and the crypto crate judges the shares that come out.
use super::*;
use crate::{
    CeremonyResult, MemberSecrets,
    ceremony::{member_id, quorum},
    consensus_public,
    reshare::{Outcome, Plan},
    run_in_process,
};
use crypto::keys::{BeaconShareKey, DecryptionShareKey, KeySet};
use std::sync::Arc;
use types::{Epoch, HandoverStep, Hash, MemberId, SealedDealing, Signature};
use zeroize::Zeroizing;

mod adversary;
mod faults;
mod restart;
mod wire;

type Seed = Zeroizing<[u8; 32]>;

const NETWORK: Hash = Hash([7; 32]);
const PHASES: [Phase; 4] = [Phase::Deal, Phase::Ack, Phase::Seal, Phase::Publish];

/// Seeds by rank of their public keys.
fn seeds(ids: impl IntoIterator<Item = u8>) -> Vec<Seed> {
    let mut seeds: Vec<Seed> = ids.into_iter().map(|id| Zeroizing::new([id; 32])).collect();
    seeds.sort_by_key(|seed| consensus_public(seed).unwrap());
    seeds
}

fn publics(seeds: &[Seed]) -> Vec<Hash> {
    seeds.iter().map(|seed| consensus_public(seed).unwrap()).collect()
}

/// A committee that holds a key set.
struct Holders {
    seeds: Vec<Seed>,
    parts: KeySetParts,
    secrets: Vec<MemberSecrets>,
}

impl Holders {
    fn fresh(ids: impl IntoIterator<Item = u8>) -> Self {
        let seeds = seeds(ids);
        let CeremonyResult { parts, secrets, .. } = run_in_process(&NETWORK, &seeds, [9; 32]).unwrap();
        Self { seeds, parts, secrets }
    }
    fn plan(&self, attempt: u8, to: &[Seed]) -> Arc<Plan> {
        let from = (publics(&self.seeds), &self.parts);
        Arc::new(Plan::new(&NETWORK, (Epoch(3), attempt), (from.0.as_slice(), from.1), &publics(to)).unwrap())
    }
    /// A copy of one member's secrets, as its file holds them.
    fn secrets_of(&self, index: usize) -> MemberSecrets {
        let MemberSecrets { decrypt, beacon } = &self.secrets[index];
        MemberSecrets { decrypt: decrypt.clone(), beacon: beacon.clone() }
    }
}

/// One machine: its roles, its disk, and the program that runs on it.
struct Machine {
    public: Hash,
    seed: Seed,
    secrets: Option<MemberSecrets>,
    plays: bool,
    entropy: Seed,
    disk: Option<Zeroizing<Vec<u8>>>,
    running: Participant,
    read: usize,
}

impl Machine {
    fn program(&self, plan: &Arc<Plan>) -> Participant {
        let saved = self.disk.as_ref().map(|bytes| Saved::read(bytes).unwrap());
        let mut program = Participant::new(Arc::clone(plan));
        if let Some(secrets) = &self.secrets {
            let me = OldMember { seed: &self.seed, secrets, entropy: &self.entropy };
            program = program.with_dealer(&me, saved.as_ref()).unwrap();
        }
        if self.plays {
            program = program.with_player(&self.seed).unwrap();
        }
        program
    }
}

/// The log, and the machines of both committees by consensus key.
struct World {
    plan: Arc<Plan>,
    log: Vec<(Phase, Handover)>,
    machines: Vec<Machine>,
}

impl World {
    fn new(from: &Holders, to: &[Seed], attempt: u8) -> Self {
        let plan = from.plan(attempt, to);
        let mut all: Vec<Seed> = from.seeds.iter().chain(to).cloned().collect();
        all.sort_by_key(|seed| consensus_public(seed).unwrap());
        all.dedup();
        let machine = |seed: &Seed| {
            let public = consensus_public(seed).unwrap();
            let secrets = from.seeds.iter().position(|old| old == seed).map(|index| from.secrets_of(index));
            let entropy = Zeroizing::new([seed[0] ^ 0x55; 32]);
            let running = Participant::new(Arc::clone(&plan));
            let (seed, plays) = (seed.clone(), to.contains(seed));
            let mut machine = Machine { public, seed, secrets, plays, entropy, disk: None, running, read: 0 };
            machine.running = machine.program(&plan);
            machine
        };
        let machines = all.iter().map(machine).collect();
        Self { plan, log: Vec::new(), machines }
    }

    /// Every machine reads what is new in the log.
    fn read(&mut self) {
        for machine in &mut self.machines {
            for (phase, message) in &self.log[machine.read..] {
                let _counts_or_not = machine.running.on(*phase, message);
            }
            machine.read = self.log.len();
        }
    }

    /// What each machine has to say, written down as it must be. By consensus key.
    fn due(&mut self, phase: Phase) -> Vec<Handover> {
        let mut said = Vec::new();
        for machine in &mut self.machines {
            if let Some(due) = machine.running.due(phase) {
                assert_eq!(due.message.from, machine.public);
                check(&self.plan, &due.message).unwrap();
                if let Some(saved) = due.save {
                    machine.disk = Some(saved.bytes());
                }
                said.push(due.message);
            }
        }
        said
    }

    /// All phases; `order` makes of what is said in a phase what the log holds.
    fn run(&mut self, mut order: impl FnMut(Phase, Vec<Handover>) -> Vec<Handover>) {
        for phase in PHASES {
            let said = self.due(phase);
            self.log.extend(order(phase, said).into_iter().map(|message| (phase, message)));
            self.read();
            assert!(phase < Phase::Publish || self.key_sets().windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    fn key_sets(&self) -> Vec<Option<KeySetParts>> {
        self.machines.iter().map(|machine| machine.running.transcript().key_set()).collect()
    }

    fn conclude(&self) -> Result<Conclusion, ConcludeError> {
        conclude(&self.plan, self.log.iter().map(|(phase, message)| (*phase, message)))
    }

    /// Everybody agrees; the next committee, each member with the share that the key set names.
    fn end(self, from: &Holders, to: &[Seed]) -> (Outcome, Holders) {
        let Conclusion { outcome, key_set } = self.conclude().unwrap();
        let mut secrets = Vec::new();
        for machine in self.machines {
            let (transcript, own) = machine.running.finish();
            let concluded = transcript.conclusion().unwrap();
            assert_eq!((&concluded.outcome, &concluded.key_set), (&outcome, &key_set));
            assert_eq!(own.is_some(), machine.plays);
            secrets.extend(own.map(|own| own.unwrap_or_else(|error| panic!("{error:?}"))));
        }
        let next = Holders { seeds: to.to_vec(), parts: key_set, secrets };
        assert_sound(from, &next);
        assert_eq!(outcome.members, publics(to));
        (outcome, next)
    }

    fn rank(&self, of: &Handover) -> MemberId {
        message::author(&self.plan, of).unwrap()
    }
}

fn keys(holders: &Holders) -> KeySet {
    let n = u16::try_from(holders.seeds.len()).unwrap();
    KeySet::new(n, (n - 1) / 3, &holders.parts).unwrap()
}

/// Both public keys stay, and each share is the one that the key set names.
fn assert_sound(from: &Holders, to: &Holders) {
    let (old, new) = (keys(from), keys(to));
    assert_eq!((old.key_id(), old.beacon_key()), (new.key_id(), new.beacon_key()));
    assert_ne!(from.parts.decrypt[1], to.parts.decrypt[1]);
    assert_eq!(to.secrets.len(), to.seeds.len());
    for (index, secret) in to.secrets.iter().enumerate() {
        let member = member_id(index);
        let decrypt = DecryptionShareKey::from_le_bytes(secret.decrypt.clone()).unwrap();
        assert_eq!(Some(decrypt.public_g1()), new.share_key(member));
        assert_eq!(Some(decrypt.public_g2()), new.share_key_g2(member));
        let beacon = BeaconShareKey::from_le_bytes(secret.beacon.clone()).unwrap();
        assert_eq!(Some(beacon.public_g1()), new.beacon_share_key(member));
    }
}

fn as_said(_: Phase, said: Vec<Handover>) -> Vec<Handover> {
    said
}

#[test]
fn key_7_committees_of_any_change_take_over_from_the_log_alone() {
    let four = Holders::fresh(1..=4);
    let seven = Holders::fresh(1..=7);
    for (name, from, to) in [
        ("one replaced", &four, seeds([1, 2, 3, 5])),
        ("everybody new", &four, seeds(11..=14)),
        ("four to seven", &four, seeds(2..=8)),
        ("seven to four", &seven, seeds(6..=9)),
    ] {
        let mut world = World::new(from, &to, 0);
        world.run(as_said);
        let (old, new) = (from.seeds.len(), to.len());
        assert_eq!(world.log.len(), 2 * old + 2 * new, "{name}: one message per member and step");
        let (outcome, _) = world.end(from, &to);
        assert!(outcome.faulty.is_empty() && outcome.revealed.is_empty(), "{name}");
        assert_eq!(outcome.dealers.len(), quorum(old).unwrap(), "{name}");
    }
}

#[test]
fn a_participant_may_live_in_a_task() {
    fn sent<T: Send>() {}
    sent::<Participant>();
    sent::<Transcript>();
}

#[test]
fn key_7_epoch_after_epoch() {
    let mut holders = Holders::fresh(1..=4);
    let first = keys(&holders).key_id();
    for ids in [2..=5, 3..=9, 6..=9] {
        let to = seeds(ids);
        let mut world = World::new(&holders, &to, 0);
        world.run(as_said);
        holders = world.end(&holders, &to).1;
    }
    assert_eq!(keys(&holders).key_id(), first);
}

#[test]
fn key_7_the_order_of_authors_and_what_does_not_count_change_nothing() {
    let from = Holders::fresh(1..=4);
    let to = seeds(3..=6);
    let mut world = World::new(&from, &to, 0);
    world.run(as_said);
    let want = world.conclude().unwrap();

    let mut other = World::new(&from, &to, 1);
    other.run(as_said);
    let mut backwards = World::new(&from, &to, 0);
    let (log, junk) = (world.log.clone(), other.log);
    backwards.run(|phase, mut said| {
        said.reverse();
        let mut all = Vec::new();
        for message in said {
            // Everything of the other attempt, everything of all phases again, and this message three times.
            all.extend(junk.iter().map(|(_, message)| message.clone()));
            all.extend([message.clone(), message.clone()]);
            let mut renamed = message.clone();
            renamed.from = consensus_public(&Zeroizing::new([99; 32])).unwrap();
            let mut stolen = message.clone();
            stolen.from = log.iter().find(|(_, other)| other.from != message.from).unwrap().1.from;
            all.extend([renamed, stolen, message]);
            all.extend(log.iter().filter(|(other, _)| *other != phase).map(|(_, message)| message.clone()));
        }
        all
    });
    assert!(backwards.log.len() > 10 * world.log.len());
    assert_eq!(backwards.conclude().unwrap(), want);
    let (outcome, _) = backwards.end(&from, &to);
    assert_eq!(outcome, want.outcome);
}

#[test]
fn key_7_share_keys_of_any_q_members_make_the_same_key_set() {
    let from = Holders::fresh(1..=4);
    let to = seeds(3..=6);
    let mut world = World::new(&from, &to, 0);
    world.run(as_said);
    let want = world.conclude().unwrap();
    for absent in 0..5 {
        let mut at = 0;
        let some = world.log.iter().filter(|(phase, _)| {
            at += usize::from(*phase == Phase::Publish);
            *phase != Phase::Publish || at - 1 != absent
        });
        let concluded = conclude(&world.plan, some.map(|(phase, message)| (*phase, message))).unwrap();
        assert_eq!(concluded, want, "without {absent}");
    }
    let too_few = world.log.iter().rev().skip(2).rev().map(|(phase, message)| (*phase, message));
    let error = conclude(&world.plan, too_few).unwrap_err();
    let ConcludeError::KeySet(CeremonyError::TooFewShareKeys { required: 3, found: 2 }) = error else {
        panic!("{error:?}");
    };
}
