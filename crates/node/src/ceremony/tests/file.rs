// What ceremony.toml may say.
use super::*;
use crate::ceremony::{files::CeremonyFileError, plan};
use types::Joining;

fn with(change: impl FnOnce(&mut Ceremony)) -> Result<Planned, CeremonyFileError> {
    let good = &done().planned;
    let mut file = good.file.clone();
    change(&mut file);
    Planned::made(file, good.rollups.clone())
}

#[test]
fn addresses_that_are_none_end_it_before_it_begins() {
    with(|_| ()).unwrap();
    with(|file| file.addresses[2].http = "host.example:8080".into()).unwrap();
    let bad: [fn(&mut MemberAddress); 8] = [
        |at| at.http = "127.0.0.1:80/admin?x=".into(),
        |at| at.http = "user@127.0.0.1:80".into(),
        |at| at.http = "\u{1b}[2J:80".into(),
        |at| at.quic = "127.0.0.1".into(),
        |at| at.quic = String::new(),
        |at| at.p2p = "host.example:80".into(),
        |at| at.p2p = "127.0.0.1:0".into(),
        |at| at.member = MemberId(1),
    ];
    for change in bad {
        let refused = with(|file| change(&mut file.addresses[2]));
        assert!(matches!(refused, Err(CeremonyFileError::Addresses(_))), "{refused:?}");
    }
    assert!(matches!(with(|file| drop(file.addresses.pop())), Err(CeremonyFileError::Addresses(MemberId(3)))));
    let stranger = MemberAddress { member: MemberId(4), ..done().planned.file.addresses[0].clone() };
    assert!(matches!(with(|file| file.addresses.push(stranger)), Err(CeremonyFileError::Stranger)));
}

#[test]
fn a_plan_that_cannot_be_is_refused_before_anything_is_written() {
    let done = done();
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("plan");
    let plan = |names: [&str; 4]| {
        let mut line = format!("--origin example.org/test --dir {}", to.display());
        for (member, name) in names.iter().enumerate() {
            let MemberAddress { p2p, quic, http, .. } = done.planned.file.addresses[member].clone();
            let joining = Joining { record: done.identities[member].record(name), p2p, quic, http };
            let path = dir.path().join(format!("{member}.json"));
            std::fs::write(&path, serde_json::to_vec(&joining).unwrap()).unwrap();
            line = format!("{line} --add {}", path.display());
        }
        plan::plan(&args(&line))
    };
    assert_eq!(plan(["ann", "bob", "cat", "ann"]).err().map(|failure| failure.code), Some(78));
    assert!(!to.exists());
    plan(["ann", "bob", "cat", "dave"]).unwrap();
    let planned = Planned::read(&to.join("ceremony.toml")).unwrap();
    assert_eq!(planned.name(MemberId(3)), "dave");
    assert!(!to.join("accounts.json").exists());
}
