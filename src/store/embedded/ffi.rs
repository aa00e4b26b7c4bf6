//! The engine library's C interface, bound at run time, and the two process calls the child needs.
//!
//! This is the only file of the program with `unsafe`. What it hands out is safe: an [`Engine`], connections to it,
//! and results that free themselves. It knows nothing of HTTP and nothing of SQL.
//!
//! Invariants: the library is never unloaded (it owns threads); a connection is used by one thread at a time
//! (`&mut self`); a handle is destroyed exactly once, by `Drop`; no pointer into a result outlives the result.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use libloading::Library;

use super::outcome::{Analysis, Counters, Effect, EngineError, Param};

#[repr(C)]
struct RawAnalysis {
    struct_size: u32,
    statement_count: u32,
    flags: u32,
    query_class: u32,
}

type Ptr = *mut c_void;
type Names = *const *const c_char;
type Lengths = *const usize;
type ParamQuery = unsafe extern "C" fn(
    Ptr,
    *const c_char,
    usize,
    *const c_char,
    usize,
    Names,
    Lengths,
    Names,
    Lengths,
    usize,
) -> Ptr;

/// The entry points, copied out of the library, which stays loaded for the life of the process.
struct Api {
    set_signal_handlers: unsafe extern "C" fn(c_int),
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut Ptr,
    close: unsafe extern "C" fn(*mut Ptr),
    query: ParamQuery,
    stream_query: ParamQuery,
    stream_fetch: unsafe extern "C" fn(Ptr, Ptr) -> Ptr,
    stream_cancel: unsafe extern "C" fn(Ptr, Ptr),
    insert: ParamQuery,
    insert_append: unsafe extern "C" fn(Ptr, *const c_void, usize) -> c_int,
    insert_done: unsafe extern "C" fn(Ptr) -> Ptr,
    insert_error: unsafe extern "C" fn(Ptr) -> *const c_char,
    insert_destroy: unsafe extern "C" fn(Ptr),
    classify: unsafe extern "C" fn(
        Ptr,
        *const c_char,
        usize,
        *const c_char,
        usize,
        *mut RawAnalysis,
    ) -> c_int,
    result_destroy: unsafe extern "C" fn(Ptr),
    result_buffer: unsafe extern "C" fn(Ptr) -> *mut c_char,
    result_length: unsafe extern "C" fn(Ptr) -> usize,
    result_error: unsafe extern "C" fn(Ptr) -> *const c_char,
    storage_rows_read: unsafe extern "C" fn(Ptr) -> u64,
    storage_bytes_read: unsafe extern "C" fn(Ptr) -> u64,
    rows_read: unsafe extern "C" fn(Ptr) -> u64,
    rows_written: unsafe extern "C" fn(Ptr) -> u64,
    bytes_written: unsafe extern "C" fn(Ptr) -> u64,
}

impl Api {
    fn load(path: &Path) -> Result<Self, EngineError> {
        // SAFETY: loading runs the library's initialisers; it is the pinned engine or one the operator named, and
        // no other thread of this child has begun to use it.
        let library = unsafe { Library::new(path) }.map_err(|error| EngineError::Load {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        // Leaked on purpose: the engine's threads run its code until the process ends.
        let library: &'static Library = Box::leak(Box::new(library));
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the field it is stored in has the signature that the library's header declares for it.
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }
                    .map_err(|_| EngineError::TooOld { path: path.to_owned(), symbol: $name })?
            };
        }
        // Asked for first, so that an old library is refused by the name of what it lacks: inserts depend on it.
        let _: unsafe extern "C" fn() = symbol!("chdb_stream_insert_n");
        Ok(Self {
            set_signal_handlers: symbol!("chdb_set_signal_handlers_enabled"),
            connect: symbol!("chdb_connect"),
            close: symbol!("chdb_close_conn"),
            query: symbol!("chdb_query_with_params_n"),
            stream_query: symbol!("chdb_stream_query_with_params_n"),
            stream_fetch: symbol!("chdb_stream_fetch_result"),
            stream_cancel: symbol!("chdb_stream_cancel_query"),
            insert: symbol!("chdb_stream_insert_with_params_n"),
            insert_append: symbol!("chdb_stream_append"),
            insert_done: symbol!("chdb_stream_done"),
            insert_error: symbol!("chdb_stream_insert_error"),
            insert_destroy: symbol!("chdb_destroy_insert_stream"),
            classify: symbol!("chdb_classify_query_n"),
            result_destroy: symbol!("chdb_destroy_query_result"),
            result_buffer: symbol!("chdb_result_buffer"),
            result_length: symbol!("chdb_result_length"),
            result_error: symbol!("chdb_result_error"),
            storage_rows_read: symbol!("chdb_result_storage_rows_read"),
            storage_bytes_read: symbol!("chdb_result_storage_bytes_read"),
            rows_read: symbol!("chdb_result_rows_read"),
            rows_written: symbol!("chdb_result_rows_written"),
            bytes_written: symbol!("chdb_result_bytes_written"),
        })
    }
}

/// The loaded library and the directory it serves. One per process: the engine accepts one data path.
#[derive(Clone)]
pub struct Engine {
    api: Arc<Api>,
    base_args: Arc<Vec<CString>>,
}

impl Engine {
    /// Loads the library and fixes the data path and the configuration file of every later connection.
    /// Nothing is opened yet.
    pub fn load(library: &Path, data: &Path, config: &Path) -> Result<Self, EngineError> {
        let api = Api::load(library)?;
        // SAFETY: sets a flag in the library; called before the first connection, as its header asks.
        unsafe { (api.set_signal_handlers)(0) };
        let arg = |name: &str, path: &Path| {
            let text = path
                .to_str()
                .ok_or_else(|| EngineError::Path(path.to_owned()))?;
            CString::new(format!("{name}{text}")).map_err(|_| EngineError::Path(path.to_owned()))
        };
        let base_args = vec![
            c"lapwing".to_owned(),
            arg("--path=", data)?,
            arg("--config-file=", config)?,
        ];
        Ok(Self {
            api: Arc::new(api),
            base_args: Arc::new(base_args),
        })
    }

    /// A fresh connection. The first one opens the data path (tens to hundreds of ms), later ones cost about 0.1 ms.
    pub fn connect(&self) -> Result<Connection, EngineError> {
        let mut pointers: Vec<*mut c_char> = self
            .base_args
            .iter()
            .map(|arg| arg.as_ptr().cast_mut())
            .collect();
        let count = c_int::try_from(pointers.len()).map_err(|_| EngineError::Connect)?;
        // SAFETY: `count` pointers to zero-terminated strings that outlive the call; the engine copies them.
        let handle = unsafe { (self.api.connect)(count, pointers.as_mut_ptr()) };
        let handle = NonNull::new(handle).ok_or(EngineError::Connect)?;
        Ok(Connection {
            api: Arc::clone(&self.api),
            handle,
        })
    }
}

/// One connection: one statement at a time, with its own settings, current database and temporary tables.
pub struct Connection {
    api: Arc<Api>,
    handle: NonNull<Ptr>,
}

// SAFETY: the engine lets any thread use a connection as long as calls do not overlap, and every call here takes
// `&mut self`.
unsafe impl Send for Connection {}

impl Connection {
    fn raw(&self) -> Ptr {
        // SAFETY: the handle came from `chdb_connect` and is closed only in `Drop`.
        unsafe { *self.handle.as_ptr() }
    }

    fn call(
        &self,
        entry: ParamQuery,
        sql: &[u8],
        format: &str,
        params: &[Param],
    ) -> Option<NonNull<c_void>> {
        let names: Vec<*const c_char> = params
            .iter()
            .map(|(name, _)| name.as_ptr().cast())
            .collect();
        let name_lengths: Vec<usize> = params.iter().map(|(name, _)| name.len()).collect();
        let values: Vec<*const c_char> = params
            .iter()
            .map(|(_, value)| value.as_ptr().cast())
            .collect();
        let value_lengths: Vec<usize> = params.iter().map(|(_, value)| value.len()).collect();
        // SAFETY: every pointer comes with its length and outlives the call; the four arrays have `params.len()`
        // entries. The engine copies statement and parameters before it returns.
        let result = unsafe {
            entry(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                params.len(),
            )
        };
        NonNull::new(result)
    }

    fn output(&self, handle: Option<NonNull<c_void>>) -> Result<Output, String> {
        let handle = handle.ok_or_else(|| "the engine gave no result".to_owned())?;
        let output = Output {
            api: Arc::clone(&self.api),
            handle,
        };
        match output.error() {
            Some(error) => Err(error),
            None => Ok(output),
        }
    }

    /// Runs one statement and keeps its whole result in memory. Not for `INSERT` with data: see [`Self::insert`].
    pub fn query(&mut self, sql: &[u8], format: &str, params: &[Param]) -> Result<Output, String> {
        self.output(self.call(self.api.query, sql, format, params))
    }

    /// Starts a `SELECT` whose result comes in chunks, each a complete document of the format.
    pub fn stream(
        &mut self,
        sql: &[u8],
        format: &str,
        params: &[Param],
    ) -> Result<Chunks<'_>, String> {
        let start = self.output(self.call(self.api.stream_query, sql, format, params))?;
        Ok(Chunks {
            connection: self,
            start,
            finished: false,
        })
    }

    /// Starts an `INSERT` (without `FORMAT` and data) whose rows follow through [`Insert::append`].
    pub fn insert(
        &mut self,
        sql: &[u8],
        format: &str,
        params: &[Param],
    ) -> Result<Insert<'_>, String> {
        let handle = self
            .call(self.api.insert, sql, format, params)
            .ok_or_else(|| "the engine gave no insert stream".to_owned())?;
        let insert = Insert {
            connection: self,
            handle,
        };
        match insert.error() {
            Some(error) => Err(error),
            None => Ok(insert),
        }
    }

    /// What the engine's parser makes of a text. Nothing is executed.
    pub fn classify(&mut self, sql: &[u8]) -> Option<Analysis> {
        let struct_size = u32::try_from(size_of::<RawAnalysis>()).ok()?;
        let mut raw = RawAnalysis {
            struct_size,
            statement_count: 0,
            flags: 0,
            query_class: u32::MAX,
        };
        // SAFETY: the text comes with its length; no target database is given; `raw` says its own size.
        let state = unsafe {
            (self.api.classify)(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                std::ptr::null(),
                0,
                &raw mut raw,
            )
        };
        let effect = match raw.query_class {
            0 => Effect::ReadOnly,
            1 | 2 => Effect::Mutating,
            3 => Effect::Control,
            _ => Effect::Unknown,
        };
        (state == 0).then_some(Analysis {
            statements: raw.statement_count,
            effect,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: closed once, here; streams borrow the connection and are gone by now.
        unsafe { (self.api.close)(self.handle.as_ptr()) };
    }
}

/// A result, or one chunk of one, with its counters.
pub struct Output {
    api: Arc<Api>,
    handle: NonNull<c_void>,
}

impl Output {
    /// The formatted bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the handle is live; both accessors only read it.
        let (start, length) = unsafe {
            (
                (self.api.result_buffer)(self.handle.as_ptr()),
                (self.api.result_length)(self.handle.as_ptr()),
            )
        };
        if start.is_null() || length == 0 {
            return &[];
        }
        // SAFETY: the engine keeps `length` bytes at `start` until the result is destroyed, which the borrow prevents.
        unsafe { std::slice::from_raw_parts(start.cast(), length) }
    }

    fn error(&self) -> Option<String> {
        // SAFETY: the handle is live; the text belongs to it and is copied.
        unsafe { text(self.api.result_error, self.handle.as_ptr()) }
    }

    fn counter(&self, read: unsafe extern "C" fn(Ptr) -> u64) -> u64 {
        // SAFETY: the handle is live and the accessor only reads it.
        unsafe { read(self.handle.as_ptr()) }
    }

    /// Rows and bytes read from tables, rows in the result, rows and bytes written (views included).
    pub fn counters(&self) -> Counters {
        Counters {
            read_rows: self.counter(self.api.storage_rows_read),
            read_bytes: self.counter(self.api.storage_bytes_read),
            result_rows: self.counter(self.api.rows_read),
            written_rows: self.counter(self.api.rows_written),
            written_bytes: self.counter(self.api.bytes_written),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: destroyed once, here.
        unsafe { (self.api.result_destroy)(self.handle.as_ptr()) };
    }
}

/// The chunks of a running `SELECT`. Dropped early, it cancels the query.
pub struct Chunks<'a> {
    connection: &'a mut Connection,
    start: Output,
    finished: bool,
}

impl Iterator for Chunks<'_> {
    type Item = Result<Output, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let connection = &*self.connection;
        // SAFETY: connection and stream are live, and the stream belongs to this connection.
        let chunk =
            unsafe { (connection.api.stream_fetch)(connection.raw(), self.start.handle.as_ptr()) };
        let chunk = connection.output(NonNull::new(chunk));
        self.finished = chunk
            .as_ref()
            .map_or(true, |output| output.bytes().is_empty());
        match chunk {
            Ok(_) if self.finished => None,
            other => Some(other),
        }
    }
}

impl Drop for Chunks<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let connection = &*self.connection;
            // SAFETY: as for `next`; the stream itself is destroyed by the drop of `start`, which comes after.
            unsafe { (connection.api.stream_cancel)(connection.raw(), self.start.handle.as_ptr()) };
        }
    }
}

/// A running `INSERT`. Dropped without [`Insert::finish`], what was not yet written is discarded.
pub struct Insert<'a> {
    connection: &'a mut Connection,
    handle: NonNull<c_void>,
}

impl Insert<'_> {
    fn error(&self) -> Option<String> {
        // SAFETY: the handle is live; the text belongs to it and is copied.
        unsafe { text(self.connection.api.insert_error, self.handle.as_ptr()) }
    }

    /// Gives the engine the next bytes of the data, cut anywhere. Blocks while the engine is behind.
    pub fn append(&mut self, data: &[u8]) -> Result<(), String> {
        // SAFETY: the engine copies `data` before it returns.
        let state = unsafe {
            (self.connection.api.insert_append)(
                self.handle.as_ptr(),
                data.as_ptr().cast(),
                data.len(),
            )
        };
        if state == 0 {
            return Ok(());
        }
        Err(self
            .error()
            .unwrap_or_else(|| "the engine refused the data and gave no reason".to_owned()))
    }

    /// Ends the data and waits until the rows are written.
    pub fn finish(self) -> Result<Output, String> {
        // SAFETY: the handle is live; finishing does not free it, `Drop` does.
        let result = unsafe { (self.connection.api.insert_done)(self.handle.as_ptr()) };
        self.connection.output(NonNull::new(result))
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        // SAFETY: destroyed once, here; an unfinished stream is cancelled by this call.
        unsafe { (self.connection.api.insert_destroy)(self.handle.as_ptr()) };
    }
}

/// Copies the error text of a handle, `None` when there is none.
///
/// # Safety
/// `handle` must be live and of the kind that `read` takes.
unsafe fn text(read: unsafe extern "C" fn(Ptr) -> *const c_char, handle: Ptr) -> Option<String> {
    // SAFETY: promised by the caller.
    let text = unsafe { read(handle) };
    if text.is_null() {
        return None;
    }
    // SAFETY: the engine gives a zero-terminated string that lives as long as the handle.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    (!text.is_empty()).then(|| text.into_owned())
}

/// Asks the kernel to kill this process when the thread that started it ends. The pipe on stdin tells a parent that
/// was gone before this call.
pub fn die_with_parent() {
    // SAFETY: sets an attribute of this process; no memory is involved.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}

/// Ends the process at once, without the engine library's global destructors, which race its threads.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: does not return and runs no code of this process.
    unsafe { libc::_exit(code) }
}
