// Goal: RULES.md names every rule once, in order, with a mark, and the tests that it names exist.
use std::{format, string::String, vec::Vec};

const RULES: &str = include_str!("../RULES.md");
const TESTS: [&str; 5] = [
    include_str!("prices.rs"),
    include_str!("genesis/tests.rs"),
    include_str!("ledger/tests.rs"),
    include_str!("rank/tests.rs"),
    include_str!("set/tests.rs"),
];

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
    for name in names {
        assert!(TESTS.iter().any(|text| text.contains(&format!("fn {name}()"))), "{name}");
    }
}
