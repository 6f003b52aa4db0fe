// Goal: STO-1, STO-2, STO-3, STO-5 for the log. Method: a member's directory is copied at every step, and with every
// part of the files that a step writes; each copy must open and reach the same bytes as the run that nobody stopped.
use super::*;
use crate::{durable, state::State};
use crypto::ed25519::SigningKey;
use std::{collections::BTreeMap, fs};
use tempfile::{TempDir, tempdir};
use tlog::proof::{verify_consistency, verify_inclusion};
use types::{MemberId, MemberRecord};
use zeroize::Zeroizing;

const ORIGIN: &str = "example.net/test";

fn entries(from: u64, count: u64) -> Vec<Vec<u8>> {
    (from..from + count).map(|i| i.to_be_bytes().repeat(1 + usize::try_from(i % 5).unwrap())).collect()
}

fn lock(slot: u64, staged: &Staged) -> Lock {
    let (head, staging) = (staged.head(), staged.name().to_string());
    Lock { head, slot: Slot(slot), time: 1_000 + slot, opened: Slot(slot - 1), staging, owed: (1, 1) }
}

fn checkpoint_of(head: &Head) -> String {
    let key = |i| SigningKey::from_seed(Zeroizing::new([i; 32]));
    let [log, cosigner] = [key(1), key(2)];
    let none = types::Hash::ZERO;
    let member = MemberRecord {
        name: "one".into(),
        consensus: none,
        log: log.public(),
        cosigner: cosigner.public(),
        receipt: none,
        tls: none,
    };
    let policy = checkpoint::Policy::new(ORIGIN, &[member], 0).unwrap();
    let signature = checkpoint::sign(ORIGIN, head, &log);
    let stamp = checkpoint::cosign(ORIGIN, head, 5, &cosigner);
    policy.checkpoint(head, (MemberId(0), signature), &[(MemberId(0), stamp)]).unwrap()
}

struct Member {
    dir: TempDir,
    state: State,
    log: LogDir,
}

impl Member {
    #[expect(clippy::unwrap_in_result, reason = "only the log's errors are of interest")]
    fn open(dir: TempDir) -> Result<Self, LogError> {
        let state = State::open(&dir.path().join("state.redb")).unwrap();
        let lock = state.lock().unwrap();
        let log = LogDir::open(dir.path(), lock.as_ref())?;
        Ok(Self { dir, state, log })
    }
    fn new() -> Self {
        Self::open(tempdir().unwrap()).unwrap()
    }
    fn copy(&self) -> TempDir {
        let to = tempdir().unwrap();
        copy_tree(self.dir.path(), to.path());
        to
    }
    /// One whole slot: section A of `a` entries, section B of `b`.
    fn slot(&mut self, slot: u64, a: u64, b: u64) {
        let staged = self.log.stage(&entries(self.log.size(), a)).unwrap();
        self.state.commit(&lock(slot, &staged)).unwrap();
        let head = staged.head();
        self.log.apply(staged).unwrap();
        self.log.append(&entries(self.log.size(), b)).unwrap();
        self.log.publish(Epoch(0), Slot(slot), &checkpoint_of(&head)).unwrap();
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Every file below a directory.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                all.insert(path.strip_prefix(dir).unwrap().to_path_buf(), fs::read(&path).unwrap());
            }
        }
    }
    all
}

/// The tree over the entries of [`entries`].
fn head_of(size: u64) -> Head {
    let mut tree = Tree::new();
    for entry in entries(0, size) {
        tree.append(&entry);
    }
    tree.head()
}

/// Everything of the log up to its applied head is what it must be.
fn assert_whole(log: &LogDir, size: u64, note: &str) {
    assert_eq!(log.applied(), head_of(size), "{note}");
    assert_eq!(log.reader().check().unwrap(), head_of(size), "{note}");
    assert_eq!(log.entries(0..size).unwrap(), entries(0, size), "{note}");
    for (path, bytes) in files(&log.reader().inner.root) {
        let name = path.to_str().unwrap().to_string();
        if name != "checkpoint" {
            let tile = Tile::parse(&name).unwrap_or_else(|_| panic!("{note}: {name} is not served"));
            assert!(tile.is_within(size), "{note}: {name}");
            assert_eq!(log.reader().any_tile(&tile).unwrap(), bytes, "{note}: {name}");
        }
    }
    assert_eq!(durable::names(&log.staging).unwrap(), [""; 0], "{note}");
}

#[test]
fn sto_1_slots_are_applied_published_and_read_back() {
    let mut member = Member::new();
    let mut heads = Vec::new();
    for slot in 1..=12 {
        member.slot(slot, 40 + slot, 7);
        heads.push(member.log.applied());
    }
    let size = member.log.size();
    assert_eq!(member.log.entries(0..size).unwrap(), entries(0, size));
    assert_eq!(member.log.entries(size - 9..size - 3).unwrap(), entries(size - 9, 6));
    assert_eq!(member.log.head(), head_of(size));
    let applied = size - 7;
    assert!(matches!(member.log.reader().entries(0..size), Err(LogError::OutOfRange)));
    assert!(matches!(member.log.read_entry(size), Err(LogError::OutOfRange)));
    for slot in 1..=12u64 {
        let head = heads[usize::try_from(slot).unwrap() - 1];
        assert_eq!(member.log.reader().head_note(Slot(slot)).unwrap(), Some(checkpoint_of(&head)));
    }
    let member = Member::open(member.copy()).unwrap();
    assert_whole(&member.log, applied, "reopened");
    let reader = member.log.reader();
    assert_eq!(reader.published(), Some(head_of(applied)));
    assert_eq!(reader.checkpoint().as_deref(), Some(checkpoint_of(&head_of(applied)).as_str()));
    assert_eq!((reader.last_published_slot(), reader.head_note(Slot(13)).unwrap()), (Some(Slot(12)), None));
    for (slot, head) in heads.iter().enumerate() {
        let proof = reader.consistency(head.size, applied).unwrap();
        assert!(verify_consistency(head, &head_of(applied), &proof), "{slot}");
    }
}

#[test]
fn proofs_come_from_tiles() {
    let mut member = Member::new();
    assert_eq!(member.log.reader().proof(0, None).unwrap(), None);
    member.slot(1, 300, 20);
    member.slot(2, 30, 0);
    let reader = member.log.reader();
    for index in [0, 255, 256, 299, 300, 319, 349] {
        let proof = reader.proof(index, Some(vec![2])).unwrap().unwrap();
        let entry = entries(index, 1).remove(0);
        assert!(verify_inclusion(&head_of(350), index, &entry, &proof.path));
        assert_eq!(proof.checkpoint, checkpoint_of(&head_of(350)));
        assert!(verify_inclusion(&head_of(index + 1), index, &entry, &reader.inclusion(index + 1, index).unwrap()));
    }
    assert_eq!(reader.proof(350, None).unwrap(), None);
    assert!(matches!(reader.inclusion(351, 0), Err(LogError::OutOfRange)));
    assert!(matches!(reader.inclusion(350, 350), Err(LogError::OutOfRange)));
    assert!(matches!(reader.consistency(0, 350), Err(LogError::OutOfRange)));
}

#[test]
fn tiles_are_served_at_every_width_they_had() {
    let mut member = Member::new();
    let reader = member.log.reader();
    let first = Tile::new(Level::Hashes(0), 0, 1).unwrap();
    assert_eq!(reader.tile(&first).unwrap(), None);
    let mut sizes = Vec::new();
    for slot in 1..=8 {
        member.slot(slot, 60, 11);
        sizes.push(member.log.applied().size);
    }
    let mut whole = Edge::new();
    let mut at = 0;
    for size in sizes {
        for (tile, bytes) in whole.append(&entries(at, size - at)).unwrap() {
            assert_eq!(reader.tile(&tile).unwrap(), Some(bytes), "{tile}");
        }
        at = size;
    }
    // Not yet published, though applied: not served.
    let staged = member.log.stage(&entries(member.log.size(), 60)).unwrap();
    member.state.commit(&lock(9, &staged)).unwrap();
    let before = member.log.applied().size;
    member.log.apply(staged).unwrap();
    let level = Level::Entries;
    let tile = Tile::at(level, before >> 8, before + 1).unwrap();
    assert_eq!(reader.tile(&tile).unwrap(), None);
    let tile = Tile::at(level, before >> 8, before).unwrap();
    assert!(reader.tile(&tile).unwrap().is_some());
}

#[test]
fn sto_5_few_partial_tiles_stay_and_nothing_else() {
    let mut member = Member::new();
    for slot in 1..=30 {
        member.slot(slot, 20, 3);
        let applied = member.log.applied().size;
        let named: Vec<Tile> = files(&member.log.reader().inner.root)
            .keys()
            .filter_map(|path| Tile::parse(path.to_str().unwrap()).ok())
            .collect();
        let count = files(&member.log.reader().inner.root).len();
        assert_eq!(count, named.len() + 1, "tiles and the checkpoint");
        let partial = named.iter().filter(|tile| !tile.is_full()).count();
        assert!(partial <= 2 * tiles::partials(applied).len().max(3), "slot {slot}: {partial}");
    }
}

#[test]
fn sto_2_a_crash_at_every_step_loses_no_commit() {
    // Sizes that stay in a tile, fill one, fill one exactly, and fill several.
    for (first, second, third) in [(3, 4, 2), (250, 10, 5), (200, 40, 16), (255, 1, 1), (256, 256, 10)] {
        let mut member = Member::new();
        member.slot(1, first, third);
        let start = first;
        let end = first + third + second;
        let note = format!("{first} {second} {third}");
        let reopen = |dir: TempDir| Member::open(dir).unwrap_or_else(|error| panic!("{note}: {error}"));
        // Section B is in memory only.
        assert_whole(&reopen(member.copy()).log, start, &note);
        let staged = member.log.stage(&entries(member.log.size(), second)).unwrap();
        // Staged, not committed: discarded.
        assert_whole(&reopen(member.copy()).log, start, &note);
        member.state.commit(&lock(2, &staged)).unwrap();
        // Committed: must be there, whole, and the member goes on from it.
        let committed = member.copy();
        let mut again = reopen(member.copy());
        assert_whole(&again.log, end, &note);
        again.slot(3, 9, 0);
        assert_whole(&again.log, end + 9, &note);
        let head = staged.head();
        member.log.apply(staged).unwrap();
        assert_whole(&member.log, end, &note);
        assert_whole(&reopen(member.copy()).log, end, &note);
        // Applied in part: some of the new files are there, in any order, the staging file too, and temporary ones.
        let before = files(committed.path());
        let after = files(member.dir.path());
        let mut new: Vec<_> =
            after.iter().filter(|(path, bytes)| path.starts_with("log") && before.get(*path) != Some(*bytes)).collect();
        assert!(new.len() >= 2, "{note}");
        for k in 0..=2 * new.len() {
            if k == new.len() {
                new.reverse();
            }
            let partly = tempdir().unwrap();
            copy_tree(committed.path(), partly.path());
            for (path, bytes) in new.iter().take(k % (new.len() + 1)) {
                let path = partly.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
            fs::write(partly.path().join("staging/3.tmp"), b"half").unwrap();
            let mut again = reopen(partly);
            assert_whole(&again.log, end, &format!("{note}: {k} files"));
            again.log.publish(Epoch(0), Slot(2), &checkpoint_of(&head)).unwrap();
            again.slot(3, 30, 0);
            assert_whole(&again.log, end + 30, &format!("{note}: {k} files, next slot"));
        }
        // Applied, and the removal of the staging file did not reach the disk.
        let back = member.copy();
        let name = format!("staging/{end}");
        fs::copy(committed.path().join(&name), back.path().join(&name)).unwrap();
        assert_whole(&reopen(back).log, end, &note);
    }
}

#[test]
fn sto_2_three_commits_wait_for_their_tiles() {
    let mut member = Member::new();
    member.slot(1, 30, 0);
    let mut staged = Vec::new();
    for slot in 2..=4 {
        staged.push(member.log.stage(&entries(member.log.size(), 5)).unwrap());
        member.state.commit(&lock(slot, staged.last().unwrap())).unwrap();
    }
    // The staging file of the third builds on the first size, whose partial tiles are given up meanwhile.
    for (done, commit) in staged.into_iter().enumerate() {
        assert_whole(&Member::open(member.copy()).unwrap().log, 45, &format!("{done} applied"));
        member.log.apply(commit).unwrap();
    }
    assert_whole(&member.log, 45, "all applied");
}

#[test]
fn what_is_appended_is_shown_until_tiles_hold_it() {
    let mut member = Member::new();
    member.slot(1, 30, 0);
    let reader = member.log.reader();
    assert_eq!(reader.appended(), (30, Vec::new()));
    member.log.append(&entries(30, 3)).unwrap();
    member.log.append(&entries(33, 1)).unwrap();
    assert_eq!(reader.appended(), (30, entries(30, 4)));
    // a commit takes them along, and nothing of its own is shown before it is done
    let staged = member.log.stage(&entries(34, 2)).unwrap();
    assert_eq!(reader.appended(), (30, entries(30, 4)));
    member.state.commit(&lock(2, &staged)).unwrap();
    // behind what no tile holds there is nothing to show
    member.log.append(&entries(36, 1)).unwrap();
    member.log.apply(staged).unwrap();
    assert_eq!(reader.appended(), (36, Vec::new()));
}

#[test]
fn sto_2_commits_that_were_not_applied_are_covered_by_the_next() {
    let mut member = Member::new();
    member.slot(1, 30, 4);
    let one = member.log.stage(&entries(34, 10)).unwrap();
    member.state.commit(&lock(2, &one)).unwrap();
    member.log.append(&entries(44, 3)).unwrap();
    let two = member.log.stage(&entries(47, 300)).unwrap();
    let between = Member::open(member.copy()).unwrap();
    assert_whole(&between.log, 44, "second not committed");
    member.state.commit(&lock(3, &two)).unwrap();
    assert_whole(&Member::open(member.copy()).unwrap().log, 347, "second committed");
    member.log.apply(two).unwrap();
    member.log.apply(one).unwrap();
    assert_whole(&member.log, 347, "applied out of order");
    assert_whole(&Member::open(member.copy()).unwrap().log, 347, "reopened");
}

#[test]
fn sto_2_a_first_commit_that_never_was() {
    let mut member = Member::new();
    let staged = member.log.stage(&entries(0, 5)).unwrap();
    let again = Member::open(member.copy()).unwrap();
    assert_whole(&again.log, 0, "no lock");
    member.state.commit(&lock(1, &staged)).unwrap();
    assert_whole(&Member::open(member.copy()).unwrap().log, 5, "first lock");
}

fn opened(dir: TempDir) -> Result<Head, LogError> {
    let member = Member::open(dir)?;
    member.log.reader().check()
}

#[test]
fn sto_3_an_old_backup_is_refused() {
    let mut member = Member::new();
    member.slot(1, 20, 2);
    let old = member.copy();
    member.slot(2, 20, 2);
    let with = |part: &str| {
        let dir = member.copy();
        let to = dir.path().join(part);
        if to.is_dir() {
            fs::remove_dir_all(&to).unwrap()
        } else {
            fs::remove_file(&to).unwrap()
        }
        let from = old.path().join(part);
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
        dir
    };
    // Old state, new log: whoever signs here signs twice.
    assert!(matches!(opened(with("state.redb")), Err(LogError::AheadOfLock(20))));
    // Old log, new state: nothing to apply.
    assert!(matches!(opened(with("log")), Err(LogError::NoStaging(42))));
    let lost = member.copy();
    fs::remove_file(lost.path().join("state.redb")).unwrap();
    assert!(matches!(opened(lost), Err(LogError::AheadOfLock(0))));
    // Also when the checkpoint is of the old state: tiles alone show it.
    let sneaky = with("state.redb");
    fs::copy(old.path().join("log/checkpoint"), sneaky.path().join("log/checkpoint")).unwrap();
    assert!(matches!(opened(sneaky), Err(LogError::AheadOfLock(20))));
    for (size, more) in [(255, 1), (256, 1), (200, 56), (300, 300)] {
        let mut member = Member::new();
        member.slot(1, size, 0);
        let old = member.copy();
        member.slot(2, more, 0);
        let dir = member.copy();
        fs::copy(old.path().join("state.redb"), dir.path().join("state.redb")).unwrap();
        fs::remove_file(dir.path().join("log/checkpoint")).unwrap();
        assert!(matches!(opened(dir), Err(LogError::AheadOfLock(_))), "{size} {more}");
    }
}

#[test]
fn sto_3_flipped_bits_are_found_or_harmless() {
    let mut member = Member::new();
    member.slot(1, 270, 2);
    member.slot(2, 20, 0);
    let head = member.log.applied();
    assert_eq!(opened(member.copy()).unwrap(), head);
    let mut found = 0;
    for (path, bytes) in files(&member.dir.path().join("log")) {
        for place in (0..bytes.len()).step_by(bytes.len() / 7 + 1) {
            let dir = member.copy();
            let file = dir.path().join("log").join(&path);
            let mut bad = bytes.clone();
            bad[place] ^= 0x10;
            fs::write(&file, bad).unwrap();
            match opened(dir) {
                // A line of a signature is the reader's to check; a partial tile of an older head is not needed.
                Ok(same) => assert_eq!(same, head, "{}", path.display()),
                Err(LogError::Disk(error)) => panic!("{error}"),
                Err(_) => found += 1,
            }
        }
    }
    assert!(found > 30, "{found}");
}

#[test]
fn sto_3_garbled_staging_is_refused() {
    let mut member = Member::new();
    member.slot(1, 20, 2);
    let staged = member.log.stage(&entries(22, 3)).unwrap();
    member.state.commit(&lock(2, &staged)).unwrap();
    let name = format!("staging/{}", staged.name());
    let bytes = fs::read(member.dir.path().join(&name)).unwrap();
    for place in 0..bytes.len() {
        let dir = member.copy();
        let mut bad = bytes.clone();
        bad[place] ^= 1;
        fs::write(dir.path().join(&name), &bad).unwrap();
        assert!(opened(dir).is_err(), "flipped at {place}");
    }
    for length in (0..bytes.len()).step_by(5) {
        let dir = member.copy();
        fs::write(dir.path().join(&name), &bytes[..length]).unwrap();
        assert!(opened(dir).is_err(), "cut at {length}");
    }
    let dir = member.copy();
    fs::remove_file(dir.path().join(&name)).unwrap();
    assert!(matches!(opened(dir), Err(LogError::NoStaging(25))));
    // A name that points elsewhere is no staging file.
    let mut lock = member.state.lock().unwrap().unwrap();
    lock.staging = "../state.redb".into();
    assert!(matches!(LogDir::open(member.copy().path(), Some(&lock)), Err(LogError::NoStaging(25))));
}

#[test]
fn a_checkpoint_of_another_tree_is_not_published() {
    let mut member = Member::new();
    member.slot(1, 20, 5);
    let published = member.log.reader().published();
    let mut publish = |head: Head| member.log.publish(Epoch(0), Slot(2), &checkpoint_of(&head));
    assert!(matches!(publish(head_of(25)), Err(LogError::NotApplied(25))));
    assert!(matches!(publish(Head { size: 20, root: head_of(19).root }), Err(LogError::NotOurs)));
    assert!(matches!(publish(Head { size: 7, root: head_of(8).root }), Err(LogError::NotOurs)));
    assert!(matches!(member.log.publish(Epoch(0), Slot(2), "no note"), Err(LogError::NotOurs)));
    assert_eq!(member.log.reader().published(), published);
    assert_eq!(member.log.reader().head_note(Slot(2)).unwrap(), None);
    // A late one of an earlier size is kept, and is not the newest.
    member.log.publish(Epoch(0), Slot(9), &checkpoint_of(&head_of(7))).unwrap();
    assert_eq!(member.log.reader().published(), published);
    assert_eq!(member.log.reader().head_note(Slot(9)).unwrap(), Some(checkpoint_of(&head_of(7))));
    assert_eq!(Member::open(member.copy()).unwrap().log.reader().published(), published);
}

#[test]
fn sto_2_heads_survive_a_torn_end() {
    let mut member = Member::new();
    for slot in 1..=3 {
        member.slot(slot, 5, 0);
    }
    let path = member.dir.path().join("heads/0");
    let bytes = fs::read(&path).unwrap();
    let third: usize = [5, 10].map(|size| 16 + checkpoint_of(&head_of(size)).len()).iter().sum();
    for length in [third, third + 1, third + 20, bytes.len() - 1] {
        let dir = member.copy();
        fs::write(dir.path().join("heads/0"), &bytes[..length]).unwrap();
        let mut again = Member::open(dir).unwrap();
        let reader = again.log.reader();
        assert_eq!(reader.head_note(Slot(2)).unwrap(), Some(checkpoint_of(&head_of(10))));
        assert_eq!(reader.head_note(Slot(3)).unwrap(), None);
        again.log.publish(Epoch(0), Slot(3), &checkpoint_of(&head_of(15))).unwrap();
        assert_eq!(fs::read(again.dir.path().join("heads/0")).unwrap(), bytes);
    }
    // A bad byte is not served.
    let dir = member.copy();
    let reader = Member::open(dir).unwrap();
    let mut bad = bytes.clone();
    bad[40] ^= 1;
    fs::write(reader.dir.path().join("heads/0"), bad).unwrap();
    assert_eq!(reader.log.reader().head_note(Slot(1)).unwrap(), None);
}

#[test]
fn entries_that_are_too_long_change_nothing() {
    let mut member = Member::new();
    member.slot(1, 3, 0);
    let head = member.log.head();
    let long = [vec![1], vec![0; ENTRY_BYTES_MAX + 1]];
    assert!(matches!(member.log.stage(&long), Err(LogError::EntryTooLong(_))));
    assert!(matches!(member.log.append(&long), Err(LogError::EntryTooLong(_))));
    assert_eq!(member.log.head(), head);
    member.slot(2, 3, 0);
}

#[test]
fn a_writer_that_failed_goes_no_further() {
    let mut member = Member::new();
    member.slot(1, 3, 0);
    // A file where the staging directory was: the disk refuses.
    let staging = member.dir.path().join("staging");
    fs::remove_dir_all(&staging).unwrap();
    fs::write(&staging, b"").unwrap();
    assert!(matches!(member.log.stage(&entries(3, 1)), Err(LogError::Disk(_))));
    fs::remove_file(&staging).unwrap();
    fs::create_dir(&staging).unwrap();
    assert!(matches!(member.log.stage(&entries(3, 1)), Err(LogError::Failed)));
    assert!(matches!(member.log.append(&entries(3, 1)), Err(LogError::Failed)));
    assert!(matches!(member.log.publish(Epoch(0), Slot(2), &checkpoint_of(&head_of(3))), Err(LogError::Failed)));
}

#[test]
fn readers_read_while_the_writer_writes() {
    let mut member = Member::new();
    member.slot(1, 10, 0);
    let reader = member.log.reader();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let look = || {
            let mut rounds = 0u32;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) || rounds == 0 {
                let head = reader.published().unwrap();
                for tile in tiles::partials(head.size) {
                    assert!(reader.tile(&tile).unwrap().is_some());
                }
                let last = head.size - 1;
                let path = reader.inclusion(head.size, last).unwrap();
                assert!(verify_inclusion(&head, last, &entries(last, 1)[0], &path));
                rounds += 1;
            }
        };
        let threads = [scope.spawn(look), scope.spawn(look)];
        for slot in 2..40 {
            member.slot(slot, 9, 4);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
