//! Recognise: what kind of span this is, and whose convention it speaks.
//!
//! The order of the tests is the knowledge here: frameworks put each other's attributes on their
//! spans, so the most telling mark comes first. A span that nothing recognises is an ordinary
//! span: it goes to `otel_traces` and no further.

use super::{
    attributes::Field,
    fields::Fields,
    vocabulary::{self, Endpoint},
};
use crate::{call::Operation, decode::SpanKind};

/// What a span is to a model call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanRole {
    /// One request to a model, or what an SDK shows as one.
    Call,
    /// Repeats a call's data around it (`ai.generateText`): never counted beside one.
    Wrapper,
    /// A framework's agent, chain or workflow.
    Agent,
    /// A second record of a call that has what the first lacks (Logfire's streaming log span).
    Supplement,
    /// An HTTP request to a provider's path.
    Http,
    /// A tool at work.
    Tool,
}

/// What was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognised {
    pub role: SpanRole,
    /// Stored in `llm_calls.convention`.
    pub convention: &'static str,
    pub operation: Operation,
}

/// What recognition may look at.
pub struct Clues<'s, 't, 'a> {
    pub fields: &'s Fields<'t, 'a>,
    pub scope: &'a str,
    pub span_name: &'a str,
    pub kind: SpanKind,
}

/// Says what a span is; `None` for an ordinary span.
pub fn recognise(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let tests = [
        logfire_log,
        ai_sdk,
        mastra,
        genkit,
        openinference,
        langfuse,
        mlflow,
        haystack,
        langsmith,
        litellm,
        otel_operation,
        traceloop,
        openlit,
        logfire_request,
        bare_model,
        http,
    ];
    tests.iter().find_map(|test| test(clues))
}

/// The endpoint that a span's URL tells.
pub fn endpoint(fields: &Fields<'_, '_>) -> Option<Endpoint> {
    [Field::Url, Field::UrlPath]
        .into_iter()
        .find_map(|field| vocabulary::endpoint(fields.value(field).as_str()?))
}

const fn found(
    role: SpanRole,
    convention: &'static str,
    operation: Operation,
) -> Option<Recognised> {
    Some(Recognised {
        role,
        convention,
        operation,
    })
}

/// A role word shared by frameworks: `llm`, `generation`, `agent`, `tool`, …
fn by_kind(kind: &str, convention: &'static str) -> Option<Recognised> {
    let kind = kind.trim_matches(['"', '\'']).to_ascii_lowercase();
    match kind.as_str() {
        "llm" | "generation" | "chat_model" | "chat" | "model" => {
            found(SpanRole::Call, convention, Operation::Chat)
        }
        "embedding" | "embeddings" => found(SpanRole::Call, convention, Operation::Embeddings),
        "reranker" => found(SpanRole::Call, convention, Operation::Rerank),
        "tool" => found(SpanRole::Tool, convention, Operation::Chat),
        "agent" => found(SpanRole::Agent, convention, Operation::InvokeAgent),
        "chain" | "workflow" | "task" | "flow" => {
            found(SpanRole::Agent, convention, Operation::Chat)
        }
        _ => None,
    }
}

fn logfire_log(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let is_log = clues.fields.text(Field::LogfireSpanType) == "log";
    let of_model = clues.fields.has(Field::RequestModel) || clues.fields.has(Field::Output);
    (is_log && of_model).then_some(())?;
    found(SpanRole::Supplement, "logfire", Operation::Chat)
}

/// Logfire 3 has the request in one document and no operation; of Anthropic not even the model.
fn logfire_request(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let ours = clues.scope.starts_with("logfire") && clues.fields.has(Field::Input);
    (ours && !clues.fields.text(Field::RequestModel).is_empty()).then_some(())?;
    let operation = if clues.span_name.starts_with("Embedding") {
        Operation::Embeddings
    } else {
        Operation::Chat
    };
    found(SpanRole::Call, "logfire", operation)
}

fn ai_sdk(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let id = clues.fields.plain(Field::AiOperationId).as_str()?;
    let operation = if id.contains("mbed") {
        Operation::Embeddings
    } else {
        Operation::Chat
    };
    let last = id.rsplit('.').next().unwrap_or(id);
    let role = match last {
        "doGenerate" | "doStream" | "doEmbed" | "doRerank" => SpanRole::Call,
        "toolCall" => SpanRole::Tool,
        _ => SpanRole::Wrapper,
    };
    found(role, "vercel_ai_sdk", operation)
}

fn mastra(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let kind = clues.fields.text(Field::MastraType);
    if kind.is_empty() && !clues.scope.starts_with("@mastra/") {
        return None;
    }
    let name = clues.span_name;
    let is_request = matches!(kind, "model_step" | "model_inference" | "model_generation");
    if is_request || name.starts_with("step:") {
        found(SpanRole::Call, "mastra", Operation::Chat)
    } else if name.starts_with("chunk: 'error'") {
        found(SpanRole::Supplement, "mastra", Operation::Chat)
    } else if name.starts_with("chat ") {
        found(SpanRole::Call, "mastra", Operation::Chat)
    } else if kind.contains("tool") || name.starts_with("tool") {
        found(SpanRole::Tool, "mastra", Operation::Chat)
    } else if kind.contains("agent") || name.starts_with("agent") {
        found(SpanRole::Agent, "mastra", Operation::InvokeAgent)
    } else {
        None
    }
}

fn genkit(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let subtype = clues.fields.text(Field::GenkitSubtype);
    let kind = clues.fields.text(Field::GenkitType);
    if subtype.is_empty() && kind.is_empty() {
        return None;
    }
    match subtype {
        "model" => found(SpanRole::Call, "genkit", Operation::Chat),
        "embedder" => found(SpanRole::Call, "genkit", Operation::Embeddings),
        "tool" => found(SpanRole::Tool, "genkit", Operation::Chat),
        _ => found(SpanRole::Agent, "genkit", Operation::Chat),
    }
}

fn openinference(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let kind = clues.fields.plain(Field::OpeninferenceKind).as_str()?;
    let found_by_kind = by_kind(kind, "openinference")?;
    // LlamaIndex: what a model's class does by itself before the request (`OpenAI._prepare_…`).
    let method = clues.span_name.rsplit('.').next().unwrap_or_default();
    if found_by_kind.role == SpanRole::Call && method.starts_with('_') && !method.starts_with("__")
    {
        return found(SpanRole::Agent, "openinference", Operation::Chat);
    }
    Some(found_by_kind)
}

fn langfuse(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    by_kind(
        clues.fields.plain(Field::LangfuseType).as_str()?,
        "langfuse",
    )
}

fn mlflow(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    by_kind(clues.fields.plain(Field::MlflowType).as_str()?, "mlflow")
}

fn haystack(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let component = clues.fields.plain(Field::HaystackType).as_str()?;
    if component.contains("Generator") {
        found(SpanRole::Call, "haystack", Operation::Chat)
    } else if component.ends_with("Embedder") {
        found(SpanRole::Call, "haystack", Operation::Embeddings)
    } else {
        None
    }
}

fn langsmith(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    by_kind(
        clues.fields.plain(Field::LangsmithKind).as_str()?,
        "langsmith",
    )
}

fn litellm(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    (clues.scope == "litellm").then_some(())?;
    let is_call = clues.span_name == "raw_gen_ai_request" || clues.fields.has(Field::RequestModel);
    let operation = match vocabulary::operation(clues.fields.text(Field::Operation)) {
        Some(operation) => operation,
        None => Operation::Chat,
    };
    is_call.then_some(())?;
    found(SpanRole::Call, "litellm", operation)
}

fn otel_operation(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let name = clues.fields.text(Field::Operation);
    let convention = convention_of_scope(clues.scope);
    match name {
        "" => None,
        "execute_tool" => found(SpanRole::Tool, convention, Operation::Chat),
        "invoke_agent" => found(SpanRole::Agent, convention, Operation::InvokeAgent),
        "create_agent"
        | "invoke_workflow"
        | "workflow"
        | "agent_step"
        | "execute_event_loop_cycle" => found(SpanRole::Agent, convention, Operation::Chat),
        other => found(SpanRole::Call, convention, vocabulary::operation(other)?),
    }
}

fn traceloop(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    if let Some(kind) = clues.fields.plain(Field::RequestType).as_str() {
        let mut operation = vocabulary::operation(kind).unwrap_or_default();
        // Old Anthropic instrumentations ask `completion` of the messages API, too.
        if operation == Operation::TextCompletion && clues.span_name.ends_with("chat") {
            operation = Operation::Chat;
        }
        return found(SpanRole::Call, "openllmetry", operation);
    }
    by_kind(
        clues.fields.plain(Field::TraceloopKind).as_str()?,
        "openllmetry",
    )
    .filter(|r| r.role != SpanRole::Call)
}

/// OpenLIT's error spans may carry no attribute at all: the scope and the name are all there is.
fn openlit(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let ours = clues.scope.starts_with("openlit.") || clues.scope.starts_with("@openlit/");
    ours.then_some(())?;
    let (operation, _) = clues.span_name.split_once(' ')?;
    found(SpanRole::Call, "openlit", vocabulary::operation(operation)?)
}

/// A model's name and nothing that says what the span is: instrumentations of the application's own.
fn bare_model(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let fields = clues.fields;
    let has_model = [Field::RequestModel, Field::ResponseModel, Field::AskedModel]
        .into_iter()
        .any(|field| fields.has(field));
    let has_more = [
        Field::Provider,
        Field::InputTokens,
        Field::OutputTokens,
        Field::Input,
        // Logfire 3 on the Responses API: the model and a list of events.
        Field::Events,
    ]
    .into_iter()
    .any(|field| fields.has(field));
    (has_model && has_more && clues.kind != SpanKind::Server).then_some(())?;
    found(
        SpanRole::Call,
        convention_of_scope(clues.scope),
        Operation::Chat,
    )
}

fn http(clues: &Clues<'_, '_, '_>) -> Option<Recognised> {
    let fields = clues.fields;
    let is_client = clues.kind == SpanKind::Client && fields.has(Field::HttpMethod);
    is_client.then_some(())?;
    let endpoint = endpoint(fields)?;
    found(SpanRole::Http, "http", endpoint.operation)
}

/// The convention's name for spans in OTel's own words, by who wrote them.
fn convention_of_scope(scope: &str) -> &'static str {
    const BY_SCOPE: [(&str, &str); 17] = [
        ("openlit", "openlit"),
        ("@openlit/", "openlit"),
        ("logfire", "logfire"),
        ("pydantic-ai", "pydantic_ai"),
        ("com.anthropic.sdk", "anthropic_sdk"),
        ("mistralai_sdk", "mistral_sdk"),
        ("strands", "strands"),
        ("semantic_kernel", "semantic_kernel"),
        ("Microsoft.SemanticKernel", "semantic_kernel"),
        ("autogen", "autogen"),
        ("litellm", "litellm"),
        ("@traceloop/", "openllmetry"),
        ("opentelemetry.instrumentation.openai.v1", "openllmetry"),
        ("opentelemetry.instrumentation.langchain", "openllmetry"),
        ("mlflow", "mlflow"),
        ("gen_ai", "vercel_ai_sdk"),
        ("langsmith", "langsmith"),
    ];
    BY_SCOPE
        .iter()
        .find(|(prefix, _)| scope.starts_with(prefix))
        .map_or("otel_gen_ai", |(_, convention)| convention)
}
