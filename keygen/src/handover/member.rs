//! One member in the handovers of all epochs that it sees: what it must say next, from what the log says.
//!
//! What a dealer has on disk is written before its message leaves ([`Due::save`]); all else follows from the log.
use super::{Due, OldMember, Participant, Phase, Saved, plan};
use crate::{
    MemberSecrets,
    reshare::{Committee, ReshareError},
};
use crypto::{
    ed25519::SigningKey,
    succession::{Handed, Succession},
};
use types::{Epochs, Hash, MemberRecord, Slot};
use zeroize::Zeroizing;

/// A member in handovers. Holds secrets; no `Debug`, no `Clone`.
#[expect(missing_debug_implementations, reason = "secret")]
pub struct Handovers {
    seed: Zeroizing<[u8; 32]>,
    key: Hash,
    secrets: Option<MemberSecrets>,
    running: Option<Running>,
}

struct Running {
    plan: Hash,
    participant: Participant,
    read: usize,
}

/// What a dealer begins with. All of it secret.
#[expect(missing_debug_implementations, reason = "secret")]
pub struct Start {
    /// Fresh and uniform.
    pub entropy: Zeroizing<[u8; 32]>,
    /// What is on its disk: used instead, if it is of the handover that begins.
    pub saved: Option<Saved>,
}

impl Handovers {
    /// The member with this consensus seed, and its shares in the committee that works now; `None` for who is not in it.
    #[must_use]
    pub fn new(seed: Zeroizing<[u8; 32]>, secrets: Option<MemberSecrets>) -> Self {
        let key = SigningKey::from_seed(seed.clone()).public();
        Self { seed, key, secrets, running: None }
    }

    /// What this member must say so that it stands in the log at `next`; nothing when it has nothing to say. `start` is
    /// asked once a handover, if this member deals in it.
    ///
    /// # Errors
    /// The committees make no plan, this member's shares are not those of the old one, or what `start` says.
    pub fn due<E: From<ReshareError>>(
        &mut self,
        epochs: &Epochs,
        said: &Succession,
        next: Slot,
        start: impl FnOnce() -> Result<Start, E>,
    ) -> Result<Option<Due>, E> {
        let current = epochs.last();
        let here = current.schedule().epoch_of(next) == current.epoch;
        let phase = current.schedule().phase(next).filter(|_| here);
        let (Some(phase), Some(to)) = (phase, said.takes_over(current)) else {
            self.running = None;
            return Ok(None);
        };
        let holds = |members: &[MemberRecord]| members.iter().any(|member| member.consensus == self.key);
        let (deals, plays) = (holds(&current.members) && self.secrets.is_some(), holds(to));
        if !(deals || plays) {
            return Ok(None);
        }
        let plan = plan(current, to)?;
        let name = plan.name();
        if self.running.as_ref().is_none_or(|running| running.plan != name) {
            let mut participant = Participant::new(plan);
            if let Some(secrets) = self.secrets.as_ref().filter(|_| deals) {
                let Start { entropy, saved } = start()?;
                let me = OldMember { seed: &self.seed, secrets, entropy: &entropy };
                participant = participant.with_dealer(&me, saved.as_ref())?;
            }
            if plays {
                participant = participant.with_player(&self.seed)?;
            }
            self.running = Some(Running { plan: name, participant, read: 0 });
        }
        let Some(Running { participant, read, .. }) = &mut self.running else { return Ok(None) };
        for message in said.messages().iter().skip(*read) {
            // the log says which count; one that does not hold after all says nothing
            drop(participant.on(Phase::of(&message.step), message));
        }
        *read = said.messages().len();
        Ok(participant.due(phase))
    }
}

/// The shares that a handover in the log gives the member with this consensus seed: its dealings stand there, sealed to
/// its key.
///
/// # Errors
/// [`ReshareError`]: it gives this member none.
pub fn shares(handed: &Handed, seed: &Zeroizing<[u8; 32]>) -> Result<MemberSecrets, ReshareError> {
    let plan = plan(&handed.from, &handed.to)?;
    let mut reader = Participant::new(plan).with_player(seed)?;
    for message in &handed.messages {
        // what does not count says nothing
        drop(reader.on(Phase::of(&message.step), message));
    }
    let (_, secrets) = reader.finish();
    secrets.unwrap_or(Err(ReshareError::Stranger { committee: Committee::New }))
}
