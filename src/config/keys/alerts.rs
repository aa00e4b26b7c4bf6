//! The keys of alerts: receivers, routes, times and links.

use super::{Key, Kind::*, key, unset};

/// In the order of the documentation.
pub(super) const ALERTS: &[Key] = &[
    unset(
        "alerts.receivers.*.webhook.url",
        Url,
        "Where alerts are posted",
    ),
    unset(
        "alerts.receivers.*.webhook.url_file",
        SecretFile,
        "File with the URL, which is a secret of its own",
    ),
    unset(
        "alerts.receivers.*.webhook.secret_file",
        SecretFile,
        "File with the signing secret (whsec_...); with several lines each signs, for rotation",
    ),
    key(
        "alerts.receivers.*.webhook.timeout",
        Duration,
        "15s",
        "For one attempt",
    ),
    key(
        "alerts.receivers.*.webhook.allow_private_addresses",
        Boolean,
        "false",
        "Allow a receiver on this machine or network",
    ),
    unset(
        "alerts.receivers.*.alertmanager_webhook.url",
        Url,
        "Whoever takes the webhooks of an Alertmanager (version 4)",
    ),
    unset(
        "alerts.receivers.*.alertmanager_webhook.bearer_token_file",
        SecretFile,
        "File with a token for the Authorization header",
    ),
    key(
        "alerts.receivers.*.alertmanager_webhook.timeout",
        Duration,
        "15s",
        "For one attempt",
    ),
    key(
        "alerts.receivers.*.alertmanager_webhook.allow_private_addresses",
        Boolean,
        "false",
        "Allow a receiver on this machine or network",
    ),
    unset(
        "alerts.receivers.*.alertmanager.url",
        Url,
        "An Alertmanager, such as http://alertmanager:9093",
    ),
    unset(
        "alerts.receivers.*.alertmanager.bearer_token_file",
        SecretFile,
        "File with a token for the Authorization header",
    ),
    key(
        "alerts.receivers.*.alertmanager.timeout",
        Duration,
        "15s",
        "For one attempt",
    ),
    key(
        "alerts.receivers.*.alertmanager.allow_private_addresses",
        Boolean,
        "false",
        "Allow a receiver on this machine or network",
    ),
    unset(
        "alerts.receivers.*.slack.url",
        Url,
        "Incoming webhook of Slack",
    ),
    unset(
        "alerts.receivers.*.slack.url_file",
        SecretFile,
        "File with the URL, which is a secret of its own",
    ),
    key(
        "alerts.receivers.*.slack.timeout",
        Duration,
        "15s",
        "For one attempt",
    ),
    key(
        "alerts.receivers.*.slack.allow_private_addresses",
        Boolean,
        "false",
        "Allow a receiver on this machine or network",
    ),
    unset(
        "alerts.receivers.*.pagerduty.routing_key_file",
        SecretFile,
        "File with the integration key of Events v2",
    ),
    key(
        "alerts.receivers.*.pagerduty.url",
        Url,
        "https://events.pagerduty.com/v2/enqueue",
        "Events API",
    ),
    key(
        "alerts.receivers.*.pagerduty.timeout",
        Duration,
        "15s",
        "For one attempt",
    ),
    key(
        "alerts.receivers.*.pagerduty.allow_private_addresses",
        Boolean,
        "false",
        "Allow a receiver on this machine or network",
    ),
    unset(
        "alerts.receivers.*.teams.url",
        Url,
        "Workflow of Microsoft Teams that posts a card",
    ),
    unset(
        "alerts.receivers.*.teams.url_file",
        SecretFile,
        "File with the URL, which is a secret of its own",
    ),
    key(
        "alerts.receivers.*.teams.timeout",
        Duration,
        "15s",
        "For one attempt",
    ),
    key(
        "alerts.receivers.*.teams.allow_private_addresses",
        Boolean,
        "false",
        "Allow a receiver on this machine or network",
    ),
    unset(
        "alerts.receivers.*.json.url",
        Url,
        "Where a JSON document of yours is posted",
    ),
    unset(
        "alerts.receivers.*.json.url_file",
        SecretFile,
        "File with the URL, which is a secret of its own",
    ),
    unset(
        "alerts.receivers.*.json.template_file",
        Path,
        "The document; {{ data.title }} and the like are filled in",
    ),
    unset(
        "alerts.receivers.*.json.bearer_token_file",
        SecretFile,
        "File with a token for the Authorization header",
    ),
    key(
        "alerts.receivers.*.json.timeout",
        Duration,
        "15s",
        "For one attempt",
    ),
    key(
        "alerts.receivers.*.json.allow_private_addresses",
        Boolean,
        "false",
        "Allow a receiver on this machine or network",
    ),
    unset(
        "alerts.receivers.*.email.server",
        Text,
        "Mail server, such as smtp.example.com:587",
    ),
    key(
        "alerts.receivers.*.email.tls",
        OneOf(&["starttls", "implicit", "none"]),
        "starttls",
        "How the way to it is secured",
    ),
    unset(
        "alerts.receivers.*.email.user",
        Text,
        "Name to log in with; none by default",
    ),
    unset(
        "alerts.receivers.*.email.password_file",
        SecretFile,
        "File with the password",
    ),
    unset(
        "alerts.receivers.*.email.from",
        Text,
        "Address of the sender",
    ),
    unset(
        "alerts.receivers.*.email.to",
        Texts,
        "Addresses of the recipients",
    ),
    key(
        "alerts.receivers.*.email.timeout",
        Duration,
        "15s",
        "For one attempt",
    ),
    key(
        "alerts.receivers.*.email.allow_private_addresses",
        Boolean,
        "false",
        "Allow a receiver on this machine or network",
    ),
    unset(
        "alerts.routes[].match",
        TextMap,
        "Labels an alert must have; {} = all alerts",
    ),
    unset("alerts.routes[].receiver", Text, "Name of the receiver"),
    unset(
        "alerts.group_by",
        Texts,
        "Labels whose alerts become one message where a receiver takes several; kind and provider by default",
    ),
    key(
        "alerts.group_wait",
        Duration,
        "5s",
        "How long a new alert waits for its cause and for company; what is a cause itself (quota, key, outage) does not wait",
    ),
    key(
        "alerts.update_interval",
        Duration,
        "5m",
        "The least time between two updates of an alert; a higher severity goes out at once",
    ),
    key(
        "alerts.repeat_interval",
        Duration,
        "4h",
        "How often an alert that goes on and that nobody acknowledged is repeated",
    ),
    key(
        "alerts.flapping.openings",
        Count,
        "3",
        "Times that an alert may come back within the window and still be told at once",
    ),
    key("alerts.flapping.window", Duration, "1h", "The window"),
    key(
        "alerts.flapping.hold",
        Duration,
        "15m",
        "How long one that came back more often must stay before it is told",
    ),
    key(
        "alerts.delivery.retry_min",
        Duration,
        "5s",
        "Before a failed delivery is tried again; doubles each time",
    ),
    key(
        "alerts.delivery.retry_max",
        Duration,
        "1h",
        "The longest pause between two attempts",
    ),
    key(
        "alerts.delivery.give_up_after",
        Duration,
        "72h",
        "After this a message is a dead letter, kept and replayable",
    ),
    unset("alerts.silences_file", Path, "TOML file with silences"),
    unset(
        "alerts.runbooks_file",
        Path,
        "TOML file with runbook texts of yours, which replace the built-in ones",
    ),
    unset(
        "alerts.maintenance[].name",
        Text,
        "Name of a weekly window in which alerts are not sent",
    ),
    unset(
        "alerts.maintenance[].matchers",
        Texts,
        "Which ones; all by default",
    ),
    unset(
        "alerts.maintenance[].days",
        Texts,
        "mon to sun; every day by default",
    ),
    unset("alerts.maintenance[].from", Text, "Begin, such as 22:00"),
    unset("alerts.maintenance[].to", Text, "End, such as 02:00"),
    unset(
        "alerts.maintenance[].timezone",
        Text,
        "Such as Europe/Berlin; UTC by default",
    ),
    unset(
        "alerts.links.dashboard",
        Url,
        "Dashboard, such as https://grafana/d/lapwing-calls; time range and variables are appended",
    ),
    unset(
        "alerts.links.trace",
        Url,
        "Trace view, with {trace_id} in it",
    ),
    unset(
        "alerts.links.runbook",
        Url,
        "Runbook pages; the entry is appended as #kind-... or #class-.... Default: /runbook of the admin port",
    ),
    unset(
        "alerts.links.admin",
        Url,
        "The admin port as people reach it. Default: its address",
    ),
];
