//! A newcomer's path: the README's own lines, run as they stand there.

use std::{fs, path::Path, process::Command, time::Duration};

use crate::support::{
    lapwing::http_status,
    process::Process,
    wait::{free_addresses, until},
};

const MARK: &str = "<!-- newcomer:";
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// Longest that the path may be, in commands.
const COMMANDS_MAX: usize = 5;
const ALERT_TIME_MAX: Duration = Duration::from_secs(60);
/// The live part of the demonstration: its second half has no quota left, and of that it takes some
/// twenty seconds to convince.
const MINUTES: &str = "0.8";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines of the block after the mark.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let (_, after) = readme.split_once(MARK).expect("the mark");
    let (_, block) = after.split_once("```sh\n").expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    block.lines().map(str::to_owned).collect()
}

/// What the path has brought up and sent.
struct Walked {
    /// Kept until the processes in it are gone.
    _dir: tempfile::TempDir,
    shell: Process,
    /// What `lapwing query` prints for the collector that runs.
    classes: String,
}

/// Runs the lines but the first two, which clone and build what the test has already.
fn walk() -> Walked {
    let lines = commands();
    assert!(lines.len() <= COMMANDS_MAX, "{lines:#?}");
    assert!(lines[0].starts_with("git clone "), "{lines:#?}");
    let makefile = fs::read_to_string(root().join("Makefile")).expect("the Makefile");
    let target = lines[1].strip_prefix("make ").expect("a build by make");
    assert!(makefile.contains(&format!("\n{target}:")), "{target}");

    let program = env!("CARGO_BIN_EXE_lapwing");
    let [grpc, http, admin, clickhouse] = free_addresses();
    let [receiver, ..] = free_addresses::<1>();
    let dir = tempfile::tempdir().expect("a directory");
    let script = lines[2..]
        .join("\n")
        .replace("target/release/lapwing", program);
    // In a terminal a person sees that the collector is up before typing the next line.
    let ready = format!("until {program} health 2>/dev/null; do sleep 0.2; done");
    let (before, demo) = script.rsplit_once('\n').expect("several lines");
    // The shell's children end with it; a signal must not end it before it has ended them.
    let script = format!(
        "trap : TERM\ntrap 'kill $(jobs -p)' EXIT\nset -e\n{before}\n{ready}\n{demo}\necho the path ends here\nread end\n"
    );
    let variables = [
        ("LAPWING_RECEIVERS_OTLP_GRPC_LISTEN", grpc.to_string()),
        ("LAPWING_RECEIVERS_OTLP_HTTP_LISTEN", http.to_string()),
        ("LAPWING_ADMIN_LISTEN", admin.to_string()),
        ("LAPWING_STORAGE_EMBEDDED_LISTEN", clickhouse.to_string()),
        (
            "LAPWING_DATA_DIR",
            dir.path().join("data").display().to_string(),
        ),
        ("LAPWING_DEMO_MINUTES", MINUTES.to_owned()),
        ("LAPWING_DEMO_HISTORY", "5".to_owned()),
        ("RECEIVER_PORT", receiver.port().to_string()),
    ];
    let mut command = Command::new("bash");
    command
        .arg("-c")
        .arg(script)
        .current_dir(root())
        .envs(variables.clone());
    let mut shell = Process::start("newcomer", &mut command, dir.path());
    until(
        "the end of the path",
        START_TIME_MAX + Duration::from_secs(120),
        || {
            if let Some(status) = shell.ended() {
                panic!("the path broke off with {status}: {}", shell.log());
            }
            match shell.log().contains("the path ends here") {
                true => Ok(()),
                false => Err(format!("/readyz: {:?}", http_status(admin, "/readyz"))),
            }
        },
    );
    let classes = Command::new(program)
        .args([
            "query",
            "SELECT DISTINCT failure_class FROM llm_calls FORMAT TSV",
        ])
        .envs(variables)
        .output()
        .expect("an answer");
    let classes = String::from_utf8_lossy(&classes.stdout).into_owned();
    Walked {
        _dir: dir,
        shell,
        classes,
    }
}

#[test]
fn five_commands_lead_from_a_clone_to_classified_incidents_and_to_an_alert() {
    let walked = walk();
    for class in [
        "llm.rate_limit.tokens",
        "llm.billing.quota_exhausted",
        "llm.output.empty",
    ] {
        assert!(
            walked.classes.contains(class),
            "{class}: {}",
            walked.classes
        );
    }
    let log = walked.shell.log();
    assert!(log.contains("What you should find"), "{log}");
    assert!(log.contains("waiting for alerts"), "{log}");
    // The receiver prints one line for each alert.
    until("the alert at the receiver", ALERT_TIME_MAX, || {
        let log = walked.shell.log();
        let told = |line: &str| {
            line.starts_with("alert.firing: [page] openai") && line.contains("quota exhausted")
        };
        match log.lines().any(told) {
            true => Ok(()),
            false => Err(log),
        }
    });
}
