// Goal: RULES.md names every rule once, in order, with a mark; the tests that it names exist; whatever is built is
// cited by code and by a test.
use std::{format, path::Path, string::String, vec::Vec};

const RULES: &str = include_str!("../RULES.md");
/// Sources of this crate and of those that carry rules out, as (is a test, text).
fn sources() -> Vec<(bool, String)> {
    let mut out = Vec::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = std::vec![own.join("src"), own.join("tests"), own.join("../crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let in_tests = path.components().any(|part| part.as_os_str() == "tests");
            let name = path.file_stem().unwrap().to_str().unwrap();
            match text.split_once("#[cfg(test)]\nmod tests {") {
                _ if in_tests || name.contains("tests") || ["simulation", "testing", "vectors"].contains(&name) => {
                    out.push((true, text));
                }
                Some((code, tests)) => out.extend([(false, code.into()), (true, tests.into())]),
                None => out.push((name == "text", text)),
            }
        }
    }
    out
}

#[test]
fn every_rule_has_a_line_and_a_mark() {
    let lines: Vec<&str> = RULES.lines().filter(|line| line.starts_with("- **A-")).collect();
    assert_eq!(lines.len(), 41);
    for (number, line) in (1..).zip(lines) {
        let rest =
            line.strip_prefix(&format!("- **A-{number:02}** (")).unwrap_or_else(|| panic!("A-{number:02}: {line}"));
        assert!(["built", "partly", "planned"].iter().any(|mark| rest.starts_with(mark)), "{line}");
    }
}

#[test]
fn tests_that_the_rules_name_exist() {
    let rows = RULES.lines().filter(|line| line.starts_with("| A-"));
    let names: Vec<String> = rows.filter_map(|row| Some(row.split('`').nth_back(1)?.into())).collect();
    assert!(names.len() >= 9);
    let tests = sources();
    for name in names {
        assert!(tests.iter().any(|(test, text)| *test && text.contains(&format!("fn {name}()"))), "{name}");
    }
}

/// `A-nn` in a text, or within `A-nn to A-mm`; in a test's name `annn_` counts.
fn cites(text: &str, number: u32) -> bool {
    let id = |n: u32| format!("A-{n:02}");
    let in_range = |(at, _): (usize, &str)| {
        let (before, after) = text.split_at(at);
        let from = before.get(before.len().saturating_sub(2)..).and_then(|n| n.parse::<u32>().ok());
        let to = after.get(6..8).and_then(|n| n.parse::<u32>().ok());
        from.zip(to).is_some_and(|(from, to)| (from..=to).contains(&number))
    };
    text.contains(&id(number))
        || text.contains(&format!("fn a{number:02}_"))
        || text.contains(&format!("_a{number:02}_"))
        || text.match_indices(" to A-").any(in_range)
}

#[test]
fn every_built_rule_is_cited_by_code_and_by_a_test() {
    let sources = sources();
    for (number, line) in (1..).zip(RULES.lines().filter(|line| line.starts_with("- **A-"))) {
        if line.contains("** (planned") {
            continue;
        }
        for wanted in [false, true] {
            let cited = sources.iter().any(|(test, text)| *test == wanted && cites(text, number));
            assert!(cited, "A-{number:02} is cited by no {}", if wanted { "test" } else { "code" });
        }
    }
}
