//! Bounds of what people are shown.

// --- Settings ---

/// Characters of a faulty value that are repeated to the operator.
pub const SHOWN_VALUE_CHARACTERS: usize = 100;

// --- URLs ---

/// Characters of a path segment of a URL, most, that are shown in full. Names of routes are shorter; tokens are longer.
pub const SHOWN_SEGMENT_CHARACTERS: usize = 24;
/// Characters that are shown of a longer segment: they tell two receivers apart, and they are no token.
pub const SHOWN_SEGMENT_START: usize = 4;
