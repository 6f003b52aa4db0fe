//! What counts of the log, and what follows from it: the same for everybody who reads it.
use super::{ConcludeError, HandoverError, Phase, message};
use crate::reshare::{Outcome, Plan, ReshareError, ShareKey, check_share_key, observe};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};
use types::{Handover, HandoverStep, Hash, KeySetParts, MemberId};

/// The messages of one attempt that count. Built from the log, in its order.
#[derive(Debug)]
pub struct Transcript {
    plan: Arc<Plan>,
    /// The log is in this phase or a later one.
    phase: Phase,
    /// Who has spoken in which phase.
    heard: BTreeSet<(Phase, Hash)>,
    /// By dealer; never more than two, which differ.
    logs: BTreeMap<MemberId, Vec<Vec<u8>>>,
    share_keys: Vec<ShareKey>,
    /// From all logs, once their phase is over.
    outcome: OnceLock<Result<Outcome, ReshareError>>,
}

/// The end of a handover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// Committee, commitments, dealers, who was faulty or revealed.
    pub outcome: Outcome,
    /// The key set of the next epoch.
    pub key_set: KeySetParts,
}

impl Transcript {
    /// Nothing said yet.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            phase: Phase::Deal,
            heard: BTreeSet::new(),
            logs: BTreeMap::new(),
            share_keys: Vec::new(),
            outcome: OnceLock::new(),
        }
    }

    /// The plan that it is of.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Whether the next message would count if it stood in the log in `phase`: what a member checks before it lists it.
    /// A share key is admitted once the log has reached [`Phase::Publish`].
    ///
    /// # Errors
    /// [`HandoverError`].
    pub fn admits(&self, phase: Phase, message: &Handover) -> Result<(), HandoverError> {
        self.admitted(phase, message).map(|_author| ())
    }

    fn admitted(&self, phase: Phase, message: &Handover) -> Result<Admitted, HandoverError> {
        let step = Phase::of(&message.step);
        if step != phase || phase < self.phase {
            return Err(HandoverError::Phase { step, phase: phase.max(self.phase) });
        }
        let author = message::author(&self.plan, message)?;
        let spent = match &message.step {
            HandoverStep::Log { log } => {
                self.logs.get(&author).is_some_and(|logs| logs.len() > 1 || logs.contains(log))
            }
            HandoverStep::Dealing { .. } | HandoverStep::Acks { .. } | HandoverStep::ShareKey { .. } => {
                self.heard(step, &message.from)
            }
        };
        if spent {
            return Err(HandoverError::Repeated);
        }
        message::check(&self.plan, message)?;
        let share_key = match &message.step {
            HandoverStep::ShareKey { point, sig } => {
                let outcome = self.outcome().and_then(Result::ok).ok_or(HandoverError::Outcome)?;
                let key = ShareKey { member: author, point: *point, signature: *sig };
                Some(check_share_key(outcome, &key.bytes())?)
            }
            HandoverStep::Dealing { .. } | HandoverStep::Acks { .. } | HandoverStep::Log { .. } => None,
        };
        Ok(Admitted { author, share_key })
    }

    /// The next message in the log, which stands in a block of a slot of `phase`. Phases never go back. The author's
    /// index in its committee, if the message counts; else nothing has changed but the phase.
    ///
    /// # Errors
    /// [`HandoverError`], for one that does not count.
    pub fn on(&mut self, phase: Phase, message: &Handover) -> Result<MemberId, HandoverError> {
        self.reach(phase);
        let Admitted { author, share_key } = self.admitted(phase, message)?;
        self.heard.insert((phase, message.from));
        if let HandoverStep::Log { log } = &message.step {
            self.logs.entry(author).or_default().push(log.clone());
        }
        self.share_keys.extend(share_key);
        Ok(author)
    }

    /// The log is in this phase now: all messages of the phases before have been given, and none of them counts any
    /// more.
    pub fn reach(&mut self, phase: Phase) {
        self.phase = self.phase.max(phase);
    }

    pub(super) fn heard(&self, phase: Phase, from: &Hash) -> bool {
        self.heard.contains(&(phase, *from))
    }

    pub(super) fn logs(&self) -> impl Iterator<Item = &[u8]> {
        self.logs.values().flatten().map(Vec::as_slice)
    }

    /// What the logs come to: the new committee's commitments, or too few logs. `None` before [`Phase::Publish`], as
    /// more may follow.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<&Outcome, &ReshareError>> {
        let over = self.phase >= Phase::Publish;
        over.then(|| self.outcome.get_or_init(|| observe(&self.plan, self.logs())).as_ref())
    }

    /// The key set of the next epoch, once q next members have published; the same whichever they are.
    ///
    /// # Errors
    /// [`ConcludeError`].
    pub fn conclusion(mut self) -> Result<Conclusion, ConcludeError> {
        self.reach(Phase::Publish);
        let observed = self.outcome.take().unwrap_or_else(|| observe(&self.plan, self.logs()));
        let outcome = observed.map_err(ConcludeError::Outcome)?;
        let key_set = outcome.key_set(&self.share_keys).map_err(ConcludeError::KeySet)?;
        Ok(Conclusion { outcome, key_set })
    }

    /// The key set as far as the log goes; as in [`Self::conclusion`].
    #[must_use]
    pub fn key_set(&self) -> Option<KeySetParts> {
        self.outcome()?.ok()?.key_set(&self.share_keys).ok()
    }
}

struct Admitted {
    author: MemberId,
    share_key: Option<ShareKey>,
}

/// What a whole log says: its messages in order, each with the phase of the slot of its block. Messages that do not
/// count may be among them.
///
/// # Errors
/// [`ConcludeError`]: the old committee stays.
pub fn conclude<'a>(
    plan: &Arc<Plan>,
    messages: impl IntoIterator<Item = (Phase, &'a Handover)>,
) -> Result<Conclusion, ConcludeError> {
    let mut transcript = Transcript::new(Arc::clone(plan));
    for (phase, message) in messages {
        // One that does not count says nothing.
        drop(transcript.on(phase, message));
    }
    transcript.conclusion()
}
