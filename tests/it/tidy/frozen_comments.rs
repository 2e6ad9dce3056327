//! What may never change has a comment `Frozen:`, and a row in the list of the manual.

use std::collections::BTreeSet;
use std::path::Path;

use super::source::{SourceFile, file, sources};
use super::{TidyFaults, fault};

const LIST: &str = "src/manual/frozen_formats.md";

/// The paths in a cell of the list.
fn paths(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether a comment of the file says what is frozen, and why.
fn has_comment(source: &SourceFile) -> bool {
    source.text.lines().any(|line| line.trim_start().starts_with("//") && line.contains("Frozen: "))
}

#[test]
fn frozen_things_are_listed() {
    let (mut faults, list) = (TidyFaults::default(), file(LIST).unwrap());
    let mut listed = BTreeSet::new();
    for (line, row) in (1..).zip(list.lines()).filter(|(_, row)| row.starts_with("| ") && row.contains('`')) {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let &[_, files, holders] = &cells[..] else { panic!("{LIST}:{line}: a row has three cells") };
        listed.extend(paths(files).map(str::to_owned));
        if paths(holders).next().is_none() {
            fault!(faults, "{LIST}:{line}: no test or golden file holds it; write one, and name it");
        }
        for gone in paths(holders).filter(|path| !Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()) {
            fault!(faults, "{LIST}:{line}: there is no {gone}; name the test or the golden file that holds it now");
        }
    }
    let sources = sources(&["src"]);
    let commented: BTreeSet<_> = sources.iter().filter(|it| has_comment(it)).map(|it| it.path.clone()).collect();
    for path in commented.difference(&listed) {
        fault!(faults, "{path}:1: a comment says `Frozen:`, but {LIST} does not list the file; add it to a row");
    }
    for path in listed.difference(&commented) {
        fault!(faults, "{path}:1: {LIST} lists the file, but no comment in it says `Frozen:`; say what, and why");
    }
    faults.assert_none();
}
