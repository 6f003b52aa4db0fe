//! Where the passphrase of a member's key files comes from: a file, a descriptor, a credential of systemd, or somebody
//! who types it. Never an argument or a variable of the environment, which others can read.
//!
//! Trust: it stays in memory as long as the process, wiped at its end; whoever can read that memory has the keys as well.
use crate::{cli::Failure, entropy::Source};
use keygen::files::{
    PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARACTERS_MIN, Protection, Unlock, is_long_enough, read_passphrase,
};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// What opens and seals key files.
#[derive(Clone, Default)]
pub enum Lock {
    /// A passphrase.
    Passphrase(Arc<Zeroizing<Vec<u8>>>),
    /// Nothing: they are plain.
    #[default]
    Plain,
}

impl core::fmt::Debug for Lock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase(<redacted>)",
            Self::Plain => "Plain",
        })
    }
}

impl PartialEq for Lock {
    /// The same, not an equal one: passphrases are not compared.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Passphrase(a), Self::Passphrase(b)) => Arc::ptr_eq(a, b),
            (Self::Plain, Self::Plain) => true,
            (Self::Passphrase(_), Self::Plain) | (Self::Plain, Self::Passphrase(_)) => false,
        }
    }
}

impl Eq for Lock {}

impl Lock {
    /// The passphrase in a file, without the end of its last line.
    ///
    /// # Errors
    /// The operating system's; an empty file, or one that is too long.
    pub fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::Passphrase(Arc::new(read_passphrase(File::open(path)?)?)))
    }

    /// For reading key files.
    #[must_use]
    pub fn unlock(&self) -> Unlock<'_> {
        match self {
            Self::Passphrase(passphrase) => Unlock::Passphrase(passphrase),
            Self::Plain => Unlock::InsecurePlaintext,
        }
    }

    /// For writing one: salt and nonce are new each time.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub fn protection(&self) -> Result<Protection, crate::entropy::NoEntropy> {
        let Self::Passphrase(passphrase) = self else { return Ok(Protection::InsecurePlaintext) };
        let (salt, fresh) = (Source::System.draw("salt", 0)?, Source::System.draw("nonce", 0)?);
        let mut nonce = [0; 24];
        for (to, from) in nonce.iter_mut().zip(fresh.iter()) {
            *to = *from;
        }
        Ok(Protection::Passphrase { passphrase: Zeroizing::new(passphrase.to_vec()), salt: *salt, nonce })
    }
}

/// Where a command has the passphrase from. Without any it is asked for at the terminal.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(multiple = false)]
pub(crate) struct PassphraseArgs {
    /// File with the passphrase of the key files; the end of its last line does not count.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Open descriptor to read the passphrase from.
    #[arg(long, value_name = "FD")]
    passphrase_fd: Option<u32>,
    /// Credential of systemd with the passphrase: a file of this name in $CREDENTIALS_DIRECTORY.
    #[arg(long, value_name = "NAME")]
    passphrase_credential: Option<String>,
    /// The key files are plain: whoever reads them holds the keys. For tests and devnets.
    #[arg(long)]
    insecure_plaintext: bool,
}

impl PassphraseArgs {
    /// What the arguments name; `None` when they name nothing.
    pub(crate) fn named(&self) -> Result<Option<Lock>, Failure> {
        let failed = |what: &dyn core::fmt::Display, error: &io::Error| Failure {
            code: 66,
            text: format!("passphrase: {what}: {error}"),
        };
        if self.insecure_plaintext {
            return Ok(Some(Lock::Plain));
        }
        if let Some(fd) = self.passphrase_fd {
            let path = format!("/dev/fd/{fd}");
            return Lock::file(Path::new(&path)).map(Some).map_err(|error| failed(&path, &error));
        }
        #[expect(clippy::disallowed_methods, reason = "where a credential of systemd is, and no configuration")]
        let credential = |name: &String| {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| Failure {
                code: 66,
                text: "passphrase: $CREDENTIALS_DIRECTORY is not set: not started by systemd with LoadCredential="
                    .into(),
            })?;
            Ok::<_, Failure>(Path::new(&folder).join(name))
        };
        let path = match (&self.passphrase_file, &self.passphrase_credential) {
            (Some(path), _) => path.clone(),
            (None, Some(name)) => credential(name)?,
            (None, None) => return Ok(None),
        };
        Lock::file(&path).map(Some).map_err(|error| failed(&path.display(), &error))
    }

    /// For files that are there.
    pub(crate) fn existing(&self) -> Result<Lock, Failure> {
        match self.named()? {
            Some(lock) => Ok(lock),
            None => Self::typed("passphrase: "),
        }
    }

    /// Typed at the terminal, once.
    pub(crate) fn typed(text: &str) -> Result<Lock, Failure> {
        prompt(text)
    }

    /// For files that are written: a typed one is asked for twice.
    pub(crate) fn new_one(&self) -> Result<Lock, Failure> {
        let lock = match self.named()? {
            Some(lock) => lock,
            None => {
                let (first, second) = (prompt("new passphrase: ")?, prompt("again: ")?);
                let (Lock::Passphrase(a), Lock::Passphrase(b)) = (&first, &second) else { return Ok(first) };
                if a != b {
                    return Err(Failure::usage("the two passphrases differ".into()));
                }
                first
            }
        };
        match &lock {
            Lock::Passphrase(passphrase) if !is_long_enough(passphrase) => Err(Failure::usage(format!(
                "a passphrase for new key files has at least {PASSPHRASE_CHARACTERS_MIN} characters"
            ))),
            Lock::Passphrase(_) | Lock::Plain => Ok(lock),
        }
    }
}

/// Asks at the terminal, which shows nothing of the answer.
fn prompt(text: &str) -> Result<Lock, Failure> {
    let failed = |error: io::Error| Failure {
        code: 66,
        text: format!(
            "passphrase: no terminal to ask at ({error}); name a file, a descriptor or a credential, or --insecure-plaintext"
        ),
    };
    let mut tty = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(failed)?;
    let before = tcgetattr(&tty).map_err(|error| failed(error.into()))?;
    let mut silent = before.clone();
    // Ctrl-C comes as a byte, so that the echo is there again when the program ends
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    tty.write_all(text.as_bytes()).map_err(failed)?;
    tcsetattr(&tty, OptionalActions::Flush, &silent).map_err(|error| failed(error.into()))?;
    let typed = typed(&tty);
    let restored = tcsetattr(&tty, OptionalActions::Flush, &before);
    let ended = tty.write_all(b"\n");
    let typed = typed.map_err(failed)?;
    restored.map_err(|error| failed(error.into()))?;
    ended.map_err(failed)?;
    let typed = typed.ok_or_else(|| Failure { code: 130, text: "given up at the passphrase".into() })?;
    let typed = read_passphrase(typed.as_slice());
    let typed = typed.map_err(|error| Failure::usage(format!("passphrase: {error}")))?;
    Ok(Lock::Passphrase(Arc::new(typed)))
}

/// A line, byte by byte, with the keys that correct it; `None`: Ctrl-C. No buffer keeps a copy.
fn typed(mut tty: impl io::Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    const BACKSPACE: [u8; 2] = [8, 127];
    let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX + 1));
    let mut key = Zeroizing::new([0u8]);
    while tty.read(&mut key[..])? == 1 {
        let [byte] = *key;
        match byte {
            CTRL_C => return Ok(None),
            CTRL_D | b'\n' | b'\r' => break,
            CTRL_U => line.clear(),
            byte if BACKSPACE.contains(&byte) => {
                // a character: its last bytes begin with the bits 10
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte if line.len() <= PASSPHRASE_BYTES_MAX => line.push(byte),
            _too_long => {}
        }
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    // Goal: a passphrase is what stands in the file, and is never printed.
    use super::*;

    fn lock(bytes: &[u8]) -> Option<Lock> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        std::fs::write(&path, bytes).unwrap();
        Lock::file(&path).ok()
    }

    #[test]
    fn the_end_of_the_last_line_does_not_count_and_nothing_else_is_dropped() {
        for text in ["a b ", "a b \n", "a b \r\n"] {
            let Lock::Passphrase(read) = lock(text.as_bytes()).unwrap() else { panic!() };
            assert_eq!(read.as_slice(), b"a b ");
        }
        assert!(lock(b"").is_none() && lock(b"\n").is_none());
        assert!(lock(&[b'x'; 5_000]).is_none() && lock(&[b'x'; 4_097]).is_none());
        assert!(lock(&[&[b'x'; 4_096][..], b"\r\n"].concat()).is_some());
        let Lock::Passphrase(read) = lock(b"a\n\n").unwrap() else { panic!() };
        assert_eq!(read.as_slice(), b"a\n", "one end of a line");
        assert!(!format!("{:?}", lock(b"secret").unwrap()).contains("secret"));
    }

    #[test]
    fn what_is_typed_can_be_corrected_and_given_up() {
        let line = |keys: &[u8]| typed(keys).unwrap().map(|line| line.to_vec());
        assert_eq!(line(b"a b\nc").as_deref(), Some(b"a b".as_slice()));
        assert_eq!(line(b"ax\x7fb\x15\x7fcd\r").as_deref(), Some(b"cd".as_slice()));
        assert_eq!(line("a\u{e9}\u{7f}b\n".as_bytes()).as_deref(), Some(b"ab".as_slice()), "a character, not a byte");
        assert_eq!(line(b"secret\x03\n"), None);
        assert_eq!(line(b"").as_deref(), Some(b"".as_slice()));
        assert!(line(&[b'x'; 9_000]).is_some_and(|line| read_passphrase(line.as_slice()).is_err()), "not cut");
    }

    #[test]
    fn short_ones_open_files_and_seal_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        std::fs::write(&path, "short").unwrap();
        let args = PassphraseArgs { passphrase_file: Some(path), ..PassphraseArgs::default() };
        assert!(args.existing().is_ok());
        assert_eq!(args.new_one().err().map(|failure| failure.code), Some(64));
        // twelve bytes, six characters
        std::fs::write(args.passphrase_file.as_ref().unwrap(), "\u{e9}".repeat(6)).unwrap();
        assert_eq!(args.new_one().err().map(|failure| failure.code), Some(64));
    }
}
