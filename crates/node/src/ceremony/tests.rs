// Goal: what a ceremony leaves in a folder is whole, and never more than is known. Method: four operators in this
// process, whose commands run on folders of the test; the member's own disk code judges the folder.
use super::{
    files::{Ceremony, Planned, TRANSCRIPT_FILE},
    finish, keys,
};
use crate::{
    cli::Failure,
    disk::{Disk, DiskError, NEW_MEMBER},
    entropy::Source,
    files::{self, Identity, NETWORK_FILE, NetworkFiles},
    init,
    passphrase::Lock,
};
use clap::Parser;
use keygen::{
    MemberSecrets,
    files::Protection,
    operators::{Operator, State, Transcript},
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use types::{ChainId, MemberAddress, MemberId, Params};

mod file;
mod folder;
mod looks;

/// Four operators, and what they have at the end.
struct Done {
    planned: Planned,
    identities: Vec<Identity>,
    transcript: Transcript,
    network: NetworkFiles,
    secrets: Vec<MemberSecrets>,
}

fn planned(identities: &[Identity]) -> Planned {
    let wanted = init::Plan {
        builders: Vec::new(),
        origin: "example.org/test".into(),
        members: 4,
        rollups: vec![ChainId(901)],
        params: Params { epoch_slots: 7_200, ..Params::default_for(500) },
        payers: Vec::new(),
        senders: Vec::new(),
        base_port: 0,
        timestamp: 1_700_000_000,
        source: Source::System,
    };
    let records = (0..).zip(identities).map(|(i, id)| id.record(&format!("member-{i}"))).collect();
    let (genesis, rollups) = init::genesis(&wanted, records);
    let address = |member: u16| {
        let at = |port: u16| format!("127.0.0.1:{}", 20_000 + 3 * member + port);
        MemberAddress { member: MemberId(member), p2p: at(0), quic: at(1), http: at(2) }
    };
    let file = Ceremony { number: 0, absent: Vec::new(), genesis, addresses: (0..4).map(address).collect() };
    Planned::made(file, rollups).unwrap()
}

fn identities() -> Vec<Identity> {
    let mut identities: Vec<Identity> = (0..4).map(|i| init::identity(Source::System, i).unwrap()).collect();
    identities.sort_by_key(|identity| identity.record("").consensus);
    identities
}

/// Made once: the tests only read it.
fn done() -> &'static Done {
    static DONE: OnceLock<Done> = OnceLock::new();
    DONE.get_or_init(|| {
        let identities = identities();
        let planned = planned(&identities);
        let mut operators: Vec<Operator> = identities
            .iter()
            .map(|identity| Operator::start(Arc::clone(&planned.plan), &identity.consensus).unwrap())
            .collect();
        while let Some(said) = operators.iter_mut().find_map(Operator::due) {
            operators.iter_mut().for_each(|operator| assert!(operator.on(&said).unwrap()));
        }
        let State::Finished(finished) = operators[0].state() else { panic!("{:?}", operators[0].state()) };
        let network = finish::network(&planned, finished.key_set.clone()).unwrap();
        let copy = |own: &MemberSecrets| MemberSecrets { decrypt: own.decrypt.clone(), beacon: own.beacon.clone() };
        let secrets = operators.iter().map(|operator| copy(operator.secrets().unwrap())).collect();
        let transcript = operators[0].transcript().unwrap();
        Done { planned, identities, transcript, network, secrets }
    })
}

impl Done {
    /// A folder with the keys of a member and nothing else.
    fn folder(&self, member: usize) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        self.identities[member].write(dir.path(), &Protection::InsecurePlaintext).unwrap();
        dir
    }

    /// As the last step of the ceremony.
    fn finish(&self, member: u16, dir: &Path) -> Result<Vec<PathBuf>, Failure> {
        let me = MemberId(member);
        let place = (me, self.planned.address(me));
        finish::write(dir, &self.network, place, &self.secrets[usize::from(member)], &Lock::Plain)
    }

    /// Another folder with network.toml, genesis files and the transcript.
    fn published(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        self.network.write(dir.path()).unwrap();
        files::write(&dir.path().join(TRANSCRIPT_FILE), &self.transcript.bytes()).unwrap();
        dir
    }
}

#[derive(Parser)]
struct Command<T: clap::Args> {
    #[command(flatten)]
    args: T,
}

/// The arguments of a line; words stand between spaces.
fn args<T: clap::Args>(line: &str) -> T {
    Command::<T>::parse_from(["lockstep"].into_iter().chain(line.split_whitespace())).args
}
