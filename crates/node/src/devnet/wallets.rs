//! The devnet's wallets: each sends really signed transactions, sealed, and holds members to their receipts.
use crate::entropy::{NoEntropy, Source};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;
use types::{ChainId, Hash, Nonce, reason::Outcome, wire::Status};
use wallet::{
    OutcomeError, Submission, Submitter,
    demo::{DemoKind, DemoWallet, Settled},
};

/// What wallets saw, over all of them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) submitted: u64,
    pub(crate) acknowledged: u64,
    pub(crate) unacknowledged: u64,
    pub(crate) committed: u64,
    pub(crate) aborted: u64,
    pub(crate) other: u64,
    pub(crate) dropped: u64,
    pub(crate) receipts: u64,
    /// From submit to f + 1 receipts, ms.
    pub(crate) receipt_ms: Vec<u64>,
    /// From submit to outcome, ms.
    pub(crate) outcome_ms: Vec<u64>,
    /// Acknowledged envelopes of which nothing was heard in time.
    pub(crate) lost: Vec<Hash>,
    /// Bundles that should have committed and did not, or the other way round.
    pub(crate) surprises: u64,
}

/// Everything a wallet task needs.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) submitter: Arc<Submitter>,
    pub(crate) tally: Arc<Mutex<Tally>>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) slot_ms: u64,
}

/// Envelopes that one wallet has under way.
pub(crate) const UNDER_WAY_MAX: usize = 4;
/// Slots that an envelope stays payable.
const EXPIRY_SLOTS: u64 = 60;

impl Job {
    fn tally(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Starts a wallet at the nonces that ledger and rollups have, and runs it until `stop`.
    pub(crate) async fn run(
        self,
        mut wallet: DemoWallet,
        rollup_nonces: Vec<(ChainId, u64)>,
        index: u64,
    ) -> Result<(), NoEntropy> {
        let fee = self.submitter.account(wallet.fee_account()).await;
        let fee = fee.into_iter().flatten().map(|state| state.pending_nonce).max().unwrap_or(0);
        wallet.resume(Nonce(fee), &rollup_nonces);
        let mut outcomes: JoinSet<(Hash, Settled)> = JoinSet::new();
        let mut round = 0u64;
        while !self.stop.load(Ordering::Acquire) || !outcomes.is_empty() {
            let stopping = self.stop.load(Ordering::Acquire);
            if !stopping && wallet.ready() {
                round += 1;
                self.send(&mut wallet, index, round, &mut outcomes).await?;
            }
            // one new bundle a slot or so, and what became of earlier ones as it arrives
            let pause = Duration::from_millis(self.slot_ms / 3);
            if let Ok(Some(Ok((item, settled)))) = tokio::time::timeout(pause, outcomes.join_next()).await {
                wallet.settle(&item, settled);
            } else if outcomes.is_empty() && !wallet.ready() {
                break;
            } else if outcomes.is_empty() {
                tokio::time::sleep(pause).await;
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        wallet: &mut DemoWallet,
        index: u64,
        round: u64,
        outcomes: &mut JoinSet<(Hash, Settled)>,
    ) -> Result<(), NoEntropy> {
        let Some(params) = self.submitter.current().await else { return Ok(()) };
        // the kinds of a seeded devnet repeat; what seals never does
        let draw = crypto::hash::sha256(&[b"kind", &index.to_le_bytes(), &round.to_le_bytes()]);
        let kind = DemoKind::of(draw.0[0]);
        let salt = Hash(*Source::System.draw("salt", index)?);
        let entropy = Source::System.draw("seal", index)?;
        let Ok(made) = wallet.make(self.submitter.view(), &params, kind, EXPIRY_SLOTS, salt, entropy) else {
            return Ok(());
        };
        let start = crate::clock::now();
        let elapsed = move || crate::clock::now().0.saturating_sub(start.0);
        let (submission, acknowledged) = match self.submitter.submit(&made.envelope).await {
            Ok(submission) => (submission, true),
            Err(error) => (error.submission, false),
        };
        let receipt_ms = elapsed();
        self.tally(|t| {
            t.submitted += 1;
            if acknowledged {
                t.acknowledged += 1;
                t.receipt_ms.push(receipt_ms);
            } else {
                t.unacknowledged += 1;
            }
        });
        let job = self.clone();
        outcomes.spawn(async move {
            let settled = job.follow(&submission, acknowledged, kind, elapsed).await;
            (made.item, settled)
        });
        Ok(())
    }

    async fn follow(
        &self,
        submission: &Submission,
        acknowledged: bool,
        kind: DemoKind,
        elapsed: impl Fn() -> u64,
    ) -> Settled {
        let patience = Duration::from_millis(self.slot_ms * (EXPIRY_SLOTS + 20));
        let result = self.submitter.outcome(submission, patience).await;
        let receipts = u64::try_from(submission.collected().receipts.len()).unwrap_or(0);
        match result {
            Ok(outcome) => {
                self.tally(|t| {
                    t.receipts += receipts;
                    t.outcome_ms.push(elapsed());
                    if outcome.outcome == Outcome::Committed {
                        t.committed += 1;
                    } else if outcome.outcome.is_aborted() {
                        t.aborted += 1;
                    } else {
                        t.other += 1;
                    }
                    if (outcome.outcome == Outcome::Committed) == kind.aborts() {
                        t.surprises += 1;
                    }
                });
                Settled::Executed(outcome.outcome)
            }
            Err(error) => {
                let pending = matches!(error, OutcomeError::Patience)
                    && self
                        .submitter
                        .status(submission.item())
                        .await
                        .into_iter()
                        .flatten()
                        .any(|s| s != Status::Unknown);
                self.tally(|t| {
                    t.receipts += receipts;
                    if matches!(error, OutcomeError::Dropped { .. }) {
                        t.dropped += 1;
                    } else if acknowledged && !pending {
                        t.lost.push(submission.item());
                    } else {
                        t.other += 1;
                    }
                });
                Settled::Dropped
            }
        }
    }
}
