//! Paths and their operations.
//!
//! `kubectl` checks the PATCH operation of a kind to learn whether the server supports `dryRun` and
//! `fieldValidation`. Therefore every kind with `create` has a PATCH operation; a kind that cannot
//! be patched describes its 405 response.

use serde_json::{Map, Value, json};

use super::definitions::{GVK, gvk, meta, name, reference};
use crate::{Resource, Scope, Subresource, Verb};

/// One operation, independent of the OpenAPI version.
struct Operation {
    method: &'static str,
    action: &'static str,
    code: &'static str,
    /// Schema and media types of the request body.
    body: Option<(String, &'static [&'static str])>,
    /// Schema of the response.
    response: String,
    parameters: &'static [&'static str],
}

const JSON: &[&str] = &["application/json", "application/yaml"];
const PATCHES: &[&str] = &["application/json-patch+json", "application/merge-patch+json"];
const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
const DELETE: &[&str] = &["dryRun", "gracePeriodSeconds", "propagationPolicy"];
const LIST: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];

/// Adds the paths of a kind to a document of version 3.
pub(super) fn add_v3(paths: &mut Map<String, Value>, resource: &Resource) {
    add(paths, resource, v3);
}

/// Adds the paths of a kind to a document of version 2.
pub(super) fn add_v2(paths: &mut Map<String, Value>, resource: &Resource) {
    add(paths, resource, v2);
}

fn add(paths: &mut Map<String, Value>, resource: &Resource, write: fn(&Operation) -> Value) {
    let root = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let plural = resource.plural;
    let collection = match resource.scope {
        Scope::Namespaced => format!("{root}/namespaces/{{namespace}}/{plural}"),
        Scope::Cluster => format!("{root}/{plural}"),
    };
    let mut put = |path: String, operations: Vec<Operation>| {
        let mut entry = Map::new();
        for operation in operations {
            let mut written = write(&operation);
            written[GVK] = gvk(resource, "");
            written["x-kubernetes-action"] = operation.action.into();
            written["operationId"] = operation_id(resource, &operation, &path).into();
            written["description"] = format!("{} {}", operation.action, resource.kind).into();
            entry.insert(operation.method.to_owned(), written);
        }
        let names = ["namespace", "name"];
        let parameters: Vec<Value> = names
            .into_iter()
            .filter(|name| path.contains(&format!("{{{name}}}")))
            .map(|name| parameter(name, "path", entry_style(&entry)))
            .collect();
        if !parameters.is_empty() {
            entry.insert("parameters".to_owned(), parameters.into());
        }
        paths.insert(path, Value::Object(entry));
    };
    if resource.scope == Scope::Namespaced {
        put(format!("{root}/{plural}"), listing(resource));
    }
    let mut operations = listing(resource);
    operations.extend(creating(resource));
    put(collection.clone(), operations);
    put(format!("{collection}/{{name}}"), single(resource));
    for subresource in resource.subresources {
        let path = format!("{collection}/{{name}}/{}", subresource.name());
        put(path, below(resource, *subresource));
    }
}

/// Whether an entry has the format of version 2.
fn entry_style(entry: &Map<String, Value>) -> bool {
    entry.values().any(|operation| operation.get("produces").is_some())
}

fn listing(resource: &Resource) -> Vec<Operation> {
    let list = Operation {
        method: "get",
        action: "list",
        code: "200",
        body: None,
        response: format!("{}List", name(resource)),
        parameters: LIST,
    };
    if resource.verbs.contains(&Verb::List) { vec![list] } else { Vec::new() }
}

fn creating(resource: &Resource) -> Option<Operation> {
    resource.verbs.contains(&Verb::Create).then(|| Operation {
        method: "post",
        action: "post",
        code: "201",
        body: Some((name(resource), JSON)),
        response: name(resource),
        parameters: WRITE,
    })
}

fn single(resource: &Resource) -> Vec<Operation> {
    let has = |verb: Verb| resource.verbs.contains(&verb);
    let mut operations = Vec::new();
    if has(Verb::Get) {
        operations.push(getting(resource));
    }
    if has(Verb::Update) {
        operations.push(putting(resource));
    }
    if has(Verb::Delete) {
        operations.push(Operation {
            method: "delete",
            action: "delete",
            code: "200",
            body: None,
            response: meta("Status"),
            parameters: DELETE,
        });
    }
    if has(Verb::Patch) || has(Verb::Create) {
        let code = if has(Verb::Patch) { "200" } else { "405" };
        operations.push(Operation { code, ..patching(resource) });
    }
    operations
}

fn below(resource: &Resource, subresource: Subresource) -> Vec<Operation> {
    match subresource {
        Subresource::Details => vec![getting(resource)],
        Subresource::Operation { .. } => vec![Operation {
            method: "post",
            action: "post",
            code: "200",
            body: None,
            response: meta("Status"),
            parameters: WRITE,
        }],
        Subresource::Status | Subresource::Field { .. } => {
            vec![getting(resource), putting(resource), patching(resource)]
        }
    }
}

fn getting(resource: &Resource) -> Operation {
    Operation {
        method: "get",
        action: "get",
        code: "200",
        body: None,
        response: name(resource),
        parameters: &["resourceVersion"],
    }
}

fn putting(resource: &Resource) -> Operation {
    Operation {
        method: "put",
        action: "put",
        code: "200",
        body: Some((name(resource), JSON)),
        response: name(resource),
        parameters: WRITE,
    }
}

fn patching(resource: &Resource) -> Operation {
    Operation {
        method: "patch",
        action: "patch",
        code: "200",
        body: Some((meta("Patch"), PATCHES)),
        response: name(resource),
        parameters: WRITE,
    }
}

fn operation_id(resource: &Resource, operation: &Operation, path: &str) -> String {
    let all = if resource.scope == Scope::Namespaced && !path.contains("{namespace}") {
        "ForAllNamespaces"
    } else {
        ""
    };
    let group: String = resource.group.split(['.', '-']).map(capitalised).collect();
    let version = capitalised(resource.version);
    let tail: String =
        path.split('/').skip_while(|piece| *piece != "{name}").skip(1).map(capitalised).collect();
    format!("{}{group}{version}{}{tail}{all}", operation.action, resource.kind)
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn parameter(name: &str, location: &str, is_v2: bool) -> Value {
    let kind = match name {
        "limit" | "timeoutSeconds" | "gracePeriodSeconds" => "integer",
        "watch" | "allowWatchBookmarks" | "sendInitialEvents" => "boolean",
        _ => "string",
    };
    let mut parameter = json!({"name": name, "in": location});
    if location == "path" {
        parameter["required"] = true.into();
    }
    if is_v2 {
        parameter["type"] = kind.into();
        parameter["uniqueItems"] = true.into();
    } else {
        parameter["schema"] = json!({"type": kind, "uniqueItems": true});
    }
    parameter
}

fn v3(operation: &Operation) -> Value {
    let parameters: Vec<Value> =
        operation.parameters.iter().map(|name| parameter(name, "query", false)).collect();
    let content = json!({"application/json": {"schema": reference(&operation.response)}});
    let mut written = json!({
        "parameters": parameters,
        "responses": {operation.code: {"description": words(operation.code), "content": content}},
    });
    if let Some((schema, types)) = &operation.body {
        let content: Map<String, Value> = types
            .iter()
            .map(|media_type| ((*media_type).to_owned(), json!({"schema": reference(schema)})))
            .collect();
        written["requestBody"] = json!({"content": content, "required": true});
    }
    written
}

fn v2(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> =
        operation.parameters.iter().map(|name| parameter(name, "query", true)).collect();
    let schema = |name: &str| {
        let mut schema = reference(name);
        super::lower(&mut schema);
        schema
    };
    let mut consumes: &[&str] = &["*/*"];
    if let Some((body, types)) = &operation.body {
        consumes = types;
        parameters
            .push(json!({"name": "body", "in": "body", "required": true, "schema": schema(body)}));
    }
    json!({
        "consumes": consumes, "produces": ["application/json"], "schemes": ["https"],
        "parameters": parameters,
        "responses": {
            operation.code: {
                "description": words(operation.code), "schema": schema(&operation.response),
            },
        },
    })
}

fn words(code: &str) -> &'static str {
    match code {
        "201" => "Created",
        "405" => "Method Not Allowed",
        _ => "OK",
    }
}
