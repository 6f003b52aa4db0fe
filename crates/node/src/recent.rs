//! The newest slots of a log, as other members may ask for them: envelopes and openings.
use sequencer::{RECENT_SLOTS, RecentSlot};
use std::{collections::BTreeMap, sync::Arc};
use types::{Entry, Envelope, G2Bytes, Hash, Kind, Opening, Slot, codec, limits};

#[derive(Default)]
struct Parts {
    units: Vec<(Hash, Arc<Envelope>)>,
    sig: Option<G2Bytes>,
    perm: Vec<u16>,
    /// In the order of L_h.
    openings: Vec<Opening>,
}

/// Reads entries in log order and keeps the newest slots. The entries were checked by the replay beside it.
#[derive(Default)]
pub(crate) struct Recent {
    slots: BTreeMap<Slot, Parts>,
}

impl Recent {
    #[expect(clippy::wildcard_enum_match_arm, reason = "other entries are of no use to a member that lags")]
    pub(crate) fn entry(&mut self, bytes: &[u8]) {
        let Ok(entry) = codec::decode::<Entry>(bytes, limits::ENTRY_BYTES_MAX) else { return };
        let slot = entry.kind.slot();
        match entry.kind {
            Kind::Close { .. } => {
                let oldest = Slot(slot.0.saturating_sub(RECENT_SLOTS));
                self.slots.retain(|s, _| *s > oldest);
                self.slots.insert(slot, Parts::default());
            }
            Kind::Envelope { bytes, .. } => {
                let envelope = codec::decode::<Envelope>(&bytes, limits::ENVELOPE_BYTES_MAX);
                if let (Ok(envelope), Some(parts)) = (envelope, self.slots.get_mut(&slot)) {
                    parts.units.push((crypto::ids::hash_envelope(&envelope), Arc::new(envelope)));
                }
            }
            Kind::Beacon { sig, .. } => self.change(slot, |parts| parts.sig = Some(sig)),
            Kind::Order { perm, .. } => self.change(slot, |parts| parts.perm = perm),
            Kind::Opened { openings, .. } => self.change(slot, |parts| parts.openings.extend(openings)),
            _ => {}
        }
    }

    fn change(&mut self, slot: Slot, change: impl FnOnce(&mut Parts)) {
        if let Some(parts) = self.slots.get_mut(&slot) {
            change(parts);
        }
    }

    pub(crate) fn slots(self) -> Vec<RecentSlot> {
        self.slots.into_iter().map(|(slot, parts)| parts.finish(slot)).collect()
    }
}

impl Parts {
    /// Openings in the order of S_h, when all are there.
    fn finish(self, slot: Slot) -> RecentSlot {
        let mut by_unit: BTreeMap<u16, Opening> = BTreeMap::new();
        for (unit, opening) in self.perm.iter().zip(&self.openings) {
            by_unit.insert(*unit, *opening);
        }
        let whole = by_unit.len() == self.units.len();
        let opening = self.sig.filter(|_| whole).map(|sig| (sig, by_unit.into_values().collect()));
        RecentSlot { slot, units: self.units, opening }
    }
}
