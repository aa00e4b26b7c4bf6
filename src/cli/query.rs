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
