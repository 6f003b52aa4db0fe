//! Who works in an epoch, with which keys and parameters: what EPOCH says, checked.
use crate::AnchorError;
use alloc::vec::Vec;
use crypto::{finality, keys::KeySet};
use tlog::checkpoint::Policy;
use types::{Epoch, EpochRecord, Hash, MemberRecord, Params};

/// The committee of an epoch.
#[derive(Clone, Debug)]
pub struct Committee {
    /// The epoch from which it has its keys.
    pub keys_since: Epoch,
    /// Faults tolerated.
    pub f: u16,
    /// By index.
    pub members: Vec<MemberRecord>,
    /// Parameters.
    pub params: Params,
    /// Who must have signed a head.
    pub policy: Policy,
    /// The public side of its secrets.
    pub keys: KeySet,
}

impl Committee {
    /// What EPOCH says, in the network of this origin, of keys that began in `keys_since`.
    ///
    /// # Errors
    /// [`AnchorError`]: no key set, or no policy.
    pub fn of(origin: &str, record: &EpochRecord, keys_since: Epoch) -> Result<Self, AnchorError> {
        let n = u16::try_from(record.members.len()).unwrap_or(u16::MAX);
        Ok(Self {
            keys_since,
            f: record.f,
            members: record.members.clone(),
            params: record.params.clone(),
            policy: Policy::new(origin, &record.members, record.f)?,
            keys: KeySet::new(n, record.f, &record.keys())?,
        })
    }

    /// Who votes in an epoch.
    pub(crate) fn voters(&self, network: Hash, epoch: Epoch) -> finality::Committee {
        let consensus_keys = self.members.iter().map(|member| member.consensus).collect();
        finality::Committee { network, epoch, f: self.f, consensus_keys }
    }
}
