//! The list of checks, each with its requirement.

/// A check of the suite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ConformanceCheck {
    Fetches,
    Unsigned,
    Forged,
    Stale,
    Malformed,
    UnknownType,
    TooLate,
    Connect,
    Replayed,
    Repeated,
    Listed,
    Paged,
    NothingDone,
    SentAgain,
    Closed,
    Once,
    Gap,
    CodeSent,
    WrongCode,
    RightCode,
    Sequences,
    Signatures,
    Form,
}

/// All checks in order, each with its name, its requirement and its scope.
pub(super) const CHECKS: [(ConformanceCheck, &str, &str, CheckScope); 23] = [
    (
        ConformanceCheck::Fetches,
        "fetches",
        "a gateway that fetches commands calls GET /gateway/v1/work",
        CheckScope::PullOnly,
    ),
    (
        ConformanceCheck::Unsigned,
        "unsigned",
        "a command without a signature is rejected with 401",
        CheckScope::PushOnly,
    ),
    (
        ConformanceCheck::Forged,
        "forged",
        "a command signed with another secret is rejected with 401",
        CheckScope::PushOnly,
    ),
    (
        ConformanceCheck::Stale,
        "stale",
        "a command signed more than 5 minutes ago is rejected with 401",
        CheckScope::PushOnly,
    ),
    (
        ConformanceCheck::Malformed,
        "malformed",
        "a body that is not a command is rejected with 400 and a message",
        CheckScope::PushOnly,
    ),
    (
        ConformanceCheck::UnknownType,
        "unknown-type",
        "an unknown command type is rejected with a message",
        CheckScope::Both,
    ),
    (
        ConformanceCheck::TooLate,
        "too-late",
        "a command is not started after its deadline (410, or an error)",
        CheckScope::Both,
    ),
    (
        ConformanceCheck::Connect,
        "connect",
        "connect is accepted, and reported connected with its session",
        CheckScope::Both,
    ),
    (ConformanceCheck::Replayed, "replayed", "an exact copy of a request is rejected with 401", CheckScope::PushOnly),
    (
        ConformanceCheck::Repeated,
        "repeated",
        "a repeated command, with a new signature or after a lease, is accepted",
        CheckScope::Both,
    ),
    (ConformanceCheck::Listed, "listed", "list_sessions has the session, with its number and state", CheckScope::Both),
    (
        ConformanceCheck::Paged,
        "paged",
        "sessions are sorted by account; pages have limit sessions, and all but the last have next",
        CheckScope::Both,
    ),
    (ConformanceCheck::NothingDone, "nothing-done", "rejected commands had no effect", CheckScope::Both),
    (
        ConformanceCheck::SentAgain,
        "sent-again",
        "reports whose response is 503 or lost are sent again: same id, new signature",
        CheckScope::Both,
    ),
    (ConformanceCheck::Closed, "closed", "a disconnected session is no longer listed", CheckScope::Both),
    (ConformanceCheck::Once, "once", "a repeated command was carried out once", CheckScope::Both),
    (ConformanceCheck::Gap, "gap", "after 409 the gateway continues from expected", CheckScope::Both),
    (ConformanceCheck::CodeSent, "code-sent", "request_code is followed by code_sent with its task", CheckScope::Both),
    (
        ConformanceCheck::WrongCode,
        "wrong-code",
        "a wrong code is reported as registration_failed with its attempt",
        CheckScope::Both,
    ),
    (
        ConformanceCheck::RightCode,
        "right-code",
        "the correct code is reported as registered with its task",
        CheckScope::Both,
    ),
    (ConformanceCheck::Sequences, "sequences", "sequences rise by one in one stream", CheckScope::Both),
    (
        ConformanceCheck::Signatures,
        "signatures",
        "every request is signed, and each attempt has a new signature",
        CheckScope::Both,
    ),
    (ConformanceCheck::Form, "form", "reports and acknowledgements are well-formed", CheckScope::Both),
];

/// The gateways that a check applies to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CheckScope {
    /// Gateways that commands are sent to.
    PushOnly,
    /// Gateways that fetch their commands.
    PullOnly,
    Both,
}
