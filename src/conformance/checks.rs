//! Which checks there are, and the sentence that each holds a gateway to.

/// One check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Check {
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

/// Each of them, in order: its name, the sentence, and whether it is for gateways that commands are pushed to, or for
/// those that fetch them.
pub(super) const CHECKS: [(Check, &str, &str, Whom); 23] = [
    (Check::Fetches, "fetches", "a gateway that fetches commands asks GET /gateway/v1/work", Whom::Pulls),
    (Check::Unsigned, "unsigned", "a command without a signature is refused with 401", Whom::Pushed),
    (Check::Forged, "forged", "a command signed with another secret is refused with 401", Whom::Pushed),
    (Check::Stale, "stale", "a command signed more than 5 minutes ago is refused with 401", Whom::Pushed),
    (Check::Malformed, "malformed", "a body that is no command is refused with 400 and a sentence", Whom::Pushed),
    (Check::UnknownType, "unknown-type", "a type that it does not know is refused with a sentence", Whom::Both),
    (Check::TooLate, "too-late", "a command is not begun after its deadline (410, or an error)", Whom::Both),
    (Check::Connect, "connect", "connect is taken over, and reported connected with its session", Whom::Both),
    (Check::Replayed, "replayed", "the very same request a second time is refused with 401", Whom::Pushed),
    (
        Check::Repeated,
        "repeated",
        "a command that comes again, signed anew or after a lease, is taken over",
        Whom::Both,
    ),
    (Check::Listed, "listed", "list_sessions has the session, with its number and state", Whom::Both),
    (Check::Paged, "paged", "sessions are listed by account, limit a page, next after each but the last", Whom::Both),
    (Check::NothingDone, "nothing-done", "what was refused had no effect", Whom::Both),
    (
        Check::SentAgain,
        "sent-again",
        "reports whose answer is a 503, or lost, come again: same id, signed anew",
        Whom::Both,
    ),
    (Check::Closed, "closed", "a session that was disconnected is listed no more", Whom::Both),
    (Check::Once, "once", "a command that came twice was carried out once", Whom::Both),
    (Check::Gap, "gap", "after 409 with expected the gateway sends from there", Whom::Both),
    (Check::CodeSent, "code-sent", "request_code is followed by code_sent with its task", Whom::Both),
    (Check::WrongCode, "wrong-code", "a wrong code is reported registration_failed with its attempt", Whom::Both),
    (Check::RightCode, "right-code", "the right code is reported registered with its task", Whom::Both),
    (Check::Sequences, "sequences", "sequences rise by one in one stream", Whom::Both),
    (Check::Signatures, "signatures", "everything that it asks is signed, each attempt anew", Whom::Both),
    (Check::Form, "form", "reports and acknowledgements have their form", Whom::Both),
];

/// Which gateways a check is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whom {
    Pushed,
    Pulls,
    Both,
}
