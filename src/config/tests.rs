use std::io::Write;

use super::*;

fn load(text: &str, variables: &[(&str, &str)]) -> Result<(Config, Vec<String>), Report> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let variables = variables
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Config::load(&Sources {
        file: Some(file.path()),
        variables,
    })
    .map_err(|report| Report {
        file: Some(PathBuf::from("lapwing.yaml")),
        ..report
    })
}

#[test]
fn without_a_file_everything_listens_on_localhost() {
    let variables = vec![("HOME".to_owned(), "/home/ann".to_owned())];
    let (config, warnings) = Config::load(&Sources {
        file: None,
        variables,
    })
    .unwrap();
    assert_eq!(config.grpc.listen.to_string(), "127.0.0.1:4317");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:4318");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:4319");
    assert!(matches!(config.storage, Storage::Embedded { listen, .. } if listen.port() == 8123));
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn the_reference_and_the_sample_say_what_the_program_does() {
    let reference = include_str!("../../docs/configuration.md");
    assert!(
        reference.ends_with(&keys::reference()),
        "run `lapwing print-config --reference`"
    );
    let sample = include_str!("../../deploy/lapwing.yaml");
    let (config, warnings) = load(sample, &[]).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(warnings, Vec::<String>::new());
    for (path, default) in layers::defaults() {
        assert_eq!(config.settings[&path].text, default.text, "{path}");
    }
}

#[test]
fn every_default_is_valid() {
    for key in keys::KEYS.iter() {
        if let Some(default) = key.default.filter(|d| !d.is_empty()) {
            assert_eq!(key.kind.check(default), Ok(()), "{}", key.path);
        }
    }
}

#[test]
fn all_mistakes_are_told_at_once_with_place_and_remedy() {
    let text = "\
recievers:
  otlp: {}
receivers:
  otlp:
    gprc: {listen: 127.0.0.1:4317}
    http:
      listen: localhost
admin: {listen: 127.0.0.1:4317}
storage:
  mode: sever
  batch: 5
journal: {max_bytes: lots, durability: disk, durability: os}
alerts:
  routes: [{match: {severity: page}, receiver: oncall}]
telemetry: {otlp_endpoint: '${env:NOWHERE}'}
";
    let report = load(text, &[("LAPWING_CONTENT_IN_TRACES", "maybe")]).unwrap_err();
    assert_eq!(
        report.to_string(),
        "\
lapwing.yaml: 11 mistakes
  lapwing.yaml:1:1: `recievers` is not a key, did you mean `receivers`?
  lapwing.yaml:5:5: `receivers.otlp.gprc` is not a key, did you mean `receivers.otlp.grpc`?
  lapwing.yaml:7:15: `receivers.otlp.http.listen` is \"localhost\": write an address as 127.0.0.1:4317, or :4317 for all interfaces
  lapwing.yaml:8:17: `admin.listen` is 127.0.0.1:4317: `receivers.otlp.grpc.listen` has the same port, give each its own
  lapwing.yaml:10:9: `storage.mode` is \"sever\": must be one of embedded, server, did you mean `server`?
  lapwing.yaml:11:10: `storage.batch` must have keys below it, not a value
  lapwing.yaml:12:22: `journal.max_bytes` is \"lots\": write a size as 64MiB, 8GiB or a number of bytes
  lapwing.yaml:12:46: `durability` is given twice, first in line 12: keep one
  lapwing.yaml:14:48: `alerts.routes.0.receiver` names \"oncall\" (route 0), which `alerts.receivers` does not have
  lapwing.yaml:15:28: environment variable NOWHERE is not set: set it, or write `${env:NOWHERE:-default}`
  $LAPWING_CONTENT_IN_TRACES: `content.in_traces` is \"maybe\": write true or false
"
    );
}

#[test]
fn variables_fill_the_file_and_override_it() {
    let text = "\
receivers: {otlp: {grpc: {listen: '127.0.0.1:${env:PORT:-4400}'}, http: {listen: ':${env:HTTP}'}}}
storage: {mode: server, clickhouse: {url: 'https://ch:8443', user: 'a$$b'}}
";
    let variables = [
        ("HTTP", "4500"),
        ("LAPWING_ADMIN_LISTEN", "127.0.0.1:4600"),
        ("LAPWING_STORAGE_CLICKHOUSE_DATABASE", "other"),
        ("LAPWING_ADMIN_LISTN", "x"),
    ];
    let (config, warnings) = load(text, &variables).unwrap();
    assert_eq!(config.grpc.listen.to_string(), "127.0.0.1:4400");
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:4500");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:4600");
    let Storage::Server(target) = &config.storage else {
        panic!("{:?}", config.storage)
    };
    assert_eq!(
        (target.database.as_str(), target.user.as_str()),
        ("other", "a$b")
    );
    assert!(
        warnings
            .iter()
            .any(|w| w.contains("did you mean LAPWING_ADMIN_LISTEN?")),
        "{warnings:?}"
    );
    assert!(
        warnings.iter().any(|w| w.contains("open to the network")),
        "{warnings:?}"
    );
}

#[test]
fn a_server_needs_an_address_and_a_secret_file_must_be_there() {
    let text = "storage: {mode: server, clickhouse: {password_file: /nowhere/secret}}";
    let report = load(text, &[]).unwrap_err().to_string();
    assert!(
        report.contains("`storage.clickhouse.url` is missing"),
        "{report}"
    );
    assert!(
        report.contains("1:53: `storage.clickhouse.password_file` cannot be read"),
        "{report}"
    );
}

#[test]
fn values_that_would_mean_something_else_are_refused() {
    for (text, want) in [
        ("telemetry: {log_level: inof}", "did you mean `info`?"),
        (
            "telemetry: {otlp_endpoint: 'http://localhost:4317'}",
            "this collector's own receiver",
        ),
        (
            "admin: {listen: ':9464'}\n---\njournal: {durability: memory}\n",
            "lapwing.yaml:2:1: a second document begins here",
        ),
        ("storage: {retention: {calls: 36h}}", "write whole days"),
        (
            "storage: {clickhouse: {url: 'ann:hunter2@ch'}}",
            "is no URL",
        ),
    ] {
        let report = load(text, &[]).unwrap_err().to_string();
        assert!(
            report.contains(want) && !report.contains("hunter2"),
            "{report}"
        );
    }
}

#[test]
fn the_short_name_of_the_log_level_is_checked_like_the_long_one() {
    let (config, _) = load("", &[("LAPWING_LOG", "lapwing=debug")]).unwrap();
    assert_eq!(config.log_level, "lapwing=debug");
    let report = load("", &[("LAPWING_LOG", "inof")])
        .unwrap_err()
        .to_string();
    assert!(report.contains("LAPWING_LOG"), "{report}");
}

#[test]
fn nothing_that_restricts_is_dropped_silently() {
    let tokens = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "receivers: {{otlp: {{auth: {{bearer_tokens_file: '{}'}}}}}}",
        tokens.path().display()
    );
    let report = load(&text, &[]).unwrap_err().to_string();
    assert!(report.contains("has no token"), "{report}");
    let text = "\
alerts:
  receivers: {oncall: {webhook: {url: 'https://hooks.example/x'}}}
  routes: [{match: {severity: [page, ticket]}, receiver: oncall}]
";
    let report = load(text, &[]).unwrap_err().to_string();
    assert!(report.contains("one plain text for each name"), "{report}");
}

#[test]
fn secrets_are_in_no_debug_text() {
    let text =
        "storage: {mode: server, clickhouse: {url: 'https://ann:hunter2@ch:1', password: hunter3}}";
    let (config, _) = load(text, &[]).unwrap();
    assert!(
        !format!("{:?}", config.settings).contains("hunter"),
        "{:?}",
        config.settings
    );
}

#[test]
fn what_is_printed_is_a_valid_file_without_secrets() {
    let text = "\
data_dir: /srv/lapwing
storage: {mode: server, clickhouse: {url: 'https://ann:hunter2@ch:8443', password: hunter3}}
alerts:
  receivers: {oncall: {webhook: {url: 'https://hooks.example/x'}}}
  routes: [{match: {severity: page}, receiver: oncall}, {match: {}, receiver: oncall}]
";
    let (config, _) = load(text, &[("LAPWING_ADMIN_LISTEN", ":4600")]).unwrap();
    let printed = print::effective(&config);
    assert!(
        !printed.contains("hunter") && !printed.contains("/x"),
        "{printed}"
    );
    assert!(printed.contains("# $LAPWING_ADMIN_LISTEN"), "{printed}");
    let (again, _) = load(&printed, &[]).unwrap_or_else(|report| panic!("{report}\n{printed}"));
    assert_eq!(again.admin.listen, config.admin.listen);
    assert_eq!(again.settings.len(), config.settings.len(), "{printed}");
}

#[test]
fn what_is_wrong_with_alerts_is_told_before_the_night() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hunter2\n").unwrap();
    let template = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(template.path(), r#"{"a": "{{ data.titel }}"}"#).unwrap();
    let text = format!(
        "\
alerts:
  receivers:
    two: {{slack: {{url: 'https://a.example'}}, teams: {{url: 'https://b.example'}}}}
    bare: {{slack: {{timeout: 5s}}}}
    weak: {{webhook: {{url: 'https://c.example', secret_file: '{secret}'}}}}
    mail: {{email: {{server: 'mail', from: 'a@b', to: [c@d]}}}}
    form: {{json: {{url: 'https://d.example', template_file: '{template}'}}}}
    pager: {{pagerduty: {{timeout: 5s}}}}
  routes:
    - {{match: {{severity: pager}}, receiver: two}}
    - {{match: {{colour: red}}, receiver: two}}
    - {{match: {{kind: quota_exhausted}}}}
  group_by: [provdier]
  maintenance: [{{name: n, days: [monday], from: '1:00', to: '2:00'}}, {{matchers: ['x'], from: '1:00', to: '2:00'}}]
  links: {{trace: 'https://t.example/'}}
",
        secret = secret.path().display(),
        template = template.path().display()
    );
    let report = load(&text, &[]).unwrap_err().to_string();
    for want in [
        "3:24: `alerts.receivers.two` is several receivers in one (slack, teams)",
        "4:29: `alerts.receivers.bare.slack` needs `url`",
        "`alerts.receivers.weak.webhook.secret_file` must hold whsec_",
        "`alerts.receivers.mail.email.server` must name host and port",
        "`alerts.receivers.form.json.template_file` names \"data.titel\"",
        "`alerts.receivers.pager.pagerduty` needs `routing_key_file`",
        "`alerts.routes.0.match.severity` is \"pager\": must be one of page, ticket, info",
        "`alerts.routes.1.match` asks for \"colour\"",
        "`alerts.routes.2` needs `receiver`",
        "`alerts.group_by` asks for \"provdier\"",
        "`alerts.maintenance.0.days` must be days as mon",
        "`alerts.maintenance.1.matchers` matcher \"x\"",
        "`alerts.links.trace` must have {trace_id}",
    ] {
        assert!(report.contains(want), "{want}\n{report}");
    }
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn alerts_of_every_kind_are_read_with_their_secrets() {
    let file = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    };
    let secret = file("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let url = file("https://hooks.slack.example/T0/hunter2\n");
    let key = file("hunter3\n");
    let text = format!(
        "\
alerts:
  receivers:
    a: {{webhook: {{url: 'https://a.example', secret_file: '{secret}', timeout: 3s}}}}
    b: {{slack: {{url_file: '{url}'}}}}
    c: {{pagerduty: {{routing_key_file: '{key}'}}}}
    d: {{alertmanager: {{url: 'http://am:9093', allow_private_addresses: true}}}}
    e: {{email: {{server: 'mail.example:25', tls: none, from: a@example.com, to: [b@example.com]}}}}
  routes: [{{match: {{severity: page, provider: openai}}, receiver: c}}, {{match: {{}}, receiver: a}}]
",
        secret = secret.path().display(),
        url = url.path().display(),
        key = key.path().display()
    );
    let (config, warnings) = load(&text, &[]).unwrap_or_else(|report| panic!("{report}"));
    let alerts = &config.alerts;
    let by: Vec<&str> = alerts.receivers.iter().map(|r| r.via.word()).collect();
    assert_eq!(
        by,
        ["webhook", "slack", "pagerduty", "alertmanager", "email"]
    );
    assert_eq!(alerts.receivers[0].timeout, Duration::from_secs(3));
    assert!(
        alerts.receivers[3].allow_private_addresses && !alerts.receivers[0].allow_private_addresses
    );
    assert_eq!(alerts.routes.len(), 2);
    assert_eq!(alerts.bases.runbook, "http://127.0.0.1:4319/runbook");
    assert!(
        warnings
            .iter()
            .any(|w| w.contains("`alerts.receivers.b` gets nothing")),
        "{warnings:?}"
    );
    let said = format!("{alerts:?}{}", print::effective(&config));
    assert!(
        !said.contains("hunter") && !said.contains("whsec"),
        "{said}"
    );
}

proptest::proptest! {
    #[test]
    fn any_file_is_read_without_panic(text in "[ -~\n]{0,200}") {
        _ = load(&text, &[]);
    }
}

#[test]
fn a_map_can_be_set_by_a_variable_and_headers_are_shown_to_nobody() {
    let text = "forward: {otlp: {endpoint: 'https://otel:4317', protocol: http/protobuf}}";
    let headers = "authorization=Bearer abc=, x-scope-orgid=shop";
    let variables = [("LAPWING_FORWARD_OTLP_HEADERS", headers)];
    let (config, _) = load(text, &variables).unwrap();
    let forward = config.forward.as_ref().expect("a target");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        forward.headers,
        [
            pair("authorization", "Bearer abc="),
            pair("x-scope-orgid", "shop")
        ]
    );
    let shown = print::effective(&config);
    assert!(
        shown.contains("authorization") && !shown.contains("abc"),
        "{shown}"
    );
}

#[test]
fn what_would_come_back_or_be_lost_is_not_passed_on() {
    let own = load("forward: {otlp: {endpoint: 'http://localhost:4318'}}", &[]);
    let own = own.expect_err("a circle").to_string();
    assert!(own.contains("receivers.otlp.http.listen"), "{own}");
    let text = "forward: {otlp: {endpoint: 'http://otel:4317'}}\njournal: {durability: memory}\n";
    let memory = load(text, &[]).expect_err("no journal on disk").to_string();
    assert!(memory.contains("journal.durability"), "{memory}");
}
