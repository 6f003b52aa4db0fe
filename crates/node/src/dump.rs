//! No copy of this process's memory on disk: shares, signing keys and a passphrase are in it.
use rustix::{
    io,
    process::{Resource, Rlimit, setrlimit},
};

/// From here on no crash leaves a core dump, and where the system knows it, nobody but root reads the memory of this process
/// or its open files under /proc.
pub(crate) fn forbid() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // a limit of 0 does not count where cores go to a program, as with systemd-coredump
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    // Goal: what is asked of the system is what it then says. Method: this process, which needs no core either.
    #[test]
    fn there_is_no_core_dump() {
        super::forbid().unwrap();
        super::forbid().unwrap();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        #[cfg(target_os = "linux")]
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
    }
}
