//! The values of labels. All of them are listed here, so a series is found by its index, not by its name.

use crate::domain::{Channel, EventType, GatewayKind};

/// The possible values of a label, or of several labels together.
pub trait LabelValues: Copy + Send + Sync + 'static {
    /// The number of values.
    const COUNT: usize;

    /// The index of this value, below [`COUNT`](LabelValues::COUNT).
    fn index(self) -> usize;

    /// The texts of the value with this index, one for each label.
    fn label_values(index: usize) -> Vec<&'static str>;
}

impl<A: LabelValues, B: LabelValues> LabelValues for (A, B) {
    const COUNT: usize = A::COUNT * B::COUNT;

    fn index(self) -> usize {
        self.0.index() * B::COUNT + self.1.index()
    }

    fn label_values(index: usize) -> Vec<&'static str> {
        [A::label_values(index / B::COUNT), B::label_values(index % B::COUNT)].concat()
    }
}

impl LabelValues for Channel {
    const COUNT: usize = Channel::ALL.len();

    fn index(self) -> usize {
        self as usize
    }

    fn label_values(index: usize) -> Vec<&'static str> {
        vec![Channel::ALL[index].short_name()]
    }
}

impl LabelValues for GatewayKind {
    const COUNT: usize = GatewayKind::ALL.len();

    fn index(self) -> usize {
        usize::from(self.code())
    }

    fn label_values(index: usize) -> Vec<&'static str> {
        vec![GatewayKind::ALL[index].name()]
    }
}

impl LabelValues for EventType {
    const COUNT: usize = EventType::COUNT;

    fn index(self) -> usize {
        EventType::index(self)
    }

    fn label_values(index: usize) -> Vec<&'static str> {
        EventType::all().nth(index).map(EventType::name).into_iter().collect()
    }
}

macro_rules! label_enums {
    ($(#[doc = $about:literal] $name:ident { $($variant:ident = $text:literal),* $(,)? })*) => {$(
        #[doc = $about]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $(#[doc = concat!("`", $text, "`.")] $variant),* }

        impl $name {
            /// All values.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// Its text in exported metrics.
            pub fn label(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }
        }

        impl LabelValues for $name {
            const COUNT: usize = $name::ALL.len();

            fn index(self) -> usize {
                self as usize
            }

            fn label_values(index: usize) -> Vec<&'static str> {
                vec![$name::ALL[index].label()]
            }
        }
    )*};
}

label_enums! {
    /// The route of a request: its path, or only the first segment below `/api/v1`, so that ids make no series of their own.
    Route {
        BatchOnline = "/group-dispatch-api/whatsapp/batchOnline",
        BatchInsert = "/group-dispatch-api/whatsapp/batchInsert",
        BatchRecycle = "/group-dispatch-api/whatsapp/batchRecycle",
        QueryWhatsAppStatus = "/group-dispatch-api/whatsapp/queryWhatsAppStatus",
        SubmitPhone = "/group-dispatch-api/register/submitPhone",
        SubmitVerifyCode = "/group-dispatch-api/register/submitVerifyCode",
        Healthz = "/healthz",
        Readyz = "/readyz",
        Metrics = "/metrics",
        Overview = "/api/v1/overview",
        Accounts = "/api/v1/accounts",
        Events = "/api/v1/events",
        Export = "/api/v1/export",
        Log = "/api/v1/log",
        Projections = "/api/v1/projections",
        Verify = "/api/v1/verify",
        Replay = "/api/v1/replay",
        Backup = "/api/v1/backup",
        Webhooks = "/api/v1/webhooks",
        Vault = "/api/v1/vault",
        Keys = "/api/v1/keys",
        Acts = "/api/v1/acts",
        Settings = "/api/v1/settings",
        BridgeReports = "/gateway/v1/reports",
        BridgeWork = "/gateway/v1/work",
        Gateways = "/api/v1/gateways",
        Console = "console",
        Other = "other",
    }

    /// The class of an HTTP status.
    StatusClass { Informational = "1xx", Success = "2xx", Redirection = "3xx", ClientError = "4xx", ServerError = "5xx" }

    /// Why authentication failed.
    AuthFailure {
        Foreign = "foreign",
        Missing = "missing",
        Unknown = "unknown",
        Revoked = "revoked",
        Expired = "expired",
        SignedOut = "signed_out",
        NoTenant = "no_tenant",
        NoTimestamp = "no_timestamp",
        NoToken = "no_token",
        MalformedTimestamp = "malformed_timestamp",
        OldTimestamp = "old_timestamp",
        WrongToken = "wrong_token",
        TenantExpired = "tenant_expired",
        Proxied = "proxied",
    }

    /// The kind of a command.
    CommandKind {
        Import = "import",
        BringOnline = "bring_online",
        ChangeLabels = "change_labels",
        Recycle = "recycle",
        Register = "register",
        SubmitCode = "submit_code",
        EraseSecrets = "erase_secrets",
        Resync = "resync",
        Report = "report",
        Reconcile = "reconcile",
        KeepPin = "keep_pin",
        CallProvider = "call_provider",
        GiveUpComing = "give_up_coming",
        Reconnect = "reconnect",
        GiveUpRegistration = "give_up_registration",
    }

    /// The outcome of a command.
    CommandOutcome {
        Accepted = "accepted",
        Refused = "refused",
        Conflict = "conflict",
        Overloaded = "overloaded",
        Failed = "failed",
    }

    /// The account status and the online status of an account, as one state.
    AccountState {
        OnlineComing = "online_coming",
        Online = "online",
        OfflineComing = "offline_coming",
        Offline = "offline",
        Banned = "banned",
    }

    /// A projection: a view that is built from the journal.
    Projection { Roster = "roster" }

    /// The state of a delivery lane: it waits for a retry, is blocked by a dead letter, or has redeliveries.
    LaneState { Waiting = "waiting", Blocked = "blocked", Redelivery = "again" }

    /// The outcome of a delivery attempt.
    AttemptOutcome {
        Accepted = "taken",
        Status = "status",
        Code = "code",
        NoCode = "no_code",
        TooLong = "too_long",
        Timeout = "timeout",
        Dns = "dns",
        Forbidden = "forbidden",
        Refused = "refused",
        Reset = "reset",
        Tls = "tls",
        Network = "network",
    }

    /// The state of a circuit breaker.
    BreakerState { Closed = "closed", Open = "open", Probing = "probing" }

    /// A call to a gateway.
    GatewayCall {
        Connect = "connect",
        Disconnect = "disconnect",
        RequestCode = "request_code",
        SubmitCode = "submit_code",
    }

    /// The outcome of an update from Meta.
    MetaUpdate {
        Processed = "taken",
        Duplicate = "duplicate",
        Unknown = "unknown",
        Foreign = "foreign",
        Refused = "refused",
    }

    /// The outcome of a report over the bridge.
    BridgeReport {
        Recorded = "recorded",
        UnknownAccount = "unknown_account",
        OtherGateway = "other_gateway",
        DoesNotFit = "does_not_fit",
        UnknownType = "unknown_type",
        Duplicate = "duplicate",
    }

    /// Why a request over the bridge was rejected.
    BridgeRefusal {
        Unsigned = "unsigned",
        Forged = "forged",
        Stale = "stale",
        Replayed = "replayed",
        Oversized = "oversized",
        Malformed = "malformed",
        Gap = "gap",
        Cleartext = "readable",
    }

    /// What happened to a command over the bridge.
    BridgeCommand {
        Queued = "queued",
        Superseded = "superseded",
        Full = "full",
        Leased = "given",
        LeasedAgain = "given_again",
        Acknowledged = "acknowledged",
        Refused = "refused",
        Expired = "expired",
        Late = "late",
    }

    /// The state of a command over the bridge.
    CommandState { Waiting = "waiting", Leased = "leased" }

    /// The kind of a gateway's report.
    GatewayReport {
        Connected = "connected",
        Disconnected = "disconnected",
        Banned = "banned",
        BanLifted = "ban_lifted",
        CodeSent = "code_sent",
        RegistrationFailed = "registration_failed",
        CodeAccepted = "code_accepted",
        CodeRefused = "code_refused",
    }

    /// The outcome of a reconciliation.
    ReconcileOutcome { Done = "done", Failed = "failed" }

    /// How a gateway's view of an account differs from the roster.
    Difference {
        Connected = "connected",
        Disconnected = "disconnected",
        NotBegun = "not_begun",
        Unwanted = "unwanted",
        Banned = "banned",
        BanLifted = "ban_lifted",
    }
}
