//! Reviews of the caller's own access: `kubectl auth can-i`, `can-i --list` and `auth whoami`.
//!
//! In a cluster kube-apiserver serves these; here they serve to test RBAC manifests. Nothing is stored, and
//! a user cannot query the access of others except by impersonation.

use std::sync::Arc;

use apimachinery::{ApiError, FieldError};
use apiserver::authz::rbac::Rbac;
use apiserver::{
    Attributes, Authorizer, Decision, Resource, Review, Scope, Strategy, Verb, WriteContext,
};
use event::UserInfo;
use serde_json::{Map, Value, json};

const AUTHORIZATION: &str = "authorization.k8s.io";

/// The resources that serve the kinds.
pub(crate) fn resources(authorizer: Arc<dyn Authorizer>, rbac: Arc<Rbac>) -> Vec<Resource> {
    let access = resource(
        AUTHORIZATION,
        "SelfSubjectAccessReview",
        ["selfsubjectaccessreviews", "selfsubjectaccessreview"],
        access_schema(),
        Arc::new(AccessReviews(authorizer)),
    );
    let rules = resource(
        AUTHORIZATION,
        "SelfSubjectRulesReview",
        ["selfsubjectrulesreviews", "selfsubjectrulesreview"],
        rules_schema(),
        Arc::new(RulesReviews(rbac)),
    );
    let subject = resource(
        "authentication.k8s.io",
        "SelfSubjectReview",
        ["selfsubjectreviews", "selfsubjectreview"],
        subject_schema(),
        Arc::new(SubjectReviews),
    );
    vec![subject, access, rules]
}

fn resource(
    group: &'static str,
    kind: &'static str,
    [plural, singular]: [&'static str; 2],
    schema: Value,
    strategy: Arc<dyn Strategy>,
) -> Resource {
    Resource {
        group,
        version: "v1",
        kind,
        plural,
        singular,
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: &[Verb::Create],
        columns: &[],
        schema: schema.into(),
        subresources: &[],
        selectable_fields: &[],
        omit_bodies: false,
        audit_level_min: event::Level::None,
        read_only: None,
        strategy,
    }
}

/// A schema of an object with these properties.
fn schema(description: &str, parts: &[(&str, Value)]) -> Value {
    let mut properties = json!({
        "apiVersion": text("Version of the schema."),
        "kind": text("Kind of the object."),
        "metadata": object("Standard metadata.", &[]),
    });
    for (name, part) in parts {
        properties[*name] = part.clone();
    }
    json!({"type": "object", "description": description, "properties": properties})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn texts(description: &str) -> Value {
    json!({"type": "array", "items": {"type": "string"}, "description": description})
}

fn flag(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

fn object(description: &str, fields: &[(&str, Value)]) -> Value {
    let fields: Map<String, Value> =
        fields.iter().map(|(name, field)| ((*name).to_owned(), field.clone())).collect();
    json!({"type": "object", "description": description, "properties": fields})
}

fn objects(description: &str, fields: &[(&str, Value)]) -> Value {
    json!({"type": "array", "items": object(description, fields), "description": description})
}

fn selector(description: &str) -> Value {
    let requirement = [
        ("key", text("Key of the field or label.")),
        ("operator", text("Operator.")),
        ("values", texts("Values to compare with.")),
    ];
    object(
        description,
        &[
            ("rawSelector", text("Selector as in a query parameter.")),
            ("requirements", objects("Conditions.", &requirement)),
        ],
    )
}

fn access_schema() -> Value {
    let resource = [
        ("namespace", text("Namespace; empty for all of them and for the cluster.")),
        ("verb", text("Verb; * is all.")),
        ("group", text("API group; * is all.")),
        ("version", text("API version; * is all.")),
        ("resource", text("Resource; * is all.")),
        ("subresource", text("Subresource.")),
        ("name", text("Name; empty for all.")),
        ("fieldSelector", selector("Field selector of the request.")),
        ("labelSelector", selector("Label selector of the request.")),
    ];
    let path = [("path", text("Path of the URL.")), ("verb", text("HTTP method."))];
    let spec = object(
        "The request to check.",
        &[
            ("resourceAttributes", object("Access to a resource.", &resource)),
            ("nonResourceAttributes", object("Access to a path.", &path)),
        ],
    );
    let status = object(
        "The result.",
        &[
            ("allowed", flag("Whether the user may send the request.")),
            ("denied", flag("Whether it is denied, whatever else allows it.")),
            ("reason", text("Reason of the decision.")),
            ("evaluationError", text("Error of the evaluation.")),
        ],
    );
    let description = "SelfSubjectAccessReview asks whether the user may do something.";
    schema(description, &[("spec", spec), ("status", status)])
}

fn rules_schema() -> Value {
    let of_resources = [
        ("verbs", texts("Verbs.")),
        ("apiGroups", texts("API groups.")),
        ("resources", texts("Resources.")),
        ("resourceNames", texts("Names; none means all.")),
    ];
    let of_paths = [("verbs", texts("HTTP methods.")), ("nonResourceURLs", texts("Paths."))];
    let status = object(
        "The result.",
        &[
            ("resourceRules", objects("Access to resources.", &of_resources)),
            ("nonResourceRules", objects("Access to paths.", &of_paths)),
            ("incomplete", flag("Whether there may be more rules.")),
            ("evaluationError", text("Why there may be more rules.")),
        ],
    );
    let spec = object("The namespace to check.", &[("namespace", text("Namespace."))]);
    let description = "SelfSubjectRulesReview asks what the user may do in a namespace.";
    schema(description, &[("spec", spec), ("status", status)])
}

fn subject_schema() -> Value {
    let extra = json!({"type": "object", "description": "Other attributes of the user.",
        "additionalProperties": {"type": "array", "items": {"type": "string"}}});
    let user = [
        ("username", text("Name.")),
        ("uid", text("UID of the user.")),
        ("groups", texts("Groups.")),
        ("extra", extra),
    ];
    let status = object("The result.", &[("userInfo", object("The user.", &user))]);
    let description = "SelfSubjectReview asks who the user is.";
    schema(description, &[("status", status)])
}

/// `SelfSubjectAccessReview`: whether the user may send a request.
struct AccessReviews(Arc<dyn Authorizer>);

impl Strategy for AccessReviews {
    fn validate(
        &self,
        review: &Map<String, Value>,
        _old: Option<&Map<String, Value>>,
        _ctx: &WriteContext,
    ) -> Vec<FieldError> {
        let is_set = |key: &str| review.get("spec").and_then(|spec| spec.get(key)).is_some();
        if is_set("resourceAttributes") != is_set("nonResourceAttributes") {
            return Vec::new();
        }
        let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        vec![FieldError::invalid("spec.resourceAttributes", &Value::Null, detail)]
    }

    fn review(&self, review: &Map<String, Value>, ctx: &WriteContext) -> Option<Review> {
        let attributes = attributes(review.get("spec"), &ctx.user);
        let (authorizer, mut review) = (Arc::clone(&self.0), review.clone());
        Some(Box::pin(async move {
            let decision = authorizer.authorize(&attributes).await;
            review.insert("status".to_owned(), status(decision.map_err(|error| error.to_string())));
            Ok(review)
        }))
    }
}

fn attributes(spec: Option<&Value>, user: &Arc<UserInfo>) -> Attributes {
    let user = Arc::clone(user);
    let of = |part: Option<&Value>, key: &str| {
        part.and_then(|part| part.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let part = |key: &str| spec.and_then(|spec| spec.get(key));
    if let Some(path) = part("nonResourceAttributes") {
        let path = Some(path);
        return Attributes {
            user,
            verb: of(path, "verb"),
            path: of(path, "path"),
            ..Attributes::default()
        };
    }
    let resource = part("resourceAttributes");
    let selector = |key: &str| of(resource.and_then(|resource| resource.get(key)), "rawSelector");
    Attributes {
        user,
        verb: of(resource, "verb"),
        group: of(resource, "group"),
        version: of(resource, "version"),
        resource: of(resource, "resource"),
        subresource: of(resource, "subresource"),
        namespace: of(resource, "namespace"),
        name: of(resource, "name"),
        path: String::new(),
        label_selector: selector("labelSelector"),
        field_selector: selector("fieldSelector"),
    }
}

fn status(decision: Result<Decision, String>) -> Value {
    let (allowed, denied, reason, error) = match decision {
        Ok(Decision::Allow(reason)) => (true, false, reason, String::new()),
        Ok(Decision::Deny(reason)) => (false, true, reason, String::new()),
        Ok(Decision::NoOpinion(reason)) => (false, false, reason, String::new()),
        Err(error) => (false, false, String::new(), error),
    };
    let mut status = json!({"allowed": allowed});
    if denied {
        status["denied"] = true.into();
    }
    for (key, text) in [("reason", reason), ("evaluationError", error)] {
        if !text.is_empty() {
            status[key] = text.into();
        }
    }
    status
}

/// `SelfSubjectRulesReview`: what the user may do in a namespace.
struct RulesReviews(Arc<Rbac>);

impl Strategy for RulesReviews {
    fn review(&self, review: &Map<String, Value>, ctx: &WriteContext) -> Option<Review> {
        let namespace = review.get("spec").and_then(|spec| spec.get("namespace"));
        let namespace = namespace.and_then(Value::as_str).unwrap_or_default();
        let response = if namespace.is_empty() {
            Err(ApiError::bad_request("no namespace on request"))
        } else {
            let mut review = review.clone();
            review.insert("status".to_owned(), self.0.rules_of(&ctx.user, namespace));
            Ok(review)
        };
        Some(Box::pin(std::future::ready(response)))
    }
}

/// `SelfSubjectReview`: who the user is.
struct SubjectReviews;

impl Strategy for SubjectReviews {
    fn review(&self, review: &Map<String, Value>, ctx: &WriteContext) -> Option<Review> {
        let UserInfo { username, uid, groups, extra } = &*ctx.user;
        let mut user = json!({"username": username});
        if !uid.is_empty() {
            user["uid"] = uid.as_str().into();
        }
        if !groups.is_empty() {
            user["groups"] = json!(groups);
        }
        if !extra.is_empty() {
            user["extra"] = json!(extra);
        }
        let mut review = review.clone();
        review.insert("status".to_owned(), json!({"userInfo": user}));
        Some(Box::pin(std::future::ready(Ok(review))))
    }
}
