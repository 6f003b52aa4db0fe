//! Part C: execution and ledger (checks 16 and 17).
use super::Replay;
use alloc::{format, vec::Vec};
use execution::SlotEnv;
use types::{
    Kind, OpenSlot,
    reason::{Finding, Outcome},
};

impl Replay {
    /// EXEC of the oldest opened slot that has none.
    pub(super) fn exec(&mut self, kind: Kind) {
        let Kind::Exec { slot, outcomes, carry, steps, chains, sums, mailbox, ledger, batch } = kind else { return };
        let Some(pending) = self.pending.first().filter(|p| p.slot == slot) else {
            return self.find(Finding::SectionOrder, "EXEC of a slot that has none due");
        };
        let OpenSlot { time_ms, beacon, order, .. } = pending;
        let result = pending.result.clone().unwrap_or_else(|| {
            self.executor.order(&SlotEnv { slot, time_ms: *time_ms, beacon: *beacon }, &[]);
            self.executor.close()
        });
        let find = |code, detail| Some((code, detail));
        let pairs = || chains.iter().zip(&result.chains);
        let same_units = chains.len() == result.chains.len()
            && pairs().all(|(a, b)| (a.chain_id, a.units, a.units_root) == (b.chain_id, b.units, b.units_root));
        let differs = if outcomes != result.outcomes {
            find(Finding::OutcomeWrong, "execution gives other outcomes")
        } else if !same_units {
            find(Finding::ProjectionWrong, "units on a rollup")
        } else if chains != result.chains || steps != result.steps || batch != result.batch {
            find(Finding::ExecRootWrong, "a state, receipts, step or batch root")
        } else if carry != result.carry {
            find(Finding::CarryWrong, "the queue")
        } else if mailbox != result.mailbox {
            find(Finding::MailboxUnequal, "the mailbox")
        } else {
            None
        };
        let known: Vec<Outcome> =
            result.outcomes.iter().map(|c| Outcome::from_number(*c).unwrap_or(Outcome::OtherInvalid)).collect();
        let settled: Vec<_> = order.iter().copied().zip(known).collect();
        let legs: Vec<u8> = result.legs.clone();
        if let Some((code, detail)) = differs {
            return self.accuse_slot(slot, code, detail);
        }
        let params = self.now.params.clone();
        match self.ledger.settle(&params, slot, &settled, &[]) {
            Err(error) => return self.accuse_slot(slot, Finding::LedgerWrong, &format!("{error}")),
            Ok(own) if own != sums => return self.accuse_slot(slot, Finding::FeesWrong, "the sums of the slot"),
            Ok(_) if self.ledger.chain() != ledger => {
                return self.accuse_slot(slot, Finding::LedgerWrong, "the chain over account changes");
            }
            Ok(_) => {}
        }
        for ((hash, outcome), leg) in settled.iter().zip(legs.into_iter().chain(core::iter::repeat(0))) {
            if let Some(placed) = self.placed.get_mut(hash) {
                placed.outcome = Some((outcome.number(), leg));
            }
        }
        self.tally(16, settled.len());
        self.tally(17, settled.len());
        self.states = result.states;
        self.pending.remove(0);
        self.exec_read = true;
    }
}
