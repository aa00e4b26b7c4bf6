//! `lapwing schema print|apply`: the SQL of the tables, to be read or to be run.
//!
//! `print` needs no store: its output is for review, or for an administrator whose rights Lapwing's
//! own user does not have. `apply` does what `serve` does at its start.

use std::io::{self, Write as _};

use crate::store::migrate::{self, Applied, MigrateError};
use crate::store::schema::Layout;
use crate::store::{Store, Target, TargetError};

/// What to do with the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Print,
    Apply,
}

/// Why the schema was not printed or applied.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// Prints the schema of `layout`, or applies it to `target` and says what was done.
pub async fn run(target: &Target, layout: &Layout, action: Action) -> Result<(), SchemaError> {
    let text = match action {
        Action::Print => layout.script(),
        Action::Apply => {
            let store = Store::new(target)?;
            report(layout, &migrate::apply(&store, layout).await?)
        }
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn report(layout: &Layout, applied: &Applied) -> String {
    let database = &layout.database;
    if *applied == Applied::default() {
        return format!("the schema of {database} is up to date\n");
    }
    let mut text = String::new();
    for name in &applied.migrations {
        text += &format!("applied {name} to {database}\n");
    }
    for table in &applied.retentions {
        text += &format!("changed the retention of {database}.{table}\n");
    }
    text
}
