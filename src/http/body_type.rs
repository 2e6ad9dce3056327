//! The media types of request bodies.

pub(super) const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain";

/// The media type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    /// JSON.
    Json,
    /// JSON or plain text.
    JsonOrText,
}

impl BodyType {
    /// What it is called in a sentence.
    pub(super) fn label(self) -> &'static str {
        match self {
            BodyType::Json => "JSON",
            BodyType::JsonOrText => "JSON or text",
        }
    }

    /// The media types without parameters.
    pub(super) fn essences(self) -> &'static [&'static str] {
        match self {
            BodyType::Json => &[JSON],
            BodyType::JsonOrText => &[JSON, TEXT],
        }
    }
}
