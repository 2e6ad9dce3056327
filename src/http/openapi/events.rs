//! The schema of each type of event. A client finds it by the `type` of a CloudEvent.

use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::schema::{AllOfBuilder, Discriminator, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::audit::{CloudEvent, cloud_event_type_of, event_data_schemas};
use crate::domain::EventType;
use crate::http::operation_doc::Schemas;

/// An attribute that each event's schema repeats. Otherwise the Go client of openapi-generator does not compile: it takes
/// the attribute as a parameter, and imports its type only where the attribute is declared.
const REPEATED: &str = "time";

/// The schemas of all types of events, those that they refer to, and that of a CloudEvent with its discriminator.
pub(super) fn event_schemas() -> Schemas {
    let attributes = <CloudEvent<'_>>::schema();
    let mut schemas = Vec::new();
    let mut mapping = Vec::new();
    for event_type in EventType::all() {
        let data = event_data_schemas(event_type);
        for version in 1..=event_type.definition().schema {
            let name = schema_name(event_type, version);
            mapping.push((cloud_event_type_of(event_type, version), Ref::from_schema_name(&name).ref_location));
            schemas.push((name, event_schema(event_type, &attributes, data.first().map(|(name, _)| name.as_str()))));
        }
        schemas.extend(data);
    }
    // A Java client takes an event of a type that it does not know as a plain CloudEvent, not as null.
    let default = ExtensionsBuilder::new().add("x-jackson-default-impl", <CloudEvent<'_>>::name()).build();
    let cloud_event = AllOfBuilder::new()
        .description(description_of(&attributes))
        .item(attributes)
        .discriminator(Some(Discriminator::with_mapping("type", mapping)))
        .extensions(Some(default));
    schemas.push((<CloudEvent<'_>>::name().into_owned(), cloud_event.into()));
    schemas
}

/// The schema of a type's events: a CloudEvent with data of its own. Events without data have no property of that name.
fn event_schema(event_type: EventType, attributes: &RefOr<Schema>, data: Option<&str>) -> RefOr<Schema> {
    let mut own = ObjectBuilder::new();
    if let RefOr::T(Schema::Object(object)) = attributes
        && let Some(attribute) = object.properties.get(REPEATED)
    {
        own = own.property(REPEATED, attribute.clone()).required(REPEATED);
    }
    if let Some(data) = data {
        own = own.property("data", Ref::from_schema_name(data)).required("data");
    }
    let about = format!("An event `{}`.{}", event_type.name(), if data.is_none() { " It has no data." } else { "" });
    AllOfBuilder::new().description(Some(about)).item(Ref::from_schema_name(<CloudEvent<'_>>::name())).item(own).into()
}

/// The name of the schema of a type's events: `CameOnlineEvent`. From version 2 on it has the version, so that no name ever
/// changes its meaning: `AccountImportedV2Event`.
fn schema_name(event_type: EventType, version: u16) -> String {
    let capitalized = |word: &str| word[..1].to_uppercase() + &word[1..];
    let words: String = event_type.name().split('_').map(capitalized).collect();
    if version == 1 { format!("{words}Event") } else { format!("{words}V{version}Event") }
}

fn description_of(schema: &RefOr<Schema>) -> Option<String> {
    if let RefOr::T(Schema::Object(object)) = schema { object.description.clone() } else { None }
}
