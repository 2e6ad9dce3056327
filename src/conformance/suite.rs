//! Runs the checks one after the other.
//!
//! The checks form one scenario: an account comes online and goes offline, another one comes online, a number is
//! registered. To check that something did not happen, a check does not wait: it runs after a later event has arrived.

use std::time::Duration;

use serde_json::{Value, json};

use super::checks::{CHECKS, CheckScope, ConformanceCheck};
use super::gateway_client::{GatewayClient, GatewayReply, SignatureVariant};
use super::request_handler::{BatchOutcome, GatewayRequestHandler, HandlerState, ProtocolViolation, ReceivedBatch};
use super::{CheckReport, SuiteOptions};
use crate::audit::write_time;
use crate::clock;
use crate::domain::Timestamp;
use crate::limits::CHECK_PAGES;

/// The error says what was observed instead.
type CheckResult = Result<(), String>;

struct Suite<'s> {
    options: &'s SuiteOptions,
    handler: &'s GatewayRequestHandler,
    client: &'s GatewayClient,
    /// The first number of sessions and tasks. It comes from the clock, so that no earlier run has used it.
    first_number: u32,
    /// The time in the signature of the first `connect`.
    connected_at: Timestamp,
}

/// Runs each check that applies to this gateway, and calls `on_result` with each result.
pub(super) async fn run(
    options: &SuiteOptions,
    handler: &GatewayRequestHandler,
    client: &GatewayClient,
    mut on_result: impl FnMut(&CheckReport),
) {
    let now = clock::now();
    let first = u32::try_from(now.0 / 1_000_000).unwrap_or(u32::MAX / 2);
    let suite = Suite { options, handler, client, first_number: first, connected_at: now };
    for (check, name, requirement, scope) in CHECKS {
        let applies = match scope {
            CheckScope::Both => true,
            CheckScope::PushOnly => client.is_push(),
            CheckScope::PullOnly => !client.is_push(),
        };
        if applies {
            let outcome = suite.run_check(check).await;
            let (passed, observed) = (outcome.is_ok(), outcome.err().unwrap_or_default());
            on_result(&CheckReport { check: name, requirement, passed, observed });
        }
    }
    suite.close_sessions().await;
}

impl Suite<'_> {
    async fn run_check(&self, check: ConformanceCheck) -> CheckResult {
        match check {
            ConformanceCheck::Fetches => self.check_fetches().await,
            ConformanceCheck::Unsigned => self.check_signature_rejected(SignatureVariant::Missing).await,
            ConformanceCheck::Forged => self.check_signature_rejected(SignatureVariant::WrongSecret).await,
            ConformanceCheck::Stale => self.check_signature_rejected(SignatureVariant::Stale).await,
            ConformanceCheck::Malformed => self.check_malformed().await,
            ConformanceCheck::UnknownType => self.check_unknown_type().await,
            ConformanceCheck::TooLate => self.check_too_late().await,
            ConformanceCheck::Connect => self.check_connect().await,
            ConformanceCheck::Replayed => self.check_replayed().await,
            ConformanceCheck::Repeated => self.check_repeated().await,
            ConformanceCheck::Listed => self.check_listed().await,
            ConformanceCheck::Paged => self.check_paged().await,
            ConformanceCheck::NothingDone => self.check_nothing_done().await,
            ConformanceCheck::SentAgain => self.check_sent_again().await,
            ConformanceCheck::Closed => self.check_closed().await,
            ConformanceCheck::Once => self.check_once(),
            ConformanceCheck::Gap => self.check_gap().await,
            ConformanceCheck::CodeSent => self.check_code_sent().await,
            ConformanceCheck::WrongCode => self.check_code(1, &self.options.wrong_code, "registration_failed").await,
            ConformanceCheck::RightCode => self.check_code(2, &self.options.code, "registered").await,
            ConformanceCheck::Sequences => self.check_no_violation(|fault| match fault {
                ProtocolViolation::Sequence(what) => Some(what),
                ProtocolViolation::Signature(_) | ProtocolViolation::Format(_) => None,
            }),
            ConformanceCheck::Signatures => self.check_no_violation(|fault| match fault {
                ProtocolViolation::Signature(what) => Some(what),
                ProtocolViolation::Sequence(_) | ProtocolViolation::Format(_) => None,
            }),
            ConformanceCheck::Form => self.check_no_violation(|fault| match fault {
                ProtocolViolation::Format(what) => Some(what),
                ProtocolViolation::Signature(_) | ProtocolViolation::Sequence(_) => None,
            }),
        }
    }

    async fn check_fetches(&self) -> CheckResult {
        let fetched = self.handler.wait_until(self.options.patience, |state| state.has_fetched.then_some(())).await;
        fetched.ok_or_else(|| "it did not call in time".to_owned())
    }

    async fn check_signature_rejected(&self, signature: SignatureVariant) -> CheckResult {
        let reply = self.client.send(&self.build_connect(2, self.first_number), signature).await?;
        if reply.status == 401 { Ok(()) } else { Err(format!("the response was {}", reply.status)) }
    }

    async fn check_malformed(&self) -> CheckResult {
        let reply = self.client.send_signed(&json!({"id": format!("nothing-{}", self.first_number)})).await?;
        expect_error(&reply, |status| status == 400)
    }

    async fn check_unknown_type(&self) -> CheckResult {
        let mut command = self.build_connect(2, self.first_number);
        command["type"] = json!("levitate");
        command["id"] = json!(format!("levitate-{}-{}", self.account(2), self.first_number));
        expect_error(&self.client.send_signed(&command).await?, |status| (400..500).contains(&status) && status != 401)
    }

    async fn check_too_late(&self) -> CheckResult {
        let mut command = self.build_connect(2, self.first_number);
        command["deadline"] = json!(write_time(Timestamp(clock::now().0 - 60_000_000)));
        expect_error(&self.client.send_signed(&command).await?, |status| status == 410 || !self.client.is_push())
    }

    async fn check_connect(&self) -> CheckResult {
        let reply = self
            .client
            .send(&self.build_connect(0, self.first_number), SignatureVariant::At(self.connected_at))
            .await?;
        expect_accepted(&reply)?;
        self.wait_for_report("connected", 0, &[("session", json!(self.first_number))]).await
    }

    async fn check_replayed(&self) -> CheckResult {
        let reply = self
            .client
            .send(&self.build_connect(0, self.first_number), SignatureVariant::At(self.connected_at))
            .await?;
        if reply.status == 401 { Ok(()) } else { Err(format!("the response was {}", reply.status)) }
    }

    /// Signs one second later. Timestamps have whole seconds, so within the same second the request would be identical.
    async fn check_repeated(&self) -> CheckResult {
        let signature = SignatureVariant::At(self.connected_at.plus(Duration::from_secs(1)));
        expect_accepted(&self.client.resend(&self.build_connect(0, self.first_number), signature).await?)
    }

    async fn check_listed(&self) -> CheckResult {
        let sessions = self.list_sessions(1_000).await?;
        let account = self.account(0);
        let session = sessions.iter().find(|session| session.get("account") == Some(&json!(account)));
        let session = session.ok_or("the online account is not in the list")?;
        let is_right = session.get("state") == Some(&json!("connected"))
            && session.get("session").is_some_and(|number| number.is_null() || *number == json!(self.first_number));
        if is_right { Ok(()) } else { Err(format!("it has {session}")) }
    }

    /// Brings a second account online first, because one session makes only one page.
    async fn check_paged(&self) -> CheckResult {
        expect_accepted(&self.client.send_signed(&self.build_connect(1, self.first_number)).await?)?;
        self.wait_for_report("connected", 1, &[("session", json!(self.first_number))]).await?;
        let sessions = self.list_sessions(1).await?;
        let accounts: Vec<&str> = sessions.iter().filter_map(|it| it.get("account").and_then(Value::as_str)).collect();
        let [first, second] = [self.account(0), self.account(1)];
        if !accounts.is_sorted_by(|one, other| one < other) {
            return Err(format!("the accounts are listed as {}", accounts.join(", ")));
        }
        let has_both = accounts.contains(&first.as_str()) && accounts.contains(&second.as_str());
        if has_both { Ok(()) } else { Err(format!("{first} and {second} are online, but the pages have {accounts:?}")) }
    }

    /// The commands that must have no effect were for the third account.
    async fn check_nothing_done(&self) -> CheckResult {
        let account = json!(self.account(2));
        let is_listed = self.list_sessions(1_000).await?.iter().any(|session| session.get("account") == Some(&account));
        let reported = self
            .handler
            .with_state(|state| state.reports.iter().find(|it| it.get("account") == Some(&account)).cloned());
        match reported {
            _ if is_listed => Err("a session is open although its command was rejected".to_owned()),
            Some(report) => Err(format!("it reported {report}")),
            None => Ok(()),
        }
    }

    async fn check_sent_again(&self) -> CheckResult {
        let before = self.handler.with_state(|state| {
            state.scripted_outcomes.extend([BatchOutcome::Unavailable, BatchOutcome::Lost]);
            state.batches.len()
        });
        let session = json!(self.first_number);
        let command =
            self.build_command("disconnect", 0, &self.first_number.to_string(), &[("session", session.clone())]);
        expect_accepted(&self.client.send_signed(&command).await?)?;
        let patience = 3 * self.options.patience;
        let accepted = |state: &HandlerState| {
            state.batches.get(before + 2).filter(|batch| batch.outcome == BatchOutcome::Accepted).map(|_| ())
        };
        self.handler.wait_until(patience, accepted).await.ok_or("they were not sent again in time")?;
        let batches: Vec<ReceivedBatch> = self.handler.with_state(|state| state.batches[before..before + 3].to_vec());
        let [first, second, third] = &batches[..] else { return Err("they were not sent again".to_owned()) };
        if first.first_sequence != second.first_sequence || second.first_sequence != third.first_sequence {
            return Err(format!(
                "they begin at {}, then {}, then {}",
                first.first_sequence, second.first_sequence, third.first_sequence
            ));
        }
        if first.id != second.id || second.id != third.id {
            return Err("each attempt has another webhook-id".to_owned());
        }
        if first.signature == second.signature || second.signature == third.signature {
            return Err("they have the same signature".to_owned());
        }
        self.wait_for_report("disconnected", 0, &[("session", session)]).await
    }

    async fn check_closed(&self) -> CheckResult {
        let account = json!(self.account(0));
        let is_listed = self.list_sessions(1_000).await?.iter().any(|session| session.get("account") == Some(&account));
        if is_listed { Err("it is reported disconnected, but listed".to_owned()) } else { Ok(()) }
    }

    /// Needs no wait: reports arrive in order, and a later report has arrived.
    fn check_once(&self) -> CheckResult {
        let (account, session) = (json!(self.account(0)), json!(self.first_number));
        let is_connected = |report: &&Value| {
            report.get("type") == Some(&json!("connected"))
                && report.get("account") == Some(&account)
                && report.get("session") == Some(&session)
        };
        match self.handler.with_state(|state| state.reports.iter().filter(is_connected).count()) {
            1 => Ok(()),
            times => Err(format!("the session was reported connected {times} times")),
        }
    }

    async fn check_gap(&self) -> CheckResult {
        let before = self.handler.with_state(|state| {
            state.scripted_outcomes.push_back(BatchOutcome::Gap);
            state.batches.len()
        });
        let session = self.first_number + 1;
        expect_accepted(&self.client.send_signed(&self.build_connect(0, session)).await?)?;
        self.wait_for_report("connected", 0, &[("session", json!(session))]).await?;
        let batches: Vec<ReceivedBatch> = self.handler.with_state(|state| state.batches[before..].to_vec());
        let gap = batches.iter().position(|batch| batch.outcome == BatchOutcome::Gap).ok_or("nothing was reported")?;
        match batches.get(gap + 1) {
            Some(next) if next.first_sequence == batches[gap].first_sequence => Ok(()),
            Some(next) => {
                Err(format!("{} was expected, but it sent from {}", batches[gap].first_sequence, next.first_sequence))
            }
            None => Err("nothing followed it".to_owned()),
        }
    }

    async fn check_code_sent(&self) -> CheckResult {
        let task = json!(self.first_number);
        let fields = [
            ("task", task.clone()),
            ("method", json!("sms")),
            ("account_type", json!("business")),
            ("calling_code", json!("+86")),
            ("country", json!("CN")),
        ];
        let command = self.build_command("request_code", 1, &self.first_number.to_string(), &fields);
        expect_accepted(&self.client.send_signed(&command).await?)?;
        self.wait_for_report("code_sent", 1, &[("task", task)]).await
    }

    async fn check_code(&self, attempt: u32, code: &str, kind: &str) -> CheckResult {
        let task = json!(self.first_number);
        let fields = [("task", task.clone()), ("attempt", json!(attempt)), ("code", json!(code))];
        let command = self.build_command("submit_code", 1, &format!("{}-{attempt}", self.first_number), &fields);
        expect_accepted(&self.client.send_signed(&command).await?)?;
        let attempt = ("attempt", json!(attempt));
        let expected = if kind == "registered" { vec![("task", task)] } else { vec![("task", task), attempt] };
        self.wait_for_report(kind, 1, &expected).await
    }

    /// Checks that the gateway did not violate the protocol. `select` returns the violations of one kind.
    fn check_no_violation(&self, select: impl Fn(&ProtocolViolation) -> Option<&String>) -> CheckResult {
        let faults: Vec<String> =
            self.handler.with_state(|state| state.violations.iter().filter_map(select).cloned().collect());
        match faults.first() {
            None => Ok(()),
            Some(first) if faults.len() == 1 => Err(first.clone()),
            Some(first) => Err(format!("{first}; and {} more", faults.len() - 1)),
        }
    }

    /// Closes the sessions that the checks opened.
    async fn close_sessions(&self) {
        for (offset, session) in [(0, self.first_number + 1), (1, self.first_number)] {
            let command =
                self.build_command("disconnect", offset, &session.to_string(), &[("session", json!(session))]);
            // A rejection needs no report here: an earlier check reports it.
            let _reply = self.client.send_signed(&command).await;
        }
    }

    // === Helpers ===

    /// The account under test for `offset` 0, or a number after it.
    fn account(&self, offset: u64) -> String {
        (self.options.account + offset).to_string()
    }

    fn build_connect(&self, offset: u64, session: u32) -> Value {
        let fields = [
            ("session", json!(session)),
            ("account_type", json!("business")),
            ("public_key", json!("")),
            ("message_public_key", json!("")),
            ("private_key", json!("")),
            ("message_private_key", json!("")),
            ("device_params", json!("")),
            ("of_a_later_version", json!({"is": "ignored"})),
        ];
        self.build_command("connect", offset, &session.to_string(), &fields)
    }

    /// Builds a command. Its id ends with `id_suffix`.
    fn build_command(&self, kind: &str, offset: u64, id_suffix: &str, fields: &[(&str, Value)]) -> Value {
        let account = self.account(offset);
        let id = format!("{kind}-{account}-{id_suffix}");
        // The deadline is always the same, so that a command can be repeated unchanged.
        let deadline = write_time(self.connected_at.plus(Duration::from_secs(3_600)));
        let mut command = json!({"id": id, "type": kind, "account": account, "deadline": deadline});
        fields.iter().for_each(|(name, value)| command[*name] = value.clone());
        command
    }

    /// Lists all sessions, in pages of at most `limit`.
    async fn list_sessions(&self, limit: u32) -> Result<Vec<Value>, String> {
        let (mut sessions, mut after) = (Vec::new(), Value::Null);
        for page in 0..CHECK_PAGES {
            let id = format!("list_sessions-{}-{limit}-{page}-{}", self.first_number, clock::now().0);
            let deadline = write_time(clock::now().plus(self.options.patience));
            let command =
                json!({"id": id, "type": "list_sessions", "deadline": deadline, "after": after, "limit": limit});
            let GatewayReply { status, body } = self.client.send_signed(&command).await?;
            if status != 200 {
                return Err(format!("list_sessions got the response {status}"));
            }
            let entries = body.get("sessions").and_then(Value::as_array).ok_or("the response has no sessions")?;
            if entries.len() > limit as usize {
                return Err(format!("a page of {limit} has {} sessions", entries.len()));
            }
            sessions.extend(entries.iter().cloned());
            match body.get("next") {
                None | Some(Value::Null) => return Ok(sessions),
                Some(next) if *next == after => return Err("the same page is repeated".to_owned()),
                Some(next) => after = next.clone(),
            }
        }
        Err(format!("the list has more than {CHECK_PAGES} pages"))
    }

    /// Waits for a report of this type about this account with these fields.
    async fn wait_for_report(&self, kind: &str, offset: u64, fields: &[(&str, Value)]) -> CheckResult {
        let account = json!(self.account(offset));
        let is_of_account = |report: &&Value| report.get("account") == Some(&account);
        let is_expected = |report: &Value| {
            report.get("type") == Some(&json!(kind))
                && fields.iter().all(|(name, value)| report.get(*name) == Some(value))
        };
        let found = |state: &HandlerState| state.reports.iter().filter(is_of_account).any(is_expected).then_some(());
        if self.handler.wait_until(self.options.patience, found).await.is_some() {
            return Ok(());
        }
        Err(match self.handler.with_state(|state| state.reports.iter().rev().find(is_of_account).cloned()) {
            Some(last) => format!("{kind} was not reported in time; the account's last report is {last}"),
            None => format!("{kind} was not reported in time, and there is no other report of the account"),
        })
    }
}

fn expect_accepted(reply: &GatewayReply) -> CheckResult {
    match (reply.status, reply.error_message()) {
        (202, _) => Ok(()),
        (status, Some(message)) => Err(format!("the response was {status}: {message}")),
        (status, None) => Err(format!("the response was {status}")),
    }
}

fn expect_error(reply: &GatewayReply, is_right: impl Fn(u16) -> bool) -> CheckResult {
    match (is_right(reply.status), reply.error_message()) {
        (true, Some(_)) => Ok(()),
        (true, None) => Err(format!("the response was {} without a message in \"error\"", reply.status)),
        (false, _) => Err(format!("the response was {}", reply.status)),
    }
}
