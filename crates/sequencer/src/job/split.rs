//! A long admission on several cores: the job falls into parts whose results, put together, are its own.
//!
//! Only one admission is under way in a member: what comes in meanwhile is the next one, so a member with nothing to do
//! admits an envelope at once, and a busy one many together.
use super::{AdmitItem, Job, JobResult};
use std::sync::Arc;

/// Smaller parts cost more than a second core saves.
const PART_MIN: usize = 16;

impl Job {
    /// Up to `most` parts, to be run side by side; [`JobResult::join`] puts their results together.
    #[must_use]
    pub fn split(self, most: usize) -> Vec<Self> {
        let parts = |items: &[AdmitItem]| items.len().checked_div(PART_MIN).unwrap_or(0).min(most).max(1);
        match self {
            Self::Admit { context, mut items, seed } => {
                let size = items.len().div_ceil(parts(&items)).max(1);
                let mut out = Vec::new();
                while items.len() > size {
                    let rest = items.split_off(size);
                    out.push(Self::Admit { context: Arc::clone(&context), items, seed });
                    items = rest;
                }
                out.push(Self::Admit { context, items, seed });
                out
            }
            whole @ (Self::Reveal { .. }
            | Self::CheckOpenings { .. }
            | Self::Beacon { .. }
            | Self::Combine { .. }
            | Self::CheckClaims { .. }) => Vec::from([whole]),
        }
    }
}

impl JobResult {
    /// The result of a job from those of its parts, in their order. `None` without parts, or of parts of several jobs.
    #[must_use]
    pub fn join(parts: Vec<Self>) -> Option<Self> {
        parts.into_iter().map(Some).reduce(|whole, part| match (whole?, part?) {
            (Self::Admitted(mut whole), Self::Admitted(part)) => {
                whole.extend(part);
                Some(Self::Admitted(whole))
            }
            _ => None,
        })?
    }
}
