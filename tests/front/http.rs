//! The interface byte by byte, where a client library would hide it.

use std::io::Write;

use reqwest::{Client, RequestBuilder, Response};

use super::store;

fn http() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

fn post(query: &str) -> RequestBuilder {
    let door = &store().door;
    http()
        .post(format!("{}/{query}", door.url))
        .header("X-ClickHouse-User", &door.user)
        .header("X-ClickHouse-Key", &door.key)
}

async fn ok(request: RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    text
}

fn name(response: &Response, header: &str) -> String {
    response
        .headers()
        .get(header)
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

#[tokio::test]
async fn health_needs_no_credentials_and_statements_do() {
    for path in ["/", "/ping", "/replicas_status"] {
        let url = format!("{}{path}", store().door.url);
        assert_eq!(
            http().get(&url).send().await.unwrap().text().await.unwrap(),
            "Ok.\n"
        );
        assert!(
            http()
                .head(&url)
                .send()
                .await
                .unwrap()
                .status()
                .is_success()
        );
    }
    let response = http()
        .post(&store().door.url)
        .body("SELECT 1")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            name(&response, "x-clickhouse-exception-code")
        ),
        (403, "516".to_owned())
    );
    let url = format!("{}/?query=SELECT%201", store().reader_url);
    assert_eq!(
        http().get(&url).send().await.unwrap().text().await.unwrap(),
        "1\n"
    );
    let response = http()
        .get(&url)
        .header("Host", "rebound.example")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 403);
}

#[tokio::test]
async fn headers_tell_about_the_answer() {
    let response = post("?query_id=mine")
        .body("SELECT 1 FORMAT JSONEachRow")
        .send()
        .await
        .unwrap();
    assert_eq!(name(&response, "x-clickhouse-query-id"), "mine");
    assert_eq!(name(&response, "x-clickhouse-format"), "JSONEachRow");
    assert!(!name(&response, "x-clickhouse-timezone").is_empty());
    assert!(!name(&response, "x-clickhouse-server-display-name").is_empty());
    assert_eq!(name(&response, "x-clickhouse-exception-tag").len(), 16);
    assert_eq!(response.text().await.unwrap(), "{\"1\":1}\n");
}

#[tokio::test]
async fn a_get_changes_nothing() {
    let door = &store().door;
    let url = format!(
        "{}/?user={}&password={}&query=CREATE+DATABASE+got",
        door.url, door.user, door.key
    );
    let response = http().get(url).send().await.unwrap();
    assert_eq!(name(&response, "x-clickhouse-exception-code"), "164");
}

#[tokio::test]
async fn failures_have_their_status() {
    for (sql, status, code) in [
        ("SELECT * FROM no_such_table", 404, "60"),
        ("SELECT * FROM nodb.t", 404, "81"),
        ("SELECT * FROM file('/etc/passwd')", 403, "497"),
        ("SELEC 1", 400, "62"),
        ("SELECT 1; SELECT 2", 400, "62"),
        ("", 400, "62"),
        ("SELECT throwIf(1)", 400, "395"),
    ] {
        let response = post("").body(sql).send().await.unwrap();
        let told = (
            response.status().as_u16(),
            name(&response, "x-clickhouse-exception-code"),
        );
        assert_eq!(told, (status, code.to_owned()), "{sql}");
    }
}

fn lz4(data: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn statement_and_data_may_share_a_compressed_body_of_many_frames() {
    ok(post("").body("CREATE TABLE frames (a UInt64) ENGINE = MergeTree ORDER BY a")).await;
    let mut body = lz4(b"INSERT INTO frames (a) FOR");
    body.extend(lz4(b"MAT RowBinary\n"));
    for part in 0..20_u64 {
        let rows: Vec<u8> = (0..1_000_u64)
            .flat_map(|row| (part * 1_000 + row).to_le_bytes())
            .collect();
        body.extend(lz4(&rows));
    }
    ok(post("").header("Content-Encoding", "lz4").body(body)).await;
    assert_eq!(
        ok(post("").body("SELECT count(), sum(a) FROM frames")).await,
        "20000\t199990000\n"
    );
    let zstd = zstd::encode_all(&b"1\n2\n"[..], 1).unwrap();
    let request = post("?query=INSERT+INTO+frames+FORMAT+TSV")
        .header("Content-Encoding", "zstd")
        .body(zstd);
    ok(request).await;
    assert_eq!(
        ok(post("").body("SELECT count() FROM frames")).await,
        "20002\n"
    );
}

#[tokio::test]
async fn a_cut_insert_inserts_nothing() {
    ok(post("").body("CREATE TABLE cut (a UInt64) ENGINE = MergeTree ORDER BY a")).await;
    let packed = lz4(&vec![1; 8 * 100_000]);
    let cut = packed[..packed.len() / 2].to_vec();
    let request = post("?query=INSERT+INTO+cut+FORMAT+RowBinary")
        .header("Content-Encoding", "lz4")
        .body(cut);
    assert!(!request.send().await.unwrap().status().is_success());
    assert_eq!(ok(post("").body("SELECT count() FROM cut")).await, "0\n");
}

#[tokio::test]
async fn a_result_can_wait_for_its_end() {
    let sql = "SELECT throwIf(number = 400000) FROM numbers(1000000)";
    let response = post("?wait_end_of_query=1").body(sql).send().await.unwrap();
    assert_eq!(name(&response, "x-clickhouse-exception-code"), "395");
    let mut response = post("").body(sql).send().await.unwrap();
    assert!(response.status().is_success());
    let tag = name(&response, "x-clickhouse-exception-tag");
    let mut body = Vec::new();
    let broken = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    let end = String::from_utf8_lossy(&body[body.len().saturating_sub(2_000)..]).into_owned();
    assert!(
        end.contains(&format!("__exception__\r\n{tag}\r\nCode: 395")),
        "{end}"
    );
    assert!(
        broken,
        "a client that knows nothing of the block must see a broken answer"
    );
}

#[tokio::test]
async fn a_query_whose_client_left_is_killed() {
    let request = post("?log_comment=left")
        .body("SELECT count() FROM numbers(1e15) WHERE sipHash64(number) = 1");
    let running =
        "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], 'left')";
    let abandoned = tokio::spawn(request.send());
    until(running, "1\n").await;
    abandoned.abort();
    until(running, "0\n").await;
}

/// Asks until the answer is the expected one.
async fn until(sql: &'static str, expected: &str) {
    let wait = async { while ok(post("").body(sql)).await != expected {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), wait)
        .await
        .expect(sql);
}
