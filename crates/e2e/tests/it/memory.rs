//! The keys of a bucket are removed from memory when they are deleted and no reader delivers to the
//! bucket.
//!
//! The test searches every readable page of the running server for the keys in plain text. It needs
//! root, because the server denies other users access to its memory. It does not search for their
//! base64, as in the JSON of a Secret: buffers that hyper, rustls and `serde_json` have freed may
//! contain it until they are reused.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::emulators::s3::S3Server;
use e2e::fixtures::standalone::{BUCKET, NAME, NAMESPACE, Standalone, keys, send, wait};
use memchr::memmem;
use serde_json::json;

use crate::buckets::run;

const CANARY: &str = "canary-in-memory/5hJ+wQz8";
/// Bytes of one read. The next read overlaps it, so that no boundary splits the canary.
const CHUNK: u64 = 1 << 20;
const OVERLAP: u64 = 128;

/// Occurrences of a text in the memory of a process, each with its mapping and the bytes around it.
fn find_in_memory(process: u32, text: &str) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"));
    let memory = File::open(format!("/proc/{process}/mem"));
    let (maps, memory) = maps.and_then(|maps| Ok((maps, memory?))).unwrap_or_else(|error| {
        panic!("only root can read the memory of the server, and this test has to: {error}")
    });
    let mut occurrences = Vec::new();
    let mut bytes_read = 0;
    let mut chunk = vec![0; usize::try_from(CHUNK).unwrap()];
    for line in maps.lines() {
        let mut columns = line.split_whitespace();
        let (range, permissions) = (columns.next().unwrap(), columns.next().unwrap());
        // Some pages of the kernel cannot be read.
        if !permissions.starts_with('r') || line.contains("[v") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let end = number(end);
        for address in (number(start)..end).step_by(usize::try_from(CHUNK - OVERLAP).unwrap()) {
            let len = usize::try_from(CHUNK.min(end - address)).unwrap();
            // A mapping may be removed meanwhile.
            let Ok(len) = memory.read_at(&mut chunk[..len], address) else { break };
            bytes_read += len;
            for offset in memmem::find_iter(&chunk[..len], text) {
                let context = offset.saturating_sub(100)..(offset + 100).min(len);
                let text = String::from_utf8_lossy(&chunk[context]).into_owned();
                occurrences.push(format!("{:x} in {line}: {text:?}", address + offset as u64));
            }
        }
    }
    assert!(bytes_read > 4 << 20, "only {bytes_read} bytes could be read");
    occurrences
}

#[test]
fn deleted_keys_of_a_bucket_are_removed_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let s3_server = S3Server::start(None).unwrap();
    s3_server.create_bucket(BUCKET, false).unwrap();
    s3_server.create_user("AKIAMEMORY", CANARY).unwrap();
    run(async {
        let server = Standalone::start(folder.path()).await.unwrap();
        server
            .create_destination(&s3_server.endpoint(), BUCKET, &keys("AKIAMEMORY", "not-yet"))
            .await
            .unwrap();
        server.wait_status("Failed").await.unwrap();
        // In base64, as kubectl sends it: only the server has it in plain text.
        let patch = json!({"data": {"aws_secret_access_key": STANDARD.encode(CANARY)}});
        server.change("secrets", &patch).await.unwrap();
        server.wait_status("Success").await.unwrap();
        wait("something is delivered", async || {
            Ok((server.progress().await?.delivered > 0).then_some(()))
        })
        .await
        .unwrap();
        assert!(
            !find_in_memory(server.process.id(), CANARY).is_empty(),
            "keys in use are not found"
        );

        server.delete_audit_config().await.unwrap();
        for path in [
            format!("/apis/config.kio.kasten.io/v1alpha1/namespaces/{NAMESPACE}/profiles/{NAME}"),
            format!("/api/v1/namespaces/{NAMESPACE}/secrets/{NAME}"),
        ] {
            assert_eq!(send(&server.admin, "DELETE", &path, None).await.unwrap().0, 200);
        }
        let mut remaining = Vec::new();
        let removal = wait("the keys are gone", async || {
            remaining = find_in_memory(server.process.id(), CANARY);
            Ok(remaining.is_empty().then_some(()))
        });
        assert!(removal.await.is_ok(), "{} are left:\n{}", remaining.len(), remaining.join("\n"));
    });
}
