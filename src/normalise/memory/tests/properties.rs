//! Any order, any split over requests: the same rows.

use proptest::{collection::vec, prelude::*};

use super::*;

/// A small trace: what each span is, who is above it, when it starts.
#[derive(Debug, Clone)]
struct Scene {
    spans: Vec<SpanOf>,
    /// The order of arrival.
    order: Vec<usize>,
    /// After how many spans a request ends.
    cuts: Vec<usize>,
}

fn one_span(id: u64, kind: u8, parent: u64, at: u64, failed: bool) -> SpanOf {
    let built = match kind {
        0..=3 => call("chat").attr("gen_ai.usage.input_tokens", 10 + id as i64),
        4 => call("other").attr("gen_ai.request.model", "claude-sonnet-4-5"),
        5 => span("ai.generateText").attr("ai.operationId", "ai.generateText"),
        6 => post(id, at, if failed { 429 } else { 200 }),
        7 => span("invoke_agent").attr("gen_ai.operation.name", "invoke_agent"),
        _ => call("named")
            .attr("gen_ai.response.id", "one")
            .scope(["a", "b"][id as usize % 2]),
    };
    let built = built.id(id).between_ms(at, at + 20);
    let built = if parent == 0 {
        built
    } else {
        built.under(parent)
    };
    if failed {
        built.failed("Overloaded")
    } else {
        built
    }
}

fn scenes() -> impl Strategy<Value = Scene> {
    let one = (0..9_u8, 0..8_u64, 0..200_u64, any::<bool>());
    vec(one, 1..8).prop_flat_map(|parts| {
        let spans: Vec<SpanOf> = parts
            .iter()
            .enumerate()
            .map(|(n, (kind, parent, at, failed))| {
                one_span(n as u64 + 1, *kind, *parent, *at, *failed)
            })
            .collect();
        let order = Just((0..spans.len()).collect::<Vec<_>>()).prop_shuffle();
        let cuts = vec(1..4_usize, spans.len());
        (Just(spans), order, cuts).prop_map(|(spans, order, cuts)| Scene { spans, order, cuts })
    })
}

/// The rows without the history they have.
fn state(store: &Store) -> BTreeMap<Key, Stored> {
    let rows = store.rows.clone().into_iter();
    rows.map(|(key, row)| (key, Stored { version: 0, ..row }))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_a_function_of_the_evidence(scene in scenes()) {
        let mut whole = Store::new();
        whole.spans(&scene.spans);
        let mut split = Store::new();
        let mut arrived: Vec<SpanOf> = Vec::new();
        let mut rest = scene.order.as_slice();
        for cut in &scene.cuts {
            let (now, later) = rest.split_at(rest.len().min(*cut));
            rest = later;
            let request: Vec<SpanOf> = now.iter().map(|i| scene.spans[*i].clone()).collect();
            split.spans(&request);
            arrived.extend(request);
            // At every step the rows are those of what has arrived.
            let mut so_far = Store::new();
            so_far.spans(&arrived);
            prop_assert_eq!(state(&split), state(&so_far));
        }
        prop_assert_eq!(state(&split), state(&whole));
    }
}
