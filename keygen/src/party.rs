//! One participant of one ceremony for one secret: bytes in, bytes out, no network, no clock.
//!
//! ```text
//!  Dealing --on_dealing, on_ack (all members)--> Dealing --seal--> Sealed --finish(Board)--> (Output, Share)
//! ```
use crate::ceremony::CeremonyError;
use commonware_codec::{Copying, Decode, DecodeExt, Encode, FixedSize};
use commonware_cryptography::{
    Signer,
    bls12381::{
        dkg::feldman_desmedt::{
            Dealer, DealerLog, DealerPrivMsg, DealerPubMsg, Error as DkgError, Failure, FinalizeError, Info, Logs,
            Output, Player, PlayerAck, Reveal, SignedDealerLog, observe,
        },
        primitives::{group::Share, sharing::Mode, variant::MinPk},
    },
    ed25519::{PrivateKey, PublicKey},
    transcript::{Transcript, Version},
};
use commonware_parallel::Sequential;
use commonware_utils::{N3f1, ordered::Set};
use core::num::NonZeroU32;
use rand_core::CryptoRng;
use std::collections::BTreeMap;
use types::{Hash, MemberId, tag};
use zeroize::Zeroizing;

/// The public result, in commonware's types.
pub(crate) type PublicOutput = Output<MinPk, PublicKey>;

/// Which of the two secrets a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    /// Opens envelopes.
    Decrypt,
    /// Signs the beacon.
    Beacon,
}

impl Secret {
    fn tag(self) -> &'static str {
        match self {
            Self::Decrypt => tag::DKG_DECRYPT,
            Self::Beacon => tag::DKG_BEACON,
        }
    }
}

/// The signing key of a member, from its 32-byte seed.
pub(crate) fn consensus_key(seed: &Zeroizing<[u8; 32]>) -> Result<PrivateKey, CeremonyError> {
    PrivateKey::decode(Copying(seed.as_slice())).map_err(|_any| CeremonyError::Library)
}

/// The public consensus key of a seed: equal to `crypto::ed25519::SigningKey::public` of the same seed.
///
/// # Errors
/// [`CeremonyError::Library`] if commonware refuses 32 bytes as a seed, which it does not.
pub fn consensus_public(seed: &Zeroizing<[u8; 32]>) -> Result<Hash, CeremonyError> {
    public_bytes(&consensus_key(seed)?.public_key())
}

fn public_bytes(key: &PublicKey) -> Result<Hash, CeremonyError> {
    Hash::try_from(key.encode().as_ref()).map_err(|_length| CeremonyError::Library)
}

/// What all participants of a round agree on before it starts.
#[derive(Clone)]
pub(crate) struct Round {
    info: Info<MinPk, PublicKey>,
    keys: Vec<PublicKey>,
    size: NonZeroU32,
    tag: &'static str,
    network: Hash,
    number: u64,
}

impl Round {
    /// A fresh key for `keys`, which are in strictly ascending order (KEY-1).
    pub(crate) fn new(network: &Hash, secret: Secret, number: u64, keys: &[PublicKey]) -> Result<Self, CeremonyError> {
        let size = u32::try_from(keys.len()).ok().and_then(NonZeroU32::new);
        let size = size.ok_or(CeremonyError::Size { n: keys.len() })?;
        let set = Set::from_iter_dedup(keys.iter().cloned());
        if let Some(index) = (0..keys.len()).find(|&i| keys.get(i) != set.get(i)) {
            return Err(CeremonyError::Order { index });
        }
        let namespace = [secret.tag().as_bytes(), network.as_bytes()].concat();
        let info = Info::new::<N3f1>(&namespace, number, None, Mode::NonZeroCounter, Reveal::V1, set.clone(), set)?;
        Ok(Self { info, keys: keys.to_vec(), size, tag: secret.tag(), network: *network, number })
    }

    fn key(&self, member: MemberId) -> Result<&PublicKey, CeremonyError> {
        self.keys.get(usize::from(member.0)).ok_or(CeremonyError::Member { member })
    }

    fn member(&self, key: &PublicKey) -> Option<MemberId> {
        let index = self.keys.binary_search(key).ok()?;
        u16::try_from(index).ok().map(MemberId)
    }

    fn members<'a>(&self, keys: impl IntoIterator<Item = &'a PublicKey>) -> Vec<MemberId> {
        keys.into_iter().filter_map(|key| self.member(key)).collect()
    }

    /// Randomness of one participant for one purpose: another network, secret, round, member or label, other bytes.
    fn rng(&self, entropy: &Zeroizing<[u8; 32]>, member: MemberId, label: &'static [u8]) -> impl CryptoRng + use<> {
        let mut transcript = Transcript::new(tag::DKG_ENTROPY.as_bytes(), Version::V1);
        transcript
            .commit(self.network.as_bytes().as_slice())
            .commit(self.tag.as_bytes())
            .commit(self.number.to_le_bytes().as_slice())
            .commit(member.0.to_le_bytes().as_slice())
            .commit(entropy.as_slice());
        transcript.noise(label)
    }

    fn failure(&self, failure: Failure<PublicKey>) -> CeremonyError {
        match failure {
            Failure::InsufficientLogs { required, found, faults, unavailable } => CeremonyError::TooFewLogs {
                required,
                found,
                faulty: self.members(faults.keys().iter()),
                unavailable: self.members(unavailable.iter()),
            },
        }
    }

    /// Members whose shares anyone can compute from the logs.
    pub(crate) fn revealed(&self, output: &PublicOutput) -> Vec<MemberId> {
        self.members(output.revealed().iter())
    }

    /// What somebody without a share computes from the logs.
    pub(crate) fn observe(&self, entropy: &Zeroizing<[u8; 32]>, board: &Board) -> Result<PublicOutput, CeremonyError> {
        let mut rng = self.rng(entropy, MemberId(u16::MAX), b"observe");
        observe(&mut rng, board.logs(self), &Sequential).map_err(|failure| self.failure(failure))
    }
}

/// What a participant begins with.
pub(crate) struct Started {
    pub(crate) party: Dealing,
    /// One per member, by index, the sender's own included: commitments, then that member's scalar. Each must reach its
    /// member encrypted and authenticated.
    pub(crate) dealings: Vec<Zeroizing<Vec<u8>>>,
}

/// A participant while dealings and acknowledgements travel. Holds secrets.
pub(crate) struct Dealing {
    round: Round,
    me: MemberId,
    dealer: Dealer<MinPk, PrivateKey>,
    player: Player<MinPk, PrivateKey>,
}

/// A participant whose log is out and that waits for the agreed set of logs. Holds secrets.
pub(crate) struct Sealed {
    round: Round,
    me: MemberId,
    player: Player<MinPk, PrivateKey>,
}

impl Dealing {
    /// Draws a polynomial.
    pub(crate) fn start(
        round: &Round,
        key: &PrivateKey,
        entropy: &Zeroizing<[u8; 32]>,
    ) -> Result<Started, CeremonyError> {
        let me = round.member(&key.public_key()).ok_or(CeremonyError::Library)?;
        let player = Player::new(round.info.clone(), key.clone())?;
        let rng = round.rng(entropy, me, b"deal");
        let (dealer, commitments, scalars) = Dealer::start::<N3f1>(rng, round.info.clone(), key.clone(), None)?;
        let dealings = scalars
            .iter()
            .map(|(_, scalar)| Zeroizing::new([commitments.encode().as_ref(), scalar.encode().as_ref()].concat()))
            .collect();
        Ok(Started { party: Self { round: round.clone(), me, dealer, player }, dealings })
    }

    /// Checks a dealing; the acknowledgement to send back, or `None` for one that does not earn it.
    pub(crate) fn on_dealing(&mut self, from: MemberId, bytes: &[u8]) -> Option<Vec<u8>> {
        let max = DealerPubMsg::<MinPk>::max_encode_size(self.round.size).checked_add(DealerPrivMsg::SIZE)?;
        if bytes.len() > max {
            return None;
        }
        let (commitments, scalar) = bytes.split_at_checked(bytes.len().checked_sub(DealerPrivMsg::SIZE)?)?;
        let commitments = DealerPubMsg::<MinPk>::decode_cfg(Copying(commitments), &self.round.size).ok()?;
        let scalar = DealerPrivMsg::decode(Copying(scalar)).ok()?;
        let dealer = self.round.key(from).ok()?.clone();
        let ack = self.player.dealer_message::<N3f1>(dealer, commitments, scalar).ok()??;
        Some(ack.encode().to_vec())
    }

    /// Takes an acknowledgement; whether it was good. Without one the member's scalar goes into the log.
    pub(crate) fn on_ack(&mut self, from: MemberId, bytes: &[u8]) -> bool {
        let Ok(ack) = PlayerAck::<PublicKey>::decode(Copying(bytes)) else { return false };
        let Ok(player) = self.round.key(from).cloned() else { return false };
        self.dealer.receive_player_ack(player, ack).is_ok()
    }

    /// Closes the dealing: the signed log, and a participant that waits for all of them.
    pub(crate) fn seal(self) -> (Vec<u8>, Sealed) {
        let log = self.dealer.finalize::<N3f1>().encode().to_vec();
        (log, Sealed { round: self.round, me: self.me, player: self.player })
    }
}

impl Sealed {
    /// The key set and this member's share of the secret, from the agreed logs.
    pub(crate) fn finish(
        self,
        entropy: &Zeroizing<[u8; 32]>,
        board: &Board,
    ) -> Result<(PublicOutput, Share), CeremonyError> {
        let mut rng = self.round.rng(entropy, self.me, b"finish");
        let logs = board.logs(&self.round);
        self.player.finalize::<N3f1>(&mut rng, logs, &Sequential).map_err(|error| match error {
            FinalizeError::Error(source) => CeremonyError::State { member: self.me, source },
            FinalizeError::Failure(failure) => self.round.failure(failure),
        })
    }
}

/// The logs that everybody finishes with: one per dealer, signature checked, sorted by dealer.
#[derive(Default)]
pub(crate) struct Board {
    logs: BTreeMap<PublicKey, (Vec<u8>, DealerLog<MinPk, PublicKey>)>,
}

impl Board {
    /// Takes a dealer's log. The first one counts; the same one again changes nothing.
    pub(crate) fn post(&mut self, round: &Round, bytes: &[u8]) -> Result<MemberId, LogError> {
        if bytes.len() > SignedDealerLog::<MinPk, PublicKey>::max_encode_size(round.size) {
            return Err(LogError::TooLong);
        }
        let signed = SignedDealerLog::<MinPk, PublicKey>::decode_cfg(Copying(bytes), &round.size)?;
        let (dealer, log) = signed.check(&round.info).ok_or(LogError::Signature)?;
        let member = round.member(&dealer).ok_or(LogError::Stranger)?;
        match self.logs.get(&dealer) {
            Some((first, _)) if first != bytes => return Err(LogError::Second { member }),
            Some(_) => {}
            None => {
                self.logs.insert(dealer, (bytes.to_vec(), log));
            }
        }
        Ok(member)
    }

    /// The logs as bytes, sorted by dealer.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.logs.values().map(|(bytes, _)| bytes.as_slice())
    }

    fn logs(&self, round: &Round) -> Logs<MinPk, PublicKey, N3f1> {
        let mut logs = Logs::new(round.info.clone());
        for (dealer, (_, log)) in &self.logs {
            logs.record(dealer.clone(), log.clone());
        }
        logs
    }
}

/// Why a dealer's log was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// Longer than a log of this committee can be.
    #[error("log longer than any of this committee")]
    TooLong,
    /// No encoding of a log.
    #[error("malformed log")]
    Malformed(#[from] commonware_codec::Error),
    /// Its signature is not the named dealer's for this round.
    #[error("bad signature on a log")]
    Signature,
    /// Signed by somebody outside the committee.
    #[error("log of a stranger")]
    Stranger,
    /// Another log of the same dealer is there.
    #[error("second log of member {member}")]
    Second {
        /// Who signed two.
        member: MemberId,
    },
}

impl From<DkgError> for CeremonyError {
    fn from(source: DkgError) -> Self {
        Self::Parameters { source }
    }
}
