//! The document describes all endpoints, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use super::render_openapi;
use crate::domain::Channel;
use crate::http::endpoint::Tag;
use crate::http::endpoints;

fn parse_document() -> Value {
    serde_json::from_str(&render_openapi()).unwrap()
}

/// Methods and paths.
fn method_and_path_set(paths: &Value) -> BTreeSet<String> {
    let operations = paths.as_object().unwrap().iter();
    operations
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

#[test]
fn every_path_is_described_and_no_other() {
    let document = parse_document();
    let listed = endpoints().filter(|endpoint| endpoint.tag != Tag::Unlisted);
    let routes = listed.map(|endpoint| format!("{} {}", endpoint.method, endpoint.path));
    assert_eq!(method_and_path_set(&document["paths"]), routes.collect());
    let channels = Channel::ALL.map(|channel| format!("POST {}", channel.configuration_id()));
    let commands = ["POST GATEWAY_COMMAND".to_owned()];
    assert_eq!(method_and_path_set(&document["webhooks"]), channels.into_iter().chain(commands).collect());
}

/// Every referenced component exists, and every component is referenced.
#[test]
fn components_are_named() {
    let (document, text) = (parse_document(), render_openapi());
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(text.contains(&format!("\"#/components/{kind}/{name}\"")), "nothing names {kind} {name}");
        }
    }
    for reference in text.split("\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "there is no {reference}");
    }
}

/// OpenAPI wants each tag listed once, and a generated client makes a class of each.
#[test]
fn tags_are_listed_once() {
    let document = parse_document();
    let names = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap());
    let names: Vec<&str> = names.collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}
