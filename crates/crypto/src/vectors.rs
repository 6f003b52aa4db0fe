//! Test vectors: a directory is read whole, and a file that the test does not name fails it.
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    string::{String, ToString},
    vec::Vec,
};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(name)
}

/// Names and bytes of all files of a directory but `ORIGIN`, which must be there.
pub(crate) fn files(name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(directory(name)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            out.insert(entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
        }
    }
    out.remove("ORIGIN").expect("ORIGIN says where the vectors come from");
    out
}

/// As [`files`], parsed; the directory holds exactly the named ones.
pub(crate) fn json(name: &str, expected: &[&str]) -> BTreeMap<String, Value> {
    let files = files(name);
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), expected, "files of {name}");
    files.iter().map(|(file, bytes)| (file.to_string(), serde_json::from_slice(bytes).unwrap())).collect()
}

/// Whether vectors of ours are to be written anew.
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not configuration")]
pub(crate) fn update() -> bool {
    std::env::var("UPDATE_VECTORS").is_ok()
}

/// Writes a vector file of ours.
pub(crate) fn write(name: &str, file: &str, value: &Value) {
    let mut text = serde_json::to_string_pretty(value).unwrap();
    text.push('\n');
    std::fs::write(directory(name).join(file), text).unwrap();
}
