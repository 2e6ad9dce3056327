//! The document describes all endpoints, and nothing else.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::render_openapi;
use crate::audit::cloud_event_type_of;
use crate::domain::{Channel, EventType};
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

type Fields = Map<String, Value>;

/// Says whether an object of the document, at this path, breaks a rule.
type IsFault = fn(&str, &Fields) -> bool;

/// What generated clients need. A fault is an object of the document.
const RULES: [(&str, IsFault); 10] = [
    ("an object with properties is a schema of its own", |path, object| {
        object.contains_key("properties") && object.get("type").is_some() && !is_component(path) && !is_part(path)
    }),
    ("a schema has its name as its title", |path, object| {
        is_component(path) && object.get("title").and_then(Value::as_str) != path.rsplit('/').next()
    }),
    ("a whole number says how many bits it has", |_, object| {
        has_type(object, "integer") && !object.contains_key("format")
    }),
    ("a bound is a number that all languages have", |_, object| {
        ["minimum", "maximum"].iter().any(|bound| object.get(*bound).is_some_and(|bound| bound.as_f64() > Some(9e15)))
    }),
    ("a default is told in words, because clients would send it", |path, object| {
        object.contains_key("default") && !path.ends_with("/responses") && !path.ends_with("/properties")
    }),
    ("bodies of one response have one schema", |path, object| {
        let mut schemas = object.values().map(|content| &content["schema"]);
        let first = schemas.next();
        path.ends_with("/content") && path.contains("/responses/") && schemas.any(|schema| Some(schema) != first)
    }),
    ("an operation says what it does", |_, object| {
        object.contains_key("operationId") && !(object.contains_key("description") && object.contains_key("summary"))
    }),
    ("an operation can be refused", |path, object| {
        object.contains_key("operationId")
            && !path.starts_with("/webhooks/")
            && !object["responses"].as_object().unwrap().keys().any(|status| status.starts_with('4'))
    }),
    ("alternatives are schemas of their own", |_, object| {
        object
            .get("oneOf")
            .and_then(Value::as_array)
            .is_some_and(|alternatives| alternatives.iter().any(|alternative| alternative.get("properties").is_some()))
    }),
    ("a status has the same schema everywhere", |path, object| {
        let is_status =
            |field: &str| ["status", "onlineStatus"].iter().any(|status| field.ends_with(&format!("/{status}")));
        is_status(path)
            && object.get("description").and_then(Value::as_str).is_some_and(|it| it.starts_with("1 normal"))
            && !object.contains_key("$ref")
    }),
];

fn is_component(path: &str) -> bool {
    path.strip_prefix("/components/schemas/").is_some_and(|rest| !rest.contains('/'))
}

/// A part of a composed schema, which has the name of the whole.
fn is_part(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(whole, _)| whole.strip_suffix("/allOf").is_some_and(is_component))
}

fn has_type(object: &Fields, name: &str) -> bool {
    match &object.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}

/// Calls `visit` with each object of the document and its path. Examples are no part of the description.
fn visit_objects(value: &Value, path: &str, visit: &mut impl FnMut(&str, &Fields)) {
    match value {
        Value::Object(object) => {
            visit(path, object);
            let described = object.iter().filter(|(key, _)| !["example", "examples"].contains(&key.as_str()));
            described.for_each(|(key, value)| visit_objects(value, &format!("{path}/{key}"), visit));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| visit_objects(item, &format!("{path}/{at}"), visit));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn clients_can_be_generated() {
    let document = parse_document();
    let mut faults = Vec::new();
    visit_objects(&document, "", &mut |path, object| {
        faults.extend(
            RULES.iter().filter(|(_, is_fault)| is_fault(path, object)).map(|(rule, _)| format!("{rule}: {path}")),
        );
    });
    let mut names = Vec::new();
    visit_objects(&document, "", &mut |_, object| names.extend(object.get("operationId").map(Value::to_string)));
    names.extend(document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].to_string()));
    // Go calls the constructor of `Key` `NewKey`.
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let constructors = schemas.keys().filter(|name| schemas.contains_key(&format!("New{name}")));
    faults.extend(constructors.map(|name| format!("New{name} collides with the constructor of {name}")));
    names.sort();
    faults.extend(names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| format!("{} stands twice", pair[0])));
    assert!(faults.is_empty(), "the description serves not every generator:\n{}", faults.join("\n"));
}

/// A client finds the schema of every event by its type.
#[test]
fn every_event_type_has_a_schema() {
    let document = parse_document();
    let discriminator = &document["components"]["schemas"]["CloudEvent"]["discriminator"];
    assert_eq!(discriminator["propertyName"], "type");
    let described: BTreeSet<&str> = discriminator["mapping"].as_object().unwrap().keys().map(String::as_str).collect();
    let versions = |event_type: EventType| {
        (1..=event_type.definition().schema).map(move |version| cloud_event_type_of(event_type, version))
    };
    let known: BTreeSet<String> = EventType::all().flat_map(versions).collect();
    assert_eq!(described, known.iter().map(String::as_str).collect());
}
