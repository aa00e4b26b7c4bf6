//! Tool calls as rows of `llm_tool_call_versions`, the table behind `llm_tool_calls`.

use super::attributes::{Time, time};
use super::llm_calls::Version;
use super::native::{Maybe, Number, Text, table};
use crate::call::{Call, FailureClass, ToolCall, ToolLayer};

table! {
    /// The columns that are sent, in the order of the table.
    ToolCalls {
        timestamp: Time = "timestamp" "DateTime64(9)",
        trace_id: Text = "trace_id" "String",
        span_id: Text = "span_id" "String",
        response_id: Text = "response_id" "String",
        tool_index: Number<2> = "tool_index" "UInt16",
        attempt: Number<2> = "attempt" "UInt16",
        tool_span_id: Text = "tool_span_id" "String",
        started_at: Maybe<8> = "started_at" "Nullable(DateTime64(9))",
        duration_ns: Maybe<8> = "duration_ns" "Nullable(UInt64)",
        name: Text = "name" "String",
        tool_call_id: Text = "tool_call_id" "String",
        outcome: Text = "outcome" "String",
        failed_layer: Text = "failed_layer" "String",
        failure_class: Text = "failure_class" "String",
        error_type: Text = "error_type" "String",
        error_message: Text = "error_message" "String",
        side_effect: Number<1> = "side_effect" "Bool",
        repeated: Number<1> = "repeated" "Bool",
        arguments: Text = "arguments" "String",
        result: Text = "result" "String",
        tenant: Text = "tenant" "String",
        service: Text = "service" "String",
        service_version: Text = "service_version" "String",
        environment: Text = "environment" "String",
        feature: Text = "feature" "String",
        user_id: Text = "user_id" "String",
        session_id: Text = "session_id" "String",
        convention: Text = "convention" "String",
        provider: Text = "provider" "String",
        request_model: Text = "request_model" "String",
        response_model: Text = "response_model" "String",
        sample_weight: Number<8> = "sample_weight" "Float64",
        sign: Number<1> = "sign" "Int8",
        version: Number<4> = "version" "UInt32",
    }
}

impl ToolCalls {
    /// Appends one row of a call's tool call.
    pub(super) fn push(&mut self, call: &Call<'_>, tool: &ToolCall<'_>, version: Version) {
        self.timestamp.push_i64(time(call.start_ns));
        self.trace_id.push_hex::<16, 32>(Some(&call.trace_id));
        self.span_id.push_hex::<8, 16>(Some(&call.span_id));
        self.response_id.push(call.response_id);
        self.tool_index.push(tool.index);
        self.attempt.push(tool.attempt);
        let run = tool.run.as_ref();
        self.tool_span_id
            .push_hex::<8, 16>(run.map(|run| &run.span_id));
        self.started_at.push_i64(run.map(|run| time(run.start_ns)));
        self.duration_ns.push(run.map(|run| run.duration_ns));
        self.name.push(tool.name);
        self.tool_call_id.push(tool.id);
        self.outcome.push(tool.outcome.as_str());
        let layer = tool.failed_layer;
        self.failed_layer.push(layer.map_or("", ToolLayer::as_str));
        self.failure_class.push(layer.map_or("", class));
        self.error_type.push(run.map_or("", |run| run.error_type));
        self.error_message
            .push(run.map_or("", |run| run.error_message));
        self.side_effect.push(u8::from(tool.side_effect));
        let repeated = run.is_some_and(|run| run.repeats);
        self.repeated.push(u8::from(repeated));
        // A row that is taken back repeats what is counted, not what was said.
        let content = version.sign > 0;
        self.arguments
            .push(if content { tool.arguments } else { "" });
        self.result.push(if content { tool.result } else { "" });
        self.tenant.push(call.tenant);
        self.service.push(call.service);
        self.service_version.push(call.service_version);
        self.environment.push(call.environment);
        self.feature.push(call.feature);
        self.user_id.push(call.user_id);
        self.session_id.push(call.session_id);
        self.convention.push(call.convention);
        self.provider.push(call.provider);
        self.request_model.push(call.request_model);
        self.response_model.push(call.response_model);
        self.sample_weight.push_f64(call.sample_weight);
        self.sign.push_i8(version.sign);
        self.version.push(version.version);
    }
}

/// The failure class of a layer.
fn class(layer: ToolLayer) -> &'static str {
    let class = match layer {
        ToolLayer::Selection => FailureClass::ToolUnknownTool,
        ToolLayer::Arguments => FailureClass::ToolInvalidArguments,
        ToolLayer::Execution | ToolLayer::HandOff => FailureClass::ToolExecutionFailed,
    };
    class.as_str()
}
