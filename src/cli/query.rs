//! `lapwing query SQL`: runs one statement in the store's database and prints what it answers.
//!
//! A FORMAT clause in the statement is honoured by the server; without one the answer is a table
//! for people. The result is written as it arrives, so it may be larger than memory.

use std::io;

use crate::store::{Store, Target, TargetError, WriteError};

/// The format of an answer when the statement names none.
const READABLE: &str = "PrettyCompactMonoBlock";

/// Why there is no (or no whole) answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Store(#[from] WriteError),
    #[error("the query broke off: {0}")]
    BrokenOff(WriteError),
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

/// Runs `sql` and prints the result to stdout.
pub async fn run(target: &Target, sql: &str) -> Result<(), QueryError> {
    let result = run_to(target, sql, &mut io::stdout()).await;
    match result {
        // `lapwing query ... | head` is not a failure.
        Err(QueryError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Runs `sql` and writes the result to `out`.
pub async fn run_to(
    target: &Target,
    sql: &str,
    out: &mut impl io::Write,
) -> Result<(), QueryError> {
    let store = Store::new(target)?;
    // A semicolon at the end is usual in a shell, but some formats would follow it.
    let sql = sql.trim().trim_end_matches(';');
    let mut rows = store.stream(sql, READABLE)?;
    let mut begun = false;
    // Blocking writes: the command does nothing else meanwhile.
    loop {
        let piece = rows.next().await.map_err(|error| match begun {
            true => QueryError::BrokenOff(error.into()),
            false => QueryError::Store(error.into()),
        })?;
        let Some(piece) = piece else { break };
        begun = true;
        out.write_all(&piece)?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{StatusCode, Uri};

    use super::*;

    /// Answers with what was asked, or with an error.
    async fn answer(uri: Uri, sql: String) -> (StatusCode, String) {
        if sql.contains("nowhere") {
            let text = "Code: 60. DB::Exception: Table nowhere does not exist";
            return (StatusCode::NOT_FOUND, text.to_owned());
        }
        let query = uri.query().unwrap_or("");
        (StatusCode::OK, format!("{query}\n{sql}\n"))
    }

    async fn ask(sql: &str) -> Result<String, QueryError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        let mut out = Vec::new();
        run_to(&Target::plain(&url, "lapwing"), sql, &mut out).await?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[tokio::test]
    async fn the_statement_is_run_in_the_database_with_a_readable_default() {
        let text = ask("SELECT '?' FORMAT CSV;\n").await.expect("an answer");
        assert!(
            text.contains("default_format=PrettyCompactMonoBlock"),
            "{text}"
        );
        assert!(text.contains("database=lapwing"), "{text}");
        assert!(text.ends_with("\nSELECT '?' FORMAT CSV\n"), "{text}");
    }

    #[tokio::test]
    async fn a_refusal_is_told_with_what_to_do() {
        let error = ask("SELECT * FROM nowhere").await.expect_err("refused");
        assert!(
            error.to_string().contains("lapwing schema apply"),
            "{error}"
        );
    }
}
