//! What is trusted: the genesis file, and nothing else.
use crate::Committee;
use alloc::vec::Vec;
use auction_rules::Ledger;
use crypto::{
    ids,
    keys::{KeySet, KeySetError},
    merkle,
    succession::Ceremony,
};
use execution::{Executor, ExecutorError, genesis::RollupGenesis};
use tlog::checkpoint::{Policy, PolicyError};
use types::{ChainId, Epoch, EpochRecord, Hash, Network, RollupSpec, codec};

/// Which checks run. What does not run is reported as not checked, never as passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Signatures of lists and payers.
    pub signatures: bool,
    /// The beacon's pairing.
    pub beacon: bool,
    /// Proofs of finality are asked for.
    pub finality: bool,
}

impl Checks {
    /// All of them: an auditor.
    pub const ALL: Self = Self { signatures: true, beacon: true, finality: true };
    /// A member that replays its own log: structure, roots, ledger, order, openings, execution; no signatures.
    pub const TRUSTED: Self = Self { signatures: false, beacon: false, finality: false };
}

/// Why a genesis file is no anchor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// It breaks a rule.
    #[error("genesis: {0}")]
    Genesis(#[from] auction_rules::GenesisError),
    /// Its key set is none of this committee.
    #[error("key set: {0}")]
    Keys(#[from] KeySetError),
    /// Its members make no policy.
    #[error("policy: {0}")]
    Policy(#[from] PolicyError),
    /// A rollup's genesis file is missing, or another than the specification names.
    #[error("genesis file of rollup {0} is not the one that the network names")]
    Rollup(ChainId),
    /// The rollups cannot be executed.
    #[error("rollups: {0}")]
    Executor(#[from] ExecutorError),
}

/// A checked genesis file with the genesis files of its rollups.
#[derive(Clone, Debug)]
pub struct Anchor {
    pub(crate) network: Network,
    pub(crate) id: Hash,
    pub(crate) keys: KeySet,
    pub(crate) policy: Policy,
    pub(crate) rollups: Vec<(RollupSpec, RollupGenesis)>,
    pub(crate) ledger: Ledger,
    pub(crate) ceremony: Option<Ceremony>,
}

impl Anchor {
    /// Checks a genesis file. `rollups` = every executed rollup with its genesis.
    ///
    /// # Errors
    /// [`AnchorError`].
    pub fn new(network: Network, rollups: Vec<(RollupSpec, RollupGenesis)>) -> Result<Self, AnchorError> {
        let ledger = Ledger::genesis(&network.genesis)?;
        let n = u16::try_from(network.genesis.members.len()).unwrap_or(u16::MAX);
        let keys = KeySet::new(n, network.faults(), &network.keys)?;
        let policy = Policy::new(&network.genesis.origin, &network.genesis.members, network.faults())?;
        for spec in network.genesis.rollups.iter().filter(|s| s.exec) {
            let given = rollups.iter().find(|(given, _)| given == spec);
            if given.is_none_or(|(_, genesis)| genesis.hash() != spec.genesis) {
                return Err(AnchorError::Rollup(spec.chain_id));
            }
        }
        let id = ids::network_id(&network.genesis);
        Ok(Self { network, id, keys, policy, rollups, ledger, ceremony: None })
    }

    /// Judges handovers of the secrets with this. Without one the keys of a changed committee are those that the committee
    /// before it has signed, and only whether they are a key set of the same secrets is checked.
    #[must_use]
    pub fn with_ceremony(self, ceremony: Ceremony) -> Self {
        Self { ceremony: Some(ceremony), ..self }
    }
    /// The committee of epoch 0.
    pub(crate) fn committee(&self) -> Committee {
        Committee {
            keys_since: Epoch(0),
            f: self.network.faults(),
            members: self.network.genesis.members.clone(),
            params: self.network.genesis.params.clone(),
            policy: self.policy.clone(),
            keys: self.keys.clone(),
        }
    }
    /// EPOCH(0) is a function of the genesis file.
    pub(crate) fn first_epoch(&self, states: Hash) -> EpochRecord {
        let leaves: Vec<_> = self.network.registry().iter().map(codec::encode).collect();
        let (registry, ledger) = (merkle::set_ref(&leaves), self.ledger.account_root());
        self.network.first_epoch(self.id, ids::rules_id(), registry, ledger, states)
    }

    /// Network id.
    #[must_use]
    pub fn network_id(&self) -> Hash {
        self.id
    }
    /// Who must have signed a checkpoint.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
    /// The genesis file.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }
    /// The rollups at genesis.
    pub(crate) fn executor(&self) -> Result<Executor, AnchorError> {
        Ok(Executor::genesis(&self.rollups, self.network.genesis.params.slot_ms)?)
    }
}
