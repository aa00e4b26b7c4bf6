//! The integration tests: one binary, one module per subject.

/// Builds OTLP bodies that read like a scenario.
#[path = "support/otlp.rs"]
mod otlp;
/// From bodies to the rows that hold after them.
#[path = "support/rows.rs"]
mod rows;
/// The collector as a process, and the programs that send to it.
mod support;

/// Alerts: content, delivery, faults, and a real Alertmanager.
mod alerts;
/// Conventions as their documents and sources describe them.
mod conventions;
/// The shipped dashboards, each query on a real store.
mod dashboards;
/// The real binary on its real store, fed by real exporters.
mod e2e;
/// Labelled errors of many providers, and that every rule is needed.
mod errors;
/// What providers say, and the class that it comes to.
mod failures;
/// The embedded store's HTTP interface, spoken to by ClickHouse's own clients.
mod front;
/// Recorded texts, broken at random, before the readers of texts from outside.
mod fuzz;
/// Captured requests of real instrumentations, and the calls they come to.
mod golden;
/// A newcomer's path, from the README's own lines.
mod newcomer;
/// Images, chart, unit and sample configurations.
mod packaging;
/// What calls cost, by hand.
mod prices;
/// What is told of inputs and outputs, on labelled texts.
mod profile;
/// The receivers, spoken to on the wire: request bytes to status, headers and body.
mod receive;
/// What must not slip in the sources.
mod tidy;

/// A file that nobody lists here would never run.
#[test]
fn every_test_file_is_listed() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(root).expect("tests") {
        let path = entry.expect("entry").path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|e| e == "rs") && stem != "main" {
            assert!(
                listed.contains(&format!("mod {stem};")),
                "{stem} is not listed"
            );
        }
    }
}
