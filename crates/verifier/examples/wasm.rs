//! The auditor for a page: bytes in through one buffer, text out through another, no imports.
//!
//! ```text
//! input(n) -> address     write n bytes there, then call one of
//!   network               network.toml
//!   rollup                genesis file of an executed rollup, once for each
//!   head, seen            a checkpoint: the one to audit; others that it is held against
//!   tile, finality        what `need` named
//! start                   after network and rollups
//! need -> 0 nothing, 1 a tile (text: its path), 2 a proof of finality (text: its slot)
//! none                    the source has no such proof
//! report                  text: the report, JSON
//! text() -> address, text_len() -> bytes
//! ```
//! Calls answer 0 when they did what they say, 1 when not; then the text says why. Names begin with `lockstep_`.
#![expect(
    unsafe_code,
    reason = "an export keeps its name by an attribute that counts as such; there is no block of it"
)]
use execution::genesis::{RollupGenesis, parse};
use std::cell::RefCell;
use tlog::tiles::Tile;
use types::{Network, Slot, limits};
use verifier::{Anchor, Auditor, Checks, Need, Report, Status};

#[derive(Default)]
struct Page {
    input: Vec<u8>,
    text: String,
    network: Option<Network>,
    rollups: Vec<RollupGenesis>,
    auditor: Option<Auditor>,
}

thread_local! {
    static PAGE: RefCell<Page> = RefCell::default();
}

/// Runs a step; 0, or 1 with the reason as text.
fn step(run: impl FnOnce(&mut Page) -> Result<(), String>) -> u32 {
    PAGE.with_borrow_mut(|page| match run(page) {
        Ok(()) => 0,
        Err(why) => {
            page.text = why;
            1
        }
    })
}

impl Page {
    fn auditor(&mut self) -> Result<&mut Auditor, String> {
        self.auditor.as_mut().ok_or_else(|| "start first".to_owned())
    }
}

/// The address of a buffer of this many bytes, for the next call.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_input(len: u32) -> *mut u8 {
    PAGE.with_borrow_mut(|page| {
        page.input = vec![0; usize::try_from(len).unwrap_or(0)];
        page.input.as_mut_ptr()
    })
}

/// Input: network.toml.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_network() -> u32 {
    step(|page| {
        if page.input.len() > limits::NETWORK_FILE_BYTES_MAX {
            return Err("network.toml is too long".to_owned());
        }
        page.network = Some(toml::from_slice(&page.input).map_err(|error| error.to_string())?);
        Ok(())
    })
}

/// Input: the genesis file of an executed rollup.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_rollup() -> u32 {
    step(|page| {
        page.rollups.push(parse(&page.input).map_err(|error| error.to_string())?);
        Ok(())
    })
}

/// Checks the anchor and begins an audit with every check.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_start() -> u32 {
    step(|page| {
        let network = page.network.take().ok_or("no network")?;
        let mut rollups = Vec::new();
        for genesis in page.rollups.drain(..) {
            let spec = network.genesis.rollups.iter().find(|spec| spec.chain_id == genesis.chain_id());
            rollups.push((spec.ok_or("a rollup that the network does not have")?.clone(), genesis));
        }
        let anchor = Anchor::new(network, rollups).map_err(|error| error.to_string())?;
        page.auditor = Some(Auditor::new(&anchor, Checks::ALL).map_err(|error| error.to_string())?);
        Ok(())
    })
}

/// Input: the checkpoint to audit.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_head() -> u32 {
    step(|page| {
        let note = core::mem::take(&mut page.input);
        page.auditor()?.head(&note).map_err(|error| error.to_string())?;
        Ok(())
    })
}

/// Input: a checkpoint seen before or elsewhere.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_seen() -> u32 {
    step(|page| {
        let note = core::mem::take(&mut page.input);
        page.auditor()?.seen(&note);
        Ok(())
    })
}

/// What to feed next; the text names it.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_need() -> u32 {
    PAGE.with_borrow_mut(|page| {
        let (kind, text) = match page.auditor.as_ref().map_or(Need::Done, Auditor::need) {
            Need::Done => (0, String::new()),
            Need::Tile { tile, .. } => (1, tile.to_string()),
            Need::Finality(slot) => (2, slot.to_string()),
        };
        page.text = text;
        kind
    })
}

/// Input: the bytes of the tile that was named last.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_tile() -> u32 {
    step(|page| {
        let tile: Tile = page.text.parse().map_err(|_path| "no tile is needed".to_owned())?;
        let bytes = core::mem::take(&mut page.input);
        page.auditor()?.feed_tile(&tile, &bytes);
        Ok(())
    })
}

fn finality(page: &mut Page, proof: Option<&[u8]>) -> Result<(), String> {
    let slot = page.text.parse().map_err(|_slot| "no proof is needed".to_owned())?;
    page.auditor()?.feed_finality(Slot(slot), proof);
    Ok(())
}

/// Input: headers and votes of the slot that was named last.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_finality() -> u32 {
    step(|page| {
        let proof = core::mem::take(&mut page.input);
        finality(page, Some(&proof))
    })
}

/// The source has no headers and votes of that slot.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_none() -> u32 {
    step(|page| finality(page, None))
}

/// Ends the audit; the text is the report.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_report() -> u32 {
    step(|page| {
        let auditor = page.auditor.take().ok_or("start first")?;
        page.text = json(&auditor.finish());
        Ok(())
    })
}

/// Address of the text.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_text() -> *const u8 {
    PAGE.with_borrow(|page| page.text.as_ptr())
}

/// Length of the text, bytes.
#[unsafe(no_mangle)]
pub extern "C" fn lockstep_text_len() -> u32 {
    PAGE.with_borrow(|page| u32::try_from(page.text.len()).unwrap_or(0))
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// As `lockstep audit --json` writes it, as far as the verifier knows it: integers above 32 bits are strings.
fn json(report: &Report) -> String {
    let checks = report.checks.iter().map(|check| {
        let (status, reason) = match &check.status {
            Status::Pass => ("pass", ""),
            Status::Fail => ("FAIL", ""),
            Status::NotChecked(why) => ("not-checked", why.as_str()),
        };
        let (name, reason) = (quoted(check.name), quoted(reason));
        format!(r#"{{"n":{},"name":{name},"status":"{status}","units":"{}","reason":{reason}}}"#, check.n, check.units)
    });
    let findings = report.findings.iter().map(|finding| {
        let accused = list(finding.accused.iter().map(|name| quoted(name)));
        let (code, detail) = (quoted(finding.code.name()), quoted(&finding.detail));
        let (slot, index) = (finding.slot, finding.index);
        format!(r#"{{"code":{code},"slot":"{slot}","index":"{index}","accused":{accused},"detail":{detail}}}"#)
    });
    let cosigners = list(report.cosigners.iter().map(|member| quoted(&format!("m{member}"))));
    let head = format!(
        r#"{{"size":"{}","root":"{}","slot":"{}","cosigners":{cosigners}}}"#,
        report.head.size, report.head.root, report.slot
    );
    format!(
        r#"{{"version":1,"network":"{}","origin":{},"head":{head},"checks":{},"findings":{},"stats":{{"entries":"{}","bytes":"{}"}},"exit":{}}}"#,
        report.network,
        quoted(&report.origin),
        list(checks),
        list(findings),
        report.entries,
        report.bytes,
        report.exit()
    )
}
