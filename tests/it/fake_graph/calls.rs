//! The calls of the Graph, and their effects on numbers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::wire::RawRequest;
use super::{CODE, FakeGraphFault, FakeGraphState, FakeNumber, RecordedCall, WABA, text};

/// Calls to register and deregister that one number may make.
const BUDGET: usize = 10;

/// An error in Meta's format.
pub fn error(code: i64, subcode: Option<i64>) -> String {
    let mut error = json!({"message": format!("(#{code}) Something"), "type": "OAuthException", "code": code});
    if let Some(subcode) = subcode {
        error["error_subcode"] = json!(subcode);
    }
    error["fbtrace_id"] = json!("Aayh7_x-pxzNlCVeeb3IxXU");
    text(&json!({"error": error}))
}

/// Handles a request.
pub fn answer(state: &mut FakeGraphState, request: &RawRequest) -> FakeGraphFault {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let parameters = parameters(query, request);
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (name, at) = match (request.method.as_str(), &segments[..]) {
        (_, [version, ..]) if *version != "v23.0" => return FakeGraphFault::error(400, 2635, None),
        ("GET", [_, id]) if *id == WABA => ("probe", None),
        ("GET", [_, id, "phone_numbers"]) if *id == WABA => ("list", None),
        ("POST", [_, id, "phone_numbers"]) if *id == WABA => ("add", None),
        ("GET", [_, id]) => ("look", Some(*id)),
        ("POST", [_, id, "request_code"]) => ("request_code", Some(*id)),
        ("POST", [_, id, "verify_code"]) => ("verify_code", Some(*id)),
        ("POST", [_, id, "register"]) => ("register", Some(*id)),
        ("POST", [_, id, "deregister"]) => ("deregister", Some(*id)),
        (_, _) => return FakeGraphFault::error(400, 2500, None),
    };
    let at = at.map(|id| state.numbers.iter().position(|number| number.id == id));
    let digits = match (name, at.flatten()) {
        (_, Some(at)) => state.numbers[at].digits.clone(),
        ("add", None) => full_digits(&parameters),
        (_, None) => String::new(),
    };
    let authorization = request.headers.get("authorization").cloned().unwrap_or_default();
    let is_known = authorization == format!("Bearer {}", state.switches.token);
    let call = RecordedCall { name, of: digits, parameters: parameters.clone(), at: Instant::now() };
    state.calls.push(call);
    if !is_known {
        return state.error(401, 190, Some(463));
    }
    let fault = state.take_fault(name);
    match fault {
        None | Some(FakeGraphFault::ResetAfter | FakeGraphFault::Hang) => {}
        Some(
            fault @ (FakeGraphFault::Answer(..)
            | FakeGraphFault::AnswerWith(..)
            | FakeGraphFault::ResetBefore
            | FakeGraphFault::HangBefore),
        ) => {
            return fault;
        }
    }
    let done = match (name, at) {
        ("probe", _) => FakeGraphFault::Answer(200, text(&json!({"id": WABA, "name": "Lucky Shrub"}))),
        ("list", _) => state.list(&parameters),
        ("add", _) => state.add(&parameters),
        (_, Some(None) | None) => state.error(400, 100, Some(33)),
        (_, Some(Some(at))) => state.of_number(name, at, &parameters),
    };
    fault.unwrap_or(done)
}

/// Parameters from the query, a form, or JSON.
fn parameters(query: &str, request: &RawRequest) -> BTreeMap<String, String> {
    let pairs = |text: &str| -> BTreeMap<String, String> {
        reqwest::Url::parse(&format!("http://x/?{text}")).unwrap().query_pairs().into_owned().collect()
    };
    let mut all = pairs(query);
    match serde_json::from_str::<Value>(&request.body) {
        Ok(Value::Object(fields)) => {
            let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            all.extend(fields.into_iter().map(|(name, value)| (name, text(value))));
        }
        Ok(_) | Err(_) => all.extend(pairs(&request.body)),
    }
    all
}

/// The number of an `add` call, with its calling code.
fn full_digits(parameters: &BTreeMap<String, String>) -> String {
    let of = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    of("cc") + &of("phone_number")
}

fn success() -> FakeGraphFault {
    FakeGraphFault::Answer(200, text(&json!({"success": true})))
}

impl FakeGraphState {
    fn error(&self, status: u16, code: i64, subcode: Option<i64>) -> FakeGraphFault {
        FakeGraphFault::error(status, code, subcode.filter(|_| !self.switches.no_subcodes))
    }

    fn list(&mut self, parameters: &BTreeMap<String, String>) -> FakeGraphFault {
        let asked = parameters.get("limit").map_or(25, |limit| limit.parse().unwrap());
        let limit = self.switches.page.min(asked);
        let from: usize = parameters.get("after").map_or(0, |after| after.parse().unwrap());
        let numbers: Vec<Value> = self.numbers.iter_mut().skip(from).take(limit).map(FakeNumber::shown).collect();
        let to = from + numbers.len();
        let mut page = json!({"data": numbers});
        if !self.switches.no_paging {
            page["paging"] = json!({"cursors": {"before": from.to_string(), "after": to.to_string()}});
            if to < self.numbers.len() {
                // A client that follows this URL would leak the token.
                page["paging"]["next"] = json!(format!("{}/{WABA}/phone_numbers?after={to}", self.switches.elsewhere));
            }
        }
        FakeGraphFault::Answer(200, text(&page))
    }

    fn add(&mut self, parameters: &BTreeMap<String, String>) -> FakeGraphFault {
        let digits = full_digits(parameters);
        let name = parameters.get("verified_name").cloned().unwrap_or_default();
        let cc = parameters.get("cc").cloned().unwrap_or_default();
        if name.len() < 2 || cc.is_empty() || cc.len() > 3 {
            return self.error(400, 100, None);
        }
        let shown = super::displayed(&cc, &digits);
        if self.numbers.iter().any(|number| number.displayed() == shown) {
            return match self.switches.listed_by_code {
                true => self.error(400, 2_388_012, None),
                false => self.error(409, 100, None),
            };
        }
        let number = FakeNumber { verified_name: name, cc, ..FakeNumber::new(&digits, "PENDING", "NOT_VERIFIED") };
        let id = number.id.clone();
        self.numbers.push(number);
        FakeGraphFault::Answer(200, text(&json!({"id": id})))
    }

    fn of_number(&mut self, name: &str, at: usize, parameters: &BTreeMap<String, String>) -> FakeGraphFault {
        let parameter = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        let (codes, lifetime, pending_for) =
            (self.switches.codes, self.switches.code_lifetime, self.switches.pending_for);
        let number = &mut self.numbers[at];
        match name {
            "look" => FakeGraphFault::Answer(200, text(&number.shown())),
            "request_code" => {
                let is_method = ["SMS", "VOICE"].contains(&parameter("code_method").as_str());
                let is_language = parameter("language").len() == 5;
                number.codes += 1;
                if !is_method || !is_language {
                    self.error(400, 100, None)
                } else if number.verification == "VERIFIED" {
                    self.error(400, 136_024, Some(2_388_091))
                } else if number.codes > codes {
                    self.error(400, 136_024, Some(2_388_367))
                } else {
                    number.code = Some((CODE.to_owned(), Instant::now() + lifetime));
                    success()
                }
            }
            "verify_code" => {
                let given = parameter("code");
                let is_right =
                    number.code.as_ref().is_some_and(|(code, until)| *code == given && Instant::now() < *until);
                if !is_right {
                    return self.error(400, 136_025, Some(2_388_093));
                }
                // A code works once.
                number.code = None;
                number.verification = "VERIFIED".to_owned();
                FakeGraphFault::Answer(200, text(&json!({"success": true, "id": number.id})))
            }
            "register" => {
                let pin = parameter("pin");
                if number.verification != "VERIFIED" {
                    return self.error(400, 133_006, None);
                }
                if pin.len() != 6 || !pin.bytes().all(|digit| digit.is_ascii_digit()) {
                    return self.error(400, 100, None);
                }
                number.counted += 1;
                if number.counted > BUDGET {
                    return self.error(400, 133_016, None);
                }
                if number.pin.as_ref().is_some_and(|own| *own != pin) {
                    number.wrong_pins += 1;
                    let code = if number.wrong_pins > 2 { 133_008 } else { 133_005 };
                    return self.error(400, code, None);
                }
                number.pin = Some(pin);
                number.registered = true;
                number.pending = pending_for;
                number.status = if pending_for > 0 { "PENDING" } else { "CONNECTED" }.to_owned();
                success()
            }
            "deregister" => {
                number.counted += 1;
                if number.counted > BUDGET {
                    return self.error(400, 133_016, None);
                }
                if !number.registered {
                    return self.error(400, 133_010, None);
                }
                number.registered = false;
                number.status = "DISCONNECTED".to_owned();
                success()
            }
            other => panic!("no call is named {other}"),
        }
    }
}

impl FakeNumber {
    /// The number as a GET returns it.
    fn shown(&mut self) -> Value {
        let shown = json!({
            "id": self.id,
            "display_phone_number": self.displayed(),
            "verified_name": self.verified_name,
            "status": self.status,
            "code_verification_status": self.verification,
            "quality_rating": "GREEN",
            "account_mode": "LIVE",
        });
        if self.pending > 0 {
            self.pending -= 1;
            if self.pending == 0 {
                self.status = "CONNECTED".to_owned();
            }
        }
        shown
    }
}
