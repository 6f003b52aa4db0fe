//! What members that lag may ask for, read back from the log: the newest slots, and headers of what was left out.
use crate::{message::OpeningSection, state::RECENT_SLOTS};
use crypto::ids;
use std::{collections::BTreeMap, sync::Arc};
use types::{
    Bid, Body, Entry, Envelope, G2Bytes, Hash, Kind, LeftHeadItem, Object, Opening, Operation, SignedHeader, Slot,
    Tail, codec, limits,
};

type Units = Vec<(Hash, Arc<Envelope>)>;

#[derive(Debug, Default)]
struct Parts {
    units: Units,
    /// Openings of bids that count.
    bids: Vec<Opening>,
    sig: Option<G2Bytes>,
    perm: Vec<u16>,
    /// In the order of L_h.
    openings: Vec<Opening>,
}

/// Reads entries in log order and keeps the newest slots. The entries were checked by the replay beside it.
#[derive(Debug, Default)]
pub struct Recent {
    slots: BTreeMap<Slot, Parts>,
    /// Those that a machine hands on.
    whole: Vec<(Slot, Units, Option<OpeningSection>)>,
    heads: BTreeMap<Hash, (SignedHeader, Hash)>,
    /// Slot of the entry, and codec(Operation).
    operations: BTreeMap<Hash, (Slot, Vec<u8>)>,
    bids: BTreeMap<Hash, Arc<Bid>>,
    objects: BTreeMap<Hash, Arc<Object>>,
}

/// Whether a member that lags may, at `slot`, still come to a block whose lists name this envelope.
pub(crate) fn is_kept(signed: &SignedHeader, slot: Slot) -> bool {
    signed.header.expiry_slot.plus(RECENT_SLOTS) >= slot
}

impl Recent {
    /// The next entry of the log.
    #[expect(clippy::wildcard_enum_match_arm, reason = "other entries are of no use to a member that lags")]
    pub fn entry(&mut self, bytes: &[u8]) {
        let Ok(entry) = codec::decode::<Entry>(bytes, limits::ENTRY_BYTES_MAX) else { return };
        let slot = entry.kind.slot();
        match entry.kind {
            Kind::Close { .. } => {
                let oldest = Slot(slot.0.saturating_sub(RECENT_SLOTS));
                self.slots.retain(|s, _| *s > oldest);
                self.heads.retain(|_, (signed, _)| is_kept(signed, slot));
                self.operations.retain(|_, (s, _)| *s > oldest);
                self.bids.retain(|_, bid| bid.header.slot > oldest);
                self.objects.retain(|_, object| object.header().slot > oldest);
                self.slots.insert(slot, Parts::default());
            }
            Kind::LeftHead { heads, .. } => {
                for LeftHeadItem { signed, ciphertext } in heads {
                    if let Ok(signed) = codec::decode::<SignedHeader>(&signed, limits::ENVELOPE_BYTES_MAX) {
                        self.heads.insert(ids::envelope_hash(&signed, &ciphertext), (signed, ciphertext));
                    }
                }
            }
            Kind::Envelope { bytes, .. } => {
                let envelope = codec::decode::<Envelope>(&bytes, limits::ENVELOPE_BYTES_MAX);
                if let (Ok(envelope), Some(parts)) = (envelope, self.slots.get_mut(&slot)) {
                    parts.units.push((ids::hash_envelope(&envelope), Arc::new(envelope)));
                }
            }
            Kind::Bid { bytes, .. } => {
                if let Ok(bid) = codec::decode::<Bid>(&bytes, limits::BID_BYTES_MAX) {
                    self.bids.insert(ids::bid_hash(&bid), Arc::new(bid));
                }
            }
            Kind::Body { bytes, .. } => {
                if let Ok(body) = codec::decode::<Body>(&bytes, limits::BODY_BYTES_MAX) {
                    self.objects.insert(ids::body_hash(&body), Arc::new(Object::Body(Box::new(body))));
                }
            }
            Kind::Tail { bytes, .. } => {
                if let Ok(tail) = codec::decode::<Tail>(&bytes, limits::TAIL_BYTES_MAX) {
                    self.objects.insert(ids::tail_hash(&tail), Arc::new(Object::Tail(Box::new(tail))));
                }
            }
            Kind::Operation { bytes, .. } => {
                self.operations.insert(ids::operation_bytes_hash(&bytes), (slot, bytes));
            }
            Kind::Fault { evidence, .. } => {
                if let Some(evidence) = crypto::evidence::decode(&evidence) {
                    let bytes = codec::encode(&Operation::Evidence(evidence.into()));
                    self.operations.insert(ids::operation_bytes_hash(&bytes), (slot, bytes));
                }
            }
            Kind::Beacon { sig, .. } => self.change(slot, |parts| parts.sig = Some(sig)),
            Kind::Auction { opened, .. } => self.change(slot, |parts| parts.bids = opened),
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

    /// Headers of what was listed and left.
    pub(crate) fn take_heads(&mut self) -> BTreeMap<Hash, (SignedHeader, Hash)> {
        core::mem::take(&mut self.heads)
    }

    /// Operations of the newest slots.
    pub(crate) fn take_operations(&mut self) -> BTreeMap<Hash, (Slot, Vec<u8>)> {
        core::mem::take(&mut self.operations)
    }

    /// Bids of the newest slots.
    pub(crate) fn take_bids(&mut self) -> BTreeMap<Hash, Arc<Bid>> {
        core::mem::take(&mut self.bids)
    }

    /// Bodies and tails of the newest slots.
    pub(crate) fn take_objects(&mut self) -> BTreeMap<Hash, Arc<Object>> {
        core::mem::take(&mut self.objects)
    }

    /// Envelopes of every slot, ascending by hash, and its opening once it is whole.
    pub(crate) fn slots(self) -> impl Iterator<Item = (Slot, Units, Option<OpeningSection>)> {
        let read = self.slots.into_iter().map(|(slot, mut parts)| {
            let opening = parts.opening(slot);
            (slot, core::mem::take(&mut parts.units), opening)
        });
        self.whole.into_iter().chain(read)
    }

    /// What one machine hands on to the next.
    pub(crate) fn handed_on(
        whole: Vec<(Slot, Units, Option<OpeningSection>)>,
        heads: BTreeMap<Hash, (SignedHeader, Hash)>,
        operations: BTreeMap<Hash, (Slot, Vec<u8>)>,
        bids: BTreeMap<Hash, Arc<Bid>>,
        objects: BTreeMap<Hash, Arc<Object>>,
    ) -> Self {
        Self { slots: BTreeMap::new(), whole, heads, operations, bids, objects }
    }
}

impl Parts {
    /// Openings of bids, then in the order of S_h, when all are there.
    fn opening(&self, slot: Slot) -> Option<OpeningSection> {
        let by_unit: BTreeMap<u16, Opening> = self.perm.iter().copied().zip(self.openings.iter().copied()).collect();
        let sig = self.sig.filter(|_| by_unit.len() == self.units.len())?;
        let openings = self.bids.iter().copied().chain(by_unit.into_values()).collect();
        Some(OpeningSection { slot, sig, openings })
    }
}
