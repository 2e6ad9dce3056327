//! Messages for invalid requests, and the form of responses.

mod answers;
mod connections;
mod forwarded;
mod tls;
mod v1;
mod wire;

use std::fmt::Write as _;

use proptest::prelude::*;
use warp::http::{HeaderMap, HeaderValue, header};

use super::body_type::BodyType;
use super::contract_envelope::EnvelopeKind;
use super::contract_error::Error;
use super::contract_parsing::{
    Query, parse_account_query, parse_details_query, parse_imports, parse_recycle, parse_submit_phone,
    parse_submit_verify_code,
};
use super::request_body;
use crate::api::ImportKind;
use crate::domain::{ContentField, ContentTexts, VerifyType};
use crate::limits::{CONTENT_BYTES, TEXT_BYTES, VERIFY_CODE_BYTES};

/// Entries that these tests allow in a batch.
const MAX_BATCH: usize = 3;

/// Some endpoints, as the golden files name them.
#[derive(Clone, Copy, Debug)]
enum ContractEndpoint {
    BatchInsert,
    QueryWhatsAppStatus,
    BatchOnline,
    BatchRecycle,
    SubmitPhone,
    SubmitVerifyCode,
    Ready,
    Unknown,
}

impl ContractEndpoint {
    fn kind(self) -> EnvelopeKind {
        match self {
            ContractEndpoint::BatchInsert | ContractEndpoint::BatchOnline | ContractEndpoint::BatchRecycle => {
                EnvelopeKind::Batch
            }
            ContractEndpoint::QueryWhatsAppStatus => EnvelopeKind::AccountList,
            ContractEndpoint::SubmitPhone => EnvelopeKind::Task,
            ContractEndpoint::SubmitVerifyCode | ContractEndpoint::Ready | ContractEndpoint::Unknown => {
                EnvelopeKind::Plain
            }
        }
    }
}

/// Validates `body` for `endpoint` without executing it. Returns code and message.
fn check_body(endpoint: ContractEndpoint, body: &[u8]) -> (u16, String) {
    let validated = match endpoint {
        ContractEndpoint::BatchInsert => parse_imports(body, ImportKind::Insert, MAX_BATCH).map(drop),
        ContractEndpoint::BatchOnline => parse_imports(body, ImportKind::Online, MAX_BATCH).map(drop),
        ContractEndpoint::BatchRecycle => parse_recycle(body, MAX_BATCH).map(drop),
        ContractEndpoint::SubmitPhone => parse_submit_phone(body).map(drop),
        ContractEndpoint::SubmitVerifyCode => parse_submit_verify_code(body).map(drop),
        ContractEndpoint::QueryWhatsAppStatus | ContractEndpoint::Ready | ContractEndpoint::Unknown => Ok(()),
    };
    match validated.map_err(Error::Malformed) {
        Ok(()) => (200, "accepted".to_owned()),
        Err(error) => (error.code(), error.message().into_owned()),
    }
}

/// An account of batchOnline; `changes` replace or add fields.
fn account(changes: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("whatsApp", r#""861821726232""#),
        ("override", "false"),
        ("publicKey", r#""""#),
        ("privateKey", r#""""#),
        ("msgPublicKey", r#""""#),
        ("msgPrivateKey", r#""""#),
    ];
    for (key, value) in changes {
        match fields.iter_mut().find(|field| field.0 == *key) {
            Some(field) => field.1 = value,
            None => fields.push((key, value)),
        }
    }
    let fields: Vec<String> =
        fields.iter().filter(|field| !field.1.is_empty()).map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn batch(accounts: &[String]) -> String {
    format!(r#"{{"whatsAppList":[{}]}}"#, accounts.join(","))
}

fn bad_bodies() -> Vec<(ContractEndpoint, String)> {
    use ContractEndpoint::{BatchInsert, BatchOnline, BatchRecycle, SubmitPhone, SubmitVerifyCode};
    let online = |changes: &[(&str, &str)]| (BatchOnline, batch(&[account(changes)]));
    let quoted = |length: usize| format!("\"{}\"", "k".repeat(length));
    let phone = |body: &str| (SubmitPhone, body.to_owned());
    let code = |body: &str| (SubmitVerifyCode, body.to_owned());
    let recycle = |body: &str| (BatchRecycle, body.to_owned());
    let other = || account(&[("whatsApp", "\"861821371272\"")]);
    vec![
        // The body as a whole.
        (BatchOnline, String::new()),
        (BatchOnline, "whatsAppList=861821726232".to_owned()),
        (BatchOnline, "[]".to_owned()),
        (BatchOnline, "\"a secret\"".to_owned()),
        (BatchOnline, "[".repeat(10_000)),
        (BatchOnline, format!("{{\"whatsAppList\":{}", "[".repeat(10_000))),
        (BatchOnline, format!("{{\"more\":{}", "[".repeat(10_000))),
        (BatchOnline, batch(&[account(&[])]) + "}"),
        (BatchOnline, "{}".to_owned()),
        (BatchOnline, r#"{"whatsAppList":null}"#.to_owned()),
        (BatchOnline, r#"{"whatsAppList":"861821726232"}"#.to_owned()),
        (BatchOnline, r#"{"whatsAppList":{"0":{}}}"#.to_owned()),
        (BatchOnline, r#"{"whatsAppList":[],"whatsAppList":[]}"#.to_owned()),
        (BatchOnline, r#"{"whatsAppList":["861821726232"]}"#.to_owned()),
        (BatchOnline, r#"{"whatsAppList":[null]}"#.to_owned()),
        (BatchOnline, batch(&[account(&[]), other(), account(&[])])),
        (BatchOnline, r#"{"whatsAppList":[{},{},{},{}]}"#.to_owned()),
        // Fields of an account.
        online(&[("whatsApp", "")]),
        online(&[("whatsApp", "null")]),
        online(&[("whatsApp", "861821726232")]),
        online(&[("whatsApp", "\"+861821726232\"")]),
        online(&[("whatsApp", "\"\"")]),
        online(&[("whatsApp", "\"861821\"")]),
        online(&[("whatsApp", "\"8618217262321234\"")]),
        online(&[("whatsApp", "\"061821726232\"")]),
        online(&[("whatsApp", "\"٨٦١٨٢١٧٢\"")]),
        online(&[("publicKey", "")]),
        online(&[("msgPrivateKey", "null")]),
        online(&[("privateKey", "271828")]),
        online(&[("privateKey", "2.71828")]),
        online(&[("privateKey", "true")]),
        online(&[("deviceParams", r#"{"secret":1}"#)]),
        online(&[("deviceParams", "[1]")]),
        online(&[("name", r#""lee\u0000""#)]),
        online(&[("name", r#""\ud83d""#)]),
        online(&[("name", "\"a\nb\"")]),
        online(&[("privateKey", &quoted(TEXT_BYTES + 1))]),
        online(&[
            ("publicKey", &quoted(TEXT_BYTES)),
            ("privateKey", &quoted(TEXT_BYTES)),
            ("msgPublicKey", &quoted(TEXT_BYTES)),
            ("msgPrivateKey", &quoted(CONTENT_BYTES - 3 * TEXT_BYTES)),
            ("name", "\"k\""),
        ]),
        online(&[("override", "")]),
        online(&[("override", "\"true\"")]),
        online(&[("override", "1")]),
        online(&[("override", "[[]]")]),
        online(&[("whatsappType", "3")]),
        online(&[("whatsappType", "\"1\"")]),
        online(&[("whatsappType", "1.5")]),
        online(&[("whatsappType", "99999999999999999999")]),
        (
            BatchOnline,
            batch(&[other(), format!("{},\"name\":null,\"name\":null}}", account(&[]).trim_end_matches('}'))]),
        ),
        (BatchInsert, batch(&[account(&[])])),
        (BatchInsert, batch(&[account(&[("accountId", "7")])])),
        // batchRecycle.
        recycle(""),
        recycle(r#"{"whatsappList":["861821726232"]}"#),
        recycle(&format!(r#"{{"{}":1}}"#, "x".repeat(1_000))),
        recycle(r#"{"\u001b[31m\u202e":1}"#),
        recycle(r#"{"whatsAppList":[861821726232]}"#),
        recycle(r#"{"whatsAppList":[null]}"#),
        recycle(r#"{"whatsAppList":["861821726232","8618"]}"#),
        recycle(r#"{"whatsAppList":["861821726232","861821726231","861821726232"]}"#),
        recycle(r#"{"whatsAppList":["8618001","8618002","8618003","8618004"]}"#),
        // submitPhone.
        phone("{}"),
        phone(r#"{"phone":182172623211,"verifyType":1,"accountType":2,"areaCode":"+86","countryCode":"CN"}"#),
        phone(r#"{"phone":"182172623211","verifyType":4,"accountType":2,"areaCode":"+86","countryCode":"CN"}"#),
        phone(r#"{"phone":"182172623211","verifyType":-1,"accountType":2,"areaCode":"+86","countryCode":"CN"}"#),
        phone(r#"{"phone":"182172623211","verifyType":1,"accountType":0,"areaCode":"+86","countryCode":"CN"}"#),
        phone(r#"{"phone":"182172623211","verifyType":1,"accountType":2,"areaCode":"0086","countryCode":"CN"}"#),
        phone(r#"{"phone":"182172623211","verifyType":1,"accountType":2,"areaCode":"+999","countryCode":""}"#),
        phone(r#"{"phone":"182172623211","verifyType":1,"accountType":2,"areaCode":"+86","countryCode":"US"}"#),
        phone(r#"{"phone":"182172623211","verifyType":1,"accountType":2,"areaCode":"+86","countryCode":""}"#),
        phone(r#"{"phone":"1821 7262","verifyType":1,"accountType":2,"areaCode":"+86","countryCode":"CN"}"#),
        phone(r#"{"phone":"18217262321199","verifyType":1,"accountType":2,"areaCode":"+86","countryCode":"CN"}"#),
        phone(r#"{"phone":"182172623211","verifyType":1,"accountType":2,"areaCode":"+86"}"#),
        // submitVerifyCode.
        code(r#"{"phone":"1821726232","areaCode":"+86"}"#),
        code(r#"{"phone":"1821726232","verifyCode":314159,"areaCode":"+86"}"#),
        code(r#"{"phone":"","verifyCode":"314159","areaCode":"+86"}"#),
        code(r#"{"phone":"1821726232","verifyCode":"314159","areaCode":"+86","areaCode":"+86"}"#),
        code(&format!(r#"{{"phone":"1821726232","verifyCode":{},"areaCode":"+86"}}"#, quoted(VERIFY_CODE_BYTES + 1))),
    ]
}

#[test]
fn invalid_input_gets_a_helpful_message() {
    let mut table = String::new();
    for (endpoint, body) in bad_bodies() {
        let (code, message) = check_body(endpoint, body.as_bytes());
        for secret in ["271828", "2.71828", "314159", "a secret", "kkkk"] {
            assert!(!message.contains(secret), "{message:?} repeats {secret:?}");
        }
        let printable: String = body.chars().take(160).flat_map(char::escape_debug).collect();
        let cut = if body.chars().count() > 160 { "…" } else { "" };
        writeln!(table, "{endpoint:?} {}{cut}\n  {code} {message}\n", printable.replace("\\\"", "\"")).unwrap();
    }
    for query in ["whatsApp=", "whatsApp=+86", "whatsApp=861821726232&whatsApp=861821371272", "details=yes"] {
        let query: Query = query.split('&').map(|pair| pair.split_once('=').unwrap()).map(owned).collect();
        let fault = parse_account_query(&query).map(drop).and(parse_details_query(&query).map(drop)).unwrap_err();
        writeln!(table, "query {query:?}\n  {} {fault}\n", Error::Malformed(fault.clone()).code()).unwrap();
    }
    snapshot("http_bad_input", &table);
}

/// PHP clients send 0 and 1, Python ones True and False.
#[test]
fn a_boolean_of_a_query_is_taken_as_clients_write_it() {
    let parse = |value: &str| parse_details_query(&vec![owned(("details", value))]);
    assert!(["true", "True", "TRUE", "1"].iter().all(|yes| parse(yes) == Ok(true)));
    assert!(["false", "False", "FALSE", "0"].iter().all(|no| parse(no) == Ok(false)));
    assert!(["", "2", "yes", "truest", "01"].iter().all(|other| parse(other).is_err()));
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn snapshot(name: &str, text: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({
        snapshot_path => folder, prepend_module_to_snapshot => false, omit_expression => true
    }, { insta::assert_snapshot!(name, text) });
}

#[test]
fn the_examples_of_the_contract_are_accepted() {
    let list = r#"{"whatsAppList": [{"whatsApp": "861821726232", "whatsappType": 1, "override": false, "name": "lee",
        "avatar": "wwww.baiux.com/1.img", "publicKey": "", "privateKey": "", "msgPublicKey": "", "msgPrivateKey": "",
        "accountId": "", "nextKeyId": "", "registrationId": "", "deviceParams": ""}]}"#;
    let phone = r#"{"phone": "182172623211", "verifyType": 1, "accountType": 2, "areaCode": "+86",
        "countryCode": "CN"}"#;
    let code = r#"{"phone": "1821726232", "verifyCode": "123456", "areaCode": "+86"}"#;
    let check =
        |endpoint, body: &str| assert_eq!(check_body(endpoint, body.as_bytes()).1, "accepted", "{endpoint:?} {body}");
    check(ContractEndpoint::BatchInsert, list);
    check(ContractEndpoint::BatchInsert, &list.replace("false", "{\"unknown\": \"here, so ignored\"}"));
    check(ContractEndpoint::BatchOnline, list);
    check(ContractEndpoint::BatchOnline, r#"{"whatsAppList": [], "unknown": [{}]}"#);
    check(ContractEndpoint::BatchRecycle, r#"{"whatsAppList": ["861821726232", "861821726231"]}"#);
    check(ContractEndpoint::SubmitPhone, phone);
    check(ContractEndpoint::SubmitPhone, &phone.replace("+86", "86").replace("CN", "cn"));
    check(ContractEndpoint::SubmitVerifyCode, code);
    assert_eq!(parse_recycle(b"{}", MAX_BATCH), Ok(None));
    assert_eq!(parse_recycle(br#"{"whatsAppList": null}"#, MAX_BATCH), Ok(None));
    assert_eq!(parse_recycle(br#"{"whatsAppList": []}"#, MAX_BATCH), Ok(Some(vec![])));
    let registration = parse_submit_phone(phone.as_bytes()).unwrap();
    assert_eq!(registration.account, "86182172623211".parse().unwrap());
    assert_eq!((registration.verify_type, registration.country.as_str()), (VerifyType::Voice, "CN"));
}

#[test]
fn only_uncompressed_json_is_accepted() {
    let check = |content_type: &str, encoding: Option<&str>, expected: bool| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_str(encoding).unwrap());
        }
        assert_eq!(
            request_body::check_content_type(&headers, BodyType::Json).is_ok(),
            expected,
            "{content_type} {encoding:?}"
        );
    };
    assert!(request_body::check_content_type(&HeaderMap::new(), BodyType::Json).is_ok());
    check("application/json", None, true);
    check("Application/JSON; Charset=\"UTF-8\"", None, true);
    check("application/json;charset=utf-8;profile=x", Some("identity"), true);
    check("application/json ; charset = utf-8", None, true);
    check("application/json; charset=gbk", None, false);
    check("application/json", Some("gzip"), false);
    check("application/jsonp", None, false);
    check("application/x-www-form-urlencoded", None, false);
    check("", None, false);
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        json in "[\\[\\]{}:,\"a-z0-9.\\\\u-]{0,80}",
    ) {
        for endpoint in [
            ContractEndpoint::BatchInsert, ContractEndpoint::BatchOnline, ContractEndpoint::BatchRecycle, ContractEndpoint::SubmitPhone,
            ContractEndpoint::SubmitVerifyCode,
        ] {
            check_body(endpoint, &bytes);
            check_body(endpoint, json.as_bytes());
            check_body(endpoint, format!(r#"{{"whatsAppList":[{json}"#).as_bytes());
        }
    }

    #[test]
    fn texts_are_unchanged(
        number in 1_000_000_u64..=999_999_999_999_999,
        texts in prop::collection::vec("[^\u{0}]{0,40}", 5),
        nick in prop::option::of("[^\u{0}]{0,20}"),
        replace: bool,
    ) {
        let json = |text: &String| serde_json::to_string(text).unwrap();
        let number = number.to_string();
        let name = nick.as_ref().map_or("null".to_owned(), json);
        let body = batch(&[account(&[
            ("whatsApp", &json(&number)), ("override", &replace.to_string()), ("publicKey", &json(&texts[0])),
            ("privateKey", &json(&texts[1])), ("msgPublicKey", &json(&texts[2])), ("msgPrivateKey", &json(&texts[3])),
            ("deviceParams", &json(&texts[4])), ("name", &name),
        ])]);
        let entries = parse_imports(body.as_bytes(), ImportKind::Online, MAX_BATCH).unwrap();
        let content = entries[0].content();
        prop_assert_eq!(entries[0].account.to_string(), number);
        prop_assert_eq!(entries[0].replace, replace);
        let expected = ContentTexts::from_fn(|field| match field {
            ContentField::Name => nick.as_deref(),
            ContentField::PublicKey => Some(texts[0].as_str()),
            ContentField::PrivateKey => Some(texts[1].as_str()),
            ContentField::MsgPublicKey => Some(texts[2].as_str()),
            ContentField::MsgPrivateKey => Some(texts[3].as_str()),
            ContentField::DeviceParams => Some(texts[4].as_str()),
            ContentField::Avatar | ContentField::AccountId | ContentField::NextKeyId | ContentField::RegistrationId => None,
        });
        prop_assert_eq!(content.texts, expected);
    }
}
