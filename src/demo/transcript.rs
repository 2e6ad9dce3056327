//! The printed lines for requests and webhooks, and the summary. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::Error;
use super::caller::DemoResponse;
use super::scenario::{DEMO_ACCOUNTS, DemoRequest};
use crate::clock;
use crate::domain::Timestamp;
use crate::journal::JournalVerification;
use crate::receiver::{ReceivedWebhook, WebhookSummary};

/// What happened in the demonstration so far.
pub(super) struct Transcript {
    started_at: Timestamp,
    is_colourful: bool,
    /// The labels of the webhooks of each account, in order.
    webhooks: BTreeMap<String, Vec<String>>,
}

/// Terminal colours by number (ECMA-48).
#[derive(Clone, Copy)]
enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Grey = 90,
}

/// The text that is printed first.
pub(super) const OPENING: &str = "\
muster demo: the service, a caller and a webhook receiver, in one process and a temporary directory.
The built-in simulator stands for WhatsApp: the last four digits of a number choose its outcome.
  → HTTP request     ← webhook
";

/// The column of a webhook's detail, counted from the start of its label.
const DETAIL_COLUMN: usize = 23;

impl Transcript {
    pub(super) fn new(started_at: Timestamp, is_colourful: bool) -> Transcript {
        Transcript { started_at, is_colourful, webhooks: BTreeMap::new() }
    }

    /// The number of webhooks so far.
    pub(super) fn webhook_count(&self) -> usize {
        self.webhooks.values().map(Vec::len).sum()
    }

    /// The heading of a step.
    pub(super) fn title(&self, title: &str) -> String {
        format!("\n{title}\n")
    }

    /// The line for a request and its response.
    pub(super) fn request_line(&self, request: &DemoRequest, response: &DemoResponse) -> String {
        let DemoResponse { data, code, message } = response;
        let mut line = format!("{} → {:20} {:22}", self.time(clock::now()), request.endpoint, request.summary);
        let _ = match data {
            Value::Number(task) => write!(line, " {code} {message}, task {task}"),
            Value::Array(rows) => write!(line, " {code} {message}, {}", count_statuses(rows)),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Object(_) => write!(line, " {code} {message}"),
        };
        line + "\n"
    }

    /// Records a webhook and returns its line.
    pub(super) fn record_webhook(&mut self, webhook: &ReceivedWebhook) -> String {
        let WebhookSummary { account, label, reason, instance_code, .. } = webhook.summary();
        let label = match label {
            Some("offline") if !reason.is_empty() => format!("offline {reason}"),
            Some(label) => label.to_owned(),
            None => webhook.body.to_string(),
        };
        let detail = match reason {
            "1001" => "pairing failed, scan again",
            "1002" => "network exception, change IP",
            "" => instance_code,
            reason => reason,
        };
        let mut line = format!("{} ← {account:20} ", self.time(webhook.received_at));
        line += &self.colourize(&label, colour_of(&label));
        if !detail.is_empty() {
            let gap = " ".repeat(DETAIL_COLUMN.saturating_sub(label.len()));
            line += &self.colourize(&format!("{gap}{detail}"), Colour::Grey);
        }
        line.push('\n');
        self.webhooks.entry(account.to_owned()).or_default().push(label);
        line
    }

    /// The summary: the webhooks of each account, and the verified contents of the journal.
    pub(super) fn summary(&self, report: &JournalVerification) -> String {
        let mut summary = format!("\n{:16} {:22} {}\n", "account", "outcome", "webhooks, in order");
        for account in &DEMO_ACCOUNTS {
            let webhooks = self.webhooks_of(account.number).join(" → ");
            let _ = writeln!(summary, "{:16} {:22} {webhooks}", account.number, account.simulated_outcome);
        }
        let JournalVerification { events, blocks, accounts, root } = report;
        let _ = write!(
            summary,
            "\n{} webhooks arrived, each account's in order.\n\
             The journal has {events} events of {accounts} accounts in {blocks} blocks. Every record, chain and root was \
             checked.\nIts root is {root}.\n",
            self.webhook_count()
        );
        summary
    }

    /// Checks that exactly the expected webhooks arrived, in order.
    pub(super) fn check(&self) -> Result<(), Error> {
        for account in &DEMO_ACCOUNTS {
            let (arrived, expected) = (
                self.webhooks_of(account.number),
                account.expected_webhooks.iter().map(|it| (*it).to_owned()).collect(),
            );
            if arrived != expected {
                return Err(Error::WebhooksDiffer { account: account.number.to_owned(), arrived, expected });
            }
        }
        Ok(())
    }

    fn webhooks_of(&self, account: &str) -> Vec<String> {
        self.webhooks.get(account).cloned().unwrap_or_default()
    }

    /// The seconds since the start, as printed text.
    fn time(&self, at: Timestamp) -> String {
        let seconds = (at.0 - self.started_at.0) as f64 / 1e6;
        self.colourize(&format!("{seconds:8.3} s"), Colour::Grey)
    }

    fn colourize(&self, text: &str, colour: Colour) -> String {
        if self.is_colourful { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }
}

fn colour_of(label: &str) -> Colour {
    match label {
        "online" | "registered" => Colour::Green,
        "online-coming" | "offline-coming" => Colour::Yellow,
        "offline" => Colour::Grey,
        _ => Colour::Red,
    }
}

/// Describes how many accounts are online, and how many are banned.
fn count_statuses(rows: &[Value]) -> String {
    let banned = rows.iter().filter(|row| row["status"] == 2).count();
    let online = rows.iter().filter(|row| row["onlineStatus"] == 2).count();
    format!("{} accounts: {online} online, {banned} banned", rows.len())
}
