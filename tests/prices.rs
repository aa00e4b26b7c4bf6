//! What calls cost, worked out by hand against the rows of the price table, and the table itself.

use crate::otlp::{span, traces};
use bumpalo::Bump;
use lapwing::call::{Call, Enrichment, Operation, Usage};
use lapwing::decode;
use lapwing::enrich::{Overrides, PriceTable, RuleFile, Rules, enrich, import_prices};
use lapwing::normalise::{
    AttributeTable,
    memory::{Memory, MemoryLimits, observe_all},
};
use std::collections::{HashMap, HashSet};
use std::path::Path;

const NANOS_PER_USD: f64 = 1e9;
const DAY_NS: u64 = 86_400_000_000_000;

fn read(path: &str) -> Vec<HashMap<String, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .comment(Some(b'#'))
        .from_path(path)
        .expect("a table");
    let names = reader.headers().expect("a header").clone();
    let row = |record: csv::StringRecord| {
        // Fields at the end may be left out.
        let fields = record.iter().chain(std::iter::repeat(""));
        let named = names.iter().zip(fields);
        named.map(|(n, f)| (n.to_owned(), f.to_owned())).collect()
    };
    let records = reader.records().map(|record| record.expect("a row"));
    records.map(row).collect()
}

/// Noon of a day, in nanoseconds since the epoch.
fn noon(day: &str) -> u64 {
    let date: jiff::civil::Date = day.parse().expect("a date");
    let hours = date
        .duration_since(jiff::civil::date(1970, 1, 1))
        .as_hours();
    u64::try_from(hours / 24).expect("after 1970") * DAY_NS + DAY_NS / 2
}

fn enriched(row: &HashMap<String, String>) -> Enrichment {
    let count = |name: &str| row[name].parse::<u64>().ok();
    let call = Call {
        provider: &row["provider"],
        response_model: &row["model"],
        operation: match row["operation"].as_str() {
            "embeddings" => Operation::Embeddings,
            _ => Operation::Chat,
        },
        start_ns: noon(&row["date"]),
        lane: match row["lane"].as_str() {
            "batch" => "batch",
            _ => "",
        },
        service_tier: &row["tier"],
        usage: Usage {
            input_tokens: count("input"),
            output_tokens: count("output"),
            cache_read_tokens: count("cache_read"),
            cache_write_tokens: count("cache_write"),
            cache_write_1h_tokens: count("cache_write_1h"),
            reasoning_tokens: count("reasoning"),
            ..Usage::default()
        },
        ..Call::default()
    };
    enrich(Rules::builtin(), &call)
}

#[test]
fn worked_calls_cost_what_was_worked_out_to_the_nano_dollar() {
    let rows = read("tests/fixtures/prices/worked.csv");
    assert!(rows.len() >= 60, "{} calls", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let cost = enriched(row).cost;
        let nanos = |usd: Option<f64>| usd.map(|usd| (usd * NANOS_PER_USD).round() as u64);
        let side = |name: &str| match row["price_id"].is_empty() {
            true => None,
            false => row[name].parse::<u64>().ok(),
        };
        let (input, output) = (side("input_nanos"), side("output_nanos"));
        let total = input.zip(output).map(|(i, o)| i + o);
        let got = (
            nanos(cost.input_usd),
            nanos(cost.output_usd),
            nanos(cost.total_usd),
        );
        let same = cost.status.as_str() == row["status"] && cost.price_id == row["price_id"];
        if got != (input, output, total) || !same {
            let (model, note) = (&row["model"], &row["note"]);
            wrong.push(format!(
                "{model} ({note}): want {input:?} {output:?} {} {}, got {got:?} {} {}",
                row["status"],
                row["price_id"],
                cost.status.as_str(),
                cost.price_id
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_price_row_is_sane() {
    const USD_PER_MILLION_MAX: f64 = 1000.0;
    let mut wrong = Vec::new();
    let mut seen = HashSet::new();
    for row in read("rules/prices.csv") {
        let name = format!(
            "{}/{}@{}:{}>{}",
            row["provider"], row["model"], row["effective_from"], row["variant"], row["tier_start"]
        );
        let price = |column: &str| match row[column].as_str() {
            "" => None,
            text => Some(text.parse::<f64>().expect("a price")),
        };
        let prices = [
            "input",
            "output",
            "cache_read",
            "cache_write",
            "cache_write_1h",
            "reasoning",
            "input_audio",
            "output_audio",
        ];
        for column in prices {
            if price(column).is_some_and(|p| !(0.0..=USD_PER_MILLION_MAX).contains(&p)) {
                wrong.push(format!("{name}: {column} is {}", row[column]));
            }
        }
        let dearer = |a: &str, b: &str| price(a).zip(price(b)).is_some_and(|(a, b)| a > b);
        // OpenRouter's `~` rows stand for several models at once.
        if dearer("cache_read", "input") && !row["model"].starts_with('~') {
            wrong.push(format!(
                "{name}: reading the cache costs more than new tokens"
            ));
        }
        if dearer("cache_write", "cache_write_1h") {
            wrong.push(format!(
                "{name}: five minutes of cache cost more than an hour"
            ));
        }
        if row["match"].is_empty() {
            wrong.push(format!("{name}: matches no name"));
        }
        if !["standard", "batch", "flex", "priority", "fast"].contains(&row["variant"].as_str()) {
            wrong.push(format!("{name}: an unknown variant"));
        }
        if !seen.insert(name.clone()) {
            wrong.push(format!("{name}: is there twice"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_exact_name_of_the_table_leads_to_its_own_row() {
    let providers: HashMap<String, String> = Rules::builtin()
        .providers()
        .rows()
        .iter()
        .rev()
        .flat_map(|p| p.prices.first().map(|price| (price.clone(), p.id.clone())))
        .collect();
    let (mut asked, mut lost) = (0, Vec::new());
    for row in read("rules/prices.csv") {
        let Some(provider) = providers.get(&row["provider"]) else {
            continue;
        };
        for name in row["match"].split(' ').filter_map(|c| c.strip_prefix('=')) {
            if name.contains('&') {
                continue;
            }
            let call = Call {
                provider,
                response_model: name,
                start_ns: noon(&row["checked_at"]),
                usage: Usage {
                    input_tokens: Some(1000),
                    output_tokens: Some(1000),
                    ..Usage::default()
                },
                ..Call::default()
            };
            asked += 1;
            let id = enrich(Rules::builtin(), &call).cost.price_id;
            if !id.starts_with(&format!("{}/", row["provider"])) {
                lost.push(format!("{provider} {name}: {id:?}"));
            }
        }
    }
    assert!(asked > 1000, "{asked} names");
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// The rules with a user's own price file on top.
fn with_own_prices(text: &str) -> Rules {
    let overrides = Overrides {
        prices: vec![RuleFile {
            name: "own.csv".to_owned(),
            text: text.to_owned(),
        }],
        ..Overrides::default()
    };
    Rules::load(&overrides).expect("a price file")
}

#[test]
fn an_imported_list_is_a_price_file_that_wins() {
    let litellm = r#"{"gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1.2e-05, "output_cost_per_token_batches": 6e-06,
        "input_cost_per_token_above_200k_tokens": 6e-06},
        "dall-e-3": {"litellm_provider": "openai", "input_cost_per_image": 0.04}}"#;
    let openrouter = r#"{"data": [{"id": "acme/owl-1", "context_length": 8192, "pricing":
        {"prompt": "0.0000005", "completion": "0.0000015", "input_cache_read": "0"}}]}"#;
    let models_dev = r#"{"mistral": {"id": "mistral", "models": {"owl-2": {"cost":
        {"input": 0.1, "output": 0.3}, "limit": {"context": 32000, "output": 4000}}}}}"#;
    let calls = [
        (litellm, "openai", "gpt-4o", 1000, 3_000_000 + 12_000_000, 1),
        (
            litellm,
            "openai",
            "gpt-4o",
            200_001,
            1_200_006_000 + 12_000_000,
            1,
        ),
        (
            openrouter,
            "openrouter",
            "acme/owl-1",
            1000,
            500_000 + 1_500_000,
            0,
        ),
        (
            models_dev,
            "mistral_ai",
            "owl-2",
            1000,
            100_000 + 300_000,
            0,
        ),
    ];
    for (list, provider, model, input, nanos, left_out) in calls {
        let imported = import_prices(Rules::builtin().providers(), list, "2026-11-20").expect(list);
        assert_eq!(
            (imported.models, imported.left_out),
            (1, left_out),
            "{list}"
        );
        let call = Call {
            provider,
            response_model: model,
            start_ns: noon("2026-11-20"),
            usage: Usage {
                input_tokens: Some(input),
                output_tokens: Some(1000),
                ..Usage::default()
            },
            ..Call::default()
        };
        let cost = enrich(&with_own_prices(&imported.csv), &call).cost;
        let total = cost
            .total_usd
            .map(|usd| (usd * NANOS_PER_USD).round() as u64);
        assert_eq!(total, Some(nanos), "{model}: {}", imported.csv);
    }
}

#[test]
fn what_is_no_price_list_is_refused() {
    let providers = Rules::builtin().providers();
    for text in ["", "[]", "{}", r#"{"models": 3}"#, "not json"] {
        assert!(
            import_prices(providers, text, "2026-11-20").is_err(),
            "{text}"
        );
    }
}

#[test]
fn differences_between_tables_name_both_rows() {
    let own = "provider,model,match,effective_from,variant,tier_start,input,output\n\
        openai,o1,=o1,,standard,0,16,60\nopenai,owl,=owl,,standard,0,1,2\n";
    let theirs = PriceTable::parse(&[("own.csv".to_owned(), own.to_owned())]).expect("a table");
    let told: Vec<String> = Rules::builtin()
        .prices()
        .differences(&theirs)
        .iter()
        .map(ToString::to_string)
        .collect();
    let text = told.join("\n");
    assert!(text.contains("- openai/o1 input=15 output=60"), "{text}");
    assert!(text.contains("+ openai/o1 input=16 output=60"), "{text}");
    assert!(text.contains("+ openai/owl input=1 output=2"), "{text}");
}

#[test]
fn sound_is_priced_from_the_wire_on() {
    let call = span("ChatCompletion")
        .scope("openinference.instrumentation.openai")
        .at_ns(noon("2026-11-20"))
        .attr("openinference.span.kind", "LLM")
        .attr("llm.provider", "openai")
        .attr("llm.model_name", "gpt-audio")
        .attr("llm.token_count.prompt", 1000)
        .attr("llm.token_count.prompt_details.audio", 400)
        .attr("llm.token_count.completion", 100)
        .attr("llm.token_count.completion_details.audio", 80);
    let (table, arena) = (AttributeTable::builtin(), Bump::new());
    let body = traces(&[call]);
    let request = decode::traces(&body, &arena).expect("traces");
    let observed = observe_all(&table, &request, &arena);
    let mut memory = Memory::new(MemoryLimits::default());
    let changes = memory.spans(&table, &request, &observed, &arena, 0);
    let [row] = changes.rows.as_slice() else {
        panic!("one row");
    };
    let cost = enrich(Rules::builtin(), &row.call).cost;
    // 600 x 2.5 + 400 x 32 and 20 x 10 + 80 x 64, in millionths of a USD.
    assert_eq!(cost.input_usd, Some(0.0143));
    assert_eq!(cost.output_usd, Some(0.00532));
}
