//! Networks whose keys a test dealer made: everything but that is what a node has.
use auction_rules::Act;
use crypto::{
    dealer::{Voters, deal},
    ed25519::SigningKey,
    eip712,
    eth::EthKey,
    finality::{VoteKind, vote_message},
    hash, ids,
    keys::KeySet,
    succession::Ceremony,
    tdh2,
};
use execution::{
    Executor, Registry,
    demo::{LegTx, TRANSFER_GAS, gas_class},
    genesis,
};
use sequencer::{Former, Secrets, Setup, SignKeys, Timings};
use std::sync::{Arc, OnceLock};
use tlog::checkpoint::Policy;
use types::{
    AccountHeader, Address, Amount, Balance, Bid, BidHeader, BidText, BlockHeader, Bundle, ChainId, Envelope,
    EnvelopeHeader, Epoch, EthSignature, Fork, Genesis, Hash, MemberId, MemberRecord, Network, Nonce, Operation,
    Params, RevealMode, SignedHeader, Slot, VoteSig, codec,
};
use verifier::{Anchor, Checks, Committee, Replay};
use zeroize::Zeroizing;

pub(crate) const CHAIN: ChainId = ChainId(901);
pub(crate) const SLOT_MS: u64 = 500;
/// Wallets with money on the ledger and on the rollup.
pub(crate) const WALLETS: usize = 20;
/// Wallets that are bonded builders.
pub(crate) const BUILDERS: usize = 6;
/// Wallets with money on the ledger.
pub(crate) const PAYERS: usize = 300;
pub(crate) const SEED: [u8; 32] = [0x5e; 32];

/// A network: its genesis, its members' keys.
pub(crate) struct Net {
    pub(crate) n: usize,
    pub(crate) f: usize,
    pub(crate) network: Network,
    pub(crate) id: Hash,
    pub(crate) anchor: Anchor,
    pub(crate) keys: Arc<KeySet>,
    pub(crate) secrets: Vec<Arc<Secrets>>,
    pub(crate) voters: Voters,
    pub(crate) policy: Policy,
    pub(crate) registry: Registry,
    /// At genesis.
    pub(crate) executor: Executor,
    /// Entries before the first section.
    pub(crate) genesis_entries: Vec<Vec<u8>>,
}

/// Who works in an epoch, and who did before it.
pub(crate) struct Term {
    pub(crate) committee: Arc<Committee>,
    pub(crate) before: Option<(Epoch, Arc<Committee>)>,
}

fn seed(use_of: &str, at: u16) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(hash::t256(use_of, &[&SEED, &at.to_le_bytes()]).0)
}

fn key(use_of: &str, at: u16) -> SigningKey {
    SigningKey::from_seed(seed(use_of, at))
}

impl Net {
    /// n = 4, the defaults.
    pub(crate) fn four() -> &'static Self {
        static NET: OnceLock<Net> = OnceLock::new();
        NET.get_or_init(|| Self::new(4, Params::default_for(SLOT_MS)))
    }
    /// n = 4, twelve units a slot: sets overflow.
    pub(crate) fn narrow() -> &'static Self {
        static NET: OnceLock<Net> = OnceLock::new();
        NET.get_or_init(|| Self::new(4, Params { count_limit: 12, ..Params::default_for(SLOT_MS) }))
    }
    /// n = 4 and a few that combine, epochs of 16 slots.
    pub(crate) fn sharded() -> &'static Self {
        static NET: OnceLock<Net> = OnceLock::new();
        NET.get_or_init(|| Self::new(4, Self::sharded_params()))
    }
    /// The same with n = 7.
    pub(crate) fn sharded_seven() -> &'static Self {
        static NET: OnceLock<Net> = OnceLock::new();
        NET.get_or_init(|| Self::new(7, Self::sharded_params()))
    }
    fn sharded_params() -> Params {
        Params { epoch_slots: 16, reveal: RevealMode::Sharded, ..Params::default_for(SLOT_MS) }
    }
    /// n = 4, epochs of 16 slots.
    pub(crate) fn short_epochs() -> &'static Self {
        static NET: OnceLock<Net> = OnceLock::new();
        NET.get_or_init(|| Self::new(4, Params { epoch_slots: 16, ..Params::default_for(SLOT_MS) }))
    }
    /// n = 7, the defaults.
    pub(crate) fn seven() -> &'static Self {
        static NET: OnceLock<Net> = OnceLock::new();
        NET.get_or_init(|| Self::new(7, Params::default_for(SLOT_MS)))
    }

    pub(crate) fn new(n: u16, params: Params) -> Self {
        let f = (n - 1) / 3;
        let voters = Voters::new(n, f, &SEED);
        let member = |(at, consensus): (u16, &SigningKey)| MemberRecord {
            name: format!("m{at}"),
            consensus: consensus.public(),
            log: key("log", at).public(),
            cosigner: key("cosigner", at).public(),
            receipt: key("receipt", at).public(),
            tls: Hash([1; 32]),
        };
        let members = (0..).zip(&voters.keys).map(member).collect();
        let addresses: Vec<Address> = (0..WALLETS).map(|at| wallet(at).address()).collect();
        let (rollup, spec) = genesis::demo(CHAIN, Fork::Cancun, 1_700_000_000, &addresses);
        let amount = Amount::new(1_000_000_000_000_000_000).unwrap();
        let bond = |at: usize| if at < BUILDERS { amount } else { Amount::ZERO };
        let balance = |at: usize| Balance { address: wallet(at).address(), balance: amount, bond: bond(at) };
        let mut balances: Vec<Balance> = (0..PAYERS).map(balance).collect();
        balances.sort_by_key(|b| b.address);
        let slot_ms = params.slot_ms;
        let genesis =
            Genesis { origin: "example.net/test".into(), members, params, rollups: vec![spec.clone()], balances };
        let id = ids::network_id(&genesis);
        let dealt = deal(n, f, &SEED);
        let keys = Arc::new(dealt.key_set());
        let network = Network { genesis, keys: dealt.parts, addresses: Vec::new() };
        let secrets = dealt.decrypt.into_iter().zip(dealt.beacon);
        let secrets = secrets
            .map(|(decrypt, beacon)| Arc::new(Secrets { network: id, keys: Arc::clone(&keys), decrypt, beacon }))
            .collect();
        let anchor = Anchor::new(network.clone(), vec![(spec.clone(), rollup.clone())]).unwrap();
        let replay = Replay::new(&anchor, Checks::TRUSTED).unwrap();
        let genesis_entries = sequencer::genesis_section(&network, id, replay.ledger_root(), replay.states());
        Self {
            n: n.into(),
            f: f.into(),
            policy: Policy::new(&network.genesis.origin, &network.genesis.members, f).unwrap(),
            registry: Registry::new(&network.genesis.rollups, slot_ms),
            executor: Executor::genesis(&[(spec, rollup)], slot_ms).unwrap(),
            network,
            id,
            anchor,
            keys,
            secrets,
            voters,
            genesis_entries,
        }
    }

    pub(crate) fn quorum(&self) -> usize {
        2 * self.f + 1
    }
    pub(crate) fn params(&self) -> &Params {
        &self.network.genesis.params
    }
    pub(crate) fn members(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.n
    }
    pub(crate) fn setup(&self, member: usize, draw: u64) -> Setup {
        Setup {
            me: id(member),
            network: self.id,
            policy: self.policy.clone(),
            params: self.params().clone(),
            f: u16::try_from(self.f).unwrap(),
            members: self.network.genesis.members.clone(),
            before: None,
            ceremony: Ceremony { holds: |_, _, _| false, conclude: |_, _, _| None },
            timings: Timings::for_slot(self.params().slot_ms),
            seed: hash::sha256(&[&draw.to_le_bytes()]).0,
        }
    }
    /// In the epochs of a term.
    pub(crate) fn setup_in(&self, term: &Term, member: usize, draw: u64) -> Setup {
        let Committee { f, members, params, policy, .. } = (*term.committee).clone();
        let before = term.before.as_ref().map(|(epoch, before)| Former {
            epoch: *epoch,
            f: before.f,
            members: before.members.clone(),
            params: before.params.clone(),
            keys: Arc::new(before.keys.clone()),
        });
        Setup { f, members, params, policy, before, ..self.setup(member, draw) }
    }
    pub(crate) fn signer(&self, member: usize) -> SignKeys {
        let at = u16::try_from(member).unwrap();
        SignKeys { receipt: key("receipt", at), log: key("log", at), cosigner: key("cosigner", at) }
    }
    /// The key of lists, receipts and share messages.
    pub(crate) fn receipt_key(&self, member: usize) -> SigningKey {
        key("receipt", u16::try_from(member).unwrap())
    }
    pub(crate) fn finalize_vote(
        &self,
        member: usize,
        header: &BlockHeader,
        parent_view: u64,
        digest: &Hash,
    ) -> VoteSig {
        let message = vote_message(&self.id, VoteKind::Finalize, header.epoch.0, header.view, parent_view, digest);
        VoteSig { member: id(member), sig: self.voters.keys[member].sign(&message) }
    }
}

pub(crate) fn id(member: usize) -> MemberId {
    MemberId(u16::try_from(member).unwrap())
}

/// The key of a wallet; beyond [`PAYERS`] it has no account.
pub(crate) fn wallet(at: usize) -> EthKey {
    let bytes = hash::t256("wallet", &[&SEED, &u64::try_from(at).unwrap().to_le_bytes()]).0;
    EthKey::from_bytes(Zeroizing::new(bytes)).unwrap()
}

/// What a wallet puts into an envelope.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    /// A transfer on the rollup, with the rollup's nonce equal to the ledger's.
    Transfer,
    /// Bytes that are no bundle.
    Junk,
    /// A ciphertext that passes admission and never opens.
    Undecryptable,
}

/// What a header says.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) wallet: usize,
    pub(crate) nonce: u64,
    pub(crate) inside: Inside,
    /// Over the base fee at floor prices.
    pub(crate) tip: u128,
    pub(crate) expiry: u64,
    pub(crate) after: Vec<Hash>,
    pub(crate) consents: Vec<EthSignature>,
    pub(crate) size_class: u8,
}

impl Order {
    pub(crate) fn new(wallet: usize, nonce: u64, inside: Inside) -> Self {
        let tip = 200_000 + 1_000 * u128::try_from(wallet).unwrap();
        Self { wallet, nonce, inside, tip, expiry: 200, after: Vec::new(), consents: Vec::new(), size_class: 0 }
    }
}

/// Moves five wei on the rollup.
pub(crate) fn transfer(order: &Order) -> Bundle {
    let tx = LegTx {
        chain_id: CHAIN,
        nonce: order.nonce,
        to: wallet((order.wallet + 1) % WALLETS).address(),
        value: 5,
        data: Vec::new(),
        gas_limit: TRANSFER_GAS,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
    };
    let leg = tx.leg(&wallet(order.wallet).sign(&tx.digest()));
    let salt = Hash([7; 32]);
    Bundle { version: 1, policy: types::Policy::AtomicExec, legs: vec![leg], deadline_slot: Slot(1 << 40), salt }
}

impl Net {
    pub(crate) fn header(&self, order: &Order) -> EnvelopeHeader {
        let gas_class = gas_class(TRANSFER_GAS);
        let prices = auction_rules::Prices {
            byte: self.params().byte_price_min.units(),
            gas: self.params().gas_price_min.units(),
        };
        let base = auction_rules::base_fee(&prices, order.size_class, gas_class).unwrap().units();
        EnvelopeHeader {
            version: 1,
            network: self.id,
            epoch: Epoch(0),
            expiry_slot: Slot(order.expiry),
            fee_account: wallet(order.wallet).address(),
            nonce: Nonce(order.nonce),
            size_class: order.size_class,
            gas_class,
            max_fee: Amount::new(2 * base + order.tip).unwrap(),
            after: order.after.clone(),
        }
    }

    /// A bid of class 2 for a slot: `None` is garbage.
    pub(crate) fn bid(&self, builder: usize, slot: u64, seq: u8, units: Option<u128>) -> Bid {
        let header = BidHeader {
            version: 1,
            network: self.id,
            epoch: self.params().schedule().epoch_of(Slot(slot).prev()),
            slot: Slot(slot),
            bidder: wallet(builder).address(),
            seq,
            cap_class: 2,
        };
        let text = units.map(|units| BidText {
            amount: Amount::new(units).unwrap(),
            tail_recipient: Address::ZERO,
            salt: Hash([seq; 32]),
        });
        let plain = text.map_or(vec![0xff; 40], |text| codec::encode(&text));
        let entropy = hash::sha256(&[&codec::encode(&header), &plain]).0;
        let key = self.keys.encryption_key();
        crypto::bid::seal_bytes(key, Zeroizing::new(entropy), &wallet(builder), header, &plain).unwrap()
    }

    /// What the account of a wallet asks for.
    pub(crate) fn ask(&self, wallet_at: usize, epoch: u64, nonce: u64, act: Act) -> Operation {
        Operation::Account(
            crypto::account::sign(&wallet(wallet_at), self.account_header(wallet_at, epoch, nonce, act)).into(),
        )
    }

    pub(crate) fn account_header(&self, wallet_at: usize, epoch: u64, nonce: u64, act: Act) -> AccountHeader {
        let (kind, to) = match act {
            Act::Transfer { to, .. } => (AccountHeader::TRANSFER, to),
            Act::Bond { .. } => (AccountHeader::BOND, Address::ZERO),
            Act::Unbond { .. } => (AccountHeader::UNBOND, Address::ZERO),
            Act::Withdraw { .. } => (AccountHeader::WITHDRAW, Address::ZERO),
        };
        AccountHeader {
            version: 1,
            network: self.id,
            epoch: Epoch(epoch),
            kind,
            account: wallet(wallet_at).address(),
            nonce: Nonce(nonce),
            to,
            amount: act.amount(),
            data: Hash::ZERO,
        }
    }

    pub(crate) fn envelope(&self, order: &Order) -> (Hash, Envelope) {
        self.seal(self.header(order), order)
    }

    pub(crate) fn seal(&self, header: EnvelopeHeader, order: &Order) -> (Hash, Envelope) {
        let plain = match order.inside {
            Inside::Transfer => codec::encode(&transfer(order)),
            Inside::Junk | Inside::Undecryptable => vec![0xff; 40],
        };
        let class = types::SizeClass::new(order.size_class).unwrap().bytes();
        let padded = tdh2::pad(&plain, class).unwrap();
        let aad = tdh2::envelope_aad(&header);
        let entropy = hash::sha256(&[&aad, &plain]).0;
        let ciphertext = match order.inside {
            Inside::Undecryptable => {
                tdh2::seal_undecryptable(self.keys.encryption_key(), entropy.first_chunk().unwrap(), &aad, &padded)
                    .unwrap()
            }
            Inside::Transfer | Inside::Junk => {
                tdh2::seal(self.keys.encryption_key(), Zeroizing::new(entropy), &aad, &padded)
            }
        };
        self.sign(header, order, ciphertext)
    }

    pub(crate) fn sign(&self, header: EnvelopeHeader, order: &Order, ciphertext: Vec<u8>) -> (Hash, Envelope) {
        let digest = eip712::envelope_digest(&header, &ids::ciphertext_hash(&ciphertext));
        let signature = wallet(order.wallet).sign(&digest);
        let envelope =
            Envelope { signed: SignedHeader { header, signature, consents: order.consents.clone() }, ciphertext };
        (ids::hash_envelope(&envelope), envelope)
    }
}
