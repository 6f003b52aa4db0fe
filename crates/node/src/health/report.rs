//! The JSON of `/lockstep/v1/status`. For people and tools; nothing in it is signed.
use serde::{Deserialize, Serialize};
use types::MemberId;

/// Longest answer that is read.
pub(crate) const REPORT_BYTES_MAX: usize = 64 << 10;

/// How a member is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) network: String,
    pub(crate) origin: String,
    pub(crate) member: u16,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) time_ms: u64,
    pub(crate) uptime_ms: u64,
    pub(crate) state: String,
    pub(crate) epoch: u64,
    pub(crate) final_slot: u64,
    pub(crate) final_age_ms: u64,
    pub(crate) opened_slot: u64,
    pub(crate) log_entries: u64,
    pub(crate) checkpoint: Option<CheckpointReport>,
    pub(crate) cosigners: Names,
    /// SHA-256 over the consensus keys of the committee that indices here are of, hex.
    #[serde(default)]
    pub(crate) committee: String,
    /// The last slot that each member has cosigned, by index, as this one has heard since it started.
    #[serde(default)]
    pub(crate) cosigned: Vec<u64>,
    pub(crate) peers: Names,
    pub(crate) mempool: MempoolReport,
    pub(crate) disk_free_bytes: Option<u64>,
    pub(crate) clock_skew_ms: Option<i64>,
}

/// The published checkpoint; slot and age are unknown until one is published after a start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CheckpointReport {
    pub(crate) size: u64,
    pub(crate) slot: Option<u64>,
    pub(crate) age_ms: Option<u64>,
}

/// Envelopes that wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MempoolReport {
    pub(crate) envelopes: usize,
    pub(crate) bytes: usize,
}

/// Members by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Names {
    pub(crate) present: Vec<String>,
    pub(crate) missing: Vec<String>,
}

impl Names {
    pub(crate) fn split<'a>(
        all: impl Iterator<Item = (MemberId, &'a String)>,
        present: impl Fn(&MemberId) -> bool,
    ) -> Self {
        let mut names = Self::default();
        for (id, name) in all {
            if present(&id) { &mut names.present } else { &mut names.missing }.push(name.clone());
        }
        names
    }
}
