//! What must hold of four folders whatever was killed: nothing acknowledged lost, nothing signed twice, one order.
use crate::{
    common::{
        folder::{Signed, assert_no_faults, heads},
        run,
    },
    load::Promise,
    network::{Cluster, MEMBERS},
};
use std::{collections::BTreeSet, fs, path::Path};
use store::{
    log::LogDir,
    state::{Lock, State},
};
use tlog::note::Note;
use types::{Entry, Envelope, Hash, Kind, ShareMessage, SignedList, Slot, codec};

/// A stopped member's folder, read as its next start would.
struct Folder {
    entries: Vec<Vec<u8>>,
    lock: Lock,
    lists: Vec<SignedList>,
    shares: Vec<ShareMessage>,
    notes: Vec<(Slot, Note)>,
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
        Self { entries, lock, lists, shares, notes: heads(path) }
    }
}

/// What the checks counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) entries: usize,
    pub(crate) slots: u64,
    pub(crate) promises: usize,
    pub(crate) excused: usize,
    /// Receipts that an auditor could hold against the lists of who gave them.
    pub(crate) judged: u64,
    pub(crate) signatures: usize,
}

/// Signatures of all members that the folders hold: each over its subject once.
fn signatures(folders: &[Folder], origin: &str) -> usize {
    let (mut heads, mut lists) = (Signed::default(), Signed::default());
    for folder in folders {
        folder.notes.iter().for_each(|(_, note)| heads.checkpoint(note));
        for ShareMessage { header, .. } in &folder.shares {
            heads.cosigned(&format!("{origin}/m{}", header.member), &header.head, &header.cosig.0);
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
    heads.assert_once() + lists.assert_once()
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
    assert_no_faults((0..MEMBERS).map(|i| cluster.folder(i)));
    let (items, nonces) = included(&longest.entries);
    let mut excused = 0;
    for promise in promises.iter().filter(|promise| !items.contains(&promise.item)) {
        // Only by one that was sent before it: wallets use no promised nonce again, and expiry leaves 150 sets to be in.
        let replaced = nonces.contains(&(promise.payer, promise.nonce));
        assert!(replaced, "{} of {}, {} is lost", promise.item, promise.payer, promise.nonce);
        excused += 1;
    }
    let origin = cluster.view.members[0].receipt_name.split("/m0/").next().unwrap().to_owned();
    let signatures = signatures(&folders, &origin);
    let receipts = cluster.dir.join("receipts");
    fs::create_dir(&receipts).unwrap();
    for (i, receipt) in promises.iter().flat_map(|promise| &promise.receipts).enumerate() {
        fs::write(receipts.join(i.to_string()), receipt).unwrap();
    }
    let mut judged = 0;
    for i in 0..MEMBERS {
        let (folder, network) = (cluster.folder(i), cluster.dir.join("network.toml"));
        let args = ["audit", text(&folder), "--network", text(&network), "--receipts", text(&receipts), "--json"];
        let (status, out, err) = run(&args);
        assert_eq!(status.code(), Some(0), "member {i}: {out}{err}");
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        judged = report["checks"].as_array().unwrap().last().unwrap()["units"].as_u64().unwrap();
    }
    let (entries, slots, promises) = (longest.entries.len(), longest.lock.slot.0, promises.len());
    Counts { entries, slots, promises, excused, judged, signatures }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
