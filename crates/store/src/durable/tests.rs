// Goal: files are whole or absent, keys are private, one process per directory. Method: temporary directories.
use super::*;
use tempfile::tempdir;

#[test]
fn a_file_is_replaced_whole() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a/b/file");
    assert_eq!(read(&path, 10).unwrap(), None);
    write(&path, b"one").unwrap();
    write(&path, b"2").unwrap();
    assert_eq!(read(&path, 10).unwrap().unwrap(), b"2");
    assert_eq!(names(&dir.path().join("a/b")).unwrap(), ["file"]);
    remove(&path).unwrap();
    remove(&path).unwrap();
    assert_eq!(names(&dir.path().join("a/b")).unwrap(), [""; 0]);
}

#[test]
fn a_leftover_of_a_crash_is_no_obstacle() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(dir.path().join("file.tmp"), b"half of something longer").unwrap();
    write(&path, b"whole").unwrap();
    assert_eq!(read(&path, 10).unwrap().unwrap(), b"whole");
    assert_eq!(names(dir.path()).unwrap(), ["file"]);
}

#[cfg(unix)]
#[test]
fn keys_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempdir().unwrap();
    let path = dir.path().join("key");
    fs::write(dir.path().join("key.tmp"), b"").unwrap();
    write_private(&path, b"secret").unwrap();
    write_private(&path, b"secret").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_batch_replaces_all_its_files() {
    let dir = tempdir().unwrap();
    let scratch = dir.path().join("scratch");
    create_dir(&scratch).unwrap();
    let files: Vec<_> = (0u8..9).map(|i| (dir.path().join(format!("x/{}/{i}", i % 3)), vec![i; 10])).collect();
    write_batch(&scratch, &files).unwrap();
    write_batch(&scratch, &files[..4]).unwrap();
    for (path, bytes) in files {
        assert_eq!(read(&path, 10).unwrap().unwrap(), bytes);
    }
    assert_eq!(names(&scratch).unwrap(), [""; 0]);
}

#[test]
fn a_longer_file_than_asked_for_is_an_error() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("file");
    write(&path, &[0; 11]).unwrap();
    assert!(read(&path, 10).is_err());
    assert_eq!(read(&path, 11).unwrap().unwrap().len(), 11);
}

#[test]
fn errors_name_operation_and_path() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    write(&file, b"").unwrap();
    let error = create_dir(&file.join("below")).unwrap_err();
    assert_eq!(error.op, Op::CreateDir);
    assert!(error.to_string().starts_with("cannot create directory /"), "{error}");
    assert!(!error.is_full());
    let full = DiskError { op: Op::Write, path: file, source: io::ErrorKind::StorageFull.into() };
    assert!(full.is_full());
}

#[test]
fn a_directory_has_one_owner() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("member");
    let held = lock_dir(&path).unwrap();
    assert!(matches!(lock_dir(&path), Err(LockError::Busy(busy)) if busy == path));
    drop(held);
    lock_dir(&path).unwrap();
}
