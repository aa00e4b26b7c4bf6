//! Clients in other languages. Each runs where its language and its packages can be had; where they cannot, the test
//! says so and passes, unless `LAPWING_TEST_CLIENTS=required`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::store;

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned()
}

/// Runs a step of the preparation; false when the machine cannot.
fn prepared(what: &str, command: &mut Command) -> bool {
    let output = command.output();
    let told = match &output {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(
        std::env::var_os("LAPWING_TEST_CLIENTS").is_none_or(|value| value != "required"),
        "{what}: {told}"
    );
    eprintln!("skipped: {what}: {told}");
    false
}

fn run(command: &mut Command) {
    let store = store();
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .env("WRITER_URL", &store.door.url)
        .env("WRITER_USER", &store.door.user)
        .env("WRITER_KEY", &store.door.key)
        .env("READER_URL", &store.reader_url)
        .output()
        .unwrap();
    let (out, errors) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    println!("{out}");
    assert!(status.success(), "{out}\n{errors}");
}

#[test]
fn clickhouse_connect_writes_at_one_door_and_reads_at_the_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python");
    let venv = target().join("clickhouse-connect");
    let python = venv.join("bin/python");
    let installed = python.exists()
        && Command::new(&python)
            .args(["-c", "import clickhouse_connect"])
            .output()
            .is_ok_and(|o| o.status.success());
    let ready = installed
        || (prepared(
            "python venv",
            Command::new("python3").args(["-m", "venv"]).arg(&venv),
        ) && prepared(
            "pip",
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "-r"])
                .arg(folder.join("requirements.txt")),
        ));
    if ready {
        run(Command::new(&python).arg(folder.join("client.py")));
    }
}

#[test]
fn clickhouse_go_writes_at_one_door_and_reads_at_the_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/go");
    let program = target().join("clickhouse-go-client");
    if prepared(
        "go build",
        Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(&folder),
    ) {
        run(&mut Command::new(&program));
    }
}
