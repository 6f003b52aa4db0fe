//! Test vectors: a folder is read whole, and a file that the test does not name fails it.
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    string::{String, ToString},
    vec::Vec,
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// Names and contents of all files of a folder but `ORIGIN`, which must stand in it or in the one above.
pub(crate) fn all(name: &str) -> BTreeMap<String, Value> {
    let (mut out, path) = (BTreeMap::new(), folder(name));
    assert!(path.join("ORIGIN").is_file() || path.join("../ORIGIN").is_file(), "{name} has no ORIGIN");
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        let file = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_file() && file != "ORIGIN" {
            let bytes = std::fs::read(entry.path()).unwrap();
            out.insert(file, serde_json::from_slice(&bytes).unwrap());
        }
    }
    assert!(!out.is_empty(), "{name} has no files");
    out
}

/// As [`all`], where the folder holds exactly the named files.
pub(crate) fn json(name: &str, expected: &[&str]) -> BTreeMap<String, Value> {
    let files = all(name);
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), expected, "files of {name}");
    files
}

/// Names of the folders in a folder.
pub(crate) fn folders(name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder(name)).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A vector file of ours: compared with what the code gives, or written under `UPDATE_VECTORS=1`.
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not configuration")]
pub(crate) fn ours(name: &str, file: &str, value: &Value) {
    let path = folder(name).join(file);
    if std::env::var("UPDATE_VECTORS").is_ok() {
        let mut text = serde_json::to_string_pretty(value).unwrap();
        text.push('\n');
        std::fs::write(path, text).unwrap();
    } else {
        let bytes = std::fs::read(path).unwrap();
        let stored: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(&stored, value, "{file}: UPDATE_VECTORS=1 writes it anew");
    }
}

/// Bytes of a hex text with or without `0x`.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    ::hex::decode(text.strip_prefix("0x").unwrap_or(text)).unwrap()
}

/// `0x` hex of bytes.
pub(crate) fn text(bytes: &[u8]) -> Value {
    Value::String(std::format!("0x{}", ::hex::encode(bytes)).to_string())
}
