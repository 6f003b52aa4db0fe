//! A network of four in one struct: it plays all members, with real keys, lists, votes, shares and executions, and
//! writes the log that they would write. For tests of the auditor, here and in the workspace; deterministic in its seed.
//!
//! [`World::plant`] makes 2f + 1 of the members lie about a slot, and signs again what follows from it.
#![expect(clippy::expect_used, reason = "for tests: what is made here belongs together")]
#![expect(clippy::disallowed_methods, reason = "the tokens here are made from real votes")]
mod close;
mod guilt;
mod open;
mod serve;
mod team;

use crate::Anchor;
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec,
    vec::Vec,
};
use auction_rules::{Claim, Ledger, Terms};
use crypto::{
    dealer::{Deal, deal},
    eip712,
    eth::EthKey,
    hash::t256,
    ids,
    keys::KeySet,
    merkle,
    succession::Succession,
    tdh2,
};
use execution::{
    Executor,
    demo::{LegTx, TRANSFER_GAS},
    genesis::{RollupGenesis, demo},
};
use guilt::HeldOperations;
pub use serve::tile_of;
use team::Team;
use tlog::Tree;
use types::{
    Address, Amount, Balance, Bid, BidHeader, BidText, Block, BlockHeader, Bundle, ChainId, Entry, Envelope,
    EnvelopeHeader, Epoch, EpochFacts, EpochRecord, Epochs, FinalityProof, Fork, Genesis, Hash, Head, Kind,
    MemberAddress, MemberId, Network, Nonce, Params, Policy, RollupSpec, SetRef, SignedHeader, SizeClass, Slot,
    SlotResult, Timestamp, codec, reason::Outcome,
};

/// The demo rollups.
pub const CHAINS: [ChainId; 2] = [ChainId(901), ChainId(902)];
/// Members.
pub const MEMBERS: u16 = 4;
/// How many of them may be faulty.
pub const FAULTY: u16 = 1;
/// Payers, each with money on the ledger and coins on both rollups.
pub const PAYERS: usize = 6;
/// Time of the rollups' genesis, seconds.
const START: u64 = 1_800_000_000;
/// Time of the first block.
const START_MS: u64 = START.saturating_mul(1_000);

/// A lie about a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The first two units change places: `order-wrong`.
    SwapOrder,
    /// A listed candidate is left out for want of room: `forced-omitted`.
    OmitListed,
    /// The worst unit of a full set is left out for want of room: `set-wrong`.
    OmitWorst,
    /// The best bid is left out, as if it had not been admissible: `bid-omitted`.
    DropBid,
    /// A bid's key that opens nothing: `bid-opening-wrong`.
    WrongBidOpening,
    /// Another winner than the rules give: `winner-wrong`.
    WrongWinner,
    /// One more than the price: `price-wrong`.
    WrongPrice,
    /// Another reserve than the rule gives: `reserve-wrong`.
    WrongReserve,
    /// A key that opens nothing: `opening-wrong`.
    WrongOpening,
    /// A state root that execution does not give: `exec-root-wrong`.
    WrongStateRoot,
    /// More fees charged than paid: `fees-wrong`.
    WrongFee,
    /// The last member's list says that it was cut, although there was room: `list-invalid`.
    CutWithRoom,
    /// A FAULT that its evidence does not prove: `fault-false`.
    FalseFault,
    /// A FAULT of a claim that the log has already: `fault-false`.
    SecondFault,
    /// A FAULT that says that it takes one more than the ledger does: `penalty-wrong`.
    WrongSlash,
    /// An account's operation that it did not sign: `operation-invalid`.
    FalseOperation,
    /// What accounts ask for is entered and not done: their fees are in no rebate, `fees-wrong`.
    UndoneOperation,
    /// A listed operation is left out for want of room: `operation-omitted`.
    OmitOperation,
    /// The last member lists an envelope at a fee that its header does not offer: `list-item-wrong`.
    WrongLeaf,
}

/// What to submit.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who pays and sends: below [`PAYERS`].
    pub payer: usize,
    /// The offer, in percent of the base fee at floor prices.
    pub percent: u64,
    /// Who holds it, and lists it.
    pub holders: Vec<MemberId>,
    /// Units that must stand before it; those of other payers consent.
    pub after: Vec<Hash>,
    /// Whether it can be opened.
    pub opens: bool,
    /// Whether its payer signs.
    pub signed: bool,
    /// Whether other payers consent to being named in `after`.
    pub consents: bool,
    /// Instead of the payer's next nonce.
    pub nonce: Option<Nonce>,
}

impl Draft {
    /// A transfer on both rollups, at twice the base fee, held by every member.
    #[must_use]
    pub fn of(payer: usize) -> Self {
        let holders = (0..MEMBERS).map(MemberId).collect();
        Self { payer, percent: 200, holders, after: Vec::new(), opens: true, signed: true, consents: true, nonce: None }
    }
}

/// Whether a payer is a bonded builder: the first three are.
pub const BUILDERS: usize = 3;

/// An envelope that members hold.
#[derive(Clone, Debug)]
struct Held {
    envelope: Envelope,
    holders: Vec<MemberId>,
}

/// What a slot starts from.
#[derive(Clone, Debug)]
struct State {
    ledger: Ledger,
    executor: Executor,
    tree: Tree,
    last: BlockHeader,
    reveal: Head,
    close: Head,
    pending: Vec<(Slot, Vec<Hash>, SlotResult)>,
    left_heads: BTreeSet<Hash>,
    pool: BTreeMap<Hash, Held>,
    /// For the slot after the next, held by every member.
    bids: Vec<Bid>,
    epochs: Epochs,
    succession: Succession,
    states: Hash,
    operations: HeldOperations,
    claims: BTreeSet<Claim>,
    entries: usize,
}

/// A slot that was made, to make it again.
#[derive(Clone, Debug)]
struct Step {
    before: State,
    added: BTreeMap<Hash, Held>,
    added_operations: HeldOperations,
    bids: Vec<Bid>,
    empty: bool,
}

/// See the module.
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct World {
    anchor: Anchor,
    rollups: Vec<(RollupSpec, RollupGenesis)>,
    deal: Deal,
    keys: KeySet,
    /// By the epoch that they begin in.
    teams: Vec<Team>,
    payers: Vec<EthKey>,
    fee_nonces: Vec<u64>,
    chain_nonces: Vec<u64>,
    submitted: BTreeMap<Hash, usize>,
    sealed: BTreeMap<Hash, Vec<u8>>,
    seed: [u8; 32],
    state: State,
    added: BTreeMap<Hash, Held>,
    added_operations: HeldOperations,
    added_bids: Vec<Bid>,
    forged: bool,
    steps: Vec<Step>,
    entries: Vec<Vec<u8>>,
    proofs: BTreeMap<Slot, FinalityProof>,
    heads: BTreeMap<Slot, Head>,
    lie: Option<(Slot, Plant)>,
}

fn seed_of(seed: &[u8; 32], what: &str, index: u64) -> [u8; 32] {
    t256("verifier test", &[seed, what.as_bytes(), &index.to_le_bytes()]).0
}

fn index(place: usize) -> u64 {
    u64::try_from(place).expect("small")
}

fn payer_key(seed: &[u8; 32], place: usize) -> EthKey {
    EthKey::from_bytes(seed_of(seed, "payer", index(place)).into()).expect("a hash is a secret key")
}

impl World {
    /// A network at genesis.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn new(seed: u8) -> Self {
        Self::with_params(seed, Params::default_for(500))
    }

    /// A network with these parameters.
    ///
    /// # Panics
    /// If no network may have them.
    #[must_use]
    pub fn with_params(seed: u8, params: Params) -> Self {
        let seed = [seed; 32];
        let deal = deal(MEMBERS, FAULTY, &seed);
        let team = Team::genesis(&seed);
        let payers: Vec<EthKey> = (0..PAYERS).map(|i| payer_key(&seed, i)).collect();
        let funded: Vec<Address> = payers.iter().map(EthKey::address).collect();
        let demos = CHAINS.iter().map(|chain| demo(*chain, Fork::Prague, START, &funded));
        let rollups: Vec<_> = demos.map(|(genesis, spec)| (spec, genesis)).collect();
        let network = network(&deal, &team, &funded, &rollups, params);
        let anchor = Anchor::new(network, rollups.clone()).expect("the genesis keeps the rules");
        let keys = deal.key_set();
        let executor = anchor.executor().expect("the demo rollups execute");
        let states = executor.states_root();
        let first = anchor.first_epoch(states);
        let leaf = merkle::leaf_hash(&Entry::bytes(Kind::Epoch(first.clone().into())));
        let state = State {
            ledger: anchor.ledger.clone(),
            executor,
            epochs: Epochs::new(first, leaf),
            succession: Succession::default(),
            states,
            tree: Tree::new(),
            last: Block::genesis(anchor.id).header,
            reveal: Tree::new().head(),
            close: Tree::new().head(),
            pending: Vec::new(),
            left_heads: BTreeSet::new(),
            pool: BTreeMap::new(),
            bids: Vec::new(),
            operations: BTreeMap::new(),
            claims: BTreeSet::new(),
            entries: 0,
        };
        let mut world = Self {
            anchor,
            rollups,
            deal,
            keys,
            teams: vec![team],
            payers,
            fee_nonces: vec![0; PAYERS],
            chain_nonces: vec![0; PAYERS],
            submitted: BTreeMap::new(),
            sealed: BTreeMap::new(),
            seed,
            state,
            added: BTreeMap::new(),
            added_operations: BTreeMap::new(),
            added_bids: Vec::new(),
            forged: false,
            steps: Vec::new(),
            entries: Vec::new(),
            proofs: BTreeMap::new(),
            heads: BTreeMap::new(),
            lie: None,
        };
        world.genesis();
        world
    }

    fn genesis(&mut self) {
        let records = self.anchor.network.registry();
        let registry = Entry::bytes(Kind::Registry { epoch: Epoch(0), first: 0, records });
        self.append(vec![Entry::bytes(Kind::Epoch(self.state.epochs.last().clone().into())), registry]);
        self.state.reveal = self.state.tree.head();
    }

    fn append(&mut self, entries: Vec<Vec<u8>>) {
        for entry in &entries {
            self.state.tree.append(entry);
        }
        self.entries.truncate(self.state.entries);
        self.entries.extend(entries);
        self.state.entries = self.entries.len();
    }

    /// What an audit anchors on.
    #[must_use]
    pub fn anchor(&self) -> &Anchor {
        &self.anchor
    }
    /// The account of a payer.
    ///
    /// # Panics
    /// When there is no such payer.
    #[must_use]
    pub fn payer(&self, payer: usize) -> Address {
        self.payers.get(payer).expect("a payer").address()
    }
    /// The key of a payer.
    #[must_use]
    pub fn payer_key(&self, payer: usize) -> EthKey {
        payer_key(&self.seed, payer)
    }
    /// The rollups with their genesis.
    #[must_use]
    pub fn rollups(&self) -> &[(RollupSpec, RollupGenesis)] {
        &self.rollups
    }
    /// All entries: up to the last opening.
    #[must_use]
    pub fn log(&self) -> &[Vec<u8>] {
        &self.entries
    }
    /// The last slot.
    #[must_use]
    pub fn last_slot(&self) -> Slot {
        self.state.last.height
    }
    /// The ledger after the last CLOSE.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.state.ledger
    }
    /// The rollups after the last opened slot.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        &self.state.executor
    }
    /// Head over all entries.
    #[must_use]
    pub fn tree_head(&self) -> Head {
        self.state.tree.head()
    }
    /// The head that was published at the close of a slot.
    #[must_use]
    pub fn close_head(&self, slot: Slot) -> Option<Head> {
        self.heads.get(&slot).copied()
    }
    /// Headers and votes of a slot, as a member serves them.
    #[must_use]
    pub fn finality(&self, slot: Slot) -> Option<Vec<u8>> {
        self.proofs.get(&slot).map(codec::encode)
    }

    /// Seals a transfer on both rollups and gives it to its holders; the envelope's hash.
    ///
    /// # Panics
    /// If there is no such payer.
    pub fn submit(&mut self, draft: Draft) -> Hash {
        let serial = index(self.submitted.len());
        let own = self.fee_nonces.get_mut(draft.payer).expect("a payer");
        let nonce = draft.nonce.unwrap_or(Nonce(*own));
        if draft.nonce.is_none() {
            *own = own.saturating_add(1);
        }
        let bundle = self.bundle(&draft, serial);
        let plaintext = codec::encode(&bundle);
        let class = SizeClass::holding(plaintext.len()).expect("a class");
        let message = tdh2::pad(&plaintext, class.bytes()).expect("it fits");
        let key = payer_key(&self.seed, draft.payer);
        let gas_class = execution::demo::gas_class(TRANSFER_GAS.saturating_mul(2));
        let params = &self.anchor.network.genesis.params;
        let floor = auction_rules::Prices { byte: params.byte_price_min.units(), gas: params.gas_price_min.units() };
        let base = auction_rules::base_fee(&floor, class.index(), gas_class).expect("a fee");
        let max_fee = base.checked_mul(draft.percent).and_then(|fee| fee.units().checked_div(100));
        let mut after = draft.after.clone();
        after.sort_unstable();
        let header = EnvelopeHeader {
            version: EnvelopeHeader::VERSION,
            network: self.anchor.id,
            epoch: params.schedule().epoch_of(self.state.last.height.next()),
            expiry_slot: self.state.last.height.plus(40),
            fee_account: key.address(),
            nonce,
            size_class: class.index(),
            gas_class,
            max_fee: max_fee.and_then(Amount::new).expect("an amount"),
            after,
        };
        let aad = tdh2::envelope_aad(&header);
        let group = self.keys.encryption_key();
        let entropy = seed_of(&self.seed, "entropy", serial);
        let ciphertext = if draft.opens {
            tdh2::seal(group, entropy.into(), &aad, &message)
        } else {
            let mut k = [0; 16];
            k.copy_from_slice(entropy.first_chunk::<16>().expect("32 bytes"));
            tdh2::seal_undecryptable(group, &k, &aad, &message).expect("the scalars are not zero")
        };
        let consents =
            header.after.iter().filter_map(|unit| self.consent(unit, &header)).filter(|_| draft.consents).collect();
        let digest = eip712::envelope_digest(&header, &ids::ciphertext_hash(&ciphertext));
        let signature = key.sign(&if draft.signed { digest } else { flip(digest) });
        let envelope = Envelope { signed: SignedHeader { header, signature, consents }, ciphertext };
        let hash = ids::hash_envelope(&envelope);
        self.submitted.insert(hash, draft.payer);
        self.sealed.insert(hash, codec::encode(&envelope));
        self.added.insert(hash, Held { envelope, holders: draft.holders });
        hash
    }

    /// The bytes of an envelope that was submitted.
    ///
    /// # Panics
    /// If there is none of this hash.
    #[must_use]
    pub fn sealed(&self, hash: &Hash) -> Vec<u8> {
        self.sealed.get(hash).expect("it was submitted").clone()
    }

    fn consent(&self, unit: &Hash, header: &EnvelopeHeader) -> Option<types::EthSignature> {
        let key = self.payers.get(*self.submitted.get(unit)?).filter(|key| key.address() != header.fee_account)?;
        Some(key.sign(&eip712::consent_digest(&header.network, unit, &header.fee_account, header.nonce)))
    }

    fn bundle(&mut self, draft: &Draft, serial: u64) -> Bundle {
        let nonce = self.chain_nonces.get_mut(draft.payer).expect("a payer");
        let key = self.payers.get(draft.payer).expect("a payer");
        let leg = |chain_id| {
            let tx = LegTx {
                chain_id,
                nonce: *nonce,
                to: Address([0x77; 20]),
                value: 1,
                data: Vec::new(),
                gas_limit: TRANSFER_GAS,
                max_fee_per_gas: 10_000_000_000,
                max_priority_fee_per_gas: 0,
            };
            tx.leg(&key.sign(&tx.digest()))
        };
        let legs = CHAINS.into_iter().map(leg).collect();
        if draft.opens && draft.nonce.is_none() {
            *nonce = nonce.saturating_add(1);
        }
        Bundle {
            version: Bundle::VERSION,
            policy: Policy::AtomicExec,
            legs,
            deadline_slot: self.state.last.height.plus(80),
            salt: Hash(seed_of(&self.seed, "salt", serial)),
        }
    }

    /// A bid in the auction of the next slot, held by every member: `None` is garbage.
    ///
    /// # Panics
    /// When there is no such payer.
    pub fn bid(&mut self, payer: usize, seq: u8, units: Option<u128>) -> Hash {
        let bid = self.sealed_bid(payer, self.state.last.height.next().next(), seq, units);
        let hash = ids::bid_hash(&bid);
        self.added_bids.push(bid);
        hash
    }

    fn sealed_bid(&self, payer: usize, sold: Slot, seq: u8, units: Option<u128>) -> Bid {
        let key = self.payers.get(payer).expect("a payer");
        let header = BidHeader {
            version: BidHeader::VERSION,
            network: self.anchor.id,
            epoch: self.anchor.network.genesis.params.schedule().epoch_of(sold.prev()),
            slot: sold,
            bidder: key.address(),
            seq,
            cap_class: 2,
        };
        let text = |units| BidText {
            amount: Amount::new(units).expect("an amount"),
            tail_recipient: Address::ZERO,
            salt: Hash([seq; 32]),
        };
        let plain = units.map_or(vec![0xff; 9], |units| codec::encode(&text(units)));
        let entropy = t256("bid", &[&codec::encode(&header), &plain]).0.into();
        crypto::bid::seal_bytes(self.keys.encryption_key(), entropy, key, header, &plain).expect("it fits")
    }

    /// Closes, fixes and opens the next slot with what members hold.
    pub fn slot(&mut self) {
        self.step(false);
    }
    /// The next slot is an empty block.
    pub fn empty_slot(&mut self) {
        self.step(true);
    }

    fn step(&mut self, empty: bool) {
        let added = core::mem::take(&mut self.added);
        let added_operations = core::mem::take(&mut self.added_operations);
        let bids = core::mem::take(&mut self.added_bids);
        self.steps.push(Step { before: self.state.clone(), added, added_operations, bids, empty });
        self.replay(self.steps.len().saturating_sub(1));
    }

    /// Makes the steps from this one on, again.
    fn replay(&mut self, from: usize) {
        let steps: Vec<Step> = self.steps.iter().skip(from).cloned().collect();
        if let Some(first) = steps.first() {
            self.state = first.before.clone();
        }
        for (place, step) in (from..).zip(steps) {
            if let Some(stored) = self.steps.get_mut(place) {
                stored.before = self.state.clone();
            }
            self.state.pool.extend(step.added);
            self.state.operations.extend(step.added_operations);
            self.state.bids = step.bids;
            self.make(step.empty);
        }
    }

    /// 2f + 1 members lie about the last slot whose EXEC is in the log. All that follows is made again from the lie.
    ///
    /// # Panics
    /// With fewer than two slots, of which the last has lists.
    pub fn plant(&mut self, plant: Plant) {
        assert!(self.steps.last().is_some_and(|last| !last.empty), "an EXEC stands before a block with lists");
        let place = self.steps.len().checked_sub(2).expect("a complete slot");
        let slot = self.steps.get(place).map(|step| step.before.last.height.next()).expect("a step");
        self.lie = Some((slot, plant));
        self.replay(place);
        self.lie = None;
    }

    fn lies(&self, slot: Slot, plant: Plant) -> bool {
        self.lie == Some((slot, plant))
    }

    fn make(&mut self, empty: bool) {
        let judged = self.state.ledger.clone();
        let mut section = if empty { Vec::new() } else { self.settle() };
        let parent = self.state.last.clone();
        let slot = parent.height.next();
        let mut header = Block::genesis(self.anchor.id).header;
        let schedule = self.anchor.network.genesis.params.schedule();
        header.height = slot;
        header.epoch = schedule.epoch_of(slot);
        header.view = slot.0;
        header.time_ms = Timestamp(parent.time_ms.0.max(START_MS).saturating_add(500));
        header.proposer = MemberId(u16::try_from(slot.0.checked_rem(MEMBERS.into()).unwrap_or(0)).unwrap_or(0));
        header.parent = ids::block_digest(&parent);
        let closed = if empty { None } else { Some(self.close_lists(&judged, &mut header)) };
        if schedule.announced(slot).is_some() {
            let State { epochs, succession, ledger, states, .. } = &mut self.state;
            let reserve = ledger.reserve(schedule.epoch_of(slot).next()).expect("it is decided");
            let facts = EpochFacts { ledger: ledger.account_root(), states: *states, reserve };
            let current = epochs.last();
            let members = succession.takes_over(current).unwrap_or(&current.members).to_vec();
            let said = EpochRecord { members, ..current.clone() };
            let next = succession.announce_as(epochs, facts, &said);
            let entry = Entry::bytes(Kind::Epoch(next.clone().into()));
            epochs.announced(next, merkle::leaf_hash(&entry));
            section.push(entry);
        }
        let prices = judged.prices();
        let selection = closed.as_ref().map(|c| &c.selection);
        section.push(Entry::bytes(Kind::Close {
            slot,
            header: header.clone(),
            candidates: closed.as_ref().map_or(SetRef::EMPTY, |c| c.candidates),
            bytes: selection.map_or(0, |s| s.bytes),
            gas: selection.map_or(0, |s| s.gas),
            forced: selection.map_or(0, |s| s.forced),
            cut: selection.and_then(|s| s.cut),
            byte_price: prices.byte,
            gas_price: prices.gas,
        }));
        let set: Vec<Hash> = selection.map_or(Vec::new(), |s| s.set.clone());
        let (entries, operations, bids) = closed.map(|c| (c.entries, c.operations, c.bids)).unwrap_or_default();
        section.extend(entries);
        let sealed = core::mem::take(&mut self.state.bids);
        let counting: Vec<(Hash, Bid)> = bids
            .iter()
            .filter_map(|terms| {
                let bid = sealed.iter().find(|bid| ids::bid_hash(bid) == terms.hash)?;
                Some((terms.hash, bid.clone()))
            })
            .collect();
        let units: Vec<(Hash, Envelope)> =
            set.iter().filter_map(|hash| self.state.pool.remove(hash).map(|held| (*hash, held.envelope))).collect();
        let unit =
            |(_, envelope): &(Hash, Envelope)| Entry::bytes(Kind::Envelope { slot, bytes: codec::encode(envelope) });
        let bid = |(_, bid): &(Hash, Bid)| Entry::bytes(Kind::Bid { slot, bytes: codec::encode(bid) });
        section.extend(counting.iter().map(bid));
        section.extend(units.iter().map(unit));
        let terms: Vec<Terms> = units.iter().map(|(hash, e)| Terms::of(*hash, &e.signed.header)).collect();
        let params = self.anchor.network.genesis.params.clone();
        let ledger = &mut self.state.ledger;
        if !empty {
            ledger.lock(&params, &bids).expect("the last auction is over");
        }
        ledger.close(&params, slot, &terms).expect("the set is one that the rules give");
        if empty {
            ledger.pass_right(slot).expect("no bids");
        } else {
            section.extend(self.operation_entries(slot, &operations));
        }
        self.append(section);
        self.state.close = self.state.tree.head();
        self.heads.insert(slot, self.state.close);
        self.proofs.insert(slot, self.finalize(vec![header.clone()]));
        self.state.last = header;
        if schedule.is_last(slot) {
            self.state.left_heads.clear();
        }
        self.open(slot, &counting, &units);
        if schedule.is_last(slot) {
            self.hand_over(schedule.epoch_of(slot));
        }
    }

    /// C of the slots that wait for it.
    fn settle(&mut self) -> Vec<Vec<u8>> {
        let params = self.anchor.network.genesis.params.clone();
        let mut entries = Vec::new();
        for (slot, order, result) in core::mem::take(&mut self.state.pending) {
            let outcome = |code: &u8| Outcome::from_number(*code).expect("a known outcome");
            let outcomes: Vec<_> = order.iter().copied().zip(result.outcomes.iter().map(outcome)).collect();
            let mut sums = self.state.ledger.settle(&params, slot, &outcomes, &[]).expect("the outcomes settle");
            self.state.states = result.states;
            let mut chains = result.chains.clone();
            if self.lies(slot, Plant::WrongStateRoot) {
                chains.iter_mut().take(1).for_each(|chain| chain.post = flip(chain.post));
            }
            if self.lies(slot, Plant::WrongFee) {
                let one = Amount::new(1).unwrap_or_default();
                sums.iter_mut().skip(4).take(1).for_each(|sum| *sum = sum.checked_add(one).unwrap_or_default());
            }
            entries.push(Entry::bytes(Kind::Exec {
                slot,
                outcomes: result.outcomes,
                carry: result.carry,
                steps: result.steps,
                chains,
                sums,
                mailbox: result.mailbox,
                ledger: self.state.ledger.chain(),
                batch: result.batch,
            }));
        }
        entries
    }
}

fn flip(hash: Hash) -> Hash {
    let Hash(mut bytes) = hash;
    bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    Hash(bytes)
}

fn network(
    deal: &Deal,
    team: &Team,
    funded: &[Address],
    rollups: &[(RollupSpec, RollupGenesis)],
    params: Params,
) -> Network {
    let balance = |(i, address): (u8, &Address)| {
        // the last payer is poor
        let units = if usize::from(i).saturating_add(1) == PAYERS { 1 << 18 } else { 1u128 << 60 };
        let bond = if usize::from(i) < BUILDERS { 1u128 << 60 } else { 0 };
        let amount = |units| Amount::new(units).unwrap_or_default();
        Balance { address: *address, balance: amount(units), bond: amount(bond) }
    };
    let mut balances: Vec<Balance> = (0u8..).zip(funded).map(balance).collect();
    balances.sort_by_key(|balance| balance.address);
    let listen: String = "127.0.0.1:1".into();
    let address =
        |i: u16| MemberAddress { member: MemberId(i), p2p: listen.clone(), quic: listen.clone(), http: listen.clone() };
    let genesis = Genesis {
        origin: "example.net/test".into(),
        members: team.records.clone(),
        params,
        rollups: rollups.iter().map(|(spec, _)| spec.clone()).collect(),
        balances,
    };
    Network { genesis, keys: deal.parts.clone(), addresses: (0..MEMBERS).map(address).collect() }
}
