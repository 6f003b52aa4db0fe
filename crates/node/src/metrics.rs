//! One recorder for the process; every metric carries the label `member`, and each member's endpoint shows its own.
use ingress::{Counter, Counters};
use metrics::{Label, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use types::{MemberId, Slot, reason::Reason};

/// Renders what the recorder holds.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl core::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Metrics")
    }
}

const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

impl Metrics {
    /// Installs the process's recorder. A second call in one process returns a recorder that sees nothing new.
    ///
    /// # Errors
    /// [`BuildError`] when the buckets are refused.
    pub fn install() -> Result<Self, BuildError> {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if let Err(taken) = metrics::set_global_recorder(recorder) {
            tracing::warn!(%taken, "metrics.recorder");
        }
        Ok(Self(handle))
    }

    /// The metrics of one member, in Prometheus' text format.
    #[must_use]
    pub fn render(&self, member: MemberId) -> String {
        let label = format!("member=\"{member}\"");
        let mut out = String::new();
        for line in self.0.render().lines().filter(|l| l.starts_with('#') || l.contains(&label)) {
            out.push_str(line);
            out.push('\n');
        }
        out
    }
}

/// A member's metrics.
#[derive(Clone, Debug)]
pub struct MemberMetrics {
    member: MemberId,
}

impl MemberMetrics {
    /// Metrics labelled with this member.
    #[must_use]
    pub fn new(member: MemberId) -> Self {
        Self { member }
    }

    fn labels(&self) -> Vec<Label> {
        vec![Label::new("member", self.member.to_string())]
    }

    fn labelled(&self, key: &'static str, value: &'static str) -> Vec<Label> {
        vec![Label::new("member", self.member.to_string()), Label::new(key, value)]
    }

    /// Time from one phase of a slot to the next.
    pub fn phase(&self, phase: &'static str, ms: u64) {
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a duration for display")]
        histogram!("lockstep_slot_phase_seconds", self.labelled("phase", phase)).record(ms as f64 / 1_000.0);
    }

    /// Heights of this member.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "gauges are floats")]
    pub fn heights(&self, last_final: Slot, opened: Slot, log_size: u64) {
        gauge!("lockstep_slot_final", self.labels()).set(last_final.0 as f64);
        gauge!("lockstep_slot_opened", self.labels()).set(opened.0 as f64);
        gauge!("lockstep_log_entries", self.labels()).set(log_size as f64);
    }

    /// Whether this member follows the chain and takes envelopes.
    pub fn ready(&self, ready: bool) {
        gauge!("lockstep_ready", self.labels()).set(if ready { 1.0 } else { 0.0 });
    }

    /// What is known of peers, clock and disk.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "gauges are floats")]
    pub fn peers(&self, connected: usize, skew_ms: Option<i64>, free_bytes: Option<u64>) {
        gauge!("lockstep_peers_connected", self.labels()).set(connected as f64);
        if let Some(ms) = skew_ms {
            gauge!("lockstep_clock_skew_ms", self.labels()).set(ms as f64);
        }
        if let Some(bytes) = free_bytes {
            gauge!("lockstep_disk_free_bytes", self.labels()).set(bytes as f64);
        }
    }

    /// The newest slot whose cosignature came from a member.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "gauges are floats")]
    pub fn cosigner(&self, cosigner: MemberId, slot: Slot) {
        let mut labels = self.labels();
        labels.push(Label::new("cosigner", cosigner.to_string()));
        gauge!("lockstep_cosigner_slot", labels).set(slot.0 as f64);
    }

    /// The slot of the newest published checkpoint.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "gauges are floats")]
    pub fn published(&self, slot: Slot) {
        gauge!("lockstep_slot_published", self.labels()).set(slot.0 as f64);
    }

    /// Envelopes that wait.
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "gauges are floats")]
    pub fn mempool(&self, items: usize, bytes: usize) {
        gauge!("lockstep_mempool_envelopes", self.labels()).set(items as f64);
        gauge!("lockstep_mempool_bytes", self.labels()).set(bytes as f64);
    }

    /// Envelopes admitted here, from clients and members.
    pub fn admitted(&self, n: u64) {
        counter!("lockstep_envelopes_admitted_total", self.labels()).increment(n);
    }

    /// A refusal, by reason.
    pub fn refused(&self, reason: Reason) {
        counter!("lockstep_refused_total", self.labelled("reason", reason.name())).increment(1);
    }

    /// Something bad from another member, by what it was.
    pub fn rejected(&self, what: &'static str) {
        counter!("lockstep_rejected_total", self.labelled("what", what)).increment(1);
    }

    /// Evidence against another member, by finding.
    pub fn evidence(&self, finding: types::reason::Finding) {
        counter!("lockstep_evidence_total", self.labelled("finding", finding.name())).increment(1);
    }

    /// Units by how they ended.
    pub fn outcome(&self, outcome: types::reason::Outcome) {
        counter!("lockstep_units_total", self.labelled("outcome", outcome.name())).increment(1);
    }

    /// Bids opened, and whether one of them bought the next slot.
    pub fn auction(&self, bids: usize, sold: bool) {
        let bids = u64::try_from(bids).unwrap_or(u64::MAX);
        counter!("lockstep_bids_opened_total", self.labels()).increment(bids);
        if sold {
            counter!("lockstep_slots_sold_total", self.labels()).increment(1);
        }
    }

    /// Empty blocks.
    pub fn empty_block(&self) {
        counter!("lockstep_empty_blocks_total", self.labels()).increment(1);
    }

    /// Time that a durable write took.
    pub fn persisted(&self, what: &'static str, ms: u64) {
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a duration for display")]
        histogram!("lockstep_persist_seconds", self.labelled("what", what)).record(ms as f64 / 1_000.0);
    }
}

impl Counters for MemberMetrics {
    fn add(&self, what: Counter, n: u64) {
        let labels = match what.label() {
            Some(reason) => self.labelled("reason", reason),
            None => self.labels(),
        };
        counter!(format!("lockstep_{}_total", what.name().replace('.', "_")), labels).increment(n);
    }
}
