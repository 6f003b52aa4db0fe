//! Shares, part B, and execution.
use super::{Plant, World, seed_of};
use alloc::{vec, vec::Vec};
use auction_rules::BidTerms;
use crypto::{
    beacon,
    finality::{self, SetHashes},
    ids, merkle,
    tdh2::{self, HeldShares, SharePoint},
};
use execution::{OpenedUnit, Registry, SlotEnv, prepare};
use types::{Amount, Bid, Entry, Envelope, G2Bytes, Hash, Key128, Kind, MemberId, Opening, Slot};

impl World {
    /// Part B, and execution.
    pub(super) fn open(&mut self, slot: Slot, bids: &[(Hash, Bid)], units: &[(Hash, Envelope)]) {
        let (sig, mut opened, mut texts) = self.reveal(slot, bids, units);
        let (openings, messages) = (opened.split_off(bids.len()), texts.split_off(bids.len()));
        let digest = ids::block_digest(&self.state.last);
        let message = beacon::Message { network: self.anchor.id, slot, digest };
        let beacon = beacon::verify(&self.keys, &message, &sig).expect("2f + 1 good shares");
        let ordered: Vec<ordering::Unit> = units
            .iter()
            .map(|(hash, e)| {
                let header = &e.signed.header;
                let after = header.after.clone();
                ordering::Unit { hash: *hash, account: header.fee_account, nonce: header.nonce, after }
            })
            .collect();
        let mut perm = ordering::order(&beacon, &ordered).expect("a set has an order");
        if self.lies(slot, Plant::SwapOrder) {
            perm.swap(0, 1);
        }
        let places = || perm.iter().map(|place| usize::from(*place));
        let order: Vec<Hash> = places().filter_map(|i| units.get(i)).map(|(hash, _)| *hash).collect();
        let mut openings: Vec<Opening> = places().filter_map(|i| openings.get(i).copied()).collect();
        if self.lies(slot, Plant::WrongOpening)
            && let Some(Opening::Key(Key128([byte, ..]))) = openings.first_mut()
        {
            *byte ^= 1;
        }
        let auction = self.auction(slot, &beacon, bids, opened, &texts);
        let mut section = vec![
            Entry::bytes(Kind::Beacon { slot, sig }),
            Entry::bytes(auction),
            Entry::bytes(Kind::Order { slot, root: merkle::root(&order), perm: perm.clone() }),
        ];
        if !openings.is_empty() {
            section.push(Entry::bytes(Kind::Opened { slot, first: 0, openings }));
        }
        let genesis = &self.anchor.network.genesis;
        let registry = Registry::new(&genesis.rollups, genesis.params.slot_ms);
        let prepared: Vec<_> = places()
            .filter_map(|i| units.get(i).zip(messages.get(i)))
            .map(|((hash, e), message)| {
                let gas_class = e.signed.header.gas_class;
                prepare(&OpenedUnit { hash: *hash, message: message.as_deref(), gas_class }, &registry)
            })
            .collect();
        let env = SlotEnv { slot, time_ms: self.state.last.time_ms, beacon };
        self.state.executor.order(&env, &prepared);
        let result = self.state.executor.close();
        self.append(section);
        self.state.reveal = self.state.tree.head();
        self.state.pending.push((slot, order, result));
    }

    /// AUCTION, and what it does to the ledger.
    fn auction(
        &mut self,
        slot: Slot,
        beacon: &Hash,
        bids: &[(Hash, Bid)],
        mut opened: Vec<Opening>,
        texts: &[Option<Vec<u8>>],
    ) -> Kind {
        let schedule = self.anchor.network.genesis.params.schedule();
        let mut reserve = self.state.ledger.reserve(schedule.epoch_of(slot.next())).expect("it is decided");
        let read = |text: &Option<Vec<u8>>| crypto::bid::text(text.as_deref());
        let opened_bids: Vec<_> =
            bids.iter().zip(texts).map(|((_, bid), text)| (bid.header.bidder, read(text))).collect();
        let (mut winner, mut price) = (None, Amount::ZERO);
        if self.state.last.lists.count > 0 {
            let resolution = self.state.ledger.auction(slot, beacon, &opened_bids).expect("these bids count");
            let at = |who| bids.iter().position(|(_, bid)| bid.header.bidder == who);
            winner = resolution.winner.and_then(at).and_then(|at| u16::try_from(at).ok());
            price = resolution.price;
        }
        let one = Amount::new(1).unwrap_or_default();
        let more = |amount: Amount| amount.checked_add(one).unwrap_or_default();
        if self.lies(slot, Plant::WrongWinner) {
            winner = winner.map(|at| u16::from(at == 0));
        }
        if self.lies(slot, Plant::WrongPrice) {
            price = more(price);
        }
        if self.lies(slot, Plant::WrongReserve) {
            reserve = more(reserve);
        }
        if self.lies(slot, Plant::WrongBidOpening)
            && let Some(Opening::Key(Key128([byte, ..]))) = opened.first_mut()
        {
            *byte ^= 1;
        }
        Kind::Auction { slot, for_slot: slot.next(), reserve, opened, winner, price }
    }

    /// Beacon, openings and messages, of the bids and then in the order of the set, from the shares of all members.
    fn reveal(
        &self,
        slot: Slot,
        bids: &[(Hash, Bid)],
        units: &[(Hash, Envelope)],
    ) -> (G2Bytes, Vec<Opening>, Vec<Option<Vec<u8>>>) {
        let seed = seed_of(&self.seed, "reveal", slot.0);
        let set: Vec<Hash> = units.iter().map(|(hash, _)| *hash).collect();
        let leaf = |(hash, bid): &(Hash, Bid)| BidTerms::of(*hash, &bid.header).leaf();
        let bid_hashes: Vec<Hash> = bids.iter().map(|(hash, _)| *hash).collect();
        let hashes = SetHashes { set, bids: bids.iter().map(leaf).collect(), bid_hashes };
        let proof = self.proofs.get(&slot).expect("the block is final");
        let aads: Vec<_> = units.iter().map(|(_, e)| tdh2::envelope_aad(&e.signed.header)).collect();
        let bid_aads: Vec<_> = bids.iter().map(|(_, bid)| crypto::bid::aad(&bid.header)).collect();
        let sealed_bids = bids.iter().zip(&bid_aads).map(|((_, bid), aad)| crypto::bid::item(bid, aad));
        let sealed_units = units.iter().zip(&aads).map(|((_, e), aad)| {
            let class_bytes = e.signed.header.class().expect("a class").bytes();
            tdh2::Item { aad, class_bytes, ciphertext: &e.ciphertext }
        });
        let items: Vec<_> = sealed_bids.chain(sealed_units).collect();
        let admitted: Vec<_> = tdh2::admit(self.keys.encryption_key(), &items, seed)
            .into_iter()
            .map(|verdict| verdict.expect("sealed envelopes are admitted"))
            .collect();
        let (mut points, mut beacons): (Vec<(MemberId, Vec<SharePoint>)>, _) = (Vec::new(), Vec::new());
        for ((member, decrypt), key) in (0u16..).map(MemberId).zip(&self.deal.decrypt).zip(&self.deal.beacon) {
            let token = finality::verify(
                &self.team_at(slot).voters.committee(self.anchor.id, self.state.last.epoch),
                proof,
                &hashes,
            )
            .expect("the votes are real");
            beacons.push((member, beacon::sign(key, &token)));
            let held = hashes
                .bid_hashes
                .iter()
                .chain(&hashes.set)
                .zip(&admitted)
                .map(|(hash, item)| decrypt.share(*hash, item))
                .collect();
            points.push((member, HeldShares::collect(held).release(&token).expect("the set is fixed")));
        }
        let message = beacon::Message { network: self.anchor.id, slot, digest: ids::block_digest(&self.state.last) };
        let sig = beacon::combine(&self.keys, &beacons, &message).expect("good shares");
        let pairs: Vec<_> = items.iter().copied().zip(&admitted).collect();
        let reveal = tdh2::reveal(&self.keys, &pairs, &points, seed).expect("good shares");
        let messages = reveal.plaintexts.into_iter().map(|m| m.map(|m| m.to_vec())).collect();
        (sig, reveal.openings, messages)
    }
}
