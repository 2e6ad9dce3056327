//! Which accounts there are, what is asked of them, and what is to be told of each. Pure.

use serde_json::{Value, json};

/// A part of the story: what is asked one after the other, and how many webhooks come of it.
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) requests: Vec<Request>,
    pub(super) webhooks: usize,
}

/// A call of the API.
pub(super) struct Request {
    /// The endpoint, as in `batchOnline`.
    pub(super) endpoint: &'static str,
    pub(super) path: &'static str,
    /// None for a GET.
    pub(super) body: Option<Value>,
    /// What is asked, in words.
    pub(super) words: String,
}

/// An account of the story.
pub(super) struct Hero {
    pub(super) number: &'static str,
    /// What the simulator has for it.
    pub(super) fate: &'static str,
    /// What is told of it, in order, in the words of the timeline.
    pub(super) told: &'static [&'static str],
}

const COMES_AND_GOES: &[&str] = &["online-coming", "online", "offline-coming", "offline"];
const SUCCEEDS: &str = "succeeds";

/// A dozen accounts, six of them with a fate, and a number that is registered.
pub(super) const HEROES: [Hero; 13] = [
    Hero { number: "861821720001", fate: "pairing fails", told: &["online-coming", "offline 1001"] },
    Hero { number: "861821720002", fate: "the network fails", told: &["online-coming", "offline 1002"] },
    Hero { number: "861821720003", fate: "is banned", told: &["online-coming", "online", "banned"] },
    Hero { number: "861821720004", fate: "never answers", told: &["online-coming", "offline 1002"] },
    Hero {
        number: "861821720005",
        fate: "cannot be registered",
        told: &["online-coming", "online", "registration failed", "offline-coming", "offline"],
    },
    Hero { number: "861821720006", fate: "drops once", told: &["online-coming", "online", "offline 1002"] },
    Hero { number: "861821720007", fate: SUCCEEDS, told: COMES_AND_GOES },
    Hero { number: "861821720008", fate: SUCCEEDS, told: COMES_AND_GOES },
    Hero { number: "861821720009", fate: SUCCEEDS, told: COMES_AND_GOES },
    Hero { number: "861821720010", fate: SUCCEEDS, told: COMES_AND_GOES },
    Hero { number: "861821720011", fate: SUCCEEDS, told: COMES_AND_GOES },
    Hero { number: "861821720012", fate: SUCCEEDS, told: COMES_AND_GOES },
    Hero { number: "86182172623211", fate: "is registered", told: &["registration failed", "registered"] },
];

/// How many of the heroes are imported; the others are registered.
const IMPORTED: usize = 12;

/// The story, in order.
pub(super) fn chapters() -> Vec<Chapter> {
    let dozen = || json!({"whatsAppList": HEROES[..IMPORTED].iter().map(account).collect::<Vec<_>>()});
    let online = &["online-coming", "online", "offline 1001", "offline 1002", "banned"];
    vec![
        Chapter {
            title: "Accounts are imported and brought online; each meets its fate",
            requests: vec![
                whatsapp("batchInsert", "/group-dispatch-api/whatsapp/batchInsert", dozen(), "12 accounts"),
                whatsapp("batchOnline", "/group-dispatch-api/whatsapp/batchOnline", dozen(), "the same 12 accounts"),
            ],
            webhooks: told(online),
        },
        Chapter {
            title: "One number is registered, for another no code can be sent",
            requests: vec![phone("182172623211"), phone("1821720005"), code("654321")],
            webhooks: told(&["registration failed"]),
        },
        Chapter {
            title: "The wrong code left the registration open; now comes the right one",
            requests: vec![code("123456")],
            webhooks: told(&["registered"]),
        },
        Chapter {
            title: "Everything is recycled",
            requests: vec![whatsapp(
                "batchRecycle",
                "/group-dispatch-api/whatsapp/batchRecycle",
                json!({}),
                "all accounts",
            )],
            webhooks: told(&["offline-coming", "offline"]),
        },
        Chapter {
            title: "Where everybody stands",
            requests: vec![Request {
                endpoint: "queryWhatsAppStatus",
                path: "/group-dispatch-api/whatsapp/queryWhatsAppStatus",
                body: None,
                words: "all accounts".to_owned(),
            }],
            webhooks: 0,
        },
    ]
}

/// How many webhooks say one of these.
fn told(words: &[&str]) -> usize {
    HEROES.iter().flat_map(|hero| hero.told).filter(|told| words.contains(told)).count()
}

fn whatsapp(endpoint: &'static str, path: &'static str, body: Value, words: &str) -> Request {
    Request { endpoint, path, body: Some(body), words: words.to_owned() }
}

fn phone(phone: &str) -> Request {
    let body = json!({"phone": phone, "verifyType": 0, "accountType": 1, "areaCode": "+86", "countryCode": "CN"});
    let path = "/group-dispatch-api/register/submitPhone";
    Request { endpoint: "submitPhone", path, body: Some(body), words: format!("+86 {phone}") }
}

fn code(code: &str) -> Request {
    let body = json!({"phone": "182172623211", "areaCode": "+86", "verifyCode": code});
    let path = "/group-dispatch-api/register/submitVerifyCode";
    Request { endpoint: "submitVerifyCode", path, body: Some(body), words: "+86 182172623211".to_owned() }
}

fn account(hero: &Hero) -> Value {
    json!({"whatsApp": hero.number, "override": false, "name": hero.fate, "publicKey": "", "privateKey": "",
        "msgPublicKey": "", "msgPrivateKey": "", "accountId": ""})
}
