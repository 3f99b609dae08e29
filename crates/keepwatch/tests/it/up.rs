//! `keepwatch up` between start and exit.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, ListParams};

use crate::server::{TestServer, create, events, kind, run, runtime, text, within};

#[test]
fn users_are_distinguished_and_objects_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let server = TestServer::up(&home, &[], Stdio::null());
    let runtime = runtime();
    runtime.block_on(async {
        let admin = server.client("admin", None).await;
        create(&admin, "kept", 10).await.unwrap();
        let passkeys = kind("vault.kio.kasten.io", "Passkey", "passkeys");
        let passkeys: Api<DynamicObject> =
            Api::all_with(server.client("alice", None).await, &passkeys);
        let refused = passkeys.list(&ListParams::default()).await.unwrap_err();
        let kube::Error::Api(status) = refused else { panic!("{refused}") };
        assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    });
    let (status, stderr) = within(Duration::from_secs(10), || server.stop());
    assert!(status.success(), "{stderr}");

    let server = TestServer::up(&home, &[], Stdio::null());
    let actions = kind("actions.kio.kasten.io", "RunAction", "runactions");
    runtime.block_on(async {
        let api: Api<DynamicObject> =
            Api::namespaced_with(server.client("admin", None).await, "default", &actions);
        api.get("kept").await.unwrap();
    });
    assert!(server.stop().0.success());
}

#[test]
fn default_namespaces_cannot_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::up(&folder.path().join("home"), &[], Stdio::null());
    runtime().block_on(async {
        let admin = server.client("admin", None).await;
        let namespaces: Api<DynamicObject> =
            Api::all_with(admin, &kind("", "Namespace", "namespaces"));
        for name in ["default", "kube-system", "kube-public"] {
            let refused = namespaces.delete(name, &DeleteParams::default()).await.unwrap_err();
            let kube::Error::Api(status) = refused else { panic!("{refused}") };
            let message =
                format!("namespaces {name:?} is forbidden: this namespace may not be deleted");
            assert_eq!((status.code, status.message), (403, message));
        }
        // A finalizer for a garbage collector would remain, because there is none.
        let orphaning = namespaces.delete("blog", &DeleteParams::orphan()).await.unwrap();
        assert!(orphaning.left().is_some(), "it is emptied first");
        while namespaces.get_opt("blog").await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    });
    assert!(server.stop().0.success());
}

#[test]
fn keys_and_kubeconfig_are_readable_only_by_their_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    TestServer::up(&home, &[], Stdio::null()).stop();
    for file in ["kubeconfig", "pki/ca.key", "pki/server.key", "keepwatch.db"] {
        let mode = home.join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
}

#[test]
fn a_paused_reader_of_stdout_blocks_no_request_and_gets_everything_later() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let mut server = TestServer::up(&home, &[], Stdio::piped());
    let stuck = server.process.stdout.take().unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("run-{number:02}")).collect();
    runtime().block_on(async {
        let admin = server.client("admin", None).await;
        for name in &names {
            // Each event is larger than the buffer of a pipe.
            create(&admin, name, 50_000).await.unwrap();
        }
    });
    let (status, stderr) = within(Duration::from_secs(20), || server.stop());
    assert!(status.success(), "{stderr}");
    drop(stuck);

    let mut server = TestServer::up(&home, &["--once"], Stdio::piped());
    let mut lines = String::new();
    server.process.stdout.take().unwrap().read_to_string(&mut lines).unwrap();
    assert!(server.wait().0.success());
    let events = events(&lines);
    for name in &names {
        let is_it = |event: &&serde_json::Value| {
            event["Verb"] == "create" && event["ObjectRef"]["Name"] == **name
        };
        assert_eq!(events.iter().filter(is_it).count(), 1, "{name}");
    }
}

#[test]
fn a_closed_stdout_stops_only_the_lines() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let mut server = TestServer::up(&home, &[], Stdio::piped());
    drop(server.process.stdout.take());
    runtime().block_on(async {
        let admin = server.client("admin", None).await;
        for number in 0..5 {
            create(&admin, &format!("run-{number}"), 10).await.unwrap();
        }
    });
    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    assert!(stderr.contains("the other end of this sink was closed"), "{stderr}");
}

/// Expects one line on stderr that says what to do, no output on stdout, and exit code 1.
fn check_refused(arguments: &[&str], words: &[&str]) {
    let output = run(arguments, "");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(output.stdout, b"");
    let last = stderr.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "{word}: {stderr}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let arguments = ["up", "--dir", home.to_str().unwrap(), "--listen", &address];
    check_refused(&arguments, &[&address, "in use", "another address"]);
}

#[test]
fn a_foreign_folder_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.tex"), "precious").unwrap();
    let path = folder.path().to_str().unwrap();
    check_refused(&["up", "--dir", path, "--listen", "127.0.0.1:0"], &[path, "--dir"]);
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}

#[test]
fn an_unusable_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let path = file.join("home");
    let path = path.to_str().unwrap();
    check_refused(&["up", "--dir", path, "--listen", "127.0.0.1:0"], &[path, "--dir"]);
}

#[test]
fn a_second_server_in_the_folder_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let server = TestServer::up(&home, &[], Stdio::null());
    let arguments = ["up", "--dir", home.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    check_refused(&arguments, &["in use by another server"]);
    assert!(server.stop().0.success());
}

#[test]
fn an_invalid_policy_is_rejected_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let policy = folder.path().join("policy.yaml");
    std::fs::write(&policy, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n").unwrap();
    let path = policy.to_str().unwrap();
    let arguments = ["up", "--dir", home.to_str().unwrap(), "--policy", path];
    check_refused(&arguments, &[path, "0 rules"]);
}
