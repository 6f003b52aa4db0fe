//! Key files: checked, shown, sealed, written again. Nothing secret is printed.
use super::{files::names, finish, verify};
use crate::{
    cli::{Failure, print},
    disk::NEW_MEMBER,
    files::{self, FilesError, Identity, NETWORK_FILE, NetworkFiles},
    member::{self, MemberError},
    passphrase::{Lock, PassphraseArgs},
};
use keygen::{
    files::{FileError, KEYSET_MAGIC, SHARE_MAGIC},
    operators::{Operator, Plan, TRANSCRIPT_BYTES_MAX, TRANSCRIPT_MAGIC, Transcript},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use types::{Hash, MemberId, limits};

/// Arguments of `lockstep keygen check-backup`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Folder with identity.key and share.lks: the member's own, or a copy.
    #[arg(long)]
    dir: PathBuf,
    /// The network's network.toml; default: the one in the folder.
    #[arg(long)]
    network: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Arguments of `lockstep keygen show`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// identity.key, share.lks, keyset.lks, a transcript, or network.toml.
    file: PathBuf,
}

/// Arguments of `lockstep keygen seal`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SealArgs {
    /// The member's folder. The member must not run.
    #[arg(long)]
    dir: PathBuf,
    /// File with the passphrase that the files are sealed with now; without it sealed files ask for it.
    #[arg(long, value_name = "FILE")]
    old_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Arguments of `lockstep keygen share`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ShareArgs {
    /// The transcript.
    #[arg(long)]
    transcript: PathBuf,
    /// The network's network.toml, with the rollups' genesis files beside it.
    #[arg(long)]
    network: PathBuf,
    /// The member's folder, with its identity.key.
    #[arg(long)]
    dir: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// The member of the network with these keys.
fn member(network: &NetworkFiles, identity: &Identity, dir: &Path) -> Result<MemberId, Failure> {
    let key = identity.record("").consensus;
    let mut members = (0..).map(MemberId).zip(&network.network.genesis.members);
    let Some((member, record)) = members.find(|(_, record)| record.consensus == key) else {
        let text = format!("{}: consensus key {key} is of no member in network.toml", dir.display());
        return Err(Failure { code: 78, text });
    };
    if identity.record(&record.name) != *record {
        return Err(MemberError::from(FilesError::WrongKeys { path: dir.to_path_buf(), member: member.0 }).into());
    }
    Ok(member)
}

/// Runs `check-backup`.
pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let network = args.network.clone().unwrap_or_else(|| args.dir.join(NETWORK_FILE));
    let network = NetworkFiles::read(&network).map_err(MemberError::from)?;
    let lock = args.passphrase.existing()?;
    let identity = Identity::read(&args.dir, &lock).map_err(MemberError::from)?;
    let id = member(&network, &identity, &args.dir)?;
    member::dealt(&network, &args.dir, &lock, id)?;
    let how = if matches!(lock, Lock::Plain) { "PLAIN" } else { "sealed" };
    let name = super::files::name(&network.network.genesis, id);
    print(format_args!("good       {how}: keys and shares are those of {name}, member {id} of network {}", network.id));
    Ok(())
}

/// Runs `show`.
pub(super) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let bytes = zeroize::Zeroizing::new(files::read(&args.file, TRANSCRIPT_BYTES_MAX)?);
    let locked = |magic, what: &str| {
        let sealed = keygen::files::is_sealed(magic, &bytes);
        let sealed = sealed.map_err(|source| MemberError::Share { path: args.file.clone(), source })?;
        print(format_args!("{what}, {}", if sealed { "sealed: scrypt, XChaCha20-Poly1305" } else { "PLAIN" }));
        Ok(())
    };
    match bytes.first_chunk::<4>() {
        Some(&SHARE_MAGIC) => locked(SHARE_MAGIC, "shares of a member"),
        Some(&files::SEALED_MAGIC) => locked(files::SEALED_MAGIC, "signing and TLS keys of a member"),
        Some(&files::IDENTITY_MAGIC) => {
            print(format_args!("signing and TLS keys of a member, PLAIN"));
            Ok(())
        }
        Some(&TRANSCRIPT_MAGIC) => {
            let transcript = Transcript::read(&bytes).map_err(|error| Failure { code: 65, text: error.to_string() })?;
            let absent: Vec<String> = transcript.absent.iter().map(ToString::to_string).collect();
            let what = if transcript.is_proof() { "proof from" } else { "transcript of" };
            print(format_args!("{what} a ceremony: not verified here"));
            print(format_args!("network    {}", transcript.network));
            print(format_args!("number     {}, absent members: {}", transcript.number, absent.join(", ")));
            print(format_args!("messages   {}, and {} proofs", transcript.messages.len(), transcript.proofs.len()));
            Ok(())
        }
        Some(&KEYSET_MAGIC) => {
            print(format_args!("key set of a network: public"));
            Ok(())
        }
        _ => show_network(&args.file, &bytes),
    }
}

fn show_network(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if bytes.len() > limits::NETWORK_FILE_BYTES_MAX || bytes.contains(&0) {
        return Err(Failure { code: 65, text: format!("{}: no file that this program knows", path.display()) });
    }
    let network = NetworkFiles::read(path).map_err(MemberError::from)?;
    let genesis = &network.network.genesis;
    let keys = &network.network.keys;
    let first = |points: &[types::G1Bytes]| points.first().map(|point| hex::encode(point.0)).unwrap_or_default();
    print(format_args!("network    {} ({})", network.id, genesis.origin));
    for (index, record) in genesis.members.iter().enumerate() {
        print(format_args!("member {index:<3} {} {}", record.name, record.consensus));
    }
    print(format_args!("keys       decrypt {} beacon {}", first(&keys.decrypt), first(&keys.beacon)));
    print(format_args!("revealed   {}", names(genesis, &keys.revealed)));
    Ok(())
}

/// Opens a key file with the old lock, or with the new one if that is how far the command came before.
fn open(path: &Path, magic: [u8; 4], locks: [&Lock; 2]) -> Result<zeroize::Zeroizing<Vec<u8>>, Failure> {
    let bytes = zeroize::Zeroizing::new(files::read(path, limits::NETWORK_FILE_BYTES_MAX)?);
    let mut last = FileError::Passphrase;
    for lock in locks {
        match keygen::files::unlock(magic, &bytes, lock.unlock()) {
            Ok(plain) => return Ok(plain),
            Err(error) => last = error,
        }
    }
    Err(MemberError::Share { path: path.to_path_buf(), source: last }.into())
}

/// Nobody else works in the folder.
fn lock_dir(dir: &Path) -> Result<store::durable::DirLock, Failure> {
    store::durable::lock_dir(dir).map_err(|error| Failure { code: 75, text: error.to_string() })
}

/// How a member's files are kept: identity.key is the last that changes.
fn is_sealed(dir: &Path) -> Result<bool, Failure> {
    let bytes = zeroize::Zeroizing::new(files::read(&files::identity_path(dir), limits::NETWORK_FILE_BYTES_MAX)?);
    Ok(bytes.starts_with(&files::SEALED_MAGIC))
}

/// Runs `seal`.
pub(super) fn seal(args: &SealArgs) -> Result<(), Failure> {
    let _dir = lock_dir(&args.dir)?;
    let old = match &args.old_passphrase_file {
        Some(path) => {
            Lock::file(path).map_err(|error| Failure { code: 66, text: format!("{}: {error}", path.display()) })?
        }
        None if is_sealed(&args.dir)? => {
            let typed = PassphraseArgs::typed("passphrase of the files as they are: ");
            typed.map_err(|failure| Failure { text: format!("--old-passphrase-file: {}", failure.text), ..failure })?
        }
        None => Lock::Plain,
    };
    let new = args.passphrase.new_one()?;
    let identity = Identity::read(&args.dir, &old).or_else(|_| Identity::read(&args.dir, &new));
    let identity = identity.map_err(MemberError::from)?;
    let path = files::share_path(&args.dir);
    if path.exists() {
        let plain = open(&path, SHARE_MAGIC, [&old, &new])?;
        let bytes = keygen::files::lock(SHARE_MAGIC, &plain, &new.protection()?).map_err(FilesError::Share)?;
        store::durable::write_private(&path, &bytes).map_err(FilesError::Durable)?;
        print(format_args!("wrote      {}", path.display()));
    }
    identity.write(&args.dir, &new.protection()?)?;
    print(format_args!("wrote      {}", files::identity_path(&args.dir).display()));
    match new {
        Lock::Passphrase(_) => {
            print(format_args!("sealed     name the passphrase when the member starts: passphrase_file in node.toml"))
        }
        Lock::Plain => print(format_args!("PLAIN      whoever reads these files is this member")),
    }
    Ok(())
}

/// Runs `share`.
pub(super) fn share(args: &ShareArgs) -> Result<(), Failure> {
    let network = NetworkFiles::read(&args.network).map_err(MemberError::from)?;
    let (transcript, _) = verify::verified(&args.transcript, &network)?;
    let lock = args.passphrase.existing()?;
    let identity = Identity::read(&args.dir, &lock).map_err(MemberError::from)?;
    let _dir = lock_dir(&args.dir)?;
    let me = member(&network, &identity, &args.dir)?;
    let keys: Vec<Hash> = network.network.genesis.members.iter().map(|member| member.consensus).collect();
    let refused = |error: keygen::operators::PlanError| Failure { code: 65, text: error.to_string() };
    let plan = Plan::new(&network.id, transcript.number, &keys, &transcript.absent).map_err(refused)?;
    let mut operator = Operator::start(Arc::new(plan), &identity.consensus).map_err(refused)?;
    for message in &transcript.messages {
        operator.on(message).map_err(|error| Failure { code: 65, text: error.to_string() })?;
    }
    let none = || Failure { code: 65, text: "the transcript gives this member no share".into() };
    let at = network.network.addresses.iter().find(|at| at.member == me);
    let wrote = finish::write(&args.dir, &network, (me, at), operator.secrets().ok_or_else(none)?, &lock)?;
    for path in &wrote {
        print(format_args!("wrote      {}", path.display()));
    }
    if wrote.is_empty() {
        print(format_args!("wrote      nothing: the share is there, and so is what it needs"));
    }
    if !["state.redb", NEW_MEMBER].iter().any(|name| args.dir.join(name).exists()) {
        print(format_args!(
            "lost disk  nothing here says what this member has signed: it votes from the epoch after the one it starts in"
        ));
    }
    Ok(())
}
