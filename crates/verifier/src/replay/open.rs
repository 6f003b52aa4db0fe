//! Part B: beacon, auction, order, openings (checks 11 to 14).
use super::{Due, Replay, Stage};
use alloc::{format, vec::Vec};
use crypto::{beacon, tdh2};
use execution::{OpenedUnit, SlotEnv, prepare};
use types::{Amount, G2Bytes, Hash, Kind, OpenSlot, Opening, SizeClass, limits, reason::Finding};

impl Replay {
    pub(super) fn part_b(&mut self, due: Due, kind: Kind) {
        if kind.slot() != self.section.slot {
            return self.find(Finding::SectionOrder, "an entry of another slot");
        }
        match (due, kind) {
            (Due::Beacon, Kind::Beacon { sig, .. }) => self.beacon(&sig),
            (Due::Auction, Kind::Auction { for_slot, reserve, opened, winner, price, .. }) => {
                if for_slot != self.section.slot.next() {
                    return self.find(Finding::WinnerWrong, "another slot than the next was sold");
                }
                self.auction(reserve, &opened, winner, price);
            }
            (Due::Order, Kind::Order { root, perm, .. }) => self.order(root, perm),
            (Due::Opened, Kind::Opened { first, openings, .. }) => self.openings(first, openings),
            (_, kind) => self.out_of_place(&kind),
        }
    }

    /// Check 11.
    fn beacon(&mut self, sig: &G2Bytes) {
        let message = beacon::Message { network: self.anchor.id, slot: self.section.slot, digest: self.last_digest };
        let beacon = if self.checks.beacon {
            match beacon::verify(&self.now.keys, &message, sig) {
                Ok(beacon) => beacon,
                Err(error) => return self.find(Finding::BeaconInvalid, &format!("{error}")),
            }
        } else {
            crypto::hash::sha256(&[sig.as_ref()])
        };
        self.tally(11, 1);
        self.section.beacon = Some(beacon);
        self.stage = Stage::PartB(Due::Auction);
    }

    /// Check 12: the bids open to what the entry says, and the rules give winner and price.
    fn auction(&mut self, reserve: Amount, openings: &[Opening], winner: Option<u16>, price: Amount) {
        let slot = self.section.slot;
        if self.ledger.reserve(self.schedule().epoch_of(slot.next())) != Some(reserve) {
            return self.find(Finding::ReserveWrong, "another reserve than the rule gives");
        }
        let bids = self.section.bids.clone();
        if openings.len() != bids.len() {
            return self.find(Finding::BidOpeningWrong, "not one opening for each bid that counts");
        }
        let aads: Vec<_> = bids.iter().map(|b| crypto::bid::aad(&b.bid.header)).collect();
        let items: Vec<_> = bids.iter().zip(&aads).map(|(b, aad)| crypto::bid::item(&b.bid, aad)).collect();
        let verdicts = tdh2::check_openings(&self.now.keys, &items, openings, self.head_before().root.0);
        let mut opened = Vec::with_capacity(bids.len());
        for (verdict, b) in verdicts.into_iter().zip(&bids) {
            match verdict {
                Ok(message) => {
                    let text = crypto::bid::text(message.as_ref().map(|m| m.as_slice()));
                    opened.push((b.terms.bidder, text));
                }
                Err(error) => {
                    let proof = matches!(error, tdh2::OpeningError::Proof(_));
                    let code = if proof { Finding::BidInvalid } else { Finding::BidOpeningWrong };
                    return self.find(code, &format!("{}: {error}", b.terms.hash));
                }
            }
        }
        let sold = if self.last.lists.count == 0 {
            (None, Amount::ZERO)
        } else {
            match self.ledger.auction(slot, &self.section.beacon.unwrap_or_default(), &opened) {
                Ok(resolution) => (resolution.winner, resolution.price),
                Err(error) => return self.find(Finding::LedgerWrong, &format!("{error}")),
            }
        };
        let said = winner.map(|at| bids.get(usize::from(at)).map(|b| b.terms.bidder));
        if said != sold.0.map(Some) {
            return self.find(Finding::WinnerWrong, "the rules give another winner");
        }
        if price != sold.1 {
            return self.find(Finding::PriceWrong, "the rules give another price");
        }
        self.tally(12, bids.len());
        self.stage = Stage::PartB(Due::Order);
    }

    /// Check 13.
    fn order(&mut self, root: Hash, perm: Vec<u16>) {
        let units: Vec<ordering::Unit> = self
            .section
            .units
            .iter()
            .map(|u| {
                let header = &u.envelope.signed.header;
                let after = header.after.clone();
                ordering::Unit { hash: u.hash, account: header.fee_account, nonce: header.nonce, after }
            })
            .collect();
        let wanted = ordering::order(&self.section.beacon.unwrap_or_default(), &units);
        self.section.perm = perm;
        let right = wanted.as_ref() == Ok(&self.section.perm) && crypto::merkle::root(&self.section.order()) == root;
        if !right {
            return self.find(Finding::OrderWrong, "the beacon gives another order");
        }
        self.tally(13, 1);
        self.stage = Stage::PartB(Due::Opened);
        if self.section.units.is_empty() {
            self.opened();
        }
    }

    fn openings(&mut self, first: u32, openings: Vec<Opening>) {
        let have = self.section.openings.len();
        let full = have.checked_rem(limits::OPENED_ITEMS_MAX) == Some(0);
        let fits = (1..=limits::OPENED_ITEMS_MAX).contains(&openings.len());
        if usize::try_from(first) != Ok(have) || !fits || !full {
            return self.find(Finding::OpeningsMissing, "OPENED items are not contiguous");
        }
        self.section.openings.extend(openings);
        let (have, want) = (self.section.openings.len(), self.section.units.len());
        if have > want || (have < want && have.checked_rem(limits::OPENED_ITEMS_MAX) != Some(0)) {
            return self.find(Finding::OpeningsMissing, &format!("{have} openings of {want} units"));
        }
        if have == want {
            self.opened();
        }
    }

    /// Check 14, then the slot is executed; its EXEC is judged when it comes.
    fn opened(&mut self) {
        let ordered: Vec<_> = self.section.ordered().cloned().collect();
        let aads: Vec<_> = ordered.iter().map(|u| tdh2::envelope_aad(&u.envelope.signed.header)).collect();
        let items: Vec<_> = ordered
            .iter()
            .zip(&aads)
            .map(|(u, aad)| tdh2::Item {
                aad,
                class_bytes: u.envelope.signed.header.class().map_or(0, SizeClass::bytes),
                ciphertext: &u.envelope.ciphertext,
            })
            .collect();
        let seed = self.head_before().root.0;
        let verdicts = tdh2::check_openings(&self.now.keys, &items, &self.section.openings, seed);
        let mut messages = Vec::with_capacity(verdicts.len());
        for (verdict, unit) in verdicts.into_iter().zip(&ordered) {
            match verdict {
                Ok(message) => messages.push(message),
                Err(error) => {
                    let code = if matches!(error, tdh2::OpeningError::Proof(_)) {
                        Finding::EnvelopeInvalid
                    } else if error == tdh2::OpeningError::Key {
                        Finding::OpeningWrong
                    } else {
                        Finding::FailureFalse
                    };
                    return self.find(code, &format!("{}: {error}", unit.hash));
                }
            }
        }
        self.tally(14, messages.len());
        let prepared: Vec<_> = ordered
            .iter()
            .zip(&messages)
            .map(|(u, message)| OpenedUnit {
                hash: u.hash,
                message: message.as_ref().map(|m| m.as_slice()),
                gas_class: u.envelope.signed.header.gas_class,
            })
            .map(|u| prepare(&u, &self.registry))
            .collect();
        let slot = self.section.slot;
        let (time_ms, beacon) = (self.last.time_ms, self.section.beacon.unwrap_or_default());
        // an empty slot comes after the tail of the slot before, which the log may still name
        let result = self.pending.is_empty().then(|| {
            self.executor.order(&SlotEnv { slot, time_ms, beacon }, &prepared);
            self.executor.close()
        });
        let order = self.section.order();
        for (index, hash) in (0u32..).zip(&order) {
            if let Some(placed) = self.placed.get_mut(hash) {
                placed.index = Some(index);
            }
        }
        // the reveal hash is that of the log after this entry
        self.pending.push(OpenSlot { slot, order, reveal: Hash::ZERO, time_ms, beacon, result });
        self.end_of_epoch(slot);
        self.judged = self.ledger.clone();
        self.stage = Stage::Between;
        self.section_done = true;
    }
}
