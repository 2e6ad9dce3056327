//! The accounts of the demonstration, the requests, and the expected webhooks. Pure.

use serde_json::{Value, json};

/// A step: requests in order, and the number of webhooks that follow.
pub(super) struct ScenarioStep {
    pub(super) title: &'static str,
    pub(super) requests: Vec<DemoRequest>,
    pub(super) webhooks: usize,
}

/// A request to the API.
pub(super) struct DemoRequest {
    /// The endpoint, as in `batchOnline`.
    pub(super) endpoint: &'static str,
    pub(super) path: &'static str,
    /// `None` for a GET.
    pub(super) body: Option<Value>,
    /// What the request is about, for its line in the transcript.
    pub(super) summary: String,
}

/// An account of the demonstration.
pub(super) struct DemoAccount {
    pub(super) number: &'static str,
    /// What the simulator does with this account, in words.
    pub(super) simulated_outcome: &'static str,
    /// The expected webhooks in order, with the labels of the transcript.
    pub(super) expected_webhooks: &'static [&'static str],
}

const ONLINE_THEN_OFFLINE: &[&str] = &["online-coming", "online", "offline-coming", "offline"];
const SUCCEEDS: &str = "succeeds";

/// Twelve accounts, six of them with a failure, and a number that gets registered.
pub(super) const DEMO_ACCOUNTS: [DemoAccount; 13] = [
    DemoAccount {
        number: "861821720001",
        simulated_outcome: "pairing fails",
        expected_webhooks: &["online-coming", "offline 1001"],
    },
    DemoAccount {
        number: "861821720002",
        simulated_outcome: "the network fails",
        expected_webhooks: &["online-coming", "offline 1002"],
    },
    DemoAccount {
        number: "861821720003",
        simulated_outcome: "is banned",
        expected_webhooks: &["online-coming", "online", "banned"],
    },
    DemoAccount {
        number: "861821720004",
        simulated_outcome: "never answers",
        expected_webhooks: &["online-coming", "offline 1002"],
    },
    DemoAccount {
        number: "861821720005",
        simulated_outcome: "cannot be registered",
        expected_webhooks: &["online-coming", "online", "registration failed", "offline-coming", "offline"],
    },
    DemoAccount {
        number: "861821720006",
        simulated_outcome: "drops once",
        expected_webhooks: &["online-coming", "online", "offline 1002"],
    },
    DemoAccount { number: "861821720007", simulated_outcome: SUCCEEDS, expected_webhooks: ONLINE_THEN_OFFLINE },
    DemoAccount { number: "861821720008", simulated_outcome: SUCCEEDS, expected_webhooks: ONLINE_THEN_OFFLINE },
    DemoAccount { number: "861821720009", simulated_outcome: SUCCEEDS, expected_webhooks: ONLINE_THEN_OFFLINE },
    DemoAccount { number: "861821720010", simulated_outcome: SUCCEEDS, expected_webhooks: ONLINE_THEN_OFFLINE },
    DemoAccount { number: "861821720011", simulated_outcome: SUCCEEDS, expected_webhooks: ONLINE_THEN_OFFLINE },
    DemoAccount { number: "861821720012", simulated_outcome: SUCCEEDS, expected_webhooks: ONLINE_THEN_OFFLINE },
    DemoAccount {
        number: "86182172623211",
        simulated_outcome: "is registered",
        expected_webhooks: &["registration failed", "registered"],
    },
];

/// The number of accounts that are imported. The accounts after these are registered.
const IMPORTED_ACCOUNTS: usize = 12;

/// The steps, in order.
pub(super) fn steps() -> Vec<ScenarioStep> {
    let imported =
        || json!({"whatsAppList": DEMO_ACCOUNTS[..IMPORTED_ACCOUNTS].iter().map(import_item).collect::<Vec<_>>()});
    let online_labels = &["online-coming", "online", "offline 1001", "offline 1002", "banned"];
    vec![
        ScenarioStep {
            title: "Import accounts and bring them online; each has its own outcome",
            requests: vec![
                batch_request("batchInsert", "/group-dispatch-api/whatsapp/batchInsert", imported(), "12 accounts"),
                batch_request(
                    "batchOnline",
                    "/group-dispatch-api/whatsapp/batchOnline",
                    imported(),
                    "the same 12 accounts",
                ),
            ],
            webhooks: count_expected(online_labels),
        },
        ScenarioStep {
            title: "Register one number; for another, no code can be sent",
            requests: vec![submit_phone("182172623211"), submit_phone("1821720005"), submit_verify_code("654321")],
            webhooks: count_expected(&["registration failed"]),
        },
        ScenarioStep {
            title: "The wrong code left the registration open; now send the correct one",
            requests: vec![submit_verify_code("123456")],
            webhooks: count_expected(&["registered"]),
        },
        ScenarioStep {
            title: "Recycle all accounts",
            requests: vec![batch_request(
                "batchRecycle",
                "/group-dispatch-api/whatsapp/batchRecycle",
                json!({}),
                "all accounts",
            )],
            webhooks: count_expected(&["offline-coming", "offline"]),
        },
        ScenarioStep {
            title: "Final states",
            requests: vec![DemoRequest {
                endpoint: "queryWhatsAppStatus",
                path: "/group-dispatch-api/whatsapp/queryWhatsAppStatus",
                body: None,
                summary: "all accounts".to_owned(),
            }],
            webhooks: 0,
        },
    ]
}

/// The number of expected webhooks with one of these labels.
fn count_expected(labels: &[&str]) -> usize {
    DEMO_ACCOUNTS.iter().flat_map(|account| account.expected_webhooks).filter(|label| labels.contains(label)).count()
}

fn batch_request(endpoint: &'static str, path: &'static str, body: Value, summary: &str) -> DemoRequest {
    DemoRequest { endpoint, path, body: Some(body), summary: summary.to_owned() }
}

fn submit_phone(phone: &str) -> DemoRequest {
    let body = json!({"phone": phone, "verifyType": 0, "accountType": 1, "areaCode": "+86", "countryCode": "CN"});
    let path = "/group-dispatch-api/register/submitPhone";
    DemoRequest { endpoint: "submitPhone", path, body: Some(body), summary: format!("+86 {phone}") }
}

fn submit_verify_code(code: &str) -> DemoRequest {
    let body = json!({"phone": "182172623211", "areaCode": "+86", "verifyCode": code});
    let path = "/group-dispatch-api/register/submitVerifyCode";
    DemoRequest { endpoint: "submitVerifyCode", path, body: Some(body), summary: "+86 182172623211".to_owned() }
}

fn import_item(account: &DemoAccount) -> Value {
    json!({"whatsApp": account.number, "override": false, "name": account.simulated_outcome, "publicKey": "", "privateKey": "",
        "msgPublicKey": "", "msgPrivateKey": "", "accountId": ""})
}
