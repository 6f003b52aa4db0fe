// Goal: STO-4, and STO-1 for the state. Method: reopen after each step.
use super::*;
use tempfile::tempdir;
use types::Hash;

fn lock(size: u64, slot: u64, root: u8) -> Lock {
    Lock {
        head: Head { size, root: Hash([root; 32]) },
        slot: Slot(slot),
        time: 1_795_211_490 + slot,
        opened: Slot(slot.saturating_sub(1)),
        staging: size.to_string(),
        owed: (1, slot),
    }
}

#[test]
fn sto_4_a_lock_never_goes_back() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("deep/state.redb");
    let state = State::open(&path).unwrap();
    assert_eq!(state.lock().unwrap(), None);
    state.set_opened(Slot(3)).unwrap();
    assert_eq!(state.lock().unwrap(), None);
    state.commit(&lock(10, 1, 1)).unwrap();
    state.commit(&lock(10, 1, 1)).unwrap();
    state.commit(&lock(20, 2, 2)).unwrap();
    drop(state);
    let state = State::open(&path).unwrap();
    assert_eq!(state.lock().unwrap(), Some(lock(20, 2, 2)));
    // Smaller, another root at the size, another time, an earlier slot.
    let late = Lock { time: 1, ..lock(20, 2, 2) };
    let early = Lock { slot: Slot(1), ..lock(30, 3, 3) };
    for bad in [lock(19, 3, 2), lock(20, 2, 9), lock(20, 3, 2), late, early] {
        assert!(matches!(state.commit(&bad), Err(StateError::LockBehind { .. })), "{bad:?}");
        assert_eq!(state.lock().unwrap(), Some(lock(20, 2, 2)));
    }
}

#[test]
fn sto_4_opened_never_goes_back() {
    let dir = tempdir().unwrap();
    let state = State::open(&dir.path().join("state.redb")).unwrap();
    state.commit(&lock(10, 5, 1)).unwrap();
    assert_eq!(state.lock().unwrap().unwrap().opened, Slot(4));
    for (slot, want) in [(5, 5), (3, 5), (6, 6)] {
        state.set_opened(Slot(slot)).unwrap();
        assert_eq!(state.lock().unwrap().unwrap().opened, Slot(want));
    }
    state.commit(&lock(11, 6, 2)).unwrap();
    assert_eq!(state.lock().unwrap().unwrap().opened, Slot(6));
    state.commit(&lock(12, 9, 2)).unwrap();
    assert_eq!(state.lock().unwrap().unwrap().opened, Slot(8));
}

#[test]
fn sto_4_one_list_per_slot() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let state = State::open(&path).unwrap();
    assert_eq!(state.last_list().unwrap(), None);
    state.put_list(Slot(7), b"seven").unwrap();
    state.put_list(Slot(7), b"seven").unwrap();
    assert!(matches!(state.put_list(Slot(7), b"other"), Err(StateError::ListSigned(Slot(7)))));
    assert!(matches!(state.put_list(Slot(6), b"six"), Err(StateError::ListSigned(Slot(6)))));
    drop(state);
    let state = State::open(&path).unwrap();
    assert_eq!(state.list(Slot(7)).unwrap().as_deref(), Some(&b"seven"[..]));
    assert_eq!(state.list(Slot(6)).unwrap(), None);
    assert!(matches!(state.put_list(Slot(7), b"other"), Err(StateError::ListSigned(Slot(7)))));
    let kept = LISTS_KEPT as u64;
    for slot in 8..8 + kept {
        state.put_list(Slot(slot), b"more").unwrap();
    }
    assert_eq!(state.list(Slot(7)).unwrap(), None);
    assert_eq!(state.list(Slot(8)).unwrap().as_deref(), Some(&b"more"[..]));
    assert_eq!(state.last_list().unwrap(), Some(Slot(7 + kept)));
    assert!(matches!(state.put_list(Slot(7), b"seven"), Err(StateError::ListSigned(Slot(7)))));
}

#[test]
fn values_are_typed_and_apart_from_ours() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let state = State::open(&path).unwrap();
    assert_eq!(state.value::<Head>("lock").unwrap(), None);
    state.put("lock", &lock(1, 1, 1).head).unwrap();
    assert_eq!(state.lock().unwrap(), None);
    drop(state);
    let state = State::open(&path).unwrap();
    assert_eq!(state.value::<Head>("lock").unwrap(), Some(lock(1, 1, 1).head));
    assert!(matches!(state.value::<u64>("lock"), Err(StateError::Value(_))));
    let long = vec![0u8; VALUE_BYTES_MAX];
    assert!(matches!(state.put("long", &long), Err(StateError::TooLong(_))));
    assert!(matches!(state.put_list(Slot(1), &vec![0; VALUE_BYTES_MAX + 1]), Err(StateError::TooLong(_))));
}

#[test]
fn a_database_has_one_owner() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let state = State::open(&path).unwrap();
    assert!(matches!(State::open(&path), Err(StateError::Database(_))));
    drop(state);
    State::open(&path).unwrap();
}

#[test]
fn sto_3_a_garbled_database_is_refused_or_the_same() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let state = State::open(&path).unwrap();
    for slot in 1..=70 {
        state.put_list(Slot(slot), &[u8::try_from(slot).unwrap(); 300]).unwrap();
        state.put("share", &vec![u8::try_from(slot).unwrap(); 500]).unwrap();
        state.commit(&lock(10 * slot, slot, 1)).unwrap();
    }
    drop(state);
    let bytes = std::fs::read(&path).unwrap();
    let (mut refused, mut same) = (0, 0);
    let places: Vec<usize> =
        (0..320).chain((320..bytes.len()).step_by(97)).filter(|place| bytes[*place] != 0 || place % 29 == 0).collect();
    // Nothing of this has to survive the machine.
    let _quick = fault::Scope::new(fault::Plan::pretended(fault::Fault::Kill, 0));
    for place in places {
        let bad_path = dir.path().join("bad.redb");
        let mut bad = bytes.clone();
        bad[place] ^= 0x11;
        std::fs::write(&bad_path, bad).unwrap();
        let told = |state: &State| -> Result<_, StateError> {
            let lists: Result<Vec<_>, _> = (7..=70).map(|slot| state.list(Slot(slot))).collect();
            Ok((state.lock()?, lists?, state.value::<Vec<u8>>("share")?, state.last_list()?))
        };
        match State::open(&bad_path).and_then(|state| told(&state)) {
            Ok((found, lists, share, last)) => {
                assert_eq!(found, Some(lock(700, 70, 1)), "at {place}");
                assert_eq!((share, last), (Some(vec![70; 500]), Some(Slot(70))), "at {place}");
                for (slot, list) in (7..).zip(lists) {
                    assert_eq!(list, Some(vec![slot; 300]), "at {place}");
                }
                same += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50 && same > 50, "{refused} {same}");
}
