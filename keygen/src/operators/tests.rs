// Goal: KEY-8, and KEY-2 to KEY-4 for operators in processes of their own. Method: whole ceremonies over a network in
// this process, in which everybody tells everybody everything but what a test holds back or forges; the crypto crate
// judges the keys that come out.
use super::*;
use crate::{MemberSecrets, ceremony::member_id, consensus_public};
use crypto::{
    ed25519::SigningKey,
    keys::{BeaconShareKey, DecryptionShareKey, KeySet},
};
use std::sync::Arc;
use types::{KeySetParts, SealedDealing};
use zeroize::Zeroizing;

mod adversary;
mod transcript;

type Seed = Zeroizing<[u8; 32]>;

const NETWORK: Hash = Hash([7; 32]);

fn seeds(n: u8) -> Vec<Seed> {
    let mut seeds: Vec<Seed> = (1..=n).map(|id| Zeroizing::new([id; 32])).collect();
    seeds.sort_by_key(|seed| consensus_public(seed).unwrap());
    seeds
}

fn members(seeds: &[Seed]) -> Vec<Hash> {
    seeds.iter().map(|seed| consensus_public(seed).unwrap()).collect()
}

fn plan(seeds: &[Seed], number: u32, absent: &[u16]) -> Arc<Plan> {
    let absent: Vec<_> = absent.iter().copied().map(MemberId).collect();
    Arc::new(Plan::new(&NETWORK, number, &members(seeds), &absent).unwrap())
}

/// One process: its disk and what runs on it.
struct Machine {
    seed: Seed,
    journal: Vec<Message>,
    running: Operator,
}

impl Machine {
    fn new(plan: &Arc<Plan>, seed: &Seed) -> Self {
        let running = Operator::start(Arc::clone(plan), seed).unwrap();
        Self { seed: seed.clone(), journal: Vec::new(), running }
    }

    /// SIGKILL, and the next start.
    fn restart(&mut self) {
        self.running = Operator::start(Arc::clone(self.running.plan()), &self.seed).unwrap();
        for message in &self.journal {
            assert!(self.running.on(message).unwrap());
        }
    }

    fn hear(&mut self, message: &Message) {
        if let Ok(true) = self.running.on(message) {
            self.journal.push(message.clone());
        }
    }

    /// Says what is due.
    fn speak(&mut self) -> Option<Message> {
        let message = self.running.due()?;
        self.hear(&message);
        Some(message)
    }

    fn finished(&self) -> &Finished {
        let state = self.running.state();
        let State::Finished(finished) = state else { panic!("{state:?}") };
        finished
    }

    fn failure(&self) -> &Failure {
        let state = self.running.state();
        let State::Failed(failure) = state else { panic!("{state:?}") };
        failure
    }

    fn own(&self, phase: Phase) -> Message {
        let me = self.running.me();
        let own = |message: &&Message| message.from == me && message.step.phase() == phase;
        self.journal.iter().find(own).unwrap().clone()
    }
}

struct World {
    plan: Arc<Plan>,
    seeds: Vec<Seed>,
    machines: Vec<Machine>,
}

impl World {
    fn new(n: u8, absent: &[u16]) -> Self {
        let seeds = seeds(n);
        let plan = plan(&seeds, 0, absent);
        let here = plan.expected().map(|member| Machine::new(&plan, &seeds[usize::from(member.0)]));
        Self { machines: here.collect(), plan, seeds }
    }

    /// Until nothing happens any more. `pass` says what of a machine's messages (by place) another one gets.
    fn run(&mut self, mut pass: impl FnMut(usize, usize, &Message) -> bool, mut spoken: impl FnMut(&mut Machine)) {
        loop {
            let mut moved = false;
            for machine in &mut self.machines {
                if machine.speak().is_some() {
                    moved = true;
                    spoken(machine);
                }
            }
            for from in 0..self.machines.len() {
                let told: Vec<Message> = self.machines[from].running.messages().cloned().collect();
                for (to, machine) in self.machines.iter_mut().enumerate().filter(|(to, _)| *to != from) {
                    let had = machine.journal.len();
                    told.iter().filter(|message| pass(from, to, message)).for_each(|message| machine.hear(message));
                    moved |= machine.journal.len() > had;
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn run_all(&mut self) {
        self.run(|_, _, _| true, |_| ());
    }

    /// All machines have the same keys, and each its own shares of them.
    fn assert_sound(&self) -> &Finished {
        let first = self.machines[0].finished();
        for machine in &self.machines {
            assert_eq!(machine.finished().key_set, first.key_set);
            assert_eq!(machine.finished().outcome, first.outcome);
            assert_share(&first.key_set, self.seeds.len(), machine.running.me(), machine.running.secrets().unwrap());
        }
        let transcript = self.machines[0].running.transcript().unwrap();
        let verified = verify(&transcript, &NETWORK, &members(&self.seeds), &first.key_set).unwrap();
        assert_eq!(verified.finished.outcome, first.outcome);
        first
    }
}

fn assert_share(parts: &KeySetParts, n: usize, member: MemberId, secrets: &MemberSecrets) {
    let n = u16::try_from(n).unwrap();
    let keys = KeySet::new(n, (n - 1) / 3, parts).unwrap();
    let decrypt = DecryptionShareKey::from_le_bytes(secrets.decrypt.clone()).unwrap();
    let beacon = BeaconShareKey::from_le_bytes(secrets.beacon.clone()).unwrap();
    assert_eq!(Some(decrypt.public_g1()), keys.share_key(member));
    assert_eq!(Some(decrypt.public_g2()), keys.share_key_g2(member));
    assert_eq!(Some(beacon.public_g1()), keys.beacon_share_key(member));
}

#[test]
fn key_8_all_who_take_part_have_the_same_keys_and_their_shares() {
    for n in [4, 7] {
        let mut world = World::new(n, &[]);
        world.run_all();
        let finished = world.assert_sound();
        assert!(finished.outcome.revealed.is_empty() && finished.outcome.faulty.is_empty());
        assert!(finished.liars.is_empty());
        let secrets: Vec<_> = world.machines.iter().map(|m| m.running.secrets().unwrap()).collect();
        #[cfg(feature = "dealer")]
        {
            let copies: Vec<_> = secrets
                .iter()
                .map(|s| MemberSecrets { decrypt: s.decrypt.clone(), beacon: s.beacon.clone() })
                .collect();
            crate::dealer::cross_check(&finished.key_set, &copies).unwrap();
        }
        assert_eq!(secrets.len(), usize::from(n));
    }
}

#[test]
fn messages_have_the_sizes_that_the_page_says() {
    let mut world = World::new(4, &[]);
    world.run_all();
    let sizes = Phase::ALL.map(|phase| world.machines[0].own(phase).bytes().len());
    assert_eq!(sizes, [808, 583, 1_339, 475, 194]);
}

#[test]
fn key_8_a_crash_after_any_word_changes_nothing() {
    let mut world = World::new(4, &[]);
    world.run_all();
    let keys = world.assert_sound().key_set.clone();
    for phase in Phase::ALL {
        let mut again = World::new(4, &[]);
        let mut crashes = 0;
        again.run(
            |_, _, _| true,
            |machine| {
                // it has said it, and perhaps nobody has heard it
                if machine.running.me() == MemberId(2) && machine.own_phase() == Some(phase) {
                    let said = machine.own(phase);
                    machine.restart();
                    assert!(machine.journal.contains(&said));
                    crashes += 1;
                }
            },
        );
        assert_eq!(crashes, 1, "{phase}");
        assert_eq!(again.assert_sound().key_set, keys, "{phase}");
    }
}

impl Machine {
    /// The step of its newest word.
    fn own_phase(&self) -> Option<Phase> {
        let me = self.running.me();
        self.journal.iter().rev().find(|message| message.from == me).map(|message| message.step.phase())
    }
}

#[test]
fn key_8_a_crash_before_the_journal_says_the_same_again_and_so_does_a_lost_journal() {
    for phase in Phase::ALL {
        let mut world = World::new(4, &[]);
        let mut lost = false;
        world.run(
            |_, _, _| true,
            |machine| {
                if machine.running.me() == MemberId(1) && machine.own_phase() == Some(phase) && !lost {
                    lost = true;
                    machine.journal.clear();
                    machine.restart();
                }
            },
        );
        assert!(lost);
        let finished = world.assert_sound();
        assert!(finished.outcome.faulty.is_empty(), "{phase}: no second word");
    }
}

#[test]
fn key_4_an_absent_member_is_named_and_finds_its_share_in_the_transcript() {
    for absent in 0..4 {
        let mut world = World::new(4, &[absent]);
        world.run_all();
        let finished = world.assert_sound().clone();
        assert_eq!(finished.outcome.revealed, [MemberId(absent)]);
        let transcript = world.machines[0].running.transcript().unwrap();
        let mut late = Operator::start(Arc::clone(&world.plan), &world.seeds[usize::from(absent)]).unwrap();
        for message in &transcript.messages {
            assert!(late.on(message).unwrap());
            assert!(late.due().is_none(), "it says nothing");
        }
        assert_share(&finished.key_set, 4, MemberId(absent), late.secrets().unwrap());
    }
}

#[test]
fn key_8_who_falls_silent_is_named_in_every_step_and_nobody_goes_on() {
    for phase in Phase::ALL {
        let mut world = World::new(4, &[]);
        world.run(|_, _, message| message.from != MemberId(3) || message.step.phase() < phase, |_| ());
        for machine in &world.machines[..3] {
            let State::Waiting { phase: waits, missing, unseen } = machine.running.state() else {
                panic!("{:?}", machine.running.state())
            };
            assert_eq!((waits, missing.as_slice()), (phase, [MemberId(3)].as_slice()));
            assert!(unseen.is_empty());
            assert!(machine.running.secrets().is_none() && machine.running.transcript().is_none());
        }
    }
}

#[test]
fn key_1_plans_that_are_refused() {
    let keys = members(&seeds(4));
    let new = |members: &[Hash], absent: &[u16]| {
        Plan::new(&NETWORK, 0, members, &absent.iter().copied().map(MemberId).collect::<Vec<_>>())
    };
    assert!(matches!(new(&keys[..3], &[]), Err(PlanError::Committee(_))));
    let swapped = [keys[1], keys[0], keys[2], keys[3]];
    assert!(matches!(new(&swapped, &[]), Err(PlanError::Committee(_))));
    assert!(matches!(new(&keys, &[0, 1]), Err(PlanError::TooManyAbsent { absent: 2, n: 4, f: 1 })));
    assert!(matches!(new(&keys, &[4]), Err(PlanError::Absent)));
    assert!(matches!(new(&keys, &[1, 1]), Err(PlanError::Absent)));
    let stranger = Zeroizing::new([99; 32]);
    assert!(matches!(Operator::start(Arc::new(new(&keys, &[]).unwrap()), &stranger), Err(PlanError::Stranger)));
}

#[test]
fn another_number_network_or_absence_is_another_ceremony_with_other_keys() {
    let seeds = seeds(4);
    let plans = [
        plan(&seeds, 0, &[]),
        plan(&seeds, 1, &[]),
        plan(&seeds, 0, &[3]),
        Arc::new(Plan::new(&Hash([8; 32]), 0, &members(&seeds), &[]).unwrap()),
    ];
    let deals: Vec<_> =
        plans.iter().map(|plan| Operator::start(Arc::clone(plan), &seeds[0]).unwrap().due().unwrap()).collect();
    for (i, plan) in plans.iter().enumerate() {
        for (j, message) in deals.iter().enumerate() {
            let mut other = Operator::start(Arc::clone(plan), &seeds[1]).unwrap();
            let taken = other.on(message);
            assert_eq!(taken.is_ok(), i == j, "{taken:?}");
        }
        for message in &deals[..i] {
            assert_ne!(message.step, deals[i].step);
        }
    }
}
