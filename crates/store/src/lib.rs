//! What a member keeps on disk. Decides nothing: it writes what it is told, in the order that survives a crash, and
//! refuses to open what it could not have written.
//!
//! ```text
//!  member's directory
//!  |- lock               held by the one process that works here          durable::lock_dir
//!  |- state.redb         lock record, own lists: what was signed           state::State
//!  |- staging/<size>     entries from the applied size to a commit's head  log::LogDir::stage
//!  |- log/               exactly what is served: checkpoint, tile/..       log::LogDir::apply, publish
//!  |- heads/<epoch>      every published checkpoint                        log::LogDir::publish
//!  '- wal/<segment>      receipts with their items                         wal::Wal
//! ```
//!
//! One slot: `stage` (one fsync and one of the directory), `State::commit` (**the commit point**), then sign and send,
//! then `apply` (tiles) and, with a quorum, `publish`.
//!
//! Types to know: [`log::LogDir`] (the writer), [`log::LogReader`] (everybody else), [`state::State`], [`wal::Wal`],
//! [`durable::DiskError`].
//!
//! Deliberately absent: signatures (what a checkpoint says is checked against the tree, who signed it by the caller),
//! slots' meaning, retries. Any error of a sync means that the process ends; writers that met one refuse to go on.
//! Every durable operation passes [`fault`], where tests end the process and let the disk fail.
//!
//! Invariants that tests cite:
//! * `STO-1` what a returned call has made durable is there after a crash at any later point, byte for byte.
//! * `STO-2` a crash at any point leaves a directory that opens, at the lock's head or, without a lock, empty.
//! * `STO-3` bytes that were durable and have changed are found at the start: a typed error, nothing is signed.
//! * `STO-4` a lock never goes back, and a slot's list is never replaced.
//! * `STO-5` `log/` never holds a name that is not served.
//!
//! Trust: neither staging nor tiles are trusted, their root must be the locked one. `state.redb` is: whoever can put an
//! old copy there can make the member sign twice, so it is never restored from a backup.
#![forbid(unsafe_code)]

pub mod durable;
pub mod fault;
mod heads;
pub mod log;
pub mod state;
pub mod wal;
