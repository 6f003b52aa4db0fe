//! The two sides of one ceremony for one secret: bytes in, bytes out, no network, no clock.
//!
//! ```text
//!  DealerSide --on_ack (all players)--> DealerSide --seal--> log
//!  PlayerSide --on_dealing (all dealers)--> PlayerSide --finish(Board)--> (Output, Share)
//! ```
//!
//! In a fresh ceremony every member is both ([`Dealing`], [`Sealed`]); in a resharing the old committee deals and the
//! new one plays.
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
use types::{Hash, MemberId, codec::DecodeError, tag};
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

/// The keys as a set, if they are in strictly ascending order.
fn ordered(keys: &[PublicKey]) -> Result<Set<PublicKey>, CeremonyError> {
    let set = Set::from_iter_dedup(keys.iter().cloned());
    (0..keys.len()).find(|&i| keys.get(i) != set.get(i)).map_or(Ok(set), |index| Err(CeremonyError::Order { index }))
}

fn rank(keys: &[PublicKey], key: &PublicKey) -> Option<MemberId> {
    u16::try_from(keys.binary_search(key).ok()?).ok().map(MemberId)
}

fn public_bytes(key: &PublicKey) -> Result<Hash, CeremonyError> {
    Hash::try_from(key.encode().as_ref()).map_err(|_length| CeremonyError::Library)
}

/// What all participants of a round agree on before it starts.
#[derive(Clone)]
pub(crate) struct Round {
    info: Info<MinPk, PublicKey>,
    dealers: Vec<PublicKey>,
    players: Vec<PublicKey>,
    /// Players: bounds what a message may hold.
    size: NonZeroU32,
    tag: &'static str,
    network: Hash,
    number: u64,
}

impl Round {
    /// A fresh key for `keys`, which are in strictly ascending order (KEY-1).
    pub(crate) fn new(network: &Hash, secret: Secret, number: u64, keys: &[PublicKey]) -> Result<Self, CeremonyError> {
        Self::with(network, secret, number, None, [keys, keys])
    }

    /// The key of `previous`, whose players are `dealers`, for `players`. Both in strictly ascending order.
    pub(crate) fn reshare(
        network: &Hash,
        secret: Secret,
        number: u64,
        previous: PublicOutput,
        [dealers, players]: [&[PublicKey]; 2],
    ) -> Result<Self, CeremonyError> {
        Self::with(network, secret, number, Some(previous), [dealers, players])
    }

    fn with(
        network: &Hash,
        secret: Secret,
        number: u64,
        previous: Option<PublicOutput>,
        [dealers, players]: [&[PublicKey]; 2],
    ) -> Result<Self, CeremonyError> {
        let size = u32::try_from(players.len()).ok().and_then(NonZeroU32::new);
        let size = size.ok_or(CeremonyError::Size { n: players.len() })?;
        let (mode, reveal) = (Mode::NonZeroCounter, Reveal::V1);
        let namespace = [secret.tag().as_bytes(), network.as_bytes()].concat();
        let sets = (ordered(dealers)?, ordered(players)?);
        let info = Info::new::<N3f1>(&namespace, number, previous, mode, reveal, sets.0, sets.1)?;
        let (dealers, players) = (dealers.to_vec(), players.to_vec());
        Ok(Self { info, dealers, players, size, tag: secret.tag(), network: *network, number })
    }

    pub(crate) fn dealer(&self, key: &PublicKey) -> Option<MemberId> {
        rank(&self.dealers, key)
    }

    fn dealers<'a>(&self, keys: impl IntoIterator<Item = &'a PublicKey>) -> Vec<MemberId> {
        keys.into_iter().filter_map(|key| self.dealer(key)).collect()
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
                faulty: self.dealers(faults.keys().iter()),
                unavailable: self.dealers(unavailable.iter()),
            },
        }
    }

    /// Members whose shares anyone can compute from the logs.
    pub(crate) fn revealed(&self, output: &PublicOutput) -> Vec<MemberId> {
        output.revealed().iter().filter_map(|key| rank(&self.players, key)).collect()
    }

    /// What somebody without a share computes from the logs.
    pub(crate) fn observe(&self, entropy: &Zeroizing<[u8; 32]>, board: &Board) -> Result<PublicOutput, CeremonyError> {
        let mut rng = self.rng(entropy, MemberId(u16::MAX), b"observe");
        observe(&mut rng, board.logs(self), &Sequential).map_err(|failure| self.failure(failure))
    }
}

/// What a dealer begins with.
pub(crate) struct Dealt {
    pub(crate) dealer: DealerSide,
    /// One per player, by index: commitments, then that player's scalar. Each must reach its player encrypted and
    /// authenticated.
    pub(crate) dealings: Vec<Zeroizing<Vec<u8>>>,
}

/// A dealer while acknowledgements arrive. Holds secrets.
pub(crate) struct DealerSide {
    players: Vec<PublicKey>,
    dealer: Dealer<MinPk, PrivateKey>,
}

impl DealerSide {
    /// Draws a polynomial: random, or with the dealer's share of a previous round in the middle.
    pub(crate) fn start(
        round: &Round,
        key: &PrivateKey,
        entropy: &Zeroizing<[u8; 32]>,
        share: Option<Share>,
    ) -> Result<Dealt, CeremonyError> {
        let me = round.dealer(&key.public_key()).ok_or(CeremonyError::Library)?;
        let rng = round.rng(entropy, me, b"deal");
        let (dealer, commitments, scalars) = Dealer::start::<N3f1>(rng, round.info.clone(), key.clone(), share)?;
        let dealings = scalars
            .iter()
            .map(|(_, scalar)| Zeroizing::new([commitments.encode().as_ref(), scalar.encode().as_ref()].concat()))
            .collect();
        Ok(Dealt { dealer: Self { players: round.players.clone(), dealer }, dealings })
    }

    /// Takes an acknowledgement; whether it was good. Without one the player's scalar goes into the log.
    pub(crate) fn on_ack(&mut self, from: MemberId, bytes: &[u8]) -> bool {
        let Ok(ack) = PlayerAck::<PublicKey>::decode(Copying(bytes)) else { return false };
        let Some(player) = self.players.get(usize::from(from.0)) else { return false };
        self.dealer.receive_player_ack(player.clone(), ack).is_ok()
    }

    /// Closes the dealing: the signed log.
    pub(crate) fn seal(self) -> Vec<u8> {
        self.dealer.finalize::<N3f1>().encode().to_vec()
    }
}

/// A player, from the first dealing to the end. Holds secrets.
pub(crate) struct PlayerSide {
    round: Round,
    me: MemberId,
    player: Player<MinPk, PrivateKey>,
    /// What each dealer dealt, as a digest, and the acknowledgement it got: a dealer that lost it asks again.
    acks: BTreeMap<MemberId, (Hash, Vec<u8>)>,
}

impl PlayerSide {
    pub(crate) fn new(round: &Round, key: &PrivateKey) -> Result<Self, CeremonyError> {
        let me = rank(&round.players, &key.public_key()).ok_or(CeremonyError::Library)?;
        let player = Player::new(round.info.clone(), key.clone())?;
        Ok(Self { round: round.clone(), me, player, acks: BTreeMap::new() })
    }

    pub(crate) fn me(&self) -> MemberId {
        self.me
    }

    /// Checks a dealing; the acknowledgement to send back, or `None` for one that does not earn it.
    pub(crate) fn on_dealing(&mut self, from: MemberId, bytes: &[u8]) -> Option<Vec<u8>> {
        let max = DealerPubMsg::<MinPk>::max_encode_size(self.round.size).checked_add(DealerPrivMsg::SIZE)?;
        if bytes.len() > max {
            return None;
        }
        let digest = crypto::hash::sha256(&[bytes]);
        if let Some((first, ack)) = self.acks.get(&from) {
            return (*first == digest).then(|| ack.clone());
        }
        let (commitments, scalar) = bytes.split_at_checked(bytes.len().checked_sub(DealerPrivMsg::SIZE)?)?;
        let commitments = DealerPubMsg::<MinPk>::decode_cfg(Copying(commitments), &self.round.size).ok()?;
        let scalar = DealerPrivMsg::decode(Copying(scalar)).ok()?;
        let dealer = self.round.dealers.get(usize::from(from.0))?.clone();
        let ack = self.player.dealer_message::<N3f1>(dealer, commitments, scalar).ok()??;
        let ack = ack.encode().to_vec();
        self.acks.insert(from, (digest, ack.clone()));
        Some(ack)
    }

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

/// What a participant of a fresh ceremony begins with.
pub(crate) struct Started {
    pub(crate) party: Dealing,
    /// As [`Dealt::dealings`]; the sender's own included.
    pub(crate) dealings: Vec<Zeroizing<Vec<u8>>>,
}

/// A participant while dealings and acknowledgements travel. Holds secrets.
pub(crate) struct Dealing {
    dealer: DealerSide,
    player: PlayerSide,
}

/// A participant whose log is out and that waits for the agreed set of logs. Holds secrets.
pub(crate) struct Sealed(PlayerSide);

impl Dealing {
    /// Draws a polynomial.
    pub(crate) fn start(
        round: &Round,
        key: &PrivateKey,
        entropy: &Zeroizing<[u8; 32]>,
    ) -> Result<Started, CeremonyError> {
        let player = PlayerSide::new(round, key)?;
        let Dealt { dealer, dealings } = DealerSide::start(round, key, entropy, None)?;
        Ok(Started { party: Self { dealer, player }, dealings })
    }

    /// See [`PlayerSide::on_dealing`].
    pub(crate) fn on_dealing(&mut self, from: MemberId, bytes: &[u8]) -> Option<Vec<u8>> {
        self.player.on_dealing(from, bytes)
    }

    /// See [`DealerSide::on_ack`].
    pub(crate) fn on_ack(&mut self, from: MemberId, bytes: &[u8]) -> bool {
        self.dealer.on_ack(from, bytes)
    }

    /// Closes the dealing: the signed log, and a participant that waits for all of them.
    pub(crate) fn seal(self) -> (Vec<u8>, Sealed) {
        (self.dealer.seal(), Sealed(self.player))
    }
}

impl Sealed {
    /// See [`PlayerSide::finish`].
    pub(crate) fn finish(
        self,
        entropy: &Zeroizing<[u8; 32]>,
        board: &Board,
    ) -> Result<(PublicOutput, Share), CeremonyError> {
        self.0.finish(entropy, board)
    }
}

/// A log whose signature is its dealer's.
pub(crate) struct Opened {
    pub(crate) member: MemberId,
    dealer: PublicKey,
    log: DealerLog<MinPk, PublicKey>,
}

/// What a signed log is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Counts.
    Usable,
    /// Says that too many players never acknowledged. Nobody's provable fault.
    Empty,
    /// Its dealer signed what no honest dealer signs.
    Faulty,
}

impl Round {
    /// Checks encoding, size and signature of a log, not what it says.
    pub(crate) fn open(&self, bytes: &[u8]) -> Result<Opened, LogError> {
        if bytes.len() > SignedDealerLog::<MinPk, PublicKey>::max_encode_size(self.size) {
            return Err(LogError::TooLong);
        }
        let signed = SignedDealerLog::<MinPk, PublicKey>::decode_cfg(Copying(bytes), &self.size)?;
        // One log, one encoding: else anybody could make a second one of it.
        if signed.encode().as_ref() != bytes {
            return Err(LogError::NotCanonical);
        }
        let (dealer, log) = signed.check(&self.info).ok_or(LogError::Signature)?;
        let member = self.dealer(&dealer).ok_or(LogError::Stranger)?;
        Ok(Opened { member, dealer, log })
    }

    /// Checks what a log says. `entropy` may be public if nobody could choose the log after it.
    pub(crate) fn judge(&self, entropy: &Zeroizing<[u8; 32]>, opened: &Opened) -> Verdict {
        let mut logs = Logs::<MinPk, PublicKey, N3f1>::new(self.info.clone());
        logs.record(opened.dealer.clone(), opened.log.clone());
        let mut rng = self.rng(entropy, opened.member, b"judge");
        // One log is never enough, as q >= 3; what is missing tells which way this one went.
        match observe(&mut rng, logs, &Sequential) {
            Err(Failure::InsufficientLogs { faults, .. }) if faults.get_value(&opened.dealer).is_some() => {
                Verdict::Faulty
            }
            Err(Failure::InsufficientLogs { found: 0, .. }) => Verdict::Empty,
            Ok(_) | Err(_) => Verdict::Usable,
        }
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
        let opened = round.open(bytes)?;
        let member = opened.member;
        match self.logs.get(&opened.dealer) {
            Some((first, _)) if first != bytes => return Err(LogError::Second { member }),
            Some(_) => {}
            None => self.put(bytes, opened),
        }
        Ok(member)
    }

    /// Takes a log that was opened from `bytes`, instead of any other of that dealer.
    pub(crate) fn put(&mut self, bytes: &[u8], opened: Opened) {
        self.logs.insert(opened.dealer, (bytes.to_vec(), opened.log));
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
#[non_exhaustive]
pub enum LogError {
    /// Longer than a log of this committee can be.
    #[error("log longer than any of this committee")]
    TooLong,
    /// No encoding of a log.
    #[error("malformed log")]
    Malformed(#[from] commonware_codec::Error),
    /// Not the frame of two halves.
    #[error("malformed frame of a log")]
    Frame(#[from] DecodeError),
    /// Another encoding than the one that the dealer's program writes.
    #[error("log in another encoding than the canonical one")]
    NotCanonical,
    /// The halves for the two secrets are of two dealers.
    #[error("halves of a log by two dealers")]
    Halves,
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
