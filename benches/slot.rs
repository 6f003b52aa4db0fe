//! What a slot costs one member of four: the machine of `sequencer`, `execution` and `store`, from the wallets'
//! envelopes to the rollups' roots. No node, no sockets, no engine: votes are signed directly.
//!
//! Goal: CPU time and wall clock by phase for B = 128 and 512 envelopes. Method: four machines run two slots on a virtual
//! clock with B envelopes each; the second slot of member 1, which has a disk, is measured. Afterwards the bench checks
//! itself: an auditor with every check on reads the log and finds nothing, all members wrote the same entries, and each
//! bundle ended as its wallet meant it. Half of the bundles move coins, an eighth tokens, an eighth sells, an eighth swaps
//! across two rollups, an eighth aborts in its second leg.
//!
//! `cargo bench --bench slot -- --sample-size 20` measures that many slots.
#![expect(clippy::expect_used, reason = "a bench: what does not hold ends it with the reason")]

#[path = "common/cpu.rs"]
#[expect(dead_code, reason = "criterion's part is for the other benches")]
mod cpu;
#[path = "common/meter.rs"]
mod meter;
#[path = "common/network.rs"]
mod network;

use auction_rules::{Ledger, Terms};
use crypto::{
    finality::SetHashes,
    keys::KeySet,
    succession::Ceremony,
    tdh2::{self, HeldShares, Item},
};
use execution::{Executor, OpenedUnit, Registry, SlotEnv, prepare};
use meter::{Meter, Role};
use network::{FAULTS, GENESIS_TIME, MEMBERS, Net, SLOT_MS, key};
use sequencer::{
    At, Channel, Commit, Effect, ExecUnit, Input, ItemRecord, Job, Record, Refused, Resume, Secrets, Sequencer, Setup,
    SignKeys, Ticket, Timings,
};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use store::{
    log::LogDir,
    state::{Lock, State},
    wal::{SEGMENT_BYTES_DEVNET, Wal},
};
use tlog::checkpoint::Policy;
use types::{
    Block, Entry, Envelope, Epoch, FinalityProof, Hash, Kind, MemberId, Slot, SlotResult, Timestamp, codec, limits,
    reason::{Outcome, Reason},
};
use verifier::{Anchor, Checks, Replay};
use wallet::demo::DemoKind;

const KINDS: [DemoKind; 8] = [
    DemoKind::Transfer,
    DemoKind::TokenTransfer,
    DemoKind::Transfer,
    DemoKind::Sell,
    DemoKind::Transfer,
    DemoKind::CrossSwap,
    DemoKind::Transfer,
    DemoKind::CrossRevert,
];
/// Proposes.
const LEADER: usize = 0;
/// Is measured, and has a disk.
const MEASURED: usize = 1;
const START: u64 = GENESIS_TIME * 1_000;
const SEED: [u8; 32] = [0x51; 32];

/// What a machine asked for and has not got.
#[derive(Default)]
struct Asked {
    jobs: Vec<Job>,
    items: Vec<(Hash, ItemRecord)>,
    list: Option<(Slot, Vec<u8>)>,
    commit: Option<Box<Commit>>,
    opened: Option<(Slot, Vec<Vec<u8>>)>,
    sends: Vec<(Channel, Vec<u8>)>,
    receipts: usize,
    built: Option<Vec<u8>>,
    checked: Option<Result<(), Refused>>,
    execute: Option<(SlotEnv, Vec<ExecUnit>)>,
    publish: Option<(Slot, String)>,
    refused: Option<Reason>,
}

impl Asked {
    fn take_in(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(Record::Items(items)) => self.items.extend(items),
                Effect::Persist(Record::Bids(bids)) => assert!(bids.is_empty(), "nobody bids"),
                Effect::Persist(Record::Objects(objects)) => assert!(objects.is_empty(), "nobody builds"),
                Effect::Persist(Record::Operations(operations)) => assert!(operations.is_empty(), "nobody is guilty"),
                Effect::Persist(Record::List { slot, bytes }) => self.list = Some((slot, bytes)),
                Effect::Persist(Record::Commit(commit)) => self.commit = Some(commit),
                Effect::Persist(Record::Opened { slot, entries }) => self.opened = Some((slot, entries)),
                Effect::Send { channel, bytes, .. } => self.sends.push((channel, bytes)),
                Effect::Reply { answer, .. } => self.receipts += usize::from(answer.is_ok()),
                Effect::Built { block, .. } => self.built = block,
                Effect::Checked { verdict, .. } => self.checked = Some(verdict),
                Effect::Run(job) => self.jobs.push(job),
                Effect::Execute { slot, time_ms, beacon, units } => {
                    self.execute = Some((SlotEnv { slot, time_ms, beacon }, units));
                }
                Effect::Publish { slot, note } => self.publish = Some((slot, note)),
                Effect::Reject { reason, .. } => self.refused = Some(reason),
                Effect::Ack(_)
                | Effect::Taken { .. }
                | Effect::ExecuteTail { .. }
                | Effect::Epoch(_)
                | Effect::Event(_)
                | Effect::Phase { .. }
                | Effect::Evidence { .. } => {}
            }
        }
    }

    fn sent(&mut self, wanted: Channel) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.sends)
            .into_iter()
            .filter(|(channel, _)| *channel == wanted)
            .map(|(_, bytes)| bytes)
            .collect()
    }
}

struct Member {
    machine: Sequencer,
    asked: Asked,
    entries: Vec<Vec<u8>>,
}

impl Member {
    fn step(&mut self, now: Timestamp, input: Input) {
        let effects = self.machine.step(now, input).expect("no invariant breaks");
        self.asked.take_in(effects);
        assert_eq!(self.asked.refused, None, "nobody sends anything bad");
    }
}

/// The measured member's disk; writes in the order of log.md section 10, as the node does.
struct Disk {
    wal: Wal,
    state: State,
    log: LogDir,
    opened: Slot,
}

impl Disk {
    fn new(folder: &Path, genesis: &[Vec<u8>]) -> Self {
        let state = State::open(&folder.join("state.redb")).expect("a database");
        let log = LogDir::open(folder, None).expect("an empty log");
        let (wal, _nothing) = Wal::open(&folder.join("wal"), SEGMENT_BYTES_DEVNET, [7; 16]).expect("a new WAL");
        let mut disk = Self { wal, state, log, opened: Slot(0) };
        disk.append(Slot(0), 0, genesis);
        disk
    }
    fn append(&mut self, slot: Slot, time: u64, entries: &[Vec<u8>]) {
        let staged = self.log.stage(entries).expect("staged");
        let staging = staged.name().to_owned();
        let owed = (1, self.wal.next_seq());
        let lock = Lock { head: staged.head(), slot, time, opened: self.opened, staging, owed };
        self.state.commit(&lock).expect("locked");
        self.log.apply(staged).expect("tiles");
    }
    fn items(&mut self, items: &[(Hash, ItemRecord)]) {
        let payloads: Vec<Vec<u8>> = items.iter().map(codec::encode).collect();
        self.wal.append(&payloads).expect("appended");
    }
    fn list(&mut self, slot: Slot, bytes: &[u8]) {
        self.state.put_list(slot, bytes).expect("recorded");
    }
    fn commit(&mut self, commit: &Commit) {
        self.state.put("share-message", &(commit.slot, commit.share_message.clone())).expect("recorded");
        self.append(commit.slot, commit.cosigned_at, &commit.entries);
    }
    fn opened(&mut self, slot: Slot, entries: &[Vec<u8>]) {
        self.log.append(entries).expect("appended");
        self.opened = slot;
    }
    fn publish(&mut self, slot: Slot, note: &str) {
        self.log.publish(Epoch(0), slot, note).expect("published");
    }
}

/// Sealed once, run through fresh machines every time.
struct Bench {
    net: Net,
    anchor: Anchor,
    secrets: Vec<Arc<Secrets>>,
    registry: Registry,
    /// Of slots 1 and 2.
    slots: Vec<Vec<Envelope>>,
    kinds: BTreeMap<Hash, DemoKind>,
}

/// One run: four machines, a disk, the rollups.
struct Run<'a> {
    bench: &'a Bench,
    members: Vec<Member>,
    disk: Disk,
    executor: Executor,
    parent: Vec<u8>,
    proofs: Vec<FinalityProof>,
    results: Vec<(SlotEnv, Vec<Hash>, SlotResult)>,
    sizes: Vec<(&'static str, usize)>,
}

fn own<T>(meter: &mut Option<&mut Meter>, name: &'static str, work: impl FnOnce() -> T) -> T {
    match meter {
        Some(meter) => meter.time(Role::Own, name, work),
        None => work(),
    }
}

impl Bench {
    fn new(count: usize) -> Self {
        let mut net = Net::new(u32::try_from(count / 4).expect("few wallets"));
        let mut kinds = BTreeMap::new();
        let slots = (0..2).map(|_| {
            let made = net.seal(&KINDS, count);
            kinds.extend(made.iter().map(|made| (made.item, made.kind)));
            made.into_iter().map(|made| made.envelope).collect()
        });
        let slots = slots.collect();
        let keys = Arc::new(net.deal.key_set());
        let shares = core::mem::take(&mut net.deal.decrypt).into_iter().zip(core::mem::take(&mut net.deal.beacon));
        let secrets = shares
            .map(|(decrypt, beacon)| Secrets { network: net.id, keys: Arc::clone(&keys), decrypt, beacon })
            .map(Arc::new)
            .collect();
        let anchor = Anchor::new(net.network.clone(), net.rollups.clone()).expect("a network of four");
        let registry = net.registry();
        Self { net, anchor, secrets, registry, slots, kinds }
    }

    fn keys(&self) -> &KeySet {
        &self.secrets.first().expect("members").keys
    }

    fn member(&self, me: u16, secrets: &Arc<Secrets>) -> Member {
        let mut replay = Replay::new(&self.anchor, Checks::TRUSTED).expect("an anchor");
        let entries = sequencer::genesis_section(&self.net.network, self.net.id, replay.ledger_root(), replay.states());
        for (index, entry) in (0..).zip(&entries) {
            replay.entry(index, entry);
        }
        assert_eq!(replay.findings(), []);
        let state = replay.end();
        let resume = Resume {
            ledger: state.ledger,
            tree: state.tree,
            last: Block::genesis(self.net.id).header,
            unopened: None,
            reveal: state.reveal,
            epochs: state.epochs,
            succession: state.succession,
            states: state.states,
            unexecuted: Vec::new(),
            left_heads: state.left_heads,
            included: state.included,
            placed: Vec::new(),
            recent: sequencer::Recent::default(),
            objects: Vec::new(),
            rejoin: None,
            share_message: None,
            own_list: None,
            cosigned_at: 0,
            items: Vec::new(),
            bids: Vec::new(),
            operations: Vec::new(),
            faults: state.faults,
        };
        let members = self.net.network.genesis.members.clone();
        let setup = Setup {
            me: MemberId(me),
            network: self.net.id,
            policy: Policy::new(&self.net.network.genesis.origin, &members, FAULTS).expect("a policy"),
            params: self.net.params().clone(),
            f: FAULTS,
            members,
            before: None,
            ceremony: Ceremony { holds: |_, _, _| false, conclude: |_, _, _| None },
            timings: Timings::for_slot(SLOT_MS),
            seed: SEED,
        };
        let signer = SignKeys { receipt: key("receipt", me), log: key("log", me), cosigner: key("cosigner", me) };
        let machine = Sequencer::new(setup, Arc::clone(secrets), signer, resume, Timestamp(START));
        Member { machine, asked: Asked::default(), entries }
    }

    fn start(&self, folder: &Path) -> Run<'_> {
        let members: Vec<Member> = (0u16..).zip(&self.secrets).map(|(me, s)| self.member(me, s)).collect();
        let disk = Disk::new(folder, &members.first().expect("members").entries);
        Run {
            bench: self,
            members,
            disk,
            executor: self.net.executor(),
            parent: codec::encode(&Block::genesis(self.net.id)),
            proofs: Vec::new(),
            results: Vec::new(),
            sizes: Vec::new(),
        }
    }
}

impl Run<'_> {
    fn measured(&mut self) -> &mut Member {
        self.members.get_mut(MEASURED).expect("a member")
    }

    /// One slot from the wallets to the rollups; `meter` for the measured member's work.
    fn slot(&mut self, slot: Slot, mut meter: Option<&mut Meter>) {
        let bench = self.bench;
        let begin = START + (slot.0 - 1) * SLOT_MS;
        let envelopes = bench.slots.get(usize::try_from(slot.0 - 1).unwrap_or(0)).expect("sealed for this slot");
        self.admit(Timestamp(begin), envelopes, &mut meter);
        self.relay(Timestamp(begin + 20), &mut meter);
        let close = Timestamp(begin + SLOT_MS);
        self.lists(slot, close, &mut meter);
        let (block, proof) = self.block(slot, close, &mut meter);
        self.fix(close, &block, &proof, &mut meter);
        self.open(close, &mut meter);
        self.execute(close, &mut meter);
        self.parent = block;
        self.proofs.push(proof);
    }

    fn admit(&mut self, now: Timestamp, envelopes: &[Envelope], meter: &mut Option<&mut Meter>) {
        for (i, member) in self.members.iter_mut().enumerate() {
            let mut nobody = None;
            let meter = if i == MEASURED { &mut *meter } else { &mut nobody };
            let inputs: Vec<Input> = (0u64..)
                .zip(envelopes)
                .map(|(i, envelope)| Input::Submit { ticket: Ticket(i), envelope: Box::new(envelope.clone()) })
                .collect();
            own(meter, "submissions: hash, checks that cost nothing", || {
                inputs.into_iter().for_each(|input| member.step(now, input));
            });
            while let Some(job) = member.asked.jobs.pop() {
                let result = own(meter, "admission: signatures, proofs, own shares", || job.run());
                own(meter, "pool and receipts", || member.step(now, Input::Done(Box::new(result))));
                let items = core::mem::take(&mut member.asked.items);
                if i == MEASURED {
                    let disk = &mut self.disk;
                    own(meter, "WAL, one fsync a batch", || disk.items(&items));
                }
            }
            assert_eq!(core::mem::take(&mut member.asked.receipts), envelopes.len(), "a receipt for each envelope");
        }
    }

    fn relay(&mut self, now: Timestamp, meter: &mut Option<&mut Meter>) {
        let mut copies = Vec::new();
        for (i, member) in self.members.iter_mut().enumerate() {
            let mut nobody = None;
            let meter = if i == MEASURED { &mut *meter } else { &mut nobody };
            own(meter, "relay to the others", || member.step(now, Input::Tick));
            let sent = member.asked.sent(Channel::Items);
            if i != MEASURED {
                let from = MemberId(u16::try_from(i).unwrap_or(0));
                copies.extend(sent.into_iter().map(|bytes| (from, bytes)));
            }
        }
        self.deliver(now, Channel::Items, copies, meter, "copies that three others relay");
    }

    /// To the measured member.
    fn deliver(
        &mut self,
        now: Timestamp,
        channel: Channel,
        messages: Vec<(MemberId, Vec<u8>)>,
        meter: &mut Option<&mut Meter>,
        name: &'static str,
    ) {
        let member = self.measured();
        own(meter, name, || {
            for (from, bytes) in messages {
                member.step(now, Input::Message { channel, from, bytes });
            }
        });
    }

    /// Everybody's last message of a channel to everybody.
    fn exchange(&mut self, now: Timestamp, channel: Channel, meter: &mut Option<&mut Meter>, name: &'static str) {
        let sent: Vec<(MemberId, Vec<u8>)> = (0u16..)
            .zip(&mut self.members)
            .filter_map(|(i, member)| Some((MemberId(i), member.asked.sent(channel).pop()?)))
            .collect();
        for i in 0..self.members.len() {
            let me = MemberId(u16::try_from(i).unwrap_or(0));
            let others: Vec<_> = sent.iter().filter(|(from, _)| *from != me).cloned().collect();
            assert_eq!(others.len(), self.members.len() - 1, "everybody sent one");
            if i == MEASURED {
                self.deliver(now, channel, others, meter, name);
            } else if let Some(member) = self.members.get_mut(i) {
                for (from, bytes) in others {
                    member.step(now, Input::Message { channel, from, bytes });
                }
            }
        }
    }

    fn lists(&mut self, slot: Slot, now: Timestamp, meter: &mut Option<&mut Meter>) {
        for (i, member) in self.members.iter_mut().enumerate() {
            let mut nobody = None;
            let meter = if i == MEASURED { &mut *meter } else { &mut nobody };
            own(meter, "own list: rank, sign", || member.step(now, Input::Tick));
            let (listed, bytes) = member.asked.list.take().expect("the list is due");
            assert_eq!(listed, slot);
            if i == MEASURED {
                let disk = &mut self.disk;
                own(meter, "own list on disk, fsync", || disk.list(slot, &bytes));
            }
        }
        self.exchange(now, Channel::Lists, meter, "lists of three others");
    }

    fn block(&mut self, slot: Slot, now: Timestamp, meter: &mut Option<&mut Meter>) -> (Vec<u8>, FinalityProof) {
        let at = At { epoch: 0, view: slot.0, leader: MemberId(0) };
        let (ticket, parent) = (Ticket(1 << 32), self.parent.clone());
        let leader = self.members.get_mut(LEADER).expect("a leader");
        let build = Input::Build { ticket, parent: parent.clone(), at };
        match meter {
            Some(meter) => meter.time(Role::Leader, "build the block", || leader.step(now, build)),
            None => leader.step(now, build),
        }
        let block = leader.asked.built.take().expect("all lists are there");
        let member = self.measured();
        let check = Input::Check { ticket, block: block.clone(), parent, at };
        own(meter, "check the block: lists, candidates, set", || member.step(now, check));
        assert_eq!(member.asked.checked.take(), Some(Ok(())), "an honest block is valid");
        let header = sequencer::open(&block).expect("a block").block.header;
        let proof = self.bench.net.voters.finalize(vec![header]);
        self.sizes.push(("block", block.len()));
        (block, proof)
    }

    fn fix(&mut self, now: Timestamp, block: &[u8], proof: &FinalityProof, meter: &mut Option<&mut Meter>) {
        for (i, member) in self.members.iter_mut().enumerate() {
            let mut nobody = None;
            let meter = if i == MEASURED { &mut *meter } else { &mut nobody };
            let input = Input::Final { block: block.to_vec(), proof: proof.clone() };
            own(meter, "final: votes, EXEC of the slot before, section A, share message", || {
                member.step(now, input);
            });
            let commit = member.asked.commit.take().expect("the block is final");
            if i == MEASURED {
                let disk = &mut self.disk;
                own(meter, "commit: share message, staging, lock, tiles, each with fsync", || disk.commit(&commit));
                self.sizes.push(("share message", commit.share_message.len()));
                self.sizes.push(("section A", commit.entries.iter().map(Vec::len).sum()));
            }
            member.entries.extend(commit.entries);
        }
    }

    fn open(&mut self, now: Timestamp, meter: &mut Option<&mut Meter>) {
        self.exchange(now, Channel::Shares, meter, "share messages of three others, checkpoint");
        for (i, member) in self.members.iter_mut().enumerate() {
            let mut nobody = None;
            let meter = if i == MEASURED { &mut *meter } else { &mut nobody };
            let job = member.asked.jobs.pop().expect("a quorum of shares is there");
            let result = own(meter, "reveal: beacon, combine, open", || job.run());
            own(meter, "order, section B", || member.step(now, Input::Done(Box::new(result))));
            let (slot, entries) = member.asked.opened.take().expect("the slot opens");
            if i == MEASURED {
                let (slot_noted, note) = member.asked.publish.take().expect("a quorum of cosignatures is there");
                let disk = &mut self.disk;
                own(meter, "checkpoint published, fsync", || disk.publish(slot_noted, &note));
                own(meter, "section B in memory", || disk.opened(slot, &entries));
                self.sizes.push(("section B", entries.iter().map(Vec::len).sum()));
            }
            member.entries.extend(entries);
        }
    }

    fn execute(&mut self, now: Timestamp, meter: &mut Option<&mut Meter>) {
        let (env, units) = self.measured().asked.execute.take().expect("an order to execute");
        let registry = &self.bench.registry;
        let prepared: Vec<_> = own(meter, "execution: decode bundles, recover senders", || {
            let opened = |unit: &ExecUnit| {
                prepare(
                    &OpenedUnit { hash: unit.hash, message: unit.message.as_deref(), gas_class: unit.gas_class },
                    registry,
                )
            };
            units.iter().map(opened).collect()
        });
        let executor = &mut self.executor;
        own(meter, "execution: two rollups", || executor.order(&env, &prepared));
        let result = own(meter, "execution: state and receipt roots", || executor.close());
        for (i, member) in self.members.iter_mut().enumerate() {
            let input = Input::Executed { slot: env.slot, result: Box::new(result.clone()) };
            let mut nobody = None;
            let meter = if i == MEASURED { &mut *meter } else { &mut nobody };
            own(meter, "outcomes noted", || member.step(now, input));
        }
        self.results.push((env, units.iter().map(|unit| unit.hash).collect(), result));
    }

    /// Parts of the second slot by themselves, with the same inputs, through the functions of ring 0.
    fn parts(&self, meter: &mut Meter) {
        let bench = self.bench;
        let envelopes = bench.slots.get(1).expect("two slots");
        let mut by_hash: Vec<(Hash, &Envelope)> =
            envelopes.iter().map(|envelope| (crypto::ids::hash_envelope(envelope), envelope)).collect();
        by_hash.sort_by_key(|(hash, _)| *hash);
        let set: Vec<Hash> = by_hash.iter().map(|(hash, _)| *hash).collect();
        let aads: Vec<_> = by_hash.iter().map(|(_, e)| tdh2::envelope_aad(&e.signed.header)).collect();
        let items: Vec<Item<'_>> = by_hash
            .iter()
            .zip(&aads)
            .map(|((_, e), aad)| Item {
                aad,
                class_bytes: e.signed.header.class().expect("a class").bytes(),
                ciphertext: &e.ciphertext,
            })
            .collect();
        let key = bench.keys().encryption_key();
        let admitted: Vec<_> = meter.time(Role::Part, "admission: proofs of ciphertexts, batches of 128", || {
            items.chunks(limits::ADMIT_BATCH_MAX).flat_map(|chunk| tdh2::admit(key, chunk, SEED)).collect()
        });
        let secrets = bench.secrets.get(MEASURED).expect("a member");
        let held = meter.time(Role::Part, "admission: own shares", || {
            let share = |(hash, admitted): (&Hash, &Result<_, _>)| {
                secrets.decrypt.share(*hash, admitted.as_ref().expect("what was sealed is admitted"))
            };
            set.iter().zip(&admitted).map(share).collect()
        });
        let proof = self.proofs.get(1).expect("two slots");
        let hashes = SetHashes { set, bids: Vec::new(), bid_hashes: Vec::new() };
        let committee = bench.net.voters.committee(bench.net.id, Epoch(0));
        let token = meter.time(Role::Part, "final: votes", || crypto::finality::verify(&committee, proof, &hashes));
        let token = token.expect("the votes are real");
        let released = meter.time(Role::Part, "final: shares out of their type", || {
            #[expect(clippy::disallowed_methods, reason = "the member's own exit, measured; the votes are real")]
            HeldShares::collect(held).release(&token)
        });
        assert_eq!(released.map(|points| points.len()), Ok(envelopes.len()), "shares of the whole set");
        let terms: Vec<Terms> = by_hash.iter().map(|(hash, e)| Terms::of(*hash, &e.signed.header)).collect();
        let (env, order, _) = self.results.get(1).expect("two slots");
        let units: Vec<_> = terms
            .iter()
            .map(|t| ordering::Unit { hash: t.hash, account: t.account, nonce: t.nonce, after: t.after.clone() })
            .collect();
        let perm = meter.time(Role::Part, "order", || ordering::order(&env.beacon, &units)).expect("an order");
        let ordered = perm.iter().filter_map(|i| units.get(usize::from(*i)).map(|unit| unit.hash));
        assert!(ordered.eq(order.iter().copied()), "the order is that of the slot");
        self.ledger(meter);
    }

    /// EXEC(1): the ledger's credits of the slot before.
    fn ledger(&self, meter: &mut Meter) {
        let bench = self.bench;
        let mut ledger = Ledger::genesis(&bench.net.network.genesis).expect("opening balances");
        let first = bench.slots.first().expect("two slots").iter();
        let mut terms: Vec<Terms> = first.map(|e| Terms::of(crypto::ids::hash_envelope(e), &e.signed.header)).collect();
        terms.sort_by_key(|terms| terms.hash);
        ledger.close(bench.net.params(), Slot(1), &terms).expect("the set is payable");
        let (_, order, result) = self.results.first().expect("two slots");
        let outcomes: Vec<_> = order
            .iter()
            .zip(&result.outcomes)
            .map(|(hash, code)| (*hash, Outcome::from_number(*code).expect("an outcome")))
            .collect();
        meter
            .time(Role::Part, "final: EXEC, the ledger's part", || ledger.exec(bench.net.params(), Slot(1), &outcomes))
            .expect("sums add up");
        let entries = &self.members.first().expect("members").entries;
        let logged = entries.iter().find_map(|bytes| {
            let entry: Entry = codec::decode(bytes, limits::ENTRY_BYTES_MAX).expect("an entry");
            if let Kind::Exec { ledger, .. } = entry.kind { Some(ledger) } else { None }
        });
        assert_eq!(logged, Some(ledger.chain()), "the ledger is that of the log");
    }

    /// What was measured is what should have happened.
    fn check(&self, audit: bool) {
        let entries = &self.members.first().expect("members").entries;
        assert!(self.members.iter().all(|member| member.entries == *entries), "all members wrote the same log");
        assert_eq!(self.disk.log.size(), u64::try_from(entries.len()).unwrap_or(0), "and the disk holds it");
        for (_, order, result) in &self.results {
            for (hash, code) in order.iter().zip(&result.outcomes) {
                let kind = self.bench.kinds.get(hash).expect("one of ours");
                let wanted = if kind.aborts() { Outcome::Revert } else { Outcome::Committed };
                assert_eq!(Outcome::from_number(*code), Some(wanted), "{kind:?} ends as its wallet meant it");
            }
            assert_eq!(result.outcomes.len(), self.bench.slots.first().map_or(0, Vec::len), "every envelope is in");
        }
        if audit {
            let mut replay = Replay::new(&self.bench.anchor, Checks::ALL).expect("an anchor");
            let mut proofs = self.proofs.iter();
            for (index, entry) in (0..).zip(entries) {
                let kind = codec::decode::<Entry>(entry, limits::ENTRY_BYTES_MAX).expect("an entry").kind;
                if matches!(kind, Kind::Beacon { .. }) {
                    replay.finality(proofs.next().expect("a proof a slot"));
                }
                replay.entry(index, entry);
            }
            assert_eq!(replay.findings(), [], "an auditor finds nothing");
            assert_eq!((replay.slots(), replay.finalities()), (2, 2));
        }
    }
}

fn sample_size(arguments: &[String]) -> usize {
    if !arguments.iter().any(|argument| argument == "--bench") {
        return 1; // `cargo test --benches`: does it still run?
    }
    let at = arguments.iter().position(|argument| argument == "--sample-size");
    at.and_then(|at| arguments.get(at + 1)).and_then(|size| size.parse().ok()).unwrap_or(20)
}

#[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runs = sample_size(&arguments);
    for count in [128u32, 512] {
        let bench = Bench::new(usize::try_from(count).expect("a count"));
        let mut meter = Meter::default();
        let mut sizes = Vec::new();
        for run in 0..runs {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
            let mut machines = bench.start(folder.path());
            machines.slot(Slot(1), None);
            machines.sizes.clear();
            machines.slot(Slot(2), Some(&mut meter));
            machines.parts(&mut meter);
            machines.check(run == 0);
            meter.next_run();
            sizes = machines.sizes;
        }
        let title = format!("a member carries {count} envelopes through a slot, n={MEMBERS}");
        let cpu = meter.print(&title, "envelope", count);
        let sizes: Vec<String> = sizes.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
        println!("bytes: {}", sizes.join(", "));
        let share = cpu * u32::from(MEMBERS) / 2;
        println!(
            "est.: {MEMBERS} such members in one process keep 2 cores busy for {:.0} ms of a slot's {SLOT_MS} ms",
            share.max(Duration::ZERO).as_secs_f64() * 1e3
        );
    }
}
