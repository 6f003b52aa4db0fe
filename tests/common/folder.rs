//! What members that have ended leave in their folders: entries, checkpoints, evidence.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use tlog::{checkpoint, note::Note, tiles};
use types::{Entry, Head, Kind, Slot, codec, limits};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Entries of all tiles, in no order; those of a partial tile that is still there, again.
pub(crate) fn entries(folder: &Path) -> Vec<Entry> {
    let (mut bundles, mut entries) = (Vec::new(), Vec::new());
    files(&folder.join("log/tile/entries"), &mut bundles);
    for bundle in bundles {
        let bytes = fs::read(bundle).unwrap();
        let decoded = tiles::decode_bundle(&bytes).unwrap();
        entries.extend(decoded.iter().map(|entry| codec::decode::<Entry>(entry, limits::ENTRY_BYTES_MAX).unwrap()));
    }
    entries
}

/// No log convicts anybody, and no member holds what could: for networks in which nobody is at fault.
pub(crate) fn assert_no_faults(folders: impl IntoIterator<Item = impl AsRef<Path>>) {
    for folder in folders {
        let (folder, mut evidence) = (folder.as_ref(), Vec::new());
        let entries = entries(folder);
        assert!(!entries.is_empty(), "{} holds no log", folder.display());
        for entry in entries {
            if let Kind::Fault { slot, finding, accused, .. } = entry.kind {
                panic!("{}: finding {finding} in slot {slot} against {accused:?}", folder.display());
            }
        }
        // made with the first piece
        if folder.join("evidence").exists() {
            files(&folder.join("evidence"), &mut evidence);
        }
        assert!(evidence.is_empty(), "{evidence:?}");
    }
}

/// Every published checkpoint with its slot, of all epochs. Records of `heads/<epoch>`: length, slot, checksum, note.
pub(crate) fn heads(folder: &Path) -> Vec<(Slot, Note)> {
    let (mut epochs, mut notes) = (Vec::new(), Vec::new());
    files(&folder.join("heads"), &mut epochs);
    for epoch in epochs {
        let bytes = fs::read(epoch).unwrap();
        let mut rest = bytes.as_slice();
        while rest.len() > 16 {
            let length = usize::try_from(u32::from_le_bytes(rest[..4].try_into().unwrap())).unwrap();
            let slot = u64::from_le_bytes(rest[4..12].try_into().unwrap());
            notes.push((Slot(slot), Note::parse(&rest[16..16 + length]).unwrap()));
            rest = &rest[16 + length..];
        }
    }
    notes
}

/// Things that were signed, by whom and over what.
#[derive(Default)]
pub(crate) struct Signed(BTreeMap<(String, String), BTreeSet<Vec<u8>>>);

impl Signed {
    pub(crate) fn add(&mut self, who: impl ToString, over: String, bytes: Vec<u8>) {
        self.0.entry((who.to_string(), over)).or_default().insert(bytes);
    }

    /// A cosignature of a head, which is one with its time, too: the share message of a slot is one, and carries it.
    pub(crate) fn cosigned(&mut self, who: &str, head: &Head, signature: &[u8]) {
        self.add(who, format!("the root at size {}", head.size), head.root.as_bytes().to_vec());
        self.add(who, format!("size {}", head.size), signature.to_vec());
    }

    /// All cosignatures of a checkpoint.
    pub(crate) fn checkpoint(&mut self, note: &Note) {
        let (origin, head) = checkpoint::parse(note.text()).unwrap();
        for line in note.lines().iter().filter(|line| line.name() != origin) {
            self.cosigned(line.name(), &head, line.signature());
        }
    }

    /// Each is of one form; how many there are.
    pub(crate) fn assert_once(&self) -> usize {
        for ((who, over), forms) in &self.0 {
            assert_eq!(forms.len(), 1, "{who} signed {over} twice");
        }
        self.0.len()
    }
}
