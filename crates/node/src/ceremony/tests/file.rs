// What ceremony.toml may say.
use super::*;
use crate::ceremony::files::CeremonyFileError;

fn with(change: impl FnOnce(&mut Ceremony)) -> Result<Planned, CeremonyFileError> {
    let good = &done().planned;
    let mut file = good.file.clone();
    change(&mut file);
    Planned::new(file, good.rollups.clone())
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
