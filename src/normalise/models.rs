//! Which model was asked for and which one answered, never mixed.
//!
//! Most conventions have a name for each. The rest of this file is for those that have one name
//! for both: it is given to the side that the evidence supports, and to no side when nothing does.

use super::{attributes::Field, fields::Fields};
use crate::call::Call;

/// OpenInference packages whose `llm.model_name` is the model that answered.
const RESPONSE_NAMERS: [&str; 9] = [
    "openinference.instrumentation.openai",
    "openinference.instrumentation.anthropic",
    "openinference.instrumentation.mistralai",
    "openinference.instrumentation.haystack",
    "openinference.instrumentation.langchain",
    "openinference.instrumentation.google_genai",
    "openinference.instrumentation.groq",
    "@arizeai/openinference-instrumentation-openai",
    "@arizeai/openinference-instrumentation-anthropic",
];

/// Fills `request_model` and `response_model`.
pub fn read<'a>(call: &mut Call<'a>, fields: &Fields<'_, 'a>, scope: &str, span_name: &'a str) {
    call.request_model = trim_model(fields.text(Field::RequestModel));
    call.response_model = trim_model(fields.text(Field::ResponseModel));
    let asked = trim_model(fields.text(Field::AskedModel));
    if call.request_model.is_empty() {
        call.request_model = asked;
    }
    let either = trim_model(fields.text(Field::Model));
    match call.convention {
        "mlflow" => mlflow(call, fields, either),
        "openinference" => openinference(call, either, scope),
        "genkit" => genkit(call),
        _ if !either.is_empty() => by_evidence(call, either),
        _ => {}
    }
    if call.convention == "openlit" && call.request_model.is_empty() {
        // An error span without attributes: `chat gpt-4o`.
        call.request_model = span_name
            .split_once(' ')
            .map_or("", |(_, model)| model.trim());
    }
    // A failed call was answered by no model; some recorders copy the request's name there.
    let nothing_came = call.usage.output_tokens.unwrap_or(0) == 0 && call.response_id.is_empty();
    if call.errors.is_error && nothing_came && call.response_model == call.request_model {
        call.response_model = "";
    }
}

/// `models/gemini-2.5-flash` is `gemini-2.5-flash`; a call to nothing is named by nobody.
fn trim_model(name: &str) -> &str {
    match name.strip_prefix("models/").unwrap_or(name) {
        "unknown" | "unknown_model" | "None" | "null" => "",
        name => name,
    }
}

/// With an answer the name is the answer's, without one it is the request's. Where the recorder
/// overwrites the one with the other (Langfuse) the request's is gone; the name it left stands for
/// both, so that the call is found under some model.
fn by_evidence<'a>(call: &mut Call<'a>, name: &'a str) {
    let answered = call.usage.output_tokens.is_some_and(|n| n > 0)
        || call.usage.input_tokens.is_some_and(|n| n > 0)
        || !call.output.text.is_empty();
    if answered && !call.errors.is_error {
        if call.response_model.is_empty() {
            call.response_model = name;
        }
        if call.request_model.is_empty() {
            call.request_model = name;
        }
    } else if call.request_model.is_empty() {
        call.request_model = name;
    }
}

fn openinference<'a>(call: &mut Call<'a>, name: &'a str, scope: &str) {
    if name.is_empty() {
        return;
    }
    let names_response = RESPONSE_NAMERS.contains(&scope) || scope.is_empty();
    let differs = !call.request_model.is_empty() && name != call.request_model;
    let embeds = call.operation == crate::call::Operation::Embeddings;
    if call.request_model.is_empty() && (!names_response || call.errors.is_error || embeds) {
        call.request_model = name;
    } else if call.response_model.is_empty() && !call.errors.is_error && (names_response || differs)
    {
        call.response_model = name;
    }
}

/// In the semconv mode the "request model" is the answer's; the argument `model` is the request's.
fn mlflow<'a>(call: &mut Call<'a>, fields: &Fields<'_, 'a>, name: &'a str) {
    let inputs = fields.json(fields.plain(Field::Input).as_str().unwrap_or_default());
    let asked = match inputs.and_then(|inputs| inputs.get("model")) {
        Some(model) => model.text(fields.arena()),
        None => fields.text(Field::AskedModel),
    };
    if !asked.is_empty() {
        call.request_model = trim_model(asked);
    }
    if call.response_model.is_empty() && !name.is_empty() && name != call.request_model {
        call.response_model = name;
    }
    if call.request_model.is_empty() {
        call.request_model = name;
    }
}

/// `openai/gpt-4o` names the plugin and the model.
fn genkit(call: &mut Call<'_>) {
    if let Some((plugin, model)) = call.request_model.split_once('/') {
        if call.provider.is_empty() {
            call.provider = super::vocabulary::provider_of_model(model);
            if call.provider.is_empty() {
                call.provider = plugin;
            }
        }
        call.request_model = model;
    }
}
