//! `lockstep devnet`: a whole network in one process, with wallets that use it, builders that bid for its slots, and an
//! audit at the end.
//!
//! Every member runs the code of `lockstep node`: its own folder, WAL, database and tiles with real fsync; members talk
//! over authenticated TCP on loopback, wallets and builders talk to members over QUIC with pinned keys. Nothing is short-circuited.
mod builders;
mod replace;
mod wallets;
mod watch;

use crate::{
    audit,
    cli::{Failure, note, print, start_log, threads},
    config::NodeConfig,
    demo::{self, ACCOUNTS_FILE, Reveal, Wanted},
    driver::Observed,
    entropy::Source,
    files::{self, NETWORK_FILE, NetworkFiles},
    member::{Member, Process, stop_requested},
    metrics::Metrics,
    pool::Pool,
    runner::{self, Running},
};
use builders::Tails;
use execution::Executor;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};
use types::{Amount, ChainId, Epoch, Hash, MemberRecord, Params, RevealMode, Schedule, Slot};
use wallet::{NetworkView, SubmitLimits, Submitter, demo::DemoWallet};
use wallets::{Job, Tally, UNDER_WAY_MAX};
use watch::{Line, Watch, median};

/// Arguments of `lockstep devnet`.
#[derive(Clone, Debug, clap::Args)]
pub struct DevnetArgs {
    /// Members: 3f + 1, at least 4.
    #[arg(long, default_value_t = 4)]
    members: u16,
    /// Rollups, with chain ids from 901.
    #[arg(long, default_value_t = 2)]
    rollups: u64,
    /// Wallets that send transactions.
    #[arg(long, default_value_t = 8)]
    wallets: u32,
    /// Builders that bid for every slot.
    #[arg(long, default_value_t = 3)]
    builders: u16,
    /// Stop after so many slots; without it, at Ctrl-C.
    #[arg(long)]
    slots: Option<u64>,
    /// Length of a slot, ms.
    #[arg(long, default_value_t = 500)]
    slot_ms: u64,
    /// Slots of an epoch.
    #[arg(long, default_value_t = 120)]
    epoch_slots: u64,
    /// Most units of a slot; the rest waits, and the builder's body says which come first.
    #[arg(long, default_value_t = slot_units())]
    slot_units: u32,
    /// Who combines shares: everybody (direct), two members for each unit (sharded), two above 16 members (auto).
    #[arg(long, value_enum, default_value_t = Reveal::Auto)]
    reveal: Reveal,
    /// Everything of the network; made if absent, continued if present.
    #[arg(long, default_value = "lockstep-devnet")]
    dir: PathBuf,
    /// Delete the network in --dir first.
    #[arg(long)]
    fresh: bool,
    /// First of the loopback ports; a member takes three.
    #[arg(long, default_value_t = 27_100)]
    base_port: u16,
    /// Keys from a seed, so that a demo can be repeated. They are then no secret.
    #[arg(long)]
    seed: Option<u64>,
    /// JSON lines instead of text.
    #[arg(long)]
    json: bool,
    /// Filter of the log on stderr, as in `RUST_LOG`.
    #[arg(long, default_value = "warn")]
    log: String,
}

/// devnet.json: what a folder was made with; a second start continues it with the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    members: u16,
    rollups: u64,
    wallets: u32,
    #[serde(default)]
    builders: u16,
    slot_ms: u64,
    epoch_slots: u64,
    #[serde(default = "slot_units")]
    slot_units: u32,
    #[serde(default)]
    reveal: RevealMode,
    base_port: u16,
    wallet_seed: Hash,
}

fn slot_units() -> u32 {
    Params::default_for(1).count_limit
}

const SHAPE_FILE: &str = "devnet.json";
/// How long a slot may take before the devnet gives up.
const START_WITHIN: Duration = Duration::from_secs(60);

struct Out {
    json: bool,
}

impl Out {
    fn say(&self, text: &str) {
        if !self.json {
            print(format_args!("{text}"));
        }
    }
    fn event(&self, kind: &str, value: serde_json::Value) {
        if self.json {
            print(format_args!("{}", json!({"event": kind, "value": value})));
        }
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: status 1 when members diverged, a receipt was broken or the audit found something.
pub async fn run(args: DevnetArgs) -> Result<(), Failure> {
    start_log(&args.log);
    let out = Out { json: args.json };
    let (shape, network) = prepare(&args, &out)?;
    let network = Arc::new(network);
    let (observer, reports) = mpsc::channel();
    let process = Process {
        pool: Pool::start(threads()).map_err(|e| Failure::software(e.to_string()))?,
        metrics: Metrics::install().map_err(|e| Failure::software(e.to_string()))?,
        observer: Some(observer),
    };
    let (mut running, mut members) = (Vec::new(), Vec::new());
    let joiner = replace::joiner(shape.members, shape.epoch_slots);
    for i in (0..shape.members).chain(joiner) {
        let config = NodeConfig::read(&args.dir.join(format!("member-{i}")).join("node.toml"))?;
        let (member, seen) = runner::start(Arc::clone(&network), config, process.clone(), |m| m.map(Seen::of)).await?;
        match seen {
            Some(seen) => {
                out.say(&format!("member {i}   quic {}   http http://{}", seen.quic_listen, seen.http_listen));
                members.push(seen);
            }
            None => out.say(&format!("member {i}   follows the log: it is in no committee now")),
        }
        running.push(member);
    }
    drop(process);
    if let Some(member) = members.first() {
        let http = member.http_listen;
        out.say(&format!("metrics    http://{http}/metrics"));
        out.say(&format!("log        http://{http}/checkpoint, tiles under http://{http}/tile/"));
    }
    out.say(&format!("status     lockstep status --network {}", args.dir.join(NETWORK_FILE).display()));
    out.say(&format!("submit     {}", submit_line(&args.dir, &shape, &members)));
    out.event(
        "started",
        json!({"dir": args.dir, "network": network.id.to_string(), "members": shape.members,
        "http": members.iter().map(|m| m.http_listen.to_string()).collect::<Vec<_>>()}),
    );

    if let (Some(number), Some(first)) = (joiner, members.first()) {
        replace::submit(&network, &args.dir, number, &first.http_listen.to_string()).await?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let tally = Arc::new(Mutex::new(Tally::default()));
    let view = NetworkView::new(&network.network).map_err(|e| Failure::software(e.to_string()))?;
    let crew = Crew { view, tally: Arc::clone(&tally), stop: Arc::clone(&stop), slot_ms: shape.slot_ms };
    let wallets = start_wallets(&shape, &crew, &members);
    let builders = builders::start(&shape, &crew, &network, &args.dir)?;
    let mut failures = Vec::new();
    let first = members.first().map(|member| member.http_listen.to_string()).unwrap_or_default();
    let seen = (&running[..], &*network, first.as_str(), &builders.tails);
    let watched = watch(&args, &out, seen, shape.members, reports, &mut failures).await?;

    out.say("");
    out.say("stopping: builders and wallets first, until everything under way is executed");
    stop.store(true, Ordering::Release);
    let builders = builders.end(&mut failures).await;
    let drain = Duration::from_millis(shape.slot_ms * 30) + Duration::from_secs(5);
    let drained = tokio::time::timeout(drain, async {
        for wallet in wallets {
            if let Ok(Err(error)) = wallet.await {
                note(format_args!("lockstep: wallet: {error}"));
            }
        }
    });
    if drained.await.is_err() {
        note(format_args!("lockstep: wallets still wait for outcomes"));
    }
    drop(crew);
    for member in running {
        if let Err(error) = member.stop().await {
            failures.push(error.to_string());
        }
    }
    let watched = watched.join().map_err(|_panic| Failure::software("the watcher panicked".into()))?;
    let tally = core::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    finish(&args, &out, &shape, &watched, (&tally, &builders), failures)
}

/// Makes the folder's network, or continues it.
fn prepare(args: &DevnetArgs, out: &Out) -> Result<(Shape, NetworkFiles), Failure> {
    demo::check(args.members, args.rollups)?;
    demo::check_epoch(args.epoch_slots)?;
    demo::check_builders(args.builders)?;
    let file = args.dir.join(SHAPE_FILE);
    if args.fresh && file.exists() {
        std::fs::remove_dir_all(&args.dir).map_err(|e| Failure::software(format!("{}: {e}", args.dir.display())))?;
    }
    if file.exists() {
        let bytes = files::read(&file, 1 << 16)?;
        let shape: Shape = serde_json::from_slice(&bytes)
            .map_err(|e| Failure::usage(format!("{}: {e}; --fresh starts anew", file.display())))?;
        let wanted = Shape {
            members: args.members,
            rollups: args.rollups,
            slot_ms: args.slot_ms,
            epoch_slots: args.epoch_slots,
            slot_units: args.slot_units,
            reveal: args.reveal.into(),
            base_port: args.base_port,
            wallets: args.wallets.min(shape.wallets),
            builders: args.builders.min(shape.builders),
            wallet_seed: shape.wallet_seed,
        };
        if wanted != (Shape { wallets: wanted.wallets, builders: wanted.builders, ..shape.clone() }) {
            return Err(Failure::usage(format!(
                "{} holds a network of {} members, {} rollups, {} ms slots, epochs of {} slots, {} units a slot, reveal {:?}, base port {}; start it with these, or with --fresh",
                args.dir.display(),
                shape.members,
                shape.rollups,
                shape.slot_ms,
                shape.epoch_slots,
                shape.slot_units,
                shape.reveal,
                shape.base_port
            )));
        }
        if !args.dir.join(ACCOUNTS_FILE).exists() {
            return Err(Failure::usage(format!("{} was never finished; --fresh starts anew", args.dir.display())));
        }
        out.say(&format!("network    {} (continued)", args.dir.display()));
        let network = NetworkFiles::read(&args.dir.join(NETWORK_FILE))?;
        return Ok((wanted, network));
    }
    demo::check_empty(&args.dir, " and holds no devnet")?;
    let source = args.seed.map_or(Source::System, Source::Seed);
    let shape = Shape {
        members: args.members,
        rollups: args.rollups,
        wallets: args.wallets,
        builders: args.builders,
        slot_ms: args.slot_ms,
        epoch_slots: args.epoch_slots,
        slot_units: args.slot_units,
        reveal: args.reveal.into(),
        base_port: args.base_port,
        wallet_seed: Hash(*source.draw("wallets", 0)?),
    };
    out.say(&format!("network    {} (new): key ceremony of {} members", args.dir.display(), shape.members));
    // first, so that --fresh clears also what was never finished; accounts.json comes last
    let text = serde_json::to_vec_pretty(&shape).map_err(|e| Failure::software(e.to_string()))?;
    files::make_dir(&args.dir)?;
    files::write(&file, &text)?;
    let network = make(&shape, source, &args.dir)?;
    Ok((shape, network))
}

fn make(shape: &Shape, source: Source, dir: &Path) -> Result<NetworkFiles, Failure> {
    let seed = shape.wallet_seed.0;
    let chains = demo::chains(shape.rollups);
    let wallets: Vec<_> = (0..shape.wallets).map(|i| DemoWallet::new(&seed, i, &chains, UNDER_WAY_MAX)).collect();
    let wanted = Wanted {
        members: shape.members,
        rollups: shape.rollups,
        params: Params {
            epoch_slots: shape.epoch_slots,
            count_limit: shape.slot_units,
            reveal: shape.reveal,
            ..Params::default_for(shape.slot_ms)
        },
        base_port: shape.base_port,
        name: "devnet",
        wallet_seed: seed,
        payers: wallets.iter().map(DemoWallet::fee_account).collect(),
        senders: wallets.iter().map(DemoWallet::sender).collect(),
        builders: shape.builders,
    };
    let network = demo::make(&wanted, source, dir)?;
    if let Some(number) = replace::joiner(shape.members, shape.epoch_slots) {
        let port = shape.base_port.saturating_add(shape.members.saturating_mul(3));
        replace::make(&network, dir, number, port, source)?;
    }
    Ok(network)
}

/// A command that works as printed: a signed transfer of the demo account on the first rollup.
fn submit_line(dir: &Path, shape: &Shape, members: &[Seen]) -> String {
    let (chain, sender) = demo::sender(&shape.wallet_seed.0);
    let nonce = members
        .first()
        .map_or(0, |member| member.executor.lock().unwrap_or_else(PoisonError::into_inner).account(chain, &sender).0);
    demo::submit_line(dir, &shape.wallet_seed.0, nonce)
}

/// What the devnet needs of a member that has started.
struct Seen {
    quic_listen: SocketAddr,
    http_listen: SocketAddr,
    executor: Arc<Mutex<Executor>>,
}

impl Seen {
    fn of(member: &Member) -> Self {
        let Member { quic_listen, http_listen, .. } = *member;
        Self { quic_listen, http_listen, executor: Arc::clone(&member.executor) }
    }
}

fn names(members: &[MemberRecord]) -> String {
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    format!(": {}", names.join(" "))
}

/// What the wallets of a devnet share.
struct Crew {
    view: NetworkView,
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    slot_ms: u64,
}

/// Wallets behind one connection per member: a connection may ask 128 times a second.
const WALLETS_PER_CONNECTION: u8 = 8;

fn start_wallets(
    shape: &Shape,
    crew: &Crew,
    members: &[Seen],
) -> Vec<tokio::task::JoinHandle<Result<(), crate::entropy::NoEntropy>>> {
    let chains = demo::chains(shape.rollups);
    let nonces = |wallet: &DemoWallet| -> Vec<(ChainId, u64)> {
        let Some(member) = members.first() else { return Vec::new() };
        let executor = member.executor.lock().unwrap_or_else(PoisonError::into_inner);
        chains.iter().map(|chain| (*chain, executor.account(*chain, &wallet.sender()).0)).collect()
    };
    let crews = shape.wallets.div_ceil(u32::from(WALLETS_PER_CONNECTION));
    let jobs: Vec<Job> = (0..crews)
        .map(|_| Job {
            submitter: Arc::new(Submitter::start(crew.view.clone(), SubmitLimits::default())),
            tally: Arc::clone(&crew.tally),
            stop: Arc::clone(&crew.stop),
            slot_ms: crew.slot_ms,
        })
        .collect();
    (0..shape.wallets)
        .zip(jobs.iter().flat_map(|job| core::iter::repeat_n(job, usize::from(WALLETS_PER_CONNECTION))))
        .map(|(index, job)| {
            let wallet = DemoWallet::new(&shape.wallet_seed.0, index, &chains, UNDER_WAY_MAX);
            let nonces = nonces(&wallet);
            tokio::spawn(job.clone().run(wallet, nonces, u64::from(index)))
        })
        .collect()
}

/// Slots whose lines wait for what came of their tails.
const HELD: usize = 2;

/// The lines that were printed.
struct Shown<'a> {
    schedule: Schedule,
    network: &'a NetworkFiles,
    http: &'a str,
    tails: &'a Tails,
    count: u16,
    lines: u64,
    epoch: Option<Epoch>,
    /// The folder of all, and the number of the member that joins.
    joins: (&'a Path, Option<u16>),
}

impl Shown<'_> {
    async fn show(&mut self, out: &Out, mut line: Line) {
        if self.lines.is_multiple_of(20) {
            out.say("");
            out.say(Line::HEAD);
        }
        self.lines += 1;
        let slot = Slot(line.slot);
        let epoch = self.schedule.epoch_of(slot);
        // its first slots have no line while a member starts again
        if self.epoch.replace(epoch) != Some(epoch) {
            let page = replace::page(self.http, self.network).await;
            let names = page.map(|page| names(&page.record.members)).unwrap_or_default();
            let (slot, last, count) = (self.schedule.first(epoch), self.schedule.last(epoch), self.count);
            out.say(&format!("epoch      {epoch}: slots {slot} to {last}, {count} members{names}"));
            // a handover in which too few were in time has to be asked for again
            if let ((dir, Some(number)), true) = (self.joins, epoch > Epoch(0))
                && let Err(error) = replace::submit(self.network, dir, number, self.http).await
            {
                out.say(&error.text);
            }
        }
        if let Some((bundles, gained)) = self.tails.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot) {
            (line.tail, line.gained) = (bundles, gained.to_string());
        }
        out.say(&line.row());
        out.event("slot", serde_json::to_value(&line).unwrap_or_default());
    }
}

type Watcher = std::thread::JoinHandle<Watch>;

/// Prints a line a slot until enough slots, Ctrl-C, or a member that ended.
async fn watch(
    args: &DevnetArgs,
    out: &Out,
    (members, network, http, tails): (&[Running], &NetworkFiles, &str, &Tails),
    count: u16,
    reports: mpsc::Receiver<Observed>,
    failures: &mut Vec<String>,
) -> Result<Watcher, Failure> {
    let (lines, mut executed) = tokio::sync::mpsc::unbounded_channel::<Line>();
    let watcher = std::thread::Builder::new().name("watch".into()).spawn(move || {
        let mut watch = Watch::new(usize::from(count));
        for observed in reports {
            if let Some(line) = watch.report(observed) {
                // after the last slot nobody looks any more
                drop(lines.send(line));
            }
        }
        watch
    });
    let watcher = watcher.map_err(|e| Failure::software(e.to_string()))?;
    let mut stopped = std::pin::pin!(stop_requested());
    let mut seen = 0u64;
    // what came of a tail is known with the slot after its own
    let mut held = VecDeque::new();
    let schedule = Schedule::new(args.epoch_slots);
    let joins = (args.dir.as_path(), replace::joiner(count, args.epoch_slots));
    let mut shown = Shown { schedule, network, http, tails, count, lines: 0, epoch: None, joins };
    loop {
        let patience = START_WITHIN;
        let ended = async {
            while !members.iter().any(Running::ended) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            result = &mut stopped => {
                result.map_err(|e| Failure::software(e.to_string()))?;
                break;
            }
            line = executed.recv() => {
                let Some(line) = line else { break };
                seen += 1;
                held.push_back(line);
                let ends = args.slots.is_some_and(|slots| seen >= slots);
                while held.len() > HELD || ends && !held.is_empty() {
                    let Some(line) = held.pop_front() else { break };
                    shown.show(out, line).await;
                }
                if ends {
                    break;
                }
            }
            () = ended => {
                failures.push("a member has ended by itself".into());
                break;
            }
            () = tokio::time::sleep(patience) => {
                failures.push(format!("no slot was executed within {START_WITHIN:?}"));
                break;
            }
        }
    }
    for line in held {
        shown.show(out, line).await;
    }
    Ok(watcher)
}

/// The summary, the audit, and what decides the exit status.
fn finish(
    args: &DevnetArgs,
    out: &Out,
    shape: &Shape,
    watched: &Watch,
    (tally, builders): (&Tally, &[builders::Done]),
    mut failures: Vec<String>,
) -> Result<(), Failure> {
    let lines = watched.lines();
    let full: Vec<&Line> = lines.iter().filter(|l| !l.empty).collect();
    let of = |value: fn(&Line) -> u64| median(full.iter().map(|l| value(l)).collect());
    let units: usize = lines.iter().map(|l| l.envelopes).sum();
    let bundles: usize = lines.iter().map(|l| l.bundles).sum();
    let empty = lines.len() - full.len();
    out.say("");
    out.say(&format!(
        "slots      {} executed, {empty} empty; {units} envelopes, {bundles} over two rollups",
        lines.len()
    ));
    out.say(&format!(
        "median     close→final {} ms, →opened {} ms, →executed {} ms",
        of(|l| l.close_to_final_ms),
        of(|l| l.final_to_opened_ms),
        of(|l| l.opened_to_executed_ms)
    ));
    out.say(&format!(
        "wallets    {} submitted, {} acknowledged (f + 1 receipts, median {} ms), {} committed, {} aborted, {} dropped, {} other; outcome after {} ms",
        tally.submitted,
        tally.acknowledged,
        median(tally.receipt_ms.clone()),
        tally.committed,
        tally.aborted,
        tally.dropped,
        tally.other,
        median(tally.outcome_ms.clone()),
    ));
    let sold: Vec<Amount> = lines.iter().filter_map(|line| line.price).collect();
    let prices = Amount::sum(sold.iter().copied()).unwrap_or_default();
    out.say(&format!("auctions   {} of {} slots were sold, for {prices} in all", sold.len(), lines.len()));
    builders.iter().for_each(|builder| out.say(&builder.row()));
    if let Some(first) = tally.lost.first() {
        failures.push(format!("{} acknowledged envelopes were lost, first {first}", tally.lost.len()));
    }
    let all = (0..shape.members).chain(replace::joiner(shape.members, shape.epoch_slots));
    let folders: Vec<PathBuf> = all.map(|i| args.dir.join(format!("member-{i}"))).collect();
    match audit::common_prefix(&folders) {
        Ok(common) => {
            out.say(&format!("logs       {} members hold the same {common} entries and tiles", folders.len()))
        }
        Err(error) => failures.push(error),
    }
    let own = args.dir.join("member-0");
    let report = audit::audit_folder(&own, None, &mut |_progress| {})?;
    out.say(&format!("audit      {}", audit::verdict(&report)));
    if report.exit() != 0 {
        failures.push(format!("audit: {}", audit::verdict(&report)));
    }
    out.say(&format!("again      lockstep audit {}", own.display()));
    out.event("summary", json!({"slots": lines.len(), "empty": empty, "envelopes": units, "bundles": bundles,
        "close_to_final_ms": of(|l| l.close_to_final_ms), "final_to_opened_ms": of(|l| l.final_to_opened_ms),
        "opened_to_executed_ms": of(|l| l.opened_to_executed_ms), "submitted": tally.submitted,
        "acknowledged": tally.acknowledged, "unacknowledged": tally.unacknowledged, "receipts": tally.receipts,
        "committed": tally.committed, "aborted": tally.aborted, "dropped": tally.dropped, "other": tally.other,
        "sold": sold.len(), "prices": prices, "builders": builders.iter().map(builders::Done::value).collect::<Vec<_>>(),
        "surprises": tally.surprises, "lost": tally.lost.len(), "audit": audit::verdict(&report), "failures": failures}));
    if failures.is_empty() { Ok(()) } else { Err(Failure::found(failures.join("; "))) }
}
