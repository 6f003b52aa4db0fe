//! An audit from the outside: a signed head first, then bytes on demand, a report at the end.
use crate::{
    Anchor, AnchorError, Checks, Finding, Proof, ReceiptInputError, Replay,
    replay::{Promise, note_of},
    report::{Missing, Ran, Report},
};
use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::String,
    vec::Vec,
};
use tlog::{
    Tree, checkpoint,
    checkpoint::{HeadError, Policy, Verified},
    note::Note,
    tiles::{self, Level, TILE_WIDTH, Tile},
};
use types::{FinalityProof, Hash, Head, MemberId, Signature, Slot, codec, limits, reason};

/// What the auditor needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The bytes of this tile, as it stands in the tree of the head: [`Auditor::feed_tile`].
    Tile {
        /// Which.
        tile: Tile,
        /// Longest content, bytes.
        max: usize,
    },
    /// Headers and votes of this slot: [`Auditor::feed_finality`].
    Finality(Slot),
    /// Nothing: [`Auditor::finish`]. Also before a head was accepted.
    Done,
}

/// How far an audit is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Entries read.
    pub entries: u64,
    /// Entries of the head.
    pub of: u64,
    /// Slots whose section has begun.
    pub slots: u64,
}

/// What the audit is about.
#[derive(Clone, Debug)]
struct Subject {
    head: Head,
    /// Empty while nobody is known to vouch for it: a later committee than that of genesis has signed it, perhaps.
    cosigners: Vec<MemberId>,
    /// Judged once the log has said whose head it is.
    note: Vec<u8>,
}

/// A head that the log must contain.
#[derive(Clone, Debug)]
struct Seen {
    head: Head,
    /// Names of the keys that signed it.
    signers: Vec<String>,
    /// A quorum signed it; else it is some members' own.
    quorum: bool,
}

/// Hashes of the tiles at the right edge, by level.
#[derive(Clone, Debug, Default)]
struct Edge {
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// Adds an entry's leaf hash; tiles that fill go to `full`.
    fn push(&mut self, leaf: Hash, size: u64, full: &mut VecDeque<(Tile, Vec<Hash>)>) {
        let mut hash = leaf;
        for number in 0u8..8 {
            let place = usize::from(number);
            if self.levels.len() <= place {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(place) else { return };
            hashes.push(hash);
            if hashes.len() < usize::from(TILE_WIDTH) {
                return;
            }
            let hashes = core::mem::take(hashes);
            let span = 8u32.saturating_mul(u32::from(number).saturating_add(1));
            let index = size.checked_shr(span).unwrap_or(0).saturating_sub(1);
            let mut tree = Tree::new();
            hashes.iter().for_each(|h| tree.append_hash(*h));
            hash = tree.root();
            full.extend(Tile::new(Level::Hashes(number), index, TILE_WIDTH).map(|tile| (tile, hashes)));
        }
    }

    /// The partial tiles of hashes that a tree of this size ends with.
    fn partials(&self, size: u64) -> impl Iterator<Item = (Tile, Vec<Hash>)> {
        tiles::partials(size).into_iter().filter(|tile| !tile.is_full()).filter_map(|tile| match tile.level() {
            Level::Entries => None,
            Level::Hashes(number) => Some((tile, self.levels.get(usize::from(number))?.clone())),
        })
    }
}

/// Audits a log under one signed head. Holds one bundle, the tree's right edge and what [`Replay`] holds.
///
/// A head, heads that were seen elsewhere, then what [`Auditor::need`] asks for until it asks for nothing:
///
/// ```no_run
/// # use verifier::{Anchor, Auditor, Checks, Need};
/// # fn tile(_: &tlog::tiles::Tile) -> Vec<u8> { vec![] }
/// # fn finality(_: types::Slot) -> Option<Vec<u8>> { None }
/// # fn audit(anchor: &Anchor, checkpoint: &[u8]) -> Result<u8, verifier::AnchorError> {
/// let mut auditor = Auditor::new(anchor, Checks::ALL)?;
/// let _refused = auditor.head(checkpoint);
/// loop {
///     match auditor.need() {
///         Need::Tile { tile: name, .. } => auditor.feed_tile(&name, &tile(&name)),
///         Need::Finality(slot) => auditor.feed_finality(slot, finality(slot).as_deref()),
///         Need::Done => break,
///     }
/// }
/// # Ok(
/// auditor.finish().exit()
/// # )
/// # }
/// ```
#[derive(Debug)]
pub struct Auditor {
    policy: Policy,
    network: Hash,
    checks: Checks,
    replay: Replay,
    subject: Option<Subject>,
    head_error: Option<HeadError>,
    /// By size.
    seen: BTreeMap<u64, Vec<Seen>>,
    /// Notes that no key of genesis has signed, by size.
    unread: BTreeMap<u64, Vec<Vec<u8>>>,
    compared: u64,
    /// Given after the log had passed their size.
    late: u64,
    edge: Edge,
    /// Hash tiles to compare with what the source serves.
    due: VecDeque<(Tile, Vec<Hash>)>,
    bundle: Vec<u8>,
    cursor: usize,
    asked: Option<Slot>,
    /// First slot without a proof of finality, and how many.
    unproven: Option<(Slot, u64)>,
    findings: Vec<Finding>,
    /// How many faults and findings of the replay are among them.
    collected: (usize, usize),
    /// How many of the findings come from signed notes alone: they stand whatever the bytes are.
    from_notes: usize,
    bytes: u64,
    tiles: u64,
    done: bool,
}

impl Auditor {
    /// An audit of the anchor's log.
    ///
    /// # Errors
    /// [`AnchorError`] when the rollups cannot be executed.
    pub fn new(anchor: &Anchor, checks: Checks) -> Result<Self, AnchorError> {
        Ok(Self {
            policy: anchor.policy.clone(),
            network: anchor.id,
            checks,
            replay: Replay::new(anchor, checks)?,
            subject: None,
            head_error: None,
            seen: BTreeMap::new(),
            unread: BTreeMap::new(),
            compared: 0,
            late: 0,
            edge: Edge::default(),
            due: VecDeque::new(),
            bundle: Vec::new(),
            cursor: 0,
            asked: None,
            unproven: None,
            findings: Vec::new(),
            collected: (0, 0),
            from_notes: 0,
            bytes: 0,
            tiles: 0,
            done: false,
        })
    }

    /// The head that the audit is about: a checkpoint of the committee of genesis, which must also be the one that the log
    /// names for its size. A second one is held against the first as [`Auditor::seen`] does.
    ///
    /// # Errors
    /// [`HeadError`]: not a checkpoint of this network with 2f + 1 cosigners.
    pub fn head(&mut self, note: &[u8]) -> Result<Head, HeadError> {
        let verified = match checkpoint::verify_checkpoint(&self.policy, note) {
            Ok(verified) => verified,
            Err(error) => {
                self.head_error.get_or_insert(error);
                return Err(error);
            }
        };
        let head = verified.head;
        if self.subject.is_some() {
            self.seen(note);
            return Ok(head);
        }
        self.subject = Some(Subject { head, cosigners: verified.cosigners, note: note.to_vec() });
        for seen in self.seen.remove(&head.size).unwrap_or_default() {
            self.compare_notes(&seen);
        }
        self.run();
        Ok(head)
    }

    /// As [`Auditor::head`], for a checkpoint of a committee that the log names later: it is held against that committee
    /// when the log is read, and what the log says counts only then. The first head given stays the subject.
    ///
    /// # Errors
    /// [`HeadError`]: not a checkpoint of this network's log.
    pub fn head_of_later(&mut self, note: &[u8]) -> Result<Head, HeadError> {
        let parsed = Note::parse(note).map_err(HeadError::from)?;
        let (origin, head) = checkpoint::parse(parsed.text())?;
        if origin != self.policy.origin() {
            return Err(HeadError::Origin);
        }
        if self.subject.is_none() {
            self.head_error = None;
            self.subject = Some(Subject { head, cosigners: Vec::new(), note: note.to_vec() });
            self.run();
        }
        Ok(head)
    }

    /// A head that was seen elsewhere: remembered, or another member's. It must lie on the log. Notes that no key of
    /// the network has signed are ignored.
    pub fn seen(&mut self, note: &[u8]) {
        let Some(seen) = self.read_seen(note, &self.policy) else { return self.seen_later(note) };
        match &self.subject {
            // a subject that nobody has vouched for yet accuses nobody
            Some(Subject { head, cosigners, .. }) if head.size == seen.head.size && !cosigners.is_empty() => {
                self.compare_notes(&seen);
            }
            Some(_) if seen.head.size <= self.replay.head().size => self.late = self.late.saturating_add(1),
            _ => self.seen.entry(seen.head.size).or_default().push(seen),
        }
    }

    /// A receipt to hold the lists against: the signed note, then perhaps a line `envelope` with the envelope's bytes in
    /// hex. Before the first bytes of the log, also one of a committee that the log names later.
    ///
    /// # Errors
    /// [`ReceiptInputError`]: it promises nothing.
    pub fn receipt(&mut self, case: &[u8]) -> Result<(), ReceiptInputError> {
        self.replay.promise(case)
    }

    /// Receipts of one number for different items: they convict by themselves, whatever the log says.
    fn receipt_conflicts(&mut self, proofs: &mut Vec<Proof>) {
        let mut found = Vec::new();
        for (one, other) in self.replay.conflicts() {
            let code = reason::Finding::ReceiptConflict;
            let signed = |promise: &Promise| {
                let note = Note::parse(note_of(&promise.case)).ok()?;
                let [line] = note.lines() else { return None };
                let sig: [u8; 64] = line.signature().try_into().ok()?;
                Some((note.text().into(), Signature(sig)))
            };
            let (Some(a), Some(b)) = (signed(one), signed(other)) else { continue };
            let bytes = codec::encode(&crypto::evidence::receipts(one.giver, a, b));
            proofs.push(Proof { code, member: one.giver, bytes });
            let accused = Vec::from([checkpoint::receipt_name(self.policy.origin(), one.giver)]);
            let detail = format!("seq {}: {} and {}", one.receipt.seq, one.receipt.item, other.receipt.item);
            found.push(Finding { code, slot: one.receipt.list_from, index: 0, detail, accused });
        }
        self.from_notes = self.from_notes.saturating_add(found.len());
        self.findings.splice(0..0, found);
    }

    /// A note of another committee, perhaps: read when the log is as long.
    fn seen_later(&mut self, note: &[u8]) {
        let Ok(parsed) = Note::parse(note) else { return };
        let Ok((origin, Head { size, .. })) = checkpoint::parse(parsed.text()) else { return };
        if origin == self.policy.origin() && size > self.replay.head().size {
            self.unread.entry(size).or_default().push(note.to_vec());
        }
    }

    fn read_seen(&self, note: &[u8], policy: &Policy) -> Option<Seen> {
        if let Ok(Verified { head, cosigners, .. }) = checkpoint::verify_checkpoint(policy, note) {
            return Some(Seen { head, signers: self.names(&cosigners), quorum: true });
        }
        let note = Note::parse(note).ok()?;
        let (origin, head) = checkpoint::parse(note.text()).ok()?;
        let keys = policy.logs().iter().chain(policy.cosigners());
        let signed =
            keys.filter(|key| note.lines().iter().any(|line| key.is_of(line) && key.verify(note.text(), line)));
        let signers: Vec<String> = signed.map(|key| key.name().into()).collect();
        (origin == self.policy.origin() && !signers.is_empty()).then_some(Seen { head, signers, quorum: false })
    }

    fn names(&self, members: &[MemberId]) -> Vec<String> {
        members.iter().map(|m| checkpoint::cosigner_name(self.policy.origin(), *m)).collect()
    }

    /// Two signed heads of one size.
    fn compare_notes(&mut self, seen: &Seen) {
        self.compared = self.compared.saturating_add(1);
        let Some(subject) = &self.subject else { return };
        let head = subject.head;
        if seen.head != head {
            let finding = self.off_log(seen, &head, "two roots of one size");
            self.findings.insert(self.from_notes, finding);
            self.from_notes = self.from_notes.saturating_add(1);
        }
    }

    /// A head that is not on the log: a split when a quorum signed it, else a stray.
    fn off_log(&self, seen: &Seen, here: &Head, detail: &str) -> Finding {
        let cosigners = self.subject.as_ref().map(|s| self.names(&s.cosigners)).unwrap_or_default();
        // who signed both sides of a split signed two logs
        let both = seen.signers.iter().filter(|name| !seen.quorum || cosigners.contains(name));
        let code = if seen.quorum { reason::Finding::HeadSplit } else { reason::Finding::HeadStray };
        let detail = format!("{detail}: size {}, signed {}, here {}", seen.head.size, seen.head.root, here.root);
        let index = seen.head.size.saturating_sub(1);
        Finding { code, slot: self.replay.slot(), index, detail, accused: both.cloned().collect() }
    }

    /// Heads of the size that the log has now.
    fn compare_seen(&mut self) {
        if self.seen.is_empty() && self.unread.is_empty() {
            return;
        }
        let here = self.replay.head();
        let unread = self.unread.remove(&here.size).unwrap_or_default();
        let read = |note: &Vec<u8>| self.read_seen(note, &self.replay.committee().policy);
        let mut all: Vec<Seen> = unread.iter().filter_map(read).collect();
        all.extend(self.seen.remove(&here.size).unwrap_or_default());
        for seen in all {
            self.compared = self.compared.saturating_add(1);
            if seen.head != here {
                let finding = self.off_log(&seen, &here, "a signed head is not on the log");
                self.findings.push(finding);
            }
        }
    }

    /// What to feed next.
    #[must_use]
    pub fn need(&self) -> Need {
        let Some(subject) = self.subject.as_ref().filter(|_| !self.done) else { return Need::Done };
        if let Some(slot) = self.asked {
            return Need::Finality(slot);
        }
        let tile = self.due.front().map(|(tile, _)| *tile);
        let size = subject.head.size;
        let bundle = || Tile::at(Level::Entries, self.replay.head_size().checked_shr(8)?, size);
        tile.or_else(bundle).map_or(Need::Done, |tile| Need::Tile { tile, max: tile.bytes_max() })
    }

    /// The bytes of the tile that [`Auditor::need`] named; others are ignored.
    pub fn feed_tile(&mut self, tile: &Tile, bytes: &[u8]) {
        if !matches!(self.need(), Need::Tile { tile: needed, .. } if needed == *tile) {
            return;
        }
        if let Some((_, hashes)) = self.due.pop_front() {
            self.tiles = self.tiles.saturating_add(1);
            self.compare_tile(tile, &hashes, bytes);
        } else if bytes.len() <= tile.bytes_max() && tiles::entries_of(tile, bytes).is_ok() {
            self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            self.bundle = bytes.to_vec();
            self.cursor = 0;
        } else {
            return self.bytes_mismatch(&format!("{tile} is no bundle of {} entries", tile.width()));
        }
        self.run();
    }

    fn compare_tile(&mut self, tile: &Tile, own: &[Hash], bytes: &[u8]) {
        let given = tiles::hashes_of(tile, bytes).unwrap_or_default();
        let Some(place) =
            own.iter().zip(given.iter().map(Some).chain(core::iter::repeat(None))).position(|(a, b)| Some(a) != b)
        else {
            return;
        };
        let known = self.findings.iter().any(|f| f.code == reason::Finding::BytesMismatch);
        if !known {
            let index =
                tile.index().saturating_mul(u64::from(TILE_WIDTH)).saturating_add(u64::try_from(place).unwrap_or(0));
            let Level::Hashes(level) = tile.level() else { return };
            let index = index.checked_shl(u32::from(level).saturating_mul(8)).unwrap_or(u64::MAX);
            let finding = self.mismatch(index, &format!("{tile} contradicts the entries from {index} on"));
            self.findings.push(finding);
        }
    }

    fn mismatch(&self, index: u64, detail: &str) -> Finding {
        let code = reason::Finding::BytesMismatch;
        Finding { code, slot: self.replay.slot(), index, detail: detail.into(), accused: Vec::new() }
    }

    /// The bytes are not what was signed: nothing that they say counts, and no key is accused.
    fn bytes_mismatch(&mut self, detail: &str) {
        let located = self.findings.iter().find(|f| f.code == reason::Finding::BytesMismatch).cloned();
        let (index, detail) = match located {
            Some(found) => (found.index, format!("{detail}; {}", found.detail)),
            None => (self.replay.head_size(), detail.into()),
        };
        self.findings.truncate(self.from_notes);
        let finding = self.mismatch(index, &detail);
        self.findings.push(finding);
        self.done = true;
    }

    /// Headers and votes of the slot that [`Auditor::need`] named, codec(FinalityProof); `None` when the source has
    /// none, which leaves that check undone.
    pub fn feed_finality(&mut self, slot: Slot, proof: Option<&[u8]>) {
        if self.asked != Some(slot) {
            return;
        }
        self.asked = None;
        match proof.map(|bytes| codec::decode::<FinalityProof>(bytes, limits::BLOCK_BYTES_MAX)) {
            Some(Ok(proof)) => self.replay.finality(&proof),
            Some(Err(error)) => self.replay.finality_unreadable(&format!("{error}")),
            None => {
                let (first, count) = self.unproven.unwrap_or((slot, 0));
                self.unproven = Some((first, count.saturating_add(1)));
            }
        }
        self.collect();
        self.run();
    }

    /// Reads entries until something is needed.
    fn run(&mut self) {
        self.compare_seen();
        let Some(head) = self.subject.as_ref().map(|s| s.head) else { return };
        let bundle = core::mem::take(&mut self.bundle);
        while self.asked.is_none() && !self.done {
            let rest = bundle.get(self.cursor..).unwrap_or_default();
            let Some((length, rest)) = rest.split_first_chunk::<2>() else { break };
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(entry) = rest.get(..length) else { break };
            self.cursor = self.cursor.saturating_add(2).saturating_add(length);
            self.entry(entry);
        }
        self.bundle = bundle;
        if self.asked.is_some() || self.done || self.replay.head_size() != head.size {
            return;
        }
        if self.due.is_empty() && self.edge.levels.iter().any(|l| !l.is_empty()) {
            self.due.extend(self.edge.partials(head.size));
            self.edge.levels.clear();
        }
        if self.due.is_empty() {
            self.conclude(&head);
        }
    }

    fn entry(&mut self, bytes: &[u8]) {
        let leaf = self.replay.entry(self.replay.head_size(), bytes);
        self.edge.push(leaf, self.replay.head_size(), &mut self.due);
        self.collect();
        self.compare_seen();
        self.asked = self.replay.take_closed().filter(|_| self.checks.finality);
    }

    /// What the replay has found since the last call.
    fn collect(&mut self) {
        let (faults, findings) = (self.replay.faults(), self.replay.findings());
        if faults.len() > self.collected.0 || findings.len() > self.collected.1 {
            self.findings.extend(faults.iter().skip(self.collected.0).cloned());
            self.findings.extend(findings.iter().skip(self.collected.1).cloned());
            self.collected = (faults.len(), findings.len());
        }
    }

    /// All is read: does it hash to what was signed, and does it end where a head may?
    fn conclude(&mut self, head: &Head) {
        let here = self.replay.head();
        if here != *head {
            return self.bytes_mismatch(&format!("the entries hash to {}, signed is {}", here.root, head.root));
        }
        let Some(subject) = &mut self.subject else { return };
        match checkpoint::verify_checkpoint(&self.replay.committee().policy, &subject.note) {
            Ok(verified) => subject.cosigners = verified.cosigners,
            Err(error) => {
                // bytes that nothing vouches for, and a note that accuses nobody
                (self.subject, self.head_error, self.done) = (None, Some(error), true);
                self.from_notes = 0;
                return;
            }
        }
        self.replay.end_of_head();
        self.collect();
        self.done = true;
    }

    /// What was found so far. What comes from the log's bytes is final only when nothing is needed any more: bytes that
    /// do not hash to the head convict nobody.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let of = self.subject.as_ref().map_or(0, |s| s.head.size);
        Progress { entries: self.replay.head_size(), of, slots: self.replay.slots() }
    }

    /// The report. Stopping before nothing is needed any more is reported as checks that could not run.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let mut proofs = Vec::new();
        self.receipt_conflicts(&mut proofs);
        let mut findings = self.findings;
        let entries = self.replay.head_size();
        let missing = match (&self.subject, self.done) {
            (Some(_), true) => None,
            (Some(subject), false) => Some(Missing::Bytes { from: entries, of: subject.head.size }),
            (None, _) => Some(Missing::Head),
        };
        if missing.is_some() {
            // bytes that nothing vouches for accuse nobody
            findings.truncate(self.from_notes);
        }
        if let (None, Some(error)) = (&self.subject, self.head_error) {
            let (code, detail) = (reason::Finding::HeadInvalid, format!("{error}"));
            findings.push(Finding { code, slot: Slot(0), index: 0, detail, accused: Vec::new() });
        }
        let (judged, unjudged) = self.replay.promises_judged();
        if missing.is_none() {
            let code = reason::Finding::ReceiptUnlisted;
            proofs.extend(self.replay.broken().map(|p| Proof { code, member: p.member, bytes: p.case.clone() }));
        }
        let mut units = self.replay.tallies();
        if let Some(receipts) = units.last_mut() {
            *receipts = u64::try_from(judged).unwrap_or(u64::MAX);
        }
        let ran = Ran {
            checks: self.checks,
            unjudged,
            missing,
            stopped: self.replay.findings().first().map(|f| f.slot),
            unproven: self.unproven,
            unseen: self.late.saturating_add(u64::try_from(self.seen.values().flatten().count()).unwrap_or(u64::MAX)),
            units,
            heads: self.compared,
            tiles: self.tiles,
        };
        let (head, cosigners) = self.subject.map(|s| (s.head, s.cosigners)).unwrap_or_default();
        let (checks, exit) = ran.judge(&findings, cosigners.len());
        Report {
            origin: self.policy.origin().into(),
            network: self.network,
            head,
            slot: self.replay.slot(),
            cosigners,
            checks,
            findings,
            entries,
            bytes: self.bytes,
            proofs,
            exit,
        }
    }
}
