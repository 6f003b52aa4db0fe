//! One member in one attempt: reads the log, says what it must say next.
use super::{
    HandoverError, Phase, Transcript, message,
    seal::{self, Opener},
};
use crate::{
    MemberSecrets,
    ceremony::{CeremonyError, member_id},
    reshare::{Committee, Dealer, Dealing, LOG_BYTES_MAX, Outcome, Plan, Player, ReshareError, ShareKey},
};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit},
};
use crypto::{ed25519::SigningKey, hash::t256};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};
use types::{
    Handover, HandoverAck, HandoverStep, Hash, MemberId, SealedDealing,
    codec::{self, DecodeError},
    tag,
};
use zeroize::Zeroizing;

type Seed = Zeroizing<[u8; 32]>;

/// Bytes of a nonce.
const NONCE: usize = 24;

/// What an old member deals with. All of it secret.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "secret")]
pub struct OldMember<'a> {
    /// Of its consensus key in the old committee.
    pub seed: &'a Seed,
    /// Its shares.
    pub secrets: &'a MemberSecrets,
    /// Fresh and uniform. After a restart the one that was saved is used, whatever this is.
    pub entropy: &'a Seed,
}

/// What a dealer keeps on disk. Secret, as its entropy and its old shares together are its polynomials; wiped on drop.
///
/// ```compile_fail,E0277
/// fn printed<T: core::fmt::Debug>() {}
/// printed::<keygen::handover::Saved>();
/// ```
#[expect(missing_debug_implementations, reason = "secret")]
pub struct Saved {
    plan: Hash,
    entropy: Seed,
    log: Option<Vec<u8>>,
}

/// On disk: codec of this, behind the entropy.
#[derive(Serialize, Deserialize)]
struct SavedText {
    plan: Hash,
    log: Option<Vec<u8>>,
}

/// Why saved bytes are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// Shorter than any.
    #[error("not the length of a saved handover")]
    Length,
    /// Sealed under another seed, or altered.
    #[error("saved handover of another member, or altered")]
    Seal,
    /// Not an encoding.
    #[error("malformed saved handover")]
    Malformed(#[from] DecodeError),
}

impl Saved {
    /// The bytes to write, to a file that only its owner may read: entropy 32, codec(plan's name, log or none).
    #[must_use]
    pub fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let text = codec::encode(&SavedText { plan: self.plan, log: self.log.clone() });
        Zeroizing::new([self.entropy.as_slice(), &text].concat())
    }

    /// Reads them back.
    ///
    /// # Errors
    /// [`SavedError`].
    pub fn read(bytes: &[u8]) -> Result<Self, SavedError> {
        let (entropy, text) = bytes.split_first_chunk::<32>().ok_or(SavedError::Length)?;
        let entropy = Zeroizing::new(*entropy);
        let SavedText { plan, log } = codec::decode(text, LOG_BYTES_MAX.saturating_add(64))?;
        Ok(Self { plan, entropy, log })
    }

    /// The bytes, sealed under the member's consensus seed: whoever reads the file and has no key file learns nothing.
    /// Nonce 24 = the start of T256("lockstep/handover/saved/v1"; seed, bytes), then `XChaCha20-Poly1305` of the bytes,
    /// with the key T256("lockstep/handover/saved/v1"; seed).
    ///
    /// # Errors
    /// [`SavedError::Length`]: longer than any.
    pub fn seal(&self, seed: &Seed) -> Result<Vec<u8>, SavedError> {
        let bytes = self.bytes();
        let Hash(drawn) = t256(tag::HANDOVER_SAVED, &[seed.as_slice(), &bytes]);
        let nonce: &[u8; NONCE] = drawn.first_chunk().ok_or(SavedError::Length)?;
        let sealed = saved_cipher(seed)?.encrypt(&XNonce::from(*nonce), bytes.as_slice());
        Ok([nonce.as_slice(), &sealed.map_err(|_opaque| SavedError::Length)?].concat())
    }

    /// The way back of [`Self::seal`].
    ///
    /// # Errors
    /// [`SavedError`].
    pub fn open(bytes: &[u8], seed: &Seed) -> Result<Self, SavedError> {
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(SavedError::Length)?;
        let opened = saved_cipher(seed)?.decrypt(&XNonce::from(*nonce), sealed);
        Self::read(&Zeroizing::new(opened.map_err(|_opaque| SavedError::Seal)?))
    }

    /// Name of the plan that it is of: what is saved for another attempt is of no use for this one.
    #[must_use]
    pub fn plan(&self) -> Hash {
        self.plan
    }
}

fn saved_cipher(seed: &Seed) -> Result<XChaCha20Poly1305, SavedError> {
    let key = Zeroizing::new(t256(tag::HANDOVER_SAVED, &[seed.as_slice()]).0);
    XChaCha20Poly1305::new_from_slice(key.as_slice()).map_err(|_length| SavedError::Length)
}

/// What a member must send now.
#[expect(missing_debug_implementations, reason = "holds a secret")]
pub struct Due {
    /// To be on disk, in place of what was saved before, when the message leaves.
    pub save: Option<Saved>,
    /// The operation.
    pub message: Handover,
}

/// A member of the old committee, of the next one, of both or of none, in one attempt. Holds secrets; no `Debug`, no
/// `Clone`.
///
/// ```compile_fail,E0277
/// fn copied<T: Clone>() {}
/// copied::<keygen::handover::Participant>();
/// ```
#[expect(missing_debug_implementations, reason = "secret")]
pub struct Participant {
    transcript: Transcript,
    dealer: Option<DealerRole>,
    player: Option<PlayerRole>,
}

struct DealerRole {
    key: SigningKey,
    entropy: Seed,
    /// Until it has sealed.
    dealing: Option<Unsealed>,
    /// Signed once: only these bytes are sent.
    log: Option<Vec<u8>>,
}

struct Unsealed {
    dealer: Dealer,
    message: Handover,
}

struct PlayerRole {
    me: MemberId,
    seed: Seed,
    key: SigningKey,
    opener: Opener,
    acks: Vec<HandoverAck>,
    state: PlayerState,
}

enum PlayerState {
    Collecting(Box<Player>),
    Done(MemberSecrets),
    /// It has no shares: the logs were too few, or its dealings do not give them.
    Failed(ReshareError),
}

impl Participant {
    /// Somebody who only reads: an auditor, or a member before it is told its roles.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self { transcript: Transcript::new(plan), dealer: None, player: None }
    }

    /// As a member of the old committee. To be said before anything of the log is read. What was saved for another plan
    /// is not looked at.
    ///
    /// # Errors
    /// [`ReshareError::Stranger`], [`ReshareError::Shares`].
    pub fn with_dealer(mut self, me: &OldMember<'_>, saved: Option<&Saved>) -> Result<Self, ReshareError> {
        let plan = self.transcript.plan();
        let saved = saved.filter(|saved| saved.plan == plan.name());
        let entropy = saved.map_or(me.entropy, |saved| &saved.entropy).clone();
        let key = SigningKey::from_seed(me.seed.clone());
        let log = saved.and_then(|saved| saved.log.clone());
        let dealing = if log.is_none() {
            let (dealer, dealings) = Dealer::start(plan, me.seed, me.secrets, &entropy)?;
            let step = seal_dealings(plan, &key.public(), &dealings, &entropy)
                .ok_or(ReshareError::Library { source: CeremonyError::Library })?;
            Some(Unsealed { dealer, message: message::sign(plan, &key, step) })
        } else {
            None
        };
        self.dealer = Some(DealerRole { key, entropy, dealing, log });
        Ok(self)
    }

    /// As a member of the next committee. To be said before anything of the log is read.
    ///
    /// # Errors
    /// [`ReshareError::Stranger`].
    pub fn with_player(mut self, seed: &Seed) -> Result<Self, ReshareError> {
        let plan = self.transcript.plan();
        let player = Box::new(Player::start(plan, seed)?);
        let key = SigningKey::from_seed(seed.clone());
        let stranger = ReshareError::Stranger { committee: Committee::New };
        let me = member_id(plan.players().binary_search(&key.public()).map_err(|_absent| stranger)?);
        let opener = Opener::from_seed(seed).ok_or(ReshareError::Library { source: CeremonyError::Library })?;
        let state = PlayerState::Collecting(player);
        self.player = Some(PlayerRole { me, seed: seed.clone(), key, opener, acks: Vec::new(), state });
        Ok(self)
    }

    /// The next message in the log: as [`Transcript::on`].
    ///
    /// # Errors
    /// [`HandoverError`], for one that does not count.
    pub fn on(&mut self, phase: Phase, message: &Handover) -> Result<(), HandoverError> {
        let author = self.transcript.on(phase, message)?;
        match &message.step {
            HandoverStep::Dealing { commitments, sealed } => {
                if let Some(player) = &mut self.player {
                    player.on_dealing(self.transcript.plan(), author, commitments, sealed);
                }
            }
            HandoverStep::Acks { acks } => {
                if let Some(dealer) = &mut self.dealer {
                    dealer.on_acks(self.transcript.plan(), author, acks);
                }
            }
            HandoverStep::Log { .. } | HandoverStep::ShareKey { .. } => {}
        }
        Ok(())
    }

    /// What this member must send in `phase` and has not: nothing once that stands in the log, until then the same
    /// bytes each time. To be asked after all messages of the phases before; these are over then.
    ///
    /// A dealer that more than f next members have not acknowledged has nothing to seal.
    pub fn due(&mut self, phase: Phase) -> Option<Due> {
        self.transcript.reach(phase);
        match phase {
            Phase::Deal | Phase::Seal => {
                let dealer = self.dealer.as_mut()?;
                if self.transcript.heard(phase, &dealer.key.public()) {
                    return None;
                }
                if phase == Phase::Deal { dealer.deal(&self.transcript) } else { dealer.seal(&self.transcript) }
            }
            Phase::Ack => {
                let player = self.player.as_ref()?;
                let plan = self.transcript.plan();
                if self.transcript.heard(phase, &player.key.public()) || player.acks.is_empty() {
                    return None;
                }
                let step = HandoverStep::Acks { acks: player.acks.clone() };
                Some(Due { save: None, message: message::sign(plan, &player.key, step) })
            }
            Phase::Publish => {
                let player = self.player.as_mut()?;
                player.finish(&self.transcript);
                if self.transcript.heard(phase, &player.key.public()) {
                    return None;
                }
                player.publish(&self.transcript)
            }
        }
    }

    /// What is said so far, and what it comes to.
    #[must_use]
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The end, for this member: the transcript, and a next member's new shares, or why it has none. In
    /// [`Phase::Publish`]; before, the logs so far are taken for all.
    pub fn finish(mut self) -> (Transcript, Option<Result<MemberSecrets, ReshareError>>) {
        self.transcript.reach(Phase::Publish);
        if let Some(player) = &mut self.player {
            player.finish(&self.transcript);
        }
        let secrets = self.player.map(|player| match player.state {
            PlayerState::Done(secrets) => Ok(secrets),
            PlayerState::Failed(error) => Err(error),
            PlayerState::Collecting(_) => Err(ReshareError::Library { source: CeremonyError::Library }),
        });
        (self.transcript, secrets)
    }
}

impl DealerRole {
    fn save(&self, plan: &Plan) -> Saved {
        Saved { plan: plan.name(), entropy: self.entropy.clone(), log: self.log.clone() }
    }

    fn deal(&self, transcript: &Transcript) -> Option<Due> {
        let message = self.dealing.as_ref()?.message.clone();
        Some(Due { save: Some(self.save(transcript.plan())), message })
    }

    /// Words for another dealing than its own are not good: a dealer that lost its disk, and with it the dealing that
    /// stands in the log, never has enough.
    fn on_acks(&mut self, plan: &Plan, player: MemberId, acks: &[HandoverAck]) {
        let me = plan.dealers().binary_search(&self.key.public()).map(member_id);
        let Some(dealing) = &mut self.dealing else { return };
        let Some(ack) = acks.iter().find(|ack| Ok(ack.dealer) == me) else { return };
        dealing.dealer.on_ack(player, &[ack.decrypt.0, ack.beacon.0].concat());
    }

    fn seal(&mut self, transcript: &Transcript) -> Option<Due> {
        let plan = transcript.plan();
        // What more than f did not acknowledge makes an empty log, which says nothing.
        let silent_max = plan.players().len().saturating_sub(1).div_euclid(3);
        let ready = self.dealing.take_if(|dealing| dealing.dealer.waiting().count() <= silent_max);
        if let Some(dealing) = ready {
            self.log = Some(dealing.dealer.seal());
        }
        let message = message::sign(plan, &self.key, HandoverStep::Log { log: self.log.clone()? });
        Some(Due { save: Some(self.save(plan)), message })
    }
}

impl PlayerRole {
    /// One that does not open or does not hold gets no word.
    fn on_dealing(&mut self, plan: &Plan, dealer: MemberId, commitments: &[u8], sealed: &[SealedDealing]) {
        let PlayerState::Collecting(player) = &mut self.state else { return };
        let Some(sealed) = sealed.get(usize::from(self.me.0)) else { return };
        let opened = self.opener.open(&info(plan, dealer, self.me), commitments, sealed);
        let Some(dealing) = opened.and_then(|scalars| seal::join(commitments, &scalars)) else { return };
        let ack = player.on_dealing(dealer, &dealing);
        if let Some([decrypt, beacon]) = ack.as_deref().and_then(message::split_ack) {
            self.acks.push(HandoverAck { dealer, decrypt, beacon });
            self.acks.sort_unstable_by_key(|ack| ack.dealer);
        }
    }

    /// Once.
    fn finish(&mut self, transcript: &Transcript) {
        if !matches!(self.state, PlayerState::Collecting(_)) {
            return;
        }
        let unfinished = PlayerState::Failed(ReshareError::Library { source: CeremonyError::Library });
        let PlayerState::Collecting(player) = core::mem::replace(&mut self.state, unfinished) else { return };
        self.state = match player.finish(transcript.plan(), transcript.logs()) {
            Ok((_outcome, secrets)) => PlayerState::Done(secrets),
            Err(error) => PlayerState::Failed(error),
        };
    }

    fn publish(&self, transcript: &Transcript) -> Option<Due> {
        let PlayerState::Done(secrets) = &self.state else { return None };
        let outcome: &Outcome = transcript.outcome()?.ok()?;
        let ShareKey { point, signature, .. } = ShareKey::sign(outcome, &self.seed, secrets).ok()?;
        let step = HandoverStep::ShareKey { point, sig: signature };
        Some(Due { save: None, message: message::sign(transcript.plan(), &self.key, step) })
    }
}

/// What a sealed dealing is bound to, besides the commitments.
pub(super) fn info(plan: &Plan, dealer: MemberId, player: MemberId) -> Hash {
    let pair = [dealer, player].map(|member| member.0.to_le_bytes());
    let [dealer, player] = pair.each_ref().map(<[u8; 2]>::as_slice);
    t256(tag::HANDOVER_SEAL, &[plan.name().as_bytes(), dealer, player])
}

fn seal_dealings(plan: &Plan, me: &Hash, dealings: &[Dealing], entropy: &Seed) -> Option<HandoverStep> {
    let me = member_id(plan.dealers().binary_search(me).ok()?);
    let mut public = BTreeSet::new();
    let mut scalars = Vec::with_capacity(dealings.len());
    for dealing in dealings {
        let (commitments, pair) = seal::split(dealing)?;
        public.insert(commitments);
        scalars.push(pair);
    }
    let commitments = public.pop_first().filter(|_| public.is_empty())?;
    let sealed = plan.players().iter().zip(&scalars).enumerate().map(|(index, (player, pair))| {
        let info = info(plan, me, member_id(index));
        // Nothing can be sealed to a key of small order: its owner gets bytes that do not open.
        seal::seal(player, &info, &commitments, pair, entropy).unwrap_or(SealedDealing::ZERO)
    });
    let sealed = sealed.collect();
    Some(HandoverStep::Dealing { commitments, sealed })
}
