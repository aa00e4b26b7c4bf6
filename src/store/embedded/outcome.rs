//! What the binding of the engine library tells its callers: plain values, no handles.

use std::path::PathBuf;

/// A name and a value bound to `{name:Type}` in a statement.
pub type Param = (String, String);

/// Why the engine could not be loaded or opened.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "cannot load the engine library {path}: {reason}; set storage.embedded.library to a working libchdb.so"
    )]
    Load { path: PathBuf, reason: String },
    #[error(
        "the engine library {path} does not export {symbol}: it is older than 26.7; remove it or set storage.embedded.library to 26.7 or newer"
    )]
    TooOld { path: PathBuf, symbol: &'static str },
    #[error("the path {0:?} holds a zero byte and cannot be given to the engine")]
    Path(PathBuf),
    #[error("the engine refused to open a connection; its reason is on stderr")]
    Connect,
}

/// What a statement would do, as the engine's own parser sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Analysis {
    /// Executable statements in the text; 0 when it does not parse.
    pub statements: u32,
    pub effect: Effect,
}

/// What a statement leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Leaves no trace: SELECT, SHOW, DESCRIBE, EXPLAIN, EXISTS.
    ReadOnly,
    /// Changes tables or the server.
    Mutating,
    /// Session state, KILL, BACKUP, INTO OUTFILE and the like.
    Control,
    /// Did not parse.
    Unknown,
}

/// What a statement read and wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub read_rows: u64,
    pub read_bytes: u64,
    pub result_rows: u64,
    pub written_rows: u64,
    pub written_bytes: u64,
}
