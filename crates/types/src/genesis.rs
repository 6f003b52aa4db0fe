//! The genesis file `network.toml`: what every command anchors on.
use crate::{
    Account, Address, Amount, ChainId, Epoch, EpochRecord, G1Bytes, G2Bytes, Hash, MemberId, Nonce, Record, SetRef,
};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// The file. Network id = SHA-256("lockstep/genesis/v1" | codec(`genesis`)): addresses may change, key sets stand in EPOCH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// What the network id covers.
    pub genesis: Genesis,
    /// The key set of epoch 0.
    pub keys: KeySetParts,
    /// Where members listen.
    pub addresses: Vec<MemberAddress>,
}

impl Network {
    /// f of n = 3f + 1.
    #[must_use]
    pub fn faults(&self) -> u16 {
        u16::try_from(self.genesis.members.len().saturating_sub(1).checked_div(3).unwrap_or(0)).unwrap_or(u16::MAX)
    }
    /// The registry of epoch 0: opening balances by address, then rollups by chain id.
    #[must_use]
    pub fn registry(&self) -> Vec<Record> {
        let accounts = self.genesis.balances.iter().map(|b| Record::Account {
            address: b.address,
            account: Account { balance: b.balance, bond: b.bond, nonce: Nonce(0) },
        });
        let rollups = self.genesis.rollups.iter().map(|spec| Record::Rollup { spec: spec.clone() });
        accounts.chain(rollups).collect()
    }
    /// EPOCH(0): the roots are those of the registry's records, the opening accounts and the rollups' states.
    #[must_use]
    pub fn first_epoch(&self, network: Hash, rules: Hash, registry: SetRef, ledger: Hash, states: Hash) -> EpochRecord {
        let schedule = self.genesis.params.schedule();
        EpochRecord {
            epoch: Epoch(0),
            first_slot: schedule.first(Epoch(0)),
            last_slot: schedule.last(Epoch(0)),
            network,
            prev: Hash::ZERO,
            rules,
            since: Epoch(0),
            f: self.faults(),
            members: self.genesis.members.clone(),
            decrypt: self.keys.decrypt.clone(),
            decrypt_g2: self.keys.decrypt_g2,
            share_keys_g2: self.keys.share_keys_g2.clone(),
            beacon: self.keys.beacon.clone(),
            revealed: self.keys.revealed.clone(),
            params: self.genesis.params.clone(),
            registry,
            reserve: self.genesis.params.reserve_floor,
            ledger,
            states,
        }
    }
}

/// What a network is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Log origin: `<domain>/<network>`, below 200 bytes, no spaces or `+`.
    pub origin: String,
    /// Ascending by consensus key; n = 3f + 1.
    pub members: Vec<crate::MemberRecord>,
    /// Parameters of epoch 0.
    pub params: Params,
    /// Ascending by chain id.
    pub rollups: Vec<RollupSpec>,
    /// Ascending by address.
    pub balances: Vec<Balance>,
}

/// An opening balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Balance {
    /// Fee account or builder.
    pub address: Address,
    /// Spendable.
    pub balance: Amount,
    /// Builder's bond.
    pub bond: Amount,
}

/// Where a member listens; host:port each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberAddress {
    /// Which member.
    pub member: MemberId,
    /// Committee transport, TCP.
    pub p2p: String,
    /// Ingress, UDP.
    pub quic: String,
    /// Log, metrics and read API, TCP.
    pub http: String,
}

/// A key set in the encodings of `threshold_crypto`: commitments of both secrets, q = 2f + 1 each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySetParts {
    /// Commitments of the decryption secret; the first is PK.
    pub decrypt: Vec<G1Bytes>,
    /// PK2 = x G^.
    pub decrypt_g2: G2Bytes,
    /// x_j G^ per member, by index: what blame checks decryption shares against.
    pub share_keys_g2: Vec<G2Bytes>,
    /// Commitments of the beacon secret.
    pub beacon: Vec<G1Bytes>,
    /// Members whose shares were revealed in the ceremony.
    pub revealed: Vec<MemberId>,
}

/// EVM rules of a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fork {
    /// Cancun.
    Cancun,
    /// Prague.
    Prague,
}

/// What a rollup is (rollups.md section 3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollupSpec {
    /// 1 to 2^63 - 1.
    pub chain_id: ChainId,
    /// EVM rules.
    pub fork: Fork,
    /// Gas of a block.
    pub gas_limit: u64,
    /// Gas of a leg.
    pub max_leg_gas: u64,
    /// Receives tips.
    pub fee_recipient: Address,
    /// Mailbox contract; zero: none.
    pub mailbox: Address,
    /// Hash of the genesis block.
    pub genesis: Hash,
    /// Executed here.
    pub exec: bool,
    /// For people.
    pub operator: Address,
}

/// How the winner pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pricing {
    /// The second bidder's amount.
    Second,
    /// Its own.
    First,
}

/// Who combines the shares of a slot (crypto.md section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevealMode {
    /// Everybody combines everything up to [`Self::DIRECT_MEMBERS_MAX`] members, above that a few combine each item.
    #[default]
    Auto,
    /// Everybody combines everything.
    Direct,
    /// A few members combine each item and publish what opens it.
    Sharded,
}

impl RevealMode {
    /// Members up to which `Auto` means `Direct`.
    pub const DIRECT_MEMBERS_MAX: usize = 16;

    /// Whether a committee of so many members shares the work.
    #[must_use]
    pub const fn is_sharded(self, members: usize) -> bool {
        match self {
            Self::Auto => members > Self::DIRECT_MEMBERS_MAX,
            Self::Direct => false,
            Self::Sharded => true,
        }
    }
}

/// Combiners of an item by default.
pub const COMBINERS: u8 = 2;
/// Combiners of an item at most.
pub const COMBINERS_MAX: u8 = 3;

fn combiners() -> u8 {
    COMBINERS
}

/// Parameters of an epoch (wallets-and-builders.md section 2). Prices in base units, shares in basis points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Slots of an epoch: the same in every epoch of a network.
    pub epoch_slots: u64,
    /// Length of a slot, ms.
    pub slot_ms: u64,
    /// Units of a set.
    pub count_limit: u32,
    /// Size-class bytes of a set.
    pub bytes_limit: u64,
    /// Gas of a set.
    pub gas_limit: u64,
    /// Share of each limit that rank alone fills.
    pub forced_bps: u16,
    /// Floor of the price of a byte.
    pub byte_price_min: Amount,
    /// Floor of the price of a unit of gas.
    pub gas_price_min: Amount,
    /// Unit bond, in multiples of the base fee.
    pub unit_bond_base: u64,
    /// Live envelopes of one account.
    pub account_live_max: u32,
    /// Units of one account in a set.
    pub account_slot_count: u32,
    /// Size-class bytes of one account in a set.
    pub account_slot_bytes: u64,
    /// How far ahead an envelope may expire, slots.
    pub expiry_slots_max: u64,
    /// Slots that an opened unit may wait for gas.
    pub carry_slots_max: u64,
    /// Bonded builders that may bid.
    pub max_builders: u16,
    /// Highest `seq` of a bid, body or tail.
    pub bid_seq_max: u8,
    /// Unit of `cap_class`.
    pub cap_unit: Amount,
    /// Least price of a slot.
    pub reserve_floor: Amount,
    /// Epochs until an unbonded amount can be withdrawn.
    pub unbond_epochs: u64,
    /// beta: the placing builder's share of a fee.
    pub builder_fee_bps: u16,
    /// kappa: most that comes back of a fee.
    pub rebate_cap_bps: u16,
    /// Of a price, to users.
    pub price_users_bps: u16,
    /// Of a price, to rollups.
    pub price_rollups_bps: u16,
    /// Of a price, to the committee.
    pub price_committee_bps: u16,
    /// Codec bytes of a tail.
    pub tail_bytes_max: u32,
    /// Bundles of a tail.
    pub tail_bundles_max: u16,
    /// Of a rollup's block gas, reserved for tails.
    pub tail_gas_bps: u16,
    /// First or second price.
    pub pricing: Pricing,
    /// That a trusted dealer may have made the keys, as the genesis announces it. Nothing acts on it: neither network.toml
    /// nor the log says who made a key set, which only the transcript of a ceremony shows.
    pub allow_dealer: bool,
    /// What a FAULT records against a member, for settlement: members have no bonds on the ledger.
    #[serde(default)]
    pub member_penalty: Amount,
    /// Who combines shares.
    #[serde(default)]
    pub reveal: RevealMode,
    /// Combiners of an item where a few combine it.
    #[serde(default = "combiners")]
    pub combiners: u8,
}

impl Params {
    /// The defaults of wallets-and-builders.md section 2, for slots of `slot_ms`.
    #[must_use]
    pub fn default_for(slot_ms: u64) -> Self {
        let amount = |units| Amount::new(units).unwrap_or(Amount::ZERO);
        Self {
            epoch_slots: 120,
            slot_ms,
            count_limit: 4_096,
            bytes_limit: 4 << 20,
            gas_limit: 1 << 28,
            forced_bps: 5_000,
            byte_price_min: amount(16),
            gas_price_min: amount(1),
            unit_bond_base: 4,
            account_live_max: 16,
            account_slot_count: 8,
            account_slot_bytes: 64 << 10,
            expiry_slots_max: 256,
            carry_slots_max: 1,
            max_builders: 64,
            bid_seq_max: 3,
            cap_unit: amount(1_000_000_000_000_000),
            reserve_floor: amount(10_000_000_000_000),
            unbond_epochs: 2,
            builder_fee_bps: 1_000,
            rebate_cap_bps: 5_000,
            price_users_bps: 5_000,
            price_rollups_bps: 4_500,
            price_committee_bps: 500,
            tail_bytes_max: 60 << 10,
            tail_bundles_max: 16,
            tail_gas_bps: 1_000,
            pricing: Pricing::Second,
            allow_dealer: false,
            member_penalty: Amount::ZERO,
            reveal: RevealMode::Auto,
            combiners: COMBINERS,
        }
    }
}
