//! Events and values on standard output, in the form that was asked for.

use std::io::Write as _;

use serde_json::Value;

use super::{Error, output};
use crate::audit::{EVENT_COLUMNS, csv_row};
use crate::domain::printable;

/// The form in which a verb prints what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// For people
    Text,
    /// One JSON value
    Json,
    /// One JSON value a line
    Jsonl,
    /// Comma-separated values (RFC 4180) with a header; formulas get an apostrophe in front
    Csv,
}

/// Prints events as they come.
pub(super) struct Events {
    form: Form,
    printed: u64,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
}

impl Events {
    pub(super) fn new(form: Form) -> Events {
        Events { form, printed: 0, rest: Vec::new() }
    }

    /// Takes a piece of lines.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.rest.extend_from_slice(piece);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let mut printed = Vec::with_capacity(end);
        let lines: Vec<u8> = self.rest.drain(..=end).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.print(line, &mut printed);
        }
        output::print_bytes(&printed)
    }

    /// Takes a piece of the live tail: server-sent events.
    pub(super) fn take_live(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.rest.extend_from_slice(piece);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let mut printed = Vec::new();
        let lines: Vec<u8> = self.rest.drain(..=end).collect();
        for line in lines.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:")) {
            self.print(line.trim_ascii_start(), &mut printed);
        }
        output::print_bytes(&printed)
    }

    /// What stands at the end.
    pub(super) fn finish(self) -> Result<(), Error> {
        match (self.form, self.printed) {
            (Form::Json, 0) => output::print("[]\n"),
            (Form::Json, _) => output::print("\n]\n"),
            (Form::Csv, 0) => output::print(&csv_line(EVENT_COLUMNS)),
            (Form::Text | Form::Jsonl | Form::Csv, _) => Ok(()),
        }
    }

    fn print(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let event = || serde_json::from_slice::<Value>(line).unwrap_or_default();
        let is_first = self.printed == 0;
        self.printed += 1;
        match self.form {
            Form::Jsonl => {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            Form::Json => {
                out.extend_from_slice(if is_first { b"[\n  " } else { b",\n  " });
                out.extend_from_slice(line);
            }
            Form::Csv => {
                if is_first {
                    out.extend_from_slice(csv_line(EVENT_COLUMNS).as_bytes());
                }
                out.extend_from_slice(event_row(&event()).as_bytes());
            }
            Form::Text => out.extend_from_slice(text(&event()).as_bytes()),
        }
    }
}

/// An event for people: when, where in the journal, of whom, which version, what, who asked, and what it says.
fn text(event: &Value) -> String {
    let field = |name: &str| event[name].as_str().unwrap_or_default();
    let kind = field("type");
    let name = kind.strip_prefix("muster.account.").or(kind.strip_prefix("muster.administration.")).unwrap_or(kind);
    let name = name.strip_suffix(".v1").unwrap_or(name);
    let line = format!(
        "{}  #{:<8} {:15} v{:<5} {:22} {:10} {}",
        field("time"),
        field("id"),
        field("subject"),
        event["version"],
        name,
        field("origin"),
        details(&event["data"])
    );
    format!("{}\n", printable(line.trim_end()))
}

/// What an event says, as `name=value`; nothing that is empty.
fn details(data: &Value) -> String {
    let told = |value: &&Value| !value.is_null() && value.as_str() != Some("");
    let fields = data.as_object().into_iter().flatten().filter(|(_, value)| told(value));
    fields.map(|(name, value)| format!("{name}={}", plain(value))).collect::<Vec<_>>().join(" ")
}

fn event_row(event: &Value) -> String {
    csv_line(EVENT_COLUMNS.map(|name| if name == "data" { event[name].to_string() } else { plain(&event[name]) }))
}

fn csv_line<Cell: AsRef<str>>(cells: impl IntoIterator<Item = Cell>) -> String {
    csv_row(cells) + "\n"
}

/// Prints a value.
pub(super) fn value(form: Form, value: &Value) -> Result<(), Error> {
    let mut rows = Vec::new();
    flatten("", value, &mut rows);
    output::print(&match form {
        Form::Json => serde_json::to_string_pretty(value).unwrap_or_default() + "\n",
        Form::Jsonl => format!("{value}\n"),
        Form::Csv => rows.iter().fold(csv_line(["field", "value"]), |csv, row| csv + &csv_line(row)),
        Form::Text => output::table(&rows),
    })
}

/// Prints rows of values under these names.
pub(super) fn rows<const COLUMNS: usize>(form: Form, names: [&str; COLUMNS], rows: &[Value]) -> Result<(), Error> {
    let cells = |row: &Value| names.map(|name| plain(&row[name]));
    let mut out = Vec::new();
    match form {
        Form::Json => {
            let rows = Value::Array(rows.to_vec());
            out = (serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n").into_bytes();
        }
        Form::Jsonl => rows.iter().try_for_each(|row| writeln!(out, "{row}")).map_err(Error::Output)?,
        Form::Csv => {
            out = csv_line(names).into_bytes();
            rows.iter().for_each(|row| out.extend_from_slice(csv_line(cells(row)).as_bytes()));
        }
        Form::Text => {
            let head = names.map(str::to_uppercase);
            let table: Vec<[String; COLUMNS]> = [head].into_iter().chain(rows.iter().map(cells)).collect();
            out = output::table(&table).into_bytes();
        }
    }
    output::print_bytes(&out)
}

/// The fields of a value, nested ones with dots, each with its value in words.
fn flatten(path: &str, value: &Value, rows: &mut Vec<[String; 2]>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&below, value, rows);
            }
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            rows.push([path.to_owned(), plain(value)]);
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}
