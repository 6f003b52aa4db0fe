//! Part A: lists, candidates, set (checks 5 to 9 of log.md section 6).
use super::{
    Due, PLACED_SLOTS, Placed, Replay, Stage,
    section::{Closed, Listed, Section, Unit},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    vec::Vec,
};
use auction_rules::{Candidate, Selection, Terms};
use crypto::{ed25519, eip712, eth, ids, merkle};
use types::{
    Address, Envelope, Epoch, Hash, Kind, Leaf, LeftHeadItem, ListText, MemberId, Nonce, Params, SetRef, SignedHeader,
    SizeClass, Slot, codec, limits,
    reason::{Finding, Why},
};

/// The largest unit, in size-class bytes.
const LARGEST_UNIT: u64 = 61_440;
/// What a LEFTHEAD item counts besides its header.
const LEFT_HEAD_OVERHEAD: usize = 36;

impl Replay {
    /// CLOSE opens a section; check 5.
    pub(super) fn close(&mut self, closed: Closed) {
        let header = &closed.header;
        self.section = Section { slot: closed.slot, ..Section::default() };
        let follows = header.height == closed.slot
            && header.height == self.last.height.next()
            && header.parent == self.last_digest
            && header.time_ms > self.last.time_ms
            && header.view > self.last.view
            && header.network == self.anchor.id
            && header.epoch == Epoch(0)
            && usize::from(header.proposer.0) < self.anchor.network.genesis.members.len();
        if !follows {
            return self.find(Finding::ParentWrong, "the header does not follow the block before");
        }
        let with_lists = header.lists.count > 0;
        if header.reveal != with_lists.then_some(self.reveal) {
            return self.find(Finding::RevealWrong, "not the head after the last opening");
        }
        // C of every opened slot stands right before the next block with lists, and nowhere else
        if with_lists && !self.pending.is_empty() {
            return self.find(Finding::SectionOrder, "CLOSE of a block with lists before an EXEC that is due");
        }
        if !with_lists && self.exec_read {
            return self.find(Finding::SectionOrder, "EXEC before CLOSE of an empty block");
        }
        let prices = self.judged.prices();
        if (closed.byte_price, closed.gas_price) != (prices.byte, prices.gas) {
            return self.find(Finding::CloseRootsWrong, "prices are not those of the rule");
        }
        self.exec_read = false;
        self.last_digest = ids::block_digest(header);
        self.last = header.clone();
        self.section.closed = Some(closed);
        self.stage = Stage::PartA;
    }

    /// LEFT, LEFTHEAD, LIST, ENVELOPE, in this order.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever does not belong here is out of place")]
    pub(super) fn part_a(&mut self, kind: Kind) {
        let slot = self.section.slot;
        if kind.slot() != slot {
            return self.find(Finding::SectionOrder, "an entry of another slot");
        }
        let (heads, lists, units) = (self.section.heads.len(), self.section.lists.len(), self.section.units.len());
        match kind {
            Kind::Left { first, items, .. } if heads == 0 && lists == 0 && units == 0 => {
                let full = self.section.left.len().checked_rem(limits::LEFT_ITEMS_MAX) == Some(0);
                let fits = (1..=limits::LEFT_ITEMS_MAX).contains(&items.len());
                if usize::try_from(first) != Ok(self.section.left.len()) || !fits || !full {
                    return self.find(Finding::SectionOrder, "LEFT items are not contiguous");
                }
                self.section.left.extend(items);
            }
            Kind::LeftHead { first, heads: items, .. } if lists == 0 && units == 0 => {
                if usize::try_from(first) != Ok(heads) || !self.heads_fill(&items) {
                    return self.find(Finding::SectionOrder, "LEFTHEAD items are not contiguous");
                }
                items.iter().for_each(|item| self.left_head(item));
            }
            Kind::List { member, count, root, cut, sig, bits, .. } if units == 0 => {
                if self.section.last_member().is_some_and(|last| last >= member) {
                    return self.find(Finding::SectionOrder, "LIST entries are not ascending by member");
                }
                let text = ListText { network: self.anchor.id, slot, member, count, root, cut };
                self.section.lists.push(Listed { text, sig, bits });
            }
            Kind::Envelope { bytes, .. } => self.unit(&bytes),
            other => self.out_of_place(&other),
        }
    }

    /// LEFTHEAD entries are as full as they can be.
    fn heads_fill(&mut self, items: &[LeftHeadItem]) -> bool {
        let size = |item: &LeftHeadItem| item.signed.len().saturating_add(LEFT_HEAD_OVERHEAD);
        let bytes = items.iter().map(size).fold(0, usize::saturating_add);
        let first = items.first().map_or(0, size);
        let before = core::mem::replace(&mut self.section.head_bytes, bytes);
        let needed = before == 0 || before.saturating_add(first) > limits::LEFT_HEAD_BYTES_MAX;
        needed && first > 0 && bytes <= limits::LEFT_HEAD_BYTES_MAX
    }

    fn left_head(&mut self, item: &LeftHeadItem) {
        let Ok(signed) = codec::decode::<SignedHeader>(&item.signed, limits::ENVELOPE_OVERHEAD_MAX) else {
            return self.find(Finding::EntryMalformed, "a header in LEFTHEAD");
        };
        let hash = ids::envelope_hash(&signed, &item.ciphertext);
        if self.section.heads.last().is_some_and(|last| *last >= hash) || !self.left_heads.insert(hash) {
            return self.find(Finding::SectionOrder, "LEFTHEAD is not ascending, or repeats a header");
        }
        if self.checks.signatures && !paid_by(&signed, &item.ciphertext) {
            return self.find(Finding::EnvelopeInvalid, &format!("{hash}: signature of the payer"));
        }
        self.section.heads.push(hash);
        self.headers.insert(hash, signed);
    }

    fn unit(&mut self, bytes: &[u8]) {
        let Ok(envelope) = codec::decode::<Envelope>(bytes, limits::ENVELOPE_BYTES_MAX) else {
            return self.find(Finding::EntryMalformed, "an envelope");
        };
        let hash = ids::hash_envelope(&envelope);
        if self.section.units.last().is_some_and(|last| last.hash >= hash) {
            return self.find(Finding::SectionOrder, "ENVELOPE entries are not ascending by hash");
        }
        self.section.units.push(Unit { hash, envelope });
    }

    /// Judges part A once as many lists and units are here as the header counts.
    pub(super) fn complete_part_a(&mut self) {
        if self.stage != Stage::PartA || !self.findings.is_empty() {
            return;
        }
        let Some(closed) = self.section.closed.clone() else { return };
        let lists = u32::try_from(self.section.lists.len()).unwrap_or(u32::MAX);
        let units = u32::try_from(self.section.units.len()).unwrap_or(u32::MAX);
        if lists > closed.header.lists.count || units > closed.header.set.count {
            return self.find(Finding::CloseRootsWrong, "more lists or units than the header counts");
        }
        if lists < closed.header.lists.count || units < closed.header.set.count {
            return;
        }
        self.judge(&closed);
        if !self.findings.is_empty() {
            return;
        }
        let terms: Vec<Terms> =
            self.section.units.iter().map(|u| Terms::of(u.hash, &u.envelope.signed.header)).collect();
        let params = self.anchor.network.genesis.params.clone();
        if let Err(error) = self.ledger.close(&params, closed.slot, &terms) {
            return self.find(Finding::LedgerWrong, &format!("{error}"));
        }
        for t in &terms {
            self.included.insert(t.hash, (t.account, t.nonce));
            self.placed.insert(t.hash, Placed { slot: closed.slot, index: None, outcome: None });
        }
        self.prune(closed.slot);
        self.units = self.units.saturating_add(u64::from(units));
        self.tally(5, 1);
        self.tally(6, self.section.lists.len());
        self.tally(7, self.section.left.len().saturating_add(terms.len()));
        self.tally(8, 1);
        self.tally(9, terms.len());
        self.closed = Some(closed.slot);
        self.stage = Stage::PartB(Due::Beacon);
    }

    /// Forgets what no rule needs any more, now and then.
    fn prune(&mut self, slot: Slot) {
        if slot.0.trailing_zeros() >= 5 {
            let ledger = &self.ledger;
            self.included.retain(|hash, _| ledger.is_closed(hash));
            let known = Slot(slot.0.saturating_sub(PLACED_SLOTS));
            self.placed.retain(|_, placed| placed.slot > known);
        }
    }

    fn judge(&mut self, closed: &Closed) {
        let header = &closed.header;
        let roots = [header.bids, header.objects, header.operations];
        if roots.iter().any(|r| *r != SetRef::EMPTY) {
            return self.find(Finding::CloseRootsWrong, "bids, objects or operations without entries");
        }
        if header.set != merkle::set_ref(&self.section.hashes()) {
            return self.find(Finding::CloseRootsWrong, "the root over the set");
        }
        if header.lists.count == 0 {
            let empty = header.lists == SetRef::EMPTY
                && self.section.left.is_empty()
                && self.section.heads.is_empty()
                && (closed.candidates, closed.bytes, closed.gas, closed.forced) == (SetRef::EMPTY, 0, 0, 0)
                && closed.cut.is_none()
                && self.section.units.is_empty();
            if !empty {
                self.find(Finding::CloseRootsWrong, "an empty block that is not empty");
            }
            return;
        }
        let Some((union, counts)) = self.check_lists(closed) else { return };
        self.recount(closed, &union, &counts);
    }

    /// Check 6: the union of leaves, and every list over it.
    fn check_lists(&mut self, closed: &Closed) -> Option<(Vec<Leaf>, Vec<usize>)> {
        let prices = self.judged.prices();
        let mut union: Vec<Leaf> = self.section.left.iter().map(|l| l.leaf).collect();
        for unit in &self.section.units {
            let header = &unit.envelope.signed.header;
            let (size, gas) = (header.size_class, header.gas_class);
            let fee_per_byte = auction_rules::fee_per_byte(header.max_fee, size, gas, &prices);
            union.push(Leaf::Envelope { hash: unit.hash, fee_per_byte, size, gas });
        }
        let sorted_left = self.section.left.is_sorted_by(|a, b| a.leaf < b.leaf);
        union.sort_unstable();
        if !sorted_left || !union.is_sorted_by(|a, b| a < b) {
            self.find(Finding::SectionOrder, "LEFT is not ascending, or names a unit of the set");
            return None;
        }
        let quorum = usize::from(self.anchor.policy.quorum());
        if self.section.lists.len() < quorum {
            self.find(Finding::ListsShort, "fewer than 2f + 1 lists");
            return None;
        }
        let mut counts: Vec<usize> = union.iter().map(|_| 0).collect();
        let mut signed = Vec::new();
        for list in self.section.lists.clone() {
            let leaves = self.list(&union, &list, &mut counts)?;
            signed.push([codec::encode(&list.text), list.sig.as_bytes().to_vec()].concat());
            self.caps(&leaves, &list)?;
        }
        if merkle::set_ref(&signed) != closed.header.lists {
            self.find(Finding::CloseRootsWrong, "the root over the lists");
            return None;
        }
        Some((union, counts))
    }

    fn list(&mut self, union: &[Leaf], list: &Listed, counts: &mut [usize]) -> Option<Vec<Leaf>> {
        let width = union.len().div_ceil(8);
        let stray = (union.len()..width.saturating_mul(8)).any(|i| bit(&list.bits, i));
        let mut leaves = Vec::new();
        for ((i, leaf), count) in union.iter().enumerate().zip(counts.iter_mut()) {
            if bit(&list.bits, i) {
                leaves.push(*leaf);
                *count = count.saturating_add(1);
            }
        }
        let bytes: Vec<_> = leaves.iter().map(Leaf::bytes).collect();
        let SetRef { count, root } = merkle::set_ref(&bytes);
        let member = self.anchor.network.genesis.members.get(usize::from(list.text.member.0));
        let right = list.bits.len() == width && !stray && (count, root) == (list.text.count, list.text.root);
        let key = member.filter(|_| right).map(|m| m.receipt);
        let signed = key.is_some_and(|key| {
            !self.checks.signatures || ed25519::verify(&key, ids::list_digest(&list.text).as_bytes(), &list.sig)
        });
        if !signed {
            self.find(Finding::ListsShort, &format!("the list of member {} does not verify", list.text.member));
            return None;
        }
        Some(leaves)
    }

    fn caps(&mut self, leaves: &[Leaf], list: &Listed) -> Option<()> {
        let params = &self.anchor.network.genesis.params;
        let (mut count, mut bytes, mut classes) = (0u64, 0u64, true);
        for leaf in leaves {
            if let Leaf::Envelope { size, gas, .. } = leaf {
                let class = SizeClass::new(*size).map_or(0, SizeClass::bytes);
                classes &= class > 0 && *gas <= limits::GAS_CLASS_MAX;
                count = count.saturating_add(1);
                bytes = bytes.saturating_add(u64::try_from(class).unwrap_or(u64::MAX));
            }
        }
        let count_cap = u64::from(params.count_limit).saturating_mul(2);
        let bytes_cap = params.bytes_limit.saturating_mul(2);
        let full = count >= count_cap || bytes_cap.saturating_sub(bytes) < LARGEST_UNIT;
        let member = list.text.member;
        if count > count_cap || bytes > bytes_cap || leaves.len() > limits::LIST_LEAVES_MAX || !classes {
            self.find(Finding::ListsShort, &format!("the list of member {member} is over a cap"));
            return None;
        }
        if list.text.cut.is_some() && !full {
            self.convict(Finding::ListInvalid, member, "a cut although there was room");
        }
        Some(())
    }

    /// Checks 7 to 9: candidates and set as the lists give them.
    fn recount(&mut self, closed: &Closed, union: &[Leaf], counts: &[usize]) {
        let params = self.anchor.network.genesis.params.clone();
        let need = usize::from(self.anchor.committee.f).saturating_add(1);
        let mut recount = Recount {
            params,
            set: self.section.units.iter().map(|u| u.hash).collect(),
            claimed: self.section.left.iter().map(|l| (l.leaf, l.why)).collect(),
            wanted: BTreeMap::new(),
        };
        let prices = self.judged.prices();
        let mut listed: Vec<Terms> = Vec::new();
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
            let (Some(header), Some(terms)) = (header, terms) else {
                if matches!(leaf, Leaf::Envelope { .. }) {
                    return self.find(Finding::CandidatesWrong, &format!("no header of the listed {hash}"));
                }
                recount.wanted.insert(*leaf, Why::Inadmissible);
                continue;
            };
            let open = self.judged.account(&terms.account).is_some_and(|a| terms.nonce >= a.nonce);
            let header = &header.header;
            let admissible =
                auction_rules::admissible(header, &self.anchor.id, Epoch(0), closed.slot, &recount.params).is_ok();
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
        for unit in &self.section.units {
            if let Err(why) = self.authentic(unit, &recount.set) {
                let detail = format!("{}: {why}", unit.hash);
                return self.find(Finding::EnvelopeInvalid, &detail);
            }
        }
        let selection = auction_rules::select(&self.judged, &recount.params, closed.slot, &listed, &[]);
        if let Err((code, detail)) = self.compare(closed, &selection, &mut recount) {
            self.find(code, &detail);
        }
    }

    /// Members that list a leaf whose numbers are not those of the envelope's header.
    fn convict_listers(&mut self, at: usize) {
        let members: Vec<MemberId> =
            self.section.lists.iter().filter(|l| bit(&l.bits, at)).map(|l| l.text.member).collect();
        for member in members {
            self.convict(Finding::ListItemWrong, member, "a leaf differs from the header that it names");
        }
    }

    /// Checks 7 and 8, first cause first.
    fn compare(
        &self,
        closed: &Closed,
        selection: &Selection,
        recount: &mut Recount,
    ) -> Result<(), (Finding, alloc::string::String)> {
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
    fn heads_due(
        &self,
        claimed: &BTreeMap<Leaf, u8>,
        set: &BTreeSet<Hash>,
    ) -> Result<(), (Finding, alloc::string::String)> {
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
    fn header(&self, hash: &Hash) -> Option<SignedHeader> {
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

/// Whether bit `i` is set.
fn bit(bits: &[u8], i: usize) -> bool {
    let byte = bits.get(i.checked_shr(3).unwrap_or(usize::MAX));
    byte.and_then(|b| b.checked_shr(u32::try_from(i & 7).ok()?)).is_some_and(|b| b & 1 == 1)
}

/// Whether the fee account signed header and ciphertext.
fn paid_by(signed: &SignedHeader, ciphertext: &Hash) -> bool {
    let digest = eip712::envelope_digest(&signed.header, ciphertext);
    eth::recover(&digest, &signed.signature).ok() == Some(signed.header.fee_account)
}
