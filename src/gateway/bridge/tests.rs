//! The bridge protocol in both directions, and the command queue under random operations.

mod queue;

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::command_response::{CommandResponse, interpret_response};
use super::protocol::{AckOutcome, read_acks, to_json};
use super::queued_command::{CommandPayload, QueuedCommand};
use super::reports::{ReportContent, read_batch};
use super::sessions::SessionPage;
use crate::clock::Moment;
use crate::domain::{
    Account, AccountNumber, AccountType, Command, ContentField, ContentTexts, DecisionContext, GatewayOffer,
    GatewayOffers, GatewayRouting, PendingEffect, Reason, Report, TaskId, Timestamp, VerifyType, decide,
};
use crate::gateway::remote_gateway::GatewaySessionState;
use crate::limits::{BRIDGE_TEXT_BYTES, REASON_BYTES};
use crate::testkit::fixture::StorageFixture;
use crate::vault::{PlaintextContent, Vault};

const NOW: Timestamp = Timestamp(1_764_046_168_934_966);

fn golden(name: &str, text: &str) {
    insta::with_settings!({snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

/// A state with every kind of pending effect, and these effects.
fn account_with_pending_effects(vault: &Vault, device_params: Option<&str>) -> (Account, Vec<PendingEffect>) {
    let account = AccountNumber::EXAMPLE;
    let content = PlaintextContent {
        account_type: AccountType::Business,
        texts: ContentTexts::from_fn(|field| match field {
            ContentField::Name => Some("lee"),
            ContentField::PublicKey => Some("public"),
            ContentField::PrivateKey => Some("private \u{1f511} \"quoted\""),
            ContentField::MsgPublicKey => Some(""),
            ContentField::MsgPrivateKey => Some("message private"),
            ContentField::AccountId => Some("17"),
            ContentField::RegistrationId => Some(""),
            ContentField::DeviceParams => device_params,
            ContentField::Avatar | ContentField::NextKeyId => None,
        }),
    };
    let content = vault.seal_content(account, &content).unwrap();
    let code = vault.seal_code(account, "123456").unwrap().unwrap();
    let mut state = Account::initial();
    let (mut effects, offers) = (Vec::new(), GatewayOffers::new(|_| &GatewayOffer::EVERYTHING));
    for command in [
        Command::BringOnline { content: Some(content), replace: false, reason: Reason::none(), labels: None },
        Command::Register {
            task: TaskId::new(7).unwrap(),
            verify_type: VerifyType::MissedCall,
            account_type: AccountType::Personal,
            calling_code: "+86".parse().unwrap(),
            country: "CN".to_owned(),
            lifetime: std::time::Duration::from_secs(600),
            reason: Reason::none(),
        },
        Command::SubmitCode { code, reason: Reason::none() },
        Command::Recycle { comes_back: false, reason: Reason::none() },
    ] {
        let choice = GatewayRouting::default().choice_for(account);
        let context = DecisionContext { now: NOW, choice, offers: &offers, lost_numbers: 0 };
        let events = decide(&state, &command, context).unwrap();
        events.iter().for_each(|event| state.evolve(event));
        effects.extend(state.pending_effects().into_iter().filter(|it| !effects.contains(it)).collect::<Vec<_>>());
    }
    (state, effects)
}

#[test]
fn commands_as_they_are_sent() {
    let StorageFixture { vault, .. } = &StorageFixture::new();
    let mut text = String::new();
    // The elapsed time is not sent.
    let at = Moment { wall: NOW, steady: Timestamp(7) };
    for device_params in [Some("parameters"), None] {
        let (state, effects) = account_with_pending_effects(vault, device_params);
        let commands =
            effects.iter().map(|effect| QueuedCommand::for_effect(AccountNumber::EXAMPLE, &state, effect, at).unwrap());
        let first = QueuedCommand {
            id: "list_sessions-1".to_owned(),
            account: None,
            deadline: at,
            payload: CommandPayload::ListSessions { after: None, limit: 9 },
        };
        let second = CommandPayload::ListSessions { after: Some(AccountNumber::EXAMPLE), limit: 9 };
        let second = QueuedCommand { id: "list_sessions-2".to_owned(), payload: second, ..first.clone() };
        let any = QueuedCommand::close(AccountNumber::EXAMPLE, None, at);
        for command in commands.chain([any, first, second]) {
            let body = to_json(&command.unseal(vault).unwrap().to_message());
            assert_eq!(body.capacity(), body.len(), "no copy was left behind while it grew");
            let json: Value = serde_json::from_slice(&body).unwrap();
            writeln!(text, "{json}\n  refused: {:?}", command.rejection_report("no pairing")).unwrap();
            assert!(!format!("{command:?}").contains("private"), "{command:?}");
        }
    }
    golden("bridge_commands", &text);
}

/// Each error names the field and never repeats the value.
#[test]
fn errors_name_the_field() {
    let report = |fields: &str| {
        format!(
            r#"{{"stream":"a","reports":[{{"sequence":1,"time":"2026-11-25T03:41:00Z","account":"861821726231",{fields}}}]}}"#
        )
    };
    let good = [
        r#""type":"connected","session":3,"instance_code":"I-3","later":{"a":[1]}"#,
        r#""type":"connected","session":null"#,
        r#""type":"disconnected","reason":"1001""#,
        r#""type":"banned","reason":"spam","instance_code":"I""#,
        r#""type":"ban_lifted""#,
        r#""type":"code_sent","task":7"#,
        r#""type":"registered","task":7"#,
        r#""type":"registration_failed","task":7,"reason":"no line""#,
        r#""type":"registration_failed","task":7,"attempt":2,"reason":"wrong""#,
        r#""type":"banned","reason":"half of a pair: \ud83d""#,
        r#""type":"open","task":7"#,
        r#""type":"S3CRET""#,
        r#""type":"disconnected","reason":null"#,
        r#""type":"banned","session":"odd","task":1e999,"attempt":[1]"#,
        r#""type":"connected","task":"odd","reason":{"a":1}"#,
        r#""type":"registration_failed","task":7,"session":-1,"instance_code":7,"reason":"no line""#,
    ];
    let mut text = String::new();
    for fields in good {
        let batch = read_batch(report(fields).as_bytes()).unwrap();
        let outcome = match &batch.reports[0].content {
            ReportContent::Known { report, .. } => format!("{report:?}"),
            unknown @ ReportContent::Unknown { .. } => format!("{unknown:?}"),
        };
        assert!(!outcome.contains("S3CRET"), "{outcome}");
        writeln!(text, "{fields}\n  {outcome}").unwrap();
    }
    let bad = [
        r#""type":1"#,
        r#""type":"disconnected","reason":7"#,
        r#""type":"connected","session":1,"session":2"#,
        r#""type":"registration_failed","task":7,"attempt":"first""#,
        r#""type":"code_sent""#,
        r#""type":"code_sent","task":0"#,
        r#""type":"code_sent","task":-1"#,
        r#""type":"code_sent","task":1.5"#,
        r#""type":"code_sent","task":"S3CRET""#,
        r#""type":"code_sent","task":4294967296"#,
        r#""type":"connected","session":{"S3CRET":1}"#,
        r#""type":"connected","instance_code":["S3CRET"]"#,
        r#""type":"connected","type":"banned""#,
        r#""session":3"#,
    ];
    let bodies = bad.map(report).into_iter().chain(
        [
            "",
            "[]",
            "\"S3CRET\"",
            "{",
            "{}",
            r#"{"stream":"a"}"#,
            r#"{"stream":"","reports":[]}"#,
            r#"{"stream":"a b","reports":[]}"#,
            r#"{"stream":"a","reports":{}}"#,
            r#"{"stream":"a","reports":[]}"#,
            r#"{"stream":"a","reports":[1]}"#,
            r#"{"stream":"a","reports":[{}]}"#,
            r#"{"stream":"a","reports":[{"sequence":0}]}"#,
            r#"{"stream":"a","reports":[{"sequence":1,"time":"yesterday"}]}"#,
            r#"{"stream":"a","reports":[{"sequence":1,"time":"2026-11-25T03:41:00Z","account":"+86"}]}"#,
            r#"{"stream":"a","reports":[]} S3CRET"#,
        ]
        .map(str::to_owned),
    );
    let line = r#"{"sequence":N,"time":"2026-11-25T03:41:00Z","account":"861821726231","type":"ban_lifted"}"#;
    let batch = |numbers: &[u64]| {
        let lines: Vec<String> = numbers.iter().map(|number| line.replace('N', &number.to_string())).collect();
        format!(r#"{{"stream":"a","reports":[{}]}}"#, lines.join(","))
    };
    let many: Vec<u64> = (1..=1_001).collect();
    let unordered = [batch(&[1, 3]), batch(&[2, 1]), batch(&[1, 1]), batch(&[u64::MAX, 0]), batch(&many)];
    for body in bodies.chain(unordered) {
        let fault = read_batch(body.as_bytes()).unwrap_err().to_string();
        assert!(!fault.contains("S3CRET"), "{fault}");
        writeln!(text, "{}\n  {fault}", &body[..body.len().min(200)]).unwrap();
    }
    text += "=== acknowledgements\n";
    for body in [
        r#"{"acks":[]}"#,
        r#"{"acks":[{"lease":"a-1"},{"lease":"a-2","error":"no"},{"lease":"a-3","sessions":[],"next":null}]}"#,
        r#"{"acks":[{"lease":"a-1","sessions":[{"account":"861821726231","session":null,"state":"banned","reason":"spam"}],"next":"861821726231"}]}"#,
        "{}",
        r#"{"acks":[{}]}"#,
        r#"{"acks":[{"lease":"a-1","error":"no","sessions":[]}]}"#,
        r#"{"acks":[{"lease":"a-1","error":"no","next":7}]}"#,
        r#"{"acks":[{"lease":"a-1","sessions":[],"next":7}]}"#,
        r#"{"acks":[{"lease":"a-1","sessions":[{"account":"861821726231","state":"connected","reason":7}]}]}"#,
        r#"{"acks":[{"lease":"a-1","sessions":[{"account":"861821726231","state":"banned","reason":7}]}]}"#,
        r#"{"acks":[{"lease":"a-1","sessions":[{"account":"861821726231"}]}]}"#,
        r#"{"acks":[{"lease":"a-1","sessions":[{"account":"861821726231","state":"S3CRET"}]}]}"#,
    ] {
        let outcome = read_acks(body.as_bytes()).map_or_else(|fault| fault.to_string(), |acks| format!("{acks:?}"));
        assert!(!outcome.contains("S3CRET"), "{outcome}");
        writeln!(text, "{body}\n  {outcome}").unwrap();
    }
    text += "=== sessions\n";
    for body in [r#"{"sessions":[]}"#, "{}", r#"{"sessions":[],"next":7}"#, r#"{"sessions":[{"state":"connected"}]}"#] {
        let outcome =
            SessionPage::read(body.as_bytes()).map_or_else(|fault| fault.to_string(), |page| format!("{page:?}"));
        writeln!(text, "{body}\n  {outcome}").unwrap();
    }
    golden("bridge_faults", &text);
}

/// A report of an unknown type never stops the stream, whatever its fields hold. The fields that all reports have are read.
#[test]
fn reports_of_unknown_types_are_read_whatever_they_have() {
    let values =
        [r#""abc""#, r#""4917@s.whatsapp.net""#, "7", "-1", "1.5", "1e999", "true", "null", "[1,{}]", r#"{"a":[]}"#];
    let fields = ["account", "session", "instance_code", "reason", "task", "attempt", "wings"];
    let read = |report: String| read_batch(format!(r#"{{"stream":"a","reports":[{report}]}}"#).as_bytes());
    for (field, value) in fields.iter().flat_map(|field| values.map(|value| (field, value))) {
        // The type may come last, and a key twice.
        let odd = format!(
            r#"{{"{field}":{value},"{field}":{value},"sequence":7,"time":"2026-11-25T03:41:00Z","type":"flies"}}"#
        );
        let batch = read(odd.clone()).unwrap_or_else(|fault| panic!("{odd}: {fault}"));
        let content = ReportContent::Unknown { account: None, kind: "flies".to_owned() };
        assert_eq!((batch.reports[0].sequence, &batch.reports[0].content), (7, &content), "{odd}");
    }
    // The end of year 9999 means "always". It becomes the last time that can be represented.
    for (time, micros) in
        [("9999-12-31T23:59:59Z", 253_402_207_200_999_999), ("2026-11-25T03:41:00Z", 1_795_578_060_000_000)]
    {
        let batch = read(format!(r#"{{"sequence":7,"time":"{time}","type":"flies"}}"#)).unwrap();
        assert_eq!(batch.reports[0].made_at, Timestamp(micros), "{time}");
    }
}

/// A long text does not make a body invalid: it is truncated between two characters.
#[test]
fn texts_that_are_too_long_are_cut() {
    let long = "é".repeat(BRIDGE_TEXT_BYTES);
    let body = json!({"stream": "a", "reports": [
        {"sequence": 1, "time": "2026-11-25T03:41:00Z", "account": "861821726231", "type": "disconnected",
            "reason": long, "instance_code": format!("x{long}")},
    ]});
    let batch = read_batch(body.to_string().as_bytes()).unwrap();
    let ReportContent::Known { report: Report::Disconnected { reason, instance_code, .. }, .. } =
        &batch.reports[0].content
    else {
        panic!("{batch:?}");
    };
    assert_eq!(*reason.as_str(), long[..REASON_BYTES]);
    assert_eq!(*instance_code, format!("x{}", &long[..BRIDGE_TEXT_BYTES - 2]));
    let sessions = json!([{"account": "861821726231", "state": "banned", "reason": long}]);
    let acks = json!({"acks": [{"lease": long, "error": long}, {"lease": "a", "sessions": sessions}]});
    let acks = read_acks(acks.to_string().as_bytes()).unwrap();
    assert_eq!(acks[0].outcome, AckOutcome::Rejected(long[..BRIDGE_TEXT_BYTES].to_owned()));
    let page = SessionPage::read(json!({"sessions": sessions}).to_string().as_bytes()).unwrap();
    assert_eq!(acks[1].outcome, AckOutcome::Sessions(page.clone()));
    assert_eq!(page.sessions[0].state, GatewaySessionState::Banned { reason: Reason::new(long.clone()) });
    let refusal = json!({"error": long}).to_string();
    assert_eq!(
        interpret_response(422, refusal.as_bytes(), None, false),
        Ok(CommandResponse::Rejected(long[..BRIDGE_TEXT_BYTES].to_owned()))
    );
}
