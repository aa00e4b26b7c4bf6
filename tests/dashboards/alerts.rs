//! Grafana's own alert rules: what must hold of them, and each of them on the store.

use std::path::Path;

use serde_json::Value;

use super::{
    lint::{dashboards, list, text},
    macros::Look,
    store::Store,
};

fn rules() -> Vec<Value> {
    let path = "dashboards/provisioning/alerting/lapwing-rules.yaml";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let yaml = std::fs::read_to_string(path).expect("the rules");
    // A line of comment, then JSON, which is YAML.
    let (_, json) = yaml.split_once('\n').expect("two lines");
    let file: Value = serde_json::from_str(json).expect("JSON");
    let groups = list(&file["groups"]).iter();
    groups
        .flat_map(|group| list(&group["rules"]).to_vec())
        .collect()
}

#[test]
fn a_rule_can_be_provisioned() {
    let provisioned = include_str!("../../dashboards/provisioning/datasources.yaml");
    let shipped = dashboards();
    for rule in rules() {
        let uid = text(&rule["uid"]);
        assert!(!uid.is_empty() && uid.len() <= 40, "{uid}");
        for field in ["noDataState", "execErrState", "for", "condition"] {
            assert!(!text(&rule[field]).is_empty(), "{uid}: {field}");
        }
        assert!(!text(&rule["annotations"]["summary"]).is_empty(), "{uid}");
        let leads_to = &rule["annotations"]["__dashboardUid__"];
        assert!(shipped.iter().any(|d| d["uid"] == *leads_to), "{uid}");
        let source = text(&rule["data"][0]["datasourceUid"]);
        assert!(
            provisioned.contains(&format!("uid: {source}\n")),
            "{uid}: {source}"
        );
        assert!(
            text(&rule["data"][0]["model"]["rawSql"]).contains("$__timeFilter("),
            "{uid}"
        );
    }
}

#[tokio::test]
async fn each_rule_gives_one_number_and_the_incidents_fire_theirs() {
    let store = Store::seeded();
    let mut firing = Vec::new();
    for rule in rules() {
        let uid = text(&rule["uid"]).to_owned();
        let query = &rule["data"][0];
        let from = query["relativeTimeRange"]["from"]
            .as_u64()
            .expect("a range");
        let look = Look {
            from_s: store.to_s - from,
            to_s: store.to_s,
            interval_s: 60,
            variables: Vec::new(),
        };
        let sql = look
            .expand_alert(text(&query["model"]["rawSql"]))
            .expect("a statement");
        let answer = store
            .ask(&sql)
            .await
            .unwrap_or_else(|e| panic!("{uid}: {e}"));
        assert_eq!((answer.meta.len(), answer.data.len()), (1, 1), "{uid}");
        let value = answer.data[0][0]
            .as_f64()
            .unwrap_or_else(|| panic!("{uid}: {answer:?}"));
        let above = rule["data"][2]["model"]["conditions"][0]["evaluator"]["params"][0].as_f64();
        if value > above.expect("a threshold") {
            firing.push(uid);
        }
    }
    // The traffic ends with an exhausted quota; nothing stopped.
    assert!(
        firing.iter().any(|uid| uid == "lapwing-quota"),
        "{firing:?}"
    );
    assert!(
        !firing.iter().any(|uid| uid == "lapwing-silence"),
        "{firing:?}"
    );
}
