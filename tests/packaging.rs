//! What is shipped beside the program: configurations, the image, the unit, the chart. Container
//! engines are not run here; what they read is held to the program.

use std::{fs, path::Path, process::Command};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_sample_configuration_is_valid() {
    let secrets = tempfile::tempdir().expect("a directory");
    for name in ["clickhouse_password", "otlp_tokens"] {
        fs::write(secrets.path().join(name), "a-secret\n").expect("a secret");
    }
    let mut samples = vec![
        root().join("deploy/lapwing.yaml"),
        root().join("deploy/demo/lapwing.yaml"),
    ];
    let more = fs::read_dir(root().join("deploy/config")).expect("samples");
    samples.extend(more.map(|entry| entry.expect("an entry").path()));
    assert!(samples.len() >= 6, "{samples:?}");
    for sample in samples {
        let checked = Command::new(env!("CARGO_BIN_EXE_lapwing"))
            .arg("check")
            .arg("--config")
            .arg(&sample)
            .env("SECRETS_DIR", secrets.path())
            .output();
        let checked = checked.expect("an answer");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{}: {said}", sample.display());
    }
}

#[test]
fn the_image_runs_without_root_and_asks_for_its_health() {
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains("\nUSER 10001:10001\n"));
    assert!(dockerfile.contains(r#"CMD ["lapwing", "health"]"#));
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain.split('"').nth(1).expect("a version");
    let (minor, _) = version.rsplit_once('.').expect("three numbers");
    assert!(
        dockerfile.contains(&format!("FROM rust:{minor}-")),
        "{minor}"
    );
}

/// Commands that the image, the unit and the chart use, and that `--help` must therefore know.
#[test]
fn what_the_packages_call_exists() {
    let help = Command::new(env!("CARGO_BIN_EXE_lapwing"))
        .arg("--help")
        .output();
    let help = String::from_utf8_lossy(&help.expect("help").stdout).into_owned();
    let used = [
        ("Dockerfile", "fetch-engine"),
        ("Dockerfile", "health"),
        ("Dockerfile", "serve"),
        ("deploy/systemd/lapwing.service", "check"),
        ("deploy/systemd/lapwing.service", "serve"),
        ("deploy/helm/lapwing/templates/NOTES.txt", "top"),
    ];
    for (file, command) in used {
        assert!(
            read(file).contains(command),
            "{file} does not use {command}"
        );
        let known = help.lines().any(|l| l.trim_start().starts_with(command));
        assert!(known, "{command}: {help}");
    }
}

#[test]
fn the_chart_has_the_dashboards_and_the_version_of_the_program() {
    let chart = read("deploy/helm/lapwing/Chart.yaml");
    assert!(chart.contains(&format!("appVersion: \"{}\"", env!("CARGO_PKG_VERSION"))));
    let shipped = root().join("deploy/helm/lapwing/dashboards/lapwing-incident.json");
    assert!(shipped.exists(), "the link to the dashboards is broken");
}

/// What compose reads is YAML, and what it mounts or builds is there.
#[test]
fn the_compose_file_is_yaml_and_names_only_files_that_exist() {
    let text = read("deploy/compose/compose.yaml");
    let directory = root().join("deploy/compose");
    let (mut keys, mut files) = (Vec::new(), Vec::new());
    for event in granit_parser::Parser::new_from_str(&text) {
        let (event, _) = event.unwrap_or_else(|error| panic!("not YAML: {error}"));
        if let granit_parser::Event::Scalar(value, ..) = event {
            match value.starts_with("./") || value.starts_with("../") {
                true => files.push(value.split(':').next().unwrap_or_default().to_owned()),
                false => keys.push(value.into_owned()),
            }
        }
    }
    for service in [
        "services",
        "lapwing",
        "clickhouse",
        "grafana",
        "healthcheck",
    ] {
        assert!(keys.iter().any(|key| key == service), "{service}");
    }
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        assert!(directory.join(&file).exists(), "{file}");
    }
}
