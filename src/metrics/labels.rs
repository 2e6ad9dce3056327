//! The words that labels have for values. All are known here, so a series is found by its number and not by its name.

use crate::domain::{Channel, GatewayKind};

/// What a label, or several together, may be.
pub trait LabelValues: Copy + Send + Sync + 'static {
    /// How many there are.
    const COUNT: usize;

    /// Its number, below [`COUNT`](Words::COUNT).
    fn index(self) -> usize;

    /// What stands for the number, one word for each label.
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
        match self {
            Channel::SyncStatus => 0,
            Channel::RegisterStatus => 1,
        }
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

macro_rules! words {
    ($(#[doc = $about:literal] $name:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        #[doc = $about]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $(#[doc = concat!("`", $word, "`.")] $variant),* }

        impl $name {
            /// All of them.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// Its word.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }
        }

        impl LabelValues for $name {
            const COUNT: usize = $name::ALL.len();

            fn index(self) -> usize {
                self as usize
            }

            fn label_values(index: usize) -> Vec<&'static str> {
                vec![$name::ALL[index].word()]
            }
        }
    )*};
}

words! {
    /// Where a request goes: the path, of `/api/v1` no more than its area, so that no path makes a series of its own.
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

    /// Why a caller is not known.
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
    }

    /// What is asked of an account.
    CommandKind {
        Import = "import",
        BringOnline = "bring_online",
        Recycle = "recycle",
        Register = "register",
        SubmitCode = "submit_code",
        EraseSecrets = "erase_secrets",
        Report = "report",
        Reconcile = "reconcile",
        KeepPin = "keep_pin",
        CallProvider = "call_provider",
        GiveUpComing = "give_up_coming",
        Reconnect = "reconnect",
        GiveUpRegistration = "give_up_registration",
    }

    /// What came of it.
    CommandOutcome {
        Accepted = "accepted",
        Refused = "refused",
        Conflict = "conflict",
        Overloaded = "overloaded",
        Failed = "failed",
    }

    /// What happened, as the history names it.
    EventType {
        AccountImported = "account_imported",
        ContentReplaced = "content_replaced",
        OnlineRequested = "online_requested",
        CameOnline = "came_online",
        RecycleRequested = "recycle_requested",
        WentOffline = "went_offline",
        Banned = "banned",
        BanLifted = "ban_lifted",
        RegistrationRequested = "registration_requested",
        CodeSent = "code_sent",
        CodeSubmitted = "code_submitted",
        Registered = "registered",
        RegistrationFailed = "registration_failed",
        SecretsErased = "secrets_erased",
        GatewayAssigned = "gateway_assigned",
        PinKept = "pin_kept",
        ProviderCalled = "provider_called",
        ProjectionRebuilt = "projection_rebuilt",
        BackupTaken = "backup_taken",
        Restored = "restored",
        WebhookUrlSet = "webhook_url_set",
        WebhookSecretSet = "webhook_secret_set",
        WebhookPaused = "webhook_paused",
        WebhookResumed = "webhook_resumed",
        WebhookRedelivered = "webhook_redelivered",
        WebhookLettersDropped = "webhook_letters_dropped",
        TenantKeyCreated = "tenant_key_created",
        ApiKeyCreated = "api_key_created",
        ApiKeyRevoked = "api_key_revoked",
        MasterKeyRotated = "master_key_rotated",
        AccountsOrdered = "accounts_ordered",
        ReconciliationOrdered = "reconciliation_ordered",
        WebhookClosed = "webhook_closed",
        MasterKeyRotationAborted = "master_key_rotation_aborted",
        MasterKeyRotationFinished = "master_key_rotation_finished",
    }

    /// How an account stands.
    AccountState {
        OnlineComing = "online_coming",
        Online = "online",
        OfflineComing = "offline_coming",
        Offline = "offline",
        Banned = "banned",
    }

    /// What follows the journal.
    Projection { Roster = "roster" }

    /// How a lane of webhooks is that does not flow.
    LaneState { Waiting = "waiting", Blocked = "blocked", Again = "again" }

    /// What came of an attempt to tell a receiver.
    AttemptOutcome {
        Taken = "taken",
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

    /// What a breaker lets through.
    BreakerState { Closed = "closed", Open = "open", Probing = "probing" }

    /// What is asked of a gateway.
    GatewayCall {
        Connect = "connect",
        Disconnect = "disconnect",
        RequestCode = "request_code",
        SubmitCode = "submit_code",
    }

    /// What becomes of an update that Meta sends.
    MetaUpdate {
        Taken = "taken",
        Duplicate = "duplicate",
        Unknown = "unknown",
        Foreign = "foreign",
        Refused = "refused",
    }

    /// What became of a report over the bridge.
    BridgeReport {
        Recorded = "recorded",
        UnknownAccount = "unknown_account",
        OtherGateway = "other_gateway",
        DoesNotFit = "does_not_fit",
        UnknownType = "unknown_type",
        Duplicate = "duplicate",
    }

    /// Why a request over the bridge was refused.
    BridgeRefusal {
        Unsigned = "unsigned",
        Forged = "forged",
        Stale = "stale",
        Replayed = "replayed",
        Oversized = "oversized",
        Malformed = "malformed",
        Gap = "gap",
        Readable = "readable",
    }

    /// What became of a command over the bridge.
    BridgeCommand {
        Queued = "queued",
        Superseded = "superseded",
        Full = "full",
        Given = "given",
        GivenAgain = "given_again",
        Acknowledged = "acknowledged",
        Refused = "refused",
        Expired = "expired",
        Late = "late",
    }

    /// How it stands with a command over the bridge.
    CommandState { Waiting = "waiting", Leased = "leased" }

    /// What a gateway says.
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

    /// What came of comparing a gateway's sessions with what is shown.
    ReconcileOutcome { Done = "done", Failed = "failed" }

    /// How a gateway sees an account otherwise than it is shown.
    Difference {
        Connected = "connected",
        Disconnected = "disconnected",
        NotBegun = "not_begun",
        Unwanted = "unwanted",
        Banned = "banned",
        BanLifted = "ban_lifted",
    }
}
