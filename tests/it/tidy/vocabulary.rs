//! Words: a type name has one meaning, retired names do not come back, and comments and published texts are plain.

use std::collections::BTreeMap;

use super::source::{SourceFile, Token, file, is_identifier, sources};
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

/// Words that make a sentence a riddle, in comments and texts.
const RETIRED_WORDS: [&str; 6] = ["whoever", "nobody", "none of", "of which", "anew", "what of it is"];

/// Phrases that texts for users do not have either.
const RETIRED_PHRASES: [&str; 9] = [
    "somebody",
    "everybody",
    "so many",
    "so long",
    "mended",
    "for ever",
    "goes on",
    "as it stands",
    "what is to be done",
];

/// The documents that users read.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "src/manual/clock.md",
    "src/manual/exports.md",
    "src/manual/frozen_formats.md",
    "src/manual/glossary.md",
    "src/manual/kept_checkpoints.md",
    "src/manual/labels.md",
    "src/manual/master_keys.md",
    "src/manual/numbers.md",
    "src/manual/receivers.md",
    "src/manual/restores.md",
    "src/manual/signals-and-logs.md",
    "src/manual/starts.md",
    "src/manual/tests.md",
    "src/manual/who_did_what.md",
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
            fault!(faults, "{}:{line}: `{name}` is retired; use the term of src/manual/glossary.md", source.path);
        }
    }
    faults.assert_none();
}

#[test]
fn comments_are_plain() {
    let mut faults = TidyFaults::default();
    for source in &sources(&["src", "tests", "benches"]) {
        for (at, line) in source.text.lines().enumerate() {
            let Some(comment) = comment(line) else { continue };
            for word in RETIRED_WORDS.iter().filter(|word| says(comment, word)) {
                fault!(faults, "{}:{}: a comment says \"{word}\"; write a plain sentence", source.path, at + 1);
            }
        }
    }
    faults.assert_none();
}

#[test]
fn published_texts_are_plain() {
    let mut faults = TidyFaults::default();
    let mut check = |path: &str, line: usize, text: &str| {
        for word in RETIRED_WORDS.iter().chain(&RETIRED_PHRASES).filter(|word| says(text, word)) {
            fault!(faults, "{path}:{line}: a text says \"{word}\"; write a plain sentence");
        }
    };
    for source in sources(&["src"]).iter().filter(|source| !source.is_test()) {
        for (text, line) in source.texts() {
            check(&source.path, line, &text.replace("\\n", " ").replace("\\\n", " "));
        }
    }
    for path in DOCUMENTS {
        let document = file(path).unwrap();
        for (at, line) in document.lines().enumerate() {
            check(path, at + 1, line);
        }
    }
    faults.assert_none();
}

/// Whether a text has this word or phrase, in any case.
fn says(text: &str, phrase: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ").to_lowercase().replace(|letter: char| !letter.is_alphanumeric(), " ");
    format!(" {text} ").contains(&format!(" {phrase} "))
}

/// The comment of a line. `//` within a text is taken for one only behind a space.
fn comment(line: &str) -> Option<&str> {
    let trimmed = line.trim_start();
    if trimmed.starts_with("//") { Some(trimmed) } else { line.split_once(" // ").map(|(_, comment)| comment) }
}
