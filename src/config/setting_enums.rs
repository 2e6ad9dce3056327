//! The enumerations among the settings.

use crate::domain::GatewayKind;

/// An enumeration whose values have one-word names.
pub trait NamedEnum: Copy + 'static {
    /// All values.
    const ALL: &'static [Self];

    /// Its name, in the file and on display.
    fn name(self) -> &'static str;
}

/// Which events of an account are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeliveryMode {
    /// Every event.
    #[default]
    All,
    /// Only the last of the waiting events that had no attempt yet.
    Latest,
}

/// What happens to an account's later deliveries when all attempts of one have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterPolicy {
    /// They are sent.
    Continue,
    /// They wait until an operator replays or drops the dead letter.
    Block,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The encoding of Cloud API requests for a verification code. Meta's documentation shows both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CodeRequestEncoding {
    /// As JSON.
    #[default]
    Json,
    /// As a form.
    Form,
}

impl NamedEnum for LogFormat {
    const ALL: &'static [LogFormat] = &[LogFormat::Text, LogFormat::Json];

    fn name(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

impl NamedEnum for DeliveryMode {
    const ALL: &'static [DeliveryMode] = &[DeliveryMode::All, DeliveryMode::Latest];

    fn name(self) -> &'static str {
        match self {
            DeliveryMode::All => "all",
            DeliveryMode::Latest => "latest",
        }
    }
}

impl NamedEnum for DeadLetterPolicy {
    const ALL: &'static [DeadLetterPolicy] = &[DeadLetterPolicy::Continue, DeadLetterPolicy::Block];

    fn name(self) -> &'static str {
        match self {
            DeadLetterPolicy::Continue => "continue",
            DeadLetterPolicy::Block => "block",
        }
    }
}

impl NamedEnum for CodeRequestEncoding {
    const ALL: &'static [CodeRequestEncoding] = &[CodeRequestEncoding::Json, CodeRequestEncoding::Form];

    fn name(self) -> &'static str {
        match self {
            CodeRequestEncoding::Json => "json",
            CodeRequestEncoding::Form => "form",
        }
    }
}

impl NamedEnum for GatewayKind {
    const ALL: &'static [GatewayKind] = &GatewayKind::ALL;

    fn name(self) -> &'static str {
        self.name()
    }
}
