//! A second server of objects, of other people and in another language (moto): what ours only thinks
//! that S3 is, one of the two would notice.
//!
//! It makes its own keys, and looks at signatures and rights once it is told to.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::assets;
use crate::process::{Process, free_port};
use crate::wait::until;

/// An account may do everything with objects, and nothing else.
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;

/// A running server.
pub struct Moto {
    _process: Process,
    _folder: tempfile::TempDir,
    endpoint: String,
    /// Names the account's key.
    pub id: String,
    /// The key.
    pub secret: String,
}

impl Moto {
    /// Starts one with these buckets, and an account that may write to them.
    pub fn start(buckets: &[&str]) -> anyhow::Result<Self> {
        let packages = assets::moto()?;
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let arguments =
            ["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
        let environment = [("PYTHONPATH".to_owned(), packages.display().to_string())];
        let python = assets::python();
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
        account(&endpoint, &["Action=CreateUser"])?;
        let keys = account(&endpoint, &["Action=CreateAccessKey"])?;
        let policy = format!("PolicyDocument={POLICY}");
        account(&endpoint, &["Action=PutUserPolicy", "PolicyName=writer", &policy])?;
        let (id, secret) = (element(&keys, "AccessKeyId")?, element(&keys, "SecretAccessKey")?);
        let moto = Self { _process: process, _folder: folder, endpoint, id, secret };
        moto.believe_everybody(false)?;
        Ok(moto)
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What a bucket holds, by key. From now on signatures do not matter any more.
    pub fn objects(&self, bucket: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        self.believe_everybody(true)?;
        let url = format!("{}/{bucket}", self.endpoint);
        let list = String::from_utf8(curl(&[&format!("{url}?list-type=2")])?)?;
        ensure!(list.contains("<IsTruncated>false"), "too many objects for one page: {list}");
        let keys =
            list.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0));
        keys.map(|key| {
            let url = format!("{url}/{}", key.replace('=', "%3D"));
            // What nobody has signed is refused; how it is signed does not matter.
            let user = format!("{}:{}", self.id, self.secret);
            let object = curl(&["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user, &url])?;
            Ok((key.to_owned(), object))
        })
        .collect()
    }

    fn believe_everybody(&self, really: bool) -> anyhow::Result<()> {
        let count = if really { "1000000" } else { "0" };
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

/// A request about the account.
fn account(endpoint: &str, fields: &[&str]) -> anyhow::Result<String> {
    let mut arguments = vec!["--aws-sigv4", "aws:amz:us-east-1:iam", "--user", "nobody:yet"];
    let url = format!("{endpoint}/");
    for field in ["UserName=keepwatch", "Version=2010-05-08"].iter().chain(fields) {
        arguments.extend(["--data-urlencode", field]);
    }
    arguments.push(&url);
    Ok(String::from_utf8(curl(&arguments)?)?)
}

fn curl(arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let answer = Command::new("curl")
        .args(["-sS", "--fail-with-body"])
        .args(arguments)
        .output()
        .context("cannot start curl")?;
    let said = String::from_utf8_lossy(&answer.stdout);
    let error = String::from_utf8_lossy(&answer.stderr);
    ensure!(answer.status.success(), "curl {arguments:?}: {said} {error}");
    Ok(answer.stdout)
}

fn element(text: &str, name: &str) -> anyhow::Result<String> {
    let after = text.split_once(&format!("<{name}>")).context("not in the answer")?.1;
    Ok(after.split_once('<').context("not in the answer")?.0.to_owned())
}
