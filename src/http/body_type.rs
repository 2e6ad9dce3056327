//! The media types of request bodies.

/// The media type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    /// JSON.
    Json,
    /// Plain text.
    Text,
}

impl BodyType {
    /// What it is called in a sentence.
    pub(super) fn label(self) -> &'static str {
        match self {
            BodyType::Json => "JSON",
            BodyType::Text => "text",
        }
    }

    /// The media type without parameters.
    pub(super) fn essence(self) -> &'static str {
        match self {
            BodyType::Json => "application/json",
            BodyType::Text => "text/plain",
        }
    }
}
