//! Catching up by the log. What a quorum has published beyond this member's own log is fetched from its peers, recomputed
//! as an auditor would, and written, before the engine starts: a member that was away for minutes or for weeks, or that
//! lost its disk, needs nothing else to continue.
//!
//! ```text
//!  checkpoints of all peers -> the largest that 2f+1 have cosigned
//!  by segments: head of the segment -> entries, hashed to that head -> replay, proofs of finality
//!               -> written under one lock record
//!  the newest slot and short gaps are left to the engine: members that restart together need each other's shares of it
//! ```
//! Heads are held against the committee of their epoch, which the log names before the epoch begins: so a log of many
//! committees is fetched epoch by epoch. How an epoch ends that another committee follows, no head of its own covers:
//! who is not in it fetches that, too, and recomputes it (beacon, openings and order need no signature to be right).
//!
//! Trust: peers are believed nothing. A head counts with 2f+1 cosignatures, entries when they hash to it, and then they
//! are still recomputed: a finding under a quorum's head means that more than f members lie, and ends the start. A peer
//! that fails, lies or is slow is not asked again in this start; without any the member starts with what it has.
use crate::{
    disk::{Disk, DiskError},
    source::Source,
    term,
};
use sequencer::{Recent, Rejoin};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    thread,
};
use tlog::{
    Tree,
    checkpoint::{self, Policy},
    tiles::{self, Level, Tile},
};
use types::{
    Entry, EpochRecord, FinalityProof, Hash, Head, Kind, MemberAddress, MemberId, Params, Slot, codec, limits,
};
use verifier::{Checks, Finding, Replay};

/// Slots that are fetched and written at a time, where a peer still has a head in between.
const SEGMENT: u64 = 64;
/// Slots after the end of a segment whose heads are tried, too.
const NEAR: u64 = 8;
/// Entries that are fetched at once in any case.
const NEAR_ENTRIES: u64 = 4_096;
/// A gap that the engine closes as quickly.
const SHORT: usize = 8;
/// Bytes of entries and proofs that are held at a time.
const SEGMENT_BYTES_MAX: usize = 512 << 20;
/// A checkpoint: a few lines a member.
const CHECKPOINT_BYTES_MAX: usize = 1 << 16;
/// Entries of a slot's part B: openings and little else.
pub(crate) const TAIL_BYTES_MAX: usize = 16 << 20;
/// Proofs that are asked for at a time.
const ASKED_AT_ONCE: usize = 16;

/// Why a member cannot catch up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// What 2f+1 members have signed does not follow from the rules.
    #[error("the log that a quorum has signed breaks a rule at entry {}: {}; more than f members are wrong", .0.index, .0.code)]
    Network(Finding),
    /// This member has signed what its disk does not know.
    #[error(
        "this member has signed what its folder does not know ({0}): the folder is an old copy, and a member that continues from it signs twice"
    )]
    OldCopy(String),
    /// More than one start can hold.
    #[error("the entries to slot {0} do not fit into memory at once, and no peer has a head in between")]
    TooMuch(Slot),
    /// Disk.
    #[error("disk: {0}")]
    Disk(#[from] DiskError),
}

/// Where other members serve their logs.
#[derive(Debug)]
pub(crate) struct Peers {
    sources: Vec<(MemberId, Source)>,
    /// Those that are not asked again.
    benched: Mutex<BTreeSet<MemberId>>,
}

/// What was fetched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caught {
    pub(crate) slots: u64,
    /// The newest checkpoint that a quorum has signed.
    pub(crate) note: Option<(Head, String)>,
    /// The replay has read what could not be written: it has to be made again from the disk.
    pub(crate) torn: bool,
}

/// What peers have published.
#[derive(Clone, Debug, Default)]
struct Published {
    newest: Option<Head>,
    /// The note that says so.
    note: Option<String>,
    /// It is of another committee than that of the next slot.
    is_later: bool,
    /// Entries of the largest head that this member has cosigned.
    mine: u64,
}

/// Who signs the heads of an epoch.
#[derive(Debug)]
struct Signers {
    policy: Policy,
    /// This member among them.
    me: Option<MemberId>,
}

impl Signers {
    fn of(origin: &str, record: &EpochRecord, key: &Hash) -> Option<Self> {
        let policy = Policy::new(origin, &record.members, record.f).ok()?;
        Some(Self { policy, me: term::index(&record.members, key) })
    }
}

impl Peers {
    /// The other members' HTTP addresses.
    pub(crate) fn new(me: Option<MemberId>, addresses: &[MemberAddress]) -> Self {
        let others = addresses.iter().filter(|a| Some(a.member) != me);
        let sources = others.map(|a| (a.member, Source::http(&format!("http://{}", a.http)))).collect();
        Self { sources, benched: Mutex::default() }
    }

    fn bench(&self, member: MemberId, why: &dyn core::fmt::Display) {
        tracing::info!(peer = %member, %why, "sync.peer");
        self.benched.lock().unwrap_or_else(PoisonError::into_inner).insert(member);
    }

    /// Those that failed are asked again.
    pub(crate) fn forgive(&self) {
        self.benched.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Those that have not failed yet.
    fn asked(&self) -> impl Iterator<Item = &(MemberId, Source)> {
        let benched = self.benched.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.sources.iter().filter(move |(member, _)| !benched.contains(member))
    }

    /// What one peer has under this path; a failure, not an absence, benches it.
    fn get(&self, member: MemberId, source: &Source, path: &str) -> Option<Vec<u8>> {
        source.get_within(path, CHECKPOINT_BYTES_MAX).unwrap_or_else(|error| {
            self.bench(member, &error);
            None
        })
    }

    /// The heads that a quorum has signed, of the committee of the next slot, or of the one after it.
    fn published(&self, signers: &[Signers]) -> Published {
        // all at a time: a peer that is down must not cost its timeout for each of the others
        let notes: Vec<_> = thread::scope(|scope| {
            let asked: Vec<_> = self
                .asked()
                .map(|(member, source)| (*member, scope.spawn(|| self.get(*member, source, "checkpoint"))))
                .collect();
            asked.into_iter().map(|(member, asked)| (member, asked.join())).collect()
        });
        let mut published = Published::default();
        for (member, note) in notes {
            let Ok(Some(note)) = note else { continue };
            let mut verified =
                signers.iter().enumerate().map(|(at, s)| (at, s, checkpoint::verify_checkpoint(&s.policy, &note)));
            let Some((at, signers, verified)) = verified.find(|(_, _, verified)| verified.is_ok()) else {
                // it may be of a committee that this log does not name yet
                tracing::debug!(peer = %member, "sync.peer: its head is of none that is known here");
                continue;
            };
            let Ok(verified) = verified else { continue };
            if signers.me.is_some_and(|me| verified.cosigners.contains(&me)) {
                published.mine = published.mine.max(verified.head.size);
            }
            if published.newest.is_none_or(|head| verified.head.size > head.size) {
                (published.newest, published.is_later) = (Some(verified.head), at > 0);
                published.note = String::from_utf8(note).ok();
            }
        }
        published
    }

    /// A close head with a quorum of cosignatures, of this slot or one soon after it up to `last`, from whoever has one.
    fn head(&self, policy: &Policy, slot: Slot, last: Slot) -> Option<Head> {
        (slot.0..=last.0.min(slot.plus(NEAR).prev().0)).find_map(|slot| {
            let path = format!("lockstep/v1/head/{slot}");
            self.asked().find_map(|(member, source)| {
                let note = self.get(*member, source, &path)?;
                checkpoint::verify_checkpoint(policy, &note).ok().map(|verified| verified.head)
            })
        })
    }

    /// The entries from `tree` to `head`, from the first peer whose bytes hash to it.
    fn entries(&self, tree: &Tree, head: &Head) -> Result<Option<Vec<Vec<u8>>>, TooMuch> {
        // what is too much may be junk: only if nobody has less is it the log's own size
        let mut too_much = Vec::new();
        for (member, source) in self.asked() {
            match fetch(source, tree, head) {
                Ok(entries) => {
                    too_much.iter().for_each(|member| self.bench(*member, &"more bytes than its log has"));
                    return Ok(Some(entries));
                }
                Err(FetchError::TooMuch) => too_much.push(*member),
                Err(FetchError::Other(error)) => self.bench(*member, &error),
            }
        }
        if too_much.is_empty() { Ok(None) } else { Err(TooMuch) }
    }

    /// Entries after `first` that no head covers, from the first peer that has some.
    fn tail(&self, first: u64) -> Option<(MemberId, Vec<Vec<u8>>)> {
        self.asked().find_map(|(member, source)| {
            let bytes = source.get_within(&format!("lockstep/v1/tail/{first}"), TAIL_BYTES_MAX);
            let bytes = bytes.unwrap_or_else(|error| {
                self.bench(*member, &error);
                None
            })?;
            let entries = tiles::decode_bundle(&bytes).ok()?;
            Some((*member, entries.into_iter().map(<[u8]>::to_vec).collect()))
        })
    }

    /// Whatever is served as proofs for these slots, a few at a time; nothing in it is checked.
    fn proofs(&self, slots: &[Slot]) -> BTreeMap<Slot, Vec<u8>> {
        let mut all = BTreeMap::new();
        for some in slots.chunks(ASKED_AT_ONCE) {
            let answers: Vec<_> = thread::scope(|scope| {
                let asked: Vec<_> = some.iter().map(|slot| scope.spawn(|| self.proof(*slot, |_| Ok(())))).collect();
                asked.into_iter().map(thread::ScopedJoinHandle::join).collect()
            });
            all.extend(some.iter().copied().zip(answers).filter_map(|(slot, answer)| Some((slot, answer.ok()??))));
        }
        all
    }

    /// A proof of finality that holds, from whoever has one.
    fn proof(&self, slot: Slot, holds: impl Fn(&FinalityProof) -> Result<(), String>) -> Option<Vec<u8>> {
        self.asked().find_map(|(member, source)| {
            let bytes = match source.finality(slot) {
                Ok(bytes) => bytes?,
                Err(error) => {
                    self.bench(*member, &error);
                    return None;
                }
            };
            match decode(&bytes).and_then(|proof| holds(&proof)) {
                Ok(()) => Some(bytes),
                Err(error) => {
                    self.bench(*member, &error);
                    None
                }
            }
        })
    }
}

fn decode(bytes: &[u8]) -> Result<FinalityProof, String> {
    codec::decode(bytes, limits::FINALITY_BYTES_MAX).map_err(|error| error.to_string())
}

struct TooMuch;

#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("more bytes than are held at a time")]
    TooMuch,
    #[error("{0}")]
    Other(String),
}

/// The entries from `tree` to `head`, which they hash to.
pub(crate) fn fetch(source: &Source, tree: &Tree, head: &Head) -> Result<Vec<Vec<u8>>, FetchError> {
    let other = |text: &dyn core::fmt::Display| FetchError::Other(text.to_string());
    let width = u64::from(tiles::TILE_WIDTH);
    let mut grown = tree.clone();
    let (mut entries, mut bytes) = (Vec::new(), 0usize);
    while grown.size() < head.size {
        let index = grown.size() / width;
        let skip = usize::try_from(grown.size() % width).unwrap_or(0);
        let Some(tile) = Tile::at(Level::Entries, index, head.size) else { break };
        let bundle = source.tile(&tile, tile.bytes_max()).map_err(|e| other(&e))?;
        let bundle = bundle.ok_or_else(|| other(&format_args!("{tile} is missing")))?;
        bytes = bytes.saturating_add(bundle.len());
        if bytes > SEGMENT_BYTES_MAX {
            return Err(FetchError::TooMuch);
        }
        for entry in tiles::entries_of(&tile, &bundle).map_err(|e| other(&e))?.into_iter().skip(skip) {
            grown.append(entry);
            entries.push(entry.to_vec());
        }
    }
    if grown.head() == *head { Ok(entries) } else { Err(other(&"its entries do not hash to the signed head")) }
}

/// What the entries of a segment are about, before they are recomputed.
#[derive(Default)]
struct Contents {
    closes: Vec<Slot>,
    /// Where each part B begins, which is where a part A is complete.
    beacons: Vec<usize>,
    /// Slots of this member's own lists.
    listed: Vec<Slot>,
}

impl Contents {
    fn of(me: impl Fn(Slot) -> Option<MemberId>, entries: &[Vec<u8>]) -> Self {
        let mut contents = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            let Ok(entry) = codec::decode::<Entry>(entry, limits::ENTRY_BYTES_MAX) else { continue };
            if let Kind::Close { slot, .. } = entry.kind {
                contents.closes.push(slot);
            } else if let Kind::Beacon { .. } = entry.kind {
                contents.beacons.push(at);
            } else if let Kind::List { slot, member, .. } = entry.kind
                && me(slot) == Some(member)
            {
                contents.listed.push(slot);
            }
        }
        contents
    }
}

/// What one member knows when it catches up.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) origin: &'a str,
    /// Its consensus key.
    pub(crate) key: Hash,
    pub(crate) params: &'a Params,
    /// It is in no committee now: nothing is left to an engine.
    pub(crate) follows: bool,
}

impl Place<'_> {
    /// Nothing shows that this member signed more than its folder knows.
    fn is_newest(
        &self,
        (disk, own): (&Disk, u64),
        mine: u64,
        listed: &[Slot],
        rejoin: Option<Rejoin>,
    ) -> Result<(), SyncError> {
        if mine > own && rejoin.is_none_or(|rejoin| rejoin.from.is_some()) {
            return Err(SyncError::OldCopy(format!("a log of {mine} entries, where it has {own}")));
        }
        let last = disk.last_list()?.unwrap_or(Slot(0));
        let may_list = |slot: Slot| rejoin.is_none_or(|rejoin| rejoin.lists(self.params, slot));
        match listed.iter().find(|slot| **slot > last && may_list(**slot)) {
            Some(slot) => Err(SyncError::OldCopy(format!("a list of slot {slot}"))),
            None => Ok(()),
        }
    }
}

/// A member's disk, and what was read from it.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) disk: Disk,
    pub(crate) replay: Replay,
    pub(crate) recent: Recent,
    pub(crate) rejoin: Option<Rejoin>,
}

/// Extends what a member has by what a quorum has published.
pub(crate) fn catch_up(peers: &Peers, place: &Place<'_>, all: &mut Own) -> Result<Caught, SyncError> {
    let mut caught = Caught::default();
    let started = all.disk.size();
    let mut step = SEGMENT;
    let known = all.rejoin;
    all.replay.check(Checks::ALL);
    loop {
        let own = all.disk.size();
        let next = all.replay.slot().next();
        let (epochs, schedule) = (all.replay.epochs(), place.params.schedule());
        let epoch = schedule.epoch_of(next);
        let mut records = vec![epochs.of(epoch)];
        records.extend(Some(epochs.last()).filter(|last| last.epoch > epoch && !last.continues(epochs.of(epoch))));
        let signers: Vec<_> = records.iter().filter_map(|r| Signers::of(place.origin, r, &place.key)).collect();
        let Some(now) = signers.first() else { return Ok(caught) };
        let Published { newest, is_later, mine, note } = peers.published(&signers);
        caught.note = newest.zip(note);
        // heads of later committees show only when the log has come to them
        place.is_newest((&all.disk, started), mine, &[], known)?;
        let newest = newest.filter(|head| head.size > own);
        let last = schedule.last(epoch);
        // who follows is at the end nearly always: nobody has a head in between
        let near = place.follows && newest.is_some_and(|head| head.size.saturating_sub(own) <= NEAR_ENTRIES);
        let between = if near { None } else { peers.head(&now.policy, last.min(all.replay.slot().plus(step)), last) };
        let between = between.filter(|head| head.size > own && newest.is_none_or(|newest| head.size < newest.size));
        let Some(head) = between.or(newest) else {
            caught.torn = all.end_of_epoch(peers, place)?;
            return Ok(caught);
        };
        let mine = |slot: Slot| {
            let epoch = Some(schedule.epoch_of(slot)).filter(|epoch| *epoch <= epochs.last().epoch)?;
            term::index(&epochs.of(epoch).members, &place.key)
        };
        let mut entries = match peers.entries(all.disk.tree(), &head) {
            Ok(Some(entries)) => entries,
            // whoever signed it has gone again; following block by block goes on from what is here
            Ok(None) => return Ok(caught),
            Err(TooMuch) if step > 1 => {
                step /= 2;
                continue;
            }
            Err(TooMuch) => return Err(SyncError::TooMuch(all.replay.slot())),
        };
        let contents = Contents::of(mine, &entries);
        place.is_newest((&all.disk, started), 0, &contents.listed, known)?;
        if between.is_none() && !is_later && !place.follows {
            match contents.beacons.last() {
                Some(end) if contents.beacons.len() >= SHORT => entries.truncate(*end),
                _ => return Ok(caught),
            }
        }
        let slots = contents.closes.len();
        let before = all.replay.slot();
        let reached = all.segment(peers, &contents, &entries)?;
        caught.slots = caught.slots.saturating_add(reached.0.saturating_sub(before.0));
        caught.torn = reached < all.replay.slot();
        tracing::info!(slot = %reached, entries = all.disk.size(), "sync");
        // what came in the meantime is a short gap, unless this took long
        if caught.torn {
            return Ok(caught);
        }
        if between.is_none() && slots < usize::try_from(SEGMENT).unwrap_or(usize::MAX) {
            caught.torn = all.end_of_epoch(peers, place)?;
            return Ok(caught);
        }
    }
}

impl Own {
    /// At the end of an epoch that another committee follows: who is not in it reads how its last slot was opened.
    /// Whether what a peer served has to be forgotten.
    fn end_of_epoch(&mut self, peers: &Peers, place: &Place<'_>) -> Result<bool, SyncError> {
        let (slot, epochs) = (self.replay.slot(), self.replay.epochs());
        let epoch = place.params.schedule().epoch_of(slot);
        let ends = place.params.schedule().is_last(slot) && slot > Slot(0) && !self.replay.is_opened();
        let is_mine = term::index(&epochs.of(epoch).members, &place.key).is_some();
        if !ends || is_mine || epochs.of(epoch.next()).continues(epochs.of(epoch)) {
            return Ok(false);
        }
        let Some((member, entries)) = peers.tail(self.disk.size()) else { return Ok(false) };
        let mut read = Vec::new();
        for (index, entry) in (self.disk.size()..).zip(entries) {
            if self.replay.is_opened() {
                break;
            }
            self.replay.entry(index, &entry);
            self.recent.entry(&entry);
            read.push(entry);
        }
        if !self.replay.findings().is_empty() || !self.replay.is_opened() {
            peers.bench(member, &"what it serves as the end of the epoch is not");
            return Ok(true);
        }
        self.disk.opened(slot, &read)?;
        self.disk.settle()?;
        tracing::info!(%slot, entries = self.disk.size(), "sync: the epoch has ended");
        Ok(false)
    }

    /// Recomputes and writes a segment; the last slot that was written, which is before the replay's when a proof is
    /// missing.
    fn segment(&mut self, peers: &Peers, contents: &Contents, entries: &[Vec<u8>]) -> Result<Slot, SyncError> {
        let mut served = peers.proofs(&contents.closes);
        let mut proofs = BTreeMap::new();
        let (mut proven, mut reached) = (0, self.replay.slot());
        let mut whole = true;
        for (at, (index, entry)) in (self.disk.size()..).zip(entries).enumerate() {
            self.replay.entry(index, entry);
            self.recent.entry(entry);
            if let Some(finding) = self.replay.findings().first() {
                return Err(SyncError::Network(finding.clone()));
            }
            let Some(slot) = self.replay.take_closed() else { continue };
            let holds = |proof: &FinalityProof| self.replay.proves(proof);
            let first = served.remove(&slot).filter(|bytes| decode(bytes).and_then(|proof| holds(&proof)).is_ok());
            let Some(proof) = first.or_else(|| peers.proof(slot, holds)) else {
                tracing::warn!(%slot, "sync: no peer proves it final; the engine goes on from before it");
                whole = false;
                break;
            };
            if let Some(rejoin) = self.rejoin.as_mut() {
                rejoin.block(slot, self.replay.last().time_ms);
            }
            proofs.insert(slot, proof);
            (proven, reached) = (at.saturating_add(1), slot);
        }
        let written = if whole { entries } else { entries.get(..proven).unwrap_or_default() };
        if !written.is_empty() {
            self.disk.caught_up(reached, written, &proofs)?;
        }
        Ok(reached)
    }
}
