//! The newest EPOCH of this member's log, for whoever asks: who is in the committee, and where each is reached.
use crate::{files::NetworkFiles, term::Roster};
use crypto::succession::Succession;
use sequencer::Sequencer;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError, RwLock};
use types::{EpochRecord, Epochs, Hash, MemberAddress};

/// What `GET /lockstep/v1/epoch` answers: the newest EPOCH of a member's log, which may not have begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EpochPage {
    /// RFC 6962 leaf hash of its entry.
    pub(crate) leaf: Hash,
    /// What it says.
    pub(crate) record: EpochRecord,
    /// By index in the record's members.
    pub(crate) addresses: Vec<MemberAddress>,
}

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
