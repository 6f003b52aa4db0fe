//! What is left of a ceremony: a file from which anybody recomputes the keys, and sees who did what.
//!
//! | bytes | what |
//! |---|---|
//! | 5 | `LKTR`, version u8 = 1 |
//! | frame | codec(network, number u32, absent, how many messages u32, how many proofs u32) |
//! | frames | codec(message), each: first the messages, then the proofs |
//!
//! A frame is its length u32 LE and its bytes.
//!
//! Messages in order of step, author and id, for echo and agreement one each; in `proofs` what was said besides. Nothing of it
//! is secret, but what is sealed in it is for ever (see [`super`], trust).
//!
//! A file without messages and with two proofs is a *proof* by itself, of a ceremony that need not have come to an end:
//! two messages of one author and step.
use super::{Finished, MESSAGE_BYTES_MAX, Message, Phase, Plan, PlanError, Refused, record::Record};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use types::{Hash, KeySetParts, MemberId, codec, codec::DecodeError};

/// First bytes of a transcript's file.
pub const TRANSCRIPT_MAGIC: [u8; 4] = *b"LKTR";
const VERSION: u8 = 1;
/// Longest transcript: that of a committee of 127 has some 12 MB.
pub const TRANSCRIPT_BYTES_MAX: usize = 64 << 20;

/// A finished ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// Network id.
    pub network: Hash,
    /// Number of the ceremony.
    pub number: u32,
    /// Who was not waited for.
    pub absent: Vec<MemberId>,
    /// What was said.
    pub messages: Vec<Message>,
    /// What was said besides, by members that contradict themselves.
    pub proofs: Vec<Message>,
}

/// Why a transcript proves nothing. The codes are stable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscriptError {
    /// Not such a file.
    #[error("not a transcript of this version")]
    Magic,
    /// Its body is no encoding of one.
    #[error("malformed transcript")]
    Malformed(#[from] DecodeError),
    /// Of another network.
    #[error("transcript of network {found}")]
    Network {
        /// Which.
        found: Hash,
    },
    /// There can be no such ceremony.
    #[error("no such ceremony")]
    Plan(#[from] PlanError),
    /// A message in it does not count.
    #[error("message {index} does not count")]
    Message {
        /// Place in the file.
        index: usize,
        /// Why.
        source: Refused,
    },
    /// A message is there twice, out of order, or one too many.
    #[error("message {index} is out of place")]
    Order {
        /// Place in the file.
        index: usize,
    },
    /// Messages are missing.
    #[error("messages of step {phase} are missing")]
    Missing {
        /// First step that is not whole.
        phase: Phase,
    },
    /// What an operator signed is not what the messages come to.
    #[error("operators did not sign what the messages come to")]
    Agreement {
        /// Who signed something else.
        members: Vec<MemberId>,
    },
    /// The messages give no keys.
    #[error("the messages give no keys")]
    Outcome(#[source] super::Failure),
    /// They give other keys.
    #[error("the keys are not those of the network")]
    Keys,
}

impl TranscriptError {
    /// Stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Magic | Self::Malformed(_) => "MALFORMED",
            Self::Network { .. } => "NETWORK",
            Self::Plan(_) => "PLAN",
            Self::Message { .. } => "MESSAGE",
            Self::Order { .. } => "ORDER",
            Self::Missing { .. } => "MISSING",
            Self::Agreement { .. } => "NO_AGREEMENT",
            Self::Outcome(_) => "NO_OUTCOME",
            Self::Keys => "KEYS",
        }
    }
}

/// What a transcript proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The ceremony.
    pub number: u32,
    /// Who was not waited for.
    pub absent: Vec<MemberId>,
    /// Result and keys.
    pub finished: Finished,
    /// Who signed two different messages in a step, and in which.
    pub contradicted: Vec<(MemberId, Phase)>,
}

impl Transcript {
    pub(super) fn of(record: &Record, outcome: &Hash) -> Self {
        let plan = record.plan();
        let (mut messages, mut proofs) = (Vec::new(), Vec::new());
        for phase in Phase::ALL {
            for member in plan.expected() {
                let agrees = |message: &Message| message.agrees().is_some_and(|(said, _)| said == *outcome);
                let mut held: Vec<_> = record.of(phase, member).iter().collect();
                if Phase::ECHOED.contains(&phase) {
                    held.sort_by_key(|(id, _)| *id);
                }
                let held = held.into_iter().map(|(_, message)| message);
                // Of echoes the first counted, of agreements the right one.
                let used = match phase {
                    Phase::Deal | Phase::Ack | Phase::Seal => None,
                    Phase::Echo => Some(0),
                    Phase::Agree => held.clone().position(agrees),
                };
                for (index, message) in held.enumerate() {
                    let to = if used.is_none_or(|used| used == index) { &mut messages } else { &mut proofs };
                    to.push(message.clone());
                }
            }
        }
        Self { network: plan.network(), number: plan.number(), absent: plan.absent().to_vec(), messages, proofs }
    }

    /// A proof against the author of two messages of one step, as [`super::Operator::contradictions`] gives them.
    #[must_use]
    pub fn proof(plan: &Plan, pair: [&Message; 2]) -> Self {
        Self {
            network: plan.network(),
            number: plan.number(),
            absent: plan.absent().to_vec(),
            messages: Vec::new(),
            proofs: pair.into_iter().cloned().collect(),
        }
    }

    /// Whether it is a proof only: [`verify_proof`] judges it.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        self.messages.is_empty()
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let count = |messages: &[Message]| u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let header = Header {
            network: self.network,
            number: self.number,
            absent: self.absent.clone(),
            messages: count(&self.messages),
            proofs: count(&self.proofs),
        };
        let frames = self.messages.iter().chain(&self.proofs).map(Message::bytes);
        let mut bytes = TRANSCRIPT_MAGIC.to_vec();
        bytes.push(VERSION);
        for frame in core::iter::once(codec::encode(&header)).chain(frames) {
            bytes.extend_from_slice(&count_bytes(frame.len()));
            bytes.extend_from_slice(&frame);
        }
        bytes
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`TranscriptError::Magic`], [`TranscriptError::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, TranscriptError> {
        let rest = bytes.strip_prefix(TRANSCRIPT_MAGIC.as_slice());
        let mut rest = rest.and_then(|rest| rest.strip_prefix(&[VERSION])).ok_or(TranscriptError::Magic)?;
        let Header { network, number, absent, messages, proofs } = codec::decode(frame(&mut rest)?, MESSAGE_BYTES_MAX)?;
        let mut read = |count: u32| {
            let mut list = Vec::new();
            for _ in 0..count {
                list.push(codec::decode(frame(&mut rest)?, MESSAGE_BYTES_MAX)?);
            }
            Ok::<_, TranscriptError>(list)
        };
        let (messages, proofs) = (read(messages)?, read(proofs)?);
        if rest.is_empty() {
            Ok(Self { network, number, absent, messages, proofs })
        } else {
            Err(DecodeError::Leftover.into())
        }
    }
}

impl Transcript {
    fn plan(&self, network: &Hash, members: &[Hash]) -> Result<Arc<Plan>, TranscriptError> {
        if self.network != *network {
            return Err(TranscriptError::Network { found: self.network });
        }
        Ok(Arc::new(Plan::new(network, self.number, members, &self.absent)?))
    }
}

impl Record {
    /// Takes messages that are all new; `first` is the place of the first one in the file.
    fn take_all(&mut self, messages: &[Message], first: usize) -> Result<(), TranscriptError> {
        for (at, message) in messages.iter().enumerate() {
            let index = first.saturating_add(at);
            match self.take(message, None) {
                Ok(true) => {}
                Ok(false) => return Err(TranscriptError::Order { index }),
                Err(source) => return Err(TranscriptError::Message { index, source }),
            }
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    network: Hash,
    number: u32,
    absent: Vec<MemberId>,
    messages: u32,
    proofs: u32,
}

fn count_bytes(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

fn frame<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], TranscriptError> {
    let (len, more) = rest.split_first_chunk::<4>().ok_or(DecodeError::Malformed)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_wide| DecodeError::TooLong)?;
    let (frame, more) = more.split_at_checked(len).ok_or(DecodeError::Malformed)?;
    *rest = more;
    Ok(frame)
}

/// Who signed two different messages in a step, and in which: what a [`Transcript::proof`] proves to anybody.
///
/// `members` are the consensus keys of `network`, whose id binds them.
///
/// # Errors
/// [`TranscriptError`]: the first thing that is wrong; [`TranscriptError::Order`] for anything but one such pair.
pub fn verify_proof(
    proof: &Transcript,
    network: &Hash,
    members: &[Hash],
) -> Result<(MemberId, Phase), TranscriptError> {
    let mut record = Record::new(proof.plan(network, members)?);
    if !proof.is_proof() {
        return Err(TranscriptError::Order { index: 0 });
    }
    record.take_all(&proof.proofs, 0)?;
    let mut pairs = record.contradictions().map(|[first, _]| (first.from, first.step.phase()));
    match (pairs.next(), proof.proofs.len()) {
        (Some(proved), 2) => Ok(proved),
        _ => Err(TranscriptError::Order { index: proof.proofs.len() }),
    }
}

/// Recomputes everything: signatures, who counts, the keys, and that every expected operator signed that.
///
/// `members` are the consensus keys of `network`, whose id binds them; `keys` what the network says its keys are.
///
/// # Errors
/// [`TranscriptError`]: the first thing that is wrong.
pub fn verify(
    transcript: &Transcript,
    network: &Hash,
    members: &[Hash],
    keys: &KeySetParts,
) -> Result<Verified, TranscriptError> {
    let plan = transcript.plan(network, members)?;
    let mut record = Record::new(Arc::clone(&plan));
    let mut last = None;
    for (index, message) in transcript.messages.iter().enumerate() {
        let place = (message.step.phase(), message.from, message.id(&plan));
        let again = last.is_some_and(|(phase, from, _)| (phase, from) == (place.0, place.1)) && place.0 >= Phase::Echo;
        if last.is_some_and(|last| last >= place) || again {
            return Err(TranscriptError::Order { index });
        }
        last = Some(place);
        record.take_all(core::slice::from_ref(message), index)?;
    }
    if let Some(phase) = Phase::ALL.into_iter().find(|phase| !record.missing(*phase).is_empty()) {
        return Err(TranscriptError::Missing { phase });
    }
    if let Some(sighting) = record.unresolved().and_then(|open| open.into_iter().min_by_key(|open| open.phase)) {
        return Err(TranscriptError::Missing { phase: sighting.phase });
    }
    let settled = record.settle().ok_or(TranscriptError::Missing { phase: Phase::Echo })?;
    let settled = settled.map_err(TranscriptError::Outcome)?;
    let others = record.disagreeing(&settled.outcome.hash).unwrap_or_default();
    if !others.is_empty() {
        return Err(TranscriptError::Agreement { members: others.into_iter().map(|(member, _)| member).collect() });
    }
    let [points, _] = &settled.commitments;
    let (key_set, liars) = record.key_set(&settled.outcome, points).map_err(TranscriptError::Outcome)?;
    if key_set != *keys {
        return Err(TranscriptError::Keys);
    }
    record.take_all(&transcript.proofs, transcript.messages.len())?;
    let said = record.contradictions().map(|[first, _]| (first.from, first.step.phase()));
    Ok(Verified {
        number: plan.number(),
        absent: plan.absent().to_vec(),
        contradicted: said.collect(),
        finished: Finished { outcome: settled.outcome, key_set, liars },
    })
}
