//! What all operators know before a ceremony starts.
use crate::{
    ceremony::{CeremonyError, member_id, quorum},
    party::{Round, Secret},
    reshare::outcome::Rounds,
};
use commonware_codec::{Copying, DecodeExt};
use commonware_cryptography::ed25519::PublicKey;
use crypto::hash::t256;
use types::{Hash, MemberId, codec, tag};

/// Why there can be no such ceremony.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Not n = 3f + 1 members, or not in ascending order.
    #[error(transparent)]
    Committee(#[from] CeremonyError),
    /// A consensus key is no key.
    #[error("consensus key of member {0} is no key")]
    Key(MemberId),
    /// No such member, or named twice or out of order.
    #[error("absent members must be named once, ascending, by their index")]
    Absent,
    /// More than f are absent.
    #[error("{absent} absent: a committee of {n} bears {f}")]
    TooManyAbsent {
        /// How many are named.
        absent: usize,
        /// Members.
        n: usize,
        /// How many may be absent.
        f: usize,
    },
    /// The seed's key is nobody's.
    #[error("this consensus key is not one of the committee's")]
    Stranger,
}

/// A ceremony: network, committee, number, and who is absent. The name binds everything that is signed or drawn.
pub struct Plan {
    network: Hash,
    number: u32,
    members: Vec<Hash>,
    absent: Vec<MemberId>,
    name: Hash,
    q: usize,
    decrypt: Round,
    beacon: Round,
}

impl core::fmt::Debug for Plan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Plan").field(&self.name).finish()
    }
}

impl Plan {
    /// The ceremony of this number for `network`, whose id binds members and parameters. `members` are consensus keys in
    /// ascending order (KEY-1).
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(network: &Hash, number: u32, members: &[Hash], absent: &[MemberId]) -> Result<Self, PlanError> {
        let n = members.len();
        let q = quorum(n)?;
        let f = n.saturating_sub(q);
        if !absent.is_sorted_by(|a, b| a < b) || absent.last().is_some_and(|last| usize::from(last.0) >= n) {
            return Err(PlanError::Absent);
        }
        if absent.len() > f {
            return Err(PlanError::TooManyAbsent { absent: absent.len(), n, f });
        }
        let key = |(member, bytes): (MemberId, &Hash)| {
            PublicKey::decode(Copying(bytes.as_bytes().as_slice())).map_err(|_any| PlanError::Key(member))
        };
        let keys: Vec<_> = (0..).map(MemberId).zip(members).map(key).collect::<Result<_, _>>()?;
        let name =
            t256(tag::CEREMONY_PLAN, &[network.as_bytes(), &number.to_le_bytes(), &codec::encode(&(members, absent))]);
        let round = |secret| Round::new(&name, secret, number.into(), &keys);
        let (decrypt, beacon) = (round(Secret::Decrypt)?, round(Secret::Beacon)?);
        let (members, absent) = (members.to_vec(), absent.to_vec());
        Ok(Self { network: *network, number, members, absent, name, q, decrypt, beacon })
    }

    /// T256("lockstep/ceremony/plan/v1"; network, u32le number, codec(members, absent)).
    #[must_use]
    pub fn name(&self) -> Hash {
        self.name
    }

    /// Network id.
    #[must_use]
    pub fn network(&self) -> Hash {
        self.network
    }

    /// Which try this is: operators that begin again take the next one.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Consensus keys, ascending.
    #[must_use]
    pub fn members(&self) -> &[Hash] {
        &self.members
    }

    /// Who is not waited for.
    #[must_use]
    pub fn absent(&self) -> &[MemberId] {
        &self.absent
    }

    /// Who must speak in every step.
    pub fn expected(&self) -> impl Iterator<Item = MemberId> + use<'_> {
        (0..self.members.len()).map(member_id).filter(|member| !self.absent.contains(member))
    }

    /// The member with this consensus key.
    #[must_use]
    pub fn member(&self, key: &Hash) -> Option<MemberId> {
        self.members.binary_search(key).ok().map(member_id)
    }

    /// q = 2f + 1.
    pub(super) fn q(&self) -> usize {
        self.q
    }

    pub(super) fn rounds(&self) -> Rounds<'_> {
        Rounds { name: &self.name, decrypt: &self.decrypt, beacon: &self.beacon, dealers: (self.members.len(), self.q) }
    }
}
