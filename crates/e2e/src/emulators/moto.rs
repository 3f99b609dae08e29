//! moto: a second S3 server, independent of the first and written in another language. A wrong
//! assumption about S3 would show in one of them.
//!
//! It creates its own keys. It verifies signatures and permissions only if that is switched on.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use crate::fixtures::curl::curl;
use crate::fixtures::process::{Process, free_port};
use crate::fixtures::wait::until;

/// The policy of a user with all permissions on objects, and no others.
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
/// The policy of a user that may assume roles, and has no other permission.
const ASSUME_ROLE_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}"#;
/// The role's trust policy: every user with the permission may assume it.
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
/// A role that may write objects.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/audit-writer";

/// A running server.
pub struct Moto {
    _process: Process,
    _folder: tempfile::TempDir,
    endpoint: String,
    /// The account's access key ID.
    pub id: String,
    /// The account's secret key.
    pub secret: String,
}

impl Moto {
    /// Starts it with these buckets, and an account that may write to them.
    pub fn start(buckets: &[&str]) -> anyhow::Result<Self> {
        let packages = assets::packages::moto()?;
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let arguments =
            ["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
        let environment = [("PYTHONPATH".to_owned(), packages.display().to_string())];
        let python = assets::packages::python();
        let mut process =
            Process::start_in("moto", &python, &arguments, folder.path(), &environment)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        until("moto answers", || {
            process.check()?;
            Ok(curl(&[&format!("{endpoint}/moto-api/")]).ok().map(drop))
        })?;
        for bucket in buckets {
            curl(&["-X", "PUT", &format!("{endpoint}/{bucket}")])?;
        }
        let (id, secret) = create_user(&endpoint, "keepwatch", POLICY)?;
        let moto = Self { _process: process, _folder: folder, endpoint, id, secret };
        moto.set_verification_skipped(false)?;
        Ok(moto)
    }

    /// Creates [`ROLE`], and an access key that may only assume it.
    pub fn create_role(&self) -> anyhow::Result<(String, String)> {
        self.set_verification_skipped(true)?;
        let name = "RoleName=audit-writer";
        iam_request(
            &self.endpoint,
            &["Action=CreateRole", name, &format!("AssumeRolePolicyDocument={TRUST}")],
        )?;
        let policy = format!("PolicyDocument={POLICY}");
        iam_request(&self.endpoint, &["Action=PutRolePolicy", name, "PolicyName=writer", &policy])?;
        let key = create_user(&self.endpoint, "nobody", ASSUME_ROLE_POLICY)?;
        self.set_verification_skipped(false)?;
        Ok(key)
    }

    /// Assumes [`ROLE`]. Returns access key ID, secret key and session token.
    pub fn assume_role(&self, (id, secret): (&str, &str)) -> anyhow::Result<[String; 3]> {
        let user = format!("{id}:{secret}");
        let fields = ["Version=2011-06-15", "RoleSessionName=instance"];
        let role = format!("RoleArn={ROLE}");
        let mut arguments = vec!["--aws-sigv4", "aws:amz:us-east-1:sts", "--user", &user];
        for field in ["Action=AssumeRole", &role].iter().chain(&fields) {
            arguments.extend(["--data-urlencode", field]);
        }
        let url = format!("{}/", self.endpoint);
        arguments.push(&url);
        let issued = String::from_utf8(curl(&arguments)?)?;
        let part = |name: &str| element(&issued, name);
        Ok([part("AccessKeyId")?, part("SecretAccessKey")?, part("SessionToken")?])
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The objects of a bucket, by key. Switches off the verification of signatures.
    pub fn objects(&self, bucket: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        self.set_verification_skipped(true)?;
        let url = format!("{}/{bucket}", self.endpoint);
        let list = String::from_utf8(curl(&[&format!("{url}?list-type=2")])?)?;
        ensure!(list.contains("<IsTruncated>false"), "too many objects for one page: {list}");
        let keys =
            list.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0));
        keys.map(|key| {
            let url = format!("{url}/{}", key.replace('=', "%3D"));
            // An unsigned request is rejected, but any signature is accepted.
            let user = format!("{}:{}", self.id, self.secret);
            let object = curl(&["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user, &url])?;
            Ok((key.to_owned(), object))
        })
        .collect()
    }

    /// Skips verification for the next request only: a client that calls STS with a web identity
    /// token has no key yet, which moto does not support.
    pub fn skip_next_verification(&self) -> anyhow::Result<()> {
        self.skip_verification_for("1")
    }

    fn set_verification_skipped(&self, is_skipped: bool) -> anyhow::Result<()> {
        self.skip_verification_for(if is_skipped { "1000000" } else { "0" })
    }

    /// Skips verification for this many requests.
    fn skip_verification_for(&self, count: &str) -> anyhow::Result<()> {
        curl(&[
            "-H",
            "content-type: text/plain",
            "-d",
            count,
            &format!("{}/moto-api/reset-auth", self.endpoint),
        ])
        .map(drop)
    }
}

/// Creates a user with this policy, and a key for it.
fn create_user(endpoint: &str, name: &str, policy: &str) -> anyhow::Result<(String, String)> {
    let name = format!("UserName={name}");
    iam_request(endpoint, &["Action=CreateUser", &name])?;
    let keys = iam_request(endpoint, &["Action=CreateAccessKey", &name])?;
    let policy = format!("PolicyDocument={policy}");
    iam_request(endpoint, &["Action=PutUserPolicy", &name, "PolicyName=only", &policy])?;
    Ok((element(&keys, "AccessKeyId")?, element(&keys, "SecretAccessKey")?))
}

/// Sends a request to IAM.
fn iam_request(endpoint: &str, fields: &[&str]) -> anyhow::Result<String> {
    let mut arguments = vec!["--aws-sigv4", "aws:amz:us-east-1:iam", "--user", "nobody:yet"];
    let url = format!("{endpoint}/");
    for field in ["Version=2010-05-08"].iter().chain(fields) {
        arguments.extend(["--data-urlencode", field]);
    }
    arguments.push(&url);
    Ok(String::from_utf8(curl(&arguments)?)?)
}

fn element(text: &str, name: &str) -> anyhow::Result<String> {
    let rest = text.split_once(&format!("<{name}>")).context("not in the response")?.1;
    Ok(rest.split_once('<').context("not in the response")?.0.to_owned())
}
