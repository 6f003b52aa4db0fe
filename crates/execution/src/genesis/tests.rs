//! Goal: the genesis file is read strictly, written stably, and hashed as other clients do. Method: demo files, faults
//! planted in them one by one, hashes that other programs computed.
use super::*;
use serde_json::{Value, json};
use std::vec;

fn demo_file(fork: Fork) -> (RollupGenesis, RollupSpec) {
    demo(ChainId(901), fork, 1_800_000_000, &[Address([0x11; 20]), Address([0x22; 20])])
}

fn edited(edit: impl FnOnce(&mut Value)) -> Result<RollupGenesis, GenesisError> {
    let mut file: Value = serde_json::from_slice(&demo_file(Fork::Prague).0.to_json()).map_err(GenesisError::Json)?;
    edit(&mut file);
    parse(file.to_string().as_bytes())
}

#[test]
fn written_and_read_again_it_is_the_same() {
    for fork in [Fork::Cancun, Fork::Prague] {
        let (genesis, spec) = demo_file(fork);
        let json = genesis.to_json();
        let again = parse(&json).unwrap();
        assert_eq!(again, genesis);
        assert_eq!(again.to_json(), json);
        assert_eq!(again.hash(), spec.genesis);
        assert_eq!((again.chain_id(), again.fork(), again.gas_limit()), (spec.chain_id, fork, spec.gas_limit));
        assert_eq!((again.timestamp(), again.base_fee()), (1_800_000_000, 1_000_000_000));
    }
}

#[test]
fn faults_are_refused_by_name() {
    use GenesisError as E;
    assert!(edited(|_| ()).is_ok());
    assert!(matches!(parse(b"{}"), Err(E::Json(_))));
    assert!(matches!(parse(&vec![b' '; limits::NETWORK_FILE_BYTES_MAX + 1]), Err(E::TooLong)));
    assert!(matches!(edited(|f| f["surprise"] = json!(1)), Err(E::Json(_))));
    assert!(matches!(edited(|f| f["config"]["osakaTime"] = json!(0)), Err(E::Json(_))));
    assert!(matches!(edited(|f| f["gasLimit"] = json!("0x10000000000000000")), Err(E::Json(_))));
    assert!(matches!(edited(|f| f["gasLimit"] = json!("0x")), Err(E::Json(_))));
    assert!(matches!(edited(|f| f["gasLimit"] = json!("1_0")), Err(E::Json(_))));
    assert!(matches!(edited(|f| f["config"]["chainId"] = json!(0)), Err(E::ChainId)));
    assert!(matches!(edited(|f| f["config"]["chainId"] = json!(1u64 << 63)), Err(E::ChainId)));
    assert!(matches!(edited(|f| f["config"]["pragueTime"] = json!(7)), Err(E::Fork)));
    assert!(matches!(edited(|f| f["config"]["londonBlock"] = json!(1)), Err(E::Fork)));
    assert!(matches!(edited(|f| f["config"]["mergeNetsplitBlock"] = json!(1)), Err(E::Fork)));
    assert!(matches!(edited(|f| f["config"]["terminalTotalDifficultyPassed"] = json!(false)), Err(E::Fork)));
    assert!(matches!(edited(|f| f["config"]["blobSchedule"]["prague"]["max"] = json!(8)), Err(E::BlobSchedule)));
    assert!(matches!(edited(|f| f["difficulty"] = json!("0x1")), Err(E::Difficulty)));
    assert!(matches!(edited(|f| f["extraData"] = json!("00".repeat(33))), Err(E::ExtraData)));
    let nobody = Address([0x33; 20]);
    let with = |account: Value| edited(|f| f["alloc"][nobody.to_string()] = account);
    assert!(matches!(with(json!({"balance": "0x0"})), Err(E::EmptyAccount(a)) if a == nobody));
    assert!(matches!(with(json!({"balance": "0x1", "code": "0xef0100"})), Err(E::Code(a)) if a == nobody));
    assert!(matches!(with(json!({"balance": "0x1", "nonce": "0x10000000000000000"})), Err(E::Json(_))));
    assert!(matches!(with(json!({"balance": "0x1", "storage": {"0x": "0x1"}})), Err(E::Json(_))));
    assert!(matches!(with(json!({"balance": "0x1", "storage": {"1": "0x1"}})), Err(E::Json(_))));
    let short = with(json!({"balance": "0x1", "storage": {"0x1": "0x02"}})).unwrap();
    let long = with(json!({"balance": "0x1", "storage": {Hash(U256::ONE.to_be_bytes()).to_string(): "0x2"}})).unwrap();
    assert_eq!(short.state_root(), long.state_root());
    assert!(with(json!({"balance": "17", "nonce": 3})).is_ok(), "decimal text and numbers are geth's too");
    let system = Address(CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS.into_array());
    let removed = edited(|f| {
        f["alloc"].as_object_mut().unwrap().remove(&system.to_string());
    });
    assert!(matches!(removed, Err(E::SystemContract(a)) if a == system));
}

#[test]
fn files_and_hashes_are_those_that_ethereumjs_loaded() {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Seen {
        hash: Hash,
        state_root: Hash,
    }
    let seen = include_str!("../../../../tests/vectors/genesis/hashes.json");
    let seen: BTreeMap<String, Seen> = serde_json::from_str(seen).unwrap();
    assert_eq!(seen.len(), 2);
    for (name, fork, json) in [
        ("demo-cancun.json", Fork::Cancun, include_str!("../../../../tests/vectors/genesis/demo-cancun.json")),
        ("demo-prague.json", Fork::Prague, include_str!("../../../../tests/vectors/genesis/demo-prague.json")),
    ] {
        let genesis = parse(json.as_bytes()).unwrap();
        assert_eq!(genesis.state_root(), seen[name].state_root, "{name}");
        assert_eq!(genesis.hash(), seen[name].hash, "{name}");
        assert_eq!(String::from_utf8(demo_file(fork).0.to_json()).unwrap(), json, "{name}");
    }
}
