//! The newest EPOCH of this member's log, and the one that works now, for whoever asks: who is in the committee, and where each is reached.
use crate::{
    change::{EpochPage, leaf},
    files::NetworkFiles,
    term::Roster,
};
use crypto::succession::Succession;
use sequencer::Sequencer;
use std::sync::{Arc, PoisonError, RwLock};
use types::{Epochs, Slot};

fn read(cell: &RwLock<Option<Arc<EpochPage>>>) -> Option<Arc<EpochPage>> {
    cell.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Shared by who reads the log and who serves it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    network: Arc<NetworkFiles>,
    newest: Arc<RwLock<Option<Arc<EpochPage>>>>,
    now: Arc<RwLock<Option<Arc<EpochPage>>>>,
}

impl Page {
    pub(crate) fn new(network: &Arc<NetworkFiles>) -> Self {
        Self { network: Arc::clone(network), newest: Arc::default(), now: Arc::default() }
    }

    pub(crate) fn show(&self, machine: &Sequencer) {
        self.show_log(machine.opened().next(), machine.epochs(), machine.succession());
    }

    /// Shows the newest EPOCH, and that of the slot `next`, where they are not shown yet.
    pub(crate) fn show_log(&self, next: Slot, epochs: &Epochs, said: &Succession) {
        let now = epochs.of(epochs.last().schedule().epoch_of(next));
        for (cell, record) in [(&self.newest, epochs.last()), (&self.now, now)] {
            if read(cell).is_some_and(|page| page.record == *record) {
                continue;
            }
            let Roster { addresses, .. } = Roster::of(&self.network, record.f, &record.members, said);
            let page = Arc::new(EpochPage { leaf: leaf(record), record: record.clone(), addresses });
            *cell.write().unwrap_or_else(PoisonError::into_inner) = Some(page);
        }
    }

    /// The newest, which may not have begun.
    pub(crate) fn newest(&self) -> Option<Arc<EpochPage>> {
        read(&self.newest)
    }
    /// That of the slot that comes.
    pub(crate) fn now(&self) -> Option<Arc<EpochPage>> {
        read(&self.now)
    }
}
