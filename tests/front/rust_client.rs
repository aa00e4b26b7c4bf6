//! The official Rust client, which is also the collector's own way in.

use clickhouse::{Compression, Row, native::builder::BlockBuilder};
use serde::{Deserialize, Serialize};

use super::{reader, store, writer};

#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
struct Line {
    id: u64,
    text: String,
}

fn lines(count: u64) -> impl Iterator<Item = Line> {
    // Blank lines and a statement inside the data: they must stay data.
    (0..count).map(|id| Line {
        id,
        text: format!("{id}\n\n create table lapwing.pwned (a Int8) engine=Memory; ''\\ é"),
    })
}

async fn table(name: &str) -> clickhouse::Client {
    let client = writer(&store().door);
    let ddl =
        format!("CREATE TABLE {name} (id UInt64, text String) ENGINE = MergeTree ORDER BY id");
    client.query(&ddl).execute().await.unwrap();
    client
}

#[tokio::test]
async fn rows_go_in_and_come_out_in_every_way_of_the_client() {
    let base = table("rust_rows").await;
    let mut expected = 0;
    for compression in [Compression::None, Compression::Lz4] {
        for validation in [true, false] {
            let client = base
                .clone()
                .with_compression(compression)
                .with_validation(validation);
            let mut insert = client.insert::<Line>("rust_rows").await.unwrap();
            for line in lines(5_000) {
                insert.write(&line).await.unwrap();
            }
            insert.end().await.unwrap();
            expected += 5_000;
            let count: u64 = client
                .query("SELECT count() FROM rust_rows")
                .fetch_one()
                .await
                .unwrap();
            assert_eq!(count, expected);
            let sql = "SELECT ?fields FROM rust_rows ORDER BY id, text LIMIT 5000";
            let rows = client.query(sql).fetch_all::<Line>().await.unwrap();
            assert_eq!(rows.len(), 5_000);
            assert_eq!(rows[0], lines(1).next().unwrap());
        }
    }
    let pwned: u64 = base
        .query("SELECT count() FROM system.tables WHERE name = 'pwned'")
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(pwned, 0);
}

#[tokio::test]
async fn rows_go_in_as_native_columns() {
    let client = table("rust_native").await;
    let (ids, texts): (Vec<u64>, Vec<String>) = lines(5_000).map(|l| (l.id, l.text)).unzip();
    let mut builder = BlockBuilder::new();
    let mut column = builder.upsert_column::<u64>("id").unwrap();
    column.add_all(ids).unwrap();
    let mut column = builder.upsert_column::<&str>("text").unwrap();
    column.add_all(texts.iter().map(String::as_str)).unwrap();
    let block = builder.build().unwrap();
    let mut insert = client.insert_native("rust_native");
    // Two blocks in one insert.
    insert.write(&block).await.unwrap();
    insert.write(&block).await.unwrap();
    insert.end().await.unwrap();
    let sql = "SELECT count(), uniqExact(id, text) FROM rust_native";
    let counts: (u64, u64) = client.query(sql).fetch_one().await.unwrap();
    assert_eq!(counts, (10_000, 5_000));
    let sql = "SELECT ?fields FROM rust_native ORDER BY id LIMIT 1";
    let row: Line = client.query(sql).fetch_one().await.unwrap();
    assert_eq!(row, lines(1).next().unwrap());
}

#[tokio::test]
async fn a_long_result_is_streamed_whole() {
    let sql = "SELECT number AS id, toString(number) AS text FROM numbers(700000)";
    let mut cursor = reader().query(sql).fetch::<Line>().unwrap();
    let mut next = 0;
    while let Some(line) = cursor.next().await.unwrap() {
        assert_eq!(line.id, next);
        next += 1;
    }
    assert_eq!(next, 700_000);
}

#[tokio::test]
async fn parameters_and_unknown_settings() {
    let client = writer(&store().door);
    let sql = "SELECT {a:UInt64} + 1, {b:String}";
    let text = "it's\na \\ tab\t";
    let row: (u64, String) = client
        .query(sql)
        .param("a", 41)
        .param("b", text)
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(row, (42, text.to_owned()));
    let error = client
        .query("SELECT 1")
        .with_setting("no_such_setting", "1")
        .execute()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Code: 115"), "{error}");
}

#[tokio::test]
async fn a_failure_in_mid_stream_is_an_error_and_not_an_end() {
    let sql =
        "SELECT number AS id, toString(throwIf(number = 500000)) AS text FROM numbers(1000000)";
    let mut cursor = writer(&store().door).query(sql).fetch::<Line>().unwrap();
    let mut rows = 0_u64;
    let error = loop {
        match cursor.next().await {
            Ok(Some(_)) => rows += 1,
            Ok(None) => panic!("ended after {rows} rows"),
            Err(error) => break error,
        }
    };
    assert!(rows > 0, "failed before anything was sent");
    assert!(error.to_string().contains("Code: 395"), "{error}");
}

#[tokio::test]
async fn the_read_door_reads_and_nothing_else() {
    let client = table("read_only").await;
    client
        .query("INSERT INTO read_only VALUES (1, 'a')")
        .execute()
        .await
        .unwrap();
    let reader = reader();
    let count: u64 = reader
        .query("SELECT count() FROM read_only")
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(count, 1);
    for sql in [
        "INSERT INTO read_only VALUES (2, 'b')",
        "INSERT INTO read_only SELECT 2, 'b' SETTINGS readonly = 0",
        "WITH x AS (SELECT 2, 'b') INSERT INTO read_only SELECT * FROM x",
        "CREATE TABLE lapwing.other (a Int8) ENGINE = Memory",
        "DROP TABLE read_only",
        "ALTER TABLE read_only DELETE WHERE 1",
        "TRUNCATE TABLE read_only",
        "KILL QUERY WHERE 1",
        "SET readonly = 0",
        "SYSTEM FLUSH LOGS",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 SETTINGS max_execution_time = 0",
    ] {
        let error = reader
            .query(sql)
            .execute()
            .await
            .expect_err(sql)
            .to_string();
        assert!(error.contains("Code: 164"), "{sql}: {error}");
    }
    let insert = async {
        let mut insert = reader.insert::<Line>("read_only").await?;
        insert.write(&lines(1).next().unwrap()).await?;
        insert.end().await
    };
    assert!(insert.await.unwrap_err().to_string().contains("Code: 164"));
    let count: u64 = client
        .query("SELECT count() FROM read_only")
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn nothing_outside_of_the_store_is_in_reach() {
    for client in [writer(&store().door), reader()] {
        for sql in [
            "SELECT * FROM file('/etc/passwd', 'LineAsString')",
            "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
            "SELECT * FROM remote('127.0.0.1:1', 'system.one')",
            "SELECT * FROM s3('http://127.0.0.1:1/a.csv', 'CSV', 'a String')",
            "SELECT * FROM executable('id', 'TSV', 'a String')",
            "SELECT 1 INTO OUTFILE '/tmp/lapwing-front-test'",
            "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT LineAsString",
            "INSERT INTO FUNCTION file('/tmp/lapwing-front-test') SELECT 1",
            "CREATE TABLE lapwing.outside (a String) ENGINE = File(TSV)",
            "SELECT 1; SELECT 2",
        ] {
            let error = client
                .query(sql)
                .execute()
                .await
                .expect_err(sql)
                .to_string();
            // Denied, read-only, not one statement, or (for programs) not in a folder that nobody can write: never
            // tried.
            let refused = ["Code: 497", "Code: 164", "Code: 62", "Code: 1."]
                .iter()
                .any(|code| error.contains(code));
            assert!(refused, "{sql}: {error}");
        }
    }
    assert!(!std::path::Path::new("/tmp/lapwing-front-test").exists());
}

#[tokio::test]
async fn sessions_keep_what_they_set_and_nothing_of_one_request() {
    let session = writer(&store().door).with_setting("session_id", "keeps");
    session
        .query("CREATE TEMPORARY TABLE kept (a UInt8)")
        .execute()
        .await
        .unwrap();
    session
        .query("INSERT INTO kept VALUES (7)")
        .execute()
        .await
        .unwrap();
    session
        .query("SET max_threads = 3")
        .execute()
        .await
        .unwrap();
    let once = session.clone().with_setting("max_block_size", "123");
    let set: (u8, u64, u64) = once
        .query("SELECT a, toUInt64(getSetting('max_threads')), toUInt64(getSetting('max_block_size')) FROM kept")
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(set, (7, 3, 123));
    let after: (u64, u64) = session
        .query("SELECT toUInt64(getSetting('max_threads')), toUInt64(getSetting('max_block_size'))")
        .fetch_one()
        .await
        .unwrap();
    assert_eq!(after.0, 3);
    assert_ne!(after.1, 123);
    let other = writer(&store().door).with_setting("session_id", "another");
    other
        .query("SELECT * FROM kept")
        .execute()
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_session_refuses_a_second_request_and_others_go_on() {
    let busy = writer(&store().door).with_setting("session_id", "busy");
    let slow = tokio::spawn(async move { busy.query("SELECT sleep(2)").execute().await });
    let running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep(2)%'";
    while reader().query(running).fetch_one::<u64>().await.unwrap() == 0 {}
    let second = writer(&store().door).with_setting("session_id", "busy");
    let locked = second
        .query("SELECT 1")
        .execute()
        .await
        .unwrap_err()
        .to_string();
    assert!(locked.contains("Code: 373"), "{locked}");
    let others = (0..8).map(|n| async move {
        let client = writer(&store().door).with_setting("session_id", format!("other {n}"));
        client
            .query("SELECT toUInt64(?)")
            .bind(n)
            .fetch_one::<u64>()
            .await
            .unwrap()
    });
    let mut sum = 0;
    for other in others {
        sum += other.await;
    }
    assert_eq!(sum, 28);
    slow.await.unwrap().unwrap();
}
