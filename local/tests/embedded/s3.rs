use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier,
    StorageClass,
};
use rekindle_local::embedded::EmbeddedAws;

pub const BUCKET: &str = "archive";
const KEY: &str = "archive/campaign/spring-sale/01JAAAAAAAAAAAAAAAAAAAAAAA/00001/00001.parquet";

pub async fn create_bucket(aws: &EmbeddedAws) -> Client {
    let client = Client::new(&aws.sdk_config());
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    client
}

/// A client with a bucket in memory, and one on disk.
async fn clients() -> Vec<(Client, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().unwrap();
    let on_disk = EmbeddedAws::open(dir.path(), crate::now()).unwrap();
    vec![(create_bucket(&crate::aws()).await, None), (create_bucket(&on_disk).await, Some(dir))]
}

pub async fn put(client: &Client, key: &str, bytes: &[u8]) {
    let body = ByteStream::from(bytes.to_vec());
    client.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap();
}

pub async fn get(client: &Client, key: &str) -> Option<Vec<u8>> {
    match client.get_object().bucket(BUCKET).key(key).send().await {
        Ok(got) => Some(got.body.collect().await.unwrap().to_vec()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => None,
        Err(error) => panic!("{error:?}"),
    }
}

fn status<E>(error: &SdkError<E>) -> u16 {
    error.raw_response().unwrap().status().as_u16()
}

#[tokio::test]
async fn what_is_put_with_any_checksum_is_got_and_described() {
    for (client, _dir) in clients().await {
        for algorithm in [ChecksumAlgorithm::Sha256, ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Crc32] {
            let put = client.put_object().bucket(BUCKET).key(KEY).checksum_algorithm(algorithm.clone());
            let put = put.content_type("application/vnd.apache.parquet").metadata("rows", "17");
            let put = put.storage_class(StorageClass::GlacierIr).body(ByteStream::from_static(b"rows"));
            let answer = put.send().await.unwrap();
            let head = client.head_object().bucket(BUCKET).key(KEY).checksum_mode(ChecksumMode::Enabled);
            let head = head.send().await.unwrap();
            assert_eq!(head.content_length(), Some(4));
            assert_eq!(head.content_type(), Some("application/vnd.apache.parquet"));
            assert_eq!(head.metadata().unwrap()["rows"], "17");
            assert_eq!(head.storage_class(), Some(&StorageClass::GlacierIr));
            assert_eq!(head.e_tag(), answer.e_tag());
            assert_eq!(head.last_modified().unwrap().secs(), 24 * 3600);
            assert_eq!(head.checksum_sha256().is_some(), algorithm == ChecksumAlgorithm::Sha256);
            assert!(head.checksum_crc64_nvme().is_some());
            assert_eq!(get(&client, KEY).await.unwrap(), b"rows");
        }
    }
}

#[tokio::test]
async fn a_streamed_body_with_its_checksum_in_the_trailer_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("body");
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i >> 3) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    for (client, _dir) in clients().await {
        for algorithm in [None, Some(ChecksumAlgorithm::Sha256), Some(ChecksumAlgorithm::Crc64Nvme)] {
            let body = ByteStream::from_path(&path).await.unwrap();
            let put =
                client.put_object().bucket(BUCKET).key(KEY).set_checksum_algorithm(algorithm).body(body);
            put.send().await.unwrap();
            assert!(get(&client, KEY).await.unwrap() == bytes);
            let head = client.head_object().bucket(BUCKET).key(KEY).send().await.unwrap();
            assert_eq!(head.content_encoding(), None);
        }
    }
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_nothing_is_stored() {
    for (client, _dir) in clients().await {
        let wrong = || client.put_object().bucket(BUCKET).body(ByteStream::from_static(b"new"));
        let sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let error = wrong().key("fresh").checksum_sha256(sha256).send().await.unwrap_err();
        assert_eq!(error.code(), Some("BadDigest"), "{error:?}");
        assert_eq!(get(&client, "fresh").await, None);

        put(&client, "old", b"old").await;
        let error = wrong().key("old").checksum_crc64_nvme("AAAAAAAAAAA=").send().await.unwrap_err();
        assert_eq!(error.code(), Some("BadDigest"), "{error:?}");
        let error = wrong().key("old").content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").send().await.unwrap_err();
        assert_eq!(error.code(), Some("BadDigest"), "{error:?}");
        assert_eq!(get(&client, "old").await.unwrap(), b"old");
    }
}

#[tokio::test]
async fn what_is_missing_is_said_to_be() {
    for (client, _dir) in clients().await {
        assert_eq!(get(&client, KEY).await, None);
        let error = client.head_object().bucket(BUCKET).key(KEY).send().await.unwrap_err();
        assert!(error.as_service_error().unwrap().is_not_found(), "{error:?}");
        let error = client.get_object().bucket("nowhere").key(KEY).send().await.unwrap_err();
        assert_eq!(error.code(), Some("NoSuchBucket"));
        client.delete_object().bucket(BUCKET).key(KEY).send().await.unwrap();
        // In us-east-1, creating a bucket that one already owns succeeds.
        client.create_bucket().bucket(BUCKET).send().await.unwrap();
        client.head_bucket().bucket(BUCKET).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_range_is_got_alone() {
    for (client, _dir) in clients().await {
        put(&client, KEY, b"0123456789").await;
        for (range, bytes, said) in [
            ("bytes=2-4", &b"234"[..], "bytes 2-4/10"),
            ("bytes=-3", b"789", "bytes 7-9/10"),
            ("bytes=8-99", b"89", "bytes 8-9/10"),
        ] {
            let got = client.get_object().bucket(BUCKET).key(KEY).range(range).send().await.unwrap();
            assert_eq!(got.content_range(), Some(said));
            assert_eq!(got.body.collect().await.unwrap().to_vec(), bytes);
        }
        let error = client.get_object().bucket(BUCKET).key(KEY).range("bytes=10-").send().await.unwrap_err();
        assert_eq!((error.code(), status(&error)), (Some("InvalidRange"), 416));
    }
}

#[tokio::test]
async fn a_listing_goes_by_prefix_and_page() {
    for (client, _dir) in clients().await {
        for i in 0..7 {
            put(&client, &format!("archive/campaign/a/{i}.parquet"), b"x").await;
        }
        put(&client, "archive/campaign/a.parquet", b"x").await;
        put(&client, "archive/campaign/b/0.parquet", b"x").await;
        let pages = client.list_objects_v2().bucket(BUCKET).prefix("archive/campaign/a/").max_keys(3);
        let mut pages = pages.into_paginator().send();
        let (mut keys, mut sizes) = (Vec::new(), Vec::new());
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            sizes.push(page.key_count().unwrap());
            keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        }
        assert_eq!(sizes, [3, 3, 1]);
        let expected: Vec<_> = (0..7).map(|i| format!("archive/campaign/a/{i}.parquet")).collect();
        assert_eq!(keys, expected);
    }
}

#[tokio::test]
async fn objects_are_deleted_one_by_one_and_in_batches() {
    for (client, dir) in clients().await {
        for key in ["a/1", "a/2", "a/3"] {
            put(&client, key, b"x").await;
        }
        client.delete_object().bucket(BUCKET).key("a/1").send().await.unwrap();
        let objects = ["a/2", "a/3", "a/4"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
        let delete = Delete::builder().set_objects(Some(objects.into())).build().unwrap();
        let deleted = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
        assert_eq!(deleted.deleted().len(), 3);
        assert_eq!(client.list_objects_v2().bucket(BUCKET).send().await.unwrap().key_count(), Some(0));
        if let Some(dir) = dir {
            let left = std::fs::read_dir(dir.path().join("s3/objects").join(BUCKET).join("a")).unwrap();
            assert_eq!(left.count(), 0);
        }
    }
}

#[tokio::test]
async fn a_conditional_put_has_one_winner() {
    for (client, _dir) in clients().await {
        let race = (0..8u8).map(|i| {
            let put = client.put_object().bucket(BUCKET).key(KEY).if_none_match("*");
            tokio::spawn(put.body(ByteStream::from(vec![i])).send())
        });
        let race: Vec<_> = race.collect();
        let mut won = Vec::new();
        for (i, put) in race.into_iter().enumerate() {
            match put.await.unwrap() {
                Ok(_) => won.push(u8::try_from(i).unwrap()),
                Err(error) => assert_eq!((error.code(), status(&error)), (Some("PreconditionFailed"), 412)),
            }
        }
        assert_eq!(won.len(), 1);
        assert_eq!(get(&client, KEY).await.unwrap(), won);
    }
}

#[tokio::test]
async fn keys_that_make_no_path_are_kept_all_the_same() {
    for (client, _dir) in clients().await {
        let long = "k".repeat(400);
        let keys =
            ["a", "a/b", "a/b/c", "../up", "a//b", "/a", "a/", ".tmp", "sp ace", "ü/é", "a%2Fb", &long];
        for key in keys {
            put(&client, key, format!("1 {key}").as_bytes()).await;
            put(&client, key, format!("2 {key}").as_bytes()).await;
        }
        for key in keys {
            assert_eq!(get(&client, key).await.unwrap(), format!("2 {key}").as_bytes(), "{key}");
        }
        let listed = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        assert_eq!(listed.key_count(), Some(12));
    }
}

#[tokio::test]
async fn parts_become_an_object_and_a_lost_answer_may_be_asked_for_again() {
    for (client, _dir) in clients().await {
        let begin = client.create_multipart_upload().bucket(BUCKET).key(KEY);
        let begin = begin.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).send().await.unwrap();
        let id = begin.upload_id().unwrap();
        let parts = [vec![1u8; 5 * 1024 * 1024], vec![2u8; 1000]];
        let mut completed = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(&parts) {
            let upload = client.upload_part().bucket(BUCKET).key(KEY).upload_id(id).part_number(number);
            let upload = upload.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
            let etag = upload.body(ByteStream::from(part.clone())).send().await.unwrap().e_tag.unwrap();
            completed = completed.parts(CompletedPart::builder().part_number(number).e_tag(etag).build());
        }
        assert_eq!(get(&client, KEY).await, None);
        let complete = client.complete_multipart_upload().bucket(BUCKET).key(KEY).upload_id(id);
        let complete = complete.multipart_upload(completed.build());
        let first = complete.clone().send().await.unwrap();
        assert!(first.e_tag().unwrap().ends_with("-2\""), "{first:?}");
        assert_eq!(complete.send().await.unwrap().e_tag(), first.e_tag());
        // The SDK verifies the checksum of the whole object as it reads.
        assert!(get(&client, KEY).await.unwrap() == parts.concat());

        let begin = client.create_multipart_upload().bucket(BUCKET).key("other").send().await.unwrap();
        let abort = client.abort_multipart_upload().bucket(BUCKET).key("other");
        abort.upload_id(begin.upload_id().unwrap()).send().await.unwrap();
        assert_eq!(get(&client, "other").await, None);
    }
}
