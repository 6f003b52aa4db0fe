//! Which genesis files open a ledger.
use crate::terms::{class_bytes, gas_class_max, share_floor};
use types::{Address, COMBINERS_MAX, ChainId, EPOCH_SLOTS_MIN, Genesis, Params, limits};

/// Of a block's gas, what execution reserves for tails (rollups.md, "Gas").
const TAIL_GAS_BPS: u16 = 1_000;

/// Why a genesis is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// The origin is not `<domain>/<network>`, below 200 bytes, without spaces or `+`.
    #[error("origin is not domain/network")]
    Origin,
    /// The number of members is not 3f + 1, or above the limit.
    #[error("{0} members are not 3f + 1 of at most 128")]
    MemberCount(usize),
    /// Members are not strictly ascending by consensus key.
    #[error("member {0} is not above the one before by consensus key")]
    MemberOrder(usize),
    /// Balances are not strictly ascending by address.
    #[error("balance of {0} is not above the one before by address")]
    BalanceOrder(Address),
    /// Opening balances and bonds sum to 2^96 or more.
    #[error("opening balances sum to 2^96 or more")]
    Supply,
    /// Too many rollups.
    #[error("{0} rollups are more than 128")]
    RollupCount(usize),
    /// Rollups are not strictly ascending by chain id, or the id is out of range.
    #[error("rollup {0} is not above the one before, or no chain id")]
    RollupOrder(ChainId),
    /// A parameter is out of its range; its name.
    #[error("parameter {0} is out of range")]
    Parameter(&'static str),
    /// what comes back of a fee to a coalition of payer, builder and f members exceeds nine tenths.
    #[error("beta + kappa + (1 - beta) / 3 exceeds 9/10")]
    Returns,
    /// the split of a price does not sum to 10^4.
    #[error("price split does not sum to 10000")]
    PriceSplit,
    /// the largest size class does not fit a quarter of the forced bytes.
    #[error("largest size class exceeds a quarter of the forced bytes")]
    LargestClass,
}

/// Checks all that the ledger's rules rest on.
pub(crate) fn check(genesis: &Genesis) -> Result<(), GenesisError> {
    check_origin(&genesis.origin)?;
    let members = &genesis.members;
    if members.len() > limits::MEMBERS_MAX || members.len().checked_rem(3) != Some(1) {
        return Err(GenesisError::MemberCount(members.len()));
    }
    if let Some(at) = not_ascending(members.iter().map(|member| member.consensus)) {
        return Err(GenesisError::MemberOrder(at));
    }
    if genesis.rollups.len() > limits::ROLLUPS_MAX {
        return Err(GenesisError::RollupCount(genesis.rollups.len()));
    }
    let wrong = |id: &ChainId| id.0 == 0 || id.0 > u64::MAX.wrapping_shr(1);
    let mut ids = genesis.rollups.iter().map(|spec| spec.chain_id);
    let at = not_ascending(ids.clone()).and_then(|at| ids.clone().nth(at));
    if let Some(id) = at.or_else(|| ids.find(wrong)) {
        return Err(GenesisError::RollupOrder(id));
    }
    let addresses = genesis.balances.iter().map(|balance| balance.address);
    if let Some(address) = not_ascending(addresses.clone()).and_then(|at| addresses.clone().nth(at)) {
        return Err(GenesisError::BalanceOrder(address));
    }
    check_params(&genesis.params)
}

/// The first place whose key is not above the one before.
fn not_ascending<K: Ord>(keys: impl Iterator<Item = K>) -> Option<usize> {
    let mut before: Option<K> = None;
    for (at, key) in keys.enumerate() {
        if before.as_ref().is_some_and(|before| *before >= key) {
            return Some(at);
        }
        before = Some(key);
    }
    None
}

fn check_origin(origin: &str) -> Result<(), GenesisError> {
    let plain = origin.len() < 200 && origin.chars().all(|c| c.is_ascii_graphic() && c != '+');
    match origin.split_once('/') {
        Some((domain, network)) if plain && !domain.is_empty() && !network.is_empty() => Ok(()),
        _ => Err(GenesisError::Origin),
    }
}

/// Whether parameters are such as an epoch may have.
#[must_use]
pub fn holds_params(params: &Params) -> bool {
    check_params(params).is_ok()
}

fn check_params(params: &Params) -> Result<(), GenesisError> {
    let items = params.count_limit.saturating_add(params.max_builders.into());
    // two of each seq that a builder may send
    let bids = usize::from(params.bid_seq_max).saturating_add(1).saturating_mul(2);
    let bids = bids.saturating_mul(params.max_builders.into());
    let ranges = [
        ("forced_bps", params.forced_bps > 0 && params.forced_bps <= 10_000),
        ("epoch_slots", params.epoch_slots >= EPOCH_SLOTS_MIN),
        ("slot_ms", params.slot_ms > 0),
        // a share message holds shares of a set and of every builder's bid
        ("count_limit", params.count_limit > 0 && items <= limits::SET_COUNT_MAX),
        ("max_builders", bids <= limits::LIST_BIDS_MAX),
        // Below 2^32, so that the product of A-34 stays below 2^128.
        ("bytes_limit", params.bytes_limit > 0 && params.bytes_limit <= u64::from(u32::MAX)),
        ("gas_limit", params.gas_limit <= u64::from(u32::MAX) && gas_class_max(params).is_some()),
        ("account_live_max", params.account_live_max > 0),
        ("account_slot_count", params.account_slot_count > 0),
        ("account_slot_bytes", params.account_slot_bytes > 0),
        ("expiry_slots_max", params.expiry_slots_max > 0),
        ("builder_fee_bps", params.builder_fee_bps <= 10_000),
        ("rebate_cap_bps", params.rebate_cap_bps <= 10_000),
        ("combiners", (1..=COMBINERS_MAX).contains(&params.combiners)),
        // execution divides a block's gas so, whatever else would stand here
        ("tail_gas_bps", params.tail_gas_bps == TAIL_GAS_BPS),
    ];
    if let Some((name, _)) = ranges.iter().find(|(_, holds)| !holds) {
        return Err(GenesisError::Parameter(name));
    }
    // A-25, times 3 x 10^4: 3 beta + 3 kappa + (1 - beta) <= 27/10.
    let (beta, kappa) = (u32::from(params.builder_fee_bps), u32::from(params.rebate_cap_bps));
    let returned = beta.saturating_mul(2).saturating_add(kappa.saturating_mul(3)).saturating_add(10_000);
    if returned > 27_000 {
        return Err(GenesisError::Returns);
    }
    let split = [params.price_users_bps, params.price_rollups_bps, params.price_committee_bps];
    if split.iter().map(|bps| u32::from(*bps)).fold(0u32, u32::saturating_add) != 10_000 {
        return Err(GenesisError::PriceSplit);
    }
    let largest = limits::SIZE_CLASS_BYTES.iter().zip(0u8..).map(|(_, class)| class_bytes(class)).max().unwrap_or(0);
    if largest > share_floor(params.bytes_limit, params.forced_bps).wrapping_shr(2) {
        return Err(GenesisError::LargestClass);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
