//! The checks, carried out one after the other.
//!
//! They tell one story: an account comes online and goes, another beside it, a number is registered. What a check finds
//! out late, as that nothing happened twice, is looked up once something later has happened, and never waited for.

use std::time::Duration;

use serde_json::{Value, json};

use super::checks::{CHECKS, Check, Whom};
use super::desk::{Batch, Desk, Fate, Fault, Seen};
use super::peer::{Peer, Signed, Told};
use super::{Finding, Trial};
use crate::audit::write_time;
use crate::clock;
use crate::domain::Timestamp;
use crate::limits::CHECK_PAGES;

/// Why a check failed: what was seen.
type Outcome = Result<(), String>;

struct Suite<'s> {
    trial: &'s Trial,
    desk: &'s Desk,
    peer: &'s Peer,
    /// Sessions and tasks that no gateway has had before, on whatever day it was tried last.
    first: u32,
    /// When `connect` was signed.
    connected_at: Timestamp,
}

/// Tries the gateway with each check that is for its kind, and tells what comes of it.
pub(super) async fn run(trial: &Trial, desk: &Desk, peer: &Peer, mut tell: impl FnMut(&Finding)) {
    let now = clock::now();
    let first = u32::try_from(now.0 / 1_000_000).unwrap_or(u32::MAX / 2);
    let suite = Suite { trial, desk, peer, first, connected_at: now };
    for (check, name, sentence, whom) in CHECKS {
        let is_for_it = match whom {
            Whom::Both => true,
            Whom::Pushed => peer.is_push(),
            Whom::Pulls => !peer.is_push(),
        };
        if is_for_it {
            let outcome = suite.check(check).await;
            let (passed, seen) = (outcome.is_ok(), outcome.err().unwrap_or_default());
            tell(&Finding { check: name, sentence, passed, seen });
        }
    }
    suite.leave().await;
}

impl Suite<'_> {
    async fn check(&self, check: Check) -> Outcome {
        match check {
            Check::Fetches => self.fetches().await,
            Check::Unsigned => self.refused(Signed::Not).await,
            Check::Forged => self.refused(Signed::WithAnotherSecret).await,
            Check::Stale => self.refused(Signed::LongAgo).await,
            Check::Malformed => self.malformed().await,
            Check::UnknownType => self.unknown_type().await,
            Check::TooLate => self.too_late().await,
            Check::Connect => self.connect().await,
            Check::Replayed => self.replayed().await,
            Check::Repeated => self.repeated().await,
            Check::Listed => self.listed().await,
            Check::Paged => self.paged().await,
            Check::NothingDone => self.nothing_done().await,
            Check::SentAgain => self.sent_again().await,
            Check::Closed => self.closed().await,
            Check::Once => self.once(),
            Check::Gap => self.gap().await,
            Check::CodeSent => self.code_sent().await,
            Check::WrongCode => self.code(1, &self.trial.wrong_code, "registration_failed").await,
            Check::RightCode => self.code(2, &self.trial.code, "registered").await,
            Check::Sequences => self.no_fault(|fault| match fault {
                Fault::Sequence(what) => Some(what),
                Fault::Signature(_) | Fault::Form(_) => None,
            }),
            Check::Signatures => self.no_fault(|fault| match fault {
                Fault::Signature(what) => Some(what),
                Fault::Sequence(_) | Fault::Form(_) => None,
            }),
            Check::Form => self.no_fault(|fault| match fault {
                Fault::Form(what) => Some(what),
                Fault::Signature(_) | Fault::Sequence(_) => None,
            }),
        }
    }

    async fn fetches(&self) -> Outcome {
        let fetched = self.desk.until(self.trial.patience, |seen| seen.has_fetched.then_some(())).await;
        fetched.ok_or_else(|| "it did not ask in time".to_owned())
    }

    async fn refused(&self, signed: Signed) -> Outcome {
        let told = self.peer.send(&self.connect_command(2, self.first), signed).await?;
        if told.status == 401 { Ok(()) } else { Err(format!("it was answered {}", told.status)) }
    }

    async fn malformed(&self) -> Outcome {
        let told = self.peer.ask(&json!({"id": format!("nothing-{}", self.first)})).await?;
        with_sentence(&told, |status| status == 400)
    }

    async fn unknown_type(&self) -> Outcome {
        let mut command = self.connect_command(2, self.first);
        command["type"] = json!("levitate");
        command["id"] = json!(format!("levitate-{}-{}", self.account(2), self.first));
        with_sentence(&self.peer.ask(&command).await?, |status| (400..500).contains(&status) && status != 401)
    }

    async fn too_late(&self) -> Outcome {
        let mut command = self.connect_command(2, self.first);
        command["deadline"] = json!(write_time(Timestamp(clock::now().0 - 60_000_000)));
        with_sentence(&self.peer.ask(&command).await?, |status| status == 410 || !self.peer.is_push())
    }

    async fn connect(&self) -> Outcome {
        let told = self.peer.send(&self.connect_command(0, self.first), Signed::At(self.connected_at)).await?;
        taken_over(&told)?;
        self.reported("connected", 0, &[("session", json!(self.first))]).await
    }

    async fn replayed(&self) -> Outcome {
        let told = self.peer.send(&self.connect_command(0, self.first), Signed::At(self.connected_at)).await?;
        if told.status == 401 { Ok(()) } else { Err(format!("it was answered {}", told.status)) }
    }

    /// Signed a second later: timestamps have whole ones, and within the same it would be the very same request.
    async fn repeated(&self) -> Outcome {
        let signed = Signed::At(self.connected_at.plus(Duration::from_secs(1)));
        taken_over(&self.peer.send_again(&self.connect_command(0, self.first), signed).await?)
    }

    async fn listed(&self) -> Outcome {
        let sessions = self.sessions(1_000).await?;
        let account = self.account(0);
        let session = sessions.iter().find(|session| session.get("account") == Some(&json!(account)));
        let session = session.ok_or("the account that is online is not in the list")?;
        let is_right = session.get("state") == Some(&json!("connected"))
            && session.get("session").is_some_and(|number| number.is_null() || *number == json!(self.first));
        if is_right { Ok(()) } else { Err(format!("it has {session}")) }
    }

    /// With a second account online beside the first.
    async fn paged(&self) -> Outcome {
        taken_over(&self.peer.ask(&self.connect_command(1, self.first)).await?)?;
        self.reported("connected", 1, &[("session", json!(self.first))]).await?;
        let sessions = self.sessions(1).await?;
        let accounts: Vec<&str> = sessions.iter().filter_map(|it| it.get("account").and_then(Value::as_str)).collect();
        let [first, second] = [self.account(0), self.account(1)];
        if !accounts.is_sorted_by(|one, other| one < other) {
            return Err(format!("the accounts are listed as {}", accounts.join(", ")));
        }
        let has_both = accounts.contains(&first.as_str()) && accounts.contains(&second.as_str());
        if has_both { Ok(()) } else { Err(format!("{first} and {second} are online, and the pages have {accounts:?}")) }
    }

    /// The third account is the one of all commands that were refused.
    async fn nothing_done(&self) -> Outcome {
        let account = json!(self.account(2));
        let is_listed = self.sessions(1_000).await?.iter().any(|session| session.get("account") == Some(&account));
        let reported =
            self.desk.with(|seen| seen.reports.iter().find(|it| it.get("account") == Some(&account)).cloned());
        match reported {
            _ if is_listed => Err("a session is open that was refused".to_owned()),
            Some(report) => Err(format!("it reported {report}")),
            None => Ok(()),
        }
    }

    async fn sent_again(&self) -> Outcome {
        let before = self.desk.with(|seen| {
            seen.script.extend([Fate::Later, Fate::Lost]);
            seen.batches.len()
        });
        let session = json!(self.first);
        let command = self.command("disconnect", 0, &self.first.to_string(), &[("session", session.clone())]);
        taken_over(&self.peer.ask(&command).await?)?;
        let patience = 3 * self.trial.patience;
        let taken = |seen: &Seen| seen.batches.get(before + 2).filter(|batch| batch.fate == Fate::Taken).map(|_| ());
        self.desk.until(patience, taken).await.ok_or("they did not come again in time")?;
        let batches: Vec<Batch> = self.desk.with(|seen| seen.batches[before..before + 3].to_vec());
        let [one, two, three] = &batches[..] else { return Err("they did not come again".to_owned()) };
        if one.first != two.first || two.first != three.first {
            return Err(format!("they begin at {}, then {}, then {}", one.first, two.first, three.first));
        }
        if one.id != two.id || two.id != three.id {
            return Err("each time they have another webhook-id".to_owned());
        }
        if one.signature == two.signature || two.signature == three.signature {
            return Err("they have the same signature".to_owned());
        }
        self.reported("disconnected", 0, &[("session", session)]).await
    }

    async fn closed(&self) -> Outcome {
        let account = json!(self.account(0));
        let is_listed = self.sessions(1_000).await?.iter().any(|session| session.get("account") == Some(&account));
        if is_listed { Err("it is reported disconnected, and listed".to_owned()) } else { Ok(()) }
    }

    /// Reports come in order, and a later one is there.
    fn once(&self) -> Outcome {
        let (account, session) = (json!(self.account(0)), json!(self.first));
        let is_it = |report: &&Value| {
            report.get("type") == Some(&json!("connected"))
                && report.get("account") == Some(&account)
                && report.get("session") == Some(&session)
        };
        match self.desk.with(|seen| seen.reports.iter().filter(is_it).count()) {
            1 => Ok(()),
            times => Err(format!("the session was reported connected {times} times")),
        }
    }

    async fn gap(&self) -> Outcome {
        let before = self.desk.with(|seen| {
            seen.script.push_back(Fate::Gap);
            seen.batches.len()
        });
        let session = self.first + 1;
        taken_over(&self.peer.ask(&self.connect_command(0, session)).await?)?;
        self.reported("connected", 0, &[("session", json!(session))]).await?;
        let batches: Vec<Batch> = self.desk.with(|seen| seen.batches[before..].to_vec());
        let gap = batches.iter().position(|batch| batch.fate == Fate::Gap).ok_or("nothing was reported")?;
        match batches.get(gap + 1) {
            Some(next) if next.first == batches[gap].first => Ok(()),
            Some(next) => Err(format!("{} was expected, and it sent from {}", batches[gap].first, next.first)),
            None => Err("nothing came after it".to_owned()),
        }
    }

    async fn code_sent(&self) -> Outcome {
        let task = json!(self.first);
        let fields = [
            ("task", task.clone()),
            ("method", json!("sms")),
            ("account_type", json!("business")),
            ("calling_code", json!("+86")),
            ("country", json!("CN")),
        ];
        let command = self.command("request_code", 1, &self.first.to_string(), &fields);
        taken_over(&self.peer.ask(&command).await?)?;
        self.reported("code_sent", 1, &[("task", task)]).await
    }

    async fn code(&self, attempt: u32, code: &str, kind: &str) -> Outcome {
        let task = json!(self.first);
        let fields = [("task", task.clone()), ("attempt", json!(attempt)), ("code", json!(code))];
        let command = self.command("submit_code", 1, &format!("{}-{attempt}", self.first), &fields);
        taken_over(&self.peer.ask(&command).await?)?;
        let attempt = ("attempt", json!(attempt));
        let expected = if kind == "registered" { vec![("task", task)] } else { vec![("task", task), attempt] };
        self.reported(kind, 1, &expected).await
    }

    fn no_fault(&self, of: impl Fn(&Fault) -> Option<&String>) -> Outcome {
        let faults: Vec<String> = self.desk.with(|seen| seen.faults.iter().filter_map(of).cloned().collect());
        match faults.first() {
            None => Ok(()),
            Some(first) if faults.len() == 1 => Err(first.clone()),
            Some(first) => Err(format!("{first}; and {} more", faults.len() - 1)),
        }
    }

    /// Closes what the checks have opened.
    async fn leave(&self) {
        for (which, session) in [(0, self.first + 1), (1, self.first)] {
            let command = self.command("disconnect", which, &session.to_string(), &[("session", json!(session))]);
            // A gateway that does not take it was told of before.
            let _told = self.peer.ask(&command).await;
        }
    }

    // === What they are made of ===

    /// The account under test, and those after it.
    fn account(&self, which: u64) -> String {
        (self.trial.account + which).to_string()
    }

    fn connect_command(&self, which: u64, session: u32) -> Value {
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
        self.command("connect", which, &session.to_string(), &fields)
    }

    fn command(&self, kind: &str, which: u64, of: &str, fields: &[(&str, Value)]) -> Value {
        let account = self.account(which);
        let id = format!("{kind}-{account}-{of}");
        // Always the same, so that a command can come again as it was.
        let deadline = write_time(self.connected_at.plus(Duration::from_secs(3_600)));
        let mut command = json!({"id": id, "type": kind, "account": account, "deadline": deadline});
        fields.iter().for_each(|(name, value)| command[*name] = value.clone());
        command
    }

    /// All sessions, so many a page.
    async fn sessions(&self, limit: u32) -> Result<Vec<Value>, String> {
        let (mut sessions, mut after) = (Vec::new(), Value::Null);
        for page in 0..CHECK_PAGES {
            let id = format!("list_sessions-{}-{limit}-{page}-{}", self.first, clock::now().0);
            let deadline = write_time(clock::now().plus(self.trial.patience));
            let command =
                json!({"id": id, "type": "list_sessions", "deadline": deadline, "after": after, "limit": limit});
            let Told { status, body } = self.peer.ask(&command).await?;
            if status != 200 {
                return Err(format!("list_sessions was answered {status}"));
            }
            let listed = body.get("sessions").and_then(Value::as_array).ok_or("the answer has no sessions")?;
            if listed.len() > limit as usize {
                return Err(format!("a page of {limit} has {} sessions", listed.len()));
            }
            sessions.extend(listed.iter().cloned());
            match body.get("next") {
                None | Some(Value::Null) => return Ok(sessions),
                Some(next) if *next == after => return Err("the same page comes again and again".to_owned()),
                Some(next) => after = next.clone(),
            }
        }
        Err(format!("the list does not end within {CHECK_PAGES} pages"))
    }

    /// Waits for a report of this type about an account, with these fields.
    async fn reported(&self, kind: &str, which: u64, fields: &[(&str, Value)]) -> Outcome {
        let account = json!(self.account(which));
        let of_it = |report: &&Value| report.get("account") == Some(&account);
        let is_it = |report: &Value| {
            report.get("type") == Some(&json!(kind))
                && fields.iter().all(|(name, value)| report.get(*name) == Some(value))
        };
        let found = |seen: &Seen| seen.reports.iter().filter(of_it).any(is_it).then_some(());
        if self.desk.until(self.trial.patience, found).await.is_some() {
            return Ok(());
        }
        Err(match self.desk.with(|seen| seen.reports.iter().rev().find(of_it).cloned()) {
            Some(last) => format!("{kind} was not reported in time; the last report of the account is {last}"),
            None => format!("{kind} was not reported in time, nor anything else of the account"),
        })
    }
}

fn taken_over(told: &Told) -> Outcome {
    match (told.status, told.sentence()) {
        (202, _) => Ok(()),
        (status, Some(sentence)) => Err(format!("it was answered {status}: {sentence}")),
        (status, None) => Err(format!("it was answered {status}")),
    }
}

fn with_sentence(told: &Told, is_right: impl Fn(u16) -> bool) -> Outcome {
    match (is_right(told.status), told.sentence()) {
        (true, Some(_)) => Ok(()),
        (true, None) => Err(format!("it was answered {} without a sentence in \"error\"", told.status)),
        (false, _) => Err(format!("it was answered {}", told.status)),
    }
}
