//! Starting above genesis: a block that is known to be final, and the votes that show it.
use crate::{EngineError, block::digest};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::{
    simplex::{
        scheme::ed25519::Scheme,
        types::{Finalization, Finalize, Proposal},
    },
    types::{Epoch, Round, View},
};
use commonware_cryptography::{certificate::Attestation, ed25519, sha256::Digest};
use commonware_parallel::Sequential;
use commonware_utils::{Participant, iter::NonEmpty};
use types::{Hash, VoteSig};

/// A final block by its finalize votes. The engine fetches the block itself from its peers and starts there; a journal
/// that is higher stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Epoch of the block.
    pub epoch: u64,
    /// Digest of the block.
    pub digest: Hash,
    /// Its view.
    pub view: u64,
    /// View of its parent.
    pub parent_view: u64,
    /// At least 2f+1 finalize votes on this very block, members strictly ascending.
    pub votes: Vec<VoteSig>,
}

impl Floor {
    pub(crate) fn finalization(&self, scheme: &Scheme) -> Result<Finalization<Scheme, Digest>, EngineError> {
        let round = Round::new(Epoch::new(self.epoch), View::new(self.view));
        let proposal = Proposal::new(round, View::new(self.parent_view), digest(&self.digest));
        let mut finalizes = Vec::with_capacity(self.votes.len());
        for vote in &self.votes {
            let signature =
                ed25519::Signature::decode(Copying(vote.sig.as_ref())).map_err(|_never| EngineError::Floor)?;
            let signer = Participant::new(u32::from(vote.member.0));
            let attestation = Attestation { signer, signature: signature.into() };
            finalizes.push(Finalize { proposal: proposal.clone(), attestation });
        }
        let finalizes = NonEmpty::try_new(finalizes.into_iter()).ok_or(EngineError::Floor)?;
        Finalization::from_owned_finalizes(scheme, finalizes, &Sequential).map_err(|_short| EngineError::Floor)
    }
}
