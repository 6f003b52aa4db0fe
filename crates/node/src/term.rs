//! Who works in an epoch, and where each is reached.
//!
//! ```text
//!  roster   what the folder remembers: enough to ask the others and to open the log
//!  term     what the log says: what the member runs with; another one than the roster's is remembered, and the start
//!           begins again
//! ```
use crate::files::{self, FilesError, NetworkFiles};
use crypto::{
    keys::{BeaconShareKey, DecryptionShareKey},
    succession::Succession,
};
use keygen::{MemberSecrets, handover};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc};
use store::durable;
use types::{Epoch, Epochs, Hash, MemberAddress, MemberId, MemberRecord, codec};
use verifier::{AnchorError, Committee, Replay};
use zeroize::Zeroizing;

/// Name of the roster in a member's folder: what the log says, kept beside it.
const ROSTER: &str = "roster";
/// A committee of 127 with names and addresses is below that.
const ROSTER_BYTES_MAX: usize = 1 << 20;

/// A committee and its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Roster {
    pub(crate) f: u16,
    /// By index.
    pub(crate) members: Vec<MemberRecord>,
    /// By index; some may be unknown.
    pub(crate) addresses: Vec<MemberAddress>,
}

impl Roster {
    /// That of epoch 0.
    pub(crate) fn genesis(network: &NetworkFiles) -> Self {
        let members = network.network.genesis.members.clone();
        Self { f: network.network.faults(), members, addresses: network.network.addresses.clone() }
    }

    /// The one that the folder remembers, or that of genesis.
    pub(crate) fn read(network: &NetworkFiles, folder: &Path) -> Result<Self, FilesError> {
        let path = folder.join(ROSTER);
        if !path.exists() {
            return Ok(Self::genesis(network));
        }
        let bytes = files::read(&path, ROSTER_BYTES_MAX)?;
        // a damaged one is made again from the log
        Ok(codec::decode(&bytes, ROSTER_BYTES_MAX).unwrap_or_else(|_damaged| Self::genesis(network)))
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), FilesError> {
        Ok(durable::write(&folder.join(ROSTER), &codec::encode(self))?)
    }

    /// The committee of these records with the addresses that genesis and the log say.
    pub(crate) fn of(network: &NetworkFiles, f: u16, members: &[MemberRecord], said: &Succession) -> Self {
        let genesis = &network.network;
        let at_genesis = |key: &Hash| {
            let index = genesis.genesis.members.iter().position(|member| member.consensus == *key)?;
            genesis.addresses.iter().find(|address| usize::from(address.member.0) == index).cloned()
        };
        let address = |(index, member): (u16, &MemberRecord)| {
            let joined = said.joined(&member.consensus).map(|joining| joining.address(MemberId(index)));
            joined.or_else(|| at_genesis(&member.consensus)).map(|a| MemberAddress { member: MemberId(index), ..a })
        };
        Self { f, members: members.to_vec(), addresses: (0..).zip(members).filter_map(address).collect() }
    }

    /// Whose indices its members' words are in: SHA-256 over the consensus keys.
    pub(crate) fn id(&self) -> Hash {
        let keys: Vec<&[u8]> = self.members.iter().map(|member| member.consensus.as_bytes().as_slice()).collect();
        crypto::hash::sha256(&keys)
    }

    /// The member with this consensus key.
    pub(crate) fn index(&self, key: &Hash) -> Option<MemberId> {
        index(&self.members, key)
    }
    pub(crate) fn address(&self, member: MemberId) -> Option<&MemberAddress> {
        self.addresses.iter().find(|address| address.member == member)
    }
}

/// The member with this consensus key.
pub(crate) fn index(members: &[MemberRecord], key: &Hash) -> Option<MemberId> {
    let at = members.iter().position(|member| member.consensus == *key)?;
    u16::try_from(at).ok().map(MemberId)
}

/// What the log says of the epoch that goes on after its end.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) committee: Arc<Committee>,
    pub(crate) before: Option<(Epoch, Arc<Committee>)>,
    pub(crate) roster: Roster,
}

impl Term {
    pub(crate) fn of(network: &NetworkFiles, replay: &Replay) -> Self {
        let committee = Arc::clone(replay.committee());
        let roster = Roster::of(network, committee.f, &committee.members, replay.succession());
        Self { committee, before: replay.before().cloned(), roster }
    }
}

impl Term {
    /// That of `epoch`, which begins now with another committee or other parameters.
    pub(crate) fn next(
        self,
        network: &NetworkFiles,
        epoch: Epoch,
        epochs: &Epochs,
        said: &Succession,
    ) -> Result<Self, AnchorError> {
        let ended = Epoch(epoch.0.saturating_sub(1));
        let record = epochs.of(epoch);
        let same_keys = record.keys() == epochs.of(ended).keys();
        let keys_since = if same_keys { self.committee.keys_since } else { epoch };
        let committee = Arc::new(Committee::of(&network.network.genesis.origin, record, keys_since)?);
        let roster = Roster::of(network, committee.f, &committee.members, said);
        Ok(Self { before: Some((ended, self.committee)), committee, roster })
    }
}

/// Why a member has no shares of its committee's secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SharesError {
    /// The log does not hold the handover.
    #[error("the log on disk does not hold the handover to epoch {0}")]
    Missing(Epoch),
    /// The handover gives this member none.
    #[error("the handover gives this member no shares")]
    Handover(#[from] keygen::reshare::ReshareError),
    /// Those that it gives are not those of the key set.
    #[error("the shares that the handover gives are not those of the key set")]
    Wrong,
}

/// This member's shares from the handover in the log: its dealings stand there, sealed to its consensus key.
pub(crate) fn shares(
    committee: &Committee,
    said: &Succession,
    seed: &Zeroizing<[u8; 32]>,
) -> Result<MemberSecrets, SharesError> {
    let missing = SharesError::Missing(committee.keys_since);
    let handed = said.handed(committee.keys_since).ok_or(missing)?;
    Ok(handover::shares(handed, seed)?)
}

/// Whether shares are this member's in a key set.
pub(crate) fn fits(
    committee: &Committee,
    me: MemberId,
    secrets: &MemberSecrets,
) -> Option<(DecryptionShareKey, BeaconShareKey)> {
    let decrypt = DecryptionShareKey::from_le_bytes(secrets.decrypt.clone()).ok()?;
    let beacon = BeaconShareKey::from_le_bytes(secrets.beacon.clone()).ok()?;
    let keys = &committee.keys;
    let right =
        keys.share_key(me) == Some(decrypt.public_g1()) && keys.beacon_share_key(me) == Some(beacon.public_g1());
    right.then_some((decrypt, beacon))
}
