//! What to do about a member that does not start, or ended by itself: an exit status and a line that says it.
//!
//! The statuses are those of sysexits, so that a service manager can tell what a restart may cure (operate.md):
//! 65, 66, 77 and 78 stay until somebody has done something.
use crate::{
    cli::Failure, config::ConfigError, disk::DiskError, driver::DriverError, files::FilesError, member::MemberError,
    sync::SyncError, term::SharesError,
};
use keygen::files::FileError;
use std::{error::Error, io};
use store::{durable, durable::LockError, log::LogError, state::StateError, wal::WalError};

/// Data on disk is damaged.
const DATA: u8 = 65;
/// A file is missing or cannot be read.
const INPUT: u8 = 66;
/// A bug, or a part that ended by itself.
const SOFTWARE: u8 = 70;
/// The operating system refuses.
const OS: u8 = 71;
/// The disk refuses.
const IO: u8 = 74;
/// It may work later, once somebody has done what the text says.
const LATER: u8 = 75;
/// The configuration is wrong.
const CONFIG: u8 = 78;

const DAMAGED: &str = "what this member has signed is not certain any more, so it signs nothing: keep the folder as it is, \
    look at the disk, and see \"Damaged or lost data\" in operate.md; never restore state.redb or engine/ from a backup";
const OLD_COPY: &str = "ask two other operators whether they see this member ahead of it; if so, keep network.toml, the genesis files, node.toml, identity.key and share.lks, delete everything else in the \
    folder, and start again: the member comes back without signing anything twice";
const LOST: &str = "start it again when more than f other members are up and agree with its clock within 5 s: it then comes back without \
    signing anything twice; only a member that never ran has the file `new-member`, which `lockstep init` and its key ceremony write";
const DISK: &str = "look at the disk and its log (dmesg); start again when it is well: the member continues where its \
    disk says it was";
const NO_SHARES: &str = "the handover in the log gave this member nothing that it can use: the others go on; have it replaced by a member with \
new keys (lockstep change)";
const RESTORE: &str = "take the file from your backup of the key files, or from where `lockstep init` wrote it";

impl From<MemberError> for Failure {
    fn from(error: MemberError) -> Self {
        let (code, advice) = advice(&error);
        let why = chain(&error);
        Self { code, text: if advice.is_empty() { why } else { format!("{why}\n  do: {advice}") } }
    }
}

/// The error with its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

fn advice(error: &MemberError) -> (u8, String) {
    let (code, advice) = match error {
        MemberError::Config(ConfigError::Read { .. }) => (INPUT, "give the member's node.toml with --config".into()),
        MemberError::Config(_) => (CONFIG, "correct it; `lockstep node --print-default-config` shows every key".into()),
        MemberError::Files(error) => files(error),
        MemberError::NoMember(_) => (CONFIG, "set `member` in node.toml to an index of network.toml".into()),
        MemberError::WrongNetwork { .. } => (
            CONFIG,
            "start it with the network.toml that its folder was made with, or give `data` a folder of this network; \
             never reuse a folder"
                .into(),
        ),
        MemberError::Share { source, .. } => share(source),
        MemberError::WrongShare { .. } => {
            (CONFIG, "put this member's own share.lks there; shares are not exchangeable".into())
        }
        MemberError::Scalar(_) => (DATA, RESTORE.into()),
        MemberError::Policy(_) | MemberError::Anchor(_) => {
            (CONFIG, "take network.toml from another member's /lockstep/v1/network and compare".into())
        }
        MemberError::Log { .. } => (DATA, DAMAGED.into()),
        MemberError::Disk(DiskError::Lost) => (LATER, LOST.into()),
        MemberError::Disk(error) => disk(error),
        MemberError::Sync(SyncError::OldCopy(_)) => (DATA, OLD_COPY.into()),
        MemberError::Sync(SyncError::Network(_)) => (DATA, "compare with other operators before anything else".into()),
        MemberError::Sync(SyncError::Disk(error)) => disk(error),
        MemberError::Sync(_) => (LATER, "start it again when more members are up".into()),
        MemberError::Shares(SharesError::Missing(_)) => (LATER, "start it again when more members are up".into()),
        MemberError::Shares(_) => (DATA, NO_SHARES.into()),
        MemberError::Handover(_) => (DATA, RESTORE.into()),
        MemberError::Unsettled => (OS, "report it".into()),
        MemberError::Entropy(_) => (OS, String::new()),
        MemberError::Engine(_) => (
            SOFTWARE,
            "start it again; if that does not help, keep its folder and the lines above, and report them".into(),
        ),
        MemberError::Port { key, source, .. } => port(key, source),
        MemberError::Ingress { .. } => (OS, "end what listens there, or set quic_listen in node.toml".into()),
        MemberError::Http { .. } => (OS, "end what listens there, or set http_listen in node.toml".into()),
        MemberError::DiskSpace { .. } => {
            (LATER, "free space or grow the disk; or set min_free_bytes in node.toml lower".into())
        }
        MemberError::Clock { .. } => (
            LATER,
            "set the clock (NTP) and start again; or raise clock_skew_max_ms in node.toml if they are wrong and you \
             are right"
                .into(),
        ),
        MemberError::Thread(_) => (OS, "raise the limits of processes and memory".into()),
        MemberError::Driver(DriverError::Disk(error)) => disk(error),
        MemberError::Driver(_) => {
            (SOFTWARE, "keep its folder and the lines above, and report them: this is a bug".into())
        }
    };
    (code, advice)
}

fn port(key: &str, source: &io::Error) -> (u8, String) {
    let kind = source.kind();
    let advice = if kind == io::ErrorKind::AddrInUse {
        format!("end what listens there (is this member running already?), or set {key} in node.toml")
    } else if kind == io::ErrorKind::AddrNotAvailable {
        format!("this machine has no such address; set {key} in node.toml")
    } else if kind == io::ErrorKind::PermissionDenied {
        format!("ports below 1024 need a right; set {key} in node.toml")
    } else {
        format!("set {key} in node.toml")
    };
    (OS, advice)
}

fn files(error: &FilesError) -> (u8, String) {
    match error {
        FilesError::WrongKeys { .. } => (
            CONFIG,
            "check `member` and `data` in node.toml: each member has its own identity.key, and starts with no other"
                .into(),
        ),
        FilesError::Io { .. } => (INPUT, "check the path and who may read it".into()),
        FilesError::KeyFile { .. } | FilesError::Tls(_) => (DATA, RESTORE.into()),
        FilesError::Share(error) | FilesError::Locked { source: error, .. } => share(error),
        FilesError::Durable(error) => device(error),
        FilesError::TooLarge { .. }
        | FilesError::Toml { .. }
        | FilesError::TomlWrite(_)
        | FilesError::Genesis(_)
        | FilesError::Rollup { .. }
        | FilesError::RollupHash { .. }
        | FilesError::Keys(_) => {
            (CONFIG, "take network.toml and the genesis files as the network's maker gave them out".into())
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is wrong with a key file, it is damaged")]
fn share(error: &FileError) -> (u8, String) {
    match error {
        FileError::Disk(error) => device(error),
        FileError::Missing => (INPUT, RESTORE.into()),
        FileError::Network => (
            CONFIG,
            "put the share.lks of this member and this network there, or start the network that it is of".into(),
        ),
        FileError::Passphrase => {
            (CONFIG, "correct passphrase_file in node.toml, or what the command line names instead".into())
        }
        FileError::Sealed => (
            CONFIG,
            "name the file with its passphrase: passphrase_file in node.toml, or --passphrase-file, -fd or -credential"
                .into(),
        ),
        FileError::NotSealed => {
            (CONFIG, "seal it (lockstep keygen seal), or name no passphrase: both key files are sealed, or none".into())
        }
        _ => (DATA, RESTORE.into()),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else there is, an operator cannot cause it")]
fn disk(error: &DiskError) -> (u8, String) {
    match error {
        DiskError::Locked(LockError::Busy(_)) => {
            (LATER, "end the other process first: two on one folder would sign twice".into())
        }
        DiskError::Locked(LockError::Disk(error))
        | DiskError::Durable(error)
        | DiskError::Log(LogError::Disk(error))
        | DiskError::State(StateError::Disk(error))
        | DiskError::Wal(WalError::Disk(error)) => device(error),
        DiskError::Log(
            LogError::Tile { .. }
            | LogError::Root { .. }
            | LogError::NoStaging(_)
            | LogError::Staging(_)
            | LogError::AheadOfLock(_)
            | LogError::Checkpoint,
        )
        | DiskError::State(StateError::Damaged { .. } | StateError::Value(_) | StateError::LockBehind { .. })
        | DiskError::Wal(
            WalError::Damaged { .. } | WalError::MissingSegment(_) | WalError::Salt | WalError::Lost { .. },
        ) => (DATA, DAMAGED.into()),
        DiskError::SegmentSize | DiskError::Wal(WalError::SegmentSize(_)) => {
            (CONFIG, "correct wal_segment_bytes in node.toml".into())
        }
        DiskError::Entropy(_) => (OS, String::new()),
        DiskError::State(StateError::Database(_)) => (IO, DISK.into()),
        _ => (SOFTWARE, "keep its folder and the lines above, and report them: this is a bug".into()),
    }
}

fn device(error: &durable::DiskError) -> (u8, String) {
    if error.is_full() {
        return (LATER, "the disk is full: free space and start again; nothing acknowledged is lost".into());
    }
    let kind = error.source.kind();
    if kind == io::ErrorKind::NotFound {
        (INPUT, "check the path".into())
    } else if kind == io::ErrorKind::PermissionDenied {
        (INPUT, "check who may read and write there".into())
    } else {
        (IO, DISK.into())
    }
}
