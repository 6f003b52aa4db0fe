//! Goal: the committed artifacts belong to the committed sources. Method: hashes and the
//! compiler's storage layout.
use super::*;
use crate::roots::sha256;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Full {
    contract: String,
    solc: String,
    source_sha256: String,
    code_sha256: String,
    storage: BTreeMap<String, u64>,
}

fn check(json: &str, source: &str, name: &str, code: &Bytes, storage: &[(&str, u64)]) {
    let full: Full = serde_json::from_str(json).unwrap();
    let hex = |bytes: &[u8]| hex::encode(sha256(&[bytes]).0);
    assert_eq!(full.contract, name);
    assert!(full.solc.starts_with("0.8.37+"), "{}", full.solc);
    assert_eq!(full.source_sha256, hex(source.as_bytes()), "{name}.sol changed: run build.mjs");
    assert_eq!(full.code_sha256, hex(code), "{name}.json: code");
    assert!(code.len() > 1_000);
    let expected = storage.iter().map(|(label, slot)| (String::from(*label), *slot)).collect();
    assert_eq!(full.storage, expected);
}

#[test]
fn artifacts_belong_to_their_sources() {
    let token = [("totalSupply", TOKEN_TOTAL_SUPPLY), ("balanceOf", TOKEN_BALANCE_OF), ("allowance", TOKEN_ALLOWANCE)];
    check(TOKEN_JSON, include_str!("../../contracts/Token.sol"), "Token", &token_code(), &token);
    let amm = [("token", AMM_TOKEN), ("reserveNative", AMM_RESERVE_NATIVE), ("reserveToken", AMM_RESERVE_TOKEN)];
    check(AMM_JSON, include_str!("../../contracts/Amm.sol"), "Amm", &amm_code(), &amm);
}

#[test]
fn the_lock_file_names_no_host() {
    assert!(!include_str!("../../contracts/package-lock.json").contains("\"resolved\""));
}
