//! Files: their form, that each is compiled, and that each listed file exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::source::{SourceFile, is_identifier, sources};
use super::{TidyFaults, fault};

/// The most lines of a file.
const LINES: usize = 400;

/// The most lines of a function, tests apart.
const FUNCTION_LINES: usize = 70;

/// Longer functions: file, function, why a cut would not help a reader.
const LONG_FUNCTIONS: [(&str, &str, &str); 3] = [
    ("src/journal/administrative_event_codec.rs", "decode_version_1", "one arm for each type of event"),
    ("src/metrics/alert_rules.rs", "alert_rules", "a table"),
    ("src/metrics/instruments.rs", "new", "a table"),
];

/// Roots of the module trees.
const ROOTS: [&str; 7] = [
    "src/lib.rs",
    "src/main.rs",
    "tests/it/main.rs",
    "tests/fuzz/parsers.rs",
    "tests/testkit/mod.rs",
    "benches/attacks/main.rs",
    "benches/speed/main.rs",
];

fn all_sources() -> Vec<SourceFile> {
    sources(&["src", "tests", "benches"])
}

#[test]
fn files_are_in_form() {
    let mut faults = TidyFaults::default();
    for SourceFile { path, text, .. } in &all_sources() {
        if !text.starts_with("//! ") {
            fault!(faults, "{path}:1: the file does not say what it is; open it with `//!` and a sentence");
        }
        let lines = text.lines().count();
        if lines > LINES {
            fault!(faults, "{path}:{LINES}: the file has {lines} lines; move a part of it to a file of its own");
        }
        for (line, text) in text.lines().enumerate() {
            if text.contains('\t') || text.ends_with(' ') {
                fault!(faults, "{path}:{}: a tab, or a space at the end; run `cargo fmt`", line + 1);
            }
        }
    }
    faults.assert_none();
}

#[test]
fn functions_are_short() {
    let mut faults = TidyFaults::default();
    for SourceFile { path, text, .. } in sources(&["src"]).iter().filter(|source| !source.is_test()) {
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        for (line, (name, length)) in function_lengths(code) {
            let is_exception = LONG_FUNCTIONS.iter().any(|(file, function, _)| *file == path && *function == name);
            if length > FUNCTION_LINES && !is_exception {
                fault!(faults, "{path}:{line}: `{name}` has {length} lines; give a part of it a name of its own");
            }
        }
    }
    faults.assert_none();
}

/// Each function of a formatted file: its first line, its name, and how many lines it has.
fn function_lengths(code: &str) -> Vec<(usize, (&str, usize))> {
    let lines: Vec<&str> = code.lines().collect();
    let function = |at: usize| {
        let (before, after) = lines[at].split_once("fn ")?;
        let is_qualifier = |word: &str| ["async", "const", "unsafe"].contains(&word) || word.starts_with("pub");
        let closing = format!("{}}}", &before[..before.len() - before.trim_start().len()]);
        let length = 1 + lines[at..].iter().position(|line| *line == closing)?;
        let name = after.split(['(', '<']).next()?;
        before.split_whitespace().all(is_qualifier).then_some((at + 1, (name, length)))
    };
    (0..lines.len()).filter_map(function).collect()
}

#[test]
fn nothing_is_left_to_do() {
    let mut faults = TidyFaults::default();
    for source in &all_sources() {
        for word in ["todo", "unimplemented", "dbg"] {
            for line in source.lines_with(&[word, "!"]) {
                fault!(faults, "{}:{line}: `{word}!` is for the desk; finish it, or take it out", source.path);
            }
        }
    }
    faults.assert_none();
}

#[test]
fn files_are_modules() {
    let (mut faults, everything) = (TidyFaults::default(), all_sources());
    for SourceFile { path, .. } in everything.iter().filter(|source| !ROOTS.contains(&source.path.as_str())) {
        let module = Path::new(path.trim_end_matches("/mod.rs").trim_end_matches(".rs"));
        let (above, name) = (module.parent().unwrap().display(), module.file_name().unwrap().to_str().unwrap());
        let parents =
            [format!("{above}/mod.rs"), format!("{above}.rs"), format!("{above}/lib.rs"), format!("{above}/main.rs")];
        let parent = everything.iter().find(|source| parents.contains(&source.path));
        if parent.is_none_or(|parent| parent.lines_with(&["mod", name, ";"]).is_empty()) {
            fault!(
                faults,
                "{path}:1: no `mod {name};` leads here, so nobody compiles it; add the line, or delete the file"
            );
        }
    }
    faults.assert_none();
}

#[test]
fn modules_list_their_files() {
    let (mut faults, sources) = (TidyFaults::default(), sources(&["src"]));
    for source in sources.iter().filter(|source| source.path.ends_with("/mod.rs") && !source.is_test()) {
        let (path, folder) = (&source.path, source.path.trim_end_matches("mod.rs"));
        let below = |other: &SourceFile| Some(other.path.strip_prefix(folder)?.split(['/', '.']).next()?.to_owned());
        let files: BTreeSet<String> = sources.iter().filter_map(below).collect();
        let row = |line: &str| Some(line.strip_prefix("//! | `")?.split_once('`')?.0.to_owned());
        let listed: BTreeSet<String> = source.text.lines().filter_map(row).collect();
        for missing in files.difference(&listed).filter(|name| !["mod", "tests"].contains(&name.as_str())) {
            fault!(faults, "{path}:1: `{missing}` is not in the table; add a row that says what it knows");
        }
        for gone in listed.difference(&files) {
            fault!(faults, "{path}:1: the table lists `{gone}`, and there is no such file; take the row out");
        }
    }
    faults.assert_none();
}

#[test]
fn bounds_are_used() {
    let (mut faults, sources) = (TidyFaults::default(), sources(&["src"]));
    let used = |name: &str, home: &str| {
        // The definition itself is one use; another bound may be computed from it.
        let is_used = |source: &&SourceFile| source.lines_with(&[name]).len() > usize::from(source.path == home);
        sources.iter().filter(|source| !source.is_test()).any(|source| is_used(&source))
    };
    for SourceFile { path, words, .. } in sources.iter().filter(|source| source.module() == "limits") {
        for words in words.windows(2).filter(|words| words[0].text == "const" && is_identifier(&words[1].text)) {
            let (name, line) = (&words[1].text, words[1].line);
            if !used(name, path) {
                fault!(faults, "{path}:{line}: nothing is bounded by `{name}`; use it, or take it out");
            }
        }
    }
    faults.assert_none();
}

/// A golden file that no test compares would keep an outdated text.
#[test]
fn snapshots_are_checked() {
    let (mut faults, everything) = (TidyFaults::default(), all_sources());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_to_string(root.join("tests/e2e/pages.spec.js")).unwrap();
    // Frozen files are listed in their own folder; the frozen tests compare them.
    let is_frozen = |path: &PathBuf| path.starts_with(root.join("snapshots/frozen"));
    for path in crate::service_process::list_files(&root.join("snapshots")).into_iter().filter(|path| !is_frozen(path))
    {
        let shown = path.strip_prefix(root).unwrap().to_str().unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        // The browser tests make pictures.
        let is_named = match path.extension().is_some_and(|ending| ending == "png") {
            true => pages.contains(shown),
            false => everything.iter().any(|source| source.text.contains(&format!("\"{name}\""))),
        };
        if !is_named {
            fault!(faults, "{shown}:1: no test names it; delete it");
        }
    }
    faults.assert_none();
}
