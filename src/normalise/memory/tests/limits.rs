//! Long, many and hostile traces.

use super::*;

#[test]
fn memory_is_bounded_by_bytes_and_the_count_of_them_does_not_drift() {
    let bytes_max = 20_000;
    let mut store = Store::with(MemoryLimits {
        bytes_max,
        age_max_ns: u64::MAX,
    });
    for round in 0..8_u64 {
        for trace in 1..=250 {
            store.spans(&[call("chat").trace(trace).id(round + 1)]);
            assert!(store.memory.bytes() <= bytes_max);
        }
        store.rows.clear();
    }
    let held: usize = store.memory.groups.values().map(Group::bytes).sum();
    assert_eq!(store.memory.bytes(), held);
}

#[test]
fn memory_is_bounded_by_age_also_behind_a_trace_that_lives_on() {
    let mut store = Store::with(MemoryLimits {
        bytes_max: usize::MAX,
        age_max_ns: 100,
    });
    for now_ns in 0..400_u64 {
        let living = call("chat");
        let passing = call("chat")
            .trace(2 + (now_ns % 200) as u8)
            .id(now_ns + 5000);
        store.spans_at(&[living, passing], now_ns);
    }
    let held = store.memory.groups.len();
    assert!((50..=110).contains(&held), "{held} traces held");
    assert!(store.memory.order.len() <= held + 1);
}

#[test]
fn a_long_trace_goes_on_without_its_past() {
    let mut store = Store::new();
    for n in 1..=700_u64 {
        let one = call("chat").id(n).between_ms(n * 10, n * 10 + 5);
        assert_eq!(store.spans(std::slice::from_ref(&one)), 1);
        assert_eq!(store.spans(&[one]), 0, "sent again");
    }
    assert_eq!(store.tokens(), 24 * 700);
    // The wrapper around all of it comes last and repeats their sum.
    let wrapper = span("ai.generateText")
        .id(5000)
        .attr("ai.operationId", "ai.generateText")
        .attr("ai.usage.inputTokens", 24_000);
    assert_eq!(store.spans(&[wrapper, post(5001, 10, 200).under(3)]), 0);
    assert!(
        store.memory.bytes() < 100_000,
        "{} bytes",
        store.memory.bytes()
    );
}

#[test]
fn hostile_traces_are_survived() {
    // Parents in a circle, a span that is its own parent, one id with two contents.
    let mut store = Store::new();
    store.spans(&[
        call("a").id(1).under(2),
        call("b").id(2).under(1),
        call("c").id(3).under(3),
    ]);
    store.spans(&[
        call("x").id(4).between_ms(10, 20),
        call("y").id(4).between_ms(5, 20),
    ]);
    store.spans(&[call("z").id(5)]);
    assert!(
        store.rows.values().any(|r| r.name == "x") && !store.rows.values().any(|r| r.name == "y")
    );
    assert!(!store.counted().is_empty());
}

#[test]
fn ten_thousand_spans_in_one_trace_are_worked_out_in_one_go() {
    let shapes: [fn(u64) -> SpanOf; 4] = [
        |n| call("chain").id(n).under(n - 1),
        |n| call("fan").id(n).under(1).attr("gen_ai.response.id", "one"),
        |n| {
            call("failed")
                .id(n)
                .under(1)
                .between_ms(n, n)
                .failed("Overloaded")
        },
        |n| {
            span("ai.generateText")
                .attr("ai.operationId", "ai.generateText")
                .id(n)
                .under(n / 2)
        },
    ];
    for shape in shapes {
        let spans: Vec<SpanOf> = (2..10_000).map(shape).collect();
        let mut store = Store::new();
        store.spans(&spans);
        assert!(!store.counted().is_empty());
        assert!(
            store.memory.bytes() < 1 << 20,
            "what cannot be used is not kept"
        );
    }
}
