//! A Graph as Meta's is, with a switch for each way in which it is known to fail.
//!
//! | file | what it does |
//! |---|---|
//! | `wire` | connections: reads requests, answers, resets |
//! | `calls` | the calls, and what they do to numbers |
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

/// The account that the numbers are in.
pub const WABA: &str = "102290129340398";
/// The token that is taken.
pub const TOKEN: &str = "EAAG-token-of-the-tests";
/// What webhooks are signed with.
pub const APP_SECRET: &str = "app-secret-of-the-tests";
/// What the handshake asks for.
pub const VERIFY_TOKEN: &str = "verify-token-of-the-tests";
/// The code that every number is sent.
pub const CODE: &str = "123830";

/// The server, and the way to its state.
pub struct FakeGraph {
    pub base: String,
    inner: Arc<FakeGraphInner>,
}

struct FakeGraphInner {
    state: Mutex<FakeGraphState>,
    changed: Notify,
}

/// What it knows and how it behaves.
#[derive(Default)]
pub struct FakeGraphState {
    pub numbers: Vec<FakeNumber>,
    /// Every call that was read, in order.
    pub calls: Vec<RecordedCall>,
    faults: Vec<(&'static str, usize, FakeGraphFault)>,
    pub switches: FakeGraphOptions,
}

/// How it behaves in general.
pub struct FakeGraphOptions {
    /// The token that it takes.
    pub token: String,
    /// Numbers on a page, at most.
    pub page: usize,
    /// Whether the list has no `paging` at all.
    pub no_paging: bool,
    /// For how many GETs a number stays PENDING that was registered.
    pub pending_for: usize,
    /// Sent with every answer.
    pub headers: Vec<(&'static str, String)>,
    /// Errors have no `error_subcode`.
    pub no_subcodes: bool,
    /// A second `add` is answered by 400 with 2388012 and not by 409 with 100.
    pub listed_by_code: bool,
    /// How many codes may be asked for before 2388367.
    pub codes: usize,
    /// How long a code is good.
    pub code_lifetime: Duration,
    /// Where the addresses of next pages lead.
    pub elsewhere: String,
    /// Any answer takes as long.
    pub latency: Duration,
}

/// A number of the account.
#[derive(Clone, Debug)]
pub struct FakeNumber {
    pub id: String,
    pub cc: String,
    /// With the calling code, digits alone.
    pub digits: String,
    pub verified_name: String,
    pub status: String,
    pub verification: String,
    pub pin: Option<String>,
    pub wrong_pins: usize,
    pub code: Option<(String, Instant)>,
    pub codes: usize,
    /// Calls to register and deregister that were counted, refused ones too.
    pub counted: usize,
    /// GETs that it is PENDING for still.
    pub pending: usize,
    pub registered: bool,
}

/// A call as it was read.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    pub name: &'static str,
    /// The digits of the number, or nothing.
    pub of: String,
    pub parameters: BTreeMap<String, String>,
    pub at: Instant,
}

/// What happens to a call instead of what should.
#[derive(Clone, Debug)]
pub enum FakeGraphFault {
    /// It is not carried out, and answered so.
    Answer(u16, String),
    /// As `Answer`, with a header.
    AnswerWith(u16, String, (&'static str, String)),
    /// It is not carried out, and the connection is reset.
    ResetBefore,
    /// It is carried out, and the connection is reset.
    ResetAfter,
    /// It is not carried out, and never answered.
    HangBefore,
    /// It is carried out, and never answered.
    Hang,
}

impl Default for FakeGraphOptions {
    fn default() -> FakeGraphOptions {
        FakeGraphOptions {
            token: TOKEN.to_owned(),
            page: 100,
            no_paging: false,
            pending_for: 0,
            // As the real one has been seen to answer.
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

    /// The page of a proxy.
    pub fn page() -> FakeGraphFault {
        FakeGraphFault::Answer(502, "<html>Bad Gateway</html>".to_owned())
    }
}

impl FakeNumber {
    /// A number in some state.
    pub fn new(digits: &str, status: &str, verification: &str) -> FakeNumber {
        FakeNumber {
            id: format!("1{digits}"),
            cc: "1".to_owned(),
            digits: digits.to_owned(),
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

    /// Registered and connected.
    pub fn connected(digits: &str) -> FakeNumber {
        FakeNumber::new(digits, "CONNECTED", "VERIFIED")
    }

    /// Verified, and not registered.
    pub fn verified(digits: &str) -> FakeNumber {
        FakeNumber::new(digits, "DISCONNECTED", "VERIFIED")
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

    /// The next `times` calls of this name go wrong so.
    pub fn set_fault(&self, name: &'static str, times: usize, fault: FakeGraphFault) {
        self.state().faults.push((name, times, fault));
    }

    /// All goes as it should from here on.
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

    /// How many calls of this name there were.
    pub fn count(&self, name: &str) -> usize {
        self.state().calls.iter().filter(|call| call.name == name).count()
    }

    /// How many calls of this name there were about a number.
    pub fn count_of(&self, name: &str, digits: &str) -> usize {
        self.state().calls.iter().filter(|call| call.name == name && call.of == digits).count()
    }

    /// The names of the calls that change something about a number, in order.
    pub fn changing_calls(&self, digits: &str) -> Vec<&'static str> {
        let state = self.state();
        let of_number = state.calls.iter().filter(|call| call.of == digits && call.name != "look");
        of_number.map(|call| call.name).collect()
    }

    /// Waits until the state is so.
    pub async fn wait_until(&self, what: &str, is_so: impl Fn(&FakeGraphState) -> bool) {
        let has_happened = comes_true(&self.inner.changed, || is_so(&self.state())).await;
        assert!(has_happened, "{what} did not happen; these calls were made: {:#?}", self.state().calls);
    }
}

impl FakeGraphState {
    /// The fault of this call, if it has one.
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
