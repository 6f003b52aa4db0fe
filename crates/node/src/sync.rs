//! Catching up by the log. What a quorum has published beyond this member's own log is fetched from its peers, recomputed
//! as an auditor would, and written, before the engine starts: a member that was away for minutes or for weeks, or that
//! lost its disk, needs nothing else to continue.
//!
//! ```text
//!  checkpoints of all peers -> the largest that 2f+1 have cosigned
//!  by segments of SEGMENT slots: head of the segment -> entries, hashed to that head -> replay, proofs of finality
//!                                -> written under one lock record
//! ```
//!
//! Trust: peers are believed nothing. A head counts with 2f+1 cosignatures, entries when they hash to it, and then they
//! are still recomputed: a finding under a quorum's head means that more than f members lie, and ends the start.
use crate::{
    disk::{Disk, DiskError},
    source::Source,
};
use sequencer::{Recent, Rejoin};
use std::collections::BTreeMap;
use tlog::{
    Tree,
    checkpoint::{self, Policy},
    tiles::{self, Level, Tile},
};
use types::{Entry, FinalityProof, Head, Kind, MemberAddress, MemberId, Slot, codec, limits};
use verifier::{Checks, Finding, Replay};

/// Slots that are fetched and written at a time, where a peer still has the head in between.
const SEGMENT: u64 = 256;
/// Bytes of entries that are held at a time.
const SEGMENT_BYTES_MAX: usize = 1 << 30;
/// Longest proof of finality, bytes.
const FINALITY_BYTES_MAX: usize = 1 << 20;
/// A checkpoint: a few lines a member.
const CHECKPOINT_BYTES_MAX: usize = 1 << 16;

/// Why a member cannot catch up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// What 2f+1 members have signed does not follow from the rules.
    #[error("the log that a quorum has signed breaks a rule at entry {}: {}; more than f members are wrong", .0.index, .0.code)]
    Network(Finding),
    /// Nobody serves a proof for a slot of the log that a quorum has signed.
    #[error("no peer serves a proof that slot {0} is final")]
    NoProof(Slot),
    /// This member has signed what its disk does not know.
    #[error(
        "this member has signed what its folder does not know, in slot {0}: the folder is an old copy, and a member that continues from it signs twice"
    )]
    OldCopy(Slot),
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
}

/// What was fetched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Caught {
    pub(crate) slots: u64,
    pub(crate) entries: u64,
}

impl Peers {
    /// The other members' HTTP addresses.
    pub(crate) fn new(me: MemberId, addresses: &[MemberAddress]) -> Self {
        let others = addresses.iter().filter(|a| a.member != me);
        Self { sources: others.map(|a| (a.member, Source::http(&format!("http://{}", a.http)))).collect() }
    }

    /// The largest head that a quorum has signed.
    fn best(&self, policy: &Policy) -> Option<Head> {
        let mut best: Option<Head> = None;
        // all at a time: a peer that is down must not cost its timeout for each of the others
        let notes: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = self
                .sources
                .iter()
                .map(|(member, source)| {
                    (*member, scope.spawn(|| source.get_within("checkpoint", CHECKPOINT_BYTES_MAX)))
                })
                .collect();
            asked.into_iter().map(|(member, asked)| (member, asked.join())).collect()
        });
        for (member, answer) in notes {
            let note = match answer {
                Ok(Ok(Some(note))) => note,
                Ok(Ok(None)) | Err(_) => continue,
                Ok(Err(error)) => {
                    tracing::debug!(peer = %member, %error, "sync.checkpoint");
                    continue;
                }
            };
            match checkpoint::verify_checkpoint(policy, &note) {
                Ok(verified) if best.is_none_or(|head| verified.head.size > head.size) => best = Some(verified.head),
                Ok(_) => {}
                Err(error) => tracing::warn!(peer = %member, %error, "sync.checkpoint"),
            }
        }
        best
    }

    /// The close head of a slot with a quorum of cosignatures, from whoever has it.
    fn head(&self, policy: &Policy, slot: Slot) -> Option<Head> {
        self.sources.iter().find_map(|(_, source)| {
            let note = source.get_within(&format!("lockstep/v1/head/{slot}"), CHECKPOINT_BYTES_MAX).ok()??;
            checkpoint::verify_checkpoint(policy, &note).ok().map(|verified| verified.head)
        })
    }

    /// The entries from `tree` to `head`, from the first peer whose bytes hash to it.
    fn entries(&self, tree: &Tree, head: &Head) -> Result<Option<Vec<Vec<u8>>>, TooMuch> {
        let mut too_much = false;
        for (member, source) in &self.sources {
            match fetch(source, tree, head) {
                Ok(entries) => return Ok(Some(entries)),
                Err(FetchError::TooMuch) => too_much = true,
                Err(FetchError::Other(error)) => tracing::warn!(peer = %member, %error, "sync.entries"),
            }
        }
        if too_much { Err(TooMuch) } else { Ok(None) }
    }

    /// A proof of finality that holds, from whoever has one.
    fn proof(&self, slot: Slot, holds: impl Fn(&FinalityProof) -> Result<(), String>) -> Option<Vec<u8>> {
        self.sources.iter().find_map(|(member, source)| {
            let bytes = source.finality(slot).ok()??;
            let proof = codec::decode::<FinalityProof>(&bytes, FINALITY_BYTES_MAX).ok()?;
            match holds(&proof) {
                Ok(()) => Some(bytes),
                Err(error) => {
                    tracing::warn!(peer = %member, %slot, %error, "sync.finality");
                    None
                }
            }
        })
    }
}

struct TooMuch;

enum FetchError {
    TooMuch,
    Other(String),
}

fn fetch(source: &Source, tree: &Tree, head: &Head) -> Result<Vec<Vec<u8>>, FetchError> {
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

/// The slot, when the entry is a list of this member.
fn list_of(me: MemberId, entry: &[u8]) -> Option<Slot> {
    match codec::decode::<Entry>(entry, limits::ENTRY_BYTES_MAX).ok()?.kind {
        Kind::List { slot, member, .. } if member == me => Some(slot),
        _ => None,
    }
}

/// Extends disk, replay and what lagging members ask for by what a quorum has published.
pub(crate) fn catch_up(
    peers: &Peers,
    policy: &Policy,
    me: MemberId,
    disk: &mut Disk,
    replay: &mut Replay,
    recent: &mut Recent,
    rejoin: &mut Option<Rejoin>,
) -> Result<Caught, SyncError> {
    let mut caught = Caught::default();
    let listed = disk.last_list()?.unwrap_or(Slot(0));
    replay.check(Checks::ALL);
    loop {
        let own = disk.size();
        let Some(newest) = peers.best(policy).filter(|head| head.size > own) else { return Ok(caught) };
        let between = peers.head(policy, replay.slot().plus(SEGMENT));
        let head = between.filter(|head| head.size > own && head.size < newest.size).unwrap_or(newest);
        let entries = match peers.entries(disk.tree(), &head) {
            Ok(Some(entries)) => entries,
            // whoever signed it has gone again; following block by block goes on from what is here
            Ok(None) => return Ok(caught),
            Err(TooMuch) => return Err(SyncError::TooMuch(replay.slot())),
        };
        let before = replay.slot();
        let mut proofs = BTreeMap::new();
        for (index, entry) in (own..).zip(&entries) {
            replay.entry(index, entry);
            recent.entry(entry);
            if let Some(finding) = replay.findings().first() {
                return Err(SyncError::Network(finding.clone()));
            }
            if let Some(slot) = list_of(me, entry).filter(|slot| rejoin.is_none() && *slot > listed) {
                return Err(SyncError::OldCopy(slot));
            }
            let Some(slot) = replay.take_closed() else { continue };
            if let Some(rejoin) = rejoin.as_mut() {
                rejoin.block(slot, replay.last().time_ms);
            }
            let bytes = peers.proof(slot, |proof| replay.proves(proof)).ok_or(SyncError::NoProof(slot))?;
            proofs.insert(slot, bytes);
        }
        disk.caught_up(replay.slot(), &entries, &proofs)?;
        caught.slots = caught.slots.saturating_add(replay.slot().0.saturating_sub(before.0));
        caught.entries = caught.entries.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        tracing::info!(member = %me, slot = %replay.slot(), entries = caught.entries, "sync");
    }
}
