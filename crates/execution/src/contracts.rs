//! The compiled demo contracts, as `contracts/build.mjs` wrote them, and where their storage is.
use alloc::string::String;
use alloy_primitives::{Bytes, U256, keccak256};
use serde::Deserialize;
use types::Address;

pub(crate) const TOKEN_JSON: &str = include_str!("../contracts/Token.json");
pub(crate) const AMM_JSON: &str = include_str!("../contracts/Amm.json");

/// Storage slots of Token.sol; a test compares them with the compiler's layout.
pub(crate) const TOKEN_TOTAL_SUPPLY: u64 = 0;
pub(crate) const TOKEN_BALANCE_OF: u64 = 1;
pub(crate) const TOKEN_ALLOWANCE: u64 = 2;
/// Storage slots of Amm.sol.
pub(crate) const AMM_TOKEN: u64 = 0;
pub(crate) const AMM_RESERVE_NATIVE: u64 = 1;
pub(crate) const AMM_RESERVE_TOKEN: u64 = 2;

#[derive(Deserialize)]
struct Artifact {
    code: String,
}

/// The code in an artifact; empty when there is none, which a test rules out for ours.
fn code(json: &str) -> Bytes {
    let hex = serde_json::from_str::<Artifact>(json).map(|artifact| artifact.code).unwrap_or_default();
    hex::decode(hex.trim_start_matches("0x")).unwrap_or_default().into()
}

pub(crate) fn token_code() -> Bytes {
    code(TOKEN_JSON)
}

pub(crate) fn amm_code() -> Bytes {
    code(AMM_JSON)
}

/// Slot of a mapping's value: keccak256(key, padded to 32 bytes | slot of the mapping).
fn mapping_slot(key: &Address, mapping: U256) -> U256 {
    let key = U256::from_be_slice(key.as_ref()).to_be_bytes::<32>();
    U256::from_be_bytes(keccak256([key, mapping.to_be_bytes()].concat()).0)
}

/// `balanceOf[owner]` of the token.
pub(crate) fn token_balance_slot(owner: &Address) -> U256 {
    mapping_slot(owner, U256::from(TOKEN_BALANCE_OF))
}

/// `allowance[owner][spender]` of the token.
pub(crate) fn token_allowance_slot(owner: &Address, spender: &Address) -> U256 {
    mapping_slot(spender, mapping_slot(owner, U256::from(TOKEN_ALLOWANCE)))
}

#[cfg(test)]
mod tests;
