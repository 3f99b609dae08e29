//! Maps a document of version 2 to the messages of gnostic's `OpenAPIv2.proto`.

use serde_json::Value;

use super::{Choice, Field, Message, Part, Shape, TEXTS};

/// A document; only its paths and definitions are long.
pub(super) static DOCUMENT: Part = Part::Object {
    message: &DOCUMENT_START,
    parts: &[
        ("paths", 8, Part::Named { number: 2, shape: &PATH_ITEM_VALUE }),
        ("definitions", 9, Part::Named { number: 1, shape: &SCHEMA_VALUE }),
    ],
};

static DOCUMENT_START: Message = Message {
    fields: &[Field("swagger", 1, Shape::Text), Field("info", 2, Shape::Message(&INFO))],
    extensions: 16,
};

static INFO: Message = Message {
    fields: &[
        Field("title", 1, Shape::Text),
        Field("version", 2, Shape::Text),
        Field("description", 3, Shape::Text),
    ],
    extensions: 7,
};

static PATH_ITEM: Message = Message {
    fields: &[
        Field("get", 2, Shape::Message(&OPERATION)),
        Field("put", 3, Shape::Message(&OPERATION)),
        Field("post", 4, Shape::Message(&OPERATION)),
        Field("delete", 5, Shape::Message(&OPERATION)),
        Field("options", 6, Shape::Message(&OPERATION)),
        Field("head", 7, Shape::Message(&OPERATION)),
        Field("patch", 8, Shape::Message(&OPERATION)),
        Field("parameters", 9, Shape::Each(&PARAMETER)),
    ],
    extensions: 10,
};

static PATH_ITEM_VALUE: Shape = Shape::Message(&PATH_ITEM);

static OPERATION: Message = Message {
    fields: &[
        Field("tags", 1, TEXTS),
        Field("summary", 2, Shape::Text),
        Field("description", 3, Shape::Text),
        Field("operationId", 5, Shape::Text),
        Field("produces", 6, TEXTS),
        Field("consumes", 7, TEXTS),
        Field("parameters", 8, Shape::Each(&PARAMETER)),
        Field("responses", 9, Shape::Inside(1, &Shape::ByName(&RESPONSE_VALUE))),
        Field("schemes", 10, TEXTS),
        Field("deprecated", 11, Shape::Flag),
    ],
    extensions: 13,
};

static RESPONSE_VALUE: Shape = Shape::Inside(1, &Shape::Message(&RESPONSE));

static RESPONSE: Message = Message {
    fields: &[
        Field("description", 1, Shape::Text),
        Field("schema", 2, Shape::Inside(1, &SCHEMA_VALUE)),
    ],
    extensions: 5,
};

static BODY_PARAMETER: Message = Message {
    fields: &[
        Field("description", 1, Shape::Text),
        Field("name", 2, Shape::Text),
        Field("in", 3, Shape::Text),
        Field("required", 4, Shape::Flag),
        Field("schema", 5, Shape::Message(&SCHEMA)),
    ],
    extensions: 6,
};

static QUERY_PARAMETER: Message = Message {
    fields: &[
        Field("required", 1, Shape::Flag),
        Field("in", 2, Shape::Text),
        Field("description", 3, Shape::Text),
        Field("name", 4, Shape::Text),
        Field("allowEmptyValue", 5, Shape::Flag),
        Field("type", 6, Shape::Text),
        Field("format", 7, Shape::Text),
        Field("uniqueItems", 20, Shape::Flag),
    ],
    extensions: 23,
};

static PATH_PARAMETER: Message = Message {
    fields: &[
        Field("required", 1, Shape::Flag),
        Field("in", 2, Shape::Text),
        Field("description", 3, Shape::Text),
        Field("name", 4, Shape::Text),
        Field("type", 5, Shape::Text),
        Field("format", 6, Shape::Text),
        Field("uniqueItems", 19, Shape::Flag),
    ],
    extensions: 22,
};

pub(super) static SCHEMA: Message = Message {
    fields: &[
        Field("$ref", 1, Shape::Text),
        Field("format", 2, Shape::Text),
        Field("title", 3, Shape::Text),
        Field("description", 4, Shape::Text),
        Field("default", 5, Shape::Any),
        Field("multipleOf", 6, Shape::Double),
        Field("maximum", 7, Shape::Double),
        Field("exclusiveMaximum", 8, Shape::Flag),
        Field("minimum", 9, Shape::Double),
        Field("exclusiveMinimum", 10, Shape::Flag),
        Field("maxLength", 11, Shape::Whole),
        Field("minLength", 12, Shape::Whole),
        Field("pattern", 13, Shape::Text),
        Field("maxItems", 14, Shape::Whole),
        Field("minItems", 15, Shape::Whole),
        Field("uniqueItems", 16, Shape::Flag),
        Field("maxProperties", 17, Shape::Whole),
        Field("minProperties", 18, Shape::Whole),
        Field("required", 19, TEXTS),
        Field("enum", 20, Shape::Each(&Shape::Any)),
        Field("additionalProperties", 21, Shape::OneOf(schema_or_flag)),
        Field("type", 22, Shape::Inside(1, &TEXTS)),
        Field("items", 23, Shape::Inside(1, &Shape::Each(&SCHEMA_VALUE))),
        Field("allOf", 24, Shape::Each(&SCHEMA_VALUE)),
        Field("properties", 25, Shape::Inside(1, &Shape::ByName(&SCHEMA_VALUE))),
        Field("discriminator", 26, Shape::Text),
        Field("readOnly", 27, Shape::Flag),
        Field("example", 30, Shape::Any),
    ],
    extensions: 31,
};

static SCHEMA_VALUE: Shape = Shape::Message(&SCHEMA);

/// `ParametersItem { Parameter { BodyParameter } }`; path and query parameters have one more
/// message in between.
static PARAMETER: Shape = Shape::Inside(1, &Shape::OneOf(parameter));

static BODY: Shape = Shape::Message(&BODY_PARAMETER);
static QUERY: Shape = Shape::Inside(3, &Shape::Message(&QUERY_PARAMETER));
static PATH: Shape = Shape::Inside(4, &Shape::Message(&PATH_PARAMETER));

fn parameter(value: &Value) -> Choice {
    match value.get("in").and_then(Value::as_str) {
        Some("body") => Choice::Field(1, &BODY),
        Some("query") => Choice::Field(2, &QUERY),
        Some("path") => Choice::Field(2, &PATH),
        _ => Choice::Wrong("a parameter is in body, query or path"),
    }
}

fn schema_or_flag(value: &Value) -> Choice {
    if value.is_boolean() {
        Choice::Field(2, &Shape::Flag)
    } else {
        Choice::Field(1, &SCHEMA_VALUE)
    }
}
