//! Resharing: the committee of one epoch hands both secrets to the next committee, under the same two public keys.
//!
//! Member i of the old committee deals a random polynomial whose value at 0 is its *share* x_i; a new member that holds
//! q of those dealings interpolates them to its own share of the same secret. Anyone computes the new commitments from
//! the dealers' logs. So PK, PK2, key id and the beacon's key stay, and pending envelopes stay valid.
//!
//! ```text
//!  Dealer (old member i)            Player (new member j)                     everybody
//!  start -> dealing ---private-->   on_dealing -> ack
//!  on_ack <------------------------
//!  seal -> log --------------------------- operation in a block ----------->  check_log
//!                                   finish(agreed logs) -> MemberSecrets       observe(agreed logs) -> Outcome
//!                                   ShareKey::sign ------- operation ------->  check_share_key
//!                                                                              Outcome::key_set -> KeySetParts
//! ```
//!
//! Each message carries both secrets' halves. The blocks agree on the set of logs; what came too late is not in it.
//! Fewer than q usable logs: [`ReshareError::TooFewLogs`], and the old committee stays.
//!
//! **What the caller keeps on disk**, and when: the dealer's entropy before the first dealing leaves; a dealing
//! received before its acknowledgement leaves ([`Player::resume`]); the sealed log before it leaves, and from then on
//! only those bytes are sent and no [`Dealer`] is started for the plan again. A dealer that seals twice signs two logs,
//! counts as faulty, and may publish so many scalars that f bad players compute its old share.
//!
//! Trust: up to f old and f new members may do anything. While dealings and acknowledgements travel the network must be
//! synchronous: the scalar of a player that is silent goes into the logs, and once f + 1 of the chosen dealers did that
//! anyone may compute its share ([`Outcome::revealed`]; f + 1 of the *old* f). The old shares still open everything:
//! they must be deleted once the old epoch's last slot is revealed. A dealt key set stays a dealt one: its dealer knew
//! the secret, which does not change. Byte by byte: docs, cryptography, section 13.
use crate::{
    ceremony::{CeremonyError, quorum},
    party::{Round, Secret},
    public,
};
use commonware_codec::{Copying, DecodeExt};
use commonware_cryptography::{bls12381::primitives::group::G1, ed25519::PublicKey};
use crypto::{hash::t256, keys::KeySetError};
use types::{Epoch, EpochRecord, G1Bytes, G2Bytes, Hash, KeySetParts, MemberId, codec, tag};

pub(crate) mod outcome;
mod roles;
mod share_key;

pub use crate::party::LogError;
pub use outcome::{LOG_BYTES_MAX, Outcome, check_log, observe};
pub use roles::{Dealer, Dealing, Player};
pub use share_key::{ShareKey, ShareKeyError, check_share_key};

/// Why a resharing did not begin, or did not end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReshareError {
    /// The key set to hand over does not hold.
    #[error("the key set to hand over does not hold")]
    KeySet(#[from] KeySetError),
    /// A consensus key is no ed25519 key.
    #[error("consensus key of {committee} member {member} is no key")]
    Key {
        /// Which committee.
        committee: Committee,
        /// Whose.
        member: MemberId,
    },
    /// A committee of a wrong size or in a wrong order.
    #[error("the {committee} committee is refused")]
    Committee {
        /// Which committee.
        committee: Committee,
        /// Why.
        source: CeremonyError,
    },
    /// The seed's key is in the other committee at most.
    #[error("not a member of the {committee} committee")]
    Stranger {
        /// Which committee.
        committee: Committee,
    },
    /// The stored shares are not those of this member in the key set to hand over.
    #[error("stored shares do not fit the key set")]
    Shares,
    /// A stored dealing is not one that this player ever acknowledged.
    #[error("stored dealing of member {dealer} does not hold")]
    Stored {
        /// Whose, in the old committee.
        dealer: MemberId,
    },
    /// Too few usable dealer logs: the old committee stays.
    #[error("{found} usable dealer logs of {required}")]
    TooFewLogs {
        /// q of the old committee.
        required: usize,
        /// How many were usable.
        found: usize,
        /// Old members whose signatures prove a fault: a log that does not hold, or two logs.
        faulty: Vec<MemberId>,
        /// Old members without a log, or with an empty one.
        unavailable: Vec<MemberId>,
    },
    /// This member cannot derive its shares: it lost a dealing that it had acknowledged. The others finish.
    #[error("this member's dealings do not give its shares")]
    State {
        /// Why.
        source: CeremonyError,
    },
    /// The library broke one of its promises.
    #[error("the library broke a promise")]
    Library {
        /// Which.
        source: CeremonyError,
    },
}

/// One of the two committees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committee {
    /// Hands over.
    Old,
    /// Takes over.
    New,
}

impl core::fmt::Display for Committee {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

/// The keys to hand over: what EPOCH says, so that whoever reads the log can follow.
#[derive(Clone, Copy, Debug)]
pub struct OldKeys<'a> {
    /// Commitments of the decryption secret.
    pub decrypt: &'a [G1Bytes],
    /// Its public key in G2.
    pub decrypt_g2: &'a G2Bytes,
    /// Commitments of the beacon secret.
    pub beacon: &'a [G1Bytes],
}

impl<'a> From<&'a KeySetParts> for OldKeys<'a> {
    fn from(parts: &'a KeySetParts) -> Self {
        Self { decrypt: &parts.decrypt, decrypt_g2: &parts.decrypt_g2, beacon: &parts.beacon }
    }
}

impl<'a> From<&'a EpochRecord> for OldKeys<'a> {
    fn from(record: &'a EpochRecord) -> Self {
        Self { decrypt: &record.decrypt, decrypt_g2: &record.decrypt_g2, beacon: &record.beacon }
    }
}

impl OldKeys<'_> {
    /// The commitments of both secrets, q each, if PK and PK2 have one secret.
    fn check(&self, q: usize) -> Result<[Vec<G1>; 2], KeySetError> {
        if [self.decrypt.len(), self.beacon.len()] != [q, q] {
            return Err(KeySetError::Count);
        }
        let points = |bytes| public::points(bytes).map_err(|_not| KeySetError::Point);
        let (decrypt, beacon) = (points(self.decrypt)?, points(self.beacon)?);
        // The key of "member" 0 of a polynomial of degree 0.
        let constant = decrypt.get(..1).ok_or(KeySetError::Count)?;
        public::fitting_g2(constant, 0, self.decrypt_g2.as_bytes()).ok_or(KeySetError::PublicKeys)?;
        Ok([decrypt, beacon])
    }
}

/// What everybody agrees on before a resharing starts.
pub struct Plan {
    /// Binds messages, signatures and randomness to this plan.
    name: Hash,
    /// Of which epoch the new committee is the first, and which try this is.
    number: (Epoch, u8),
    /// The old committee.
    from: Vec<Hash>,
    /// The new one.
    members: Vec<Hash>,
    /// Members of the old committee, and how many of them it takes.
    old: (usize, usize),
    /// Members of the new committee, and how many of them it takes.
    new: (usize, usize),
    decrypt: Half,
    beacon: Half,
    decrypt_g2: G2Bytes,
}

/// A plan for one of the secrets.
struct Half {
    round: Round,
    /// Of the old sharing.
    commitments: Vec<G1>,
}

impl Plan {
    /// Hands the secrets of `keys`, held by `from`, to `to`, who hold them from `epoch` on. Consensus keys ascend
    /// (KEY-1). `attempt` counts the tries for that epoch.
    ///
    /// # Errors
    /// [`ReshareError::Committee`], [`ReshareError::Key`], [`ReshareError::KeySet`].
    pub fn new<'a>(
        network: &Hash,
        (epoch, attempt): (Epoch, u8),
        (from, keys): (&[Hash], impl Into<OldKeys<'a>>),
        to: &[Hash],
    ) -> Result<Self, ReshareError> {
        let (old, dealers) = committee(Committee::Old, from)?;
        let (new, players) = committee(Committee::New, to)?;
        let keys = keys.into();
        let commitments = keys.check(old.1)?;
        let name = name(network, (epoch, attempt), (from, &keys), to);
        // The library wants a number per attempt. The name, which it signs as part of the old sharing, says the rest.
        let number = epoch.0.saturating_mul(256).saturating_add(attempt.into());
        let half = |secret, commitments: Vec<G1>| {
            let previous = public::output(&name, &dealers, &commitments)?;
            let round = Round::reshare(network, secret, number, previous, [&dealers, &players])?;
            Ok::<_, CeremonyError>(Half { round, commitments })
        };
        let library = |source| ReshareError::Library { source };
        let [decrypt, beacon] = commitments;
        Ok(Self {
            name,
            number: (epoch, attempt),
            from: from.to_vec(),
            members: to.to_vec(),
            old,
            new,
            decrypt: half(Secret::Decrypt, decrypt).map_err(library)?,
            beacon: half(Secret::Beacon, beacon).map_err(library)?,
            decrypt_g2: *keys.decrypt_g2,
        })
    }

    /// T256("lockstep/reshare/plan/v1"; network, u64le epoch, u8 attempt, codec(old members), codec(decrypt), PK2,
    /// codec(beacon), codec(new members)): what every message is bound to.
    #[must_use]
    pub fn name(&self) -> Hash {
        self.name
    }

    /// The epoch from which the new committee holds the secrets, and the number of the try.
    #[must_use]
    pub fn number(&self) -> (Epoch, u8) {
        self.number
    }

    /// The old committee's consensus keys, ascending.
    #[must_use]
    pub fn dealers(&self) -> &[Hash] {
        &self.from
    }

    /// The new committee's consensus keys, ascending.
    #[must_use]
    pub fn players(&self) -> &[Hash] {
        &self.members
    }

    fn halves(&self) -> [&Half; 2] {
        [&self.decrypt, &self.beacon]
    }
}

impl core::fmt::Debug for Plan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Plan").field(&self.name).finish()
    }
}

/// [`Plan::name`], of whatever is said to be a plan.
pub(crate) fn name(
    network: &Hash,
    (epoch, attempt): (Epoch, u8),
    (from, keys): (&[Hash], &OldKeys<'_>),
    to: &[Hash],
) -> Hash {
    let number = epoch.0.to_le_bytes();
    let lists = [codec::encode(&from), codec::encode(&keys.decrypt), codec::encode(&keys.beacon), codec::encode(&to)];
    let [old_members, decrypt, beacon, members] = lists.each_ref().map(Vec::as_slice);
    let parts = [
        network.as_bytes().as_slice(),
        &number,
        &[attempt],
        old_members,
        decrypt,
        keys.decrypt_g2.as_bytes(),
        beacon,
        members,
    ];
    t256(tag::RESHARE_PLAN, &parts)
}

/// n and q, and the keys, of members in strictly ascending order.
fn committee(committee: Committee, members: &[Hash]) -> Result<((usize, usize), Vec<PublicKey>), ReshareError> {
    let refused = |source| ReshareError::Committee { committee, source };
    let n = members.len();
    let q = quorum(n).map_err(refused)?;
    if let Some(index) = members.windows(2).position(|pair| !pair.is_sorted_by(|a, b| a < b)) {
        return Err(refused(CeremonyError::Order { index: index.saturating_add(1) }));
    }
    let key = |(member, bytes): (MemberId, &Hash)| {
        PublicKey::decode(Copying(bytes.as_bytes().as_slice())).map_err(|_any| ReshareError::Key { committee, member })
    };
    let keys = (0..).map(MemberId).zip(members).map(key).collect::<Result<_, _>>()?;
    Ok(((n, q), keys))
}

#[cfg(test)]
mod tests;
