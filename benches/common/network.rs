//! A network of four members for benches: dealt keys, two demo rollups, wallets that really sign and seal.
#![expect(clippy::expect_used, reason = "a bench: what does not hold ends it with the reason")]

use crypto::{
    dealer::{Deal, Voters, deal},
    ed25519::SigningKey,
    hash::t256,
};
use execution::{
    Executor, Registry,
    genesis::{self, RollupGenesis},
};
use types::{
    Amount, Balance, ChainId, Epoch, Fork, Genesis, Hash, MemberAddress, MemberId, MemberRecord, Network, Params,
    RollupSpec, Slot, Timestamp, wire,
};
use wallet::{
    NetworkView,
    demo::{DemoKind, DemoWallet, Made},
};
use zeroize::Zeroizing;

pub(crate) const MEMBERS: u16 = 4;
pub(crate) const FAULTS: u16 = 1;
pub(crate) const SLOT_MS: u64 = 500;
/// Unix seconds of the rollups' genesis.
pub(crate) const GENESIS_TIME: u64 = 1_800_000_000;
const SEED: [u8; 32] = [0xbe; 32];
/// Of one account in one slot: `Params::account_slot_count`.
pub(crate) const PER_WALLET: usize = 8;

/// Seeds of a member's keys.
pub(crate) fn key(role: &str, member: u16) -> SigningKey {
    SigningKey::from_seed(Zeroizing::new(t256(role, &[&SEED, &member.to_le_bytes()]).0))
}

pub(crate) struct Net {
    pub(crate) network: Network,
    pub(crate) id: Hash,
    pub(crate) rollups: Vec<(RollupSpec, RollupGenesis)>,
    pub(crate) deal: Deal,
    pub(crate) voters: Voters,
    view: NetworkView,
    wallets: Vec<DemoWallet>,
}

impl Net {
    /// A network on whose ledger and rollups this many wallets are funded.
    pub(crate) fn new(wallets: u32) -> Self {
        let chains = [ChainId(901), ChainId(902)];
        let wallets: Vec<DemoWallet> =
            (0..wallets).map(|i| DemoWallet::new(&SEED, i, &chains, 4 * PER_WALLET)).collect();
        let senders: Vec<_> = wallets.iter().map(DemoWallet::sender).collect();
        let rollups: Vec<_> = chains
            .into_iter()
            .map(|chain| genesis::demo(chain, Fork::Cancun, GENESIS_TIME, &senders))
            .map(|(genesis, spec)| (spec, genesis))
            .collect();
        let deal = deal(MEMBERS, FAULTS, &SEED);
        let voters = Voters::new(MEMBERS, FAULTS, &SEED);
        let record = |member: u16, consensus: &SigningKey| MemberRecord {
            name: format!("member-{member}"),
            consensus: consensus.public(),
            log: key("log", member).public(),
            cosigner: key("cosigner", member).public(),
            receipt: key("receipt", member).public(),
            tls: Hash::ZERO,
        };
        let balance = |wallet: &DemoWallet| Balance {
            address: wallet.fee_account(),
            balance: Amount::new(1 << 60).unwrap_or(Amount::ZERO),
            bond: Amount::ZERO,
        };
        let mut balances: Vec<_> = wallets.iter().map(balance).collect();
        balances.sort_by_key(|balance| balance.address);
        let genesis = Genesis {
            origin: "example.net/bench".into(),
            members: (0..MEMBERS).zip(&voters.keys).map(|(member, key)| record(member, key)).collect(),
            params: Params::default_for(SLOT_MS),
            rollups: rollups.iter().map(|(spec, _)| spec.clone()).collect(),
            balances,
        };
        let nowhere = || String::from("127.0.0.1:1");
        let address =
            |member| MemberAddress { member: MemberId(member), p2p: nowhere(), quic: nowhere(), http: nowhere() };
        let network = Network { genesis, keys: deal.parts.clone(), addresses: (0..MEMBERS).map(address).collect() };
        let id = crypto::ids::network_id(&network.genesis);
        let view = NetworkView::new(&network).expect("a network of four");
        Self { network, id, rollups, deal, voters, view, wallets }
    }

    pub(crate) fn params(&self) -> &Params {
        &self.network.genesis.params
    }

    pub(crate) fn executor(&self) -> Executor {
        Executor::genesis(&self.rollups, SLOT_MS).expect("specification and genesis file belong together")
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::new(&self.network.genesis.rollups, SLOT_MS)
    }

    /// Sealed bundles of these kinds in turn, from one wallet after the other, payable in the first slots.
    pub(crate) fn seal(&mut self, kinds: &[DemoKind], count: usize) -> Vec<Made> {
        let params = wire::Params {
            network: self.id,
            epoch: Epoch(0),
            last_final: Slot(0),
            opened: Slot(0),
            byte_price: self.params().byte_price_min,
            gas_price: self.params().gas_price_min,
            reserve: self.params().reserve_floor,
            time_ms: Timestamp(GENESIS_TIME * 1_000),
            ms_to_close: 0,
        };
        let wallets = self.wallets.len();
        let mut made = Vec::with_capacity(count);
        for (i, kind) in (0..count).zip(kinds.iter().cycle()) {
            let wallet = self.wallets.get_mut(i % wallets).expect("a wallet");
            let draw = t256("bench", &[&u64::try_from(i).unwrap_or(0).to_le_bytes(), wallet.sender().as_ref()]);
            let entropy = Zeroizing::new(t256("entropy", &[draw.as_ref(), &wallet.under_way().to_le_bytes()]).0);
            made.push(wallet.make(&self.view, &params, *kind, 100, draw, entropy).expect("a funded wallet"));
        }
        made
    }
}
