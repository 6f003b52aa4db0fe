//! How a member is: what `/healthz`, `/readyz` and `/lockstep/v1/status` answer, and the gauges an operator watches.
//!
//! The driver notes what it did; a task asks peers and the disk every few seconds. Nothing here reaches the machine but
//! one bit: with too little free disk, the driver refuses new envelopes.
//!
//! Trust: what peers say over HTTP is not signed. It is read with f liars in mind: the member is behind only if more
//! than f peers are ahead, and its clock is far off only if more than f peers say so on one side.
pub(crate) mod disk;
pub(crate) mod peers;
pub(crate) mod report;

use crate::{clock, files::NetworkFiles, metrics::MemberMetrics, term::Roster};
use report::{CheckpointReport, MempoolReport, Names, Report};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use types::{Epoch, Hash, MemberId, Slot, Timestamp};

/// Slots that a member may lie behind its peers and still follow: answers are a few seconds old.
pub(crate) const LAG_SLOTS_MAX: u64 = 10;
/// Between two looks at peers and disk.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// What a peer said counts for so long.
const ANSWER_KEPT_MS: u64 = 15_000;
/// The driver wakes at least twice a second; a write that takes longer than this hangs.
const BEAT_WITHIN_MS: u64 = 30_000;

/// Longest time without a final slot before a member no longer follows.
pub(crate) const fn stall_ms(slot_ms: u64) -> u64 {
    let slots = slot_ms.saturating_mul(20);
    if slots > 10_000 { slots } else { 10_000 }
}

/// Whether the member follows the chain and takes envelopes; if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It does.
    Ready,
    /// It has published nothing since it started.
    Starting,
    /// More than f peers are ahead by more than [`LAG_SLOTS_MAX`].
    Behind,
    /// No slot became final for a while.
    Stalled,
    /// Free disk space is below `min_free_bytes`: it follows, and gives no receipts.
    DiskLow,
    /// It was told to end.
    Stopping,
}

impl State {
    const ALL: [Self; 6] = [Self::Ready, Self::Starting, Self::Behind, Self::Stalled, Self::DiskLow, Self::Stopping];

    /// A name that another member sent, as our own word for it.
    pub(crate) fn known(name: &str) -> &'static str {
        Self::ALL.iter().map(|state| state.name()).find(|known| *known == name).unwrap_or("unknown")
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Behind => "behind",
            Self::Stalled => "stalled",
            Self::DiskLow => "disk-low",
            Self::Stopping => "stopping",
        }
    }
}

/// What a peer said last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Timestamp,
    pub(crate) final_slot: Slot,
    /// The last slot that it has seen this member cosign.
    pub(crate) cosigned: Slot,
    /// Its clock less ours, ms.
    pub(crate) clock_ms: i64,
}

/// What the driver notes after every phase of a slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    /// That consensus works in.
    pub(crate) epoch: Epoch,
    pub(crate) last_final: Slot,
    pub(crate) opened: Slot,
    pub(crate) entries: u64,
    pub(crate) pending: (usize, usize),
    /// The newest slot of which each member's share message, with its cosignature, came.
    pub(crate) cosigners: BTreeMap<MemberId, Slot>,
}

#[derive(Debug, Default)]
struct Inner {
    noted: Noted,
    /// When the last final slot last rose.
    final_at: Timestamp,
    published: Option<(Slot, Timestamp)>,
    peers: BTreeMap<MemberId, Heard>,
    connected: Vec<MemberId>,
    free: Option<u64>,
    skew_ms: Option<i64>,
}

/// Shared by driver, HTTP and the task that looks around.
#[derive(Debug)]
pub(crate) struct Health {
    /// `None`: it follows.
    me: Option<MemberId>,
    network: Hash,
    origin: String,
    committee: Hash,
    names: Vec<String>,
    f: usize,
    slot_ms: u64,
    started: Timestamp,
    min_free: u64,
    inner: Mutex<Inner>,
    beat: AtomicU64,
    disk_low: AtomicBool,
    stopping: AtomicBool,
}

impl Health {
    pub(crate) fn new(
        me: Option<MemberId>,
        files: &NetworkFiles,
        roster: &Roster,
        min_free: u64,
        now: Timestamp,
    ) -> Self {
        let genesis = &files.network.genesis;
        Self {
            me,
            network: files.id,
            origin: genesis.origin.clone(),
            committee: roster.id(),
            names: roster.members.iter().map(|m| m.name.clone()).collect(),
            f: usize::from(roster.f),
            slot_ms: genesis.params.slot_ms,
            started: now,
            min_free,
            inner: Mutex::new(Inner { final_at: now, ..Inner::default() }),
            beat: AtomicU64::new(now.0),
            disk_low: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The driver is at work.
    pub(crate) fn beat(&self, now: Timestamp) {
        self.beat.store(now.0, Ordering::Relaxed);
    }

    /// The driver has not hung.
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        now.0.saturating_sub(self.beat.load(Ordering::Relaxed)) < BEAT_WITHIN_MS
    }

    /// A slot reached a phase.
    pub(crate) fn note(&self, now: Timestamp, noted: Noted) {
        let mut inner = self.inner();
        if noted.last_final > inner.noted.last_final {
            inner.final_at = now;
        }
        inner.noted = noted;
    }

    /// A checkpoint was published.
    pub(crate) fn published(&self, now: Timestamp, slot: Slot) {
        self.inner().published = Some((slot, now));
    }

    /// The member was told to end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// New envelopes are refused: what they need on disk may not fit.
    pub(crate) fn is_disk_low(&self) -> bool {
        self.disk_low.load(Ordering::Acquire)
    }

    /// Free space was read.
    pub(crate) fn free(&self, bytes: u64) {
        self.inner().free = Some(bytes);
        let low = bytes < self.min_free;
        if self.disk_low.swap(low, Ordering::AcqRel) != low {
            if low {
                tracing::error!(member = ?self.me, free = bytes, min_free_bytes = self.min_free, "disk.low: no receipts");
            } else {
                tracing::info!(member = ?self.me, free = bytes, "disk.ok: receipts again");
            }
        }
    }

    /// Whether the member follows and takes envelopes.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        if self.stopping.load(Ordering::Acquire) {
            return State::Stopping;
        }
        let inner = self.inner();
        let ahead = reference(&inner.peers, self.f, now);
        if inner.published.is_none() {
            State::Starting
        } else if ahead.0 > inner.noted.last_final.0.saturating_add(LAG_SLOTS_MAX) {
            State::Behind
        } else if now.0.saturating_sub(inner.final_at.0) > stall_ms(self.slot_ms) {
            State::Stalled
        } else if self.is_disk_low() {
            State::DiskLow
        } else {
            State::Ready
        }
    }

    /// Everything, for `/lockstep/v1/status`; `size` is that of the published checkpoint on disk.
    pub(crate) fn report(&self, now: Timestamp, size: Option<u64>) -> Report {
        let state = self.state(now);
        let inner = self.inner();
        let newest = inner.published.map_or(inner.noted.last_final, |(slot, _)| slot);
        let all = || (0u16..).zip(&self.names).map(|(i, name)| (MemberId(i), name));
        // the slot after may have begun before the last of its messages came
        let here = |id: &MemberId| inner.noted.cosigners.get(id).is_some_and(|slot| slot.next() >= newest);
        let connected = |id: &MemberId| Some(*id) == self.me || inner.connected.contains(id);
        Report {
            network: self.network.to_string(),
            origin: self.origin.clone(),
            member: self.me.map_or(u16::MAX, |me| me.0),
            name: self.me.and_then(|me| self.names.get(usize::from(me.0)).cloned()).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").into(),
            time_ms: now.0,
            uptime_ms: now.0.saturating_sub(self.started.0),
            state: state.name().into(),
            epoch: inner.noted.epoch.0,
            final_slot: inner.noted.last_final.0,
            final_age_ms: now.0.saturating_sub(inner.final_at.0),
            opened_slot: inner.noted.opened.0,
            log_entries: inner.noted.entries,
            checkpoint: size.map(|size| CheckpointReport {
                size,
                slot: inner.published.map(|(slot, _)| slot.0),
                age_ms: inner.published.map(|(_, at)| now.0.saturating_sub(at.0)),
            }),
            cosigners: Names::split(all(), here),
            committee: self.committee.to_string(),
            cosigned: all().map(|(id, _)| inner.noted.cosigners.get(&id).map_or(0, |slot| slot.0)).collect(),
            peers: Names::split(all().filter(|(id, _)| Some(*id) != self.me), connected),
            mempool: MempoolReport { envelopes: inner.noted.pending.0, bytes: inner.noted.pending.1 },
            disk_free_bytes: inner.free,
            clock_skew_ms: inner.skew_ms,
        }
    }

    fn looked(&self, now: Timestamp, heard: Vec<(MemberId, Heard)>, connected: Vec<MemberId>, metrics: &MemberMetrics) {
        let mut inner = self.inner();
        inner.peers.extend(heard);
        inner.peers.retain(|_, heard| now.0.saturating_sub(heard.at.0) < ANSWER_KEPT_MS);
        inner.skew_ms = peers::median(inner.peers.values().map(|heard| heard.clock_ms).collect());
        inner.connected = connected;
        metrics.peers(inner.connected.len(), inner.skew_ms, inner.free);
        for (member, slot) in &inner.noted.cosigners {
            metrics.cosigner(*member, *slot);
        }
        drop(inner);
        metrics.ready(self.state(now) == State::Ready);
    }
}

/// The slot that at least one honest peer has reached: the (f + 1)-th highest that peers claim.
pub(crate) fn reference(peers: &BTreeMap<MemberId, Heard>, f: usize, now: Timestamp) -> Slot {
    let fresh = peers.values().filter(|heard| now.0.saturating_sub(heard.at.0) < ANSWER_KEPT_MS);
    let mut slots: Vec<Slot> = fresh.map(|heard| heard.final_slot).collect();
    slots.sort_unstable_by(|a, b| b.cmp(a));
    slots.get(f).copied().unwrap_or_default()
}

/// What the task that looks around needs.
pub(crate) struct Look {
    pub(crate) health: Arc<Health>,
    pub(crate) peers: Vec<(MemberId, String)>,
    /// Consensus keys by member: the engine's metrics name peers by them.
    pub(crate) keys: Vec<(MemberId, Hash)>,
    pub(crate) folder: PathBuf,
    pub(crate) engine: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) metrics: MemberMetrics,
}

impl core::fmt::Debug for Look {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Look")
    }
}

impl Look {
    /// Looks around for ever; dropped with the member.
    pub(crate) async fn run(self) {
        loop {
            self.once().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn once(&self) {
        let folder = self.folder.clone();
        // a file system that is gone may hang
        match tokio::task::spawn_blocking(move || disk::free(&folder)).await {
            Ok(Ok(bytes)) => self.health.free(bytes),
            Ok(Err(error)) => tracing::warn!(%error, "disk.free"),
            Err(error) => tracing::warn!(%error, "disk.free"),
        }
        let heard = peers::ask_all(self.health.me, &self.peers, &self.health.network, &self.health.committee).await;
        let text = (self.engine)();
        let connected = self.keys.iter().filter(|(_, key)| is_connected(&text, key)).map(|(id, _)| *id).collect();
        self.health.looked(clock::now(), heard, connected, &self.metrics);
    }
}

/// Whether the engine's metrics show a connection with the holder of this key.
fn is_connected(metrics: &str, key: &Hash) -> bool {
    let key = hex::encode(key.as_bytes());
    metrics.lines().any(|line| line.contains("_connected{") && line.contains(&key))
}

#[cfg(test)]
mod tests;
