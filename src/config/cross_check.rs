//! What is wrong only together: values that are good by themselves and contradict each other.

use super::{Config, Origin, Problem, Storage, alerts, layers::Settings};

/// Adds what is wrong, and what is allowed and dangerous.
pub(super) fn cross_check(
    config: &Config,
    settings: &Settings,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) {
    let mut listeners = vec![
        ("receivers.otlp.grpc.listen", config.grpc.listen),
        ("receivers.otlp.http.listen", config.http.listen),
        ("admin.listen", config.admin.listen),
    ];
    if let Storage::Embedded { listen, .. } = &config.storage {
        listeners.push(("storage.embedded.listen", *listen));
    }
    for (n, (key, address)) in listeners.iter().enumerate() {
        let taken = listeners[..n]
            .iter()
            .find(|(_, other)| address.port() != 0 && other.port() == address.port());
        if let Some((other, _)) = taken {
            problems.push(Problem {
                origin: settings
                    .get(*key)
                    .map_or(Origin::Default, |s| s.origin.clone()),
                key: (*key).to_owned(),
                text: format!("is {address}: `{other}` has the same port, give each its own"),
            });
        }
        let open = !address.ip().is_loopback();
        if open && key.starts_with("receivers") && config.bearer_tokens.is_empty() {
            warnings.push(format!(
                "`{key}` is {address}, open to the network without `receivers.otlp.auth.bearer_tokens_file`"
            ));
        }
    }
    if let Storage::Embedded { listen, .. } = &config.storage
        && !listen.ip().is_loopback()
    {
        warnings.push(format!(
            "`storage.embedded.listen` is {listen}, open to the network: whoever reaches it reads every call and its content"
        ));
    }
    if let Some(problem) = own_traces_to_itself(config, settings) {
        problems.push(problem);
    }
    for (path, setting) in settings {
        let Some(receiver) = path
            .strip_prefix("alerts.routes.")
            .and_then(|p| p.strip_suffix(".receiver"))
        else {
            continue;
        };
        let wanted = format!("alerts.receivers.{}.", setting.text);
        if !settings.keys().any(|key| key.starts_with(&wanted)) {
            problems.push(Problem {
                origin: setting.origin.clone(),
                key: path.clone(),
                text: format!(
                    "names {:?} (route {receiver}), which `alerts.receivers` does not have",
                    setting.text
                ),
            });
        }
    }
    alerts::warnings(&config.alerts, warnings);
    if settings.contains_key("storage.clickhouse.password") {
        warnings.push(
            "`storage.clickhouse.password` stands in the open: use `password_file`".to_owned(),
        );
    }
}

/// Own traces that come in again would make traces of themselves.
fn own_traces_to_itself(config: &Config, settings: &Settings) -> Option<Problem> {
    let key = "telemetry.otlp_endpoint";
    let endpoint = config.telemetry_otlp_endpoint.as_ref()?;
    let url = reqwest::Url::parse(endpoint).ok()?;
    let is_here = match url.host_str()?.trim_matches(['[', ']']) {
        "localhost" => true,
        host => host.parse().is_ok_and(|ip: std::net::IpAddr| {
            ip.is_loopback() || ip.is_unspecified() || ip == config.grpc.listen.ip()
        }),
    };
    let ports = [config.grpc.listen.port(), config.http.listen.port()];
    let own = is_here && ports.contains(&url.port_or_known_default()?);
    own.then(|| Problem {
        origin: settings
            .get(key)
            .map_or(Origin::Default, |s| s.origin.clone()),
        key: key.to_owned(),
        text: format!("is {endpoint}, this collector's own receiver: send its traces elsewhere"),
    })
}
