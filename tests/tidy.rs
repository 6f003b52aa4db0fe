//! Facts about the tree that no compiler checks: tables in docs/ equal to the code, links that lead somewhere, vectors
//! that somebody reads, no path of a machine in committed text.
//!
//! Goal: what a reader finds in docs/ is what the program says. Method: the files are read and compared;
//! `UPDATE_DOCS=1 cargo test --test tidy` rewrites the generated tables, the diff is the review.
#![expect(clippy::expect_used, reason = "a test program: a broken tree ends it with the reason")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};
use types::{
    reason::{BidVerdict, Finding, Outcome, Reason, Why},
    tag,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| format!("cannot read {}: {error}", path.display()))
}

/// Files below a folder, sorted; build output and hidden folders left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder lists").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_file() {
            found.push(path);
        } else if !name.starts_with('.') && !["target", "node_modules", "book"].contains(&name.as_str()) {
            found.extend(files(&path));
        }
    }
    found.sort();
    found
}

fn with_extension(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = files(folder);
    found.retain(|path| path.extension().is_some_and(|have| have == extension));
    found
}

// ---- generated parts of pages ----------------------------------------------------------------------------------

const BEGIN: &str = "<!-- generated from the code: UPDATE_DOCS=1 cargo test --test tidy -->\n";
const END: &str = "\n<!-- end of the generated part -->";

/// A page of docs/src with a part that is made from the code.
struct Page {
    path: PathBuf,
    head: String,
    part: String,
    tail: String,
}

impl Page {
    fn read(name: &str) -> Self {
        let path = root().join("docs/src").join(name);
        let page = read(&path);
        let (head, rest) = page.split_once(BEGIN).expect("the page has a generated part");
        let (part, tail) = rest.split_once(END).expect("the generated part ends");
        Self { path, head: head.into(), part: part.into(), tail: tail.into() }
    }

    #[expect(clippy::disallowed_methods, reason = "a switch of the test, no configuration")]
    fn compare(&self, generated: &str) {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let page = format!("{}{BEGIN}{generated}{END}{}", self.head, self.tail);
            std::fs::write(&self.path, page).expect("the page is written");
        } else {
            assert_eq!(self.part, generated, "UPDATE_DOCS=1 cargo test --test tidy rewrites {}", self.path.display());
        }
    }
}

// ---- the command line ------------------------------------------------------------------------------------------

/// What the program prints, without spaces at ends of lines.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep")).args(arguments).output().expect("lockstep starts");
    assert!(output.status.success(), "lockstep {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Names of the commands that a help text lists.
fn listed(help: &str) -> Vec<&str> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    list.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

#[test]
fn commands_in_docs_are_those_of_the_program() {
    let top = printed(&["--help"]);
    let mut out = format!("\n```text\n{top}```\n");
    for name in listed(&top) {
        let help = printed(&[name, "--help"]);
        write!(out, "\n## {name}\n\n```text\n{help}```\n").expect("a string takes text");
        for step in listed(&help) {
            let help = printed(&[name, step, "--help"]);
            write!(out, "\n### {name} {step}\n\n```text\n{help}```\n").expect("a string takes text");
        }
    }
    let config = printed(&["node", "--print-default-config"]);
    write!(out, "\n## node.toml\n\n```toml\n{config}```\n").expect("a string takes text");
    Page::read("commands.md").compare(&out);
}

#[test]
fn every_key_of_the_configuration_is_explained() {
    let page = read(&root().join("docs/src/operate.md"));
    for line in printed(&["node", "--print-default-config"]).lines() {
        if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            assert!(page.contains(&format!("`{key}`")), "docs/src/operate.md says nothing of {key}");
        }
    }
}

#[test]
fn every_metric_is_explained() {
    let page = read(&root().join("docs/src/operate.md"));
    let source = read(&root().join("crates/node/src/metrics.rs"));
    let names: Vec<&str> = source.split('"').skip(1).step_by(2).filter(|text| text.starts_with("lockstep_")).collect();
    assert!(names.len() > 5, "the metrics are not where this test looks");
    for name in names.into_iter().filter(|name| !name.contains('{')) {
        assert!(page.contains(&format!("`{name}`")), "docs/src/operate.md says nothing of {name}");
    }
}

#[test]
fn every_metric_of_an_alert_exists() {
    let page = read(&root().join("docs/src/operate.md"));
    let source = read(&root().join("crates/node/src/metrics.rs"));
    let alerts = page.split("### Alerts worth having").nth(1).and_then(|rest| rest.split("\n## ").next());
    let words = alerts.unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named: BTreeSet<&str> = words.filter(|word| word.starts_with("lockstep_")).collect();
    assert!(named.len() > 5, "the alerts are not where this test looks");
    for name in named {
        let name = name.trim_end_matches("_bucket");
        assert!(source.contains(&format!("\"{name}\"")), "docs/src/operate.md: no metric {name}");
    }
}

// ---- reason codes and tags -------------------------------------------------------------------------------------

#[derive(PartialEq, PartialOrd)]
struct Code {
    number: u16,
    name: &'static str,
    sentence: &'static str,
}

struct Table {
    title: &'static str,
    rows: Vec<Code>,
}

fn code_tables() -> [Table; 5] {
    let row = |number, name, sentence: &'static str| Code { number, name, sentence: sentence.trim() };
    let rows = |title, rows| Table { title, rows };
    [
        rows("Ingress", Reason::ALL.iter().map(|c| row(c.number(), c.name(), c.sentence())).collect()),
        rows("Outcomes", Outcome::ALL.iter().map(|c| row(c.number().into(), c.name(), c.sentence())).collect()),
        rows(
            "Leaves without an entry",
            Why::ALL.iter().map(|c| row(c.number().into(), c.name(), c.sentence())).collect(),
        ),
        rows("Bids", BidVerdict::ALL.iter().map(|c| row(c.number().into(), c.name(), c.sentence())).collect()),
        rows("Findings", Finding::ALL.iter().map(|c| row(c.number(), c.name(), c.sentence())).collect()),
    ]
}

/// Tag and sentence, from the registry's source.
fn tag_rows() -> Vec<(String, String)> {
    let (mut rows, mut sentence) = (Vec::new(), String::new());
    for line in read(&root().join("crates/types/src/tag.rs")).lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("/// ") {
            doc.clone_into(&mut sentence);
        } else if let Some((_, text)) = line.split_once(" = \"lockstep/") {
            rows.push((format!("lockstep/{}", text.trim_end_matches("\";")), std::mem::take(&mut sentence)));
        }
    }
    rows
}

fn tables() -> String {
    let mut out = String::new();
    for Table { title, rows } in code_tables() {
        out.push_str(&format!("\n## {title}\n\n| number | name | meaning |\n|---:|---|---|\n"));
        for Code { number, name, sentence } in rows {
            writeln!(out, "| {number} | `{name}` | {sentence} |").expect("a string takes text");
        }
    }
    out.push_str("\n## Domain tags\n\n| tag | first bytes of |\n|---|---|\n");
    for (tag, sentence) in tag_rows() {
        writeln!(out, "| `{tag}` | {sentence} |").expect("a string takes text");
    }
    out
}

/// `(table, number, name)` of every code that a page's generated part holds.
fn printed_codes(part: &str) -> BTreeSet<(String, String, String)> {
    let (mut found, mut title) = (BTreeSet::new(), String::new());
    for line in part.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut title);
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, number, name, _, _] = cells.as_slice()
            && number.parse::<u16>().is_ok()
        {
            found.insert((title.clone(), (*number).to_owned(), (*name).to_owned()));
        }
    }
    found
}

#[test]
fn reason_codes_in_docs_are_those_of_the_code() {
    let page = Page::read("reason-codes.md");
    let generated = tables();
    let gone: Vec<_> = printed_codes(&page.part).difference(&printed_codes(&generated)).cloned().collect();
    assert!(gone.is_empty(), "a number is never reused or renamed, these are gone: {gone:?}");
    page.compare(&generated);
}

#[test]
fn codes_and_tags_are_unique() {
    for Table { title, rows } in code_tables() {
        let numbers: BTreeSet<_> = rows.iter().map(|code| code.number).collect();
        let names: BTreeSet<_> = rows.iter().map(|code| code.name).collect();
        assert_eq!((numbers.len(), names.len()), (rows.len(), rows.len()), "{title}");
        assert!(rows.is_sorted(), "{title}: the table is in the order of its numbers");
        assert!(rows.iter().all(|code| code.sentence.ends_with('.')), "{title}: each has a sentence");
    }
    let tags: Vec<String> = tag_rows().into_iter().map(|(tag, _)| tag).collect();
    assert_eq!(tags, tag::ALL, "the registry's source reads as the registry");
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len());
    let prefixes = tags.iter().filter(|tag| tags.iter().any(|other| other != *tag && other.starts_with(tag.as_str())));
    assert_eq!(prefixes.collect::<Vec<_>>(), [""; 0], "no tag begins another");
}

#[test]
fn tags_are_written_in_one_place() {
    let registry = root().join("crates/types/src/tag.rs");
    for folder in ["auction-rules", "crates", "keygen"] {
        for file in with_extension(&root().join(folder), "rs") {
            let is_test = file.iter().any(|part| part == "tests") || file.ends_with("tests.rs");
            if is_test || file == registry {
                continue;
            }
            let text = read(&file);
            let source = text.split("#[cfg(test)]").next().unwrap_or_default();
            for line in source.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let written = line.split('"').skip(1).step_by(2).find(|literal| is_tag(literal));
                assert_eq!(written, None, "{}: a tag comes from types::tag", file.display());
            }
        }
    }
}

/// `lockstep/..../v1`
fn is_tag(literal: &str) -> bool {
    let version = literal.rsplit('/').next().and_then(|last| last.strip_prefix('v'));
    literal.starts_with("lockstep/") && version.is_some_and(|digits| digits.parse::<u8>().is_ok())
}

// ---- the book --------------------------------------------------------------------------------------------------

fn pages() -> Vec<PathBuf> {
    let mut found = with_extension(&root().join("docs"), "md");
    found.push(root().join("README.md"));
    found
}

/// Link targets of a page, code left out.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect();
        for (at, _) in prose.match_indices("](") {
            let (_, from) = prose.split_at(at);
            if let Some((target, _)) = from.trim_start_matches("](").split_once(')') {
                found.push(target.to_owned());
            }
        }
    }
    found
}

/// Anchors of a page as mdBook and GitHub make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = read(&page);
        for link in links(&text) {
            if link.is_empty() || ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name("").join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if !anchor.is_empty() {
                let known = anchors(&read(&target)).contains(anchor);
                assert!(known, "{}: {link} names no heading", page.display());
            }
        }
    }
}

#[test]
fn the_summary_lists_every_page_once() {
    let source = root().join("docs/src");
    let mut listed: Vec<PathBuf> = links(&read(&source.join("SUMMARY.md")))
        .iter()
        .filter(|link| !link.is_empty())
        .map(|link| source.join(link))
        .collect();
    listed.sort();
    let mut pages = with_extension(&source, "md");
    pages.retain(|page| !page.ends_with("SUMMARY.md"));
    assert_eq!(listed, pages);
}

#[test]
fn every_page_says_what_is_built() {
    let states = ["built", "partly built", "planned", "decided"];
    for page in with_extension(&root().join("docs/src"), "md") {
        if page.ends_with("SUMMARY.md") {
            continue;
        }
        let text = read(&page);
        let state = text.lines().take(8).find_map(|line| line.strip_prefix("> **State: "));
        let known = state.is_some_and(|state| states.iter().any(|known| state.starts_with(&format!("{known}.**"))));
        assert!(known, "{}: line 3 says `> **State: built.**`, partly built, planned or decided", page.display());
    }
}

/// `page.md section n` wherever a source or a page says so.
fn citations(text: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (at, phrase) in text.match_indices(".md section ") {
        let (before, after) = text.split_at(at);
        let page: String = before.chars().rev().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        let number: String = after.chars().skip(phrase.len()).take_while(char::is_ascii_digit).collect();
        found.insert((page.chars().rev().collect(), number));
    }
    found
}

#[test]
fn cited_sections_exist() {
    let mut cited = BTreeMap::new();
    for folder in ["auction-rules", "benches", "crates", "docs", "keygen", "tests"] {
        for extension in ["rs", "md"] {
            for file in with_extension(&root().join(folder), extension) {
                cited.extend(citations(&read(&file)).into_iter().map(|citation| (citation, file.clone())));
            }
        }
    }
    cited.retain(|(page, number), _| !page.is_empty() && !number.is_empty());
    for ((page, number), file) in cited {
        let text = std::fs::read_to_string(root().join(format!("docs/src/{page}.md"))).unwrap_or_default();
        let exists = text.lines().any(|line| line.starts_with(&format!("## {number}. ")));
        assert!(exists, "{}: {page}.md section {number} is not in docs/src", file.display());
    }
}

#[test]
fn readme_has_the_two_commands() {
    let text = read(&root().join("README.md"));
    for command in ["cargo run --release -- devnet", "cargo test --workspace"] {
        assert!(text.contains(command), "README.md shows {command}");
    }
}

#[test]
fn the_map_names_every_crate() {
    let map = read(&root().join("docs/src/layout.md"));
    for manifest in files(root()).iter().filter(|path| path.ends_with("Cargo.toml")) {
        let folder = manifest.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
        // a workspace of its own is no crate of this one
        let apart = read(manifest).lines().any(|line| line == "[workspace]");
        if !apart && manifest.parent() != Some(root()) && !manifest.starts_with(root().join("tests")) {
            assert!(map.contains(&format!("| {folder} |")), "docs/src/layout.md has no row for {folder}");
        }
    }
}

// ---- vectors ---------------------------------------------------------------------------------------------------

#[test]
fn every_folder_of_vectors_has_an_origin_and_a_reader() {
    let vectors = root().join("tests/vectors");
    let mut folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for file in files(&vectors) {
        folders.entry(file.parent().expect("a file stands in a folder").to_owned()).or_default().push(file);
    }
    let sources: String = ["auction-rules", "benches", "crates", "keygen", "tests"]
        .iter()
        .flat_map(|folder| with_extension(&root().join(folder), "rs"))
        .map(|file| read(&file))
        .collect();
    for folder in folders.keys() {
        let below = folder.strip_prefix(&vectors).expect("the folder is below tests/vectors");
        assert_ne!(below, Path::new(""), "vectors stand in a folder with their ORIGIN");
        let origin =
            below.ancestors().any(|above| above != Path::new("") && vectors.join(above).join("ORIGIN").is_file());
        assert!(origin, "tests/vectors/{} has no ORIGIN", below.display());
        let top = below.iter().next().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(sources.contains(&format!("vectors/{top}")), "no source reads tests/vectors/{top}");
    }
}

// ---- committed text --------------------------------------------------------------------------------------------

#[test]
fn no_committed_file_names_a_path_of_a_machine() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|output| output.status.success()) else {
        println!("SKIPPED git: this tree is no checkout");
        return;
    };
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/t/"), concat!("/ho", "me/")];
    for name in String::from_utf8_lossy(&listed.stdout).split('\0').filter(|name| !name.is_empty()) {
        let Ok(text) = std::fs::read_to_string(root().join(name)) else { continue };
        for path in paths {
            let line = text.lines().position(|line| line.contains(path));
            assert_eq!(line, None, "{name} names {path} (line counted from 0)");
        }
    }
}
