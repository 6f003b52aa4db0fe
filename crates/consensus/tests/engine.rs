//! Goal: ENG-1 to ENG-6. Method: four members with a small application, on the deterministic runtime and simulated
//! network (virtual time, seeded), and once over TCP on loopback. Proofs are checked by `crypto::finality`, which
//! shares no code with commonware.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::large_futures,
    reason = "a test stops where something is missing; clippy's allowance for tests does not reach their helpers"
)]
use bytes::Bytes;
use commonware_codec::{Copying, Decode as _, DecodeExt as _, Encode as _};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{
    BlockedSubscription, Blocker, PeerSetSubscription, Provider, TrackedPeers,
    simulated::{self, Link},
};
use commonware_runtime::{Clock as _, Handle, Quota, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{NZU32, NZUsize, probability};
use consensus::{
    Ack, At, BlockCfg, BlockHead, Channel, EngineBlock, EngineConfig, EngineEpoch, EngineError, EngineHandle,
    FinalBlock, Floor, MESSAGE_BYTES_MAX, Outbox, QUOTAS, SeenVote, SlotApp, TcpConfig, Timeouts, To, Verdict,
    VoteKind, start_tcp, validator,
};
use crypto::{
    ed25519::SigningKey,
    finality::{self, Committee, FinalityError, SetHashes},
    ids::block_digest,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};
use types::{
    Block, BlockHeader, Epoch, FinalityProof, Hash, MemberId, SetRef, Slot, Timestamp, codec, limits, reason::Reason,
    tag,
};
use zeroize::Zeroizing;

const NETWORK: Hash = Hash([7; 32]);
const N: usize = 4;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

// ---- blocks: a header and no lists ----

fn header(parent: &BlockHeader, at: At) -> BlockHeader {
    BlockHeader {
        network: NETWORK,
        epoch: Epoch(at.epoch),
        height: parent.height.next(),
        view: at.view,
        time_ms: Timestamp(parent.time_ms.0 + 1),
        proposer: at.leader,
        parent: block_digest(parent),
        lists: SetRef::EMPTY,
        set: SetRef::EMPTY,
        bids: SetRef::EMPTY,
        objects: SetRef::EMPTY,
        operations: SetRef::EMPTY,
        reveal: None,
    }
}

fn genesis_header() -> BlockHeader {
    let before = BlockHeader { height: Slot(0), ..header(&blank(), At { epoch: 0, view: 0, leader: MemberId(0) }) };
    BlockHeader { parent: Hash::ZERO, time_ms: Timestamp(0), ..before }
}

fn genesis_digest() -> Hash {
    block_digest(&genesis_header())
}

fn blank() -> BlockHeader {
    BlockHeader {
        network: NETWORK,
        epoch: Epoch(0),
        height: Slot(0),
        view: 0,
        time_ms: Timestamp(0),
        proposer: MemberId(0),
        parent: Hash::ZERO,
        lists: SetRef::EMPTY,
        set: SetRef::EMPTY,
        bids: SetRef::EMPTY,
        objects: SetRef::EMPTY,
        operations: SetRef::EMPTY,
        reveal: None,
    }
}

fn bytes_of(header: BlockHeader) -> Bytes {
    codec::encode(&Block { header, lists: None }).into()
}

fn header_of(bytes: &[u8]) -> BlockHeader {
    codec::decode::<Block>(bytes, limits::BLOCK_BYTES_MAX).unwrap().header
}

fn open(bytes: &[u8]) -> Result<BlockHead, Reason> {
    let block = codec::decode::<Block>(bytes, limits::BLOCK_BYTES_MAX).map_err(|_malformed| Reason::MalformedData)?;
    if block.lists.is_some() {
        return Err(Reason::MalformedData);
    }
    let BlockHeader { height, parent, .. } = block.header;
    Ok(BlockHead { height: height.0, parent, digest: block_digest(&block.header) })
}

// ---- keys and configuration ----

/// Seeds in the order of their public keys: the position is the member.
fn seeds() -> Vec<([u8; 32], Hash)> {
    let mut seeds: Vec<_> =
        (1..=N as u8).map(|i| ([i; 32], SigningKey::from_seed(Zeroizing::new([i; 32])).public())).collect();
    seeds.sort_by_key(|(_, public)| *public);
    seeds
}

fn public_keys() -> Vec<PublicKey> {
    seeds().iter().map(|(_, public)| PublicKey::decode(Copying(public.as_ref())).unwrap()).collect()
}

fn config(member: usize) -> EngineConfig {
    EngineConfig {
        network: NETWORK,
        epoch_slots: 1 << 40,
        epoch: epoch(0, genesis_digest()),
        before: Vec::new(),
        members: seeds().iter().map(|(_, public)| *public).collect(),
        prefix: format!("m{member}-"),
        timeouts: Timeouts::for_slot(500),
        quotas: QUOTAS,
        open,
        genesis: bytes_of(genesis_header()),
        floor: None,
        block_max: 1 << 20,
    }
}

fn committee(epoch: Epoch) -> Committee {
    let consensus_keys = seeds().iter().map(|(_, public)| *public).collect();
    Committee { network: NETWORK, epoch, f: 1, consensus_keys }
}

fn epoch(epoch: u64, parent: Hash) -> EngineEpoch {
    EngineEpoch { epoch, parent, leader_seed: Hash([3 + epoch as u8; 32]), votes: true }
}

// ---- the application ----

#[derive(Clone, Copy, Default, PartialEq)]
enum Builds {
    #[default]
    Blocks,
    Nothing,
    Garbage,
    /// Blocks that name another parent than the one given.
    OffParent,
}

#[derive(Clone, Default)]
struct Behaviour {
    builds: Builds,
    /// Acknowledges up to this height, keeps the other acknowledgements.
    ack_until: Option<u64>,
    /// Drops the acknowledgement of this height.
    drop_ack: Option<u64>,
    /// Judges blocks of this member invalid.
    refuses: Option<MemberId>,
    /// Goes on in the next epoch after the last of every so many heights.
    epochs: Option<u64>,
    /// Up to this height, how long a check takes.
    checks: Option<(u64, Pause, Arc<Context>)>,
}

#[derive(Clone, Copy)]
enum Pause {
    For(Duration),
    Forever,
}

#[derive(Default)]
struct Seen {
    finals: BTreeMap<u64, FinalBlock>,
    /// Heights in the order of delivery, per run.
    runs: Vec<Vec<u64>>,
    messages: Vec<(Channel, MemberId, Bytes)>,
    votes: Vec<SeenVote>,
    kept: Vec<Ack>,
    outbox: Option<Outbox>,
}

impl Seen {
    fn height(&self) -> u64 {
        self.finals.keys().last().copied().unwrap_or(0)
    }
    fn digests(&self) -> BTreeMap<u64, Hash> {
        self.finals.iter().map(|(height, f)| (*height, f.block.head.digest)).collect()
    }
}

#[derive(Clone, Default)]
struct Log(Arc<(Mutex<Seen>, Condvar)>);

impl Log {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.0.lock().unwrap()
    }
    /// Waits in real time.
    fn wait(&self, what: &str, done: impl Fn(&Seen) -> bool) {
        let (lock, changed) = &*self.0;
        let (seen, late) = changed.wait_timeout_while(lock.lock().unwrap(), ms(120_000), |seen| !done(seen)).unwrap();
        assert!(!late.timed_out(), "no {what} within two minutes, at height {}", seen.height());
    }
    fn wait_for_height(&self, height: u64) {
        self.wait("height", |seen| seen.height() >= height);
    }
}

#[derive(Clone)]
struct App {
    log: Log,
    behaviour: Behaviour,
}

impl App {
    fn start(log: &Log, behaviour: Behaviour, outbox: Outbox) -> Self {
        let mut seen = log.seen();
        seen.runs.push(Vec::new());
        seen.outbox = Some(outbox);
        Self { log: log.clone(), behaviour }
    }
}

impl SlotApp for App {
    async fn build(&self, parent: EngineBlock, at: At) -> Option<Bytes> {
        let next = header(&header_of(&parent.bytes), at);
        match self.behaviour.builds {
            Builds::Blocks => Some(bytes_of(next)),
            Builds::Nothing => None,
            Builds::Garbage => Some(Bytes::from_static(b"no block")),
            Builds::OffParent => Some(bytes_of(BlockHeader { parent: NETWORK, ..next })),
        }
    }

    async fn check(&self, block: EngineBlock, parent: EngineBlock, at: At) -> Verdict {
        if let Some((last, pause, clock)) = &self.behaviour.checks
            && block.head.height <= *last
        {
            match pause {
                Pause::For(time) => clock.sleep(*time).await,
                Pause::Forever => std::future::pending().await,
            }
        }
        let in_epoch = self.behaviour.epochs.is_none_or(|slots| block.head.height / slots == at.epoch);
        let right = in_epoch && header_of(&block.bytes) == header(&header_of(&parent.bytes), at);
        if right && self.behaviour.refuses != Some(at.leader) { Verdict::Valid } else { Verdict::Invalid }
    }

    fn finalized(&self, f: FinalBlock, ack: Ack) {
        let mut seen = self.log.seen();
        let BlockHead { height, digest, .. } = f.block.head;
        if let Some(slots) = self.behaviour.epochs.filter(|slots| height % slots == slots - 1) {
            seen.outbox.as_ref().unwrap().enter(epoch((height + 1) / slots, digest));
        }
        seen.runs.last_mut().unwrap().push(height);
        if let Some(before) = seen.finals.insert(height, f) {
            assert_eq!(before.block, seen.finals[&height].block, "ENG-1: two blocks at height {height}");
        }
        if self.behaviour.drop_ack == Some(height) {
            drop(ack);
        } else if self.behaviour.ack_until.is_some_and(|last| height > last) {
            seen.kept.push(ack);
        } else {
            ack.acknowledge();
        }
        self.log.0.1.notify_all();
    }

    fn message(&self, channel: Channel, from: MemberId, bytes: Bytes) {
        self.log.seen().messages.push((channel, from, bytes));
        self.log.0.1.notify_all();
    }

    fn vote(&self, vote: SeenVote) {
        self.log.seen().votes.push(vote);
    }
}

// ---- simulation ----

type Context = deterministic::Context;

#[derive(Clone)]
struct Oracle(simulated::Control<PublicKey, Context>, simulated::Manager<PublicKey, Context>);

impl std::fmt::Debug for Oracle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Oracle")
    }
}

impl Blocker for Oracle {
    type PublicKey = PublicKey;
    fn block(&mut self, peer: PublicKey) -> commonware_actor::Feedback {
        self.0.block(peer)
    }
    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        self.0.blocked()
    }
}
impl Provider for Oracle {
    type PublicKey = PublicKey;
    async fn peer_set(&mut self, id: u64) -> Option<TrackedPeers<PublicKey>> {
        self.1.peer_set(id).await
    }
    async fn subscribe(&mut self) -> PeerSetSubscription<PublicKey> {
        self.1.subscribe().await
    }
}

struct Sim {
    ctx: Context,
    oracle: simulated::Oracle<PublicKey, Context>,
    logs: Vec<Log>,
    tasks: Vec<Option<Handle<&'static str>>>,
    timeouts: Timeouts,
}

impl Sim {
    async fn new(ctx: Context, link: Link, timeouts: Timeouts) -> Self {
        let keys = public_keys();
        let config = simulated::Config {
            max_size: u32::try_from(MESSAGE_BYTES_MAX).unwrap(),
            max_peers_per_set: NZUsize!(N),
            disconnect_on_block: true,
            tracked_peer_sets: NZUsize!(1),
        };
        let (network, oracle) = simulated::Network::new_with_peers(ctx.child("network"), config, keys.clone()).await;
        network.start();
        for a in &keys {
            for b in keys.iter().filter(|b| *b != a) {
                oracle.add_link(a.clone(), b.clone(), link.clone()).await.unwrap();
            }
        }
        let (logs, tasks) = (0..N).map(|_| (Log::default(), None)).unzip();
        Self { ctx, oracle, logs, tasks, timeouts }
    }

    async fn start(&mut self, member: usize, behaviour: Behaviour) {
        self.start_with(member, behaviour, |cfg| cfg).await;
    }

    async fn start_with(
        &mut self,
        member: usize,
        behaviour: Behaviour,
        change: impl FnOnce(EngineConfig) -> EngineConfig,
    ) {
        let control = self.oracle.control(public_keys()[member].clone());
        let mut channels = Vec::new();
        for channel in 0..10 {
            channels.push(control.register(channel, Quota::per_second(NZU32!(10_000))).await.unwrap());
        }
        let net = channels.try_into().unwrap_or_else(|_| panic!("ten channels"));
        let (oracle, log) = (Oracle(control, self.oracle.manager()), self.logs[member].clone());
        let cfg = change(EngineConfig { timeouts: self.timeouts, ..config(member) });
        let secret = Zeroizing::new(seeds()[member].0);
        let ctx = self.ctx.child("member").with_attribute("member", member);
        self.tasks[member] = Some(ctx.spawn(move |ctx| async move {
            let make_app = move |outbox| App::start(&log, behaviour, outbox);
            validator(ctx.child("engine"), secret, net, oracle, make_app, cfg).await.unwrap().ended().await
        }));
    }

    async fn start_all(&mut self) {
        for member in 0..N {
            self.start(member, Behaviour::default()).await;
        }
    }

    fn crash(&mut self, member: usize) {
        self.tasks[member].take().unwrap().abort();
    }

    async fn run(&self, time_ms: u64) {
        self.ctx.sleep(ms(time_ms)).await;
    }

    fn height(&self, member: usize) -> u64 {
        self.logs[member].seen().height()
    }

    /// ENG-1 and ENG-3, over all members: one digest per height, deliveries ascending without gaps, proofs that verify.
    fn assert_agreement(&self) {
        let mut digests = BTreeMap::new();
        for log in &self.logs {
            let seen = log.seen();
            for (height, f) in &seen.finals {
                assert_eq!(
                    *digests.entry(*height).or_insert(f.block.head.digest),
                    f.block.head.digest,
                    "fork at {height}"
                );
                prove(f).unwrap();
            }
            for run in &seen.runs {
                assert!(run.windows(2).all(|pair| pair[1] == pair[0] + 1), "order of delivery {run:?}");
            }
        }
    }
}

fn proof(f: &FinalBlock) -> FinalityProof {
    let headers = std::iter::once(&f.block.bytes).chain(&f.link).map(|bytes| header_of(bytes)).collect();
    FinalityProof { headers, view: f.view, parent_view: f.parent_view, votes: f.votes.clone() }
}

fn prove(f: &FinalBlock) -> Result<(), FinalityError> {
    let nothing = SetHashes { set: vec![], bids: vec![], bid_hashes: vec![] };
    let token = finality::verify(&committee(header_of(&f.block.bytes).epoch), &proof(f), &nothing)?;
    assert_eq!((token.slot().0, token.digest()), (f.block.head.height, f.block.head.digest));
    Ok(())
}

fn lan() -> Link {
    Link { latency: ms(25), jitter: ms(2), success_rate: probability!(1.0) }
}

fn simulate<T>(seed: u64, scenario: impl AsyncFnOnce(Context) -> T) -> (String, T) {
    let config = deterministic::Config::default().with_seed(seed).with_timeout(Some(ms(600_000)));
    deterministic::Runner::new(config).start(|ctx| async move {
        let auditor = ctx.auditor();
        let out = scenario(ctx).await;
        (auditor.state(), out)
    })
}

#[test]
fn eng_1_2_3_healthy_members_agree_and_equal_seeds_give_equal_runs() {
    let run = |seed| {
        simulate(seed, async |ctx| {
            let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
            sim.start_all().await;
            sim.run(3_000).await;
            sim.assert_agreement();
            for member in 0..N {
                assert!(sim.height(member) >= 20, "member {member} at height {}", sim.height(member));
            }
            let seen = sim.logs[0].seen();
            assert_eq!(seen.runs[0].first(), Some(&1), "genesis is not delivered");
            let proposers: BTreeSet<_> = seen.finals.values().map(|f| header_of(&f.block.bytes).proposer).collect();
            assert_eq!(proposers.len(), N, "every member leads");
            seen.digests()
        })
    };
    let (state, digests) = run(1);
    assert_eq!((state.clone(), digests), run(1));
    assert_ne!(state, run(2).0);
}

#[test]
fn eng_3_a_changed_proof_does_not_verify() {
    let (_, f) = simulate(3, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        sim.start_all().await;
        sim.run(3_000).await;
        sim.logs[0].seen().finals[&5].clone()
    });
    prove(&f).unwrap();
    assert!(f.votes.len() >= 3 && f.votes.is_sorted_by(|a, b| a.member < b.member));
    for at in 0..f.votes.len() {
        let mut bad = f.clone();
        bad.votes[at].sig.0[40] ^= 1;
        assert_eq!(prove(&bad), Err(FinalityError::Signature(f.votes[at].member)));
    }
    let mut bad = f.clone();
    bad.view += 1;
    assert!(prove(&bad).is_err());
    bad = f.clone();
    bad.parent_view += 1;
    assert!(prove(&bad).is_err());
}

#[test]
fn eng_1_a_member_that_crashes_comes_back_without_a_fork() {
    simulate(4, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        sim.start_all().await;
        sim.run(2_000).await;
        sim.crash(3);
        let crashed_at = sim.height(3);
        sim.run(8_000).await;
        let others = sim.height(0);
        assert!(others > crashed_at + 20, "three of four go on: {crashed_at} to {others}");
        assert_eq!(sim.height(3), crashed_at);
        sim.start(3, Behaviour::default()).await;
        sim.run(3_000).await;
        assert!(sim.height(3) >= others, "catches up: {} of {others}", sim.height(3));
        sim.assert_agreement();
        let seen = sim.logs[3].seen();
        assert_eq!(seen.runs.len(), 2);
        assert!(seen.runs[1][0] <= crashed_at + 1, "no height left out: {} after {crashed_at}", seen.runs[1][0]);
        let leads =
            |from: u64| seen.finals.range(from..).any(|(_, f)| header_of(&f.block.bytes).proposer == MemberId(3));
        assert!(leads(others + 1), "and leads again");
    });
}

#[test]
fn eng_1_a_member_without_a_journal_starts_at_a_floor_and_does_not_vote() {
    simulate(14, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        for member in 0..3 {
            sim.start(member, Behaviour::default()).await;
        }
        sim.run(10_000).await;
        let final_block = sim.logs[0].seen().finals.values().rfind(|f| f.link.is_empty()).unwrap().clone();
        let FinalBlock { block, view, parent_view, votes, .. } = final_block;
        let height = block.head.height;
        assert!(height > 20);
        let floor = Floor { epoch: 0, digest: block.head.digest, view, parent_view, votes };
        sim.start_with(3, Behaviour::default(), |cfg| {
            let epoch = EngineEpoch { votes: false, ..cfg.epoch };
            EngineConfig { floor: Some(floor), epoch, ..cfg }
        })
        .await;
        sim.run(5_000).await;
        sim.assert_agreement();
        let others = sim.height(0);
        assert!(others > height + 10 && sim.height(3) + 3 > others, "{} of {others}", sim.height(3));
        assert!(sim.logs[3].seen().runs[0][0] >= height, "nothing below the floor is delivered");
        let voted = |log: &Log| log.seen().votes.iter().any(|vote| vote.member == MemberId(3));
        assert!(!sim.logs.iter().any(voted));
        // with its journal of this run, and told to vote, it takes part again
        sim.crash(3);
        sim.start(3, Behaviour::default()).await;
        sim.run(5_000).await;
        sim.assert_agreement();
        assert!(voted(&sim.logs[0]));
    });
}

const EPOCH: u64 = 16;

impl Sim {
    /// Starts a member in the epoch after what it has seen.
    async fn start_in_epoch(&mut self, member: usize) {
        let next = self.height(member) + 1;
        let start = next / EPOCH;
        let last = self.logs[member].seen().digests().get(&(start * EPOCH).saturating_sub(1)).copied();
        let behaviour = Behaviour { epochs: Some(EPOCH), ..Behaviour::default() };
        let from = epoch(start, last.unwrap_or_else(genesis_digest));
        self.start_with(member, behaviour, |cfg| EngineConfig { epoch: from, epoch_slots: EPOCH, ..cfg }).await;
    }
}

#[test]
fn eng_7_epochs_follow_each_other_without_a_gap() {
    let run = || {
        simulate(16, async |ctx| {
            let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
            for member in 0..N {
                sim.start_in_epoch(member).await;
            }
            sim.run(8_000).await;
            sim.assert_agreement();
            let seen = sim.logs[0].seen();
            assert!(seen.height() > 4 * EPOCH, "at height {}", seen.height());
            for (height, f) in &seen.finals {
                assert_eq!(header_of(&f.block.bytes).epoch, Epoch(height / EPOCH));
                let is_last = height % EPOCH == EPOCH - 1;
                assert!(f.link.is_empty() || !is_last, "the last block of an epoch has votes of its own");
            }
            let leaders = |from: u64| -> Vec<_> {
                seen.finals.range(from..from + EPOCH).map(|(_, f)| header_of(&f.block.bytes).proposer).collect()
            };
            assert_ne!(leaders(EPOCH), leaders(2 * EPOCH), "each epoch has its own order of leaders");
            seen.digests()
        })
    };
    assert_eq!(run(), run());
}

#[test]
fn eng_7_a_member_that_missed_the_end_of_an_epoch_is_told_of_it() {
    simulate(17, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        for member in 0..N {
            sim.start_in_epoch(member).await;
        }
        while sim.height(3) < 5 {
            sim.run(10).await;
        }
        sim.crash(3);
        while sim.height(0) < 2 * EPOCH + 5 {
            sim.run(10).await;
        }
        assert!(sim.height(3) < EPOCH - 1);
        sim.start_in_epoch(3).await;
        sim.run(4_000).await;
        sim.assert_agreement();
        assert!(sim.height(3) + 3 > sim.height(0), "{} of {}", sim.height(3), sim.height(0));
    });
}

/// Some members know that the last block of an epoch is final, the others do not, and all of them start again.
#[test]
fn eng_7_an_epoch_ends_although_few_know_it_when_all_stop() {
    let mut split = BTreeSet::new();
    for seed in 20..26 {
        simulate(seed, async |ctx| {
            let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
            for member in 0..N {
                sim.start_in_epoch(member).await;
            }
            let know = |sim: &Sim| (0..N).filter(|m| sim.height(*m) >= EPOCH - 1).count();
            while know(&sim) == 0 {
                sim.run(1).await;
            }
            split.insert(know(&sim));
            for member in 0..N {
                sim.crash(member);
            }
            for member in 0..N {
                sim.start_in_epoch(member).await;
            }
            sim.run(6_000).await;
            sim.assert_agreement();
            for member in 0..N {
                assert!(sim.height(member) > EPOCH + 10, "seed {seed}: member {member} at {}", sim.height(member));
            }
        });
    }
    assert!(split.iter().any(|know| (1..N).contains(know)), "{split:?}");
}

#[test]
fn votes_that_are_no_certificate_are_no_floor() {
    simulate(15, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        let floor = Floor { epoch: 0, digest: NETWORK, view: 4, parent_view: 3, votes: vec![] };
        let control = sim.oracle.control(public_keys()[0].clone());
        let mut channels = Vec::new();
        for channel in 0..10 {
            channels.push(control.register(channel, Quota::per_second(NZU32!(10_000))).await.unwrap());
        }
        let net = channels.try_into().unwrap_or_else(|_| panic!("ten channels"));
        let cfg = EngineConfig { floor: Some(floor), ..config(0) };
        let oracle = Oracle(control, sim.oracle.manager());
        let log = std::mem::take(&mut sim.logs[0]);
        let make_app = |outbox| App::start(&log, Behaviour::default(), outbox);
        let secret = Zeroizing::new(seeds()[0].0);
        let refused = validator(sim.ctx.child("engine"), secret, net, oracle, make_app, cfg).await;
        assert!(matches!(refused, Err(EngineError::Floor)));
    });
}

#[test]
fn eng_1_what_was_not_acknowledged_is_delivered_again() {
    simulate(5, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        for member in 0..3 {
            sim.start(member, Behaviour::default()).await;
        }
        sim.start(3, Behaviour { ack_until: Some(10), ..Behaviour::default() }).await;
        sim.run(4_000).await;
        assert_eq!(sim.height(3), 10 + 16, "sixteen blocks ahead of their acknowledgements");
        assert!(sim.height(0) > 30);
        sim.crash(3);
        sim.start(3, Behaviour::default()).await;
        sim.run(4_000).await;
        assert_eq!(sim.logs[3].seen().runs[1][0], 11);
        assert!(sim.height(3) > 50);
        sim.assert_agreement();
    });
}

#[test]
fn a_dropped_acknowledgement_ends_the_engine() {
    simulate(6, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        sim.start(0, Behaviour { drop_ack: Some(5), ..Behaviour::default() }).await;
        for member in 1..N {
            sim.start(member, Behaviour::default()).await;
        }
        sim.run(3_000).await;
        let part = sim.tasks[0].take().unwrap().await.unwrap();
        assert_eq!(part, "marshal");
        assert!(sim.height(0) < 5 + 16 && sim.height(1) > sim.height(0));
    });
}

#[test]
fn eng_5_refused_blocks_cost_no_timeout_and_are_never_final() {
    simulate(7, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        let refuses = Some(MemberId(0));
        for (member, builds) in
            [Builds::Blocks, Builds::Nothing, Builds::Garbage, Builds::OffParent].into_iter().enumerate()
        {
            sim.start(member, Behaviour { builds, ..Behaviour::default() }).await;
        }
        sim.run(10_000).await;
        let before = sim.height(0);
        // A turn of four views in which each failure cost a leader timeout would take three seconds.
        assert!(before > 20, "height {before}");
        sim.assert_agreement();
        for f in sim.logs[1].seen().finals.values() {
            assert_eq!(header_of(&f.block.bytes).proposer, MemberId(0));
        }
        for member in 0..N {
            sim.crash(member);
        }
        for member in 0..N {
            sim.start(member, Behaviour { refuses, ..Behaviour::default() }).await;
        }
        sim.run(5_000).await;
        sim.assert_agreement();
        let seen = sim.logs[1].seen();
        assert!(seen.height() > before + 20);
        // One block of before may still have been on its way.
        for f in seen.finals.range(before + 2..).map(|(_, f)| f) {
            assert_ne!(header_of(&f.block.bytes).proposer, MemberId(0));
        }
    });
}

#[test]
fn eng_4_6_messages_arrive_with_channel_and_sender() {
    simulate(8, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        sim.start_all().await;
        sim.run(500).await;
        let outboxes: Vec<_> = sim.logs.iter().map(|log| log.seen().outbox.clone().unwrap()).collect();
        for (member, outbox) in outboxes.iter().enumerate() {
            for channel in Channel::ALL {
                outbox.send(channel, To::All, Bytes::from(vec![channel as u8, member as u8]));
            }
        }
        outboxes[0].send(Channel::Lists, To::One(MemberId(2)), Bytes::from_static(b"for two"));
        outboxes[0].send(Channel::Lists, To::One(MemberId(0)), Bytes::from_static(b"for myself"));
        outboxes[0].send(Channel::Lists, To::One(MemberId(9)), Bytes::from_static(b"for nobody"));
        outboxes[0].send(Channel::Items, To::One(MemberId(1)), Bytes::from(vec![0; MESSAGE_BYTES_MAX]));
        outboxes[0].send(Channel::Items, To::One(MemberId(1)), Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1]));
        sim.run(500).await;
        for (member, log) in sim.logs.iter().enumerate() {
            let seen = log.seen();
            let (short, long): (Vec<_>, Vec<_>) = seen.messages.iter().partition(|(_, _, bytes)| bytes.len() == 2);
            assert_eq!(short.len(), 5 * (N - 1));
            for (channel, from, bytes) in &short {
                assert_eq!(**bytes, [*channel as u8, u8::try_from(from.0).unwrap()][..]);
                assert_ne!(usize::from(from.0), member, "not to oneself");
            }
            match member {
                1 => assert_eq!(long[0].2.len(), MESSAGE_BYTES_MAX),
                2 => assert_eq!(long, [&(Channel::Lists, MemberId(0), Bytes::from_static(b"for two"))]),
                _ => assert_eq!(long, [] as [&(Channel, MemberId, Bytes); 0]),
            }
        }
        let counts = outboxes[0].counts();
        assert_eq!((counts.oversize, counts.dropped, counts.missed), (1, 0, 2));
        assert_eq!(counts.sent, 15 + 2);
        sim.crash(0);
        sim.run(10).await;
        outboxes[0].send(Channel::Lists, To::All, Bytes::from_static(b"too late"));
        assert_eq!(outboxes[0].counts().dropped, 1, "counted after the end");
    });
}

#[test]
fn eng_3_6_votes_that_pass_by_are_signed_over_our_bytes() {
    simulate(9, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        for member in 0..3 {
            sim.start(member, Behaviour::default()).await;
        }
        sim.run(3_000).await;
        let seen = sim.logs[0].seen();
        let mut signed = BTreeSet::new();
        for vote in &seen.votes {
            let suffix = match vote.kind {
                VoteKind::Notarize => "_NOTARIZE",
                VoteKind::Nullify => "_NULLIFY",
                VoteKind::Finalize => "_FINALIZE",
            };
            let namespace = [tag::SIMPLEX.as_bytes(), NETWORK.as_ref(), suffix.as_bytes()].concat();
            let text = [&[u8::try_from(namespace.len()).unwrap()], &namespace[..], &vote.msg].concat();
            let key = seeds()[usize::from(vote.member.0)].1;
            assert!(crypto::ed25519::verify(&key, &text, &vote.sig), "{vote:?}");
            signed.insert((vote.member, vote.kind));
        }
        let kinds = [VoteKind::Notarize, VoteKind::Nullify, VoteKind::Finalize];
        let all: BTreeSet<_> = (0..3).flat_map(|member| kinds.map(|kind| (MemberId(member), kind))).collect();
        assert_eq!(signed, all, "the absent fourth makes the others nullify its views");
    });
}

#[test]
fn eng_3_a_block_final_through_its_descendant_has_a_linked_proof() {
    // Up to height 10 each notarization comes after two members have given the view up: their timeouts are short, one
    // of them never votes for the block and the others' votes are late. So nobody has three finalize votes before 11.
    const LATE: u64 = 10;
    let hasty = Timeouts { leader_ms: 100, certification_ms: 150, retry_ms: 400, ..Timeouts::for_slot(500) };
    simulate(10, async |ctx| {
        let mut sim = Sim::new(ctx, lan(), Timeouts::for_slot(500)).await;
        let clock = Arc::new(sim.ctx.child("clock"));
        let pauses = [Pause::For(ms(300)), Pause::For(ms(300)), Pause::For(ms(0)), Pause::Forever];
        for (member, pause) in pauses.into_iter().enumerate() {
            if member == 2 {
                sim.timeouts = hasty;
            }
            let checks = Some((LATE, pause, clock.clone()));
            sim.start(member, Behaviour { checks, ..Behaviour::default() }).await;
        }
        sim.run(12_000).await;
        sim.assert_agreement();
        for log in &sim.logs {
            let seen = log.seen();
            assert!(seen.height() > LATE + 10, "height {}", seen.height());
            let links: Vec<_> =
                seen.finals.range(..=LATE + 1).map(|(height, f)| (*height, f.link.len() as u64)).collect();
            assert_eq!(links, (1..=LATE + 1).map(|height| (height, LATE + 1 - height)).collect::<Vec<_>>());
        }
    });
}

// ---- pure parts ----

#[test]
fn eng_5_the_codec_refuses_what_open_refuses() {
    let cfg = BlockCfg { max: 1_000, open };
    let bytes = bytes_of(genesis_header());
    let block = cfg.open(bytes.clone()).unwrap();
    assert_eq!(block.head, BlockHead { height: 0, parent: Hash::ZERO, digest: block_digest(&genesis_header()) });
    let wire = block.encode();
    assert_eq!(EngineBlock::decode_cfg(wire.clone(), &cfg).unwrap(), block);
    assert!(wire.len() <= <EngineBlock as commonware_consensus::BoundedBlock>::max_encode_size(&cfg));

    let small = BlockCfg { max: u32::try_from(bytes.len()).unwrap() - 1, open };
    assert_eq!(small.open(bytes.clone()), Err(Reason::OversizedData));
    assert!(EngineBlock::decode_cfg(wire.clone(), &small).is_err());
    let longer = Bytes::from([&bytes[..], &[0]].concat());
    assert_eq!(cfg.open(longer.clone()), Err(Reason::MalformedData));
    assert!(EngineBlock::decode_cfg(longer.encode(), &cfg).is_err());
    for cut in 0..wire.len() {
        assert!(EngineBlock::decode_cfg(wire.slice(..cut), &cfg).is_err(), "cut at {cut}");
    }
    // A length that the bytes do not have.
    assert!(EngineBlock::decode_cfg(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]), &cfg).is_err());
}

#[test]
fn timeouts_follow_the_slot() {
    let times = |leader_ms, certification_ms, retry_ms, skip_ms, fetch_ms, fetch_retry_ms| Timeouts {
        leader_ms,
        certification_ms,
        retry_ms,
        skip_ms,
        fetch_ms,
        fetch_retry_ms,
    };
    assert_eq!(Timeouts::for_slot(500), times(1_000, 1_500, 1_000, 4_000, 1_000, 100));
    assert_eq!(Timeouts::for_slot(1_500), times(3_000, 4_500, 3_000, 12_000, 2_000, 250));
    for slot_ms in [1, 100, 500, 1_500, 60_000] {
        Timeouts::for_slot(slot_ms).check().unwrap();
    }
    assert!(times(1_000, 1_000, 1_000, 4_000, 1_000, 100).check().is_err(), "certification <= leader");
    assert!(times(1_000, 1_500, 1_000, 1_500, 1_000, 100).check().is_err(), "skip <= certification");
    assert!(times(1_000, 1_500, 4_000, 4_000, 1_000, 100).check().is_err(), "skip <= retry");
    assert!(times(0, 1_500, 1_000, 4_000, 1_000, 100).check().is_err(), "no time at all");
    let devnet = Timeouts::for_slot(500);
    devnet.check_slot(500, 200, 20, 250).unwrap();
    assert!(devnet.check_slot(500, 200, 101, 250).is_err(), "leader < slot + close_min + list_grace + 200");
    assert!(devnet.check_slot(500, 200, 20, 334).is_err(), "leader < 3 fill_after");
}

#[test]
fn bad_configurations_are_refused_before_anything_starts() {
    let address = "127.0.0.1:0".parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let attempt = |change: &dyn Fn(&mut EngineConfig, &mut TcpConfig, &mut [u8; 32])| {
        let peers = (0..N as u16).map(|i| (MemberId(i), address)).collect();
        let (mut cfg, mut tcp) = (config(0), TcpConfig::devnet(address, peers, dir.path().join("engine")));
        let mut secret = seeds()[0].0;
        change(&mut cfg, &mut tcp, &mut secret);
        let log = Log::default();
        let started =
            start_tcp(Zeroizing::new(secret), tcp, cfg, move |outbox| App::start(&log, Behaviour::default(), outbox));
        started.map(|handle| handle.stop()).unwrap_err()
    };
    use EngineError as E;
    assert!(matches!(attempt(&|cfg, _, _| cfg.epoch_slots = 1), E::EpochSlots { slots: 1 }));
    assert!(matches!(attempt(&|cfg, _, _| cfg.members.clear()), E::Committee { count: 0 }));
    assert!(matches!(attempt(&|cfg, _, _| cfg.members.swap(0, 1)), E::Order));
    assert!(matches!(attempt(&|cfg, _, _| cfg.members[1] = cfg.members[0]), E::Order));
    assert!(matches!(attempt(&|_, _, secret| *secret = [99; 32]), E::NotMember));
    assert!(matches!(attempt(&|cfg, _, _| cfg.prefix = "a/b".into()), E::Prefix));
    assert!(matches!(attempt(&|cfg, _, _| cfg.timeouts.skip_ms = 1), E::Timeouts));
    assert!(matches!(attempt(&|cfg, _, _| cfg.quotas[6] = 0), E::Quota { channel: 6 }));
    assert!(matches!(attempt(&|cfg, _, _| cfg.block_max = 8 << 20), E::BlockMax));
    assert!(matches!(attempt(&|cfg, _, _| cfg.block_max = 10), E::Genesis(Reason::OversizedData)));
    assert!(matches!(attempt(&|cfg, _, _| cfg.genesis = Bytes::from_static(b"x")), E::Genesis(Reason::MalformedData)));
    let at_one = BlockHeader { height: Slot(1), ..genesis_header() };
    assert!(matches!(attempt(&|cfg, _, _| cfg.genesis = bytes_of(at_one.clone())), E::GenesisHeight { height: 1 }));
    assert!(matches!(attempt(&|_, tcp, _| tcp.peers.truncate(3)), E::Addresses));
    assert!(matches!(attempt(&|_, tcp, _| tcp.peers[3].0 = MemberId(4)), E::Addresses));
    assert!(matches!(attempt(&|_, tcp, _| tcp.peers[3].0 = MemberId(2)), E::Addresses));
    assert!(matches!(attempt(&|_, tcp, _| tcp.listen = "192.0.2.1:2".parse().unwrap()), E::Listen(_)));
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(matches!(attempt(&|_, tcp, _| tcp.storage_dir = file.join("x")), E::Directory(_)));
    // Not a point: y = 2 has no x on the curve.
    let mut no_point = [0; 32];
    no_point[0] = 2;
    assert!(matches!(attempt(&|cfg, _, _| cfg.members[0] = Hash(no_point)), E::Key { member: MemberId(0) }));
    // The largest block a network may have still fits a message with its certificate: what fails comes after.
    let largest = u32::try_from(limits::BLOCK_BYTES_MAX).unwrap();
    let no_address = "192.0.2.1:1".parse().unwrap();
    assert!(matches!(attempt(&|cfg, tcp, _| (cfg.block_max, tcp.listen) = (largest, no_address)), E::Listen(_)));
    assert!(matches!(attempt(&|cfg, _, _| cfg.block_max = largest + 1), E::BlockMax));
}

// ---- over TCP ----

#[test]
fn four_members_over_tcp_finalise_stop_and_go_on_after_a_restart() {
    let listeners: Vec<_> = (0..N).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    drop(listeners);
    let dir = tempfile::tempdir().unwrap();
    let logs: Vec<_> = (0..N).map(|_| Log::default()).collect();
    let run = |height: u64| {
        let peers: Vec<_> = addresses.iter().enumerate().map(|(i, address)| (MemberId(i as u16), *address)).collect();
        let handles: Vec<_> = (0..N)
            .map(|member| {
                let storage_dir = dir.path().join(format!("engine{member}"));
                let tcp = TcpConfig::devnet(addresses[member], peers.clone(), storage_dir);
                let (secret, log) = (Zeroizing::new(seeds()[member].0), logs[member].clone());
                start_tcp(secret, tcp, config(member), move |outbox| App::start(&log, Behaviour::default(), outbox))
                    .unwrap()
            })
            .collect();
        for log in &logs {
            log.wait_for_height(height);
        }
        handles[1].outbox.send(Channel::Shares, To::One(MemberId(2)), Bytes::from_static(b"over tcp"));
        let metrics = handles[3].metrics();
        assert!(
            metrics.lines().any(|line| line.starts_with("engine_tip") && line.contains("member=\"3\"")),
            "{metrics}"
        );
        logs[2].wait("message", |seen| !seen.messages.is_empty());
        assert!(handles.iter().all(|handle| !handle.is_finished()));
        handles.iter().for_each(EngineHandle::stop);
        for handle in handles {
            handle.join().unwrap();
        }
    };
    run(20);
    let heard = logs[2].seen().messages.clone();
    assert_eq!(heard, [(Channel::Shares, MemberId(1), Bytes::from_static(b"over tcp"))]);
    let reached = logs.iter().map(|log| log.seen().height()).max().unwrap();
    run(reached + 5);
    let digests: Vec<_> = logs.iter().map(|log| log.seen().digests()).collect();
    for height in 1..=reached + 5 {
        assert!(digests.iter().all(|of| of[&height] == digests[0][&height]), "fork at {height}");
    }
    for f in logs[0].seen().finals.values() {
        prove(f).unwrap();
    }
    // What was acknowledged before the stop is not delivered again, but for the last few.
    assert!(logs[0].seen().runs[1][0] + 20 > reached);
}
