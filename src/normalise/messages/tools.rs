//! The tools that the model was offered, in any provider's shape.

use bumpalo::{Bump, collections::Vec as ArenaVec};

use crate::{call::ToolDefinition, normalise::json::Json};

/// Tools of one request.
const TOOLS_MAX: usize = 512;

/// Reads the tools offered to the model: OpenAI's, Anthropic's, Gemini's, MCP's and OTel's shape.
pub fn read_tools<'a>(text: &'a str, arena: &'a Bump) -> &'a [ToolDefinition<'a>] {
    let mut out = ArenaVec::new_in(arena);
    if let Some(json) = Json::container(text, arena) {
        for item in json.items().iter().take(TOOLS_MAX) {
            // AI SDK: a list of JSON texts.
            let inner = item
                .string(arena)
                .and_then(|text| Json::container(text, arena));
            push_tool(inner.unwrap_or(*item), arena, &mut out);
        }
    }
    out.into_bump_slice()
}

fn push_tool<'a>(tool: Json<'a>, arena: &'a Bump, out: &mut ArenaVec<'a, ToolDefinition<'a>>) {
    if let Some(list) = tool
        .get("functionDeclarations")
        .or(tool.get("function_declarations"))
    {
        for function in list.items().iter().take(TOOLS_MAX) {
            push_tool(*function, arena, out);
        }
        return;
    }
    let tool = tool
        .get("function")
        .or(tool.get("toolSpec"))
        .filter(Json::is_object)
        .unwrap_or(tool);
    let name = tool.get("name").map_or("", |n| n.text(arena));
    if name.is_empty() {
        return;
    }
    let parameters = [
        "parameters",
        "input_schema",
        "inputSchema",
        "parametersJsonSchema",
    ]
    .iter()
    .find_map(|key| tool.get(key))
    .map(|schema| schema.get("json").unwrap_or(schema))
    .filter(|schema| !schema.is_null())
    .map_or("", |schema| schema.text(arena));
    out.push(ToolDefinition { name, parameters });
}
