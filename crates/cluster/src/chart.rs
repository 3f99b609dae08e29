//! The chart as Helm renders it, and the release that Helm makes of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, bail};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::user::User;

/// Where the chart is.
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/keepwatch");

/// The chart.
#[derive(Clone, Debug)]
pub struct Chart {
    helm: PathBuf,
    namespace: String,
}

impl Chart {
    /// The chart, to be rendered for this namespace.
    pub fn open(namespace: &str) -> anyhow::Result<Self> {
        Ok(Self { helm: assets::helm()?, namespace: namespace.to_owned() })
    }

    /// Helm's own opinion, the strict one; an error if it finds a fault.
    pub fn lint(&self, values: &[&str]) -> anyhow::Result<()> {
        said(&self.helm(&["lint", "--strict", CHART], values)?).map(drop)
    }

    /// Everything but custom resource definitions, with these values, each `key=value`.
    pub fn render(&self, values: &[&str]) -> anyhow::Result<Rendered> {
        self.render_with(&[], values)
    }

    /// The same with more arguments of Helm's, such as `--values` and a file.
    pub fn render_with(&self, arguments: &[&str], values: &[&str]) -> anyhow::Result<Rendered> {
        self.render_chart(Path::new(CHART), arguments, values)
    }

    /// The same for another chart, which has this one as a dependency.
    pub fn render_chart(
        &self,
        chart: &Path,
        arguments: &[&str],
        values: &[&str],
    ) -> anyhow::Result<Rendered> {
        let chart = chart.to_str().context("the chart's path is no text")?;
        let all: Vec<&str> =
            ["template", "keepwatch", chart].into_iter().chain(arguments.iter().copied()).collect();
        let text = said(&self.helm(&all, values)?)?;
        let documents = Yaml::load_from_str(&text).context("Helm renders no YAML")?;
        let objects: Vec<Value> = documents.iter().map(to_json).collect();
        Ok(Rendered { objects: objects.into_iter().filter(|object| !object.is_null()).collect() })
    }

    /// What Helm says to values that it must refuse.
    pub fn refusal(&self, values: &[&str]) -> anyhow::Result<String> {
        let output = self.helm(&["template", "keepwatch", CHART], values)?;
        if output.status.success() {
            bail!("{values:?} is not refused");
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Installs or upgrades the release as `user`; what Helm says.
    pub fn install(&self, user: &User, values: &[&str]) -> anyhow::Result<String> {
        let kubeconfig = format!("--kubeconfig={}", user.kubeconfig.display());
        said(&self.helm(&["upgrade", "--install", &kubeconfig, "keepwatch", CHART], values)?)
    }

    /// Uninstalls the release as `user`, without the Job that needs a kubelet.
    pub fn uninstall(&self, user: &User) -> anyhow::Result<String> {
        let kubeconfig = format!("--kubeconfig={}", user.kubeconfig.display());
        said(&self.helm(&["uninstall", &kubeconfig, "keepwatch", "--no-hooks"], &[])?)
    }

    fn helm(&self, arguments: &[&str], values: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.helm);
        command.args(arguments).args(["--namespace", &self.namespace]);
        for value in values {
            command.args(["--set", value]);
        }
        command.output().context("cannot start helm")
    }
}

fn said(output: &Output) -> anyhow::Result<String> {
    if !output.status.success() {
        let out = String::from_utf8_lossy(&output.stdout);
        bail!("helm: {out}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The objects of a rendered chart.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// In the order in which Helm installs them.
    pub objects: Vec<Value>,
}

impl Rendered {
    /// Every object as `Kind/name`.
    pub fn names(&self) -> Vec<String> {
        self.objects.iter().map(|object| format!("{}/{}", kind(object), name(object))).collect()
    }

    /// All objects of a kind.
    pub fn of_kind<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| kind(object) == wanted)
    }

    /// The one Deployment.
    pub fn deployment(&self) -> anyhow::Result<&Value> {
        self.of_kind("Deployment").next().context("no Deployment is rendered")
    }

    /// The arguments of its one container.
    pub fn arguments(&self) -> anyhow::Result<Vec<String>> {
        let arguments = self.deployment()?.pointer("/spec/template/spec/containers/0/args");
        let arguments = arguments.and_then(Value::as_array).context("no arguments")?;
        Ok(arguments.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// The pod that the Deployment would make.
    pub fn pod(&self) -> anyhow::Result<Value> {
        pod_of(self.deployment()?)
    }

    /// The pod of the Job that cleans up.
    pub fn uninstall_pod(&self) -> anyhow::Result<Value> {
        pod_of(self.of_kind("Job").next().context("no Job is rendered")?)
    }

    /// A manifest of the objects for which `wanted` holds.
    pub fn manifest(&self, wanted: impl Fn(&Value) -> bool) -> String {
        let items: Vec<&Value> = self.objects.iter().filter(|object| wanted(object)).collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
    }
}

/// The pod that is made of an object's template.
fn pod_of(object: &Value) -> anyhow::Result<Value> {
    let mut pod = object.pointer("/spec/template").context("no pod template")?.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name(object));
    pod["metadata"]["namespace"] = object["metadata"]["namespace"].clone();
    Ok(pod)
}

fn kind(object: &Value) -> &str {
    object.pointer("/kind").and_then(Value::as_str).unwrap_or_default()
}

fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// YAML that Helm wrote has a meaning in JSON; what has none becomes null.
fn to_json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) | Yaml::Alias(_) | Yaml::BadValue => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => (**value).into(),
        Yaml::Value(Scalar::String(value)) => value.as_ref().into(),
        Yaml::Representation(text, _, _) => text.as_ref().into(),
        Yaml::Tagged(_, inner) => to_json(inner),
        Yaml::Sequence(items) => items.iter().map(to_json).collect(),
        Yaml::Mapping(mapping) => {
            let entries = mapping.iter().map(|(key, value)| {
                let key = match to_json(key) {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                (key, to_json(value))
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

/// The folder of the chart.
pub fn folder() -> &'static Path {
    Path::new(CHART)
}
