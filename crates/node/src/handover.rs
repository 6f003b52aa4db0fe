//! This member's part in handing the secrets over to the next committee (`keygen::handover`), and what of it is on disk.
use crate::{
    entropy::{NoEntropy, Source},
    files::{self, FilesError},
};
use crypto::succession::Succession;
use keygen::{
    MemberSecrets,
    handover::{self, Saved, SavedError, Start},
};
use std::path::{Path, PathBuf};
use store::durable;
use types::{Epochs, Operation, Slot};
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

/// A member in handovers, and its folder. Holds secrets; no `Debug`.
pub(crate) struct Handovers {
    folder: PathBuf,
    seed: Zeroizing<[u8; 32]>,
    member: handover::Handovers,
}

impl Handovers {
    pub(crate) fn new(folder: &Path, seed: &Zeroizing<[u8; 32]>, secrets: Option<MemberSecrets>) -> Self {
        let member = handover::Handovers::new(seed.clone(), secrets);
        Self { folder: folder.to_path_buf(), seed: seed.clone(), member }
    }

    /// What this member must say so that it stands in the log at `next`; nothing when it has nothing to say.
    pub(crate) fn due(
        &mut self,
        epochs: &Epochs,
        said: &Succession,
        next: Slot,
    ) -> Result<Option<Operation>, HandoverError> {
        let path = self.folder.join(SAVED);
        let start = || -> Result<Start, HandoverError> {
            let entropy = Source::System.draw("handover", 0)?;
            Ok(Start { entropy, saved: saved(&path, &self.seed)? })
        };
        let Some(due) = self.member.due(epochs, said, next, start)? else { return Ok(None) };
        if let Some(saved) = due.save {
            durable::write_private(&path, &saved.seal(&self.seed)?)?;
        }
        Ok(Some(Operation::Handover(Box::new(due.message))))
    }
}

fn saved(path: &Path, seed: &Zeroizing<[u8; 32]>) -> Result<Option<Saved>, HandoverError> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = files::read(path, SAVED_BYTES_MAX)?;
    // what is damaged was for this plan, perhaps: then this member's dealing stands without its log
    Ok(Saved::open(&bytes, seed).map_err(|error| tracing::error!(%error, "handover.saved")).ok())
}
