//! Connections of requests: their database and settings, and what of it stays in a session.

use super::{Job, Stop, Work, engine};
use crate::store::embedded::ffi::Connection;
use crate::store::embedded::front::answer::Sink;
use crate::store::embedded::front::error::Exception;
use crate::store::embedded::front::sessions::Kept;
use crate::store::embedded::front::settings;

impl Job {
    pub(super) fn fresh(&self) -> Result<Kept, Exception> {
        let connection = self
            .front
            .engine
            .connect()
            .map_err(|error| Exception::from_engine(&error.to_string()))?;
        let mut kept = Kept {
            connection,
            database: String::new(),
        };
        use_database(&mut kept.connection, &self.front.database)?;
        kept.database.clone_from(&self.front.database);
        Ok(kept)
    }

    /// The request's database and settings.
    pub(super) fn prepare(&self, kept: &mut Kept) -> Result<(), Exception> {
        if let Some(database) = self
            .ask
            .database
            .as_deref()
            .filter(|name| *name != kept.database)
        {
            use_database(&mut kept.connection, database)?;
        }
        let set = settings::statement(
            &self.ask,
            self.side,
            &self.tag,
            self.front.memory_limit_bytes,
        )?;
        engine(kept.connection.query(set.as_bytes(), "Null", &[])).map(drop)
    }

    /// As without a session, but afterwards the request's own settings and database are taken back: only what a
    /// statement of the session set stays.
    pub(super) fn in_session(
        &self,
        kept: &mut Kept,
        work: Work,
        sink: &mut Sink,
    ) -> Result<(), Stop> {
        let changes = matches!(work, Work::Query { session: true, .. });
        let undo = self.undo(&mut kept.connection)?;
        self.prepare(kept)?;
        let outcome = self.perform(&mut kept.connection, work, sink);
        if sink.started() && outcome.is_err() {
            return outcome;
        }
        if let Some(undo) = undo.filter(|_| !changes) {
            engine(kept.connection.query(undo.as_bytes(), "Null", &[]))?;
        }
        if changes {
            let output = engine(kept.connection.query(
                b"SELECT currentDatabase()",
                "RawBLOB",
                &[],
            ))?;
            kept.database = String::from_utf8_lossy(output.bytes()).into_owned();
        } else if self
            .ask
            .database
            .as_deref()
            .is_some_and(|name| name != kept.database)
        {
            use_database(&mut kept.connection, &kept.database)?;
        }
        outcome
    }

    /// The `SET` that restores what this request is about to set.
    fn undo(&self, connection: &mut Connection) -> Result<Option<String>, Exception> {
        let names: Vec<String> = self
            .ask
            .settings
            .iter()
            .map(|(name, _)| settings::quote(name))
            .collect();
        let sql = format!(
            "SELECT arrayStringConcat(groupArray(name || ' = ' || if(changed, '\\'' || replaceAll(replaceAll(value, \
             '\\\\', '\\\\\\\\'), '\\'', '\\\\\\'') || '\\'', 'DEFAULT')), ', ') FROM system.settings WHERE name IN \
             ('log_comment'{}{})",
            if names.is_empty() { "" } else { ", " },
            names.join(", ")
        );
        let output = engine(connection.query(sql.as_bytes(), "RawBLOB", &[]))?;
        let list = String::from_utf8_lossy(output.bytes()).into_owned();
        Ok((!list.is_empty()).then(|| format!("SET {list}")))
    }
}

fn use_database(connection: &mut Connection, name: &str) -> Result<(), Exception> {
    let sql = format!("USE {}", settings::identifier(name));
    engine(connection.query(sql.as_bytes(), "Null", &[])).map(drop)
}
