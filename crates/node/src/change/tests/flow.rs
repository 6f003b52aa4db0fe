// Goal: the commands as operators type them bring a change from a new member's folder to the members. Method: a
// network's files from `init`, an HTTP server in this process for each member, one of which lies.
use super::super::{ChangeArgs, join::JOINING_FILE, page, page::EpochPage, proposal::Proposal, run};
use crate::{
    cli::Failure,
    entropy::Source,
    files::{NETWORK_FILE, NetworkFiles},
    init::{self, Plan},
};
use axum::{
    Router,
    body::Bytes,
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use clap::Parser;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use types::{
    Address, ChainId, Epoch, EpochRecord, Hash, MemberAddress, MemberId, Operation, Params, SetRef, codec, limits,
};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs `lockstep change ..`; words of the line stand between spaces.
async fn lockstep(line: &str) -> Result<(), Failure> {
    let words = ["lockstep"].into_iter().chain(line.split_whitespace());
    let command = Command::try_parse_from(words).map_err(|error| Failure::usage(error.to_string()))?;
    Box::pin(run(command.change)).await
}

/// What a member tells and takes.
#[derive(Default)]
struct Member {
    page: Option<EpochPage>,
    slot: u64,
    refuses: bool,
    taken: Vec<Vec<u8>>,
}

type Shared = Arc<Mutex<Member>>;

async fn serve(member: Shared, network: Hash) -> (String, tokio::task::JoinHandle<()>) {
    let first = 20_000 + u16::try_from(std::process::id() * 7 % 12_000).unwrap();
    let ports = (first..32_000).chain(20_000..first);
    let mut listener = None;
    for port in ports {
        if let Ok(bound) = tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
            listener = Some(bound);
            break;
        }
    }
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (told, asked) = (Arc::clone(&member), Arc::clone(&member));
    let epoch = move || async move {
        let page = told.lock().unwrap().page.clone();
        page.map_or_else(
            || StatusCode::NOT_FOUND.into_response(),
            |page| serde_json::to_vec(&page).unwrap().into_response(),
        )
    };
    let status = move || async move {
        let names = json!({"present": [], "missing": []});
        json!({
            "network": network.to_string(), "origin": "", "member": 0, "name": "", "version": "", "time_ms": 0,
            "uptime_ms": 0, "state": "ready", "epoch": 0, "final_slot": asked.lock().unwrap().slot, "final_age_ms": 0,
            "opened_slot": 0, "log_entries": 0, "checkpoint": null, "cosigners": names, "peers": names,
            "mempool": {"envelopes": 0, "bytes": 0}, "disk_free_bytes": null, "clock_skew_ms": null
        })
        .to_string()
    };
    let operations = move |body: Bytes| async move {
        let mut member = member.lock().unwrap();
        if member.refuses {
            let refusal = json!({"reason": "BUSY", "detail": "not now"});
            return (StatusCode::BAD_REQUEST, refusal.to_string()).into_response();
        }
        member.taken.push(body.to_vec());
        StatusCode::ACCEPTED.into_response()
    };
    let app = Router::new()
        .route("/lockstep/v1/epoch", get(epoch))
        .route("/lockstep/v1/status", get(status))
        .route("/lockstep/v1/operations", post(operations));
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, server)
}

/// A network of four on disk, and its members over HTTP.
struct Net {
    folder: tempfile::TempDir,
    record: EpochRecord,
    members: Vec<Shared>,
    http: Vec<String>,
    servers: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Net {
    fn drop(&mut self) {
        self.servers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Net {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan {
            origin: "lockstep.localhost/test".into(),
            members: 4,
            rollups: vec![ChainId(901)],
            params: Params { epoch_slots: 40, ..Params::default_for(500) },
            payers: vec![Address([1; 20])],
            builders: Vec::new(),
            senders: Vec::new(),
            base_port: 20_000,
            timestamp: 1_700_000_000,
            source: Source::Seed(7),
        };
        let mut files = init::init(&plan, folder.path()).unwrap();
        let record = files.network.first_epoch(files.id, Hash::ZERO, SetRef::EMPTY, Hash::ZERO, Hash::ZERO);
        let mut net = Self { folder, record, members: Vec::new(), http: Vec::new(), servers: Vec::new() };
        for _ in 0..4 {
            let member = Shared::default();
            let (http, server) = serve(Arc::clone(&member), files.id).await;
            net.members.push(member);
            net.http.push(http);
            net.servers.push(server);
        }
        for (address, http) in files.network.addresses.iter_mut().zip(&net.http) {
            address.http.clone_from(http);
        }
        files.write(net.folder.path()).unwrap();
        for i in 0..4 {
            net.tell(i, net.record.clone());
        }
        net
    }

    /// A member tells this EPOCH.
    fn tell(&self, i: usize, record: EpochRecord) {
        let addresses = (0u16..).zip(&self.http).map(|(index, http)| MemberAddress {
            member: MemberId(index),
            p2p: "127.0.0.1:1".into(),
            quic: "127.0.0.1:2".into(),
            http: http.clone(),
        });
        let page = EpochPage { leaf: page::leaf(&record), record, addresses: addresses.collect() };
        self.members[i].lock().unwrap().page = Some(page);
    }

    /// A member tells an EPOCH of its own making.
    fn lie(&self, i: usize) {
        let mut record = self.record.clone();
        record.params.count_limit = u32::try_from(i).unwrap() + 1;
        self.tell(i, record);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command; `@name` is a file of this network.
    async fn run(&self, line: &str) -> Result<(), Failure> {
        let folder = format!("{}/", self.folder.path().display());
        lockstep(&line.replace('@', &folder)).await
    }

    fn taken(&self) -> Vec<usize> {
        self.members.iter().map(|member| member.lock().unwrap().taken.len()).collect()
    }

    fn copy(&self, from: &str, to: &str) {
        std::fs::copy(self.path(from), self.path(to)).unwrap();
    }
}

fn code(result: Result<(), Failure>) -> (u8, String) {
    result.map_or_else(|failure| (failure.code, failure.text), |()| (0, String::new()))
}

const JOIN: &str = "join --insecure-plaintext --network @network.toml --dir @eve --name eve \
    --p2p 127.0.0.1:21001 --quic 127.0.0.1:21002 --http localhost:21003";
const PROPOSE: &str = "propose --network @network.toml --remove member-1 --add @eve/joining.json --out @change.json";
const SUBMIT: &str = "submit --network @network.toml --change @change.json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_replaced_from_its_folder_to_the_members() {
    let net = Net::start().await;
    // one of four lies: f + 1 honest ones are enough
    net.lie(3);
    net.run(JOIN).await.unwrap();
    net.run(PROPOSE).await.unwrap();
    assert_eq!(Proposal::read(&net.path("change.json")).unwrap().current, net.record);

    let (status, why) = code(net.run(SUBMIT).await);
    assert_eq!(status, 1, "{why}");
    assert_eq!(net.taken(), [0; 4], "what does not hold is not sent");

    for i in [0, 1, 3] {
        net.copy("change.json", &format!("copy-{i}.json"));
        net.run(&format!("approve --change @copy-{i}.json --config @member-{i}/node.toml")).await.unwrap();
    }
    net.copy("change.json", "copy-eve.json");
    net.run("accept --change @copy-eve.json --config @eve/node.toml").await.unwrap();
    net.run("merge --out @change.json @change.json @copy-0.json @copy-1.json @copy-3.json").await.unwrap();
    net.run("show @change.json").await.unwrap();
    let (status, why) = code(net.run(SUBMIT).await);
    assert!(status == 1 && why.contains("acceptance 0"), "{status} {why}");
    net.run("merge --out @change.json @change.json @copy-eve.json").await.unwrap();

    net.members[2].lock().unwrap().refuses = true;
    net.run(SUBMIT).await.unwrap();
    assert_eq!(net.taken(), [1, 1, 0, 1], "one refuses");
    let operation = net.members[0].lock().unwrap().taken[0].clone();
    let Operation::Change(signed) = codec::decode(&operation, limits::OPERATION_BYTES_MAX).unwrap() else {
        panic!("no change");
    };
    let next = crypto::change::verify(&signed, &net.record).unwrap();
    assert!(next.iter().any(|member| member.name == "eve") && !next.iter().any(|member| member.name == "member-1"));
    assert!(next.is_sorted_by(|a, b| a.consensus < b.consensus));

    for member in &net.members[..3] {
        member.lock().unwrap().refuses = true;
    }
    let (status, why) = code(net.run(SUBMIT).await);
    assert!(status == 1 && why.contains("1 of 4 members"), "{status} {why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_members_folder_has_keys_of_its_own_and_no_share() {
    let net = Net::start().await;
    net.run(JOIN).await.unwrap();
    let folder = net.path("eve");
    let names = |folder: &Path| {
        let mut names: Vec<String> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let expected = ["genesis-901.json", "identity.key", JOINING_FILE, "network.toml", "new-member", "node.toml"];
    assert_eq!(names(&folder), expected);
    let config = crate::config::NodeConfig::read(&folder.join("node.toml")).unwrap();
    assert_eq!((config.p2p_listen.as_str(), config.quic_listen.as_str()), ("127.0.0.1:21001", "127.0.0.1:21002"));
    assert_eq!(config.http_listen, "0.0.0.0:21003", "a name is no address to listen on");
    assert_eq!(config.data, folder);
    assert!(config.joins && config.member >= 128, "no index of anybody: {}", config.member);
    let files = NetworkFiles::read(&folder.join(NETWORK_FILE)).unwrap();
    assert_eq!(files.id, net.record.network);
    let joining: types::Joining = serde_json::from_slice(&std::fs::read(folder.join(JOINING_FILE)).unwrap()).unwrap();
    let identity = crate::files::Identity::read(&folder, &crate::passphrase::Lock::Plain).unwrap();
    assert_eq!(joining.record, identity.record("eve"));
    assert_eq!(joining.http, "localhost:21003");

    let (status, why) = code(net.run(JOIN).await);
    assert!(status == 64 && why.contains("never replaced"), "{why}");
    assert_eq!(
        crate::files::Identity::read(&folder, &crate::passphrase::Lock::Plain).unwrap().record("eve"),
        joining.record
    );
    net.run(&JOIN.replace("@eve", "@mallory")).await.unwrap();
    let other = crate::files::Identity::read(&net.path("mallory"), &crate::passphrase::Lock::Plain).unwrap();
    assert_ne!(other.record("eve"), joining.record, "drawn anew");
    for (good, bad) in [("--name eve", "--name \u{e9}ve"), ("localhost:21003", "localhost"), ("127.0.0.1:21001", "h:1")]
    {
        let (status, why) = code(net.run(&JOIN.replace("@eve", "@x").replace(good, bad)).await);
        assert_eq!(status, 64, "{bad}: {why}");
        assert!(!net.path("x").exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_is_believed_from_f_plus_1_members_or_by_name_from_one() {
    let net = Net::start().await;
    net.run(JOIN).await.unwrap();
    for i in 1..4 {
        net.lie(i);
    }
    let (status, why) = code(net.run(PROPOSE).await);
    assert!(status == 69 && why.contains("f + 1 = 2") && why.contains("--from"), "{status} {why}");
    assert!(!net.path("change.json").exists());
    let from = format!("{PROPOSE} --from http://{}", net.http[0]);
    net.run(&from).await.unwrap();
    assert_eq!(Proposal::read(&net.path("change.json")).unwrap().current, net.record);

    let (status, why) = code(net.run(&from).await);
    assert!(status == 64 && why.contains("exists"), "{why}");
    let (status, _) = code(net.run(&from.replace("http://", "").replace("change.json", "a.json")).await);
    assert_eq!(status, 64, "no URL");
    net.members[0].lock().unwrap().page = None;
    let (status, _) = code(net.run(&from.replace("change.json", "a.json")).await);
    assert_eq!(status, 69, "no EPOCH");
    net.servers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_lasts_until_what_it_changes_has_changed() {
    let net = Net::start().await;
    net.run(JOIN).await.unwrap();
    net.run(PROPOSE).await.unwrap();
    for i in [0, 1, 2] {
        net.run(&format!("approve --change @change.json --config @member-{i}/node.toml")).await.unwrap();
    }
    net.run("accept --change @change.json --config @eve/node.toml").await.unwrap();
    // two of four have the next epoch already: that is enough, and it has the same committee
    let mut next = net.record.next(
        page::leaf(&net.record),
        types::EpochFacts { ledger: Hash::ZERO, states: Hash::ZERO, reserve: types::Amount::ZERO },
    );
    for i in 0..2 {
        net.tell(i, next.clone());
    }
    net.run(SUBMIT).await.unwrap();
    assert_eq!(net.taken(), [1; 4]);
    net.run(&PROPOSE.replace("change.json", "again.json")).await.unwrap();
    assert_eq!(Proposal::read(&net.path("again.json")).unwrap().current, next, "the newest");

    next.params.count_limit += 1;
    for i in 0..2 {
        net.tell(i, next.clone());
    }
    let (status, why) = code(net.run(SUBMIT).await);
    assert!(status == 1 && why.contains("have changed since"), "{status} {why}");
    let late = EpochRecord { epoch: Epoch(24), ..net.record.clone() };
    for i in 0..2 {
        net.tell(i, late.clone());
    }
    let (status, why) = code(net.run(SUBMIT).await);
    assert!(status == 1 && why.contains("--until"), "{status} {why}");
    assert_eq!(net.taken(), [1; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_sought_where_network_toml_says_or_else_most_members() {
    let net = Net::start().await;
    let files = NetworkFiles::read(&net.path(NETWORK_FILE)).unwrap();
    let mut record = net.record.clone();
    record.members[1].consensus = Hash([1; 32]);
    let page = |http: &str| {
        let at = |i: u16| MemberAddress {
            member: MemberId(i),
            p2p: String::new(),
            quic: String::new(),
            http: if i == 1 { http.into() } else { "10.9.9.9:9".into() },
        };
        EpochPage { leaf: page::leaf(&record), record: record.clone(), addresses: (0..4).map(at).collect() }
    };
    let pages = ["10.0.0.1:1", "not an address", "10.0.0.2:2", "10.0.0.1:1"].map(page);
    let found = page::addresses(&files, &record, &pages);
    let found: Vec<&str> = found.values().map(String::as_str).collect();
    assert_eq!(found, [&net.http[0], "10.0.0.1:1", &net.http[2], &net.http[3]]);
    assert_eq!(page::addresses(&files, &record, &pages[1..2]).len(), 3, "nobody knows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_comes_too_late_is_not_proposed() {
    let net = Net::start().await;
    let set = |slots: [u64; 4]| {
        for (member, slot) in net.members.iter().zip(slots) {
            member.lock().unwrap().slot = slot;
        }
    };
    std::fs::write(net.path("params.toml"), "count_limit = 1000\n").unwrap();
    let line = "propose --network @network.toml --params @params.toml --out @change.json --until 1";
    set([9, 9, 3, 3]);
    let (status, why) = code(net.run(line).await);
    assert!(status == 75 && why.contains("none is left"), "{status} {why}");
    assert!(!net.path("change.json").exists());
    // one alone may say what it likes
    set([1_000, 8, 3, 3]);
    net.run(line).await.unwrap();
    for i in [1, 2, 3] {
        net.run(&format!("approve --change @change.json --config @member-{i}/node.toml")).await.unwrap();
    }
    net.run(SUBMIT).await.unwrap();
    assert_eq!(net.taken(), [1; 4], "parameters alone need nobody to accept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_and_merging_refuse_what_is_not_theirs() {
    let net = Net::start().await;
    net.run(JOIN).await.unwrap();
    net.run(PROPOSE).await.unwrap();
    let before = std::fs::read(net.path("change.json")).unwrap();
    for (line, want) in [
        ("approve --change @change.json --config @eve/node.toml", 64),
        ("accept --change @change.json --config @member-0/node.toml", 64),
        ("approve --change @absent.json --config @member-0/node.toml", 66),
        ("approve --change @change.json --config @absent/node.toml", 78),
        ("approve --change @network.toml --config @member-0/node.toml", 64),
        ("merge --out @new.json @change.json @network.toml", 64),
        ("merge --out @network.toml @change.json", 64),
        ("merge --out @new.json", 64),
        ("show @network.toml", 64),
    ] {
        let (status, why) = code(net.run(line).await);
        assert_eq!(status, want, "{line}: {why}");
    }
    assert_eq!(std::fs::read(net.path("change.json")).unwrap(), before);
    net.run(&JOIN.replace("@eve", "@bob").replace("--name eve", "--name bob")).await.unwrap();
    net.run(&PROPOSE.replace("@eve", "@bob").replace("change.json", "other.json")).await.unwrap();
    let (status, why) = code(net.run("merge --out @change.json @change.json @other.json").await);
    assert!(status == 64 && why.contains("another change"), "{why}");
    assert_eq!(std::fs::read(net.path("change.json")).unwrap(), before);
    let large = std::fs::File::create(net.path("large.json")).unwrap();
    large.set_len(10 << 20).unwrap();
    assert_eq!(code(net.run("show @large.json").await).0, 66, "bounded");
}
