//! The keys of `detection`: how much evidence an alert needs, and limits of the user's own.

use serde::Deserialize;

use super::Reader;
use crate::detect::{Budget, DetectorConfig, Kind, Override, Sensitivity, StaticRule};

/// The file of `detection.rules_file`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RulesFile {
    rules: Vec<StaticRule>,
    budgets: Vec<Budget>,
    overrides: Vec<Override>,
}

impl Reader<'_> {
    pub(super) fn detection(&mut self) -> DetectorConfig {
        let file = self.detection_rules();
        DetectorConfig {
            sensitivity: match self.text("detection.sensitivity") {
                "low" => Sensitivity::Low,
                "high" => Sensitivity::High,
                _ => Sensitivity::Medium,
            },
            disabled: self.kinds("detection.disabled"),
            approved_models: self.items("detection.approved_models"),
            deprecated_models: self.items("detection.deprecated_models"),
            rules: file.rules,
            budgets: file.budgets,
            overrides: file.overrides,
            ..DetectorConfig::default()
        }
    }

    fn kinds(&mut self, key: &str) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for name in self.items(key) {
            match name.parse() {
                Ok(kind) => kinds.push(kind),
                Err(_) => {
                    let all: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
                    let text = format!(
                        "has {name:?}, which is no kind of alert; there are {}",
                        all.join(", ")
                    );
                    self.wrong(key, text);
                }
            }
        }
        kinds
    }

    fn detection_rules(&mut self) -> RulesFile {
        const KEY: &str = "detection.rules_file";
        let Some(path) = self.path(KEY) else {
            return RulesFile::default();
        };
        let read = std::fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| toml::from_str(&text).map_err(|error| error.to_string()));
        read.unwrap_or_else(|problem| {
            self.wrong(KEY, format!("cannot use {}: {problem}", path.display()));
            RulesFile::default()
        })
    }
}
