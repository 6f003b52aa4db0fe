//! `lockstep status`: every member asked at once, one table, one sentence.
//!
//! Trust: heights, lag and names are what each member says of itself. Checkpoints are verified here with the keys of
//! network.toml: two of one size that differ mean more than f members have signed both.
use crate::{
    cli::{Failure, print},
    committee::{self, Now},
    files::NetworkFiles,
    health::{
        LAG_SLOTS_MAX, State,
        peers::{self, ASK_WITHIN},
        report::{Names, Report},
        stall_ms,
    },
    member::stop_requested,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, time::Duration};
use tlog::{
    checkpoint::{self, Policy},
    note::{self, Note},
};
use tokio::task::JoinSet;
use types::{Hash, Head};

/// Arguments of `lockstep status`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// The network's network.toml.
    #[arg(long)]
    network: PathBuf,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
    /// Ask again every second, until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

/// Longest checkpoint that is read.
const CHECKPOINT_BYTES_MAX: usize = 64 << 10;
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// A checkpoint whose cosignatures hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Published {
    size: u64,
    root: String,
    /// Seconds since the newest cosignature, by this machine's clock.
    age_s: u64,
    cosigners: Vec<String>,
}

/// A member as it was found.
#[derive(Clone, Debug, Serialize)]
struct Row {
    member: u16,
    name: String,
    http: String,
    up: bool,
    /// It is up, near the others, has published, and slots become final at it.
    follows: bool,
    /// What is wrong, in words.
    trouble: Vec<String>,
    lag: Option<u64>,
    checkpoint: Option<Published>,
    report: Option<Report>,
}

/// The network as it was found.
#[derive(Clone, Debug, Serialize)]
struct Found {
    network: String,
    need: usize,
    up: usize,
    following: usize,
    /// Sizes of which two verified checkpoints differ.
    diverged: Vec<u64>,
    ok: bool,
    summary: String,
    members: Vec<Row>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: 1 when something is wrong, 69 when nobody answers.
pub(crate) async fn run(args: StatusArgs) -> Result<(), Failure> {
    let network = NetworkFiles::read(&args.network)?;
    let mut stop = std::pin::pin!(stop_requested());
    loop {
        let now = committee::now(&network).await;
        let genesis = &now.network.genesis;
        let policy = Policy::new(&genesis.origin, &genesis.members, now.network.faults());
        let policy = policy.map_err(|error| Failure { code: 78, text: format!("network.toml: {error}") })?;
        let found = look(&now, &policy).await;
        if args.json {
            print(format_args!("{}", serde_json::to_string(&found).unwrap_or_default()));
        } else {
            // clear the screen, from its top
            let clear = if args.watch { "\u{1b}[2J\u{1b}[H" } else { "" };
            print(format_args!("{clear}{}", table(&found)));
        }
        if !args.watch {
            return verdict(&found);
        }
        tokio::select! {
            result = &mut stop => {
                result.map_err(|error| Failure { code: 71, text: error.to_string() })?;
                return verdict(&found);
            }
            () = tokio::time::sleep(WATCH_EVERY) => {}
        }
    }
}

fn verdict(found: &Found) -> Result<(), Failure> {
    if found.ok {
        Ok(())
    } else if found.up == 0 {
        Err(Failure::unavailable(format!("no member answers within {} s", ASK_WITHIN.as_secs())))
    } else {
        // the table has said it
        Err(Failure::found(String::new()))
    }
}

type Answer = (u16, Option<Report>, Option<Vec<u8>>);

async fn look(network: &Now, policy: &Policy) -> Found {
    let mut asked: JoinSet<Answer> = JoinSet::new();
    for address in &network.network.addresses {
        let (member, http) = (address.member.0, address.http.clone());
        asked.spawn(async move {
            let (report, note) =
                tokio::join!(peers::ask(&http), peers::get(&http, "/checkpoint", CHECKPOINT_BYTES_MAX));
            (member, report, note)
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(Ok((member, report, note))) = asked.join_next().await {
        answers.insert(member, (report, note));
    }
    let now = crate::clock::now().0 / 1_000;
    let rows = network.network.addresses.iter().map(|address| {
        let (report, note) = answers.remove(&address.member.0).unwrap_or_default();
        let report = report.map(|report| clean(report, network));
        let name = network.network.genesis.members.get(usize::from(address.member.0)).map(|m| m.name.clone());
        let mut row = Row {
            member: address.member.0,
            name: name.unwrap_or_default(),
            http: address.http.clone(),
            up: report.is_some(),
            follows: false,
            trouble: Vec::new(),
            lag: None,
            checkpoint: None,
            report,
        };
        match note.map(|note| published(policy, &note, now)) {
            Some(Ok(checkpoint)) => row.checkpoint = Some(checkpoint),
            Some(Err(why)) => row.trouble.push(format!("checkpoint: {why}")),
            None => {}
        }
        row
    });
    let rows = rows.collect();
    judge(network.id, network.network.faults(), network.network.genesis.params.slot_ms, rows)
}

/// Keeps of what a member sent only words that are ours: a terminal obeys what it is shown.
fn clean(report: Report, network: &Now) -> Report {
    let known = |names: Vec<String>| -> Vec<String> {
        let members = &network.network.genesis.members;
        names.into_iter().filter(|name| members.iter().any(|m| m.name == *name)).take(members.len()).collect()
    };
    let plain = |text: String| -> String { text.chars().filter(char::is_ascii_graphic).take(80).collect() };
    Report {
        network: plain(report.network),
        origin: plain(report.origin),
        name: plain(report.name),
        version: plain(report.version),
        state: State::known(&report.state).into(),
        cosigners: Names { present: known(report.cosigners.present), missing: known(report.cosigners.missing) },
        peers: Names { present: known(report.peers.present), missing: known(report.peers.missing) },
        ..report
    }
}

/// Verifies a checkpoint: origin, a log key, 2f + 1 cosignatures.
fn published(policy: &Policy, bytes: &[u8], now: u64) -> Result<Published, String> {
    let verified = checkpoint::verify_checkpoint(policy, bytes).map_err(|error| error.to_string())?;
    let Head { size, root } = verified.head;
    let lines = Note::parse(bytes).map_err(|error| error.to_string())?;
    let stamps = lines.lines().iter().filter(|line| policy.cosigners().iter().any(|key| key.is_of(line)));
    let newest = stamps.filter_map(note::SignatureLine::stamp).map(|stamp| note::split_stamp(&stamp).0).max();
    Ok(Published {
        size,
        root: root.to_string(),
        age_s: now.saturating_sub(newest.unwrap_or(0)),
        cosigners: verified.cosigners.iter().map(|member| format!("m{member}")).collect(),
    })
}

/// Says of each member whether it follows, and of the network whether it is well.
fn judge(network: Hash, f: u16, slot_ms: u64, mut members: Vec<Row>) -> Found {
    let f = usize::from(f);
    let need = 2 * f + 1;
    let ours = network.to_string();
    for row in &mut members {
        if let Some(report) = &row.report
            && (report.network != ours || report.member != row.member)
        {
            row.trouble.push(format!("answers as member {} of network {:.8}", report.member, report.network));
        }
    }
    let slot = |row: &Row| row.report.as_ref().map(|report| report.final_slot).filter(|_| row.trouble.is_empty());
    let mut slots: Vec<u64> = members.iter().filter_map(slot).collect();
    slots.sort_unstable_by(|a, b| b.cmp(a));
    let highest = slots.first().copied().unwrap_or(0);
    // more than f say that they have come so far: at least one of them has
    let reached = slots.get(f).or_else(|| slots.last()).copied().unwrap_or(0);
    for row in &mut members {
        let Some(report) = row.report.clone() else {
            row.trouble.insert(0, "no answer".into());
            continue;
        };
        row.lag = Some(highest.saturating_sub(report.final_slot));
        if reached.saturating_sub(report.final_slot) > LAG_SLOTS_MAX {
            row.trouble.push(format!("{} slots behind", reached.saturating_sub(report.final_slot)));
        }
        if report.final_age_ms > stall_ms(slot_ms) {
            row.trouble.push(format!("no final slot for {} s", report.final_age_ms / 1_000));
        }
        if row.checkpoint.is_none() && row.trouble.is_empty() {
            row.trouble.push("no checkpoint yet".into());
        }
        // the member knows of more than these numbers show
        if row.trouble.is_empty() && !["ready", "disk-low"].contains(&report.state.as_str()) {
            row.trouble.push(report.state.clone());
        }
        row.follows = row.trouble.is_empty();
        if report.state == "disk-low" {
            row.trouble.push("disk low: no receipts".into());
        }
    }
    let mut roots: BTreeMap<u64, &str> = BTreeMap::new();
    let mut diverged = Vec::new();
    for checkpoint in members.iter().filter_map(|row| row.checkpoint.as_ref()) {
        if *roots.entry(checkpoint.size).or_insert(&checkpoint.root) != checkpoint.root {
            diverged.push(checkpoint.size);
        }
    }
    diverged.sort_unstable();
    diverged.dedup();
    let up = members.iter().filter(|row| row.up).count();
    let following = members.iter().filter(|row| row.follows).count();
    let lost = members.len().saturating_sub(following);
    let summary = if !diverged.is_empty() {
        format!("DIVERGED: two verified checkpoints of size {diverged:?} differ: more than f = {f} members signed both")
    } else if up == 0 {
        "DOWN: no member answers".into()
    } else if following < need {
        format!("f EXCEEDED: {following} of {need} needed members follow; no slot becomes final without them")
    } else if lost == 0 {
        format!("quorum ok: all {} members follow, {need} are needed", members.len())
    } else {
        format!(
            "quorum ok: {following} of {} members follow, {need} are needed; {} more may fail",
            members.len(),
            f - lost
        )
    };
    let ok = diverged.is_empty() && following >= need;
    Found { network: ours, need, up, following, diverged, ok, summary, members }
}

fn table(found: &Found) -> String {
    let mut out = String::new();
    let head = ["", "name", "state", "final", "lag", "opened", "checkpoint", "age", "missing cosigners"];
    let mut rows: Vec<Vec<String>> = vec![head.iter().map(ToString::to_string).collect()];
    for row in &found.members {
        let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
        let report = row.report.as_ref();
        let missing = report.map_or_else(|| "-".into(), |r| r.cosigners.missing.join(" "));
        let trouble = if row.trouble.is_empty() { String::new() } else { format!("  ! {}", row.trouble.join("; ")) };
        rows.push(vec![
            row.member.to_string(),
            row.name.clone(),
            report.map_or_else(|| "DOWN".into(), |r| r.state.clone()),
            number(report.map(|r| r.final_slot)),
            number(row.lag),
            number(report.map(|r| r.opened_slot)),
            number(row.checkpoint.as_ref().map(|c| c.size)),
            row.checkpoint.as_ref().map_or_else(|| "-".into(), |c| format!("{} s", c.age_s)),
            format!("{}{trouble}", if missing.is_empty() { "none" } else { &missing }),
        ]);
    }
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        // a string takes text
        writeln!(out, "{}", line.trim_end()).ok();
    }
    write!(out, "\n{}", found.summary).ok();
    out
}

#[cfg(test)]
mod tests;
