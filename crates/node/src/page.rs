//! The newest EPOCH of this member's log, for whoever asks: who is in the committee, and where each is reached.
use crate::{change::EpochPage, files::NetworkFiles, term::Roster};
use crypto::succession::Succession;
use sequencer::Sequencer;
use std::sync::{Arc, PoisonError, RwLock};
use types::Epochs;

/// Shared by who reads the log and who serves it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    network: Arc<NetworkFiles>,
    shown: Arc<RwLock<Option<Arc<EpochPage>>>>,
}

impl Page {
    pub(crate) fn new(network: &Arc<NetworkFiles>) -> Self {
        Self { network: Arc::clone(network), shown: Arc::default() }
    }

    pub(crate) fn show(&self, machine: &Sequencer) {
        self.show_log(machine.epochs(), machine.succession());
    }

    /// Shows the newest EPOCH, if it is not shown yet.
    pub(crate) fn show_log(&self, epochs: &Epochs, said: &Succession) {
        let (record, leaf) = (epochs.last(), epochs.leaf());
        if self.json().is_some_and(|page| page.leaf == leaf) {
            return;
        }
        let Roster { addresses, .. } = Roster::of(&self.network, record.f, &record.members, said);
        let page = Arc::new(EpochPage { leaf, record: record.clone(), addresses });
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Some(page);
    }

    pub(crate) fn json(&self) -> Option<Arc<EpochPage>> {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
