// What stands in a member's folder before, at and after the end, and what a lost disk leaves of it.
use super::*;
use crate::ceremony::journal::{Journal, JournalError};
use types::Hash;

/// `lockstep keygen share` for a folder.
fn share(done: &Done, dir: &Path) -> Result<(), Failure> {
    let published = done.published();
    let at = |name: &str| published.path().join(name).display().to_string();
    let line = format!(
        "--transcript {} --network {} --dir {} --insecure-plaintext",
        at(TRANSCRIPT_FILE),
        at(NETWORK_FILE),
        dir.display()
    );
    keys::share(&args(&line))
}

fn is_new(dir: &Path) -> bool {
    dir.join(NEW_MEMBER).exists()
}

#[test]
fn a_share_that_is_written_again_does_not_make_an_old_member_a_new_one() {
    let done = done();
    let dir = done.folder(1);
    let dir = dir.path();
    init::mark_new(dir).unwrap();
    done.finish(1, dir).unwrap();
    // it runs, and its first start removes the mark
    drop(Disk::open(dir, 64 << 10, None).unwrap());
    std::fs::remove_file(dir.join(NEW_MEMBER)).unwrap();
    let config =
        std::fs::read_to_string(dir.join("node.toml")).unwrap().replace("engine_threads = 2", "engine_threads = 3");
    files::write(&dir.join("node.toml"), config.as_bytes()).unwrap();

    // the disk is gone but for what a backup has
    for name in ["state.redb", "share.lks"] {
        std::fs::remove_file(dir.join(name)).unwrap();
    }
    share(done, dir).unwrap();
    assert!(!is_new(dir));
    crate::member::dealt(&done.network, dir, &Lock::Plain, MemberId(1)).unwrap();
    let found = Disk::open(dir, 64 << 10, None).err();
    assert!(matches!(found, Some(DiskError::Lost)), "{found:?}");
    assert_eq!(std::fs::read_to_string(dir.join("node.toml")).unwrap(), config, "what the operator wrote");
}

#[test]
fn the_end_of_a_ceremony_says_nothing_about_what_the_member_has_signed() {
    let done = done();
    let dir = done.folder(2);
    done.finish(2, dir.path()).unwrap();
    assert!(!is_new(dir.path()));
    init::mark_new(dir.path()).unwrap();
    done.finish(2, dir.path()).unwrap();
    assert!(is_new(dir.path()), "nor does it take the mark away");
}

#[test]
fn a_ceremony_says_once_that_its_member_is_new_and_not_beside_a_share() {
    let done = done();
    let plan = done.planned.plan.name();
    let dir = done.folder(2);
    let dir = dir.path();
    let mark = dir.join(NEW_MEMBER);
    finish::mark_new(dir, &plan).unwrap();
    assert!(mark.exists());
    // its first start, and a lost disk but for the journal
    std::fs::remove_file(&mark).unwrap();
    drop(Journal::open(dir, &plan).unwrap());
    finish::mark_new(dir, &plan).unwrap();
    assert!(!mark.exists());
    // a backup of its keys
    done.finish(2, dir).unwrap();
    finish::mark_new(dir, &Hash([1; 32])).unwrap();
    assert!(!mark.exists());
}

#[test]
fn a_last_step_that_was_cut_is_made_whole_by_the_next_one_and_nothing_else_is_written() {
    let done = done();
    let dir = done.folder(0);
    let dir = dir.path();
    let names = [NETWORK_FILE, "genesis-901.json", "node.toml", "share.lks"].map(|name| dir.join(name));
    assert_eq!(done.finish(0, dir).unwrap(), names);
    assert!(done.finish(0, dir).unwrap().is_empty(), "all is there");
    let whole = names.each_ref().map(|path| std::fs::read(path).unwrap());
    for (path, bytes) in names.iter().zip(&whole).take(3) {
        for cut in [None, Some(0), Some(bytes.len() / 2)] {
            match cut {
                None => std::fs::remove_file(path).unwrap(),
                Some(0) if path.ends_with("node.toml") => continue, // an empty one is all defaults
                Some(cut) => std::fs::write(path, &bytes[..cut]).unwrap(),
            }
            assert_eq!(done.finish(0, dir).unwrap(), [path.as_path()], "{cut:?}");
            assert_eq!(&std::fs::read(path).unwrap(), bytes);
        }
    }
    assert_eq!(names.each_ref().map(|path| std::fs::read(path).unwrap()), whole);
}

#[test]
fn files_of_another_network_member_or_key_set_are_not_replaced() {
    let done = done();
    let dir = done.folder(0);
    done.finish(0, dir.path()).unwrap();
    let share = files::share_path(dir.path());
    let refused =
        |result: Result<Vec<PathBuf>, Failure>| assert_eq!(result.err().map(|failure| failure.code), Some(78));
    // the share of another member
    let other = done.folder(1);
    done.finish(1, other.path()).unwrap();
    let own = std::fs::read(&share).unwrap();
    std::fs::copy(files::share_path(other.path()), &share).unwrap();
    refused(done.finish(0, dir.path()));
    std::fs::write(&share, own).unwrap();
    // another network
    let mut network = done.network.network.clone();
    network.genesis.origin.push('x');
    let text = toml::to_string(&network).unwrap();
    std::fs::write(dir.path().join(NETWORK_FILE), &text).unwrap();
    refused(done.finish(0, dir.path()));
    assert_eq!(std::fs::read_to_string(dir.path().join(NETWORK_FILE)).unwrap(), text);
}

#[test]
fn a_folder_in_use_gets_no_share() {
    let done = done();
    let dir = done.folder(3);
    let busy = store::durable::lock_dir(dir.path()).unwrap();
    assert_eq!(share(done, dir.path()).err().map(|failure| failure.code), Some(75));
    assert!(!files::share_path(dir.path()).exists());
    drop(busy);
    share(done, dir.path()).unwrap();
}

#[test]
fn a_folder_that_shows_that_its_member_has_run_takes_part_in_no_ceremony() {
    for name in ["state.redb", "engine", "wal", "log", "heads"] {
        let dir = tempfile::tempdir().unwrap();
        finish::check_unused(dir.path()).unwrap();
        std::fs::create_dir(dir.path().join(name)).unwrap();
        assert_eq!(finish::check_unused(dir.path()).err().map(|failure| failure.code), Some(78), "{name}");
    }
}

#[test]
fn a_gap_in_the_journal_is_damage_and_not_its_end() {
    let done = done();
    let dir = tempfile::tempdir().unwrap();
    let name = done.planned.plan.name();
    let messages = &done.transcript.messages[..4];
    let (mut journal, _) = Journal::open(dir.path(), &name).unwrap();
    messages.iter().for_each(|message| journal.append(message).unwrap());
    let folder = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    // what a crash leaves of a fifth one
    std::fs::write(folder.join("00004.tmp"), [0; 9]).unwrap();
    assert_eq!(Journal::open(dir.path(), &name).unwrap().1, messages);
    std::fs::remove_file(folder.join("00001")).unwrap();
    let found = Journal::open(dir.path(), &name).map(drop).unwrap_err();
    assert!(matches!(&found, JournalError::Gap(path) if path.ends_with("00001")), "{found}");
    assert_eq!(Failure::from(found).code, 65);
    std::fs::write(folder.join("00001"), [0; 9]).unwrap();
    let found = Journal::open(dir.path(), &name).map(drop).unwrap_err();
    assert!(matches!(&found, JournalError::Damaged(path) if path.ends_with("00001")), "{found}");
    assert_eq!(Failure::from(found).code, 65);
}
