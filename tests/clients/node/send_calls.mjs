// Calls a model as a Node application does, under a real instrumentation, and lets a real exporter send it.
//
//     node send_calls.mjs INSTRUMENTATION CALL...
//
// The SDK configures itself from the OTEL_ variables (OTEL_EXPORTER_OTLP_PROTOCOL=http/json). The provider is at
// OPENAI_BASE_URL. Each CALL is `scenario` or `api:scenario` (chat, stream, responses, embeddings; chat unless
// said). Prints one JSON line: when the export began and ended (Unix nanoseconds) and what each call came to.
import { register } from "node:module";
import { NodeSDK } from "@opentelemetry/sdk-node";
import { OpenAIInstrumentation as Official } from "@opentelemetry/instrumentation-openai";
import { OpenAIInstrumentation as OpenInference } from "@arizeai/openinference-instrumentation-openai";

const MODEL = "gpt-4o";
const EMBEDDING_MODEL = "text-embedding-3-small";
const MESSAGES = [
  { role: "system", content: "You are a concise assistant." },
  { role: "user", content: "What is the capital of France?" },
];
const TOOLS = [
  {
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties: { location: { type: "string" }, unit: { type: "string" } } },
    },
  },
];
const INSTRUMENTATIONS = { official: Official, openinference: OpenInference };

const [name, ...calls] = process.argv.slice(2);
register("@opentelemetry/instrumentation/hook.mjs", import.meta.url);
const instrumentation = new INSTRUMENTATIONS[name]();
const sdk = new NodeSDK({ instrumentations: [instrumentation] });
sdk.start();

const { OpenAI } = await import("openai");
instrumentation.manuallyInstrument?.(OpenAI);
const client = new OpenAI({ apiKey: "sk-test", maxRetries: 0 });

async function call(api, scenario) {
  const options = { headers: { "x-mock-scenario": scenario } };
  const tools = scenario === "tool" ? { tools: TOOLS } : {};
  const chat = { model: MODEL, messages: MESSAGES, ...tools };
  switch (api) {
    case "chat":
      return client.chat.completions.create(chat, options);
    case "stream": {
      const stream = { ...chat, stream: true, stream_options: { include_usage: true } };
      for await (const _ of await client.chat.completions.create(stream, options));
      return;
    }
    case "responses":
      return client.responses.create({ model: MODEL, input: MESSAGES[1].content }, options);
    case "embeddings":
      return client.embeddings.create({ model: EMBEDDING_MODEL, input: "Paris", encoding_format: "float" }, options);
    default:
      throw new Error(`no such api: ${api}`);
  }
}

const cameTo = [];
for (const text of calls) {
  const [scenario, api = "chat"] = text.split(":").reverse();
  try {
    await call(api, scenario);
    cameTo.push("ok");
  } catch (error) {
    if (error.status === undefined) throw error;
    cameTo.push(`${error.status}`);
  }
}

const nowNs = () => Number(BigInt(Date.now()) * 1_000_000n);
const began = nowNs();
await sdk.shutdown();
console.log(JSON.stringify({ began_ns: began, ended_ns: nowNs(), flushed: true, calls: cameTo }));
