//! Checkpoints (C2SP tlog-checkpoint v1.0.0) and the policy that a network accepts them under (C2SP tlog-policy).
//!
//! A published checkpoint has one line of type 0x01 by a member's log key, named as the origin, and 2f+1 lines of type
//! 0x04 by cosigner keys `<origin>/m<i>`. Extension lines are refused: what a slot says goes into entries.
use crate::note::{self, KeyKind, Note, NoteError, VerifierKey, base64_decode, base64_encode};
use alloc::{collections::BTreeSet, format, string::String, vec::Vec};
use crypto::ed25519::{self, SigningKey};
use types::{Hash, Head, MemberId, MemberRecord, Signature, SignatureStamp, limits::MEMBERS_MAX};

/// Longest origin, bytes: below 200.
pub const ORIGIN_BYTES_MAX: usize = 199;

/// Why a text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Not exactly three lines.
    #[error("not three lines")]
    Lines,
    /// Size or root is not written as it must be.
    #[error("size or root not canonical")]
    Value,
}

/// The name of member `i`'s cosigner key.
#[must_use]
pub fn cosigner_name(origin: &str, member: MemberId) -> String {
    format!("{origin}/m{member}")
}

/// The name of member `i`'s receipt key.
#[must_use]
pub fn receipt_name(origin: &str, member: MemberId) -> String {
    format!("{origin}/m{member}/receipt")
}

/// The text that log key and cosigners sign: origin, size, root, a line each.
#[must_use]
pub fn text(origin: &str, head: &Head) -> String {
    format!("{origin}\n{}\n{}\n", head.size, base64_encode(head.root.as_ref()))
}

/// Parses a checkpoint's text and refuses any that [`text`] would not have written.
///
/// # Errors
/// [`CheckpointError`].
pub fn parse(checkpoint: &str) -> Result<(&str, Head), CheckpointError> {
    let mut lines = checkpoint.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
    let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next()) else {
        return Err(CheckpointError::Lines);
    };
    let size = size.parse().map_err(|_digits| CheckpointError::Value)?;
    let root = base64_decode(root, Hash::LEN).ok_or(CheckpointError::Value)?;
    let root = Hash::try_from(root.as_slice()).map_err(|_length| CheckpointError::Value)?;
    let head = Head { size, root };
    if !origin.is_empty() && text(origin, &head) == checkpoint {
        Ok((origin, head))
    } else {
        Err(CheckpointError::Value)
    }
}

/// Signs a head with a log key.
#[must_use]
pub fn sign(origin: &str, head: &Head, log: &SigningKey) -> Signature {
    log.sign(text(origin, head).as_bytes())
}

/// Cosigns a head at `time`, Unix seconds.
#[must_use]
pub fn cosign(origin: &str, head: &Head, time: u64, cosigner: &SigningKey) -> SignatureStamp {
    note::cosign(&text(origin, head), time, cosigner)
}

/// Why members make no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The origin is empty, too long, or has a space or plus.
    #[error("not an origin")]
    Origin,
    /// No members, more than 128, or fewer than 2f+1.
    #[error("members do not fit f")]
    Count,
    /// A key stands twice: keys are never shared, neither among members nor among uses. Or the short id of its log key
    /// is another's, which would let a member spoil that one's checkpoints.
    #[error("a key of this member stands twice, or its id does")]
    SharedKey(MemberId),
}

/// Who must have signed a checkpoint of this network: any one log key, and 2f+1 cosigners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    origin: String,
    logs: Vec<VerifierKey>,
    cosigners: Vec<VerifierKey>,
    quorum: u16,
}

/// A member of a committee by its place in it.
fn member_id(place: usize) -> MemberId {
    MemberId(u16::try_from(place).unwrap_or(u16::MAX))
}

impl Policy {
    /// Whether so many members, 3f + 1, make a policy.
    #[must_use]
    pub fn holds(origin: &str, members: &[MemberRecord]) -> bool {
        let f = members.len().saturating_sub(1).checked_div(3).and_then(|f| u16::try_from(f).ok());
        f.is_some_and(|f| Self::new(origin, members, f).is_ok())
    }

    /// The policy of a committee. Shape: `members` by index.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn new(origin: &str, members: &[MemberRecord], f: u16) -> Result<Self, PolicyError> {
        if !note::is_name(origin) || origin.len() > ORIGIN_BYTES_MAX {
            return Err(PolicyError::Origin);
        }
        let quorum = f.checked_mul(2).and_then(|twice| twice.checked_add(1)).ok_or(PolicyError::Count)?;
        if members.len() > MEMBERS_MAX || members.len() < usize::from(quorum) {
            return Err(PolicyError::Count);
        }
        let mut seen = BTreeSet::new();
        let (mut logs, mut cosigners) = (Vec::new(), Vec::new());
        for (place, member) in members.iter().enumerate() {
            let id = member_id(place);
            if !seen.insert(member.log) || !seen.insert(member.cosigner) {
                return Err(PolicyError::SharedKey(id));
            }
            let log = VerifierKey::new(origin, KeyKind::Ed25519, member.log);
            let cosigner = VerifierKey::new(&cosigner_name(origin, id), KeyKind::Cosignature, member.cosigner);
            let log = log.map_err(|_name| PolicyError::Origin)?;
            if logs.iter().any(|other: &VerifierKey| other.id() == log.id()) {
                return Err(PolicyError::SharedKey(id));
            }
            logs.push(log);
            cosigners.push(cosigner.map_err(|_name| PolicyError::Origin)?);
        }
        Ok(Self { origin: origin.into(), logs, cosigners, quorum })
    }

    /// Name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
    /// 2f+1.
    #[must_use]
    pub const fn quorum(&self) -> u16 {
        self.quorum
    }
    /// Log keys by member.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }
    /// Cosigner keys by member.
    #[must_use]
    pub fn cosigners(&self) -> &[VerifierKey] {
        &self.cosigners
    }
    /// A member's cosigner key.
    #[must_use]
    pub fn cosigner(&self, member: MemberId) -> Option<&VerifierKey> {
        self.cosigners.get(usize::from(member.0))
    }

    /// Is this the member's log signature of that head?
    #[must_use]
    pub fn verify_log(&self, member: MemberId, head: &Head, signature: &Signature) -> bool {
        let key = self.logs.get(usize::from(member.0));
        key.is_some_and(|key| ed25519::verify(key.public(), text(&self.origin, head).as_bytes(), signature))
    }

    /// Is this the member's cosignature of that head?
    #[must_use]
    pub fn verify_cosignature(&self, member: MemberId, head: &Head, stamp: &SignatureStamp) -> bool {
        let key = self.cosigner(member);
        key.is_some_and(|key| note::verify_cosignature(key.public(), &text(&self.origin, head), stamp))
    }

    /// The checkpoint of `head` as it is published: one log line and the 2f+1 cosignatures of lowest index. `None` when
    /// there are fewer distinct cosigners, or a member is not in the committee.
    ///
    /// # Security
    /// Signatures are not verified here: use only those that [`Policy::verify_cosignature`] has accepted.
    #[must_use]
    pub fn checkpoint(
        &self,
        head: &Head,
        log: (MemberId, Signature),
        cosignatures: &[(MemberId, SignatureStamp)],
    ) -> Option<String> {
        let quorum = usize::from(self.quorum);
        let mut sorted: Vec<&(MemberId, SignatureStamp)> = cosignatures.iter().collect();
        sorted.sort_by_key(|(member, _stamp)| *member);
        sorted.dedup_by_key(|(member, _stamp)| *member);
        let mut lines = Vec::with_capacity(quorum.saturating_add(1));
        lines.push(self.logs.get(usize::from(log.0.0))?.line(&log.1));
        for (member, stamp) in sorted.into_iter().take(quorum) {
            lines.push(self.cosigner(*member)?.stamp_line(stamp));
        }
        if lines.len() != quorum.saturating_add(1) {
            return None;
        }
        Note::new(text(&self.origin, head), lines).ok().map(|note| format!("{note}"))
    }

    /// The policy file: every member's log key.
    #[must_use]
    pub fn text(&self) -> String {
        self.render(&self.logs)
    }

    /// The policy file with the log key of one member only, for tools that want every listed log to have signed.
    #[must_use]
    pub fn text_for_log(&self, member: MemberId) -> Option<String> {
        self.logs.get(usize::from(member.0)).map(|key| self.render(core::slice::from_ref(key)))
    }

    fn render(&self, logs: &[VerifierKey]) -> String {
        let mut text = String::new();
        let mut names = String::new();
        for key in logs {
            text.push_str(&format!("log {key}\n"));
        }
        for (place, key) in self.cosigners.iter().enumerate() {
            text.push_str(&format!("witness m{place} {key}\n"));
            names.push_str(&format!(" m{place}"));
        }
        text.push_str(&format!("group members {}{names}\nquorum members\n", self.quorum));
        text
    }
}

/// Why a checkpoint is not one of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Not a signed note.
    #[error("not a signed note: {0}")]
    Note(#[from] NoteError),
    /// Not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Of another log.
    #[error("another origin")]
    Origin,
    /// A line by this member's log key is no valid signature.
    #[error("bad log signature of member {0}")]
    BadLog(MemberId),
    /// A line by this member's cosigner key is no valid cosignature.
    #[error("bad cosignature of member {0}")]
    BadCosigner(MemberId),
    /// No log key has signed.
    #[error("no signature of a log key")]
    NoLog,
    /// Fewer cosigners than 2f+1.
    #[error("{have} of {need} cosigners")]
    Quorum {
        /// Distinct valid cosigners.
        have: u16,
        /// 2f+1.
        need: u16,
    },
}

/// A head that a quorum vouches for. Only [`verify_checkpoint`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The head.
    pub head: Head,
    /// Members whose log keys have signed, ascending.
    pub logs: Vec<MemberId>,
    /// Members whose cosigner keys have signed, ascending; at least 2f+1.
    pub cosigners: Vec<MemberId>,
}

/// Checks a checkpoint: origin, at least one listed log key, at least 2f+1 distinct cosigners. Lines of other keys are
/// ignored; a line of a listed key that does not verify spoils the whole note.
///
/// # Errors
/// [`HeadError`].
pub fn verify_checkpoint(policy: &Policy, note: &[u8]) -> Result<Verified, HeadError> {
    let note = Note::parse(note)?;
    let (origin, head) = parse(note.text())?;
    if origin != policy.origin {
        return Err(HeadError::Origin);
    }
    let (mut logs, mut cosigners) = (BTreeSet::new(), BTreeSet::new());
    for line in note.lines() {
        if let Some(place) = policy.logs.iter().position(|key| key.is_of(line)) {
            let valid = policy.logs.get(place).is_some_and(|key| key.verify(note.text(), line));
            if !valid {
                return Err(HeadError::BadLog(member_id(place)));
            }
            logs.insert(member_id(place));
        }
        if let Some(place) = policy.cosigners.iter().position(|key| key.is_of(line)) {
            let valid = policy.cosigners.get(place).is_some_and(|key| key.verify(note.text(), line));
            if !valid {
                return Err(HeadError::BadCosigner(member_id(place)));
            }
            cosigners.insert(member_id(place));
        }
    }
    if logs.is_empty() {
        return Err(HeadError::NoLog);
    }
    let have = u16::try_from(cosigners.len()).unwrap_or(u16::MAX);
    if have < policy.quorum {
        return Err(HeadError::Quorum { have, need: policy.quorum });
    }
    Ok(Verified { head, logs: logs.into_iter().collect(), cosigners: cosigners.into_iter().collect() })
}

#[cfg(test)]
pub(crate) mod tests;
