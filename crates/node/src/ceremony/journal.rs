//! Every message of a ceremony on disk, a file each, in the order in which they came: written before anybody sees it or
//! what follows from it.
use crate::files::FilesError;
use keygen::operators::{MESSAGE_BYTES_MAX, Message};
use std::path::{Path, PathBuf};
use store::durable;
use types::Hash;

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
    /// [`FilesError`]; a file that is there and no message is damage, and nothing is signed on it.
    pub(super) fn open(dir: &Path, plan: &Hash) -> Result<(Self, Vec<Message>), FilesError> {
        let folder = Self::folder(dir, plan);
        durable::create_dir(&folder)?;
        let mut journal = Self { folder, next: 0 };
        let mut messages = Vec::new();
        while let Some(bytes) = durable::read(&journal.path(), MESSAGE_BYTES_MAX)? {
            let message = Message::read(&bytes).map_err(|_damaged| FilesError::KeyFile { path: journal.path() })?;
            messages.push(message);
            journal.next = journal.next.saturating_add(1);
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
    pub(super) fn append(&mut self, message: &Message) -> Result<(), FilesError> {
        durable::write_private(&self.path(), &message.bytes())?;
        self.next = self.next.saturating_add(1);
        Ok(())
    }
}
