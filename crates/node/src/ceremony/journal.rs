//! Every message of a ceremony on disk, a file each, in the order in which they came: written before anybody sees it or
//! what follows from it.
use crate::{cli::Failure, files::FilesError, member::MemberError};
use keygen::operators::{MESSAGE_BYTES_MAX, Message};
use std::path::{Path, PathBuf};
use store::durable::{self, DiskError};
use types::Hash;

/// Why a journal cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("{0}: no message of a ceremony")]
    Damaged(PathBuf),
    #[error("{0}: gone, and later messages are there")]
    Gap(PathBuf),
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Disk(error) => MemberError::from(FilesError::Durable(error)).into(),
            JournalError::Damaged(_) | JournalError::Gap(_) => Self {
                code: 65,
                text: format!(
                    "{error}\n  do: look at the disk; move this ceremony's folder away and start again while the other \
                     operators are there: what this one has said comes back from them"
                ),
            },
        }
    }
}

/// A folder for one ceremony: another number or another absence has another one.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    next: u32,
}

impl Journal {
    /// Opens the journal; what is in it, in order.
    ///
    /// # Errors
    /// [`JournalError`]: what is there and no message, or not there before a later one, is damage; nothing is signed on it.
    pub(super) fn open(dir: &Path, plan: &Hash) -> Result<(Self, Vec<Message>), JournalError> {
        let folder = Self::folder(dir, plan);
        durable::create_dir(&folder)?;
        let written = durable::names(&folder)?.iter().filter_map(|name| name.parse::<u32>().ok()).max();
        let mut journal = Self { folder, next: 0 };
        let mut messages = Vec::new();
        while let Some(bytes) = durable::read(&journal.path(), MESSAGE_BYTES_MAX)? {
            messages.push(Message::read(&bytes).map_err(|_damaged| JournalError::Damaged(journal.path()))?);
            journal.next = journal.next.saturating_add(1);
        }
        if written.is_some_and(|last| last >= journal.next) {
            return Err(JournalError::Gap(journal.path()));
        }
        Ok((journal, messages))
    }

    fn folder(dir: &Path, plan: &Hash) -> PathBuf {
        let name: Vec<u8> = plan.as_bytes().iter().copied().take(8).collect();
        dir.join(format!("ceremony-{}", hex::encode(name)))
    }

    /// Whether this process is the first that opens it.
    pub(super) fn is_new(dir: &Path, plan: &Hash) -> bool {
        !Self::folder(dir, plan).exists()
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("{:05}", self.next))
    }

    /// Makes a message durable.
    pub(super) fn append(&mut self, message: &Message) -> Result<(), DiskError> {
        durable::write_private(&self.path(), &message.bytes())?;
        self.next = self.next.saturating_add(1);
        Ok(())
    }
}
