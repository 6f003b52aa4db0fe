//! What an audit says at the end: a line per check, findings, an exit code.
use crate::{Checks, Finding};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use types::{Hash, Head, MemberId, Slot, reason};

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ran to the end and found nothing.
    Pass,
    /// It found something.
    Fail,
    /// It did not run, or not to the end; why.
    NotChecked(String),
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// Number, log.md section 6.
    pub n: u8,
    /// Short name.
    pub name: &'static str,
    /// How it ended.
    pub status: Status,
    /// What it went over: entries, slots, lists, units, as its name says.
    pub units: u64,
}

/// The result of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Name of the log.
    pub origin: String,
    /// Network id.
    pub network: Hash,
    /// The head that was audited; size 0 when none was valid.
    pub head: Head,
    /// Slot of the last CLOSE.
    pub slot: Slot,
    /// Who cosigned the head.
    pub cosigners: Vec<MemberId>,
    /// By number.
    pub checks: Vec<CheckReport>,
    /// First cause first.
    pub findings: Vec<Finding>,
    /// Entries read.
    pub entries: u64,
    /// Bytes of bundles read.
    pub bytes: u64,
    /// What proves findings by receipts: codec(Evidence) of `receipt-conflict`; of `receipt-unlisted` the receipt as it was
    /// given, which proves it beside the log.
    pub proofs: Vec<Proof>,
    pub(crate) exit: u8,
}

/// What proves a finding against a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Of what.
    pub code: reason::Finding,
    /// Whom.
    pub member: MemberId,
    /// The file's content.
    pub bytes: Vec<u8>,
}

impl Report {
    /// 0: every check that was asked for ran and found nothing; 1: a finding; 2: a check could not run, or no head is
    /// valid.
    #[must_use]
    pub const fn exit(&self) -> u8 {
        self.exit
    }
}

/// Checks by number, from 1.
const NAMES: [&str; 21] = [
    "head",
    "other heads",
    "bytes",
    "grammar",
    "headers",
    "lists",
    "recount",
    "set",
    "envelopes",
    "bids",
    "beacon",
    "auction",
    "order",
    "openings",
    "tails",
    "execution",
    "ledger",
    "payments",
    "epochs",
    "faults",
    "receipts",
];

/// The check that a finding belongs to.
fn check_of(code: reason::Finding) -> u8 {
    match code.number() {
        1 => 1,
        2 | 3 => 2,
        4 => 3,
        5 | 6 => 4,
        7..=9 | 59 => 5,
        10..=13 => 6,
        14..=19 => 7,
        20..=22 => 8,
        23 | 24 => 9,
        25 => 10,
        26 => 11,
        27..=30 => 12,
        31 => 13,
        32..=34 => 14,
        35 | 36 => 15,
        37..=41 => 16,
        42 | 43 => 17,
        44 => 18,
        45 | 46 => 19,
        47 | 48 => 20,
        49..=51 => 21,
        52..=54 => 22,
        _ => 23,
    }
}

/// Why an audit stopped early.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Missing {
    /// No valid head.
    Head,
    /// Bundles or tiles were not fed.
    Bytes { from: u64, of: u64 },
}

/// What ran.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) checks: Checks,
    pub(crate) missing: Option<Missing>,
    /// Slot of the first finding in the log: later entries were not judged.
    pub(crate) stopped: Option<Slot>,
    /// First slot without a proof of finality, and how many there are.
    pub(crate) unproven: Option<(Slot, u64)>,
    /// Receipts that could not be judged, and why the first.
    pub(crate) unjudged: Option<(usize, &'static str)>,
    /// Heads that could not be compared.
    pub(crate) unseen: u64,
    /// By check number.
    pub(crate) units: [u64; 22],
    pub(crate) heads: u64,
    pub(crate) tiles: u64,
}

/// Whether a check that did not run was asked for.
enum Why {
    Passed,
    NotAsked(String),
    CouldNot(String),
}

impl Ran {
    /// The lines, and the exit code.
    pub(crate) fn judge(&self, findings: &[Finding], cosigners: usize) -> (Vec<CheckReport>, u8) {
        let mut could_not = self.missing.is_some();
        let mut lines = Vec::with_capacity(NAMES.len());
        for (n, name) in (1u8..).zip(NAMES) {
            let units = self.units_of(n, cosigners);
            let status = if findings.iter().any(|f| check_of(f.code) == n) {
                Status::Fail
            } else {
                match self.why(n, units) {
                    Why::Passed => Status::Pass,
                    Why::NotAsked(why) => Status::NotChecked(why),
                    Why::CouldNot(why) => {
                        could_not = true;
                        Status::NotChecked(why)
                    }
                }
            };
            lines.push(CheckReport { n, name, status, units });
        }
        let head_invalid = findings.iter().any(|f| f.code == reason::Finding::HeadInvalid);
        let exit = if findings.is_empty() || head_invalid { u8::from(could_not).saturating_mul(2) } else { 1 };
        (lines, exit)
    }

    fn units_of(&self, n: u8, cosigners: usize) -> u64 {
        match n {
            1 => u64::try_from(cosigners).unwrap_or(u64::MAX),
            2 => self.heads,
            3 => self.units.get(4).copied().unwrap_or(0).saturating_add(self.tiles),
            _ => self.units.get(usize::from(n)).copied().unwrap_or(0),
        }
    }

    fn why(&self, n: u8, units: u64) -> Why {
        match (n, self.missing) {
            (_, Some(Missing::Head)) => return Why::CouldNot("no valid head".to_string()),
            (1 | 2, _) => {}
            (_, Some(Missing::Bytes { from, of })) => {
                return Why::CouldNot(format!("bytes are missing: {from} of {of} entries read"));
            }
            (_, None) => {}
        }
        match n {
            2 if self.unseen > 0 => {
                return Why::CouldNot(format!("{} heads are larger than the audited one, or came late", self.unseen));
            }
            2 if units == 0 => return Why::NotAsked("no other head was given".to_string()),
            1..=3 => return Why::Passed,
            21 if units == 0 && self.unjudged.is_none() => return Why::NotAsked("no receipt was given".to_string()),
            10 | 12 | 15 | 18 if units == 0 => return Why::NotAsked("nothing of the kind in this log".to_string()),
            _ => {}
        }
        if let Some(slot) = self.stopped {
            return Why::CouldNot(format!("not judged after the finding in slot {slot}"));
        }
        match (n, self.unproven) {
            (5, Some((first, count))) => {
                Why::CouldNot(format!("headers hold, but {count} slots have no proof of finality, first slot {first}"))
            }
            (5, None) if !self.checks.finality => Why::NotAsked("proofs of finality were not asked for".to_string()),
            (21, _) => match self.unjudged {
                Some((count, why)) => Why::NotAsked(format!("{count} receipts cannot be judged: {why}")),
                None => Why::Passed,
            },
            (20, _) if units == 0 => Why::NotAsked("no operation in this log".to_string()),
            (6 | 9 | 20, _) if !self.checks.signatures => Why::NotAsked("signatures were not asked for".to_string()),
            (11, _) if !self.checks.beacon => Why::NotAsked("the beacon was not asked for".to_string()),
            _ => Why::Passed,
        }
    }
}
