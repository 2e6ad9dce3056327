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
        "a gateway that fetches commands asks GET /gateway/v1/work",
        CheckScope::PullOnly,
    ),
    (ConformanceCheck::Unsigned, "unsigned", "a command without a signature is refused with 401", CheckScope::PushOnly),
    (
        ConformanceCheck::Forged,
        "forged",
        "a command signed with another secret is refused with 401",
        CheckScope::PushOnly,
    ),
    (
        ConformanceCheck::Stale,
        "stale",
        "a command signed more than 5 minutes ago is refused with 401",
        CheckScope::PushOnly,
    ),
    (
        ConformanceCheck::Malformed,
        "malformed",
        "a body that is no command is refused with 400 and a sentence",
        CheckScope::PushOnly,
    ),
    (
        ConformanceCheck::UnknownType,
        "unknown-type",
        "a type that it does not know is refused with a sentence",
        CheckScope::Both,
    ),
    (
        ConformanceCheck::TooLate,
        "too-late",
        "a command is not begun after its deadline (410, or an error)",
        CheckScope::Both,
    ),
    (
        ConformanceCheck::Connect,
        "connect",
        "connect is taken over, and reported connected with its session",
        CheckScope::Both,
    ),
    (
        ConformanceCheck::Replayed,
        "replayed",
        "the very same request a second time is refused with 401",
        CheckScope::PushOnly,
    ),
    (
        ConformanceCheck::Repeated,
        "repeated",
        "a command that comes again, signed anew or after a lease, is taken over",
        CheckScope::Both,
    ),
    (ConformanceCheck::Listed, "listed", "list_sessions has the session, with its number and state", CheckScope::Both),
    (
        ConformanceCheck::Paged,
        "paged",
        "sessions are listed by account, limit a page, next after each but the last",
        CheckScope::Both,
    ),
    (ConformanceCheck::NothingDone, "nothing-done", "what was refused had no effect", CheckScope::Both),
    (
        ConformanceCheck::SentAgain,
        "sent-again",
        "reports whose answer is a 503, or lost, come again: same id, signed anew",
        CheckScope::Both,
    ),
    (ConformanceCheck::Closed, "closed", "a session that was disconnected is listed no more", CheckScope::Both),
    (ConformanceCheck::Once, "once", "a command that came twice was carried out once", CheckScope::Both),
    (ConformanceCheck::Gap, "gap", "after 409 with expected the gateway sends from there", CheckScope::Both),
    (ConformanceCheck::CodeSent, "code-sent", "request_code is followed by code_sent with its task", CheckScope::Both),
    (
        ConformanceCheck::WrongCode,
        "wrong-code",
        "a wrong code is reported registration_failed with its attempt",
        CheckScope::Both,
    ),
    (
        ConformanceCheck::RightCode,
        "right-code",
        "the right code is reported registered with its task",
        CheckScope::Both,
    ),
    (ConformanceCheck::Sequences, "sequences", "sequences rise by one in one stream", CheckScope::Both),
    (
        ConformanceCheck::Signatures,
        "signatures",
        "everything that it asks is signed, each attempt anew",
        CheckScope::Both,
    ),
    (ConformanceCheck::Form, "form", "reports and acknowledgements have their form", CheckScope::Both),
];

/// The gateways that a check applies to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CheckScope {
    PushOnly,
    PullOnly,
    Both,
}
