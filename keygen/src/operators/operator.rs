//! One operator: messages in, the message that it must say next out.
use super::{
    Failure, Message, Outcome, Phase, Plan, PlanError, Refused, Sighting, Step, Transcript,
    record::{Record, Settled},
};
use crate::{
    MemberSecrets,
    ceremony::{CeremonyError, member_id},
    handover::seal::{self, Opener, Scalars},
    party::{Board, DealerSide, Dealt, PlayerSide, PublicOutput, consensus_key},
    public,
    reshare::outcome,
};
use commonware_cryptography::{bls12381::primitives::group::G1, ed25519::PrivateKey};
use crypto::{ed25519::SigningKey, hash::t256, keys::DecryptionShareKey};
use std::{collections::BTreeMap, sync::Arc};
use types::{HandoverAck, Hash, KeySetParts, MemberId, SealedDealing, Signature, tag};
use zeroize::Zeroizing;

type Seed = Zeroizing<[u8; 32]>;

/// How far it is.
#[derive(Debug)]
pub enum State<'a> {
    /// This operator has something to say: [`Operator::due`].
    Due(Phase),
    /// The others have.
    Waiting {
        /// The step that is not over.
        phase: Phase,
        /// Who has not spoken in it.
        missing: Vec<MemberId>,
        /// What an echo names and nobody has shown, with one that named it.
        unseen: Vec<(Sighting, MemberId)>,
    },
    /// Everybody agrees.
    Finished(&'a Finished),
    /// There will be no keys.
    Failed(&'a Failure),
}

/// The end: what everybody who is expected has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The result, and who was used, faulty, revealed.
    pub outcome: Outcome,
    /// The keys.
    pub key_set: KeySetParts,
    /// Who published a share key that does not fit its share.
    pub liars: Vec<MemberId>,
}

/// An operator in one ceremony. Holds secrets; no `Debug`, no `Clone`. Draws nothing, sends nothing, knows no time.
///
/// The caller makes every new message durable, in order, before anybody sees it or what follows from it, and gives them
/// all to [`Operator::on`] again after a restart.
///
/// ```compile_fail,E0277
/// fn copied<T: Clone>() {}
/// copied::<keygen::operators::Operator>();
/// ```
/// ```compile_fail,E0277
/// fn printed<T: core::fmt::Debug>() {}
/// printed::<keygen::operators::Operator>();
/// ```
#[expect(missing_debug_implementations, reason = "secret")]
pub struct Operator {
    record: Record,
    me: MemberId,
    key: SigningKey,
    /// The same key.
    signer: PrivateKey,
    opener: Opener,
    /// Until it has sealed.
    dealer: Option<Dealer>,
    /// Acknowledges the first dealing of each dealer that it hears. The share is another one's: [`Operator::secrets_of`].
    player: Player,
    acks: BTreeMap<MemberId, HandoverAck>,
    end: End,
}

struct Dealer {
    decrypt: DealerSide,
    beacon: DealerSide,
    step: Step,
}

struct Player {
    decrypt: PlayerSide,
    beacon: PlayerSide,
}

enum End {
    Open,
    /// `split`: all have signed an outcome, not all this one. Who signed two may be heard again.
    Settled {
        settled: Box<Settled>,
        secrets: MemberSecrets,
        split: Option<Failure>,
    },
    Finished {
        secrets: MemberSecrets,
        finished: Box<Finished>,
    },
    Failed(Failure),
}

impl Operator {
    /// The member with this consensus seed. An absent one says nothing, and finds its share.
    ///
    /// # Errors
    /// [`PlanError::Stranger`].
    pub fn start(plan: Arc<Plan>, seed: &Seed) -> Result<Self, PlanError> {
        let signer = consensus_key(seed)?;
        let key = SigningKey::from_seed(seed.clone());
        let me = plan.member(&key.public()).ok_or(PlanError::Stranger)?;
        let rounds = plan.rounds();
        let player = Player::new(&plan, &signer)?;
        let entropy = Zeroizing::new(t256(tag::CEREMONY_ENTROPY, &[plan.name().as_bytes(), seed.as_slice()]).0);
        let Dealt { dealer: decrypt, dealings: first } = DealerSide::start(rounds.decrypt, &signer, &entropy, None)?;
        let Dealt { dealer: beacon, dealings: second } = DealerSide::start(rounds.beacon, &signer, &entropy, None)?;
        let dealings: Vec<_> =
            first.iter().zip(&second).map(|(a, b)| Zeroizing::new([a.as_slice(), b].concat())).collect();
        let step = seal_all(&plan, me, &dealings, &entropy).ok_or(CeremonyError::Library)?;
        Ok(Self {
            opener: Opener::from_seed(seed).ok_or(CeremonyError::Library)?,
            record: Record::new(plan),
            me,
            key,
            signer,
            dealer: Some(Dealer { decrypt, beacon, step }),
            player,
            acks: BTreeMap::new(),
            end: End::Open,
        })
    }

    /// The plan that it follows.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        self.record.plan()
    }

    /// This operator's index.
    #[must_use]
    pub fn me(&self) -> MemberId {
        self.me
    }

    /// A message, of whomever and by whichever way it came; whether it is new, that is to be kept and told.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn on(&mut self, message: &Message) -> Result<bool, Refused> {
        let wanted = match &self.end {
            End::Settled { settled, .. } => Some(settled.outcome.hash),
            End::Open | End::Finished { .. } | End::Failed(_) => None,
        };
        let is_new = self.record.take(message, wanted)?;
        if is_new {
            match &message.step {
                Step::Deal { commitments, sealed } => self.on_deal(message.from, commitments, sealed),
                Step::Ack { acks } => self.on_acks(message.from, acks),
                Step::Seal { .. } | Step::Echo { .. } | Step::Agree { .. } => {}
            }
            self.reckon();
        }
        Ok(is_new)
    }

    /// The first dealing of a dealer, if it opens and holds, earns a word.
    fn on_deal(&mut self, dealer: MemberId, commitments: &[u8], sealed: &[SealedDealing]) {
        if self.record.of(Phase::Deal, dealer).len() > 1 {
            return;
        }
        let Some(dealing) = self.open(dealer, commitments, sealed) else { return };
        if let Some([decrypt, beacon]) = self.player.on_dealing(dealer, &dealing) {
            self.acks.insert(dealer, HandoverAck { dealer, decrypt, beacon });
        }
    }

    /// What a dealer has dealt to this operator.
    fn open(&self, dealer: MemberId, commitments: &[u8], sealed: &[SealedDealing]) -> Option<Zeroizing<Vec<u8>>> {
        let info = info(self.record.plan(), dealer, self.me);
        let scalars = self.opener.open(&info, commitments, sealed.get(usize::from(self.me.0))?)?;
        seal::join(commitments, &scalars)
    }

    /// This operator's shares, from the dealings that U names and no others: which it heard first, or was told besides,
    /// changes nothing.
    fn secrets_of(&self, settled: &Settled) -> Result<MemberSecrets, CeremonyError> {
        let mut player = Player::new(self.record.plan(), &self.signer)?;
        for (dealer, id) in &settled.deals {
            let message = self.record.held(Phase::Deal, *dealer, id);
            let Some(Step::Deal { commitments, sealed }) = message.map(|message| &message.step) else { continue };
            if let Some(dealing) = self.open(*dealer, commitments, sealed) {
                // one that does not hold was published by its dealer
                player.on_dealing(*dealer, &dealing);
            }
        }
        player.finish(settled)
    }

    fn on_acks(&mut self, player: MemberId, acks: &[HandoverAck]) {
        let Some(dealer) = &mut self.dealer else { return };
        if let Some(ack) = acks.iter().find(|ack| ack.dealer == self.me) {
            // One that is not good counts as none: the scalar goes into the log.
            let good = dealer.decrypt.on_ack(player, &ack.decrypt.0);
            let _both: bool = good && dealer.beacon.on_ack(player, &ack.beacon.0);
        }
    }

    /// Looks whether what counts is complete, and then whether all agree.
    fn reckon(&mut self) {
        if matches!(self.end, End::Open) {
            match self.record.settle() {
                None => return,
                Some(Err(failure)) => self.end = End::Failed(failure),
                Some(Ok(settled)) => {
                    self.end = match self.secrets_of(&settled) {
                        Ok(secrets) => End::Settled { settled: Box::new(settled), secrets, split: None },
                        Err(error) => End::Failed(Failure::Share(error)),
                    };
                }
            }
        }
        let End::Settled { settled, split, .. } = &mut self.end else { return };
        let Some(others) = self.record.disagreeing(&settled.outcome.hash) else { return };
        if !others.is_empty() {
            let mine = self.record.plan().expected().filter(|m| !others.iter().any(|(other, _)| other == m));
            let mut said: Vec<_> = mine.map(|member| (member, settled.outcome.hash)).collect();
            said.extend(&others);
            said.sort_unstable();
            *split = Some(Failure::NoAgreement { said });
            return;
        }
        let End::Settled { settled, secrets, .. } = core::mem::replace(&mut self.end, End::Open) else { return };
        let [points, _] = &settled.commitments;
        self.end = match self.record.key_set(&settled.outcome, points) {
            Ok((key_set, liars)) => {
                let finished = Box::new(Finished { outcome: settled.outcome, key_set, liars });
                End::Finished { secrets, finished }
            }
            Err(failure) => End::Failed(failure),
        };
    }

    /// The step that is not over.
    fn open_phase(&self) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| !self.record.missing(*phase).is_empty())
    }

    /// What this operator must say now and has not. It counts, here too, once it came back through [`Operator::on`].
    pub fn due(&mut self) -> Option<Message> {
        let State::Due(phase) = self.state() else { return None };
        let step = match phase {
            Phase::Deal => self.dealer.as_ref()?.step.clone(),
            Phase::Ack => {
                let honest = |dealer: &MemberId| self.record.of(Phase::Deal, *dealer).len() == 1;
                let acks = self.acks.iter().filter(|(dealer, _)| honest(dealer)).map(|(_, ack)| *ack);
                Step::Ack { acks: acks.collect() }
            }
            Phase::Seal => {
                let Dealer { decrypt, beacon, .. } = self.dealer.take()?;
                Step::Seal { log: outcome::join(decrypt.seal(), beacon.seal()) }
            }
            Phase::Echo => Step::Echo { held: self.record.sightings() },
            Phase::Agree => {
                let End::Settled { settled, secrets, .. } = &self.end else { return None };
                let share = DecryptionShareKey::from_le_bytes(secrets.decrypt.clone()).ok()?;
                Step::Agree { outcome: settled.outcome.hash, point: share.public_g2() }
            }
        };
        Some(Message::sign(self.record.plan(), self.me, &self.key, step))
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> State<'_> {
        match &self.end {
            End::Finished { finished, .. } => return State::Finished(finished),
            End::Failed(failure) | End::Settled { split: Some(failure), .. } => return State::Failed(failure),
            End::Open | End::Settled { .. } => {}
        }
        let phase = self.open_phase().unwrap_or(Phase::Agree);
        let missing = self.record.missing(phase);
        let unseen = self.unseen();
        // Not before all that counts is here.
        if missing.contains(&self.me) && !(phase == Phase::Agree && matches!(self.end, End::Open)) {
            return State::Due(phase);
        }
        State::Waiting { phase, missing, unseen }
    }

    fn unseen(&self) -> Vec<(Sighting, MemberId)> {
        let names = |sighting: &Sighting| {
            self.plan().expected().find(|member| match self.record.first(Phase::Echo, *member).map(|m| &m.step) {
                Some(Step::Echo { held }) => held.contains(sighting),
                _ => false,
            })
        };
        let unresolved = self.record.unresolved().unwrap_or_default();
        unresolved.into_iter().filter_map(|sighting| Some((sighting, names(&sighting)?))).collect()
    }

    /// Two messages of one author and step, for each that signed such: whoever has them knows, and can show it.
    pub fn contradictions(&self) -> impl Iterator<Item = [&Message; 2]> {
        self.record.contradictions()
    }

    /// All messages held: what another may ask for.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.record.messages()
    }

    /// What anybody verifies afterwards. Once finished.
    #[must_use]
    pub fn transcript(&self) -> Option<Transcript> {
        let End::Finished { finished, .. } = &self.end else { return None };
        Some(Transcript::of(&self.record, &finished.outcome.hash))
    }

    /// This member's shares. Once finished.
    #[must_use]
    pub fn secrets(&self) -> Option<&MemberSecrets> {
        let End::Finished { secrets, .. } = &self.end else { return None };
        Some(secrets)
    }
}

impl Player {
    fn new(plan: &Plan, signer: &PrivateKey) -> Result<Self, CeremonyError> {
        let rounds = plan.rounds();
        Ok(Self { decrypt: PlayerSide::new(rounds.decrypt, signer)?, beacon: PlayerSide::new(rounds.beacon, signer)? })
    }

    fn on_dealing(&mut self, dealer: MemberId, bytes: &[u8]) -> Option<[Signature; 2]> {
        let (first, second) = bytes.split_at_checked(bytes.len().div_euclid(2))?;
        let decrypt = self.decrypt.on_dealing(dealer, first)?;
        let beacon = self.beacon.on_dealing(dealer, second)?;
        Some([Signature(decrypt.try_into().ok()?), Signature(beacon.try_into().ok()?)])
    }

    fn finish(self, settled: &Settled) -> Result<MemberSecrets, CeremonyError> {
        let me = self.decrypt.me();
        let entropy = settled.taken.entropy();
        let [decrypt, beacon] = &settled.sharings;
        let [points, more] = &settled.commitments;
        let one = |side: PlayerSide, board: &Board, output: &PublicOutput, commitments: &[G1]| {
            let (own, share) = side.finish(&entropy, board)?;
            if own != *output {
                return Err(CeremonyError::Disagrees { member: me });
            }
            public::check_share(commitments, me, &share)?;
            Ok(public::share_bytes(&share))
        };
        Ok(MemberSecrets {
            decrypt: one(self.decrypt, &settled.taken.decrypt, decrypt, points)?,
            beacon: one(self.beacon, &settled.taken.beacon, beacon, more)?,
        })
    }
}

/// What a sealed dealing is bound to, besides the commitments.
fn info(plan: &Plan, dealer: MemberId, player: MemberId) -> Hash {
    let [dealer, player] = [dealer, player].map(|member| member.0.to_le_bytes());
    t256(tag::CEREMONY_SEAL, &[plan.name().as_bytes(), &dealer, &player])
}

fn seal_all(plan: &Plan, me: MemberId, dealings: &[Zeroizing<Vec<u8>>], entropy: &Seed) -> Option<Step> {
    let split: Vec<(Vec<u8>, Scalars)> = dealings.iter().map(|d| seal::split(d)).collect::<Option<_>>()?;
    let commitments = split.first()?.0.clone();
    let sealed = plan.members().iter().zip(&split).enumerate().map(|(index, (member, (_, scalars)))| {
        let info = info(plan, me, member_id(index));
        // Nothing can be sealed to a key of small order: its owner gets bytes that do not open.
        seal::seal(member, &info, &commitments, scalars, entropy).unwrap_or(SealedDealing::ZERO)
    });
    let sealed = sealed.collect();
    Some(Step::Deal { commitments, sealed })
}
