//! Tools: what an answer asked for, and what came of it.

/// One execution of a tool, as its span shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ToolRun<'a> {
    pub span_id: [u8; 8],
    pub start_ns: u64,
    pub duration_ns: u64,
    pub name: &'a str,
    /// The id of the tool call, if the recorder has it.
    pub id: &'a str,
    /// As JSON text, or whatever was recorded.
    pub arguments: &'a str,
    pub result: &'a str,
    pub is_error: bool,
    pub error_type: &'a str,
    pub error_message: &'a str,
    /// Which of the answer's tool calls this is, from 0.
    pub index: u16,
    /// The same tool had been executed with the same arguments, with success, before.
    pub repeats: bool,
}

/// One tool call of an answer: a row of `llm_tool_calls`.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall<'a> {
    /// Which of the answer's tool calls, from 0.
    pub index: u16,
    /// 1 for its first execution.
    pub attempt: u16,
    pub name: &'a str,
    pub id: &'a str,
    pub arguments: &'a str,
    pub result: &'a str,
    pub outcome: ToolOutcome,
    /// Where it failed, if it did.
    pub failed_layer: Option<ToolLayer>,
    /// The execution, if one was seen.
    pub run: Option<ToolRun<'a>>,
    /// The tool changes something outside, as far as its name tells.
    pub side_effect: bool,
}

/// What came of a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolOutcome {
    /// Asked for; no execution was seen.
    Requested,
    Ok,
    Failed,
}

/// Where a tool call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolLayer {
    /// The model asked for a tool that was not offered.
    Selection,
    /// The arguments are no JSON object, or break the tool's schema.
    Arguments,
    /// The tool was executed and failed.
    Execution,
    /// The tool was executed and the model never got its result.
    HandOff,
}

// === impl ToolOutcome ===

impl ToolOutcome {
    /// The name stored in `llm_tool_calls.outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            ToolOutcome::Requested => "requested",
            ToolOutcome::Ok => "ok",
            ToolOutcome::Failed => "failed",
        }
    }
}

// === impl ToolLayer ===

impl ToolLayer {
    /// The name stored in `llm_tool_calls.failed_layer`.
    pub fn as_str(self) -> &'static str {
        match self {
            ToolLayer::Selection => "selection",
            ToolLayer::Arguments => "arguments",
            ToolLayer::Execution => "execution",
            ToolLayer::HandOff => "hand_off",
        }
    }
}
