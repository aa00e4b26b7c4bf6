//! The attribute table: which name of which convention fills which field.
//!
//! The rows live in `rules/attributes.toml`; this is their compiled form and the only place where
//! attribute names are looked up. It knows nothing of spans.

use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::Deserialize;

/// The rows that are compiled in.
const BUILTIN: &str = include_str!("../../rules/attributes.toml");

static BUILTIN_TABLE: LazyLock<Arc<AttributeTable>> = LazyLock::new(|| {
    // The text is part of the program and a test parses it.
    Arc::new(AttributeTable::parse(BUILTIN, "rules/attributes.toml").unwrap_or_default())
});

macro_rules! fields {
    ($($name:ident $text:literal),* $(,)?) => {
        /// A thing that an attribute can say about a span. The text form is the section in the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Field { $($name),* }

        impl Field {
            /// Every field, in the order of its number.
            pub const ALL: &'static [Field] = &[$(Field::$name),*];

            /// The section name.
            pub fn as_str(self) -> &'static str {
                match self { $(Field::$name => $text),* }
            }
        }
    };
}

fields! {
    Operation "operation", RequestType "request_type", AiOperationId "ai_operation_id",
    OpeninferenceKind "openinference_kind", LangfuseType "langfuse_type", MlflowType "mlflow_type",
    HaystackType "haystack_type", LogfireSpanType "logfire_span_type",
    GenkitSubtype "genkit_subtype", GenkitType "genkit_type", MastraType "mastra_type",
    LangsmithKind "langsmith_kind", TraceloopKind "traceloop_kind",
    RequestModel "request_model", ResponseModel "response_model", Model "model", AskedModel "asked_model",
    Provider "provider", Api "api", ServerAddress "server_address", Url "url", UrlPath "url_path",
    HttpMethod "http_method",
    ResponseId "response_id", RequestId "request_id", SystemFingerprint "system_fingerprint",
    ServiceTier "service_tier", Lane "lane", FinishReason "finish_reason", IncompleteReason "incomplete_reason",
    BlockReason "block_reason", MaxTokens "max_tokens", Streaming "streaming",
    ResponseFormat "response_format", ResponseSchema "response_schema",
    ToolDefinitions "tool_definitions",
    InputTokens "input_tokens", OutputTokens "output_tokens", TotalTokens "total_tokens",
    CacheReadTokens "cache_read_tokens", CacheWriteTokens "cache_write_tokens",
    CacheWrite1hTokens "cache_write_1h_tokens", ReasoningTokens "reasoning_tokens",
    InputAudioTokens "input_audio_tokens", OutputAudioTokens "output_audio_tokens", Cost "cost",
    TtftSeconds "ttft_seconds", TtftMilliseconds "ttft_milliseconds",
    CompletionStartTime "completion_start_time", UsageAsked "usage_asked",
    HttpStatus "http_status", ErrorType "error_type", ErrorCode "error_code",
    ErrorMessage "error_message", Level "level", ExceptionType "exception_type",
    ResendCount "resend_count",
    SystemInstructions "system_instructions", Input "input", Output "output",
    OutputText "output_text", OutputReasoning "output_reasoning",
    OutputToolCalls "output_tool_calls",
    ToolName "tool_name", ToolCallId "tool_call_id", ToolArguments "tool_arguments",
    ToolResult "tool_result", Events "events", Template "template",
    Tenant "tenant", Feature "feature", User "user", Session "session",
    Environment "environment", Region "region", Service "service",
    ServiceVersion "service_version", SchemaVersion "schema_version", SampleRate "sample_rate",
}

/// Number of fields.
pub const FIELD_COUNT: usize = Field::ALL.len();

/// A set of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldSet(u128);

const _: () = assert!(FIELD_COUNT <= 128);

impl FieldSet {
    pub fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u32;
    }

    pub fn contains(self, field: Field) -> bool {
        self.0 >> field as u32 & 1 == 1
    }

    pub fn union(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 | other.0)
    }
}

/// Which list of an indexed attribute a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Input,
    Output,
    Tools,
}

/// What the table says about one attribute name.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The field that the value fills as it is, and its rank (0 wins).
    pub field: Option<(Field, u8)>,
    /// Fields that are found inside the value, which is JSON text.
    pub paths: Box<[PathRow]>,
    /// The same fields as a set.
    pub path_fields: FieldSet,
    /// The value is a prompt or an answer.
    pub is_content: bool,
    /// A label of the user's that is read from this name.
    pub label: Option<Box<str>>,
}

/// A field found inside a JSON text.
#[derive(Debug, Clone)]
pub struct PathRow {
    pub field: Field,
    pub rank: u8,
    pub path: Box<str>,
}

/// What a name is.
#[derive(Debug, Clone, Copy)]
pub enum Lookup<'t, 'a> {
    Entry(&'t Entry),
    /// One piece of a message list; the text after the prefix.
    Indexed(Side, &'a str),
    /// A label of the user's; the text after the prefix.
    Label(&'a str),
    /// Known to be content by its prefix, read by nobody.
    Content,
    Unknown,
}

/// The compiled table.
#[derive(Debug, Clone, Default)]
pub struct AttributeTable {
    entries: HashMap<Box<str>, Entry, RandomState>,
    indexed: Vec<(Box<str>, Side)>,
    labels: Vec<Box<str>>,
    content: Vec<Box<str>>,
    /// A bit per first byte of the prefixes: most names that miss the map cannot match one.
    prefix_starts: [u64; 4],
}

/// A row of an attribute file is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct AttributeTableError {
    file: String,
    problem: String,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Section {
    names: Vec<String>,
    prefixes: Vec<String>,
    input: Vec<String>,
    output: Vec<String>,
    tools: Vec<String>,
}

// === impl AttributeTable ===

impl AttributeTable {
    /// The table that is compiled in.
    pub fn builtin() -> Arc<AttributeTable> {
        Arc::clone(&BUILTIN_TABLE)
    }

    /// The compiled-in table with the rows of a user's file before its own.
    pub fn with_user_rows(text: &str, file: &str) -> Result<AttributeTable, AttributeTableError> {
        let mut sections = Self::sections(text, file)?;
        for (name, builtin) in Self::sections(BUILTIN, "rules/attributes.toml")? {
            let section = sections.entry(name).or_default();
            section.names.extend(builtin.names);
            section.prefixes.extend(builtin.prefixes);
            section.input.extend(builtin.input);
            section.output.extend(builtin.output);
            section.tools.extend(builtin.tools);
        }
        Self::compile(sections, file)
    }

    /// This table with the names of the user's configuration before its own: fields by their
    /// section, and labels with the name that each is read from.
    pub fn with_dimensions(
        &self,
        fields: &[(String, Vec<String>)],
        labels: &[(String, String)],
    ) -> AttributeTable {
        let mut table = self.clone();
        for (section, names) in fields {
            let Some(field) = Field::ALL.iter().find(|f| f.as_str() == section) else {
                continue;
            };
            // The built-in ranks make room, so that 0 wins as everywhere.
            let room = u8::try_from(names.len()).unwrap_or(u8::MAX);
            for entry in table.entries.values_mut() {
                if let Some((_, rank)) = entry.field.as_mut().filter(|(f, _)| f == field) {
                    *rank = rank.saturating_add(room).min(u8::MAX - 2);
                }
                for path in entry.paths.iter_mut().filter(|p| p.field == *field) {
                    path.rank = path.rank.saturating_add(room).min(u8::MAX - 2);
                }
            }
            for (rank, name) in (0u8..).zip(names) {
                let entry = table.entries.entry(name.as_str().into()).or_default();
                entry.field = Some((*field, rank));
            }
        }
        for (label, name) in labels {
            let entry = table.entries.entry(name.as_str().into()).or_default();
            entry.label = Some(label.as_str().into());
        }
        table
    }

    /// Reads a table from TOML; `file` is named in errors.
    pub fn parse(text: &str, file: &str) -> Result<AttributeTable, AttributeTableError> {
        Self::compile(Self::sections(text, file)?, file)
    }

    /// What a name means.
    #[inline]
    pub fn lookup<'t, 'a>(&'t self, name: &'a str) -> Lookup<'t, 'a> {
        if let Some(entry) = self.entries.get(name) {
            return Lookup::Entry(entry);
        }
        let start = name.as_bytes().first().copied().unwrap_or(0);
        if self.prefix_starts[usize::from(start >> 6)] >> (start & 63) & 1 == 0 {
            return Lookup::Unknown;
        }
        self.lookup_prefix(name)
    }

    fn lookup_prefix<'t, 'a>(&'t self, name: &'a str) -> Lookup<'t, 'a> {
        for (prefix, side) in &self.indexed {
            if let Some(rest) = name.strip_prefix(&**prefix) {
                return Lookup::Indexed(*side, rest);
            }
        }
        if self
            .content
            .iter()
            .any(|prefix| name.starts_with(&**prefix))
        {
            return Lookup::Content;
        }
        for prefix in &self.labels {
            if let Some(rest) = name.strip_prefix(&**prefix) {
                return Lookup::Label(rest);
            }
        }
        Lookup::Unknown
    }

    /// The label of a name that begins like a user's label, whatever else the name is.
    pub fn label<'a>(&self, name: &'a str) -> Option<&'a str> {
        self.labels
            .iter()
            .find_map(|prefix| name.strip_prefix(&**prefix))
    }

    /// Does the name hold a prompt or an answer?
    pub fn is_content(&self, name: &str) -> bool {
        match self.lookup(name) {
            Lookup::Entry(entry) => entry.is_content,
            Lookup::Indexed(..) | Lookup::Content => true,
            Lookup::Label(_) | Lookup::Unknown => false,
        }
    }

    fn sections(
        text: &str,
        file: &str,
    ) -> Result<std::collections::BTreeMap<String, Section>, AttributeTableError> {
        toml::from_str(text).map_err(|e| AttributeTableError {
            file: file.to_owned(),
            problem: e.to_string(),
        })
    }

    fn compile(
        sections: std::collections::BTreeMap<String, Section>,
        file: &str,
    ) -> Result<AttributeTable, AttributeTableError> {
        let mut table = AttributeTable::default();
        let mut paths: HashMap<Box<str>, Vec<PathRow>> = HashMap::new();
        for (name, section) in sections {
            match name.as_str() {
                "dimensions" => table
                    .labels
                    .extend(section.prefixes.into_iter().map(Into::into)),
                "content" => {
                    for name in section.names {
                        table.entries.entry(name.into()).or_default().is_content = true;
                    }
                    table
                        .content
                        .extend(section.prefixes.into_iter().map(Into::into));
                }
                "indexed" => {
                    let sides = [
                        (section.input, Side::Input),
                        (section.output, Side::Output),
                        (section.tools, Side::Tools),
                    ];
                    for (names, side) in sides {
                        table
                            .indexed
                            .extend(names.into_iter().map(|n| (n.into(), side)));
                    }
                }
                _ => table.add_field(&name, section.names, &mut paths, file)?,
            }
        }
        for (name, rows) in paths {
            let entry = table.entries.entry(name).or_default();
            rows.iter()
                .for_each(|row| entry.path_fields.insert(row.field));
            entry.paths = rows.into();
        }
        let prefixes = table
            .indexed
            .iter()
            .map(|(p, _)| p)
            .chain(&table.labels)
            .chain(&table.content);
        for prefix in prefixes.filter_map(|p| p.as_bytes().first()) {
            table.prefix_starts[usize::from(*prefix >> 6)] |= 1 << (*prefix & 63);
        }
        Ok(table)
    }

    fn add_field(
        &mut self,
        section: &str,
        names: Vec<String>,
        paths: &mut HashMap<Box<str>, Vec<PathRow>>,
        file: &str,
    ) -> Result<(), AttributeTableError> {
        let error = |problem: String| AttributeTableError {
            file: file.to_owned(),
            problem,
        };
        let field = Field::ALL
            .iter()
            .copied()
            .find(|f| f.as_str() == section)
            .ok_or_else(|| error(format!("[{section}] is not a field")))?;
        for (rank, name) in names.into_iter().enumerate() {
            let rank = u8::try_from(rank)
                .ok()
                .filter(|r| *r < u8::MAX)
                .ok_or_else(|| error(format!("[{section}] has more than 254 names")))?;
            match name.split_once('#') {
                Some((name, path)) => {
                    let row = PathRow {
                        field,
                        rank,
                        path: path.into(),
                    };
                    paths.entry(name.into()).or_default().push(row);
                }
                None => {
                    let entry = self.entries.entry(name.as_str().into()).or_default();
                    if let Some((other, _)) = entry.field.replace((field, rank))
                        && other != field
                    {
                        let (a, b) = (other.as_str(), field.as_str());
                        return Err(error(format!("`{name}` is both [{a}] and [{b}]")));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_rows_compile_and_fill_every_field() {
        let table = AttributeTable::parse(BUILTIN, "rules/attributes.toml").unwrap();
        for field in Field::ALL {
            let filled = table.entries.values().any(|e| {
                e.field.is_some_and(|(f, _)| f == *field)
                    || e.paths.iter().any(|p| p.field == *field)
            });
            assert!(filled, "[{}] has no row", field.as_str());
        }
    }

    #[test]
    fn a_users_rows_come_before_ours() {
        let table =
            AttributeTable::with_user_rows("[tenant]\nnames = ['org']", "mine.toml").unwrap();
        let rank = |name: &str| match table.lookup(name) {
            Lookup::Entry(e) => e.field.unwrap().1,
            other => panic!("{other:?}"),
        };
        assert!(rank("org") < rank("tenant.id"));
    }

    #[test]
    fn dimensions_of_the_configuration_come_first() {
        let fields = [("tenant".to_owned(), vec!["acme.org".to_owned()])];
        let labels = [("plan".to_owned(), "acme.plan".to_owned())];
        let table = AttributeTable::builtin().with_dimensions(&fields, &labels);
        let entry = |name: &str| match table.lookup(name) {
            Lookup::Entry(entry) => entry.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(entry("acme.org").field, Some((Field::Tenant, 0)));
        assert!(entry("tenant").field.is_some_and(|(_, rank)| rank > 0));
        assert_eq!(entry("acme.plan").label.as_deref(), Some("plan"));
    }

    #[test]
    fn a_wrong_section_is_named() {
        let error = AttributeTable::parse("[modle]\nnames = ['x']", "mine.toml").unwrap_err();
        assert_eq!(error.to_string(), "mine.toml: [modle] is not a field");
    }

    #[test]
    fn message_lists_and_labels_are_found_by_prefix() {
        let table = AttributeTable::builtin();
        let rest = "0.message.role";
        assert!(matches!(
            table.lookup("llm.input_messages.0.message.role"),
            Lookup::Indexed(Side::Input, r) if r == rest
        ));
        assert!(matches!(
            table.lookup("langfuse.trace.metadata.plan"),
            Lookup::Label("plan")
        ));
        assert!(table.is_content("gen_ai.completion.0.content"));
        assert!(!table.is_content("gen_ai.request.model"));
    }
}
