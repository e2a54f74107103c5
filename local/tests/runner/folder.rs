//! The data folder: who may read it, and what the runner says of one that it cannot use.

use super::{Program, client::KEY, within};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The access rights of a file or a folder.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Every file and folder below `path`, with its access rights.
fn rights(path: &Path) -> Vec<(String, u32)> {
    let mode = mode(path);
    let below = if path.is_dir() { fs::read_dir(path).unwrap().collect() } else { vec![] };
    let below = below.into_iter().flat_map(|entry| rights(&entry.unwrap().path()));
    [(path.display().to_string(), mode)].into_iter().chain(below).collect()
}

/// Makes a folder of data in which a campaign has expired.
pub fn filled(data: &Path) {
    let (program, client) = Program::begin(&["--key", KEY, "--data", data.to_str().unwrap()]);
    let one = json!([{ "user_id": "u", "campaign_id": "c", "type": "received", "channel": "email" }]);
    for (path, body) in [
        ("/v1/interactions", one),
        ("/v1/campaigns/c/stop", json!(null)),
        ("/_local/clock", json!({ "advance": "P4M" })),
        ("/_local/sweep", json!(null)),
    ] {
        let (status, answer) = client.post(path, &body).unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
    }
    let mut state = json!(null);
    for _ in 0..50 {
        state = client.get("/v1/campaigns/c").unwrap().1["interaction_data"]["state"].clone();
        if state == "expired" {
            break;
        }
        client.post("/_local/clock", &json!({ "advance": "P1D" })).unwrap();
        client.post("/_local/sweep", &json!(null)).unwrap();
    }
    assert_eq!(state, "expired");
    program.signal("-TERM");
    assert!(program.ended().success());
}

#[test]
fn only_the_owner_may_read_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("made/data");
    filled(&data);
    let all = rights(&folder.path().join("made"));
    let has = |part: &str| all.iter().any(|(path, _)| path.contains(part));
    for part in ["dynamodb.sqlite", "index.jsonl", ".parquet", "outbox.jsonl", "clock", "lock"] {
        assert!(has(part), "{part} is missing: {all:?}");
    }
    for (path, mode) in all {
        let is_folder = Path::new(&path).is_dir();
        assert_eq!(mode, if is_folder { 0o700 } else { 0o600 }, "{path}: {mode:o}");
    }
}

/// A folder of an earlier version, or one that somebody made, is closed to others.
#[test]
fn a_folder_that_others_may_read_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    set_mode(&data, 0o755);
    filled(&data);
    assert_eq!(mode(&data), 0o700);
    // So is one that has data.
    set_mode(&data, 0o755);
    let arguments = ["--data", data.to_str().unwrap()];
    let said = Program::log_of(&arguments);
    assert!(said.contains("others could read the data folder; now only its owner can"), "{said}");
    assert_eq!(mode(&data), 0o700);
    let said = Program::log_of(&arguments);
    assert!(!said.contains("the data folder"), "{said}");
}

/// A folder that also has files of somebody else is not changed, at the first start and later.
#[test]
fn a_folder_that_has_other_files_is_named_in_the_log_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("notes"), "mine").unwrap();
    set_mode(&data, 0o755);
    for _ in 0..2 {
        let said = Program::log_of(&["--data", data.to_str().unwrap()]);
        assert!(said.contains("others may read the data folder"), "{said}");
        assert_eq!(mode(&data), 0o755);
    }
    for name in ["dynamodb.sqlite", "admin-key", "lock", "s3"] {
        assert_eq!(mode(&data.join(name)) & 0o077, 0, "{name}");
    }
}

#[test]
fn an_archive_without_its_catalog_is_not_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (data, aside) = (folder.path().join("data"), folder.path().join("aside"));
    filled(&data);
    fs::rename(data.join("dynamodb.sqlite"), &aside).unwrap();
    let arguments = ["--key", KEY, "--data", data.to_str().unwrap()];
    for _ in 0..2 {
        let said = Program::refused(&arguments);
        assert!(said.contains("it is empty, though the archive has objects"), "{said}");
        assert!(said.contains("Put a copy of dynamodb.sqlite back"), "{said}");
    }
    for name in fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()) {
        if name.display().to_string().contains("dynamodb.sqlite") {
            fs::remove_file(name).unwrap();
        }
    }
    fs::rename(&aside, data.join("dynamodb.sqlite")).unwrap();
    let (_program, client) = Program::begin(&arguments);
    let (_, campaign) = client.get("/v1/campaigns/c").unwrap();
    assert_eq!(campaign["interaction_data"]["state"], "expired", "{campaign}");
}

/// The one file of the archive.
fn part(path: &Path) -> PathBuf {
    let below = rights(path).into_iter().map(|(path, _)| PathBuf::from(path));
    let parts: Vec<PathBuf> = below.filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect();
    assert_eq!(parts.len(), 1, "{parts:?}");
    parts[0].clone()
}

#[test]
fn a_lost_or_shortened_file_of_the_archive_fails_the_restore_at_once() {
    type Damage = fn(&Path);
    let damages: [Damage; 3] = [
        |file| fs::remove_file(file).unwrap(),
        |file| fs::write(file, b"").unwrap(),
        |file| fs::write(file, &fs::read(file).unwrap()[..100]).unwrap(),
    ];
    for (i, damage) in damages.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path());
        damage(&part(folder.path()));
        let (_program, client) = Program::begin(&["--key", KEY, "--data", folder.path().to_str().unwrap()]);
        let (_, asked) = client.post("/v1/restores", &json!({ "sources": ["campaign/c"] })).unwrap();
        let path = format!("/v1/restores/{}", asked["id"].as_str().unwrap());
        let failed = within(move || {
            loop {
                let (_, request) = client.get(&path).unwrap();
                if request["state"] == "failed" {
                    return request;
                }
            }
        });
        let request = failed.unwrap_or_else(|| panic!("damage {i}: it does not fail"));
        let error = request["items"][0]["error"].as_str().unwrap();
        assert!(error.contains("archive part archive/campaign/c/"), "damage {i}: {error}");
    }
}

#[test]
fn a_clock_file_that_no_clock_wrote_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("clock"), "251557000000000").unwrap();
    let said = Program::refused(&["--key", KEY, "--data", folder.path().to_str().unwrap()]);
    assert!(said.contains("clock must hold the milliseconds"), "{said}");
}

#[test]
fn a_clock_of_the_year_9999_is_refused_and_all_goes_on() {
    let (_program, client) = Program::begin(&["--memory", "--key", KEY]);
    for body in [json!({ "now": "9999-12-30T21:00:00Z" }), json!({ "advance": "P7900Y" })] {
        let (status, answer) = client.post("/_local/clock", &body).unwrap();
        assert_eq!((status, &answer["code"]), (422, &json!("invalid_clock")), "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains("2286-01-01"), "{answer}");
    }
    // At the last time that the clock takes, a campaign lives and is read back.
    let (status, answer) = client.post("/_local/clock", &json!({ "now": "2286-01-01T00:00:00Z" })).unwrap();
    assert_eq!(status, 200, "{answer}");
    let one = json!([{ "user_id": "u", "campaign_id": "c", "type": "received", "channel": "email" }]);
    for (path, body) in [
        ("/v1/interactions", one),
        ("/v1/campaigns/c/stop", json!(null)),
        ("/v1/campaigns/c/pin", json!({ "reason": "r", "until": "9999-12-30T21:59:59.999Z" })),
        ("/_local/sweep", json!(null)),
        ("/v1/restores", json!({ "sources": ["campaign/c"] })),
    ] {
        let (status, answer) = client.post(path, &body).unwrap();
        assert!(status == 200 || status == 202, "{path}: {answer}");
    }
    for path in
        ["/v1/campaigns/c", "/v1/campaigns", "/v1/campaigns/c/timeline", "/v1/audit", "/v1/expirations"]
    {
        let (status, answer) = client.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
    }
}

#[test]
fn a_key_is_taken_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let arguments = ["--memory", "--key-file", file.to_str().unwrap()];
    let said = Program::refused(&arguments);
    assert!(said.contains("--key-file ") && said.contains("No such file"), "{said}");
    fs::write(&file, "secret\n").unwrap();
    let said = Program::refused(&arguments);
    assert!(said.contains("a key is written rk_ID_SECRET"), "{said}");
    fs::write(&file, format!("{KEY}\n")).unwrap();
    let (_program, client) = Program::begin(&arguments);
    assert_eq!(client.get("/v1/tags").unwrap().0, 200);
}

#[test]
fn a_file_of_the_key_that_others_may_read_is_named_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, format!("{KEY}\n")).unwrap();
    for (bits, is_open) in [(0o600, false), (0o640, true), (0o604, true)] {
        set_mode(&file, bits);
        let said = Program::log_of(&["--memory", "--key-file", file.to_str().unwrap()]);
        let warned = said.contains("others than its owner may read the file of the admin key");
        assert_eq!(warned, is_open, "{bits:o}: {said}");
        assert_eq!((said.contains(file.to_str().unwrap()), mode(&file)), (is_open, bits), "{said}");
    }
}
