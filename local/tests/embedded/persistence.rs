use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use rekindle_local::embedded::{EmbeddedAws, EmbeddedError};

use super::dynamodb::{TABLE, b, create_table, s};
use super::{s3, ses};

/// The variable that tells the kill test's child its data directory.
const CHILD: &str = "REKINDLE_TEST_CHILD";

fn sort_key() -> AttributeValue {
    AttributeValue::B(Blob::new([0]))
}

async fn put_item(aws: &EmbeddedAws, pk: &str, len: usize) {
    let client = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
    let put = client.put_item().table_name(TABLE).item("pk", s(pk)).item("sk", sort_key());
    put.item("data", b(len)).send().await.unwrap();
}

async fn has_item(aws: &EmbeddedAws, pk: &str, len: usize) -> bool {
    let client = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
    let get = client.get_item().table_name(TABLE).key("pk", s(pk)).key("sk", sort_key());
    let item = get.consistent_read(true).send().await.unwrap().item;
    item.is_some_and(|item| item["data"] == b(len))
}

async fn create(dir: &Path) -> EmbeddedAws {
    let aws = EmbeddedAws::open(dir, crate::now()).unwrap();
    create_table(&aws_sdk_dynamodb::Client::new(&aws.sdk_config())).await;
    s3::create_bucket(&aws).await;
    aws
}

#[tokio::test]
async fn tables_objects_and_mails_are_there_when_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    {
        let aws = create(dir.path()).await;
        put_item(&aws, "kept", 32 * 1024).await;
        let client = aws_sdk_s3::Client::new(&aws.sdk_config());
        s3::put(&client, "archive/campaign/a/1.parquet", b"first").await;
        s3::put(&client, "archive/campaign/a/1.parquet", b"second").await;
        s3::put(&client, "archive/campaign/a/2.parquet", b"gone").await;
        client.delete_object().bucket(s3::BUCKET).key("archive/campaign/a/2.parquet").send().await.unwrap();
        ses::send(&aws_sdk_ses::Client::new(&aws.sdk_config()), "a@example.com", "kept").await;
    }
    let aws = EmbeddedAws::open(dir.path(), crate::now()).unwrap();
    assert!(has_item(&aws, "kept", 32 * 1024).await);
    let client = aws_sdk_s3::Client::new(&aws.sdk_config());
    assert_eq!(s3::get(&client, "archive/campaign/a/1.parquet").await.unwrap(), b"second");
    assert_eq!(s3::get(&client, "archive/campaign/a/2.parquet").await, None);
    let head =
        client.head_object().bucket(s3::BUCKET).key("archive/campaign/a/1.parquet").send().await.unwrap();
    assert_eq!(head.last_modified().unwrap().secs(), 24 * 3600);
    assert_eq!(aws.outbox().len(), 1);
    ses::send(&aws_sdk_ses::Client::new(&aws.sdk_config()), "a@example.com", "next").await;
    let subjects: Vec<_> = aws.outbox().into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["kept", "next"]);
}

#[tokio::test]
async fn an_object_lies_where_its_key_says() {
    let dir = tempfile::tempdir().unwrap();
    let aws = create(dir.path()).await;
    let client = aws_sdk_s3::Client::new(&aws.sdk_config());
    let key = "archive/campaign/spring-sale/01JAAAAAAAAAAAAAAAAAAAAAAA/00001/00001.parquet";
    s3::put(&client, key, b"PAR1").await;
    let path = dir.path().join("s3/objects").join(s3::BUCKET).join(key);
    assert_eq!(std::fs::read(path).unwrap(), b"PAR1");
}

#[tokio::test]
async fn a_file_that_a_crash_left_is_no_object_and_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(dir.path()).await);
    let left = dir.path().join("s3/objects").join(s3::BUCKET).join("a/1.parquet");
    std::fs::create_dir_all(left.parent().unwrap()).unwrap();
    std::fs::write(&left, b"half").unwrap();
    std::fs::write(dir.path().join("s3/tmp/half"), b"half").unwrap();
    let aws = EmbeddedAws::open(dir.path(), crate::now()).unwrap();
    let client = aws_sdk_s3::Client::new(&aws.sdk_config());
    assert_eq!(s3::get(&client, "a/1.parquet").await, None);
    s3::put(&client, "a/1.parquet", b"whole").await;
    assert_eq!(s3::get(&client, "a/1.parquet").await.unwrap(), b"whole");
    assert_eq!(std::fs::read(&left).unwrap(), b"whole");
    assert_eq!(std::fs::read_dir(dir.path().join("s3/tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_mail_that_a_crash_tore_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let aws = create(dir.path()).await;
    ses::send(&aws_sdk_ses::Client::new(&aws.sdk_config()), "a@example.com", "whole").await;
    drop(aws);
    let outbox = dir.path().join("outbox.jsonl");
    let mut file = std::fs::OpenOptions::new().append(true).open(&outbox).unwrap();
    file.write_all(b"{\"to\":[\"b@exa").unwrap();
    let aws = EmbeddedAws::open(dir.path(), crate::now()).unwrap();
    ses::send(&aws_sdk_ses::Client::new(&aws.sdk_config()), "a@example.com", "after").await;
    drop(aws);
    let aws = EmbeddedAws::open(dir.path(), crate::now()).unwrap();
    let subjects: Vec<_> = aws.outbox().into_iter().map(|mail| mail.subject).collect();
    assert_eq!(subjects, ["whole", "after"]);
}

#[test]
fn a_directory_that_cannot_be_used_says_which_file_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let refused = || EmbeddedAws::open(dir.path(), crate::now()).unwrap_err().to_string();
    std::fs::write(dir.path().join("dynamodb.sqlite"), [7; 8192]).unwrap();
    let said = refused();
    assert!(said.contains("dynamodb.sqlite") && said.contains("not a valid SQLite database"), "{said}");
    std::fs::remove_file(dir.path().join("dynamodb.sqlite")).unwrap();
    std::fs::write(dir.path().join("outbox.jsonl"), "no mail\n").unwrap();
    let said = refused();
    assert!(said.contains("line 1 of") && said.contains("outbox.jsonl is damaged: expected"), "{said}");
    std::fs::remove_file(dir.path().join("outbox.jsonl")).unwrap();
    std::fs::create_dir(dir.path().join("outbox.jsonl")).unwrap();
    let said = refused();
    assert!(said.contains("outbox.jsonl: Is a directory"), "{said}");
}

#[tokio::test]
async fn a_data_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let first = EmbeddedAws::open(dir.path(), crate::now()).unwrap();
    let client = first.http_client();
    drop(first);
    // An SDK client holds the account open.
    let error = EmbeddedAws::open(dir.path(), crate::now()).unwrap_err();
    assert!(matches!(error, EmbeddedError::InUse(_)), "{error}");
    drop(client);
    EmbeddedAws::open(dir.path(), crate::now()).unwrap();
}

/// A child process that is being started holds copies of our descriptors for a moment, the lock's among them.
#[tokio::test]
async fn a_directory_is_free_once_dropped_whatever_processes_start_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let mut child = Command::new(std::env::current_exe().unwrap());
                child.arg("--list").stdout(Stdio::null()).status().unwrap();
            }
        });
        let opened = (0..200).find_map(|_| EmbeddedAws::open(dir.path(), crate::now()).err());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(opened.is_none(), "{}", opened.unwrap());
    });
}

/// Tests nothing by itself: it is the process that [`what_was_acknowledged_survives_kill_9`] kills.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a process tells its child by the environment")]
async fn child_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else {
        return;
    };
    let aws = EmbeddedAws::open(Path::new(&dir), crate::now()).unwrap();
    let objects = aws_sdk_s3::Client::new(&aws.sdk_config());
    let mails = aws_sdk_ses::Client::new(&aws.sdk_config());
    let mut out = std::io::stderr();
    for i in 0u32.. {
        s3::put(&objects, "overwritten", &i.to_be_bytes().repeat(50_000)).await;
        writeln!(out, "object {i}").unwrap();
        put_item(&aws, &i.to_string(), 32 * 1024).await;
        writeln!(out, "item {i}").unwrap();
        ses::send(&mails, "a@example.com", &i.to_string()).await;
        writeln!(out, "mail {i}").unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(dir.path()).await);
    let mut sent = 0;
    for round in 0..5u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "embedded::persistence::child_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut said: Vec<String> = Vec::new();
        while !said.iter().any(|line| line.starts_with("mail ")) {
            said.push(lines.next().expect("the child should have gone on"));
        }
        std::thread::sleep(Duration::from_millis(10 + 17 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        said.extend(lines);
        let numbers = |what: &str| -> Vec<u32> {
            let numbers = said.iter().filter_map(|line| line.strip_prefix(what));
            numbers.filter_map(|number| number.parse().ok()).collect()
        };

        let aws = EmbeddedAws::open(dir.path(), crate::now()).unwrap();
        let client = aws_sdk_s3::Client::new(&aws.sdk_config());
        let last = *numbers("object ").last().unwrap();
        let bytes = s3::get(&client, "overwritten").await.unwrap();
        let is = |i: u32| bytes == i.to_be_bytes().repeat(50_000);
        assert!(is(last) || is(last + 1), "round {round}: the object is neither {last} nor the next");
        for i in numbers("item ") {
            assert!(has_item(&aws, &i.to_string(), 32 * 1024).await, "round {round}: item {i} is lost");
        }
        sent += numbers("mail ").len();
        let kept = aws.outbox().len();
        assert!((sent..=sent + 1).contains(&kept), "round {round}: {kept} mails of {sent}");
        // A write that was under way at the kill may be kept. If it is, it counts from now on.
        sent = kept;
    }
}

/// The file that names a table under construction may be forged, or left behind by a disk that failed.
#[tokio::test]
async fn a_table_that_has_rows_is_never_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let aws = create(dir.path()).await;
    put_item(&aws, "kept", 100).await;
    drop(aws);
    let left = dir.path().join("dynamodb.creating");
    std::fs::write(&left, TABLE).unwrap();
    let aws = EmbeddedAws::open(dir.path(), crate::now()).unwrap();
    assert!(has_item(&aws, "kept", 100).await);
    assert!(!left.exists());
}

#[tokio::test]
async fn a_table_without_rows_whose_making_was_cut_off_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(dir.path()).await);
    for name in [TABLE, "no-such-table", ""] {
        std::fs::write(dir.path().join("dynamodb.creating"), name).unwrap();
        drop(EmbeddedAws::open(dir.path(), crate::now()).unwrap());
    }
    drop(create(dir.path()).await);
}

/// Answers as S3 would for an object that is damaged or gone: an error that asking again does not change.
#[tokio::test]
async fn a_damaged_file_or_index_is_an_error_and_allocates_nothing_absurd() {
    let dir = tempfile::tempdir().unwrap();
    let aws = create(dir.path()).await;
    let client = aws_sdk_s3::Client::new(&aws.sdk_config());
    let file = |key: &str| dir.path().join("s3/objects").join(s3::BUCKET).join(key);
    for key in ["absurd", "cut", "empty", "longer", "gone"] {
        s3::put(&client, key, b"0123456789").await;
    }
    drop((client, aws));
    std::fs::write(file("cut"), b"0123").unwrap();
    std::fs::write(file("empty"), b"").unwrap();
    std::fs::write(file("longer"), b"01234567890").unwrap();
    std::fs::remove_file(file("gone")).unwrap();
    let index = dir.path().join("s3/index.jsonl");
    let lines = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, lines.replacen("\"size\":10", &format!("\"size\":{}", u64::MAX), 1)).unwrap();
    let aws = EmbeddedAws::open(dir.path(), crate::now()).unwrap();
    let client = aws_sdk_s3::Client::new(&aws.sdk_config());
    // The size in the index is not needed to read the object, whose checksum is right.
    assert_eq!(s3::get(&client, "absurd").await.unwrap(), b"0123456789");
    assert_eq!(s3::get(&client, "gone").await, None);
    for key in ["cut", "empty", "longer"] {
        let get = client.get_object().bucket(s3::BUCKET).key(key);
        let answer = get.checksum_mode(aws_sdk_s3::types::ChecksumMode::Enabled).send().await.unwrap();
        let error = format!("{:?}", answer.body.collect().await.unwrap_err());
        assert!(error.contains("ChecksumMismatch"), "{key}: {error}");
    }
}
