//! The spans of commands, of their commits, and of gateway calls.

use tracing::Span;

use crate::domain::{AccountNumber, Command, PendingEffect};
use crate::journal::AppendRequest;
use crate::traces::{SPAN_TARGET, TraceOrigin, recall_once, remember, start_span};

/// The span of a command. The span of the first report after a gateway call is a child of that call's span. The span of
/// every later report is a root.
pub(super) fn command_span(account: AccountNumber, command: &Command) -> Span {
    let name = command_name(command);
    let span = tracing::info_span!(target: SPAN_TARGET, "command", otel.name = name, muster.account = %account);
    if !span.is_disabled() && matches!(command, Command::Report(_)) {
        start_span(&span, recall_once(TraceOrigin::GatewayCall(account)).as_ref(), None);
    }
    span
}

/// The span of a commit, a child of its command's span. When the events of the commit are delivered later, the spans of
/// these deliveries are its children.
pub(super) fn commit_span(command: &Span, append: &AppendRequest) -> Span {
    if command.is_disabled() {
        return Span::none();
    }
    let AppendRequest { account, expected_version, events, .. } = append;
    let span = tracing::info_span!(
        target: SPAN_TARGET,
        parent: command,
        "commit",
        muster.account = %account,
        muster.events = events.len()
    );
    if let Some(context) = start_span(&span, None, None) {
        for version in (expected_version + 1..).take(events.len()) {
            remember(TraceOrigin::Event(*account, version), context.clone());
        }
    }
    span
}

/// The span of a gateway call, a child of the commit that caused it. A dispatch without a commit has no span.
pub(super) fn gateway_span(account: AccountNumber, effect: &PendingEffect) -> Span {
    if Span::current().is_none() {
        return Span::none();
    }
    let effect_name = match effect {
        PendingEffect::Connect { .. } => "connect",
        PendingEffect::Disconnect { .. } => "disconnect",
        PendingEffect::RequestCode { .. } => "request_code",
        PendingEffect::SubmitCode { .. } => "submit_code",
    };
    let span = tracing::info_span!(
        target: SPAN_TARGET,
        "gateway",
        otel.kind = "producer",
        muster.account = %account,
        muster.asked = effect_name
    );
    if let Some(context) = start_span(&span, None, None) {
        remember(TraceOrigin::GatewayCall(account), context);
    }
    span
}

fn command_name(command: &Command) -> &'static str {
    match command {
        Command::Import { .. } => "import",
        Command::BringOnline { .. } => "bring_online",
        Command::ChangeLabels { .. } => "change_labels",
        Command::Recycle { .. } => "recycle",
        Command::Register { .. } => "register",
        Command::SubmitCode { .. } => "submit_code",
        Command::EraseSecrets { .. } => "erase_secrets",
        Command::Resync { .. } => "resync",
        Command::Report(_) => "report",
        Command::Reconcile { .. } => "reconcile",
        Command::KeepPin { .. } => "keep_pin",
        Command::CallProvider { .. } => "call_provider",
        Command::GiveUpComing { .. } => "give_up_coming",
        Command::Reconnect { .. } => "reconnect",
        Command::GiveUpRegistration { .. } => "give_up_registration",
    }
}
