//! Goal: the dealer's program deals, checks and exports, and refuses what does not belong together.
#![cfg(feature = "dealer")]
use std::{
    path::Path,
    process::{Command, Output},
};

const NETWORK: &str = "0707070707070707070707070707070707070707070707070707070707070707";

#[expect(clippy::unwrap_used, reason = "a test program")]
fn run(dir: &Path, words: &str) -> Output {
    let words = words.split_whitespace();
    Command::new(env!("CARGO_BIN_EXE_lockstep-keygen")).current_dir(dir).args(words).output().unwrap()
}

fn members(n: u8) -> String {
    (1..=n).map(|i| format!("--member {} ", format!("{i:02x}").repeat(32))).collect()
}

#[test]
fn deal_then_cross_check_then_export() {
    let dir = tempfile::tempdir().unwrap();
    let deal = |out: &str| {
        run(dir.path(), &format!("dealer --network {NETWORK} {} --out {out} --insecure-plaintext", members(4)))
    };
    assert!(deal("a").status.success());
    assert!(deal("b").status.success());
    let check = |shares: &str, lock: &str| {
        let output = run(dir.path(), &format!("cross-check --network {NETWORK} --keyset a/keyset.lks {shares} {lock}"));
        output.status.code().unwrap()
    };
    let plain = "--insecure-plaintext";
    let all = "--share a/share-3.lks --share a/share-0.lks --share a/share-1.lks --share a/share-2.lks";
    assert_eq!(check(all, plain), 0);
    assert_eq!(check(&all.replace("a/share-2", "b/share-2"), plain), 65, "a share of another set");
    assert_eq!(check(&all.replace("share-2", "share-1"), plain), 65, "one twice");
    assert_eq!(check("--share a/share-0.lks", plain), 65, "too few");
    assert_eq!(check(&all.replace("share-2", "share-9"), plain), 65, "no such file");
    assert_eq!(check(all, ""), 64, "no lock named");

    let export = run(dir.path(), &format!("export --network {NETWORK} --keyset a/keyset.lks"));
    let text = String::from_utf8(export.stdout).unwrap();
    let lines: Vec<(&str, usize)> = text.lines().filter_map(|l| l.split_once(' ')).map(|(n, h)| (n, h.len())).collect();
    assert_eq!(lines, [("decrypt", 304), ("beacon", 304)]);
    let other = NETWORK.replace("07", "08");
    assert_eq!(run(dir.path(), &format!("export --network {other} --keyset a/keyset.lks")).status.code(), Some(65));
}

#[test]
fn wrong_command_lines_and_committees() {
    let dir = tempfile::tempdir().unwrap();
    let code = |words: &str| run(dir.path(), words).status.code().unwrap();
    for words in ["", "deal", "dealer --network", "dealer --network zz", "dealer --colour red", "export"] {
        assert_eq!(code(words), 64, "{words}");
    }
    let dealer = |members: &str, lock: &str| code(&format!("dealer --network {NETWORK} {members} --out a {lock}"));
    assert_eq!(dealer(&members(4), ""), 64);
    assert_eq!(dealer(&members(5), "--insecure-plaintext"), 65);
    assert_eq!(dealer(&members(3), "--insecure-plaintext"), 65);
    assert_eq!(dealer(&format!("{}{}", members(3), members(1)), "--insecure-plaintext"), 65, "one twice");
    assert_eq!(dealer(&members(4), "--passphrase-file none"), 74);
    std::fs::write(dir.path().join("short"), "eleven char\n\n").unwrap();
    std::fs::write(dir.path().join("long"), [b'x'; 5_000]).unwrap();
    assert_eq!(dealer(&members(4), "--passphrase-file short"), 0, "twelve with the first end of a line");
    std::fs::remove_dir_all(dir.path().join("a")).unwrap();
    std::fs::write(dir.path().join("short"), "eleven char\n").unwrap();
    assert_eq!(dealer(&members(4), "--passphrase-file short"), 64);
    assert_eq!(dealer(&members(4), "--passphrase-file long"), 74, "not cut");
    assert!(!dir.path().join("a").exists(), "nothing was written");
}
