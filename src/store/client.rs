//! The ClickHouse client: one target, statements, queries, and inserts of ready blocks.
//!
//! HTTP only, by the `clickhouse` crate; the embedded engine is behind the same interface, so
//! there is one client. Retries are not here (the journal delivers).
//!
//! Invariant: every setting that decides about loss or duplication of an insert is sent with it;
//! the defaults of servers differ by version.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper_util::client::legacy::{Client as HttpClient, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::error::WriteError;
use super::schema::identifier;
use crate::block::{Compression, Table};

/// Give up connecting after this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle connections are closed before the server does (3 s by default), so that no request meets
/// a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Statements and small queries give up after this.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(120);

/// Above any insert of ours: the server must not cut one insert into several blocks, each stored
/// for itself, or a retry could meet half of it.
const INSERT_BLOCK_ROWS_MIN: &str = "10000000";
const INSERT_BLOCK_BYTES_MIN: &str = "4294967296";

/// Partitions in one insert. Ours have at most
/// [`BLOCK_DAYS_MAX`](crate::block::BLOCK_DAYS_MAX); the views behind the tables have fewer.
const INSERT_PARTITIONS_MAX: &str = "200";

/// Which ClickHouse, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// `http://` or `https://`, with host and port.
    pub url: String,
    pub database: String,
    pub user: String,
    pub password: String,
    /// Name of the cluster that the tables are made on.
    pub cluster: Option<String>,
    /// PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// A target that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("storage.clickhouse.url {url:?} must begin with http:// or https:// and name a host")]
    Url { url: String },
    #[error("cannot read certificates from {}: {reason}; give a PEM file", path.display())]
    CaFile { path: PathBuf, reason: String },
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// A ClickHouse that can be talked to; cheap to clone.
#[derive(Clone)]
pub struct Store {
    client: clickhouse::Client,
    database: String,
}

/// One insert: blocks of one table, sent as one statement.
#[derive(Debug, Clone, Copy)]
pub struct Insert<'a> {
    pub table: Table,
    pub blocks: &'a [Bytes],
    /// How all the blocks are written.
    pub compression: Compression,
    /// Identity of this very list of blocks: the server stores it once.
    pub token: &'a str,
}

// === impl Target ===

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("url", &self.url)
            .field("database", &self.database)
            .field("user", &self.user)
            .field("cluster", &self.cluster)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// The default user without a password, on a server without TLS.
    pub fn plain(url: &str, database: &str) -> Target {
        Target {
            url: url.to_owned(),
            database: database.to_owned(),
            user: "default".into(),
            password: String::new(),
            cluster: None,
            ca_file: None,
        }
    }
}

// === impl Store ===

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Prepares to talk to `target`; nothing is sent yet.
    pub fn new(target: &Target) -> Result<Store, TargetError> {
        let scheme = scheme(&target.url)?;
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.enforce_http(false);
        let mut builder = HttpClient::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE_TIMEOUT);
        let client = if scheme == "https" {
            let tls = hyper_rustls::HttpsConnectorBuilder::new()
                .with_tls_config(tls(target)?)
                .https_only()
                .enable_http1()
                .wrap_connector(tcp);
            clickhouse::Client::with_http_client(builder.build(tls))
        } else {
            clickhouse::Client::with_http_client(builder.build(tcp))
        };
        let client = client
            .with_url(&target.url)
            .with_user(&target.user)
            .with_password(&target.password)
            .with_compression(clickhouse::Compression::None)
            .with_product_info("lapwing", env!("CARGO_PKG_VERSION"));
        Ok(Store {
            client,
            database: target.database.clone(),
        })
    }

    /// The database that the tables are in.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Is it there, and does it accept our name? Returns its version.
    pub async fn ping(&self) -> Result<String, WriteError> {
        let version = self.select("SELECT version()", "TabSeparated").await?;
        Ok(String::from_utf8_lossy(&version).trim().to_owned())
    }

    /// Runs a statement without a result. It must name the database, which may not exist yet.
    pub async fn execute(&self, sql: &str) -> Result<(), WriteError> {
        self.execute_with(sql, &[]).await
    }

    /// The same with settings.
    pub async fn execute_with(
        &self,
        sql: &str,
        settings: &[(&str, &str)],
    ) -> Result<(), WriteError> {
        let mut query = self.client.query_raw(sql);
        for (name, value) in [("wait_end_of_query", "1")].iter().chain(settings) {
            query = query.with_setting(*name, *value);
        }
        limited(STATEMENT_TIMEOUT, query.execute()).await
    }

    /// Runs a query whose result is small.
    pub async fn select(&self, sql: &str, format: &str) -> Result<Bytes, WriteError> {
        let mut cursor = self.client.query_raw(sql).fetch_bytes(format)?;
        limited(STATEMENT_TIMEOUT, cursor.collect()).await
    }

    /// Runs a query in the store's database and gives its result piece by piece; `format` is used
    /// if the query has no FORMAT clause.
    pub fn stream(
        &self,
        sql: &str,
        format: &str,
    ) -> Result<clickhouse::query::BytesCursor, WriteError> {
        let client = self.client.clone().with_database(&self.database);
        Ok(client.query_raw(sql).fetch_bytes(format)?)
    }

    /// Runs a query and gives its rows one by one.
    pub fn rows<T: clickhouse::Row>(
        &self,
        sql: &str,
    ) -> Result<clickhouse::query::RowCursor<T>, WriteError> {
        Ok(self.client.query_raw(sql).fetch()?)
    }

    /// Inserts blocks, all or (on a permanent error) none. After any other error it is not known
    /// whether they were stored: the same insert with the same token must be sent again.
    pub async fn insert(&self, insert: Insert<'_>) -> Result<(), WriteError> {
        let columns: Vec<String> = insert
            .table
            .columns()
            .iter()
            .map(|c| identifier(c.0))
            .collect();
        let sql = format!(
            "INSERT INTO {}.{} ({}) FORMAT Native",
            identifier(&self.database),
            insert.table.name(),
            columns.join(", ")
        );
        let mut request = self
            .client
            .insert_formatted_with(sql)
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplicate", "1")
            .with_setting("insert_deduplication_token", insert.token)
            .with_setting("deduplicate_blocks_in_dependent_materialized_views", "1")
            .with_setting("input_format_native_allow_types_conversion", "1")
            .with_setting("max_partitions_per_insert_block", INSERT_PARTITIONS_MAX)
            .with_setting("min_insert_block_size_rows", INSERT_BLOCK_ROWS_MIN)
            .with_setting("min_insert_block_size_bytes", INSERT_BLOCK_BYTES_MIN)
            .with_setting("wait_end_of_query", "1");
        if insert.compression == Compression::Lz4 {
            // The blocks are compressed already; the client must not do it again.
            request = request.with_setting("decompress", "1");
        }
        for block in insert.blocks {
            request.send(block.clone()).await?;
        }
        Ok(request.end().await?)
    }

    /// Inserts a few typed rows into a table, all or none; sent again with the same token they are
    /// stored once.
    pub(super) async fn insert_rows<T>(
        &self,
        table: &str,
        rows: &[T],
        token: &str,
    ) -> Result<(), WriteError>
    where
        T: clickhouse::Row + serde::Serialize,
        for<'a> T: clickhouse::Row<Value<'a> = T>,
    {
        if rows.is_empty() {
            return Ok(());
        }
        let client = self.client.clone().with_database(&self.database);
        let mut insert = client
            .insert::<T>(table)
            .await?
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplicate", "1")
            .with_setting("insert_deduplication_token", token)
            .with_setting("wait_end_of_query", "1")
            .with_timeouts(Some(STATEMENT_TIMEOUT), Some(STATEMENT_TIMEOUT));
        for row in rows {
            insert.write(row).await?;
        }
        Ok(insert.end().await?)
    }
}

async fn limited<T>(
    limit: Duration,
    work: impl Future<Output = clickhouse::error::Result<T>>,
) -> Result<T, WriteError> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(clickhouse::error::Error::TimedOut.into()),
    }
}

fn scheme(url: &str) -> Result<String, TargetError> {
    let bad = || TargetError::Url {
        url: url.to_owned(),
    };
    let uri: http::Uri = url.parse().map_err(|_| bad())?;
    match (uri.scheme_str(), uri.host()) {
        (Some(scheme @ ("http" | "https")), Some(_)) => Ok(scheme.to_owned()),
        _ => Err(bad()),
    }
}

fn tls(target: &Target) -> Result<rustls::ClientConfig, TargetError> {
    use hyper_rustls::ConfigBuilderExt as _;
    let failed = |error: &dyn fmt::Display| TargetError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?;
    let Some(path) = &target.ca_file else {
        let builder = builder.with_native_roots().map_err(|e| failed(&e))?;
        return Ok(builder.with_no_client_auth());
    };
    let bad = |reason: String| TargetError::CaFile {
        path: path.clone(),
        reason,
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))? {
        let certificate = certificate.map_err(|e| bad(e.to_string()))?;
        roots.add(certificate).map_err(|e| bad(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("it has no certificate".into()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_targets_are_refused_in_words() {
        let store = |url: &str| Store::new(&Target::plain(url, "lapwing"));
        let error = store("ftp://ch:21").expect_err("no such scheme");
        assert!(error.to_string().contains("http://"), "{error}");
        assert!(store("localhost:8123").is_err());
        let mut target = Target::plain("https://ch:8443", "lapwing");
        target.ca_file = Some("/nowhere/ca.pem".into());
        let error = Store::new(&target).expect_err("no such file");
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }

    #[test]
    fn a_password_is_not_printed() {
        let mut target = Target::plain("http://ch:8123", "lapwing");
        target.password = "hunter2".into();
        assert!(!format!("{target:?}").contains("hunter2"));
    }
}
