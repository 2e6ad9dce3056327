//! Bounds of what people are shown, and of the files that they name.

// --- Files ---

/// Bytes of a file that is read whole and has no other bound: settings, secrets, keys, certificates. The longest are
/// bundles of all public CAs, with up to 600 KB.
pub const NAMED_FILE_BYTES: usize = 1024 * 1024;
/// Bytes of a bundle that is verified: about two million events of one account. It is read whole, because it is one
/// JSON value. Exports and backups are read in pieces and have no bound.
pub const BUNDLE_FILE_BYTES: usize = 1024 * 1024 * 1024;

/// Bytes of a kept checkpoint. It has about 300, and 150 more for each further signature, such as those of witnesses.
pub const CHECKPOINT_BYTES: usize = 16 * 1024;

/// Bytes of a service's response with a public key or proofs: the generations of a log after ten thousand restores.
pub const PROOF_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that the command line reads of a response that is not a success: a problem of the service has a few hundred.
pub const PROBLEM_BYTES: usize = 64 * 1024;

// --- Settings ---

/// Characters of an invalid value that are shown to the operator.
pub const SHOWN_VALUE_CHARACTERS: usize = 100;

// --- URLs ---

/// Most characters of a URL path segment that are shown in full. Route names are shorter; tokens are longer.
pub const SHOWN_SEGMENT_CHARACTERS: usize = 24;
/// Characters that are shown of a longer segment: enough to tell two receivers apart, and not a token.
pub const SHOWN_SEGMENT_PREFIX: usize = 4;
