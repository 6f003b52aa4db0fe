//! Operations that members hold, evidence of every finding, and the entries that they make.
use super::{FAULTY, MEMBERS, Plant, World};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec,
    vec::Vec,
};
use auction_rules::{AccountOperation, Claim, ListedOperation, Operations};
use crypto::{
    evidence::{self, Context},
    ids, merkle, operation,
};
use types::{
    AccountHeader, Accused, Address, Amount, Block, Entry, Epoch, Evidence, G1Bytes, G2Bytes, Hash, Head, Kind, Leaf,
    LeftItem, MemberId, MemberRecord, Opening, OpeningFault, OpeningHeader, Operation, Params, Rank, Receipt,
    ReceiptKind, ShareFault, ShareHeader, ShareMode, SignatureStamp, SignedList, SignedShare, Slot, Timestamp, Vote,
    Voted, codec, reason::Why,
};

/// What an operation's bytes are, and who holds it.
pub(super) type HeldOperations = BTreeMap<Hash, (Vec<u8>, Vec<MemberId>)>;

impl World {
    /// Gives an operation to members, who list it until it has an entry.
    pub fn operate(&mut self, bytes: Vec<u8>, holders: &[MemberId]) -> Hash {
        let hash = ids::operation_bytes_hash(&bytes);
        self.added_operations.insert(hash, (bytes, holders.to_vec()));
        hash
    }

    /// Gives evidence to every member.
    pub fn accuse(&mut self, evidence: Evidence) -> Hash {
        let holders: Vec<MemberId> = (0..MEMBERS).map(MemberId).collect();
        self.operate(codec::encode(&Operation::Evidence(evidence.into())), &holders)
    }

    /// What a payer's account asks for, held by every member; counted from the payer's operations on the ledger and
    /// before it in this slot.
    ///
    /// # Panics
    /// When there is no such payer.
    pub fn ask(&mut self, payer: usize, kind: u8, to: Address, units: u128) -> Hash {
        let key = self.payers.get(payer).expect("a payer");
        let schedule = self.anchor.network.genesis.params.schedule();
        let header = AccountHeader {
            version: AccountHeader::VERSION,
            network: self.anchor.id,
            epoch: schedule.epoch_of(self.state.last.height.next()),
            kind,
            account: key.address(),
            nonce: self.state.ledger.operation_nonce(&key.address()),
            to,
            amount: Amount::new(units).expect("an amount"),
            data: Hash::ZERO,
        };
        let mut signed = crypto::account::sign(key, header);
        if self.forged {
            signed.signature.0.iter_mut().skip(40).take(1).for_each(|byte| *byte ^= 1);
        }
        let holders: Vec<MemberId> = (0..MEMBERS).map(MemberId).collect();
        self.operate(codec::encode(&Operation::Account(signed.into())), &holders)
    }

    /// What accounts ask for from now on is signed by nobody.
    pub fn forge(&mut self) {
        self.forged = true;
    }

    /// Two bids of one seq as evidence.
    ///
    /// # Panics
    /// When there is no such payer.
    #[must_use]
    pub fn two_bids(&self, payer: usize, slot: Slot) -> Evidence {
        let bid = |units| self.sealed_bid(payer, slot, 0, Some(units));
        evidence::bids(&bid(1), &bid(2))
    }

    /// What evidence of this network is held against.
    #[must_use]
    pub fn context(&self) -> Context<'_> {
        let schedule = self.anchor.network.genesis.params.schedule();
        self.context_of(schedule.epoch_of(self.state.last.height))
    }

    /// What evidence about an epoch is held against.
    ///
    /// # Panics
    /// Never: genesis has a committee.
    #[must_use]
    pub fn context_of(&self, epoch: Epoch) -> Context<'_> {
        let params = &self.anchor.network.genesis.params;
        let schedule = params.schedule();
        Context {
            network: self.anchor.id,
            epoch,
            first_slot: schedule.first(epoch),
            last_slot: schedule.last(epoch),
            f: FAULTY,
            members: &self.team(epoch).records,
            params,
            keys: &self.keys,
        }
    }

    /// Leaves of the operations that a member holds.
    pub(super) fn operation_leaves(&self, member: MemberId) -> Vec<Leaf> {
        let holds = self.state.operations.iter().filter(|(_, (_, holders))| holders.contains(&member));
        holds.map(|(hash, _)| Leaf::Op { hash: *hash }).collect()
    }

    /// What the listed operations give; those that are left are added to `left`.
    pub(super) fn enter(&self, slot: Slot, count: impl Fn(&Leaf) -> usize, left: &mut Vec<LeftItem>) -> Operations {
        let schedule = self.anchor.network.genesis.params.schedule();
        let mut listed = Vec::new();
        for (hash, (bytes, _)) in &self.state.operations {
            let leaf = Leaf::Op { hash: *hash };
            match count(&leaf) {
                0 => {}
                n if n > usize::from(FAULTY) => {
                    let judged = operation::judge(bytes, schedule.epoch_of(slot), |epoch| self.context_of(epoch));
                    let claim = if self.lies(slot, Plant::FalseFault) { self.said(bytes) } else { judged.claim() };
                    let admissible = judged.admissible || self.lies(slot, Plant::FalseOperation);
                    let (kind, bytes) = (judged.kind, bytes.len());
                    listed.push(ListedOperation { hash: *hash, kind, bytes, claim, admissible });
                }
                _ => left.push(LeftItem { leaf, why: Why::Unlisted.number() }),
            }
        }
        if self.lies(slot, Plant::OmitOperation) {
            for omitted in listed.drain(..1) {
                left.push(LeftItem { leaf: Leaf::Op { hash: omitted.hash }, why: Why::NoRoom.number() });
            }
        }
        let none = BTreeSet::new();
        let before = if self.lies(slot, Plant::SecondFault) { &none } else { &self.state.claims };
        let given = auction_rules::enter(&listed, before, schedule.epoch_of(slot));
        let item = |(hash, why): &(Hash, Why)| LeftItem { leaf: Leaf::Op { hash: *hash }, why: why.number() };
        left.extend(given.left.iter().map(item));
        left.sort_unstable_by_key(|item| item.leaf);
        given
    }

    /// What the operations do to the ledger, and OPERATION and FAULT entries; what has one is not listed again.
    pub(super) fn operation_entries(&mut self, slot: Slot, given: &Operations) -> Vec<Vec<u8>> {
        let params = self.anchor.network.genesis.params.clone();
        let (mut entries, mut asked) = (Vec::new(), Vec::new());
        for entered in &given.entered {
            let (bytes, _) = self.state.operations.remove(&entered.hash).expect("it is held");
            let mut penalty = params.member_penalty;
            if let Some(Claim { finding, accused: Accused::Builder { builder, slot: of }, .. }) = entered.fault {
                let ledger = &mut self.state.ledger;
                penalty = ledger.penalise(&params, slot, finding, &builder, of).expect("the slot is closed");
                if self.lies(slot, Plant::WrongSlash) {
                    penalty = penalty.checked_add(Amount::new(1).unwrap_or_default()).unwrap_or_default();
                }
            }
            let operation = codec::decode::<Operation>(&bytes, bytes.len()).ok();
            if let Some(operation) = operation.as_ref().filter(|_| entered.fault.is_none()) {
                let rules = |_: &[MemberRecord], _: &Params| true;
                // one that does not count changes nothing
                self.state.succession.on(&self.state.epochs, slot, operation, (rules, None)).ok();
            }
            if let Some(signed) = operation.as_ref().and_then(Operation::account) {
                asked.extend(AccountOperation::of(entered.hash, &signed.header));
            }
            entries.push(Entry::bytes(match (entered.fault, codec::decode::<Operation>(&bytes, bytes.len())) {
                (Some(Claim { finding, accused, .. }), Ok(Operation::Evidence(evidence))) => {
                    let place = evidence::Place::Slot(slot);
                    let proved = evidence::Proved { finding, accused, place };
                    Kind::Fault {
                        slot,
                        finding: finding.number(),
                        accused: proved.key(&self.team_at(slot).records).into_iter().collect(),
                        penalty,
                        evidence: codec::encode(&*evidence),
                    }
                }
                _ => Kind::Operation { slot, bytes },
            }));
            self.state.claims.extend(entered.fault);
        }
        if self.lies(slot, Plant::UndoneOperation) {
            asked.clear();
        }
        self.state.ledger.operate(&params, slot, &asked).expect("once a slot");
        let mut operations = core::mem::take(&mut self.state.operations);
        operations.retain(|_, (bytes, _)| self.said(bytes).is_none_or(|claim| !self.state.claims.contains(&claim)));
        self.state.operations = operations;
        entries
    }

    /// What an operation says that it proves.
    fn said(&self, bytes: &[u8]) -> Option<Claim> {
        let operation = codec::decode::<Operation>(bytes, bytes.len()).ok()?;
        Some(operation::claim(operation.evidence()?, &self.anchor.network.genesis.params))
    }

    // ---- what a member must not sign -----------------------------------------------------------------------------

    fn sign_list(&self, member: MemberId, slot: Slot, leaves: Vec<Leaf>, cut: Option<Rank>) -> SignedList {
        let text = evidence::list_text(self.anchor.id, slot, member, &leaves, cut);
        let key = &self.team_at(slot).keys(member).receipt;
        SignedList { slot, member, cut, leaves, sig: key.sign(ids::list_digest(&text).as_bytes()) }
    }

    fn sign_share(&self, header: ShareHeader) -> SignedShare {
        let key = &self.team_at(header.slot).keys(header.member).receipt;
        SignedShare { sig: key.sign(evidence::share_digest(&header).as_bytes()), header }
    }

    /// Two lists of a slot that differ in `byte`.
    #[must_use]
    pub fn two_lists(&self, member: MemberId, slot: Slot, byte: u8) -> Evidence {
        let text = |leaves: Vec<Leaf>| {
            let list = self.sign_list(member, slot, leaves, None);
            (evidence::list_text(self.anchor.id, slot, member, &list.leaves, None), list.sig)
        };
        evidence::lists(text(Vec::new()), text(vec![Leaf::Op { hash: Hash([byte; 32]) }]))
    }

    /// A receipt of a member, as its holder keeps it: with the envelope, if that was submitted.
    ///
    /// # Panics
    /// If there is no such member.
    #[must_use]
    pub fn receipt(&self, member: MemberId, item: Hash, list_from: Slot, seq: u64) -> Vec<u8> {
        let schedule = self.anchor.network.genesis.params.schedule();
        let last_final = list_from.prev();
        self.receipt_by((schedule.epoch_of(last_final), member), item, [last_final, list_from], seq)
    }

    /// As [`World::receipt`], of a member of this epoch's committee, whenever it says that it gave it: `slots` are the last
    /// one that it knew final, and the first one to list in.
    ///
    /// # Panics
    /// If there is no such member.
    #[must_use]
    pub fn receipt_by(&self, by: (Epoch, MemberId), item: Hash, slots: [Slot; 2], seq: u64) -> Vec<u8> {
        let ((epoch, member), [last_final, list_from]) = (by, slots);
        let receipt = Receipt {
            name: tlog::checkpoint::receipt_name(self.anchor.policy.origin(), member),
            kind: ReceiptKind::Envelope,
            item,
            network: self.anchor.id,
            last_final,
            list_from,
            admit_by: list_from.next(),
            expires: Slot(40),
            seq,
            time: Timestamp(1_000),
        };
        let key = &self.team(epoch).keys(member).receipt;
        let note = tlog::receipt::sign(&receipt, key).expect("a name");
        let hex = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let envelope = self.sealed.get(&item).map(|bytes| format!("envelope {}\n", hex(bytes)));
        [note, envelope.unwrap_or_default()].concat().into_bytes()
    }

    /// A piece of evidence of every kind against a member, signed by it.
    ///
    /// # Panics
    /// Without an envelope or a final block.
    #[must_use]
    pub fn guilt(&self, member: MemberId, slot: Slot) -> Vec<Evidence> {
        let network = self.anchor.id;
        let cut = Some(Rank { fee_per_byte: 1, hash: Hash::ZERO });
        let epoch = self.anchor.network.genesis.params.schedule().epoch_of(slot);
        let vote = |byte: u8| {
            let vote = Vote::Notarize { parent_view: 1, digest: Hash([byte; 32]) };
            let key = self.team_at(slot).voters.keys.get(usize::from(member.0)).expect("a member");
            Voted { vote, sig: key.sign(&evidence::voted_bytes(&network, epoch, 9, &vote)) }
        };
        let bytes = self.sealed.values().next().expect("an envelope");
        let envelope: types::Envelope = codec::decode(bytes, bytes.len()).expect("it was encoded");
        let unit = ids::hash_envelope(&envelope);
        let mut block = Block::genesis(network).header;
        (block.height, block.view, block.set) = (slot, slot.0, merkle::set_ref(&[unit]));
        let chunk: Vec<G1Bytes> = self.anchor.network.keys.decrypt.iter().take(1).copied().collect();
        let header = ShareHeader {
            version: 1,
            network,
            epoch,
            slot,
            digest: ids::block_digest(&block),
            member,
            mode: ShareMode::Direct,
            items: 1,
            beacon: G2Bytes([0; 96]),
            head: Head { size: 9, root: Hash([9; 32]) },
            cosig: SignatureStamp::ZERO,
            root: merkle::root(&[evidence::chunk_leaf(0, &chunk)]),
        };
        let share = self.sign_share(header.clone());
        let other = self.sign_share(ShareHeader { root: Hash([8; 32]), ..header });
        let proof = self.proofs.get(&slot).expect("a final block").clone();
        let unit_path = merkle::path(&[unit], 0).unwrap_or_default();
        let chunk_path = unit_path.clone();
        let opening = Opening::Key(types::Key128([9; 16]));
        let leaf = evidence::opening_leaf(0, &opening);
        let said = OpeningHeader {
            version: 1,
            network,
            epoch,
            slot,
            digest: ids::block_digest(&block),
            member,
            openings: merkle::set_ref(&[leaf]),
        };
        let key = &self.team_at(slot).keys(member).receipt;
        let wrong = OpeningFault {
            sig: key.sign(evidence::openings_digest(&said).as_bytes()),
            header: said,
            block: block.clone(),
            unit: 0,
            unit_path: unit_path.clone(),
            envelope: envelope.clone(),
            opening,
            at: 0,
            path: Vec::new(),
        };
        let fault = ShareFault { share: share.clone(), block, unit: 0, unit_path, envelope, chunk, chunk_path };
        let receipt = |item: u8| {
            let receipt = Receipt {
                name: tlog::checkpoint::receipt_name(self.anchor.policy.origin(), member),
                kind: ReceiptKind::Envelope,
                item: Hash([item; 32]),
                network,
                last_final: slot.prev(),
                list_from: slot,
                admit_by: slot.next(),
                expires: slot.plus(9),
                seq: 5,
                time: Timestamp(1_000),
            };
            let key = &self.team_at(slot).keys(member).receipt;
            (receipt.text(), key.sign(receipt.text().as_bytes()))
        };
        vec![
            evidence::receipts(member, receipt(1), receipt(2)),
            self.two_lists(member, slot, 1),
            Evidence::ListInvalid { list: self.sign_list(member, slot, Vec::new(), cut) },
            evidence::votes(epoch, 9, member, vote(1), vote(2)),
            evidence::shares(share.clone(), other),
            Evidence::ShareBad { fault: fault.into() },
            Evidence::BeaconBad { share: share.clone().into() },
            Evidence::ShareStray { share: share.into(), proof },
            Evidence::OpeningBad { fault: wrong.into() },
        ]
    }
}
