//! One member's part in a slot, as a deterministic machine: inputs in, effects out.
//!
//! ```text
//!  envelopes, bids -> admitted (job) -> persisted -> receipt
//!  close of h: own list persisted, signed, sent          lists of 2f+1 members -> block h (build) or verdict (check)
//!  block h final -> C(h-1) + A(h) persisted -> shares released, cosignature sent -> acknowledged
//!  2f+1 share messages -> beacon, order, openings (job) -> B(h) staged -> execution (job) -> EXEC(h) waits for block h+1
//! ```
//!
//! Types to know: [`Sequencer`], [`Input`], [`Effect`], [`Job`], [`Setup`], [`Resume`].
//!
//! Deliberately absent: votes and views (they are `consensus`'s), execution (`node` runs it and hands the result in),
//! clocks, randomness, sockets, files. A stranger's bad input is an effect ([`Effect::Reject`], a refusal), never an
//! error; [`Halt`] means that an invariant of ours broke, and the node stops before it signs anything else.
//!
//! Invariants that tests cite:
//! * `SEQ-1` effects are done in order, and whatever follows [`Effect::Persist`] waits until it is durable: nothing is
//!   acknowledged and lost, or signed twice.
//! * `SEQ-2` a share leaves only through [`release`](crate), after `crypto::finality::verify` made the token.
//! * `SEQ-3` entries are a function of final blocks and unique reveals: every honest member writes the same bytes.
//! * `SEQ-4` no block closes a set before the set before is opened.
//! * `SEQ-5` a verdict of "invalid" is given only for what is invalid for ever; while something is missing the answer waits.
//!
//! Trust: messages of other members are believed only as far as their signatures, hashes and the quorum rule go.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::float_arithmetic,
        clippy::integer_division,
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing
    )
)]

mod admission;
mod bids;
mod blocks;
mod close;
mod derive;
mod effect;
mod epoch;
mod evidence;
mod fetch;
mod finality;
mod job;
mod lists;
mod message;
mod objects;
mod operations;
mod queries;
mod recent;
mod rejoin;
mod release;
mod reveal;
mod section;
mod sharded;
mod sign;
mod state;

pub use blocks::{OpenedBlock, open};
pub use effect::{At, Channel, Commit, Effect, ExecUnit, Input, ItemRecord, Phase, Record, Ticket, To};
pub use epoch::EpochStart;
pub use job::{
    AdmitItem, BadShare, ClaimKind, Claimed, CombineWork, Combined, Job, JobResult, Judged, Opened, RevealItem,
    RevealWork, Revealed, Verdict,
};
pub use recent::Recent;
pub use rejoin::Rejoin;
pub use section::genesis as genesis_section;
pub use sign::SignKeys;
pub use state::{Former, Halt, Placed, Refused, Resume, Secrets, Sequencer, Setup, Timings, Unopened};

use types::Timestamp;

impl Sequencer {
    /// Advances the machine by one input. Never waits, reads no clock, draws nothing.
    ///
    /// # Errors
    /// [`Halt`]: an invariant of ours broke.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Result<Vec<Effect>, Halt> {
        self.stepped_at = now;
        match input {
            Input::Submit { ticket, envelope } => self.submit(now, ticket, envelope),
            Input::SubmitBid { ticket, bid } => self.submit_bid(now, ticket, bid),
            Input::SubmitObject { ticket, object } => self.submit_object(ticket, object),
            Input::Message { channel, from, bytes } => self.message(now, channel, from, &bytes),
            Input::Build { ticket, parent, at } => self.ask_build(now, ticket, &parent, at),
            Input::Check { ticket, block, parent, at } => self.ask_check(now, ticket, &block, &parent, at),
            Input::Cancel(ticket) => self.cancel(ticket),
            Input::Final { block, proof } => self.delivered(&block, proof)?,
            Input::Done(result) => self.done(now, *result)?,
            Input::Executed { slot, result } => self.executed(slot, *result)?,
            Input::Vote { epoch, view, member, voted } => {
                // nothing else waits for a vote
                self.on_vote(epoch, view, member, voted);
                return Ok(core::mem::take(&mut self.out));
            }
            Input::Operation { ticket, operation } => {
                let verdict = self.submitted_operation(&operation);
                self.out.push(Effect::Taken { ticket, verdict });
            }
            Input::Tick => {}
        }
        self.pump(now)?;
        Ok(core::mem::take(&mut self.out))
    }

    /// When to call again if nothing happens: always later than the last step, which did all that was due by then. What
    /// is past due and still here waits for an input, not for time.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let due = [self.close_due(), self.relay_due(), self.broadcast_due(), self.fetch_due(), self.fallback_due()];
        due.into_iter().flatten().chain(self.blocks_due()).filter(|due| *due > self.stepped_at).min()
    }

    /// Does whatever can be done by now.
    fn pump(&mut self, now: Timestamp) -> Result<(), Halt> {
        self.dispatch_admission();
        while (!self.over && self.try_final(now)?) || self.try_reveal() {}
        self.try_publish();
        if self.over {
            // others may still need the share message
            self.try_broadcast(now);
            return Ok(());
        }
        self.try_close(now);
        self.try_builds(now);
        self.try_checks(now);
        self.try_relay(now);
        self.try_broadcast(now);
        self.try_fetch(now);
        self.try_fallback(now);
        self.dispatch_admission();
        Ok(())
    }

    fn message(&mut self, now: Timestamp, channel: Channel, from: types::MemberId, bytes: &[u8]) {
        if usize::from(from.0) >= self.setup.members.len() || from == self.setup.me {
            return;
        }
        match channel {
            Channel::Items => self.on_items(from, bytes),
            Channel::Lists => self.on_list(from, bytes),
            Channel::Shares => self.on_share(from, bytes),
            Channel::Fetch => self.on_fetch(now, from, bytes),
        }
    }

    fn done(&mut self, now: Timestamp, result: JobResult) -> Result<(), Halt> {
        match result {
            JobResult::Admitted(verdicts) => {
                self.admitted(now, verdicts);
                Ok(())
            }
            JobResult::Revealed { slot, result, bad } => self.revealed(now, slot, result, &bad),
            JobResult::Beacon { slot, result } => self.beacon_combined(now, slot, result),
            JobResult::Combined(combined) => self.combined(now, *combined),
            JobResult::Checked { slot, kind, judged } => self.checked_claims(now, slot, kind, judged),
        }
    }
}
