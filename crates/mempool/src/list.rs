//! What this member lists when a slot closes (log.md section 4, "Caps are thresholds").
use crate::Mempool;
use auction_rules::{Ledger, Terms, fee_per_byte, list_rank, unforced};
use types::{Hash, Leaf, Rank, Slot, wire::PendingUnit};

impl Mempool {
    /// The list of `slot`, leaves ascending, and the rank where it was cut: at most twice the slot's count and byte
    /// limits, best rank first, ending at the first that does not fit. `ledger` is the one after the slot before closed.
    ///
    /// Everything admitted is listed, whoever took it and however young: a receipt promises it, and a leaf that too few
    /// others have is merely unlisted.
    pub fn list(&mut self, ledger: &Ledger, slot: Slot) -> (Vec<Leaf>, Option<Rank>) {
        let ranked = list_rank(ledger, &self.params, slot, &self.terms());
        let prices = ledger.prices();
        let count_cap = u64::from(self.params.count_limit).saturating_mul(2);
        let bytes_cap = self.params.bytes_limit.saturating_mul(2);
        let (mut count, mut bytes) = (0u64, 0u64);
        let mut leaves = Vec::with_capacity(ranked.len());
        self.cut = None;
        self.below.clear();
        for (hash, rank) in ranked {
            let Some(held) = self.items.get(&hash) else { continue };
            let Terms { size, gas, max_fee, .. } = held.terms;
            if self.cut.is_none() {
                let (next_count, next_bytes) = (count.saturating_add(1), bytes.saturating_add(held.terms.bytes()));
                if next_count > count_cap || next_bytes > bytes_cap {
                    self.cut = Some(rank);
                } else {
                    (count, bytes) = (next_count, next_bytes);
                    leaves.push(Leaf::Envelope {
                        hash,
                        fee_per_byte: fee_per_byte(max_fee, size, gas, &prices),
                        size,
                        gas,
                    });
                    continue;
                }
            }
            self.below.push(hash);
        }
        leaves.sort_unstable();
        (leaves, self.cut)
    }

    /// What is left to the body of `slot` if everybody lists what is held here: candidates that rank does not force,
    /// the best first, at most `most`. Empty when there is room for all.
    #[must_use]
    pub fn unforced(&self, ledger: &Ledger, slot: Slot, most: usize) -> Vec<PendingUnit> {
        let unit = |(hash, rank): (Hash, Rank)| {
            let Terms { size, gas, .. } = self.items.get(&hash)?.terms;
            Some(PendingUnit { hash, fee_per_byte: rank.fee_per_byte, size, gas })
        };
        unforced(ledger, &self.params, slot, &self.terms()).into_iter().filter_map(unit).take(most).collect()
    }

    fn terms(&self) -> Vec<Terms> {
        self.items.values().map(|held| held.terms.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
