//! This member's part in handing the secrets over to the next committee: what it must say next, from what the log says.
//!
//! What a dealer has on disk is written before its message leaves (`keygen::handover`); all else follows from the log.
use crate::{
    entropy::{NoEntropy, Source},
    files::{self, FilesError},
};
use crypto::succession::Succession;
use keygen::{
    MemberSecrets,
    handover::{self, OldMember, Participant, Saved, SavedError},
};
use std::path::{Path, PathBuf};
use store::durable;
use types::{Epochs, Hash, Operation, Slot};
use zeroize::Zeroizing;

/// What a dealer keeps: sealed under its consensus seed.
const SAVED: &str = "handover.key";
/// It holds a log of at most 60,000 bytes.
const SAVED_BYTES_MAX: usize = 1 << 17;

/// Why this member cannot take part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// The committees make no plan, or this member's shares are not those of the old one.
    #[error("handover: {0}")]
    Plan(#[from] keygen::reshare::ReshareError),
    /// Files.
    #[error("handover: {0}")]
    Files(#[from] FilesError),
    /// Disk.
    #[error("handover: {0}")]
    Disk(#[from] durable::DiskError),
    /// What is saved cannot be sealed.
    #[error("handover: {0}")]
    Saved(#[from] SavedError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// A member in handovers. Holds secrets; no `Debug`.
pub(crate) struct Handovers {
    folder: PathBuf,
    seed: Zeroizing<[u8; 32]>,
    key: Hash,
    /// Of the committee that works now; `None` for who is not in it.
    secrets: Option<MemberSecrets>,
    running: Option<Running>,
}

struct Running {
    plan: Hash,
    participant: Participant,
    read: usize,
}

impl Handovers {
    pub(crate) fn new(folder: &Path, seed: &Zeroizing<[u8; 32]>, key: Hash, secrets: Option<MemberSecrets>) -> Self {
        Self { folder: folder.to_path_buf(), seed: seed.clone(), key, secrets, running: None }
    }

    /// What this member must say so that it stands in the log at `next`; nothing when it has nothing to say.
    pub(crate) fn due(
        &mut self,
        epochs: &Epochs,
        said: &Succession,
        next: Slot,
    ) -> Result<Option<Operation>, HandoverError> {
        let current = epochs.last();
        let here = current.schedule().epoch_of(next) == current.epoch;
        let phase = current.schedule().phase(next).filter(|_| here);
        let (Some(phase), Some(to)) = (phase, said.takes_over(current)) else {
            self.running = None;
            return Ok(None);
        };
        let holds = |members: &[types::MemberRecord]| members.iter().any(|member| member.consensus == self.key);
        let (deals, plays) = (holds(&current.members) && self.secrets.is_some(), holds(to));
        if !(deals || plays) {
            return Ok(None);
        }
        let plan = handover::plan(current, to)?;
        let name = plan.name();
        if self.running.as_ref().is_none_or(|running| running.plan != name) {
            let mut participant = Participant::new(plan);
            if let Some(secrets) = self.secrets.as_ref().filter(|_| deals) {
                let entropy = Source::System.draw("handover", 0)?;
                let me = OldMember { seed: &self.seed, secrets, entropy: &entropy };
                participant = participant.with_dealer(&me, self.saved()?.as_ref())?;
            }
            if plays {
                participant = participant.with_player(&self.seed)?;
            }
            self.running = Some(Running { plan: name, participant, read: 0 });
        }
        let Some(Running { participant, read, .. }) = &mut self.running else { return Ok(None) };
        for message in said.messages().iter().skip(*read) {
            // the log says which count; one that does not hold after all says nothing
            drop(participant.on(handover::Phase::of(&message.step), message));
        }
        *read = said.messages().len();
        let Some(due) = participant.due(phase) else { return Ok(None) };
        if let Some(saved) = due.save {
            durable::write_private(&self.folder.join(SAVED), &saved.seal(&self.seed)?)?;
        }
        Ok(Some(Operation::Handover(Box::new(due.message))))
    }

    fn saved(&self) -> Result<Option<Saved>, HandoverError> {
        let path = self.folder.join(SAVED);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = files::read(&path, SAVED_BYTES_MAX)?;
        // what is damaged was for this plan, perhaps: then this member's dealing stands without its log
        Ok(Saved::open(&bytes, &self.seed).map_err(|error| tracing::error!(%error, "handover.saved")).ok())
    }
}
