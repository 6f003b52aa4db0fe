//! `lockstep audit`: recomputes a log from its genesis file and reports what does not follow from the rules.
//!
//! A source is a member's folder, a folder with the served layout, or the address of a member. Nothing that it serves
//! is believed: bytes are hashed to the signed head, and everything in them is recomputed.
use crate::{
    cli::{Failure, note, print},
    files::{self, FilesError, NETWORK_FILE, NetworkFiles},
    receipts,
    source::Source,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::path::{Path, PathBuf};
use tlog::tiles::{Level, Tile};
use types::{Head, Slot};
use verifier::{Anchor, Auditor, Checks, HeadError, Need, Progress, Report, Status};

/// Arguments of `lockstep audit`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AuditArgs {
    /// A member's folder, a mirror of what it serves, or http://host:port.
    source: String,
    /// network.toml to anchor on; without it the source's own is used, and the report says so.
    #[arg(long)]
    network: Option<PathBuf>,
    /// Refuse to anchor on the source's own network.toml.
    #[arg(long)]
    require_anchor: bool,
    /// Report findings from this slot on; the replay always starts at genesis.
    #[arg(long)]
    from: Option<u64>,
    /// Report findings up to this slot.
    #[arg(long)]
    to: Option<u64>,
    /// A checkpoint to remember: read before the audit if it exists, and written after it.
    #[arg(long)]
    heads: Option<PathBuf>,
    /// Receipts to hold the lists against, one a file: the signed note, then perhaps a line `envelope` and the
    /// envelope's bytes in hex.
    #[arg(long)]
    receipts: Option<PathBuf>,
    /// Where to write what proves a finding by receipts: a file each.
    #[arg(long)]
    evidence_dir: Option<PathBuf>,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

/// An audit with where its anchor came from.
struct Done {
    report: Report,
    anchor: String,
    checkpoint: Vec<u8>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`]: status 1 for a finding, 2 when the audit could not run.
pub(crate) async fn run(args: AuditArgs) -> Result<(), Failure> {
    let source = Source::open(&args.source).map_err(cannot)?;
    let started = crate::clock::now();
    let json = args.json;
    let work = args.clone();
    // disk, network and hashing block: not on the runtime's threads
    let done = tokio::task::spawn_blocking(move || {
        let bar = ProgressBar::new(0);
        bar.set_draw_target(if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() });
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} entries, {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        let seen = match work.heads.as_ref().filter(|path| path.exists()) {
            Some(path) => Some(files::read(path, 1 << 16).map_err(cannot)?),
            None => None,
        };
        let given = match &work.receipts {
            Some(folder) => receipts::read(folder).map_err(cannot)?,
            None => Vec::new(),
        };
        let beside = Beside { seen: seen.as_deref(), receipts: &given };
        let done = audit(&source, work.network.as_deref(), work.require_anchor, &beside, &mut |p| {
            bar.set_length(p.of);
            bar.set_position(p.entries);
            bar.set_message(format!("{} slots", p.slots));
        });
        bar.finish_and_clear();
        done
    })
    .await
    .map_err(|error| Failure::software(error.to_string()))??;
    let Done { mut report, anchor, checkpoint } = done;
    let (from, to) = (Slot(args.from.unwrap_or(0)), Slot(args.to.unwrap_or(u64::MAX)));
    report.findings.retain(|f| f.slot >= from && f.slot <= to);
    let seconds = crate::clock::now().0.saturating_sub(started.0);
    show(&report, &anchor, seconds, &args);
    if let Some(folder) = &args.evidence_dir {
        receipts::write(folder, &report.proofs)?;
    }
    if let Some(path) = args.heads.filter(|_| report.findings.is_empty()) {
        files::write(&path, &checkpoint)?;
    }
    match report.exit() {
        0 => Ok(()),
        code => Err(Failure { code, text: String::new() }),
    }
}

fn cannot(error: impl std::fmt::Display) -> Failure {
    Failure { code: 2, text: error.to_string() }
}

/// Audits a folder as an auditor would.
///
/// # Errors
/// [`Failure`] of status 2 when it cannot run.
pub(crate) fn audit_folder(
    folder: &Path,
    network: Option<&Path>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Report, Failure> {
    let source = Source::folder(folder);
    audit(&source, network, false, &Beside::default(), progress).map(|done| done.report)
}

/// What an audit gets besides the log.
#[derive(Default)]
struct Beside<'a> {
    /// A head that was seen before.
    seen: Option<&'a [u8]>,
    /// Receipts, by file.
    receipts: &'a [(PathBuf, Vec<u8>)],
}

fn audit(
    source: &Source,
    network: Option<&Path>,
    require_anchor: bool,
    beside: &Beside<'_>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Done, Failure> {
    if network.is_none() && require_anchor {
        return Err(cannot("--require-anchor needs --network"));
    }
    let (files, anchor) = match network {
        Some(path) => (NetworkFiles::read(path).map_err(cannot)?, path.display().to_string()),
        None => (from_source(source)?, "from-source".to_owned()),
    };
    let anchored = Anchor::new(files.network, files.rollups).map_err(cannot)?;
    let anchored = anchored.with_ceremony(keygen::handover::CEREMONY);
    let mut auditor = Auditor::new(&anchored, Checks::ALL).map_err(cannot)?;
    let checkpoint =
        source.get("checkpoint").map_err(cannot)?.ok_or_else(|| cannot("no checkpoint: nothing is published"))?;
    if let Some(seen) = beside.seen {
        auditor.seen(seen);
    }
    for (path, case) in beside.receipts {
        auditor.receipt(case).map_err(|error| cannot(format!("{}: {error}", path.display())))?;
    }
    let of_genesis = auditor.head(&checkpoint);
    let by_others = matches!(of_genesis, Err(HeadError::NoLog | HeadError::Quorum { .. }));
    let head = if by_others { auditor.head_of_later(&checkpoint) } else { of_genesis };
    if let Err(error) = head {
        let mut report = auditor.finish();
        report.findings.retain(|f| f.code == types::reason::Finding::HeadSplit);
        if report.findings.is_empty() {
            return Err(cannot(format!("{}: {error}", types::reason::Finding::HeadInvalid)));
        }
        return Ok(Done { report, anchor, checkpoint });
    }
    loop {
        match auditor.need() {
            Need::Done => break,
            Need::Tile { tile, max } => {
                let bytes = source.tile(&tile, max).map_err(cannot)?;
                let bytes = bytes.ok_or_else(|| cannot(format!("{tile} is missing")))?;
                auditor.feed_tile(&tile, &bytes);
            }
            Need::Finality(slot) => {
                let bytes = source.finality(slot).map_err(cannot)?;
                auditor.feed_finality(slot, bytes.as_deref());
            }
        }
        progress(&auditor.progress());
    }
    Ok(Done { report: auditor.finish(), anchor, checkpoint })
}

fn from_source(source: &Source) -> Result<NetworkFiles, Failure> {
    let bytes =
        source.network().map_err(cannot)?.ok_or_else(|| cannot("no network.toml at the source: use --network"))?;
    let network = files::parse_network(Path::new(NETWORK_FILE), &bytes).map_err(cannot)?;
    NetworkFiles::with_genesis(network, |chain| {
        let path = PathBuf::from(files::genesis_name(chain));
        let missing = || FilesError::Io { path: path.clone(), source: std::io::ErrorKind::NotFound.into() };
        let bytes = source.genesis(chain).ok().flatten().ok_or_else(missing)?;
        Ok((path, bytes))
    })
    .map_err(cannot)
}

/// One line: what the audit says.
#[must_use]
pub(crate) fn verdict(report: &Report) -> String {
    if let Some(first) = report.findings.first() {
        let more = report.findings.len().saturating_sub(1);
        return format!("{} in slot {}, entry {} ({more} more findings)", first.code, first.slot, first.index);
    }
    let unchecked = report.checks.iter().filter(|c| matches!(c.status, Status::NotChecked(_))).count();
    if report.exit() != 0 {
        return format!("incomplete: {unchecked} checks could not run to the end");
    }
    format!(
        "nothing found: {} entries to slot {} recomputed under a head of {} cosigners; {unchecked} checks had nothing to check",
        report.entries,
        report.slot,
        report.cosigners.len()
    )
}

fn show(report: &Report, anchor: &str, ms: u64, args: &AuditArgs) {
    if args.json {
        let checks: Vec<_> = report
            .checks
            .iter()
            .map(|c| {
                let (status, reason) = status(&c.status);
                json!({"n": c.n, "name": c.name, "status": status, "units": c.units, "reason": reason})
            })
            .collect();
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|f| json!({"code": f.code.name(), "slot": f.slot.0.to_string(), "index": f.index.to_string(), "accused": f.accused, "detail": f.detail}))
            .collect();
        let document = json!({
            "version": 1, "network": report.network.to_string(), "origin": report.origin, "anchor": anchor,
            "head": {"size": report.head.size.to_string(), "root": report.head.root.to_string(), "slot": report.slot.0.to_string(),
                "cosigners": report.cosigners.iter().map(|m| m.0).collect::<Vec<_>>()},
            "range": {"from": args.from, "to": args.to}, "checks": checks, "findings": findings,
            "stats": {"entries": report.entries.to_string(), "bytes": report.bytes.to_string(), "ms": ms}, "exit": report.exit(),
        });
        print(format_args!("{document}"));
        return;
    }
    print(format_args!("origin     {}", report.origin));
    print(format_args!("network    {}", report.network));
    print(format_args!("anchor     {anchor}"));
    let cosigners: Vec<String> = report.cosigners.iter().map(|m| format!("m{m}")).collect();
    print(format_args!(
        "head       {} entries, slot {}, cosigned by {}",
        report.head.size,
        report.slot,
        cosigners.join(" ")
    ));
    for check in &report.checks {
        let (status, reason) = status(&check.status);
        let units = if check.units > 0 { format!("{} ", check.units) } else { String::new() };
        print(format_args!("{:>5} {:<14} {units}{reason}", check.n, format!("{status:<12} {}", check.name)));
    }
    for finding in &report.findings {
        print(format_args!(
            "FINDING    {} slot {} entry {}: {}",
            finding.code, finding.slot, finding.index, finding.detail
        ));
    }
    print(format_args!("verdict    {}", verdict(report)));
    if anchor == "from-source" {
        note(format_args!("anchored on the source's own network.toml: use --network FILE to hold it against yours"));
    }
}

fn status(status: &Status) -> (&'static str, String) {
    match status {
        Status::Pass => ("pass", String::new()),
        Status::Fail => ("FAIL", String::new()),
        Status::NotChecked(why) => ("not-checked", format!("({why})")),
    }
}

/// Whether logs agree: equal entries and tiles over the shortest published one. Returns its size.
pub(crate) fn common_prefix(folders: &[PathBuf]) -> Result<u64, String> {
    let sources: Vec<Source> = folders.iter().map(|folder| Source::folder(folder)).collect();
    let mut heads: Vec<Head> = Vec::new();
    for (source, folder) in sources.iter().zip(folders) {
        let note = source.get("checkpoint").map_err(|e| e.to_string())?;
        let note = note.ok_or_else(|| format!("{} has published nothing", folder.display()))?;
        let text = String::from_utf8_lossy(&note);
        let text = text.split_inclusive("\n\n").next().unwrap_or_default().trim_end_matches('\n').to_owned() + "\n";
        let (_, head) = tlog::checkpoint::parse(&text).map_err(|e| format!("{}: {e}", folder.display()))?;
        heads.push(head);
    }
    let size = heads.iter().map(|h| h.size).min().unwrap_or(0);
    let mut level = 0u8;
    let mut levels = vec![Level::Entries];
    while size >> (8 * u32::from(level)) > 0 && level < 8 {
        levels.push(Level::Hashes(level));
        level += 1;
    }
    for level in levels {
        let mut index = 0;
        while let Some(tile) = Tile::at(level, index, size) {
            let mut copies = Vec::new();
            for source in &sources {
                copies.push(source.tile(&tile, tile.bytes_max()).map_err(|e| e.to_string())?);
            }
            if copies.windows(2).any(|pair| matches!(pair, [a, b] if a != b)) || copies.iter().any(Option::is_none) {
                return Err(format!("members' logs differ in {tile}"));
            }
            index += 1;
        }
    }
    Ok(size)
}
