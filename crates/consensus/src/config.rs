//! Configuration, checked once before anything starts.
use crate::{BlockCfg, EngineBlock, Floor, OpenFn};
use bytes::Bytes;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::{
    marshal,
    simplex::{self, scheme::ed25519::Scheme},
};
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
    sha256::Digest,
};
use commonware_utils::{NonZeroDuration, ordered::Set};
use core::{num::NonZeroU32, time::Duration};
use types::{Hash, MemberId, limits, reason::Reason, tag};
use zeroize::Zeroizing;

/// Number of channels: 0..=4 are the engine's, 5..=9 the caller's ([`Channel`](crate::Channel)).
pub const CHANNELS: usize = 10;

/// Messages per second and peer of each channel (engine.md section 7). They also size mailboxes: memory grows with
/// quota x peers x channels.
pub const QUOTAS: [u32; CHANNELS] = [128, 128, 64, 64, 16, 32, 128, 128, 64, 16];

/// Largest message on any channel, bytes. commonware panics on a larger send, hence [`Outbox`](crate::Outbox) refuses.
pub const MESSAGE_BYTES_MAX: usize = (4 << 20) + (64 << 10);

/// The engine's timeouts, milliseconds. They run from the entry into a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a proposal is here.
    pub leader_ms: u64,
    /// Until the block is certified.
    pub certification_ms: u64,
    /// Between repeated nullify votes.
    pub retry_ms: u64,
    /// Inactivity after which a leader's turns are skipped.
    pub skip_ms: u64,
    /// For an answer to a request.
    pub fetch_ms: u64,
    /// Between two attempts at a request.
    pub fetch_retry_ms: u64,
}

impl Timeouts {
    /// The times that follow a slot of `slot_ms` (engine.md section 10): 500 ms gives the devnet's and LAN's, 1,500 ms
    /// the WAN's.
    #[must_use]
    pub fn for_slot(slot_ms: u64) -> Self {
        let leader_ms = slot_ms.saturating_mul(2).max(1_000);
        Self {
            leader_ms,
            certification_ms: leader_ms.saturating_mul(3) / 2,
            retry_ms: leader_ms,
            skip_ms: leader_ms.saturating_mul(4),
            fetch_ms: (slot_ms.saturating_mul(4) / 3).max(1_000),
            fetch_retry_ms: (slot_ms / 6).max(100),
        }
    }

    /// What simplex requires of the times among themselves.
    ///
    /// # Errors
    /// [`EngineError::Timeouts`] unless leader < certification < skip, retry < skip and none is zero.
    pub fn check(&self) -> Result<(), EngineError> {
        let ordered = self.leader_ms < self.certification_ms
            && self.certification_ms < self.skip_ms
            && self.retry_ms < self.skip_ms;
        let positive = [self.leader_ms, self.retry_ms, self.fetch_ms].iter().all(|ms| *ms > 0);
        if ordered && positive { Ok(()) } else { Err(EngineError::Timeouts) }
    }

    /// What the slot's own times require of the leader's: three `fill_after_ms`, so that an empty block still fits, and
    /// a slot, its least open time and the wait for lists, with 200 ms to spare.
    ///
    /// # Errors
    /// [`EngineError::Timeouts`] if the leader's time is shorter.
    pub fn check_slot(
        &self,
        slot_ms: u64,
        close_min_ms: u64,
        list_grace_ms: u64,
        fill_after_ms: u64,
    ) -> Result<(), EngineError> {
        let build_ms =
            [slot_ms, close_min_ms, list_grace_ms, 200].iter().fold(0, |sum: u64, ms| sum.saturating_add(*ms));
        if self.leader_ms < build_ms || self.leader_ms < fill_after_ms.saturating_mul(3) {
            return Err(EngineError::Timeouts);
        }
        Ok(())
    }
}

/// Everything that all members agree on, and where this one keeps its journal.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Network id: part of what votes and handshakes sign.
    pub network: Hash,
    /// Slots of an epoch: epoch e has the heights `e * epoch_slots .. (e + 1) * epoch_slots`.
    pub epoch_slots: u64,
    /// The epoch to start in.
    pub epoch: EngineEpoch,
    /// Consensus keys, strictly ascending by bytes: the position is the [`MemberId`]. They vote in the epoch to start in
    /// and in those after it: when the committee changes, this engine ends and another one starts.
    pub members: Vec<Hash>,
    /// Those who voted in the epochs before, as far as a certificate of one may still be met; empty for `members`.
    pub before: Vec<Hash>,
    /// Start of every partition name, such as `m0-`: ASCII letters, digits, `-` and `_`.
    pub prefix: String,
    /// Timeouts.
    pub timeouts: Timeouts,
    /// Messages per second and peer by channel, usually [`QUOTAS`]. Equal on all members.
    pub quotas: [u32; CHANNELS],
    /// The caller's check of block bytes.
    pub open: OpenFn,
    /// The genesis block's bytes: height 0, accepted by `open`.
    pub genesis: Bytes,
    /// Where to start instead of genesis, for a member that is far behind and knows the log up to there.
    pub floor: Option<Floor>,
    /// Largest block, bytes; at most [`limits::BLOCK_BYTES_MAX`]. Must never decrease while blocks are stored.
    pub block_max: u32,
}

/// What consensus of an epoch starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineEpoch {
    /// Which.
    pub epoch: u64,
    /// Digest of the last block of the epoch before; of genesis for epoch 0.
    pub parent: Hash,
    /// Shuffles the order of leaders.
    pub leader_seed: Hash,
    /// Whether this member votes: not after it lost its journal, for the rest of the epoch.
    pub votes: bool,
}

/// A failure of the engine's storage at start-up: disk, permissions, or a damaged journal.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StorageError(#[from] pub(crate) commonware_storage::archive::Error);

/// Why an engine does not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Epochs of fewer than two slots.
    #[error("epochs of {slots} slots")]
    EpochSlots {
        /// The configured length.
        slots: u64,
    },
    /// No members, or more than the limit.
    #[error("a committee of {count} members")]
    Committee {
        /// How many.
        count: usize,
    },
    /// A consensus key is no ed25519 point.
    #[error("consensus key of member {member} is not a point")]
    Key {
        /// Whose.
        member: MemberId,
    },
    /// Consensus keys are not strictly ascending.
    #[error("consensus keys are not strictly ascending")]
    Order,
    /// The secret's public key is not among the members.
    #[error("not a member")]
    NotMember,
    /// The prefix is no partition name.
    #[error("prefix is not a partition name")]
    Prefix,
    /// The times contradict each other.
    #[error("timeouts contradict each other")]
    Timeouts,
    /// A quota is zero.
    #[error("quota of channel {channel} is zero")]
    Quota {
        /// Which.
        channel: usize,
    },
    /// The largest block exceeds the limit.
    #[error("block limit out of range")]
    BlockMax,
    /// `open` refuses the genesis block.
    #[error("genesis block refused: {0}")]
    Genesis(Reason),
    /// The genesis block's height is not 0.
    #[error("genesis block at height {height}")]
    GenesisHeight {
        /// Its height.
        height: u64,
    },
    /// The floor's votes are no certificate.
    #[error("the floor's votes are no certificate")]
    Floor,
    /// A member without an address, or an address without a member.
    #[error("addresses do not match the members")]
    Addresses,
    /// The listening address cannot be bound.
    #[error("cannot listen")]
    Listen(#[source] std::io::Error),
    /// The storage directory cannot be made.
    #[error("cannot make the storage directory")]
    Directory(#[source] std::io::Error),
    /// Storage.
    #[error("storage")]
    Storage(#[from] StorageError),
    /// The engine's thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// A part of the engine ended by itself: the log says why. A dropped [`Ack`](crate::Ack) ends `marshal`.
    #[error("{part} ended")]
    Ended {
        /// Which part.
        part: &'static str,
    },
    /// A task of the engine panicked.
    #[error("a task panicked")]
    Panicked,
}

/// A configuration that has passed every check.
pub(crate) struct Checked {
    pub(crate) secret: PrivateKey,
    pub(crate) me: MemberId,
    pub(crate) members: Set<PublicKey>,
    pub(crate) before: Option<Set<PublicKey>>,
    pub(crate) genesis: EngineBlock,
    pub(crate) block: BlockCfg,
}

impl EngineConfig {
    /// The namespace of votes: tag and network id.
    #[must_use]
    pub fn vote_namespace(&self) -> Vec<u8> {
        [tag::SIMPLEX.as_bytes(), self.network.as_ref()].concat()
    }

    /// The namespace of the transport: tag and network id.
    #[must_use]
    pub fn p2p_namespace(&self) -> Vec<u8> {
        [tag::P2P.as_bytes(), self.network.as_ref()].concat()
    }

    pub(crate) fn check(&self, secret: &Zeroizing<[u8; 32]>) -> Result<Checked, EngineError> {
        if self.epoch_slots < 2 {
            return Err(EngineError::EpochSlots { slots: self.epoch_slots });
        }
        let members = committee(&self.members)?;
        let before = (!self.before.is_empty()).then(|| committee(&self.before)).transpose()?;
        let secret = PrivateKey::decode(Copying(&secret[..])).map_err(|_never| EngineError::NotMember)?;
        let rank = members.position(&secret.public_key()).ok_or(EngineError::NotMember)?;
        let me =
            u16::try_from(rank).map(MemberId).map_err(|_large| EngineError::Committee { count: self.members.len() })?;
        let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !self.prefix.chars().all(named) {
            return Err(EngineError::Prefix);
        }
        self.timeouts.check()?;
        if let Some(channel) = self.quotas.iter().position(|quota| NonZeroU32::new(*quota).is_none()) {
            return Err(EngineError::Quota { channel });
        }
        let block = self.block_cfg()?;
        let genesis = block.open(self.genesis.clone()).map_err(EngineError::Genesis)?;
        if genesis.head.height != 0 {
            return Err(EngineError::GenesisHeight { height: genesis.head.height });
        }
        Ok(Checked { secret, me, members, before, genesis, block })
    }

    pub(crate) fn fetch_timeout(&self) -> Result<NonZeroDuration, EngineError> {
        NonZeroDuration::new(Duration::from_millis(self.timeouts.fetch_ms)).ok_or(EngineError::Timeouts)
    }

    fn block_cfg(&self) -> Result<BlockCfg, EngineError> {
        let block = BlockCfg { max: self.block_max, open: self.open };
        let members = u32::try_from(limits::MEMBERS_MAX).unwrap_or(u32::MAX);
        let largest = marshal::max_payload_size::<marshal::standard::Standard<EngineBlock>, Scheme>(members, &block)
            .max(simplex::max_payload_size::<Scheme, Digest>(members));
        let in_limit = usize::try_from(self.block_max).is_ok_and(|max| max <= limits::BLOCK_BYTES_MAX);
        if in_limit && largest <= MESSAGE_BYTES_MAX { Ok(block) } else { Err(EngineError::BlockMax) }
    }
}

fn committee(members: &[Hash]) -> Result<Set<PublicKey>, EngineError> {
    let count = members.len();
    if count == 0 || count > limits::MEMBERS_MAX {
        return Err(EngineError::Committee { count });
    }
    if !members.is_sorted_by(|a, b| a < b) {
        return Err(EngineError::Order);
    }
    let mut keys = Vec::with_capacity(count);
    for (member, key) in (0u16..).zip(members) {
        let member = MemberId(member);
        keys.push(PublicKey::decode(Copying(key.as_ref())).map_err(|_no_point| EngineError::Key { member })?);
    }
    Ok(Set::from_iter_dedup(keys))
}
