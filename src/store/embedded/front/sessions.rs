//! Sessions: connections kept between requests of one client, with its temporary tables and settings.
//!
//! A session serves one request at a time; a second one waits a moment and is then refused. Their number and their age
//! are bounded.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::{Exception, SESSION_IS_LOCKED, SESSION_NOT_FOUND, TOO_MANY_QUERIES};
use crate::store::embedded::ffi::Connection;

const SESSIONS_MAX: usize = 64;
/// A client that has read an answer to its end may be back before the session is: its last bytes leave first.
const RELEASE_WAIT: Duration = Duration::from_millis(500);
const TIMEOUT_DEFAULT_S: u64 = 60;
const TIMEOUT_MAX_S: u64 = 3_600;

/// A connection and the database its session stands in.
pub struct Kept<C = Connection> {
    pub connection: C,
    pub database: String,
}

struct Slot<C> {
    /// `None` while a request uses it.
    kept: Option<Kept<C>>,
    expires: Instant,
}

/// All sessions, by their id.
pub struct Sessions<C = Connection> {
    slots: Mutex<HashMap<String, Slot<C>>>,
    released: Condvar,
}

impl<C> Sessions<C> {
    pub fn new() -> Self {
        Self {
            slots: Mutex::new(HashMap::new()),
            released: Condvar::new(),
        }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<String, Slot<C>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a session for one request. `Ok(None)`: it is new, the caller makes the connection and gives it with
    /// [`Self::put`], or calls [`Self::forget`]. `must_exist` refuses an unknown one.
    pub fn take(&self, id: &str, must_exist: bool) -> Result<Option<Kept<C>>, Exception> {
        self.sweep(Instant::now());
        let in_use = |slots: &mut HashMap<String, Slot<C>>| {
            slots.get(id).is_some_and(|slot| slot.kept.is_none())
        };
        let waited = self
            .released
            .wait_timeout_while(self.slots(), RELEASE_WAIT, in_use);
        let (mut slots, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(id) {
            let message = format!("Session {id} is locked by a concurrent client");
            return slot
                .kept
                .take()
                .map(Some)
                .ok_or_else(|| Exception::new(SESSION_IS_LOCKED, message));
        }
        if must_exist {
            return Err(Exception::new(
                SESSION_NOT_FOUND,
                format!("Session {id} not found"),
            ));
        }
        if slots.len() >= SESSIONS_MAX {
            let idle = slots
                .iter()
                .filter(|(_, slot)| slot.kept.is_some())
                .min_by_key(|(_, slot)| slot.expires);
            let idle = idle.map(|(id, _)| id.clone());
            let idle = idle.ok_or_else(|| {
                Exception::new(TOO_MANY_QUERIES, "all sessions are busy; try again")
            })?;
            slots.remove(&idle);
        }
        slots.insert(
            id.to_owned(),
            Slot {
                kept: None,
                expires: Instant::now(),
            },
        );
        Ok(None)
    }

    /// Gives a session back, to be kept for its timeout.
    pub fn put(&self, id: &str, kept: Kept<C>, timeout_s: Option<u64>) {
        let timeout =
            Duration::from_secs(timeout_s.unwrap_or(TIMEOUT_DEFAULT_S).min(TIMEOUT_MAX_S));
        let slot = Slot {
            kept: Some(kept),
            expires: Instant::now()
                .checked_add(timeout)
                .unwrap_or_else(Instant::now),
        };
        self.slots().insert(id.to_owned(), slot);
        self.released.notify_all();
    }

    /// Ends a session whose connection is gone.
    pub fn forget(&self, id: &str) {
        self.slots().remove(id);
        self.released.notify_all();
    }

    /// Drops the sessions that expired by `now`, and their connections.
    pub fn sweep(&self, now: Instant) {
        self.slots()
            .retain(|_, slot| slot.kept.is_none() || slot.expires > now);
    }

    /// Drops all that are idle.
    pub fn clear(&self) {
        self.slots().retain(|_, slot| slot.kept.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(connection: u32) -> Kept<u32> {
        Kept {
            connection,
            database: String::new(),
        }
    }

    #[test]
    fn a_session_serves_one_request_at_a_time() {
        let sessions = Sessions::new();
        assert!(sessions.take("a", false).unwrap().is_none());
        assert_eq!(sessions.take("a", false).err().unwrap().code, 373);
        sessions.put("a", kept(7), None);
        assert_eq!(sessions.take("a", true).unwrap().unwrap().connection, 7);
        sessions.forget("a");
        assert_eq!(sessions.take("a", true).err().unwrap().code, 372);
    }

    #[test]
    fn sessions_are_bounded_in_number_and_age() {
        let sessions = Sessions::new();
        for n in 0..SESSIONS_MAX {
            let id = n.to_string();
            sessions.take(&id, false).unwrap();
            sessions.put(&id, kept(1), Some(TIMEOUT_MAX_S));
        }
        sessions.take("one more", false).unwrap();
        assert_eq!(sessions.slots().len(), SESSIONS_MAX);
        sessions.sweep(Instant::now() + Duration::from_secs(TIMEOUT_MAX_S + 1));
        assert_eq!(sessions.slots().len(), 1, "only the one in use is left");
    }
}
