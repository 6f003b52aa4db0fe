//! Where a member is: its log is read again from genesis, extended by what a quorum has published, and gone on from.
use crate::{
    disk::Disk,
    files::NetworkFiles,
    member::MemberError,
    start,
    sync::{self, Caught, Own, Peers, Place, SyncError},
    term::Term,
};
use consensus::Floor;
use execution::Executor;
use sequencer::{Placed, Recent, Rejoin, Resume, Unopened};
use std::sync::Arc;
use types::{Block, FinalityProof, Hash, Slot};
use verifier::{Anchor, Checks, Replay};

/// Slots in which a block with votes of its own is looked for: an empty one above it has them else.
const FLOOR_BACK: u64 = 256;

/// How far a vote of this member can be above its own log.
const VOTES_AHEAD: u64 = 8;

/// What it takes to know where the network is.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) network: Arc<NetworkFiles>,
    /// Consensus key.
    pub(crate) key: Hash,
    /// It is in no committee as far as it knows.
    pub(crate) follows: bool,
    pub(crate) peers: Peers,
    /// The last slot that this member has certainly cosigned.
    pub(crate) cosigned: Slot,
}

/// Where a member is: its log, read and extended.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) own: Own,
    pub(crate) term: Term,
    pub(crate) caught: Caught,
}

/// Where a member of the committee starts.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) disk: Disk,
    pub(crate) resume: Resume,
    pub(crate) executor: Executor,
    pub(crate) floor: Option<Floor>,
}

impl Recovery {
    /// The log is replayed from genesis and then extended by what a quorum has published.
    pub(crate) fn find(&self, disk: Disk) -> Result<Found, MemberError> {
        let own = self.read(disk)?;
        let knows_more = own.disk.slot()? < self.cosigned;
        if knows_more && own.rejoin.is_none_or(|rejoin| rejoin.from.is_some()) {
            return Err(SyncError::OldCopy(format!("slot {}", self.cosigned)).into());
        }
        self.extend(own)
    }

    /// As far as a quorum has published.
    pub(crate) fn extend(&self, mut own: Own) -> Result<Found, MemberError> {
        let genesis = &self.network.network.genesis;
        let place = Place { origin: &genesis.origin, key: self.key, params: &genesis.params, follows: self.follows };
        let caught = sync::catch_up(&self.peers, &place, &mut own)?;
        if caught.torn {
            own = self.read(own.disk)?;
        }
        let term = Term::of(&self.network, &own.replay);
        Ok(Found { own, term, caught })
    }

    /// A member of the committee goes on from there: state.redb and the WAL say the rest.
    pub(crate) fn resume(&self, found: Found) -> Result<Recovered, MemberError> {
        let network = &self.network;
        let Found { own: Own { mut disk, replay, recent, rejoin }, caught, .. } = found;
        // an engine that has not followed the log so far
        let is_new = !disk.has_voted()? || disk.has_followed()?;
        disk.votes_from_here()?;
        // a lost disk: what was voted came before `from`; a lost journal: the log shows how far it can have been
        let is_known = rejoin.is_none_or(|rejoin| rejoin.from.is_some());
        let schedule = network.network.genesis.params.schedule();
        let reached = is_known.then(|| schedule.epoch_of(replay.slot().plus(VOTES_AHEAD)));
        let votes = disk.may_vote(schedule.epoch_of(replay.slot()), reached)?;
        let far = caught.slots > 0 || !votes || is_new;
        let floor = far.then(|| disk.voted_block(replay.slot(), FLOOR_BACK)).flatten().and_then(floor_of);
        let (resume, executor) = resume(network, replay, recent, rejoin, &mut disk)?;
        Ok(Recovered { disk, resume, executor, floor })
    }

    fn read(&self, mut disk: Disk) -> Result<Own, MemberError> {
        let network = &self.network;
        let anchor = Anchor::new(network.network.clone(), network.rollups.clone())?;
        let anchor = anchor.with_ceremony(keygen::handover::CEREMONY);
        let mut recent = Recent::default();
        let mut replay = Replay::new(&anchor, Checks::TRUSTED)?;
        let mut rejoin = disk.rejoin()?;
        if disk.size() == 0 {
            let entries =
                sequencer::genesis_section(&network.network, network.id, replay.ledger_root(), replay.states());
            disk.genesis(&entries)?;
        }
        for index in 0..disk.size() {
            let entry = disk.entry(index)?;
            if index == 0 {
                start::begins_with(&entry, network, disk.folder())?;
            }
            replay.entry(index, &entry);
            recent.entry(&entry);
            if let Some(finding) = replay.findings().first() {
                return Err(MemberError::Log { finding: finding.clone() });
            }
            if let (Some(slot), Some(rejoin)) = (replay.take_closed(), rejoin.as_mut()) {
                rejoin.block(slot, replay.last().time_ms);
            }
        }
        Ok(Own { disk, replay, recent, rejoin })
    }
}

/// Where the engine starts when the log is ahead of it.
fn floor_of(proof: FinalityProof) -> Option<Floor> {
    let last = proof.headers.last()?;
    let (epoch, digest) = (last.epoch.0, crypto::ids::block_digest(last));
    Some(Floor { epoch, digest, view: proof.view, parent_view: proof.parent_view, votes: proof.votes })
}

/// The state of a machine whose epoch is over, with what is on disk besides the log.
pub(crate) fn with_saved(mut resume: Resume, disk: &mut Disk) -> Result<Resume, MemberError> {
    let saved = disk.saved()?;
    resume.share_message = saved.share_message;
    resume.own_list = saved.own_list;
    resume.cosigned_at = saved.cosigned_at;
    resume.items = saved.items;
    resume.bids = saved.bids;
    resume.objects = saved.objects;
    resume.operations = saved.operations;
    Ok(resume)
}

fn resume(
    network: &NetworkFiles,
    replay: Replay,
    recent: Recent,
    rejoin: Option<Rejoin>,
    disk: &mut Disk,
) -> Result<(Resume, Executor), MemberError> {
    let state = replay.end();
    let unopened = state.unopened.map(|unopened| Unopened {
        bids: unopened.bids.into_iter().map(|(hash, bid)| (hash, Arc::new(bid))).collect(),
        units: unopened.units.into_iter().map(|(hash, envelope)| (hash, Arc::new(envelope))).collect(),
    });
    let last = state.last.unwrap_or_else(|| Block::genesis(network.id).header);
    let saved = disk.saved()?;
    let resume = Resume {
        ledger: state.ledger,
        tree: state.tree,
        last,
        unopened,
        reveal: state.reveal,
        epochs: state.epochs,
        succession: state.succession,
        states: state.states,
        unexecuted: state.unexecuted,
        left_heads: state.left_heads,
        included: state.included,
        placed: state
            .placed
            .into_iter()
            .map(|(hash, p)| (hash, Placed { slot: p.slot, index: p.index, outcome: p.outcome }))
            .collect(),
        recent,
        rejoin,
        share_message: saved.share_message,
        own_list: saved.own_list,
        cosigned_at: saved.cosigned_at,
        items: saved.items,
        bids: saved.bids,
        objects: saved.objects,
        operations: saved.operations,
        faults: state.faults,
    };
    Ok((resume, state.executor))
}
