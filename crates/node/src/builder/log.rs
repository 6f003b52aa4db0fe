//! Reads the log of a running network, for a builder that trades on what a slot leaves: `/checkpoint` and tiles up to the
//! close of the newest slot, `/lockstep/v1/tail` for how that slot opened.
use crate::{
    files::NetworkFiles,
    source::{Source, SourceError},
    sync,
};
use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};
use tlog::{
    checkpoint::{self, CheckpointError},
    tiles,
};
use types::{Address, Slot, limits};
use verifier::{Anchor, AnchorError, Finding};
use wallet::builder::{Chain, Look, Replica};

/// Between questions for a slot that is opened and not served yet.
const SOON: Duration = Duration::from_millis(15);
/// Of these.
const TRIES: u32 = 12;
/// A checkpoint: a few lines a member.
const CHECKPOINT_BYTES_MAX: usize = 1 << 16;

/// The log of a network as its members serve it. One of them is read at a time.
#[derive(Debug)]
pub(crate) struct Log(Mutex<Reader>);

#[derive(Debug)]
struct Reader {
    anchor: Anchor,
    sources: Vec<Source>,
    /// Which of them is read.
    at: usize,
    replica: Replica,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("nothing is served")]
    Nothing,
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("{0}")]
    Entries(String),
    #[error("entry {}: {}", .0.index, .0.code)]
    Rule(Finding),
}

impl Log {
    /// Of the members of network.toml. Nothing is read yet. To be called inside a runtime.
    ///
    /// # Errors
    /// [`AnchorError`].
    pub(crate) fn new(network: &NetworkFiles) -> Result<Self, AnchorError> {
        let anchor = Anchor::new(network.network.clone(), network.rollups.clone())?;
        let addresses = network.network.addresses.iter();
        let sources = addresses.map(|address| Source::http(&format!("http://{}", address.http))).collect();
        let replica = Replica::new(&anchor)?;
        Ok(Self(Mutex::new(Reader { anchor, sources, at: 0, replica })))
    }
}

impl Chain for Log {
    fn look(&self, slot: Slot, sender: &Address) -> Option<Look> {
        let mut reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for attempt in 0..TRIES {
            if reader.replica.slot() >= slot && reader.replica.is_opened() {
                break;
            }
            if attempt > 0 {
                // nobody wakes it: the network is far away
                thread::park_timeout(SOON);
            }
            if let Err(error) = reader.read() {
                tracing::debug!(%error, "builder.log");
                reader.turn(&error);
            }
        }
        reader.replica.look(sender).filter(|look| look.slot == slot)
    }
}

impl Reader {
    /// As far as it is served.
    fn read(&mut self) -> Result<(), ReadError> {
        let source = self.sources.get(self.at).ok_or(ReadError::Nothing)?;
        let note = source.get_within("checkpoint", CHECKPOINT_BYTES_MAX)?.ok_or(ReadError::Nothing)?;
        let text = String::from_utf8_lossy(&note);
        let body = text.split_once("\n\n").map_or("", |(body, _signatures)| body);
        let (_origin, head) = checkpoint::parse(&format!("{body}\n"))?;
        if head.size > self.replica.tree().size() {
            let entries =
                sync::fetch(source, self.replica.tree(), &head).map_err(|e| ReadError::Entries(e.to_string()))?;
            for entry in entries {
                self.replica.entry(&entry).map_err(ReadError::Rule)?;
            }
        }
        if self.replica.is_opened() {
            return Ok(());
        }
        let path = format!("lockstep/v1/tail/{}", self.replica.tree().size());
        let Some(bundle) = source.get_within(&path, sync::TAIL_BYTES_MAX)? else { return Ok(()) };
        let entries = tiles::decode_bundle(&bundle).map_err(|e| ReadError::Entries(e.to_string()))?;
        for entry in entries.into_iter().take_while(|entry| entry.len() <= limits::ENTRY_BYTES_MAX) {
            if self.replica.is_opened() {
                break;
            }
            self.replica.entry(entry).map_err(ReadError::Rule)?;
        }
        Ok(())
    }

    /// To another member; from genesis, if what was served may be wrong.
    fn turn(&mut self, error: &ReadError) {
        self.at = self.at.saturating_add(1).checked_rem(self.sources.len()).unwrap_or(0);
        if matches!(error, ReadError::Source(_) | ReadError::Nothing) {
            return;
        }
        match Replica::new(&self.anchor) {
            Ok(replica) => self.replica = replica,
            Err(error) => tracing::warn!(%error, "builder.log"),
        }
    }
}
