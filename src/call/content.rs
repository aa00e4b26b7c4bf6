//! What was said: messages and their parts, in any provider's or framework's shape.

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    System,
    #[default]
    User,
    Assistant,
    Tool,
}

/// What a part of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartKind {
    #[default]
    Text,
    /// The model's thinking.
    Reasoning,
    /// The model refuses, in a field of its own.
    Refusal,
    ToolCall,
    ToolResult,
    /// An image, sound or file; its bytes are not read.
    Media,
}

/// One piece of a message.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Part<'a> {
    pub kind: PartKind,
    /// The text with escapes resolved; a tool call's arguments as JSON text (or whatever the
    /// model wrote instead).
    pub text: &'a str,
    /// Tool name of a call or result.
    pub name: &'a str,
    /// Tool call id.
    pub id: &'a str,
}

/// One turn of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Message<'a> {
    pub role: Role,
    pub parts: &'a [Part<'a>],
}

/// A tool that the model was offered.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ToolDefinition<'a> {
    pub name: &'a str,
    /// JSON schema of the arguments as JSON text; empty when not recorded.
    pub parameters: &'a str,
}
