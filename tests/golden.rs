//! Captured requests of real instrumentations, and the calls they come to.
//!
//! `tests/fixtures/captures/<run>/` holds the bodies as the exporters sent them (gzip where they
//! did), `tests/golden/` what Lapwing reads in them. A golden file that changes is looked at
//! against what the provider really answered before it is accepted (`cargo insta review`).

use std::{collections::BTreeMap, fs, io::Read, path::Path};

use serde_json::{Value, json};

use crate::rows::{Body, rows_of};

#[test]
fn captures_come_to_the_rows_in_their_golden_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captures");
    let mut runs: Vec<_> = fs::read_dir(&root)
        .expect("fixtures")
        .map(|e| e.expect("entry").path())
        .collect();
    runs.sort();
    for run in runs {
        let name = run
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for (scenario, files) in scenarios(&run) {
            let bodies: Vec<Body> = files.iter().map(|file| body(file)).collect();
            let shown = snapshot(&bodies);
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path("golden");
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_json_snapshot!(format!("{name}.{scenario}"), shown));
        }
    }
}

/// The files of each capture of a run: traces before logs, in the order sent.
fn scenarios(run: &Path) -> BTreeMap<String, Vec<std::path::PathBuf>> {
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for entry in fs::read_dir(run).expect("a run") {
        let path = entry.expect("entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let cut = name
            .find(".traces")
            .or(name.find(".logs"))
            .expect("traces or logs");
        found.entry(name[..cut].to_owned()).or_default().push(path);
    }
    for files in found.values_mut() {
        files.sort_by_key(|f| (f.to_string_lossy().contains(".logs"), f.clone()));
    }
    found
}

fn body(file: &Path) -> Body {
    let mut bytes = fs::read(file).expect("a fixture");
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut inflated = Vec::new();
        flate2::read::MultiGzDecoder::new(&bytes[..])
            .read_to_end(&mut inflated)
            .expect("gzip");
        bytes = inflated;
    }
    let is_json = file.extension().is_some_and(|e| e == "json");
    let is_logs = file.to_string_lossy().contains(".logs");
    match (is_json, is_logs) {
        (true, true) => Body::Logs(lapwing::decode::json::logs_to_proto(&bytes).expect("JSON")),
        (true, false) => {
            Body::Traces(lapwing::decode::json::traces_to_proto(&bytes).expect("JSON"))
        }
        (false, true) => Body::Logs(bytes),
        (false, false) => Body::Traces(bytes),
    }
}

/// The rows by start; a duplicate names the row that counts by its place.
fn snapshot(bodies: &[Body]) -> Value {
    let rows = rows_of(bodies);
    let shown = rows.iter().map(|row| {
        let mut json = row.json.clone();
        if let (Some(of), Some(object)) = (row.duplicate_of, json.as_object_mut()) {
            let place = rows.iter().position(|r| r.span_id == of);
            object.insert("duplicate_of_row".to_owned(), json!(place));
        }
        json
    });
    Value::Array(shown.collect())
}
