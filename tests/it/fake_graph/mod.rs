//! A fake of Meta's Graph API, with a switch for each known failure.
//!
//! | file | content |
//! |---|---|
//! | `wire` | connections: reads requests, responds, resets |
//! | `calls` | the calls, and their effects on numbers |
//! | `webhooks` | sends webhooks, signed or not |

mod calls;
mod webhooks;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::service_process::comes_true;
pub use webhooks::{MetaWebhookSender, WebhookSigning, account_update, webhook};

/// The business account of the numbers.
pub const WABA: &str = "102290129340398";
/// The valid token.
pub const TOKEN: &str = "EAAG-token-of-the-tests";
/// The secret that signs webhooks.
pub const APP_SECRET: &str = "app-secret-of-the-tests";
/// The token of the webhook handshake.
pub const VERIFY_TOKEN: &str = "verify-token-of-the-tests";
/// The code that every number receives.
pub const CODE: &str = "123830";

/// The server, with access to its state.
pub struct FakeGraph {
    pub base: String,
    inner: Arc<FakeGraphInner>,
}

struct FakeGraphInner {
    state: Mutex<FakeGraphState>,
    changed: Notify,
}

/// Its state.
#[derive(Default)]
pub struct FakeGraphState {
    pub numbers: Vec<FakeNumber>,
    /// Every call received, in order.
    pub calls: Vec<RecordedCall>,
    faults: Vec<(&'static str, usize, FakeGraphFault)>,
    pub switches: FakeGraphOptions,
}

/// Its options.
pub struct FakeGraphOptions {
    /// The valid token.
    pub token: String,
    /// The most numbers on a page.
    pub page: usize,
    /// Whether the list lacks `paging`.
    pub no_paging: bool,
    /// For how many GETs a newly registered number stays PENDING.
    pub pending_for: usize,
    /// Headers of every response.
    pub headers: Vec<(&'static str, String)>,
    /// Whether errors lack `error_subcode`.
    pub no_subcodes: bool,
    /// Whether a second `add` fails with 400 and 2388012, not with 409 and 100.
    pub listed_by_code: bool,
    /// How many codes may be requested before error 2388367.
    pub codes: usize,
    /// How long a code is valid.
    pub code_lifetime: Duration,
    /// The base of the URLs of next pages.
    pub elsewhere: String,
    /// The delay of every response.
    pub latency: Duration,
}

/// A number of the business account.
#[derive(Clone, Debug)]
pub struct FakeNumber {
    pub id: String,
    pub cc: String,
    /// The number as it was added: digits only, with the calling code. Meta may show it otherwise.
    pub digits: String,
    /// How the number is shown, instead of as Meta would show it.
    pub shown_as: Option<String>,
    pub verified_name: String,
    pub status: String,
    pub verification: String,
    pub pin: Option<String>,
    pub wrong_pins: usize,
    pub code: Option<(String, Instant)>,
    pub codes: usize,
    /// Calls to register and deregister, including refused ones.
    pub counted: usize,
    /// How many more GETs return PENDING.
    pub pending: usize,
    pub registered: bool,
}

/// A call received.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    pub name: &'static str,
    /// The digits of the number, or empty.
    pub of: String,
    pub parameters: BTreeMap<String, String>,
    pub at: Instant,
}

/// A fault of a call.
#[derive(Clone, Debug)]
pub enum FakeGraphFault {
    /// The call is not carried out, and gets this response.
    Answer(u16, String),
    /// As `Answer`, with a header.
    AnswerWith(u16, String, (&'static str, String)),
    /// The call is not carried out, and the connection is reset.
    ResetBefore,
    /// The call is carried out, and the connection is reset.
    ResetAfter,
    /// The call is not carried out, and never answered.
    HangBefore,
    /// The call is carried out, and never answered.
    Hang,
}

impl Default for FakeGraphOptions {
    fn default() -> FakeGraphOptions {
        FakeGraphOptions {
            token: TOKEN.to_owned(),
            page: 100,
            no_paging: false,
            pending_for: 0,
            // The real Graph has been seen to send this type.
            headers: vec![("content-type", "text/javascript; charset=UTF-8".to_owned())],
            no_subcodes: false,
            listed_by_code: false,
            codes: 5,
            code_lifetime: Duration::from_secs(600),
            elsewhere: "http://127.0.0.1:9".to_owned(),
            latency: Duration::ZERO,
        }
    }
}

impl FakeGraphFault {
    /// An error of Meta's.
    pub fn error(status: u16, code: i64, subcode: Option<i64>) -> FakeGraphFault {
        FakeGraphFault::Answer(status, calls::error(code, subcode))
    }

    /// An HTML error page, as proxies send it.
    pub fn page() -> FakeGraphFault {
        FakeGraphFault::Answer(502, "<html>Bad Gateway</html>".to_owned())
    }
}

impl FakeNumber {
    /// A number in this state.
    pub fn new(digits: &str, status: &str, verification: &str) -> FakeNumber {
        FakeNumber {
            id: format!("1{digits}"),
            cc: CALLING_CODES.into_iter().find(|cc| digits.starts_with(cc)).unwrap_or("1").to_owned(),
            digits: digits.to_owned(),
            shown_as: None,
            verified_name: "Lucky Shrub".to_owned(),
            status: status.to_owned(),
            verification: verification.to_owned(),
            pin: None,
            wrong_pins: 0,
            code: None,
            codes: 0,
            counted: 0,
            pending: 0,
            registered: status == "CONNECTED",
        }
    }

    /// `display_phone_number`.
    pub fn displayed(&self) -> String {
        self.shown_as.clone().unwrap_or_else(|| displayed(&self.cc, &self.digits))
    }

    /// A registered and connected number.
    pub fn connected(digits: &str) -> FakeNumber {
        FakeNumber::new(digits, "CONNECTED", "VERIFIED")
    }

    /// A number that is verified, and not registered.
    pub fn verified(digits: &str) -> FakeNumber {
        FakeNumber::new(digits, "DISCONNECTED", "VERIFIED")
    }
}

/// The calling codes of the numbers in tests.
const CALLING_CODES: [&str; 4] = ["1", "52", "54", "55"];

/// A number as Meta shows it, with punctuation: without the ninth digit in Brazil, with a 9 in Argentina, with a 1 in Mexico.
fn displayed(cc: &str, digits: &str) -> String {
    let national = &digits[cc.len()..];
    let tail = |count: usize| &national[national.len().saturating_sub(count)..];
    let area = |count: usize| &tail(10)[..count];
    match (cc, national.len()) {
        ("1", 10) => format!("+1 {}-{}-{}", area(3), &tail(7)[..3], tail(4)),
        ("55", 10 | 11) => format!("+55 {} {}-{}", &national[..2], &tail(8)[..4], tail(4)),
        ("54", 10 | 11) => format!("+54 9 {} {}-{}", area(2), &tail(8)[..4], tail(4)),
        ("52", 10 | 11) => format!("+52 1 {} {} {}", area(2), &tail(8)[..4], tail(4)),
        (_, _) => format!("+{cc} {national}"),
    }
}

impl FakeGraph {
    pub async fn start() -> FakeGraph {
        let inner = Arc::new(FakeGraphInner { state: Mutex::default(), changed: Notify::new() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(wire::serve(listener, inner.clone()));
        FakeGraph { base, inner }
    }

    pub fn state(&self) -> MutexGuard<'_, FakeGraphState> {
        self.inner.state.lock().unwrap()
    }

    pub fn add(&self, number: FakeNumber) {
        self.state().numbers.push(number);
    }

    /// Makes the next `times` calls of this name fail.
    pub fn set_fault(&self, name: &'static str, times: usize, fault: FakeGraphFault) {
        self.state().faults.push((name, times, fault));
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    pub fn number(&self, digits: &str) -> FakeNumber {
        let state = self.state();
        state.numbers.iter().find(|number| number.digits == digits).unwrap().clone()
    }

    pub fn change(&self, digits: &str, change: impl FnOnce(&mut FakeNumber)) {
        let mut state = self.state();
        change(state.numbers.iter_mut().find(|number| number.digits == digits).unwrap());
    }

    /// The number of calls of this name.
    pub fn count(&self, name: &str) -> usize {
        self.state().calls.iter().filter(|call| call.name == name).count()
    }

    /// The number of calls of this name about a number.
    pub fn count_of(&self, name: &str, digits: &str) -> usize {
        self.state().calls.iter().filter(|call| call.name == name && call.of == digits).count()
    }

    /// The names of the calls that change a number, in order.
    pub fn changing_calls(&self, digits: &str) -> Vec<&'static str> {
        let state = self.state();
        let of_number = state.calls.iter().filter(|call| call.of == digits && call.name != "look");
        of_number.map(|call| call.name).collect()
    }

    /// Waits until `is_so` holds for the state.
    pub async fn wait_until(&self, what: &str, is_so: impl Fn(&FakeGraphState) -> bool) {
        let has_happened = comes_true(&self.inner.changed, || is_so(&self.state())).await;
        assert!(has_happened, "{what} did not happen; these calls were made: {:#?}", self.state().calls);
    }
}

impl FakeGraphState {
    /// Takes the next fault of this call, if it has one.
    fn take_fault(&mut self, name: &str) -> Option<FakeGraphFault> {
        let at = self.faults.iter().position(|(of, times, _)| *of == name && *times > 0)?;
        self.faults[at].1 -= 1;
        Some(self.faults[at].2.clone())
    }
}

/// A JSON text of an object.
fn text(value: &Value) -> String {
    value.to_string()
}
