//! Prints data, even to a pipe that is closed early.

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

use super::Error;
use crate::domain::escape_controls;

/// The form in which a verb prints its data.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum OutputFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Prints `text`, without buffering it. Returns [`Error::OutputClosed`] if the reader, such as `head`, has closed the
/// pipe: then there is nothing left to do.
pub(super) fn print(text: &str) -> Result<(), Error> {
    print_bytes(text.as_bytes())
}

/// Like [`print`], for data that may not be text.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Error::OutputClosed),
        written => written.map_err(Error::Output),
    }
}

/// Whether to print colours: only on a terminal, unless the user disabled them (no-color.org).
pub(super) fn uses_color(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}

/// Formats `rows` in aligned columns. Cells may have text from other systems, so control characters are escaped.
pub(super) fn format_table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let rows: Vec<[String; COLUMNS]> =
        rows.iter().map(|row| row.each_ref().map(|cell| escape_controls(cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let line = |row: &[String; COLUMNS]| {
        // `format!` supports widths up to 65,535 only, so the padding is added here.
        let padded = |cell: &String, width: usize| cell.clone() + &" ".repeat(width - cell.chars().count());
        let cells = row.iter().zip(widths).map(|(cell, width)| padded(cell, width));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_in_a_table_are_shown() {
        let rows = [["NAME", "ROLE"], ["a\u{1b}[2J\n", "admin"]].map(|row| row.map(str::to_owned));
        assert_eq!(format_table(&rows), "NAME              ROLE\na\\u001b[2J\\u000a  admin\n");
    }
}
