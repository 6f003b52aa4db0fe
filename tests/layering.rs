//! Which crate may use which: docs/src/layout.md section 2 as data, held against `cargo metadata`.
//!
//! Goal: a new edge, a new outside crate in rings 0 and 1, or a new crate is one line here, seen in review.
//! Method: the table below and the manifests are compared; a planted edge shows that the comparison can fail.
#![expect(clippy::expect_used, reason = "a test program: a broken tree ends it with the reason")]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

/// A row: ring, our crates that may be used, and for rings 0 and 1 the outside crates that are used, exactly.
struct Row {
    name: &'static str,
    ring: u8,
    uses: &'static [&'static str],
    outside: Option<&'static [&'static str]>,
}

const fn row(
    name: &'static str,
    ring: u8,
    uses: &'static [&'static str],
    outside: Option<&'static [&'static str]>,
) -> Row {
    Row { name, ring, uses, outside }
}

/// The world below ring 2 is not listed crate by crate: `RESERVED` says what is not everybody's there.
const WORLD: Option<&[&str]> = None;

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row("types", 0, &[], Some(&["bincode", "serde", "thiserror"])),
    row("crypto", 0, &["types"], Some(&[
        "blst", "chacha20poly1305", "ed25519-zebra", "k256", "secp256k1", "sha2", "sha3", "subtle", "thiserror", "zeroize",
    ])),
    row("ordering", 0, &["crypto", "types"], Some(&["thiserror"])),
    row("auction-rules", 0, &["types"], Some(&["sha2", "thiserror"])),
    row("execution", 0, &["types"], Some(&[
        "alloy-consensus", "alloy-eips", "alloy-primitives", "alloy-rlp", "alloy-sol-types", "alloy-trie", "hex", "revm",
        "serde", "serde_json", "sha2", "thiserror",
    ])),
    row("tlog", 0, &["crypto", "types"], Some(&["base64", "thiserror"])),
    row("verifier", 0, &["auction-rules", "execution", "ordering", "tlog", "crypto", "types"], Some(&["thiserror"])),
    row("mempool", 1, &["auction-rules", "crypto", "types"], Some(&["thiserror"])),
    row("sequencer", 1, &["mempool", "auction-rules", "ordering", "tlog", "crypto", "types"], Some(&[
        "serde", "thiserror", "zeroize",
    ])),
    row("consensus", 2, &["types"], WORLD),
    row("ingress", 2, &["types"], WORLD),
    row("store", 2, &["tlog", "types"], WORLD),
    row("keygen", 2, &["store", "crypto", "types"], WORLD),
    row("wallet", 2, &["ingress", "verifier", "execution", "auction-rules", "store", "tlog", "crypto", "types"], WORLD),
    row("node", 3, &[
        "types", "crypto", "ordering", "auction-rules", "execution", "tlog", "verifier", "mempool", "sequencer", "consensus",
        "ingress", "store", "keygen", "wallet",
    ], WORLD),
    row("lockstep", 3, &["node"], Some(&[])),
];

/// Outside crates (a trailing `-` is a prefix) and the only crates of ours that name them.
const RESERVED: &[(&str, &[&str])] = &[
    ("alloy-", &["execution", "wallet"]),
    ("bincode", &["types"]),
    ("blst", &["crypto"]),
    ("commonware-", &["consensus", "keygen"]),
    ("curve25519-dalek", &["keygen"]),
    ("dashmap", &["ingress"]),
    ("hpke", &["keygen"]),
    ("quinn", &["ingress"]),
    ("rcgen", &["ingress"]),
    ("redb", &["store"]),
    ("revm", &["execution"]),
    ("rustls", &["ingress"]),
    ("threshold_crypto", &["keygen"]),
];

/// Features of ours, on any crate. More needs an ADR.
const FEATURES: &[&str] = &["dealer", "native", "test-util"];

#[derive(Clone)]
struct Package {
    name: String,
    root: PathBuf,
    /// Names of normal and build dependencies.
    ours: BTreeSet<String>,
    outside: BTreeSet<String>,
    features: BTreeSet<String>,
    /// Normal and build dependencies that are asked for with `test-util`, and features of its own that bring it along.
    test_util: Vec<String>,
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata starts");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let list = metadata.get("packages").and_then(Value::as_array).expect("packages");
    list.iter()
        .map(|package| {
            let (mut ours, mut outside, mut test_util) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
            for edge in package.get("dependencies").and_then(Value::as_array).expect("dependencies") {
                if text(edge, "kind") == "dev" {
                    continue;
                }
                if names_test_util(edge.get("features")) {
                    test_util.push(text(edge, "name"));
                }
                let inside = edge.get("path").is_some_and(|path| !path.is_null());
                if inside { &mut ours } else { &mut outside }.insert(text(edge, "name"));
            }
            let features = package.get("features").and_then(Value::as_object).expect("features");
            let implied = features.iter().filter(|(name, with)| *name != "test-util" && names_test_util(Some(with)));
            test_util.extend(implied.map(|(name, _)| name.clone()));
            let manifest = PathBuf::from(text(package, "manifest_path"));
            Package {
                name: text(package, "name"),
                root: manifest.parent().expect("a manifest stands in a folder").to_owned(),
                ours,
                outside,
                features: features.keys().filter(|name| *name != "default").cloned().collect(),
                test_util,
            }
        })
        .collect()
}

/// A list of features that holds `test-util`, of any crate.
fn names_test_util(features: Option<&Value>) -> bool {
    let names = features.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    names.into_iter().any(|name| name.rsplit('/').next() == Some("test-util"))
}

fn table() -> BTreeMap<&'static str, &'static Row> {
    TABLE.iter().map(|row| (row.name, row)).collect()
}

fn names(reserved: &str, name: &str) -> bool {
    reserved == name || (reserved.ends_with('-') && name.starts_with(reserved))
}

/// Every way in which the manifests differ from the table.
fn violations(packages: &[Package]) -> Vec<String> {
    let table = table();
    let mut found = Vec::new();
    for package in packages {
        let Some(row) = table.get(package.name.as_str()) else {
            found.push(format!("{} is in no row", package.name));
            continue;
        };
        for used in package.ours.iter().filter(|used| !row.uses.contains(&used.as_str())) {
            found.push(format!("{} -> {used}", package.name));
        }
        if let Some(exact) = row.outside {
            let exact: BTreeSet<String> = exact.iter().map(ToString::to_string).collect();
            found.extend(package.outside.difference(&exact).map(|used| format!("{} -> outside {used}", package.name)));
            found.extend(
                exact.difference(&package.outside).map(|gone| format!("{}: outside {gone} is unused", package.name)),
            );
        }
        for (reserved, owners) in RESERVED {
            for used in package.outside.iter().filter(|used| names(reserved, used)) {
                if !owners.contains(&package.name.as_str()) {
                    found.push(format!("{} names {used}, which is for {owners:?}", package.name));
                }
            }
        }
        for feature in package.features.iter().filter(|feature| !FEATURES.contains(&feature.as_str())) {
            found.push(format!("{} has a feature {feature}", package.name));
        }
    }
    found
}

#[test]
fn the_manifests_are_those_of_the_table() {
    let found = violations(&packages());
    assert!(found.is_empty(), "edges that the table of layout.md does not have:\n{}", found.join("\n"));
}

/// Fault points and what else is for tests: a build that is not of tests has none of it.
#[test]
fn only_tests_ask_for_test_util() {
    for package in packages() {
        assert!(package.test_util.is_empty(), "{} brings test-util by {:?}", package.name, package.test_util);
    }
    let planted = serde_json::json!(["native", "store/test-util"]);
    assert!(names_test_util(Some(&planted)));
}

#[test]
fn a_planted_edge_is_seen() {
    let clean = packages();
    let plant = |name: &str, change: fn(&mut Package) -> bool| {
        let mut planted = clean.clone();
        assert!(change(planted.iter_mut().find(|package| package.name == name).expect("the crate exists")));
        violations(&planted).into_iter().filter(|line| !violations(&clean).contains(line)).collect::<Vec<_>>()
    };
    assert_eq!(plant("ordering", |p| p.ours.insert("store".into())), ["ordering -> store"]);
    assert_eq!(plant("mempool", |p| p.outside.insert("tokio".into())), ["mempool -> outside tokio"]);
    assert_eq!(plant("types", |p| p.outside.remove("bincode")), ["types: outside bincode is unused"]);
    assert_eq!(
        plant("node", |p| p.outside.insert("commonware-p2p".into())),
        ["node names commonware-p2p, which is for [\"consensus\", \"keygen\"]"]
    );
    assert_eq!(
        plant("ordering", |p| std::mem::replace(&mut p.name, "utils".into()) == "ordering"),
        ["utils is in no row"]
    );
    assert_eq!(plant("tlog", |p| p.features.insert("std".into())), ["tlog has a feature std"]);
}

#[test]
fn an_edge_goes_to_the_same_ring_or_an_inner_one() {
    let table = table();
    assert_eq!(table.len(), TABLE.len(), "a crate has two rows");
    for row in TABLE {
        for used in row.uses {
            let inner = table.get(used).unwrap_or_else(|| panic!("{used} is in no row"));
            assert!(inner.ring <= row.ring, "{} (ring {}) -> {used} (ring {})", row.name, row.ring, inner.ring);
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder lists").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn ring_0_is_no_std_and_only_crypto_may_hold_unsafe() {
    let table = table();
    for package in packages() {
        let Some(row) = table.get(package.name.as_str()) else { continue };
        let Ok(lib) = std::fs::read_to_string(package.root.join("src/lib.rs")) else {
            assert_eq!(row.name, "lockstep", "a crate has a src/lib.rs");
            continue;
        };
        let opens_with = |attribute: &str| lib.lines().any(|line| line.trim() == attribute);
        if row.ring == 0 {
            assert!(opens_with("#![no_std]"), "{}: ring 0 opens with #![no_std]", row.name);
        }
        let forbids = opens_with("#![forbid(unsafe_code)]");
        assert_eq!(forbids, row.name != "crypto", "{}: #![forbid(unsafe_code)] in every crate but crypto", row.name);
    }
}

/// The line without its comment, literals left in: enough for a keyword that no literal of ours holds.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn is_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let joins = |c: char| c.is_alphanumeric() || c == '_';
        let (before, after) = line.split_at(at);
        !before.ends_with(joins) && !after.strip_prefix(word).is_some_and(|rest| rest.starts_with(joins))
    })
}

#[test]
fn unsafe_code_is_in_one_module() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["auction-rules", "benches", "crates", "keygen"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 20, "the sources are not where this test looks");
    let (ffi, wasm) = (root.join("crates/crypto/src/ffi"), root.join("crates/verifier/examples/wasm.rs"));
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source is text");
        for (number, line) in text.lines().enumerate() {
            let exports = if file == wasm { "#[unsafe(no_mangle)]" } else { "\n" };
            let clean = !is_word(&code(line).replace(exports, ""), "unsafe");
            let in_module = file == ffi.with_extension("rs") || file.starts_with(&ffi);
            assert!(clean || in_module, "{}:{}: unsafe", file.display(), number.saturating_add(1));
        }
    }
}
