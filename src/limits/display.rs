//! Bounds of what people are shown, and of the files that they name.

// --- Files ---

/// Bytes of a file that is read whole and has no bound of its own: settings, secrets, keys, certificates. Bundles of all
/// public CAs, the longest of them, have up to 600 KB.
pub const NAMED_FILE_BYTES: usize = 1024 * 1024;
/// Bytes of a bundle that is verified: some two million events of one account. It is read whole, because it is one value of
/// JSON; exports and backups are read piece by piece and have no bound.
pub const BUNDLE_FILE_BYTES: usize = 1024 * 1024 * 1024;

// --- Settings ---

/// Characters of a faulty value that are repeated to the operator.
pub const SHOWN_VALUE_CHARACTERS: usize = 100;

// --- URLs ---

/// Characters of a path segment of a URL, most, that are shown in full. Names of routes are shorter; tokens are longer.
pub const SHOWN_SEGMENT_CHARACTERS: usize = 24;
/// Characters that are shown of a longer segment: they tell two receivers apart, and they are no token.
pub const SHOWN_SEGMENT_PREFIX: usize = 4;
