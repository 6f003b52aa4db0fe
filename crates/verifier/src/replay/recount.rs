//! Checks 7 to 9: candidates, reasons and set as the lists give them, and whether each unit may be in a set at all.
use super::{
    Replay,
    build::Named,
    close::paid_by,
    section::{Closed, Unit},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use auction_rules::{Candidate, Selection, Terms};
use crypto::{eip712, eth, ids, merkle};
use types::{
    Address, Hash, Leaf, Nonce, Params, SignedHeader, SizeClass, limits,
    reason::{Finding, Why},
};

impl Replay {
    /// Checks 7 to 9: candidates and set as the lists give them.
    pub(super) fn recount(&mut self, closed: &Closed, union: &[Leaf], counts: &[usize]) {
        let params = self.now.params.clone();
        let need = usize::from(self.now.f).saturating_add(1);
        let mut recount = Recount {
            params,
            set: self.section.units.iter().map(|u| u.hash).collect(),
            claimed: self.section.left.iter().map(|l| (l.leaf, l.why)).collect(),
            wanted: BTreeMap::new(),
        };
        let prices = self.judged.prices();
        let mut listed: Vec<Terms> = Vec::new();
        let mut bids: Vec<(Address, u8, Hash)> = Vec::new();
        let (mut bodies, mut tails) = (Named::new(), Named::new());
        for (at, (leaf, count)) in union.iter().zip(counts).enumerate() {
            let header = self.header(&leaf.hash()).filter(|_| matches!(leaf, Leaf::Envelope { .. }));
            let terms = header.as_ref().map(|h| Terms::of(leaf.hash(), &h.header));
            let right = terms.as_ref().is_none_or(|t| {
                let fee_per_byte = auction_rules::fee_per_byte(t.max_fee, t.size, t.gas, &prices);
                *leaf == Leaf::Envelope { hash: t.hash, fee_per_byte, size: t.size, gas: t.gas }
            });
            if !right {
                self.convict_listers(at);
            }
            let hash = leaf.hash();
            if *count < need {
                if !recount.claimed.contains_key(leaf) {
                    return self.find(Finding::UnlistedIncluded, &format!("{hash}"));
                }
                if *count == 0 {
                    return self.find(Finding::CandidatesWrong, &format!("LEFT has {hash}, which no list names"));
                }
                recount.wanted.insert(*leaf, Why::Unlisted);
                continue;
            }
            if let Leaf::Op { hash } = leaf {
                if recount.claimed.contains_key(leaf) {
                    if !self.may_lack_room(hash) {
                        return self.find(Finding::OperationOmitted, &format!("{hash} would have had room"));
                    }
                    recount.wanted.insert(*leaf, Why::NoRoom);
                }
                continue;
            }
            if let Leaf::Bid { bidder, seq, hash } = leaf {
                bids.push((*bidder, *seq, *hash));
                continue;
            }
            let (Some(header), Some(terms)) = (header, terms) else {
                match leaf {
                    Leaf::Body { seq, hash } => bodies.push((*seq, *hash)),
                    Leaf::Tail { seq, hash } => tails.push((*seq, *hash)),
                    Leaf::Envelope { .. } | Leaf::Bid { .. } | Leaf::Op { .. } => {
                        return self.find(Finding::CandidatesWrong, &format!("no header of the listed {hash}"));
                    }
                }
                continue;
            };
            let open = self.judged.account(&terms.account).is_some_and(|a| terms.nonce >= a.nonce);
            let header = &header.header;
            let admissible = auction_rules::admissible(header, &self.anchor.id, closed.slot, &recount.params).is_ok();
            if recount.set.contains(&hash) && !recount.claimed.contains_key(leaf) {
                if self.judged.is_closed(&hash) || self.placed.contains_key(&hash) {
                    return self.find(Finding::EnvelopeDuplicate, &format!("{hash}"));
                }
                if !admissible || !open {
                    return self.find(Finding::EnvelopeInvalid, &format!("{hash}: header"));
                }
            }
            if admissible && open && right {
                listed.push(terms);
            } else {
                recount.wanted.insert(*leaf, Why::Inadmissible);
            }
        }
        if let Err((code, detail)) = self.count_bids(&bids, &mut recount) {
            return self.find(code, &detail);
        }
        for unit in &self.section.units {
            if let Err(why) = self.authentic(unit, &recount.set) {
                let detail = format!("{}: {why}", unit.hash);
                return self.find(Finding::EnvelopeInvalid, &detail);
            }
        }
        let alone = auction_rules::select(&self.judged, &recount.params, closed.slot, &listed, &[]);
        if let Err((code, detail)) = self.count_built((&bodies, &tails), union, &alone, &mut recount) {
            return self.find(code, &detail);
        }
        let selection = match &self.section.body {
            Some(b) => auction_rules::select(&self.judged, &recount.params, closed.slot, &listed, &b.body.units),
            None => alone,
        };
        self.section.placed.clone_from(&selection.placed);
        if let Err((code, detail)) = self.compare(closed, &selection, &mut recount) {
            self.find(code, &detail);
        }
    }

    /// Checks 7, 8 and 15: body and tail are what the lists give.
    fn count_built(
        &self,
        (bodies, tails): (&Named, &Named),
        union: &[Leaf],
        alone: &Selection,
        recount: &mut Recount,
    ) -> Result<(), (Finding, String)> {
        let tails = self.count_tails(tails)?;
        let bodies = self.count_bodies(bodies, alone)?;
        let of: BTreeMap<Hash, Why> = bodies.into_iter().chain(tails).collect();
        for leaf in union.iter().filter(|leaf| matches!(leaf, Leaf::Body { .. } | Leaf::Tail { .. })) {
            if let Some(why) = of.get(&leaf.hash()) {
                recount.wanted.entry(*leaf).or_insert(*why);
            }
        }
        Ok(())
    }

    /// Checks 7 and 10: the bids that count are what the lists give, and each may count at all.
    fn count_bids(&self, listed: &[(Address, u8, Hash)], recount: &mut Recount) -> Result<(), (Finding, String)> {
        let bids = &self.section.bids;
        let known = |hash: &Hash| bids.iter().find(|b| b.terms.hash == *hash).map(|b| b.terms);
        let omitted = |hash: &Hash| (Finding::BidOmitted, format!("{hash} is listed, and not in the section"));
        let counted = self
            .judged
            .count_listed(&recount.params, listed, known)
            .map_err(|missing| omitted(missing.first().unwrap_or(&Hash::ZERO)))?;
        for b in bids {
            let (hash, here) = (b.terms.hash, counted.counting.iter().any(|bid| bid.hash == b.terms.hash));
            if !here {
                return Err((Finding::BidInvalid, format!("{hash} may not count")));
            }
            let signed = !self.checks.signatures || crypto::bid::is_signed(&b.bid);
            if !signed || !crypto::bid::is_well_formed(&b.bid, &self.anchor.id) {
                return Err((Finding::BidInvalid, format!("{hash}: head, length or signature")));
            }
        }
        let of: BTreeMap<Hash, Why> = counted.left.iter().copied().collect();
        for (bidder, seq, hash) in listed {
            if let Some(why) = of.get(hash) {
                recount.wanted.insert(Leaf::Bid { bidder: *bidder, seq: *seq, hash: *hash }, *why);
            }
        }
        Ok(())
    }

    /// Checks 7 and 8, first cause first.
    fn compare(&self, closed: &Closed, selection: &Selection, recount: &mut Recount) -> Result<(), (Finding, String)> {
        let Recount { params, set, claimed, wanted } = recount;
        let candidate = |hash: &Hash| {
            let at = selection.candidates.binary_search_by(|c| c.hash.cmp(hash)).ok()?;
            selection.candidates.get(at)
        };
        let no_room: BTreeSet<Hash> =
            claimed.iter().filter(|(_, why)| **why == Why::NoRoom.number()).map(|(leaf, _)| leaf.hash()).collect();
        // said to have had no room, although it ranks above where pass 1 is said to have stopped
        for hash in selection.set.iter().filter(|h| !set.contains(*h) && no_room.contains(*h)) {
            if closed.cut.is_none_or(|cut| candidate(hash).is_some_and(|c| c.rank < cut)) {
                return Err((Finding::ForcedOmitted, format!("{hash} ranks above the cut")));
            }
        }
        let reasons: BTreeMap<Hash, Why> = selection.left.iter().copied().collect();
        for leaf in claimed.keys() {
            let hash = leaf.hash();
            let why = if candidate(&hash).is_some() { Some(Why::NoRoom) } else { reasons.get(&hash).copied() };
            if let Some(why) = why {
                wanted.entry(*leaf).or_insert(why);
            }
        }
        for (leaf, why) in &*claimed {
            let own = wanted.get(leaf).map(|w| w.number());
            if own != Some(*why) {
                let detail = format!("{} is left for reason {why}, the lists give {own:?}", leaf.hash());
                return Err((Finding::CandidatesWrong, detail));
            }
        }
        let leaves: Vec<_> = selection.candidates.iter().map(Candidate::leaf).collect();
        if merkle::set_ref(&leaves) != closed.candidates {
            return Err((Finding::CandidatesWrong, "the root over the candidates".into()));
        }
        self.heads_due(claimed, set)?;
        if (closed.forced, closed.cut) != (selection.forced, selection.cut) {
            return Err((Finding::CutWrong, "pass 1 stops elsewhere".into()));
        }
        let (bytes, gas) = self.used();
        if set.len() > usize::try_from(params.count_limit).unwrap_or(usize::MAX)
            || bytes > params.bytes_limit
            || gas > params.gas_limit
        {
            return Err((Finding::LimitsExceeded, "the set is over a limit".into()));
        }
        if !selection.set.iter().eq(set.iter()) {
            return Err((Finding::SetWrong, "passes 2 and 3 give another set".into()));
        }
        if (closed.bytes, closed.gas) != (selection.bytes, selection.gas) {
            return Err((Finding::CloseRootsWrong, "bytes or gas of the set".into()));
        }
        Ok(())
    }

    /// Whose reason rests on the header has it in LEFTHEAD, the first time in the epoch; nobody else has.
    fn heads_due(&self, claimed: &BTreeMap<Leaf, u8>, set: &BTreeSet<Hash>) -> Result<(), (Finding, String)> {
        let rests = |why: u8| {
            (Why::NoRoom.number()..=Why::BelowBase.number()).contains(&why) || why == Why::Inadmissible.number()
        };
        let here = |hash: &Hash| self.section.heads.binary_search(hash).is_ok();
        let due: BTreeSet<Hash> = claimed
            .iter()
            .filter(|(leaf, why)| matches!(leaf, Leaf::Envelope { .. }) && rests(**why))
            .map(|(leaf, _)| leaf.hash())
            .filter(|hash| !set.contains(hash) && (here(hash) || !self.left_heads.contains(hash)))
            .collect();
        if let Some(hash) = due.iter().find(|hash| !here(hash)) {
            return Err((Finding::CandidatesWrong, format!("no header of the left {hash}")));
        }
        match self.section.heads.iter().find(|hash| !due.contains(*hash)) {
            Some(hash) => Err((Finding::SectionOrder, format!("LEFTHEAD has {hash}, which needs none"))),
            None => Ok(()),
        }
    }

    /// Size-class bytes and gas of the set.
    fn used(&self) -> (u64, u64) {
        let terms = self.section.units.iter().map(|u| Terms::of(u.hash, &u.envelope.signed.header));
        terms.fold((0, 0), |(bytes, gas): (u64, u64), t| {
            (bytes.saturating_add(t.bytes()), gas.saturating_add(t.gas_units().unwrap_or(u64::MAX)))
        })
    }

    /// The signed header of a listed envelope: in this section, or in LEFTHEAD of this epoch.
    pub(super) fn header(&self, hash: &Hash) -> Option<SignedHeader> {
        let unit = self.section.units.binary_search_by(|u| u.hash.cmp(hash)).ok();
        let unit = unit.and_then(|i| self.section.units.get(i)).map(|u| u.envelope.signed.clone());
        unit.or_else(|| self.headers.get(hash).cloned())
    }

    /// Check 9 without the ciphertext proof, which comes with the opening: payer, consents, length.
    fn authentic(&self, unit: &Unit, set: &BTreeSet<Hash>) -> Result<(), &'static str> {
        let signed = &unit.envelope.signed;
        let header = &signed.header;
        let class = header.class().map(SizeClass::bytes);
        if class.and_then(|c| c.checked_add(limits::CIPHERTEXT_OVERHEAD)) != Some(unit.envelope.ciphertext.len()) {
            return Err("length of the ciphertext");
        }
        if !self.checks.signatures {
            return Ok(());
        }
        if !paid_by(signed, &ids::ciphertext_hash(&unit.envelope.ciphertext)) {
            return Err("signature of the payer");
        }
        let mut consents = signed.consents.iter();
        for named in &header.after {
            let (payer, nonce) = self.payer(named, set).ok_or("an `after` unit that is nowhere")?;
            let allowed = if payer == header.fee_account {
                nonce < header.nonce
            } else {
                let digest = eip712::consent_digest(&header.network, named, &header.fee_account, header.nonce);
                consents.next().is_some_and(|consent| eth::recover(&digest, consent).ok() == Some(payer))
            };
            if !allowed {
                return Err("an `after` unit without consent");
            }
        }
        if consents.next().is_some() { Err("a consent too many") } else { Ok(()) }
    }

    fn payer(&self, hash: &Hash, set: &BTreeSet<Hash>) -> Option<(Address, Nonce)> {
        if set.contains(hash) {
            let header = self.header(hash)?.header;
            return Some((header.fee_account, header.nonce));
        }
        self.included.get(hash).copied()
    }
}

/// What the lists give against what the section claims.
struct Recount {
    params: Params,
    set: BTreeSet<Hash>,
    /// LEFT.
    claimed: BTreeMap<Leaf, u8>,
    /// Reasons that the lists and headers give.
    wanted: BTreeMap<Leaf, Why>,
}
