//! Goal: a network of separate processes does its main job, and a member that cannot start says why and what to do.
//! Method: the program as processes over `lockstep init`, loopback only, one network at a time.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where its helper fails")]
#[expect(dead_code, reason = "each test program uses a part")]
mod common;

use common::{base_port, run};

#[test]
fn init_refuses_what_makes_no_network() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("net");
    let (status, _, err) = run(&["init", "--members", "5", "--dir", folder.to_str().unwrap()]);
    assert_eq!((status.code(), folder.exists()), (Some(64), false), "{err}");
    assert!(err.contains("3f + 1"), "{err}");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("letter"), "x").unwrap();
    let port = base_port(4).to_string();
    let (status, _, err) = run(&["init", "--base-port", &port, "--dir", folder.to_str().unwrap()]);
    assert_eq!(status.code(), Some(64));
    assert!(err.contains("is not empty"), "{err}");
}
