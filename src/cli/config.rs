//! `muster config`.

use std::io::{self, Write};

use serde_json::Value;

use super::Error;
use super::output::{self, OutputFormat};
use super::setting_flags::SettingFlags;
use crate::config::SettingRow;

/// List every setting with its value and source
///
/// Shows what `muster serve` would use with the same flags, file and environment.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, next_line_help = true)]
pub(super) struct ConfigArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Text)]
    output: OutputFormat,
    #[command(flatten)]
    settings: SettingFlags,
}

const EXAMPLES: &str = "\
Examples:
  muster config
  muster config --config /etc/muster.toml
  muster config -o json | jq '.[] | select(.source != \"default\")'

Environment: MUSTER_ and the setting's name in capitals, with __ for each dot: MUSTER_WEBHOOKS__RETRY_WAITS=10s,30s.

URLs are shown by scheme, host, port and path. Other secrets are shown as ***.

Exit codes: 0 done, 1 failed, 2 wrong usage or faulty settings.";

impl ConfigArgs {
    pub(super) fn run(&self) -> Result<(), Error> {
        let effective = self.settings.load()?;
        if let Some(variables) = effective.ignored_variable_list() {
            let _unread = writeln!(io::stderr().lock(), "muster: ignored, because they are not settings: {variables}");
        }
        let rows = effective.rows;
        output::print(&match self.output {
            OutputFormat::Text => format_table(&rows),
            OutputFormat::Json => format_json(&rows).map_err(|error| Error::Output(error.into()))?,
        })
    }
}

fn format_table(rows: &[SettingRow]) -> String {
    let head = ["SETTING", "VALUE", "SOURCE"].map(str::to_owned);
    let rows = rows.iter().map(|row| [row.name.to_owned(), format_value(&row.value), row.source.clone()]);
    output::format_table(&[head].into_iter().chain(rows).collect::<Vec<_>>())
}

/// Formats a value as an environment variable would have it.
fn format_value(value: &Value) -> String {
    match value {
        Value::Null => "(not set)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "(none)".to_owned(),
        Value::Array(values) => values.iter().map(format_value).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Formats one row per line, so that two outputs can be compared line by line.
fn format_json(rows: &[SettingRow]) -> Result<String, serde_json::Error> {
    let rows = rows.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("[\n  {}\n]\n", rows.join(",\n  ")))
}
