//! A network of four as separate processes, that are killed, started with a planned fault, and waited for.
use crate::common::{
    base_port,
    process::{self, Process},
};
use crypto::eth::EthKey;
use node::{
    config::NodeConfig,
    entropy::Source,
    init::{Plan, init},
};
use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};
use types::{ChainId, Params};
use wallet::{NetworkView, demo::demo_key};

pub(crate) const MEMBERS: usize = 4;
/// Longest wait for anything that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
const SEED: [u8; 32] = [9; 32];
const ABORTED: i32 = 6;

/// Keys of the `i`-th account: payer and sender.
pub(crate) fn account(i: u32) -> (EthKey, EthKey) {
    (demo_key(&SEED, "fee", i), demo_key(&SEED, "sender", i))
}

pub(crate) struct Cluster {
    pub(crate) dir: PathBuf,
    pub(crate) view: NetworkView,
    processes: Vec<Option<Process>>,
}

impl Cluster {
    /// Makes the folders; nobody runs yet.
    pub(crate) fn make(dir: &Path, slot_ms: u64, accounts: u32) -> Self {
        let plan = Plan {
            origin: "lockstep.localhost/crash".into(),
            members: u16::try_from(MEMBERS).unwrap(),
            rollups: vec![ChainId(901)],
            // restarts meet the ends of epochs, too
            params: Params { epoch_slots: 24, ..Params::default_for(slot_ms) },
            payers: (0..accounts).map(|i| account(i).0.address()).collect(),
            senders: (0..accounts).map(|i| account(i).1.address()).collect(),
            builders: Vec::new(),
            base_port: base_port(4),
            timestamp: std::time::UNIX_EPOCH.elapsed().unwrap().as_secs(),
            source: Source::System,
        };
        let network = init(&plan, dir).unwrap();
        let view = NetworkView::new(&network.network).unwrap();
        let cluster = Self { dir: dir.to_path_buf(), view, processes: (0..MEMBERS).map(|_| None).collect() };
        for i in 0..MEMBERS {
            // Small segments, so that they are given up within a few slots.
            let member = u16::try_from(i).unwrap();
            let log = "warn".into();
            let config =
                NodeConfig { member, wal_segment_bytes: 16 << 10, engine_threads: 1, log, ..NodeConfig::default() };
            fs::write(cluster.folder(i).join("node.toml"), toml::to_string(&config).unwrap()).unwrap();
        }
        cluster
    }

    pub(crate) fn folder(&self, i: usize) -> PathBuf {
        self.dir.join(format!("member-{i}"))
    }

    fn log_file(&self, i: usize) -> PathBuf {
        self.dir.join(format!("member-{i}.log"))
    }

    /// What a member has said on stderr since its last start.
    pub(crate) fn said(&self, i: usize) -> String {
        fs::read_to_string(self.log_file(i)).unwrap_or_default()
    }

    /// Starts a member, with a fault if one is planned.
    pub(crate) fn start(&mut self, i: usize, fault: Option<&str>) {
        assert!(self.processes[i].is_none(), "member {i} runs");
        let log = File::create(self.log_file(i)).unwrap();
        let mut command = process::node(&self.dir.join("network.toml"), &self.folder(i).join("node.toml"));
        command.stderr(log).env_remove("LOCKSTEP_FAULT");
        if let Some(fault) = fault {
            command.env("LOCKSTEP_FAULT", fault);
        }
        self.processes[i] = Some(Process::start(&mut command));
    }

    pub(crate) fn start_all(&mut self) {
        (0..MEMBERS).for_each(|i| self.start(i, None));
    }

    pub(crate) fn runs(&self, i: usize) -> bool {
        self.processes[i].is_some()
    }

    /// The status of a member that has ended by itself.
    pub(crate) fn ended(&mut self, i: usize) -> Option<ExitStatus> {
        let status = self.processes[i].as_mut()?.ended()?;
        self.processes[i] = None;
        Some(status)
    }

    /// SIGKILL to these at once, then waits for each.
    pub(crate) fn kill(&mut self, members: &[usize]) {
        for i in members {
            if let Some(process) = self.processes[*i].as_mut() {
                process.kill();
            }
        }
        for i in members {
            self.processes[*i].take().map(Process::wait);
        }
    }

    /// SIGTERM to all that run; each must end cleanly.
    pub(crate) async fn terminate(&mut self) {
        self.processes.iter().flatten().for_each(Process::terminate);
        for i in 0..MEMBERS {
            if self.runs(i) {
                let status = self.wait_for_end(i).await;
                assert!(status.success(), "member {i} ended with {status}: {}", self.said(i));
            }
        }
    }

    /// Waits until a member ends by itself.
    pub(crate) async fn wait_for_end(&mut self, i: usize) -> ExitStatus {
        let ends = async {
            loop {
                if let Some(status) = self.ended(i) {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ends).await;
        ended.unwrap_or_else(|_| panic!("member {i} does not end: {}", tail(&self.said(i))))
    }

    /// Nobody has ended who was not killed.
    pub(crate) fn assert_all_run(&mut self) {
        for i in 0..MEMBERS {
            if let Some(status) = self.ended(i) {
                panic!("member {i} ended with {status}: {}", tail(&self.said(i)));
            }
        }
    }
}

/// Ended at a fault point.
pub(crate) fn is_faulted(status: ExitStatus) -> bool {
    status.signal() == Some(ABORTED)
}

pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
