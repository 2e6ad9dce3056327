//! CSV rows: quoted (RFC 4180) and safe in a spreadsheet.

use crate::domain::escape_controls;

// Frozen: the columns and their order, because spreadsheets and scripts read them. New ones come last.
/// The columns of events as CSV.
pub const EVENT_COLUMNS: [&str; 10] =
    ["id", "time", "type", "subject", "version", "prev", "origin", "requestid", "data", "keyname"];

/// Characters that start a formula in a spreadsheet, in half and full width.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// A CSV row with these cells, without a line end. Some cells come from callers, receivers and gateways.
///
/// Control characters are written as JSON escapes. A cell that a spreadsheet would run as a formula gets an
/// apostrophe in front, so that spreadsheets treat it as text.
pub fn format_csv_row<Cell: AsRef<str>>(cells: impl IntoIterator<Item = Cell>) -> String {
    cells.into_iter().map(|cell| format_cell(cell.as_ref())).collect::<Vec<_>>().join(",")
}

fn format_cell(cell: &str) -> String {
    let is_formula = cell.trim_start().starts_with(FORMULA_STARTS);
    let text = format!("{}{}", if is_formula { "'" } else { "" }, escape_controls(cell));
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_are_text() {
        for (cell, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"a\"", "\"say \"\"a\"\"\""),
            ("=HYPERLINK(\"http://evil.example\",\"x\")", "\"'=HYPERLINK(\"\"http://evil.example\"\",\"\"x\"\")\""),
            ("+49", "'+49"),
            ("-1+1", "'-1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\\u0009=1"),
            ("\r=1", "'\\u000d=1"),
            ("\tplain", "\\u0009plain"),
            (" =1", "' =1"),
            ("＝1", "'＝1"),
            ("two\nlines", "two\\u000alines"),
            ("\u{1b}[2J", "\\u001b[2J"),
            ("{\"a\":\"=1\"}", "\"{\"\"a\"\":\"\"=1\"\"}\""),
            ("", ""),
        ] {
            assert_eq!(format_csv_row([cell]), expected, "{cell:?}");
        }
        assert_eq!(format_csv_row(["a", "=1", ""]), "a,'=1,");
    }

    proptest! {
        /// A CSV reader gets the same number of cells, and no cell that a spreadsheet would run.
        #[test]
        fn any_cells_make_a_safe_row(cells in proptest::collection::vec(r#"[=+@\t\r\n ,"'a\-\x1b]{0,6}"#, 1..4)) {
            let row = format_csv_row(&cells);
            prop_assert!(!row.contains(char::is_control), "{row:?}");
            let (mut read, mut is_quoted, mut letters) = (vec![String::new()], false, row.chars().peekable());
            while let Some(letter) = letters.next() {
                match letter {
                    '"' if is_quoted && letters.next_if_eq(&'"').is_some() => read.last_mut().unwrap().push('"'),
                    '"' => is_quoted = !is_quoted,
                    ',' if !is_quoted => read.push(String::new()),
                    _ => read.last_mut().unwrap().push(letter),
                }
            }
            prop_assert_eq!(read.len(), cells.len());
            prop_assert!(!read.iter().any(|cell| cell.trim_start().starts_with(['=', '+', '-', '@'])), "{row:?}");
        }
    }
}
