//! Prints events and values on standard output, in the requested format.

use std::io::Write as _;

use serde_json::Value;

use super::{Error, output};
use crate::audit::{ACCOUNT_COLUMNS, EVENT_COLUMNS, format_csv_row, label_origin};
use crate::domain::{OnlineStatus, Status, escape_controls};

/// The format in which a verb prints its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ListingFormat {
    /// For people
    Text,
    /// One JSON value
    Json,
    /// One JSON value per line
    Jsonl,
    /// Comma-separated values (RFC 4180) with a header; formulas get an apostrophe in front
    Csv,
}

/// Prints records as they arrive.
pub(super) struct RecordPrinter {
    format: ListingFormat,
    layout: RecordLayout,
    printed: u64,
    /// The start of a line whose end has not arrived yet.
    incomplete_line: Vec<u8>,
}

/// How records of one kind are printed.
struct RecordLayout {
    /// The columns of CSV.
    columns: &'static [&'static str],
    /// A record for people, with its line end.
    to_text: fn(&Value) -> String,
}

impl RecordPrinter {
    /// Prints events.
    pub(super) fn for_events(format: ListingFormat) -> RecordPrinter {
        RecordPrinter::new(format, RecordLayout { columns: &EVENT_COLUMNS, to_text: format_event })
    }

    /// Prints accounts.
    pub(super) fn for_accounts(format: ListingFormat) -> RecordPrinter {
        RecordPrinter::new(format, RecordLayout { columns: &ACCOUNT_COLUMNS, to_text: format_account })
    }

    fn new(format: ListingFormat, layout: RecordLayout) -> RecordPrinter {
        RecordPrinter { format, layout, printed: 0, incomplete_line: Vec::new() }
    }

    /// Prints the records in a piece of NDJSON. A piece may end within a line.
    pub(super) fn print_ndjson(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.incomplete_line.extend_from_slice(piece);
        let Some(end) = self.incomplete_line.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let mut printed = Vec::with_capacity(end);
        let lines: Vec<u8> = self.incomplete_line.drain(..=end).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.print_record(line, &mut printed);
        }
        output::print_bytes(&printed)
    }

    /// Prints the events in a piece of the live tail: server-sent events. A piece may end within a line.
    pub(super) fn print_sse(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.incomplete_line.extend_from_slice(piece);
        let Some(end) = self.incomplete_line.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        let mut printed = Vec::new();
        let lines: Vec<u8> = self.incomplete_line.drain(..=end).collect();
        for line in lines.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:")) {
            self.print_record(line.trim_ascii_start(), &mut printed);
        }
        output::print_bytes(&printed)
    }

    /// Prints the end of the output, after the last record.
    pub(super) fn finish(self) -> Result<(), Error> {
        match (self.format, self.printed) {
            (ListingFormat::Json, 0) => output::print("[]\n"),
            (ListingFormat::Json, _) => output::print("\n]\n"),
            (ListingFormat::Csv, 0) => output::print(&csv_line(self.layout.columns)),
            (ListingFormat::Text | ListingFormat::Jsonl | ListingFormat::Csv, _) => Ok(()),
        }
    }

    fn print_record(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let record = || serde_json::from_slice::<Value>(line).unwrap_or_default();
        let is_first = self.printed == 0;
        self.printed += 1;
        match self.format {
            ListingFormat::Jsonl => {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            ListingFormat::Json => {
                out.extend_from_slice(if is_first { b"[\n  " } else { b",\n  " });
                out.extend_from_slice(line);
            }
            ListingFormat::Csv => {
                if is_first {
                    out.extend_from_slice(csv_line(self.layout.columns).as_bytes());
                }
                out.extend_from_slice(format_csv_record(self.layout.columns, &record()).as_bytes());
            }
            ListingFormat::Text => out.extend_from_slice((self.layout.to_text)(&record()).as_bytes()),
        }
    }
}

/// Formats an event for people: time, position, account, version, type, requester, and data.
fn format_event(event: &Value) -> String {
    let field = |name: &str| event[name].as_str().unwrap_or_default();
    let kind = field("type");
    let name = kind.strip_prefix("muster.account.").or(kind.strip_prefix("muster.administration.")).unwrap_or(kind);
    let name = name.rsplit_once(".v").map_or(name, |(name, _)| name);
    let origin = label_origin(field("origin"), event["keyname"].as_str());
    let line = format!(
        "{}  #{:<8} {:15} v{:<5} {:22} {:10} {}",
        field("time"),
        field("id"),
        field("subject"),
        event["version"],
        name,
        origin,
        format_data(&event["data"])
    );
    format!("{}\n", escape_controls(line.trim_end()))
}

/// Formats an event's data as `name=value`, without empty values.
fn format_data(data: &Value) -> String {
    let is_set = |value: &&Value| !value.is_null() && value.as_str() != Some("");
    let fields = data.as_object().into_iter().flatten().filter(|(_, value)| is_set(value));
    fields.map(|(name, value)| format!("{name}={}", format_cell(value))).collect::<Vec<_>>().join(" ")
}

/// Formats an account for people: number, status, online status, version, and labels.
fn format_account(account: &Value) -> String {
    let code = |name: &str| account[name].as_u64().and_then(|code| u8::try_from(code).ok());
    let status = code("status").and_then(Status::from_code).map_or("", Status::name);
    let online_status = code("onlineStatus").and_then(OnlineStatus::from_code).map_or("", OnlineStatus::name);
    let number = account["whatsApp"].as_str().unwrap_or_default();
    let labels = account["labels"].as_object().into_iter().flatten();
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}:{}", format_cell(value))).collect();
    let (version, labels) = (account["version"].as_u64().unwrap_or_default(), labels.join(" "));
    let line = format!("{number:15} {status:7} {online_status:15} v{version:<5} {labels}");
    format!("{}\n", escape_controls(line.trim_end()))
}

/// Nested values are JSON.
fn format_csv_record(columns: &[&str], record: &Value) -> String {
    csv_line(columns.iter().map(|name| format_cell(&record[name])))
}

fn csv_line<Cell: AsRef<str>>(cells: impl IntoIterator<Item = Cell>) -> String {
    format_csv_row(cells) + "\n"
}

/// Prints a value.
pub(super) fn print_value(format: ListingFormat, value: &Value) -> Result<(), Error> {
    let mut rows = Vec::new();
    flatten("", value, &mut rows);
    output::print(&match format {
        ListingFormat::Json => serde_json::to_string_pretty(value).unwrap_or_default() + "\n",
        ListingFormat::Jsonl => format!("{value}\n"),
        ListingFormat::Csv => rows.iter().fold(csv_line(["field", "value"]), |csv, row| csv + &csv_line(row)),
        ListingFormat::Text => output::format_table(&rows),
    })
}

/// Prints rows of values with these column names.
pub(super) fn print_rows<const COLUMNS: usize>(
    format: ListingFormat,
    names: [&str; COLUMNS],
    rows: &[Value],
) -> Result<(), Error> {
    let cells = |row: &Value| names.map(|name| format_cell(&row[name]));
    let mut out = Vec::new();
    match format {
        ListingFormat::Json => {
            let rows = Value::Array(rows.to_vec());
            out = (serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n").into_bytes();
        }
        ListingFormat::Jsonl => rows.iter().try_for_each(|row| writeln!(out, "{row}")).map_err(Error::Output)?,
        ListingFormat::Csv => {
            out = csv_line(names).into_bytes();
            rows.iter().for_each(|row| out.extend_from_slice(csv_line(cells(row)).as_bytes()));
        }
        ListingFormat::Text => {
            let head = names.map(str::to_uppercase);
            let table: Vec<[String; COLUMNS]> = [head].into_iter().chain(rows.iter().map(cells)).collect();
            out = output::format_table(&table).into_bytes();
        }
    }
    output::print_bytes(&out)
}

/// Prints the list `name` of `response`, record by record.
///
/// CSV has a row for each record. Its head has the names of all fields of all records. JSON prints `response`.
pub(super) fn print_records(format: ListingFormat, response: &Value, name: &str) -> Result<(), Error> {
    let Some(entries) = response[name].as_array() else { return print_value(format, response) };
    let fields = |record| {
        let mut fields = Vec::new();
        flatten("", record, &mut fields);
        fields
    };
    let records: Vec<Vec<[String; 2]>> = entries.iter().map(fields).collect();
    output::print(&match format {
        ListingFormat::Json => return print_value(format, response),
        ListingFormat::Jsonl => entries.iter().map(|record| format!("{record}\n")).collect(),
        ListingFormat::Csv => {
            let mut names: Vec<&String> = Vec::new();
            for [name, _] in records.iter().flatten() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let cell = |record: &[[String; 2]], name: &String| {
                record.iter().find(|[known, _]| known == name).map(|[_, cell]| cell.clone()).unwrap_or_default()
            };
            let row = |record: &Vec<[String; 2]>| csv_line(names.iter().map(|name| cell(record, name)));
            csv_line(&names) + &records.iter().map(row).collect::<String>()
        }
        ListingFormat::Text => records.iter().map(|record| output::format_table(record)).collect::<Vec<_>>().join("\n"),
    })
}

/// Appends the fields of a value to `rows`, as name and text. Names of nested fields are joined with dots. An entry of a
/// list has its index, from 0, as its name. A list of simple values is one cell.
fn flatten(path: &str, value: &Value, rows: &mut Vec<[String; 2]>) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                flatten(&join(name), value, rows);
            }
        }
        Value::Array(values) if values.iter().any(|value| value.is_object() || value.is_array()) => {
            for (index, value) in values.iter().enumerate() {
                flatten(&join(&index.to_string()), value, rows);
            }
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            rows.push([path.to_owned(), format_cell(value)]);
        }
    }
}

fn format_cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(format_cell).collect::<Vec<_>>().join(" "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}
