//! Builder of one operation of the OpenAPI document: its parameters, body and responses.

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Header, Ref, RefOr, Required, Response, ResponseBuilder};

use super::body_type::{JSON, TEXT};
use super::parameter_schemas::number;

/// An operation with its method and path.
pub(super) struct OperationDoc {
    pub(super) method: HttpMethod,
    pub(super) path: String,
    operation: OperationBuilder,
    description: String,
    /// Schemas of the types that it references.
    schemas: Schemas,
}

/// Schemas by name.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

impl OperationDoc {
    /// Creates an operation. Generated clients call it `id`; `summary` is one line.
    pub(super) fn new(method: HttpMethod, path: impl Into<String>, id: &str, summary: &str) -> OperationDoc {
        let operation = OperationBuilder::new().operation_id(Some(id)).summary(Some(summary));
        OperationDoc { method, path: path.into(), operation, description: String::new(), schemas: Vec::new() }
    }

    /// Appends a paragraph to the description.
    pub(super) fn describe(mut self, words: &str) -> OperationDoc {
        if !self.description.is_empty() {
            self.description.push_str("\n\n");
        }
        self.description.push_str(words);
        self
    }

    /// Adds an optional query parameter.
    pub(super) fn query_parameter(self, name: &str, schema: impl Into<RefOr<Schema>>, words: &str) -> OperationDoc {
        self.parameter(ParameterIn::Query, Required::False, name, schema, words)
    }

    /// Adds a required query parameter.
    pub(super) fn required_query_parameter(self, name: &str, schema: ObjectBuilder, words: &str) -> OperationDoc {
        self.parameter(ParameterIn::Query, Required::True, name, schema, words)
    }

    /// Adds a path parameter.
    pub(super) fn path_parameter(self, name: &str, schema: ObjectBuilder, words: &str) -> OperationDoc {
        self.parameter(ParameterIn::Path, Required::True, name, schema, words)
    }

    /// Adds an optional request header.
    pub(super) fn optional_header(self, name: &str, schema: ObjectBuilder, words: &str) -> OperationDoc {
        self.parameter(ParameterIn::Header, Required::False, name, schema, words)
    }

    /// Adds a required request header.
    pub(super) fn required_header(self, name: &str, schema: ObjectBuilder, words: &str) -> OperationDoc {
        self.parameter(ParameterIn::Header, Required::True, name, schema, words)
    }

    fn parameter(
        mut self,
        location: ParameterIn,
        required: Required,
        name: &str,
        schema: impl Into<RefOr<Schema>>,
        words: &str,
    ) -> OperationDoc {
        let parameter = ParameterBuilder::new().name(name).parameter_in(location).required(required);
        self.operation = self.operation.parameter(parameter.description(Some(words)).schema(Some(schema)));
        self
    }

    /// Sets a JSON body of type `T`.
    pub(super) fn json_body<T: ToSchema>(self, required: Required, words: &str) -> OperationDoc {
        let schema = Ref::from_schema_name(T::name());
        self.register_schema::<T>().json_body_schema(schema, None, required, words)
    }

    /// Sets a JSON body of this schema, with an example.
    pub(super) fn json_body_schema(
        mut self,
        schema: impl Into<RefOr<Schema>>,
        example: Option<Value>,
        required: Required,
        words: &str,
    ) -> OperationDoc {
        let content = ContentBuilder::new().schema(Some(schema)).example(example).build();
        let body = RequestBodyBuilder::new().description(Some(words)).required(Some(required)).content(JSON, content);
        self.operation = self.operation.request_body(Some(body.build()));
        self
    }

    /// Sets a required JSON body with this schema of the components, and an example.
    pub(super) fn named_json_body(self, name: &str, schema: Object, example: Value, words: &str) -> OperationDoc {
        self.register_schemas(vec![(name.to_owned(), schema.into())]).json_body_schema(
            Ref::from_schema_name(name),
            Some(example),
            Required::True,
            words,
        )
    }

    /// Sets a required body: JSON of type `T`, or plain text with an example. Generators that know only one of them take
    /// the first.
    pub(super) fn json_or_text_body<T: ToSchema>(mut self, example: &str, words: &str) -> OperationDoc {
        let schema = ObjectBuilder::new().schema_type(Type::String);
        let text = ContentBuilder::new().schema(Some(schema)).example(Some(example.into())).build();
        let json = content(Ref::from_schema_name(T::name()));
        let body = RequestBodyBuilder::new().description(Some(words)).required(Some(Required::True));
        let body = body.content(JSON, json).content(TEXT, text);
        self.operation = self.operation.request_body(Some(body.build()));
        self.register_schema::<T>()
    }

    /// Adds a JSON response of type `T`.
    pub(super) fn json_response<T: ToSchema>(self, status: u16, words: &str) -> OperationDoc {
        let schema = Ref::from_schema_name(T::name());
        self.register_schema::<T>().response(status, response_with_id(words).content(JSON, content(schema)))
    }

    /// Adds a response.
    pub(super) fn response(mut self, status: u16, response: ResponseBuilder) -> OperationDoc {
        let response: RefOr<Response> = response.into();
        self.operation = self.operation.response(status.to_string(), response);
        self
    }

    /// Adds the response for all other statuses.
    pub(super) fn default_response(mut self, response: ResponseBuilder) -> OperationDoc {
        let response: RefOr<Response> = response.into();
        self.operation = self.operation.response("default", response);
        self
    }

    /// Adds a reference to a shared response.
    pub(super) fn shared_response(mut self, status: u16, name: &str) -> OperationDoc {
        let response: RefOr<Response> = RefOr::Ref(Ref::from_response_name(name));
        self.operation = self.operation.response(status.to_string(), response);
        self
    }

    /// Adds the schema of `T` to the components.
    pub(super) fn register_schema<T: ToSchema>(mut self) -> OperationDoc {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        self
    }

    /// Adds named schemas that the operation refers to.
    pub(super) fn register_schemas(mut self, schemas: Vec<(String, RefOr<Schema>)>) -> OperationDoc {
        self.schemas.extend(schemas);
        self
    }

    /// Overrides the default security requirements.
    pub(super) fn security(mut self, securities: Vec<SecurityRequirement>) -> OperationDoc {
        self.operation = self.operation.securities(Some(securities));
        self
    }

    /// Marks an operation that Muster calls, and no client of it.
    pub(super) fn not_for_clients(mut self) -> OperationDoc {
        // openapi-generator leaves it out; its clients for TypeScript would not compile with it.
        self.operation = self.operation.extensions(Some(ExtensionsBuilder::new().add("x-internal", true).build()));
        self
    }

    /// Builds the operation with its tag. Also returns the referenced schemas.
    pub(super) fn build(self, tag: &str) -> (OperationBuilder, Schemas) {
        let words = (!self.description.is_empty()).then_some(self.description);
        (self.operation.tag(tag).description(words), self.schemas)
    }
}

/// A response with the header `x-request-id`.
pub(super) fn response_with_id(words: &str) -> ResponseBuilder {
    let id = text_header("The request id: the caller's own, or a generated one. The log has it too.");
    ResponseBuilder::new().description(words).header("x-request-id", id)
}

/// The content of a body.
pub(super) fn content(schema: impl Into<RefOr<Schema>>) -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(schema)).build()
}

/// A response header with a text value.
pub(super) fn text_header(words: &str) -> Header {
    HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).description(Some(words)).build()
}

/// `Retry-After`.
pub(super) fn retry_after_header() -> Header {
    HeaderBuilder::new().schema(Some(number(1))).description(Some("How many seconds to wait before a retry.")).build()
}
