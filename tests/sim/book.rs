//! What is seen of a network, and every rule that can be held against it as it happens.
use crate::{
    common::{
        disk::Disk,
        net::{Net, id},
        wire,
    },
    market,
};
use consensus::{SeenVote, VoteKind};
use sequencer::{Channel, Effect, Phase, Record, Refused};
use std::collections::{BTreeMap, BTreeSet};
use tlog::checkpoint;
use types::{
    Accused, Entry, Envelope, Epoch, EpochRecord, FinalityProof, Handover, HandoverStep, Hash, Head, Kind, MemberId,
    Operation, Slot, codec, limits,
    reason::{Finding, Reason},
    wire::{Event, Refusal},
};

/// Somebody honest names a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accusation {
    pub(crate) by: usize,
    pub(crate) of: usize,
    pub(crate) reason: Reason,
    pub(crate) what: &'static str,
}

/// What one member did.
#[derive(Default)]
pub(crate) struct Seen {
    lists: BTreeMap<Slot, Vec<u8>>,
    shares: BTreeMap<Slot, Vec<u8>>,
    pub(crate) refused: Vec<Refused>,
    /// When it closed, fixed and opened each slot.
    pub(crate) closed: BTreeMap<Slot, u64>,
    pub(crate) fixed: BTreeMap<Slot, u64>,
    pub(crate) opened: BTreeMap<Slot, u64>,
    /// The crash that was planned has come.
    pub(crate) down: bool,
}

type VoteKey = (MemberId, (u64, u64), u8);

pub(crate) struct Book {
    net: &'static Net,
    /// Who does not follow the rules.
    pub(crate) faulty: BTreeSet<usize>,
    /// What every honest member writes.
    pub(crate) log: Vec<Vec<u8>>,
    digests: BTreeMap<u64, Hash>,
    heads: BTreeMap<Slot, Head>,
    pub(crate) members: Vec<Seen>,
    pub(crate) accusations: Vec<Accusation>,
    /// Who gave a receipt for what.
    pub(crate) receipts: BTreeMap<Hash, BTreeSet<usize>>,
    receipt_texts: BTreeMap<(Hash, usize), String>,
    pub(crate) refusals: Vec<(usize, Hash, Refusal)>,
    pub(crate) included: BTreeMap<Hash, Slot>,
    /// Texts of verified votes.
    votes: BTreeMap<VoteKey, BTreeSet<Vec<u8>>>,
    /// Who voted twice in a view, as far as all members together saw.
    pub(crate) voted_twice: BTreeSet<usize>,
    /// FAULT entries of the log: of what, and whom.
    pub(crate) convicted: BTreeSet<(Finding, usize)>,
    /// The same, and in which epoch: once.
    faults: BTreeSet<(Finding, usize, Epoch)>,
    /// Slots with empty blocks.
    pub(crate) empty: BTreeSet<Slot>,
    /// Who may build a slot, as honest members tell it.
    pub(crate) rights: BTreeMap<Slot, usize>,
    /// What the tail of a slot names.
    pub(crate) reveals: BTreeMap<Slot, Hash>,
    /// In the honest log: slots sold, tails, and faults of builders.
    pub(crate) sold: usize,
    pub(crate) tails: usize,
    pub(crate) slashes: usize,
    /// The newest EPOCH of the log.
    pub(crate) epoch: Option<EpochRecord>,
    /// The epochs in which honest members have begun to work with keys, and since when those hold.
    pub(crate) terms: BTreeSet<Epoch>,
    /// Whose messages of handovers are in the log.
    pub(crate) handed: BTreeSet<usize>,
    /// Whose dealing of this handover is in the log.
    dealt: BTreeSet<usize>,
    /// Whose dealing somebody honest has not acknowledged.
    pub(crate) unacknowledged: BTreeSet<usize>,
    /// Whose share messages arrived at honest members.
    pub(crate) shares_heard: BTreeSet<usize>,
    /// Who asked honest members for envelopes.
    pub(crate) asked: BTreeSet<usize>,
    /// Whose openings, as a combiner, arrived at honest members.
    pub(crate) openings_heard: BTreeSet<usize>,
    /// How often honest members were asked for what combiners did not open.
    pub(crate) shares_asked: usize,
}

impl Book {
    pub(crate) fn new(net: &'static Net, faulty: BTreeSet<usize>) -> Self {
        let newest = net.genesis_entries.iter().rev().find_map(|entry| epoch(entry));
        Self {
            net,
            faulty,
            log: net.genesis_entries.clone(),
            digests: BTreeMap::new(),
            heads: BTreeMap::new(),
            members: net.members().map(|_| Seen::default()).collect(),
            accusations: Vec::new(),
            receipts: BTreeMap::new(),
            receipt_texts: BTreeMap::new(),
            refusals: Vec::new(),
            included: BTreeMap::new(),
            votes: BTreeMap::new(),
            voted_twice: BTreeSet::new(),
            convicted: BTreeSet::new(),
            faults: BTreeSet::new(),
            empty: BTreeSet::new(),
            rights: BTreeMap::new(),
            reveals: BTreeMap::new(),
            sold: 0,
            tails: 0,
            slashes: 0,
            epoch: newest,
            terms: BTreeSet::new(),
            handed: BTreeSet::new(),
            dealt: BTreeSet::new(),
            unacknowledged: BTreeSet::new(),
            shares_heard: BTreeSet::new(),
            asked: BTreeSet::new(),
            openings_heard: BTreeSet::new(),
            shares_asked: 0,
        }
    }

    pub(crate) fn is_honest(&self, member: usize) -> bool {
        !self.faulty.contains(&member)
    }

    /// A member begins to work, with keys that hold since then.
    pub(crate) fn works(&mut self, member: usize, since: Epoch) {
        if self.is_honest(member) {
            self.terms.insert(since);
        }
    }

    pub(crate) fn power_lost(&mut self, member: usize) {
        self.members[member].down = true;
    }

    /// ENG-1: one digest per height.
    pub(crate) fn delivered(&mut self, member: usize, proof: &FinalityProof) {
        if self.is_honest(member) {
            let header = &proof.headers[0];
            let digest = crypto::ids::block_digest(header);
            let first = self.digests.entry(header.height.0).or_insert(digest);
            assert_eq!(*first, digest, "m{member}: a second final block of height {}", header.height);
        }
    }

    /// A message of another member arrives.
    pub(crate) fn heard(&mut self, at: usize, channel: Channel, from: MemberId, bytes: &[u8]) {
        if !self.is_honest(at) {
            return;
        }
        let from = usize::from(from.0);
        match channel {
            Channel::Shares => drop(self.shares_heard.insert(from)),
            Channel::Fetch => match codec::decode(bytes, 1 << 22) {
                Ok(wire::Fetch::GetItems(_)) => drop(self.asked.insert(from)),
                Ok(wire::Fetch::Openings(_)) => drop(self.openings_heard.insert(from)),
                Ok(wire::Fetch::GetShares(..)) => self.shares_asked += 1,
                _ => {}
            },
            Channel::Items | Channel::Lists => {}
        }
    }

    /// Before an effect is carried out.
    pub(crate) fn effect(&mut self, at: usize, now: u64, effect: &Effect, disk: &Disk) {
        if !self.is_honest(at) {
            return;
        }
        match effect {
            Effect::Persist(record) => self.persist(at, record, disk),
            Effect::Send { channel, bytes, .. } => self.sends(at, *channel, bytes, disk),
            Effect::Ack(slot) => assert!(disk.slot >= *slot, "SEQ-1: m{at} acknowledges before it is durable"),
            Effect::Event(Event::Final { slot, .. }) => assert!(disk.slot >= *slot, "SEQ-1: told before durable"),
            Effect::Event(Event::Opened { slot, reveal, .. }) => {
                let first = self.reveals.entry(*slot).or_insert(*reveal);
                assert_eq!(first, reveal, "m{at} opens slot {slot} otherwise");
            }
            Effect::Publish { slot, note } => {
                let verified = checkpoint::verify_checkpoint(&self.net.policy, note.as_bytes()).unwrap();
                assert_eq!(verified.head, disk.commits[slot].0, "the published head is the close head");
            }
            Effect::Phase { slot, phase } => {
                let seen = &mut self.members[at];
                match phase {
                    Phase::Closed { .. } => drop(seen.closed.insert(*slot, now)),
                    Phase::Final { empty, .. } => {
                        seen.fixed.insert(*slot, now);
                        if *empty {
                            self.empty.insert(*slot);
                        }
                    }
                    Phase::Opened { sold, .. } => {
                        seen.opened.insert(*slot, now);
                        let holder = match sold {
                            Some((address, _)) => Some(market::builder(address)),
                            // an empty block passes the right on
                            None => self.rights.get(slot).copied().filter(|_| self.empty.contains(slot)),
                        };
                        let first = holder.map(|holder| *self.rights.entry(slot.next()).or_insert(holder));
                        assert_eq!(first, holder, "m{at} sells slot {} to another one", slot.next());
                    }
                    Phase::Built | Phase::Ordered | Phase::Executed { .. } | Phase::Tail { .. } => {}
                }
            }
            Effect::Reject { from: Some(of), reason, what } => {
                let (of, reason) = (usize::from(of.0), *reason);
                self.accusations.push(Accusation { by: at, of, reason, what });
                assert!(!self.is_honest(of), "m{at} accuses m{of}, which is honest: {what} {reason}");
            }
            Effect::Evidence { proved, .. } => {
                let is_honest = match proved.accused {
                    Accused::Member(member) => self.is_honest(member.0.into()),
                    Accused::Builder { builder, .. } => !market::is_guilty(&builder),
                };
                assert!(!is_honest, "m{at} has evidence against somebody honest: {proved:?}");
            }
            Effect::Checked { verdict: Err(refused), .. } => self.members[at].refused.push(*refused),
            _ => {}
        }
    }

    fn persist(&mut self, at: usize, record: &Record, disk: &Disk) {
        match record {
            Record::Items(_) | Record::Bids(_) | Record::Objects(_) | Record::Operations(_) => {}
            Record::List { slot, bytes } => {
                let first = self.members[at].lists.entry(*slot).or_insert_with(|| bytes.clone());
                assert_eq!(first, bytes, "SEQ-1: m{at} signs a second list for slot {slot}");
            }
            Record::Opened { slot, .. } => {
                assert_eq!(disk.slot, *slot, "m{at} opens what is not final at it");
                let released = self.members.iter().filter(|m| m.shares.contains_key(slot)).count();
                let needed = self.net.quorum() - self.faulty.len();
                assert!(released >= needed, "slot {slot} opens after {released} honest members released their shares");
            }
            Record::Commit(commit) => {
                let seen = &mut self.members[at];
                let first = seen.shares.entry(commit.slot).or_insert_with(|| commit.share_message.clone());
                assert_eq!(*first, commit.share_message, "SEQ-1: m{at} signs a second share message");
                let head = self.heads.entry(commit.slot).or_insert(commit.head);
                assert_eq!(*head, commit.head, "m{at} cosigns another head of slot {}", commit.slot);
            }
        }
    }

    fn sends(&self, at: usize, channel: Channel, bytes: &[u8], disk: &Disk) {
        match channel {
            Channel::Lists => {
                let list = wire::list(bytes);
                assert_eq!(disk.list, Some((list.slot, bytes.to_vec())), "SEQ-1: a list that is not durable");
            }
            Channel::Shares => {
                let header = wire::share(bytes).header;
                let follows = wire::follows(self.net, bytes, disk.share.as_deref());
                assert!(follows, "SEQ-1: a share message that is not durable");
                assert_eq!(header.slot, disk.slot, "SEQ-2: shares of the last final slot only");
                let digest = self.digests.get(&header.slot.0);
                assert_eq!(Some(&header.digest), digest, "SEQ-2: m{at}: for the final digest");
                assert_eq!(header.head, disk.commits[&header.slot].0, "the close head is cosigned");
            }
            Channel::Items | Channel::Fetch => {}
        }
    }

    /// SEQ-3: after something was made durable.
    pub(crate) fn wrote(&mut self, at: usize, disk: &Disk) {
        if !self.is_honest(at) {
            return;
        }
        let common = disk.entries.len().min(self.log.len());
        let from = common.saturating_sub(64);
        assert!(disk.entries[from..common] == self.log[from..common], "SEQ-3: m{at} writes another log");
        for entry in &disk.entries[common..] {
            if let Kind::Envelope { slot, bytes, .. } = kind(entry) {
                let envelope: Envelope = codec::decode(&bytes, limits::ENVELOPE_BYTES_MAX).unwrap();
                let before = self.included.insert(crypto::ids::hash_envelope(&envelope), slot);
                assert_eq!(before, None, "an envelope is in two sets");
            }
            match kind(entry) {
                Kind::Auction { winner, .. } => self.sold += usize::from(winner.is_some()),
                Kind::Tail { .. } => self.tails += 1,
                Kind::Epoch(_) => {
                    self.dealt.clear();
                    self.epoch = epoch(entry);
                }
                Kind::Operation { bytes, .. } => {
                    if let Ok(Operation::Handover(message)) = codec::decode(&bytes, 1 << 16) {
                        self.hands_over(&message);
                    }
                }
                _ => {}
            }
            if let Kind::Fault { finding, accused, evidence, .. } = kind(entry) {
                if accused == [market::accused()] {
                    self.slashes += 1;
                    self.log.push(entry.clone());
                    continue;
                }
                let mut members = self.net.network.genesis.members.iter();
                let of = members.position(|m| accused == [m.receipt] || accused == [m.consensus]).expect("a member");
                assert!(!self.is_honest(of), "the log convicts m{of}, which is honest, of finding {finding}");
                let finding = Finding::from_number(finding).unwrap();
                let evidence = crypto::evidence::decode(&evidence).expect("a FAULT holds evidence");
                let epoch = evidence.epoch(self.net.params().schedule());
                let once = self.faults.insert((finding, of, epoch));
                assert!(once, "the log convicts m{of} twice of {finding} in epoch {epoch}");
                self.convicted.insert((finding, of));
            }
            self.log.push(entry.clone());
        }
    }

    /// A message of a handover is in the log.
    fn hands_over(&mut self, message: &Handover) {
        let mut members = self.net.network.genesis.members.iter();
        let from = members.position(|m| m.consensus == message.from).expect("a member");
        self.handed.insert(from);
        match &message.step {
            HandoverStep::Dealing { .. } => drop(self.dealt.insert(from)),
            HandoverStep::Acks { acks } if self.is_honest(from) => {
                for dealer in self.dealt.iter().filter(|dealer| !acks.iter().any(|ack| ack.dealer == id(**dealer))) {
                    assert!(self.faulty.contains(dealer), "m{from} acknowledges no dealing of m{dealer}");
                    self.unacknowledged.insert(*dealer);
                }
            }
            HandoverStep::Acks { .. } | HandoverStep::Log { .. } | HandoverStep::ShareKey { .. } => {}
        }
    }

    pub(crate) fn reply(&mut self, at: usize, hash: &Hash, answer: Result<String, Refusal>, disk: &Disk) {
        if !self.is_honest(at) {
            return;
        }
        let note = match answer {
            Ok(note) => note,
            Err(refusal) => return self.refusals.push((at, *hash, refusal)),
        };
        let name = checkpoint::receipt_name(self.net.policy.origin(), id(at));
        let key = self.net.network.genesis.members[at].receipt;
        let receipt = tlog::receipt::verify(note.as_bytes(), &key, &name).unwrap();
        assert_eq!(receipt.item, *hash);
        let stored = disk.items.iter().any(|(stored, record)| stored == hash && record.receipt == note);
        assert!(stored, "SEQ-1: a receipt that is not durable");
        let first = self.receipt_texts.entry((*hash, at)).or_insert_with(|| note.clone());
        assert_eq!(*first, note, "the same item gets the same receipt");
        self.receipts.entry(*hash).or_default().insert(at);
    }

    pub(crate) fn bid_reply(&self, at: usize, hash: &Hash, answer: Result<String, Refusal>, disk: &Disk) {
        if !self.is_honest(at) {
            return;
        }
        if let Ok(note) = answer {
            let stored = disk.bids.iter().any(|(stored, record)| stored == hash && record.receipt == note);
            assert!(stored, "SEQ-1: a receipt for a bid that is not durable");
        }
    }

    /// Votes that contradict each other, over all members.
    pub(crate) fn vote(&mut self, vote: &SeenVote) {
        let view = (vote.epoch, vote.view);
        let key = (vote.member, view, vote.kind as u8);
        if self.votes.get(&key).is_some_and(|texts| texts.contains(&vote.msg[..])) {
            return;
        }
        let suffix = match vote.kind {
            VoteKind::Notarize => "_NOTARIZE",
            VoteKind::Nullify => "_NULLIFY",
            VoteKind::Finalize => "_FINALIZE",
        };
        let text = signed_vote(self.net, suffix, &vote.msg);
        let member = usize::from(vote.member.0);
        if !crypto::ed25519::verify(&self.net.voters.keys[member].public(), &text, &vote.sig) {
            return;
        }
        self.votes.entry(key).or_default().insert(vote.msg.to_vec());
        let twice = self.is_double(vote.member, view);
        assert!(
            !twice || !self.is_honest(member),
            "m{member}, which is honest, voted twice in epoch and view {view:?}"
        );
        if twice {
            self.voted_twice.insert(member);
        }
    }

    /// Two notarize or two finalize votes, or nullify and finalize.
    fn is_double(&self, member: MemberId, view: (u64, u64)) -> bool {
        let texts = |kind: VoteKind| self.votes.get(&(member, view, kind as u8)).map_or(0, BTreeSet::len);
        let finalize = texts(VoteKind::Finalize);
        texts(VoteKind::Notarize) > 1 || finalize > 1 || finalize > 0 && texts(VoteKind::Nullify) > 0
    }

    /// Receipts of honest members, by item.
    pub(crate) fn promises(&self) -> impl Iterator<Item = (&Hash, &str)> {
        self.receipt_texts.iter().map(|((hash, _), note)| (hash, note.as_str()))
    }

    pub(crate) fn accused(&self) -> BTreeSet<usize> {
        self.accusations.iter().map(|a| a.of).collect()
    }
}

/// The bytes that a vote signs: `LEB128 len(ns) | ns | msg`.
pub(crate) fn signed_vote(net: &Net, suffix: &str, msg: &[u8]) -> Vec<u8> {
    let namespace = [types::tag::SIMPLEX.as_bytes(), net.id.as_ref(), suffix.as_bytes()].concat();
    let length = u8::try_from(namespace.len()).unwrap();
    [&[length], &namespace[..], msg].concat()
}

fn epoch(entry: &[u8]) -> Option<EpochRecord> {
    if let Kind::Epoch(record) = kind(entry) { Some(*record) } else { None }
}

pub(crate) fn kind(entry: &[u8]) -> Kind {
    codec::decode::<Entry>(entry, limits::ENTRY_BYTES_MAX).unwrap().kind
}
