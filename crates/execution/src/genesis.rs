//! A rollup's genesis file, in geth's format, so that stock clients load it unchanged (rollups.md section 3).
//!
//! Read strictly: a field, fork or schedule that would make a client compute another chain than we do is refused.
use crate::{contracts, demo, state::State, unit::SYSTEM_ACCOUNT};
use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use alloy_consensus::{Header, constants::EMPTY_WITHDRAWALS};
use alloy_eips::{
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE},
    eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE},
    eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE},
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::{Address as EvmAddress, B64, B256, Bytes, U256};
use core::fmt;
use revm::bytecode::Bytecode;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use types::{Address, ChainId, Fork, Hash, RollupSpec, limits};

pub use crate::demo::DemoAddresses;

/// Why bytes are no genesis file that we execute.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// Longer than any network file.
    #[error("longer than the limit")]
    TooLong,
    /// No JSON of geth's format, or a field that we do not know.
    #[error("not a genesis file")]
    Json(#[source] serde_json::Error),
    /// The chain id is not 1 to 2^63 - 1.
    #[error("chain id out of range")]
    ChainId,
    /// A fork up to Cancun is not active from the start, or one above Prague is named.
    #[error("forks other than Cancun or Prague from genesis")]
    Fork,
    /// The blob schedule is not Ethereum's.
    #[error("blob schedule other than Ethereum's")]
    BlobSchedule,
    /// The difficulty is not zero.
    #[error("difficulty is not zero")]
    Difficulty,
    /// The extra data is longer than 32 bytes.
    #[error("extra data longer than 32 bytes")]
    ExtraData,
    /// An account with nothing in it, which clients treat differently.
    #[error("empty account {0}")]
    EmptyAccount(Address),
    /// Code that no transaction could have deployed.
    #[error("code of account {0} is not deployable")]
    Code(Address),
    /// A contract that the fork's block processing calls is missing.
    #[error("system contract {0} is missing")]
    SystemContract(Address),
}

/// A genesis file, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupGenesis {
    fork: Fork,
    file: File,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    config: Config,
    #[serde(default)]
    nonce: Quantity,
    #[serde(default)]
    timestamp: Quantity,
    #[serde(default)]
    extra_data: Data,
    gas_limit: Quantity,
    #[serde(default)]
    difficulty: Quantity,
    #[serde(default)]
    mix_hash: Hash,
    #[serde(default = "zero_address")]
    coinbase: Address,
    base_fee_per_gas: Quantity,
    alloc: BTreeMap<Address, AllocAccount>,
}

fn zero_address() -> Address {
    Address::ZERO
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AllocAccount {
    #[serde(default)]
    balance: Quantity,
    #[serde(default, skip_serializing_if = "Quantity::is_zero")]
    nonce: Quantity,
    #[serde(default, skip_serializing_if = "Data::is_empty")]
    code: Data,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    storage: BTreeMap<Word, Word>,
}

/// Geth's chain configuration. Every fork up to Shanghai's timestamp must be there and zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    chain_id: u64,
    homestead_block: u64,
    #[serde(rename = "eip150Block")]
    eip150_block: u64,
    #[serde(rename = "eip155Block")]
    eip155_block: u64,
    #[serde(rename = "eip158Block")]
    eip158_block: u64,
    byzantium_block: u64,
    constantinople_block: u64,
    petersburg_block: u64,
    istanbul_block: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    muir_glacier_block: Option<u64>,
    berlin_block: u64,
    london_block: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arrow_glacier_block: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gray_glacier_block: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    merge_netsplit_block: Option<u64>,
    terminal_total_difficulty: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    terminal_total_difficulty_passed: Option<bool>,
    shanghai_time: u64,
    cancun_time: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prague_time: Option<u64>,
    blob_schedule: BTreeMap<String, BlobParams>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BlobParams {
    target: u64,
    max: u64,
    base_fee_update_fraction: u64,
}

const CANCUN_BLOBS: BlobParams = BlobParams { target: 3, max: 6, base_fee_update_fraction: 3_338_477 };
const PRAGUE_BLOBS: BlobParams = BlobParams { target: 6, max: 9, base_fee_update_fraction: 5_007_716 };

fn blob_schedule(fork: Fork) -> BTreeMap<String, BlobParams> {
    let mut schedule = BTreeMap::from([("cancun".to_string(), CANCUN_BLOBS)]);
    if fork == Fork::Prague {
        schedule.insert("prague".to_string(), PRAGUE_BLOBS);
    }
    schedule
}

impl Config {
    fn new(chain_id: u64, fork: Fork) -> Self {
        Self {
            chain_id,
            homestead_block: 0,
            eip150_block: 0,
            eip155_block: 0,
            eip158_block: 0,
            byzantium_block: 0,
            constantinople_block: 0,
            petersburg_block: 0,
            istanbul_block: 0,
            muir_glacier_block: None,
            berlin_block: 0,
            london_block: 0,
            arrow_glacier_block: None,
            gray_glacier_block: None,
            merge_netsplit_block: Some(0),
            terminal_total_difficulty: 0,
            terminal_total_difficulty_passed: Some(true),
            shanghai_time: 0,
            cancun_time: 0,
            prague_time: (fork == Fork::Prague).then_some(0),
            blob_schedule: blob_schedule(fork),
        }
    }

    fn fork(&self) -> Option<Fork> {
        let fixed = [
            self.homestead_block,
            self.eip150_block,
            self.eip155_block,
            self.eip158_block,
            self.byzantium_block,
            self.constantinople_block,
            self.petersburg_block,
            self.istanbul_block,
            self.berlin_block,
            self.london_block,
            self.terminal_total_difficulty,
            self.shanghai_time,
            self.cancun_time,
        ];
        let optional =
            [self.muir_glacier_block, self.arrow_glacier_block, self.gray_glacier_block, self.merge_netsplit_block];
        let merged = self.terminal_total_difficulty_passed.unwrap_or(true);
        if !merged || fixed.iter().chain(optional.iter().flatten()).any(|at| *at != 0) {
            return None;
        }
        match self.prague_time {
            None => Some(Fork::Cancun),
            Some(0) => Some(Fork::Prague),
            Some(_) => None,
        }
    }
}

/// Contracts that a client calls at the start or the end of every block of the fork.
fn system_contracts(fork: Fork) -> Vec<(Address, Bytes)> {
    let mut contracts = Vec::from([(BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE.clone())]);
    if fork == Fork::Prague {
        contracts.extend([
            (HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE.clone()),
            (WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE.clone()),
            (CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE.clone()),
        ]);
    }
    contracts.into_iter().map(|(address, code)| (Address(address.into_array()), code)).collect()
}

/// Reads a genesis file.
///
/// # Errors
/// [`GenesisError`]: what is refused, and why.
pub fn parse(json: &[u8]) -> Result<RollupGenesis, GenesisError> {
    if json.len() > limits::NETWORK_FILE_BYTES_MAX {
        return Err(GenesisError::TooLong);
    }
    let file: File = serde_json::from_slice(json).map_err(GenesisError::Json)?;
    let id = file.config.chain_id;
    if id == 0 || i64::try_from(id).is_err() {
        return Err(GenesisError::ChainId);
    }
    let fork = file.config.fork().ok_or(GenesisError::Fork)?;
    if file.config.blob_schedule != blob_schedule(fork) {
        return Err(GenesisError::BlobSchedule);
    }
    if file.difficulty != Quantity::default() {
        return Err(GenesisError::Difficulty);
    }
    if file.extra_data.0.len() > 32 {
        return Err(GenesisError::ExtraData);
    }
    for fits_u64 in [&file.nonce, &file.timestamp, &file.gas_limit, &file.base_fee_per_gas] {
        fits_u64.checked_u64().map_err(GenesisError::Json)?;
    }
    for (address, account) in &file.alloc {
        account.nonce.checked_u64().map_err(GenesisError::Json)?;
        if account.balance.is_zero() && account.nonce.is_zero() && account.code.is_empty() {
            return Err(GenesisError::EmptyAccount(*address));
        }
        Bytecode::new_raw_checked(account.code.0.clone()).map_err(|_undeployable| GenesisError::Code(*address))?;
    }
    for (address, code) in system_contracts(fork) {
        if file.alloc.get(&address).is_none_or(|account| account.code.0 != code) {
            return Err(GenesisError::SystemContract(address));
        }
    }
    Ok(RollupGenesis { fork, file })
}

impl RollupGenesis {
    /// The file: indented, keys in a fixed order, equal for equal contents.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(&self.file).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// Hash of the genesis block.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash_with(self.state().root())
    }

    /// Root of the state trie over `alloc`.
    #[must_use]
    pub fn state_root(&self) -> Hash {
        Hash(self.state().root().0)
    }

    /// EIP-155 chain id.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        ChainId(self.file.config.chain_id)
    }

    /// EVM rules.
    #[must_use]
    pub fn fork(&self) -> Fork {
        self.fork
    }

    /// Gas of a block.
    #[must_use]
    pub fn gas_limit(&self) -> u64 {
        self.file.gas_limit.to_u64()
    }

    /// Unix seconds.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.file.timestamp.to_u64()
    }

    /// Base fee of the genesis block, wei per gas.
    #[must_use]
    pub fn base_fee(&self) -> u64 {
        self.file.base_fee_per_gas.to_u64()
    }

    pub(crate) fn state(&self) -> State {
        let mut state = State::new();
        for (address, account) in &self.file.alloc {
            let storage = account.storage.iter().map(|(slot, value)| (slot.0, value.0));
            let code = if account.code.is_empty() {
                Bytecode::default()
            } else {
                Bytecode::new_raw_checked(account.code.0.clone()).unwrap_or_default()
            };
            state.insert(EvmAddress::from(address.0), account.nonce.to_u64(), account.balance.0, code, storage);
        }
        state
    }

    pub(crate) fn hash_with(&self, state_root: B256) -> Hash {
        let header = Header {
            beneficiary: EvmAddress::from(self.file.coinbase.0),
            state_root,
            gas_limit: self.gas_limit(),
            timestamp: self.timestamp(),
            extra_data: self.file.extra_data.0.clone(),
            mix_hash: B256::from(self.file.mix_hash.0),
            nonce: B64::from(self.file.nonce.to_u64().to_be_bytes()),
            base_fee_per_gas: Some(self.base_fee()),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: (self.fork == Fork::Prague).then_some(EMPTY_REQUESTS_HASH),
            // The rest is what an empty first block has: zeros and roots of nothing.
            ..Header::default()
        };
        Hash(header.hash_slow().0)
    }
}

/// Wei of native coin that a demo genesis gives to each funded account: 10,000 coins.
pub const DEMO_NATIVE: u128 = 10_000 * DEMO_COIN;
/// Tokens that it gives, base units: 10,000,000 tokens of 18 decimals.
pub const DEMO_TOKENS: u128 = 10_000_000 * DEMO_COIN;
/// Coins in the demo market, wei.
pub const DEMO_RESERVE_NATIVE: u128 = 1_000 * DEMO_COIN;
/// Tokens in the demo market, base units.
pub const DEMO_RESERVE_TOKENS: u128 = 2_000_000 * DEMO_COIN;
/// Base units of a coin or token.
pub const DEMO_COIN: u128 = 1_000_000_000_000_000_000;
/// Gas of a demo rollup's block.
pub const DEMO_GAS_LIMIT: u64 = 30_000_000;

/// Where the demo contracts are, on every demo rollup.
#[must_use]
pub fn demo_addresses() -> DemoAddresses {
    demo::ADDRESSES
}

/// A rollup to try things on: each funded account has coins, tokens and a full allowance to the market, and the market
/// has its reserves.
#[must_use]
pub fn demo(chain_id: ChainId, fork: Fork, timestamp: u64, funded: &[Address]) -> (RollupGenesis, RollupSpec) {
    let DemoAddresses { token, amm } = demo_addresses();
    let mut alloc = BTreeMap::new();
    for (address, code) in system_contracts(fork) {
        alloc
            .insert(address, AllocAccount { nonce: Quantity::from(1u64), code: Data(code), ..AllocAccount::default() });
    }
    let system = AllocAccount { balance: Quantity::from(1u128 << 96), ..AllocAccount::default() };
    alloc.insert(SYSTEM_ACCOUNT, system);

    let mut balances = BTreeMap::from([(amm, DEMO_RESERVE_TOKENS)]);
    for account in funded {
        let coins = AllocAccount { balance: Quantity::from(DEMO_NATIVE), ..AllocAccount::default() };
        alloc.insert(*account, coins);
        balances.insert(*account, DEMO_TOKENS);
    }
    let supply = balances.values().fold(U256::ZERO, |sum, tokens| sum.saturating_add(U256::from(*tokens)));
    let mut token_storage = BTreeMap::from([(Word::from(contracts::TOKEN_TOTAL_SUPPLY), Word(supply))]);
    for (owner, tokens) in &balances {
        token_storage.insert(Word(contracts::token_balance_slot(owner)), Word(U256::from(*tokens)));
        if *owner != amm {
            token_storage.insert(Word(contracts::token_allowance_slot(owner, &amm)), Word(U256::MAX));
        }
    }
    let amm_storage = BTreeMap::from([
        (Word::from(contracts::AMM_TOKEN), Word(U256::from_be_slice(token.as_ref()))),
        (Word::from(contracts::AMM_RESERVE_NATIVE), Word(U256::from(DEMO_RESERVE_NATIVE))),
        (Word::from(contracts::AMM_RESERVE_TOKEN), Word(U256::from(DEMO_RESERVE_TOKENS))),
    ]);
    let contract = |code: Bytes, balance: u128, storage| AllocAccount {
        balance: Quantity::from(balance),
        nonce: Quantity::from(1u64),
        code: Data(code),
        storage,
    };
    alloc.insert(token, contract(contracts::token_code(), 0, token_storage));
    alloc.insert(amm, contract(contracts::amm_code(), DEMO_RESERVE_NATIVE, amm_storage));

    let file = File {
        config: Config::new(chain_id.0, fork),
        nonce: Quantity::default(),
        timestamp: Quantity::from(timestamp),
        extra_data: Data::default(),
        gas_limit: Quantity::from(DEMO_GAS_LIMIT),
        difficulty: Quantity::default(),
        mix_hash: Hash::ZERO,
        coinbase: Address::ZERO,
        base_fee_per_gas: Quantity::from(1_000_000_000u64),
        alloc,
    };
    let genesis = RollupGenesis { fork, file };
    let spec = RollupSpec {
        chain_id,
        fork,
        gas_limit: DEMO_GAS_LIMIT,
        max_leg_gas: 7_500_000,
        fee_recipient: demo::FEE_RECIPIENT,
        mailbox: Address::ZERO,
        genesis: genesis.hash(),
        exec: true,
        operator: Address::ZERO,
    };
    (genesis, spec)
}

/// A number: geth writes hex text, accepts decimal text and JSON numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Quantity(U256);

impl From<u64> for Quantity {
    fn from(value: u64) -> Self {
        Self(U256::from(value))
    }
}

impl From<u128> for Quantity {
    fn from(value: u128) -> Self {
        Self(U256::from(value))
    }
}

impl Quantity {
    fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
    fn checked_u64(&self) -> Result<u64, serde_json::Error> {
        u64::try_from(self.0).map_err(|_large| de::Error::custom("number of 2^64 or more"))
    }
    fn to_u64(self) -> u64 {
        self.0.saturating_to()
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number below 2^256")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Quantity, E> {
                Ok(Quantity::from(value))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                let (digits, radix) = match text.strip_prefix("0x") {
                    Some(digits) => (digits, 16),
                    None => (text, 10),
                };
                parse_number(digits, radix).map(Quantity).ok_or_else(|| E::custom("not a number below 2^256"))
            }
        }
        d.deserialize_any(Visitor)
    }
}

/// A storage slot or its value: 32 bytes of hex, or fewer, as other tools write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Word(U256);

impl From<u64> for Word {
    fn from(value: u64) -> Self {
        Self(U256::from(value))
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        Hash(self.0.to_be_bytes()).serialize(s)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let number = text.strip_prefix("0x").and_then(|digits| parse_number(digits, 16));
        number.map(Self).ok_or_else(|| de::Error::custom("not a word of 32 bytes"))
    }
}

/// Digits alone, at least one.
fn parse_number(digits: &str, radix: u64) -> Option<U256> {
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if plain { U256::from_str_radix(digits, radix).ok() } else { None }
}

/// Bytes as `0x` hex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Data(Bytes);

impl Data {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(&text)).map_err(de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

#[cfg(test)]
mod tests;
