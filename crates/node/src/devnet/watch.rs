//! Watches the members of a devnet: one line a slot, medians at the end.
use crate::{builder::short, driver::Observed};
use sequencer::Phase;
use serde::Serialize;
use std::collections::BTreeMap;
use types::{Address, Amount, MemberId, Slot, Timestamp, reason::Outcome};

/// A slot as all members went through it.
#[derive(Debug, Default)]
struct Story {
    closed: BTreeMap<MemberId, Timestamp>,
    /// By whoever proposed last.
    built: Option<Timestamp>,
    ordered: BTreeMap<MemberId, Timestamp>,
    fixed: BTreeMap<MemberId, Timestamp>,
    opened: BTreeMap<MemberId, Timestamp>,
    executed: BTreeMap<MemberId, Timestamp>,
    line: Line,
}

/// What is shown of a slot. Times in ms, medians over the members.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Line {
    /// Slot.
    pub(crate) slot: u64,
    /// Units of the set.
    pub(crate) envelopes: usize,
    /// Units with legs on two rollups or more.
    pub(crate) bundles: usize,
    /// Units that were aborted, no trace on any rollup.
    pub(crate) aborted: usize,
    /// Units that did not open or decode.
    pub(crate) failed: usize,
    /// Candidates without room.
    pub(crate) left: usize,
    /// An empty block: the parent was not final in time.
    pub(crate) empty: bool,
    /// From the first close to final.
    pub(crate) close_to_final_ms: u64,
    /// From the leader's building of the block to its delivery by consensus. 0 for a block that was built before.
    pub(crate) built_to_ordered_ms: u64,
    /// From the building to final: the section is on disk. 0 for a block that was built before.
    pub(crate) built_to_final_ms: u64,
    /// From the final block before to this one.
    pub(crate) interval_ms: u64,
    /// From final to opened.
    pub(crate) final_to_opened_ms: u64,
    /// From opened to executed.
    pub(crate) opened_to_executed_ms: u64,
    /// Entries of the log at the close head.
    pub(crate) log_entries: u64,
    /// Who has bought the right to build this slot.
    pub(crate) builder: Option<Address>,
    /// What it pays.
    pub(crate) price: Option<Amount>,
    /// Bundles of its tail.
    pub(crate) tail: usize,
    /// What came of them to their sender, over all rollups, wei.
    pub(crate) gained: String,
}

/// Collects what members report.
#[derive(Debug)]
pub(crate) struct Watch {
    members: usize,
    stories: BTreeMap<Slot, Story>,
    /// Rights to build, by slot.
    sales: BTreeMap<Slot, (Address, Amount)>,
    done: Vec<Line>,
    /// When the slot before was final at the middle member.
    fixed_at: u64,
}

/// The middle of a list, or 0 for an empty one.
pub(crate) fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn between(from: &BTreeMap<MemberId, Timestamp>, to: &BTreeMap<MemberId, Timestamp>) -> u64 {
    let spans = to.iter().filter_map(|(member, end)| from.get(member).map(|start| end.0.saturating_sub(start.0)));
    median(spans.collect())
}

impl Watch {
    pub(crate) fn new(members: usize) -> Self {
        Self { members, stories: BTreeMap::new(), sales: BTreeMap::new(), done: Vec::new(), fixed_at: 0 }
    }

    /// Takes a report; returns the slot's line once every member has executed it.
    pub(crate) fn report(&mut self, observed: Observed) -> Option<Line> {
        let Observed { member, time, slot, phase } = observed;
        if self.done.last().is_some_and(|line| line.slot >= slot.0) {
            // a member that started again
            return None;
        }
        let story = self.stories.entry(slot).or_default();
        match phase {
            Phase::Closed { .. } => {
                story.closed.insert(member, time);
            }
            Phase::Built => story.built = Some(time),
            Phase::Ordered => {
                story.ordered.insert(member, time);
            }
            Phase::Final { units, empty, size, left } => {
                story.fixed.insert(member, time);
                let line = &mut story.line;
                (line.envelopes, line.empty, line.log_entries, line.left) = (units, empty, size, left);
            }
            Phase::Opened { sold, .. } => {
                story.opened.insert(member, time);
                self.sales.extend(sold.map(|sold| (slot.next(), sold)));
            }
            // comes with the next block, when the line of its slot is told
            Phase::Tail { .. } => {}
            Phase::Executed { outcomes, bundles } => {
                story.executed.insert(member, time);
                story.line.bundles = bundles;
                story.line.aborted = outcomes.iter().filter(|o| o.is_aborted()).count();
                story.line.failed = outcomes.iter().filter(|o| o.is_failed() || **o == Outcome::Expired).count();
            }
        }
        if story.executed.len() < self.members {
            return None;
        }
        let story = self.stories.remove(&slot)?;
        let right = self.sales.remove(&slot);
        if story.line.empty {
            // the right moves on to the next slot
            self.sales.extend(right.map(|right| (slot.next(), right)));
        }
        let (builder, price) = right.filter(|_| !story.line.empty).unzip();
        let fixed_at = median(story.fixed.values().map(|at| at.0).collect());
        let ordered_at = median(story.ordered.values().map(|at| at.0).collect());
        let before = core::mem::replace(&mut self.fixed_at, fixed_at);
        let line = Line {
            slot: slot.0,
            builder,
            price,
            built_to_ordered_ms: story.built.map_or(0, |built| ordered_at.saturating_sub(built.0)),
            built_to_final_ms: story.built.map_or(0, |built| fixed_at.saturating_sub(built.0)),
            interval_ms: if before == 0 { 0 } else { fixed_at.saturating_sub(before) },
            close_to_final_ms: between(&story.closed, &story.fixed),
            final_to_opened_ms: between(&story.fixed, &story.opened),
            opened_to_executed_ms: between(&story.opened, &story.executed),
            ..story.line
        };
        self.done.push(line.clone());
        Some(line)
    }

    /// Slots that every member has executed.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.done
    }
}

impl Line {
    /// Head of the table.
    pub(crate) const HEAD: &'static str = "    slot  envelopes  bundles  aborted  close→final  →opened  →executed    log  builder              price  tail               gained";

    /// A row of the table.
    pub(crate) fn row(&self) -> String {
        let mut row = format!(
            "{:>8}  {:>9}  {:>7}  {:>7}  {:>8} ms  {:>4} ms  {:>6} ms  {:>5}  {:<10}  {:>17}  {:>4}  {:>19}",
            self.slot,
            self.envelopes,
            self.bundles,
            self.aborted,
            self.close_to_final_ms,
            self.final_to_opened_ms,
            self.opened_to_executed_ms,
            self.log_entries,
            self.builder.as_ref().map_or_else(|| "-".into(), short),
            self.price.map_or_else(|| "-".into(), |price| price.to_string()),
            if self.tail == 0 { "-".into() } else { self.tail.to_string() },
            if self.tail == 0 { "-" } else { &self.gained },
        );
        if self.empty {
            row.push_str("  (empty block)");
        }
        if self.left > 0 {
            row.push_str(&format!("  ({} left for the next slot)", self.left));
        }
        row
    }
}
