//! Words: a type name has one meaning, and retired names do not come back.

use std::collections::BTreeMap;

use super::source::{SourceFile, Token, is_identifier, sources};
use super::{TidyFaults, fault};

/// Type names that are defined more than once outside tests, with the reason.
const SHARED_TYPE_NAMES: [(&str, &str); 2] = [
    ("Error", "the conventional name of a module's error"),
    ("Settings", "the conventional name of a module's settings"),
];

/// Type names of before. Each meant several things, or nothing that a newcomer could guess.
const RETIRED_TYPE_NAMES: [&str; 40] = [
    "Around",
    "Asked",
    "Asker",
    "Begun",
    "Behind",
    "Book",
    "Deed",
    "Denied",
    "Desk",
    "Door",
    "Draft",
    "Fate",
    "Form",
    "Given",
    "Glance",
    "Here",
    "House",
    "Kept",
    "Letter",
    "Line",
    "Mark",
    "Masters",
    "Need",
    "Outstanding",
    "Place",
    "Refusal",
    "Room",
    "Said",
    "Shown",
    "Spared",
    "Standing",
    "Surroundings",
    "Taken",
    "Told",
    "Trail",
    "Trouble",
    "Undone",
    "Way",
    "Wish",
    "Within",
];

/// A type definition: its name and line.
fn types(source: &SourceFile) -> Vec<(&str, usize)> {
    let is_keyword = |word: &str| ["struct", "enum", "trait", "union", "type"].contains(&word);
    let is_type = |name: &str| is_identifier(name) && name.starts_with(char::is_uppercase);
    // An associated type has the name that its trait gives it.
    let is_associated = |pair: &&[Token]| {
        pair[0].text == "type" && source.text.lines().nth(pair[0].line - 1).is_some_and(|line| line.starts_with(' '))
    };
    let pairs = source
        .words
        .windows(2)
        .filter(|pair| is_keyword(&pair[0].text) && is_type(&pair[1].text))
        .filter(|pair| !is_associated(pair));
    pairs.map(|pair| (pair[1].text.as_str(), pair[1].line)).collect()
}

#[test]
fn a_type_name_has_one_meaning() {
    let (mut faults, sources) = (TidyFaults::default(), sources(&["src"]));
    let mut by_name: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let tests = source.lines_with(&["mod", "tests", "{"]).first().copied().unwrap_or(usize::MAX);
        for (name, line) in types(source).into_iter().filter(|(_, line)| *line < tests) {
            by_name.entry(name).or_default().push(format!("{}:{line}", source.path));
        }
    }
    for (name, places) in by_name.iter().filter(|(_, places)| places.len() > 1) {
        if SHARED_TYPE_NAMES.iter().all(|(shared, _)| shared != name) {
            fault!(faults, "`{name}` is defined in {}; give each its own name", places.join(", "));
        }
    }
    faults.assert_none();
}

#[test]
fn retired_type_names_stay_away() {
    let mut faults = TidyFaults::default();
    for source in &sources(&["src", "tests", "benches"]) {
        for (name, line) in types(source).into_iter().filter(|(name, _)| RETIRED_TYPE_NAMES.contains(name)) {
            fault!(faults, "{}:{line}: `{name}` is retired; use the term of the field", source.path);
        }
    }
    faults.assert_none();
}
