//! What must hold of four folders whatever was killed: nothing acknowledged lost, nothing signed twice, one order.
use crate::{
    common::run,
    load::Promise,
    network::{Cluster, MEMBERS},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use store::{
    log::LogDir,
    state::{Lock, State},
};
use tlog::{checkpoint, note::Note};
use types::{Entry, Envelope, Hash, Kind, ShareMessage, SignedList, Slot, codec};

/// A stopped member's folder, read as its next start would.
struct Folder {
    entries: Vec<Vec<u8>>,
    lock: Lock,
    lists: Vec<SignedList>,
    shares: Vec<ShareMessage>,
    notes: Vec<Note>,
}

impl Folder {
    fn read(path: &Path) -> Self {
        let state = State::open(&path.join("state.redb")).unwrap();
        let lock = state.lock().unwrap().unwrap();
        let log = LogDir::open(path, Some(&lock)).unwrap();
        assert_eq!(log.reader().check().unwrap(), lock.head);
        let entries = log.entries(0..lock.head.size).unwrap();
        let last = state.last_list().unwrap().map_or(0, |slot| slot.0);
        let lists = (last.saturating_sub(70)..=last).filter_map(|slot| state.list(Slot(slot)).unwrap());
        let lists = lists.map(|bytes| codec::decode(&bytes, codec::BLOCK_MAX).unwrap()).collect();
        let mut shares = Vec::new();
        for key in ["share-message-even", "share-message-odd"] {
            let stored: Option<(Slot, Vec<u8>)> = state.value(key).unwrap();
            // One of a later slot than the lock's was not sent.
            if let Some((_, bytes)) = stored.filter(|(slot, _)| *slot <= lock.slot) {
                shares.push(codec::decode(&bytes, codec::BLOCK_MAX).unwrap());
            }
        }
        let notes = heads(&fs::read(path.join("heads/0")).unwrap_or_default());
        Self { entries, lock, lists, shares, notes }
    }
}

/// Records of `heads/<epoch>`: length, slot, checksum, note.
fn heads(mut bytes: &[u8]) -> Vec<Note> {
    let mut notes = Vec::new();
    while bytes.len() > 16 {
        let length = usize::try_from(u32::from_le_bytes(bytes[..4].try_into().unwrap())).unwrap();
        notes.push(Note::parse(&bytes[16..16 + length]).unwrap());
        bytes = &bytes[16 + length..];
    }
    notes
}

/// One thing that was signed, and where it was found.
#[derive(Default)]
struct Signed(BTreeMap<(String, String), BTreeSet<Vec<u8>>>);

impl Signed {
    fn add(&mut self, who: impl ToString, over: String, bytes: Vec<u8>) {
        self.0.entry((who.to_string(), over)).or_default().insert(bytes);
    }

    fn assert_once(&self) -> usize {
        for ((who, over), forms) in &self.0 {
            assert_eq!(forms.len(), 1, "{who} signed {over} twice");
        }
        self.0.len()
    }
}

/// What the checks counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) entries: usize,
    pub(crate) slots: u64,
    pub(crate) promises: usize,
    pub(crate) excused: usize,
    pub(crate) signatures: usize,
}

/// Signatures of all members that the folders hold: each over its subject once.
fn signatures(folders: &[Folder], origin: &str) -> usize {
    let (mut roots, mut stamps, mut lists) = (Signed::default(), Signed::default(), Signed::default());
    for folder in folders {
        for note in &folder.notes {
            let (_, head) = checkpoint::parse(note.text()).unwrap();
            for line in note.lines().iter().filter(|line| line.name() != origin) {
                let size = format!("size {}", head.size);
                roots.add(line.name(), size.clone(), head.root.as_bytes().to_vec());
                // With the same time, too: the share message of a slot is one, and carries it.
                stamps.add(line.name(), size, line.signature().to_vec());
            }
        }
        for message in &folder.shares {
            let header = &message.header;
            let (name, size) = (format!("{origin}/m{}", header.member), format!("size {}", header.head.size));
            roots.add(&name, size.clone(), header.head.root.as_bytes().to_vec());
            stamps.add(&name, size, header.cosig.0.to_vec());
        }
        for list in &folder.lists {
            lists.add(list.member, format!("the list of slot {}", list.slot), list.sig.0.to_vec());
        }
        for bytes in &folder.entries {
            let entry: Entry = codec::decode(bytes, bytes.len()).unwrap();
            if let Kind::List { slot, member, sig, .. } = entry.kind {
                lists.add(member, format!("the list of slot {slot}"), sig.0.to_vec());
            }
        }
    }
    roots.assert_once() + stamps.assert_once() + lists.assert_once()
}

/// Envelopes of the log: hash, and payer with nonce.
fn included(entries: &[Vec<u8>]) -> (BTreeSet<Hash>, BTreeSet<(types::Address, types::Nonce)>) {
    let (mut items, mut nonces) = (BTreeSet::new(), BTreeSet::new());
    for bytes in entries {
        let entry: Entry = codec::decode(bytes, bytes.len()).unwrap();
        if let Kind::Envelope { bytes, .. } = entry.kind {
            let envelope: Envelope = codec::decode(&bytes, bytes.len()).unwrap();
            assert!(items.insert(crypto::ids::hash_envelope(&envelope)), "an envelope twice");
            nonces.insert((envelope.signed.header.fee_account, envelope.signed.header.nonce));
        }
    }
    (items, nonces)
}

/// All checks over the folders of members that have ended.
pub(crate) fn all(cluster: &Cluster, promises: &[Promise]) -> Counts {
    let folders: Vec<Folder> = (0..MEMBERS).map(|i| Folder::read(&cluster.folder(i))).collect();
    let longest = folders.iter().max_by_key(|folder| folder.entries.len()).unwrap();
    for (i, folder) in folders.iter().enumerate() {
        assert!(longest.entries.starts_with(&folder.entries), "member {i} has another log");
    }
    let (items, nonces) = included(&longest.entries);
    let mut excused = 0;
    for promise in promises.iter().filter(|promise| !items.contains(&promise.item)) {
        let replaced = nonces.contains(&(promise.payer, promise.nonce));
        let expired = longest.lock.slot >= promise.expiry;
        assert!(replaced || expired, "{promise:?} is lost; slot {}", longest.lock.slot);
        excused += 1;
    }
    let origin = cluster.view.members[0].receipt_name.split("/m0/").next().unwrap().to_owned();
    let signatures = signatures(&folders, &origin);
    for i in 0..MEMBERS {
        let (folder, network) = (cluster.folder(i), cluster.dir.join("network.toml"));
        let (status, out, err) = run(&["audit", folder.to_str().unwrap(), "--network", network.to_str().unwrap()]);
        assert_eq!(status.code(), Some(0), "member {i}: {out}{err}");
    }
    Counts { entries: longest.entries.len(), slots: longest.lock.slot.0, promises: promises.len(), excused, signatures }
}
