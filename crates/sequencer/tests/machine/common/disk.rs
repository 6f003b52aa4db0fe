//! A member's disk as data: what `Persist` made durable, and what a restart finds.
use crate::common::net::{Net, Term};
use execution::Executor;
use sequencer::{ItemRecord, Placed, Recent, Record, Resume, Unopened};
use std::{collections::BTreeMap, sync::Arc};
use tlog::Tree;
use types::{Block, Hash, Head, Slot};
use verifier::{Checks, Replay};

#[derive(Clone)]
pub(crate) struct Disk {
    /// All entries, those staged without a lock record last.
    pub(crate) entries: Vec<Vec<u8>>,
    tree: Tree,
    /// Entries under the lock record.
    locked: (usize, Tree),
    /// Slot of the last commit.
    pub(crate) slot: Slot,
    pub(crate) list: Option<(Slot, Vec<u8>)>,
    pub(crate) share: Option<Vec<u8>>,
    cosigned_at: u64,
    /// The WAL.
    pub(crate) items: Vec<(Hash, ItemRecord)>,
    /// Bids of the WAL.
    pub(crate) bids: Vec<(Hash, ItemRecord)>,
    pub(crate) objects: Vec<(Hash, Vec<u8>)>,
    /// Operations of the WAL.
    pub(crate) operations: Vec<(Hash, Vec<u8>)>,
    /// Head and proof of finality of every commit.
    pub(crate) commits: BTreeMap<Slot, (Head, Vec<u8>)>,
}

impl Disk {
    pub(crate) fn new(net: &Net) -> Self {
        let mut tree = Tree::new();
        for entry in &net.genesis_entries {
            tree.append(entry);
        }
        Self {
            entries: net.genesis_entries.clone(),
            locked: (net.genesis_entries.len(), tree.clone()),
            tree,
            slot: Slot(0),
            list: None,
            share: None,
            cosigned_at: 0,
            items: Vec::new(),
            bids: Vec::new(),
            objects: Vec::new(),
            operations: Vec::new(),
            commits: BTreeMap::new(),
        }
    }

    fn append(&mut self, entries: Vec<Vec<u8>>) {
        for entry in &entries {
            self.tree.append(entry);
        }
        self.entries.extend(entries);
    }

    pub(crate) fn persist(&mut self, record: Record) {
        match record {
            Record::Items(items) => self.items.extend(items),
            Record::Bids(bids) => self.bids.extend(bids),
            Record::Objects(objects) => self.objects.extend(objects),
            Record::Operations(operations) => self.operations.extend(operations),
            Record::List { slot, bytes } => self.list = Some((slot, bytes)),
            Record::Opened { entries, .. } => self.append(entries),
            Record::Commit(commit) => {
                assert!(commit.cosigned_at >= self.cosigned_at, "cosignatures do not go back in time");
                self.append(commit.entries);
                assert_eq!(self.tree.head(), commit.head, "the commit's head is that of its entries");
                self.locked = (self.entries.len(), self.tree.clone());
                self.slot = commit.slot;
                self.share = Some(commit.share_message);
                self.cosigned_at = commit.cosigned_at;
                self.commits.insert(commit.slot, (commit.head, commit.finality));
            }
        }
    }

    /// The end of an epoch that another committee or other parameters follow: what is staged gets its lock record.
    pub(crate) fn settle(&mut self) {
        self.locked = (self.entries.len(), self.tree.clone());
    }

    /// What is staged without a lock record is there after a crash, or is not.
    pub(crate) fn crash(&mut self, keep_staged: bool) {
        if !keep_staged {
            self.entries.truncate(self.locked.0);
            self.tree = self.locked.1.clone();
        }
    }

    /// As `node` recovers.
    pub(crate) fn resume(&self, net: &Net) -> (Resume, Term, Executor) {
        let mut replay = Replay::new(&net.anchor, Checks::TRUSTED).unwrap();
        let mut recent = Recent::default();
        for (index, entry) in (0..).zip(&self.entries) {
            recent.entry(entry);
            replay.entry(index, entry);
            assert_eq!(replay.findings(), [], "a member's own log");
        }
        let state = replay.end();
        let unopened = state.unopened.map(|unopened| Unopened {
            bids: unopened.bids.into_iter().map(|(hash, bid)| (hash, Arc::new(bid))).collect(),
            units: unopened.units.into_iter().map(|(hash, envelope)| (hash, Arc::new(envelope))).collect(),
        });
        let placed = state.placed.into_iter();
        let resume = Resume {
            ledger: state.ledger,
            tree: state.tree,
            last: state.last.unwrap_or_else(|| Block::genesis(net.id).header),
            unopened,
            reveal: state.reveal,
            epochs: state.epochs,
            succession: state.succession,
            states: state.states,
            unexecuted: state.unexecuted,
            left_heads: state.left_heads,
            included: state.included,
            placed: placed
                .map(|(hash, p)| (hash, Placed { slot: p.slot, index: p.index, outcome: p.outcome }))
                .collect(),
            recent,
            rejoin: None,
            share_message: self.share.clone(),
            own_list: self.list.clone(),
            cosigned_at: self.cosigned_at,
            items: self.items.iter().map(|(_, record)| record.clone()).collect(),
            bids: self.bids.iter().map(|(_, record)| record.clone()).collect(),
            objects: self.objects.iter().map(|(_, bytes)| bytes.clone()).collect(),
            operations: self.operations.iter().map(|(_, bytes)| bytes.clone()).collect(),
            faults: state.faults,
        };
        (resume, Term { committee: state.committee, before: state.before }, state.executor)
    }
}
