//! `lockstep-keygen`: the trusted dealer and its checks. Never part of a node.
//!
//! ```text
//! lockstep-keygen dealer      --network HEX --member HEX .. --out DIR LOCK [--epoch N]
//! lockstep-keygen cross-check --network HEX --keyset FILE --share FILE .. LOCK
//! lockstep-keygen export      --network HEX --keyset FILE
//! LOCK                        --passphrase-file FILE | --insecure-plaintext
//! ```
//! `--member` is a consensus key, n = 3f + 1 times. `dealer` writes `keyset.lks` and `share-<index>.lks`; whoever runs it
//! knows every secret. `cross-check` holds a key set and all its shares against `threshold_crypto`. `export` prints the
//! two public key sets as `threshold_crypto` encodes them, in hex. Nothing secret is printed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]
use keygen::{
    CeremonyError, MemberSecrets,
    dealer::{CrossCheckError, cross_check, deal, export},
    files::{
        FileError, KeySetFile, Origin, PASSPHRASE_CHARACTERS_MIN, Protection, ShareFile, Unlock, is_long_enough,
        keyset_hash, read_keyset, read_passphrase, read_share, write_keyset, write_share,
    },
};
use std::{collections::VecDeque, fs::File, io::Read, path::PathBuf, process::ExitCode};
use types::{Epoch, Hash, MemberId};
use zeroize::Zeroizing;

const USAGE: &str = "usage: lockstep-keygen dealer      --network HEX --member HEX .. --out DIR LOCK [--epoch N]
       lockstep-keygen cross-check --network HEX --keyset FILE --share FILE .. LOCK
       lockstep-keygen export      --network HEX --keyset FILE
LOCK:  --passphrase-file FILE | --insecure-plaintext";

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{USAGE}")]
    Usage,
    #[error("a passphrase for new key files has at least {PASSPHRASE_CHARACTERS_MIN} characters")]
    Short,
    #[error("member keys must be distinct, and 3f + 1 of them")]
    Members,
    #[error("the share files are not those of the key set, one per member")]
    Shares,
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    #[error(transparent)]
    Check(#[from] CrossCheckError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Failure {
    /// As `sysexits` has them.
    fn code(&self) -> u8 {
        match self {
            Self::Usage | Self::Short => 64,
            Self::Members | Self::Shares | Self::Ceremony(_) | Self::Check(_) | Self::File(_) => 65,
            Self::Io(_) => 74,
        }
    }
}

/// What the command line says.
#[derive(Default)]
struct Options {
    network: Option<Hash>,
    members: Vec<Hash>,
    out: Option<PathBuf>,
    epoch: u64,
    keyset: Option<PathBuf>,
    shares: Vec<PathBuf>,
    passphrase: Option<Zeroizing<Vec<u8>>>,
    insecure: bool,
}

impl Options {
    fn parse(mut words: VecDeque<String>) -> Result<Self, Failure> {
        let mut options = Self::default();
        while let Some(word) = words.pop_front() {
            if word == "--insecure-plaintext" {
                options.insecure = true;
                continue;
            }
            let value = words.pop_front().ok_or(Failure::Usage)?;
            let hash = || Hash::from_hex(&value).map_err(|_hex| Failure::Usage);
            match word.as_str() {
                "--network" => options.network = Some(hash()?),
                "--member" => options.members.push(hash()?),
                "--out" => options.out = Some(value.into()),
                "--epoch" => options.epoch = value.parse().map_err(|_number| Failure::Usage)?,
                "--keyset" => options.keyset = Some(value.into()),
                "--share" => options.shares.push(value.into()),
                "--passphrase-file" => options.passphrase = Some(read_passphrase(File::open(&value)?)?),
                _ => return Err(Failure::Usage),
            }
        }
        if options.insecure && options.passphrase.is_some() {
            return Err(Failure::Usage);
        }
        Ok(options)
    }

    fn network(&self) -> Result<Hash, Failure> {
        self.network.ok_or(Failure::Usage)
    }

    fn keyset(&self) -> Result<KeySetFile, Failure> {
        Ok(read_keyset(self.keyset.as_deref().ok_or(Failure::Usage)?, &self.network()?)?)
    }

    fn unlock(&self) -> Result<Unlock<'_>, Failure> {
        match &self.passphrase {
            Some(passphrase) => Ok(Unlock::Passphrase(passphrase)),
            None if self.insecure => Ok(Unlock::InsecurePlaintext),
            None => Err(Failure::Usage),
        }
    }

    fn protection(&self) -> Result<Protection, Failure> {
        match &self.passphrase {
            Some(passphrase) if !is_long_enough(passphrase) => Err(Failure::Short),
            Some(passphrase) => {
                let (mut salt, mut nonce) = ([0; 32], [0; 24]);
                random(&mut salt)?;
                random(&mut nonce)?;
                Ok(Protection::Passphrase { passphrase: passphrase.clone(), salt, nonce })
            }
            None if self.insecure => Ok(Protection::InsecurePlaintext),
            None => Err(Failure::Usage),
        }
    }
}

/// This program is a process of its own, so it asks the operating system itself.
fn random(bytes: &mut [u8]) -> Result<(), Failure> {
    Ok(File::open("/dev/urandom")?.read_exact(bytes)?)
}

fn dealer(options: &Options) -> Result<(), Failure> {
    let network = options.network()?;
    let out = options.out.as_deref().ok_or(Failure::Usage)?;
    // before anything is made
    drop(options.protection()?);
    let mut members = options.members.clone();
    members.sort_unstable();
    members.dedup();
    let n = u16::try_from(members.len()).ok().filter(|_| members.len() == options.members.len());
    let n = n.ok_or(Failure::Members)?;
    let f = n.saturating_sub(1).div_euclid(3);

    let mut entropy = Zeroizing::new([0u8; 32]);
    random(entropy.as_mut_slice())?;
    let dealt = deal(&network, n, f, *entropy)?;
    cross_check(&dealt.parts, &dealt.secrets)?;
    let epoch = Epoch(options.epoch);
    let keyset =
        KeySetFile { network, epoch, f, origin: Origin::Dealer, members, parts: dealt.parts, logs: dealt.logs };
    std::fs::create_dir_all(out)?;
    write_keyset(&out.join("keyset.lks"), &keyset)?;
    let keyset_hash = keyset_hash(&keyset);
    for (index, MemberSecrets { decrypt, beacon }) in (0..).map(MemberId).zip(dealt.secrets) {
        let share = ShareFile { network, epoch, index, decrypt, beacon, keyset_hash };
        write_share(&out.join(format!("share-{index}.lks")), &share, &options.protection()?)?;
    }
    println!("a DEALER made this key set and knows its secrets: {}", out.display());
    println!("key set {keyset_hash}, {n} members");
    Ok(())
}

fn check(options: &Options) -> Result<(), Failure> {
    let keyset = options.keyset()?;
    let hash = keyset_hash(&keyset);
    let mut shares = options
        .shares
        .iter()
        .map(|path| Ok(read_share(path, &keyset.network, options.unlock()?)?))
        .collect::<Result<Vec<_>, Failure>>()?;
    shares.sort_by_key(|share| share.index);
    let ranks = shares.iter().map(|share| share.index).eq((0..).map(MemberId).take(keyset.members.len()));
    if !ranks || shares.iter().any(|share| share.keyset_hash != hash || share.epoch != keyset.epoch) {
        return Err(Failure::Shares);
    }
    let secrets: Vec<_> =
        shares.into_iter().map(|share| MemberSecrets { decrypt: share.decrypt, beacon: share.beacon }).collect();
    cross_check(&keyset.parts, &secrets)?;
    println!("key set {hash}: {} shares, one decryption and one signature agree", secrets.len());
    Ok(())
}

fn print_export(options: &Options) -> Result<(), Failure> {
    let keyset = options.keyset()?;
    for (name, commitments) in [("decrypt", &keyset.parts.decrypt), ("beacon", &keyset.parts.beacon)] {
        let hex: String = export(commitments).iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{name} {hex}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut words: VecDeque<String> = std::env::args().skip(1).collect();
    let command = words.pop_front();
    let done = Options::parse(words).and_then(|options| match command.as_deref() {
        Some("dealer") => dealer(&options),
        Some("cross-check") => check(&options),
        Some("export") => print_export(&options),
        _ => Err(Failure::Usage),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("lockstep-keygen: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
