//! The spans of commands, of their commits, and of what a gateway is asked.

use tracing::Span;

use crate::domain::{AccountNumber, Command, Outstanding};
use crate::journal::Append;
use crate::traces::{Cause, TARGET, begin, remember, take};

/// The span of a command. That of a report is below what the gateway was asked, if it was; the next one stands alone.
pub(super) fn command(account: AccountNumber, command: &Command) -> Span {
    let name = name(command);
    let span = tracing::info_span!(target: TARGET, "command", otel.name = name, muster.account = %account);
    if !span.is_disabled() && matches!(command, Command::Report(_)) {
        begin(&span, take(Cause::Asked(account)).as_ref(), None);
    }
    span
}

/// The span of a commit, below its command. Whoever tells of its events later is below it.
pub(super) fn commit(command: &Span, append: &Append) -> Span {
    if command.is_disabled() {
        return Span::none();
    }
    let Append { account, expected_version, events, .. } = append;
    let span = tracing::info_span!(
        target: TARGET,
        parent: command,
        "commit",
        muster.account = %account,
        muster.events = events.len()
    );
    if let Some(context) = begin(&span, None, None) {
        for version in (expected_version + 1..).take(events.len()) {
            remember(Cause::Event(*account, version), context.clone());
        }
    }
    span
}

/// The span of what a gateway is asked, below the commit that it follows from. What is taken up without one has none.
pub(super) fn gateway(account: AccountNumber, outstanding: &Outstanding) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    let asked = match outstanding {
        Outstanding::Connect { .. } => "connect",
        Outstanding::Disconnect { .. } => "disconnect",
        Outstanding::RequestCode { .. } => "request_code",
        Outstanding::SubmitCode { .. } => "submit_code",
    };
    let span = tracing::info_span!(
        target: TARGET,
        "gateway",
        otel.kind = "producer",
        muster.account = %account,
        muster.asked = asked
    );
    if let Some(context) = begin(&span, None, None) {
        remember(Cause::Asked(account), context);
    }
    span
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::Import { .. } => "import",
        Command::BringOnline { .. } => "bring_online",
        Command::Recycle { .. } => "recycle",
        Command::Register { .. } => "register",
        Command::SubmitCode { .. } => "submit_code",
        Command::EraseSecrets { .. } => "erase_secrets",
        Command::Report(_) => "report",
        Command::Reconcile { .. } => "reconcile",
        Command::KeepPin { .. } => "keep_pin",
        Command::CallProvider { .. } => "call_provider",
        Command::GiveUpComing { .. } => "give_up_coming",
        Command::Reconnect { .. } => "reconnect",
        Command::GiveUpRegistration { .. } => "give_up_registration",
    }
}
