//! Asking other members how they are, in parallel and with a deadline.
use super::{
    Heard,
    report::{REPORT_BYTES_MAX, Report},
};
use crate::{clock, source};
use std::{collections::BTreeSet, time::Duration};
use tokio::task::JoinSet;
use types::{Hash, MemberId, Slot};

/// Longest wait for one answer.
pub(crate) const ASK_WITHIN: Duration = Duration::from_secs(2);
/// A difference that is said loudly.
pub(crate) const SKEW_WARN_MS: u64 = 2_000;

/// GET of a member's path; `None` when it does not answer in time, or with something else.
pub(crate) async fn get(http: &str, path: &str, max: usize) -> Option<Vec<u8>> {
    let url = format!("http://{http}{path}");
    match tokio::time::timeout(ASK_WITHIN, source::fetch(url, max)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::debug!(%error, "peer.ask");
            None
        }
        Err(_elapsed) => None,
    }
}

/// One member's report.
pub(crate) async fn ask(http: &str) -> Option<Report> {
    let bytes = get(http, "/lockstep/v1/status", REPORT_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).ok()
}

/// What members of this network say of slot and time; those that do not answer are left out.
pub(crate) async fn ask_all(
    me: Option<MemberId>,
    peers: &[(MemberId, String)],
    network: &Hash,
    committee: &Hash,
) -> Vec<(MemberId, Heard)> {
    let mut asked = JoinSet::new();
    for (member, http) in peers.iter().cloned() {
        asked.spawn(async move {
            let sent = clock::now();
            let report = ask(&http).await?;
            let at = clock::now();
            // half of the way back is a good enough guess for seconds
            let here = sent.0.midpoint(at.0);
            Some((member, report, at, here))
        });
    }
    let (mut heard, mut told) = (Vec::new(), BTreeSet::new());
    while let Some(answer) = asked.join_next().await {
        let Ok(Some((member, report, at, here))) = answer else { continue };
        // one process, one voice; of another committee its number is another
        let of_mine = report.committee == committee.to_string();
        let is_first = told.insert(report.member);
        if report.network == network.to_string() && is_first && (report.member == member.0 || !of_mine) {
            let clock_ms = difference(report.time_ms, here);
            let cosigned = me.filter(|_| of_mine).and_then(|me| report.cosigned.get(usize::from(me.0)).copied());
            let cosigned = Slot(cosigned.unwrap_or(0));
            heard.push((member, Heard { at, final_slot: Slot(report.final_slot), cosigned, clock_ms }));
        }
    }
    heard
}

/// `a - b`, cut to what fits.
fn difference(a: u64, b: u64) -> i64 {
    let size = i64::try_from(a.abs_diff(b)).unwrap_or(i64::MAX);
    if a < b { size.saturating_neg() } else { size }
}

/// The middle one; of two, the one nearer to zero.
pub(crate) fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    let (low, high) = (values.get(last / 2)?, values.get(values.len() / 2)?);
    Some(if low.unsigned_abs() <= high.unsigned_abs() { *low } else { *high })
}

/// How far this clock is off by what peers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Nobody answers, or it is near enough.
    Fine,
    /// The median differs by this much.
    Off(i64),
    /// More than f peers say that it is off by more than the limit, in one direction: one of them is honest.
    FarOff {
        /// The median.
        ms: i64,
        /// How many say so.
        peers: usize,
    },
}

/// Judges clocks of peers, each less ours; `limit` 0 refuses nothing.
pub(crate) fn judge(offsets: &[i64], f: usize, limit: u64) -> Clock {
    let Some(ms) = median(offsets.to_vec()) else { return Clock::Fine };
    let far = |sign: i64| offsets.iter().filter(|o| o.signum() == sign && o.unsigned_abs() > limit).count();
    let peers = far(1).max(far(-1));
    if limit > 0 && peers > f {
        Clock::FarOff { ms, peers }
    } else if ms.unsigned_abs() > SKEW_WARN_MS {
        Clock::Off(ms)
    } else {
        Clock::Fine
    }
}
