//! What happens in the demonstration: which calls there are at a moment, and how they end.
//!
//! Pure: a call is a function of its number, its time and how far the live part has come. The
//! incidents are a table.

/// Something that goes wrong between two moments of the live part (0 to 1).
#[derive(Debug, Clone, Copy)]
pub struct Incident {
    pub from: f64,
    pub to: f64,
    /// Short, beside the progress bar.
    pub name: &'static str,
    /// Told when it begins.
    pub what: &'static str,
}

const LIMIT: Incident = Incident {
    from: 0.05,
    to: 0.45,
    name: "token rate limit on gpt-4o",
    what: "429s on gpt-4o: the token limit per minute. Ours, and waiting clears it",
};
const DRIFT: Incident = Incident {
    from: 0.20,
    to: 1.0,
    name: "gpt-4o is another model",
    what: "gpt-4o is answered by gpt-4o-2024-11-20 now; nobody deployed anything",
};
const EMPTY: Incident = Incident {
    from: 0.25,
    to: 0.70,
    name: "empty answers of gemini-2.5-flash",
    what: "gemini-2.5-flash answers 200 with nothing in it",
};
const RUNAWAY: Incident = Incident {
    from: 0.35,
    to: 1.0,
    name: "tenant globex runs away",
    what: "tenant globex sends long prompts again and again",
};
const QUOTA: Incident = Incident {
    from: 0.50,
    to: 1.0,
    name: "the quota of openai is used up",
    what: "429s on everything of openai: the quota is used up. Waiting does not clear it",
};

/// In the order in which they begin.
pub const INCIDENTS: [Incident; 5] = [LIMIT, DRIFT, EMPTY, RUNAWAY, QUOTA];

/// Parts in a thousand of calm calls that fail in each of the usual ways.
const USUAL: [(u64, Outcome); 6] = [
    (4, Outcome::RateLimit),
    (7, Outcome::Overloaded),
    (9, Outcome::Timeout),
    (12, Outcome::Truncated),
    (13, Outcome::ContextLength),
    (14, Outcome::Refused),
];

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Good,
    RateLimit,
    TokenLimit,
    Quota,
    Overloaded,
    Timeout,
    ContextLength,
    Truncated,
    Refused,
    Empty,
}

/// A model as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    pub provider: &'static str,
    pub asked: &'static str,
    pub answered: &'static str,
}

const GPT_4O: usize = 0;
const GEMINI: usize = 3;
const MODELS: [Model; 4] = [
    Model {
        provider: "openai",
        asked: "gpt-4o",
        answered: "gpt-4o-2024-08-06",
    },
    Model {
        provider: "openai",
        asked: "gpt-4o-mini",
        answered: "gpt-4o-mini-2024-07-18",
    },
    Model {
        provider: "anthropic",
        asked: "claude-sonnet-4-5",
        answered: "claude-sonnet-4-5-20250929",
    },
    Model {
        provider: "gcp.gemini",
        asked: "gemini-2.5-flash",
        answered: "gemini-2.5-flash",
    },
];
/// What gpt-4o is after the drift.
const DRIFTED: &str = "gpt-4o-2024-11-20";
const SERVICES: [(&str, &str); 3] = [
    ("shop", "checkout-help"),
    ("search", "rewrite-query"),
    ("support-bot", "triage"),
];

const NS_PER_MS: u64 = 1_000_000;

/// One call to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Different for each call; the ids are made from it.
    pub id: u64,
    pub start_ns: u64,
    pub duration_ms: u64,
    pub ttft_ms: u64,
    pub model: Model,
    pub fingerprint: &'static str,
    pub outcome: Outcome,
    pub service: &'static str,
    pub feature: &'static str,
    pub tenant: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// A run of the demonstration.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    seed: u64,
}

/// What is going on at a moment of the live part, for the progress bar.
pub fn under_way(progress: f64) -> &'static str {
    let on = INCIDENTS.iter().rev().find(|i| i.is_on(progress));
    on.map_or("all is calm", |incident| incident.name)
}

// === impl Incident ===

impl Incident {
    fn is_on(&self, progress: f64) -> bool {
        (self.from..self.to).contains(&progress)
    }
}

// === impl Scenario ===

impl Scenario {
    pub fn new(seed: u64) -> Scenario {
        Scenario { seed }
    }

    /// The calls of one turn: usually one; a tenant that runs away makes three more.
    ///
    /// They are over at `end_ns`: nobody sends a call before that.
    pub fn calls(&self, number: u64, end_ns: u64, progress: f64) -> Vec<Call> {
        let more = if RUNAWAY.is_on(progress) { 3 } else { 0 };
        let call = |turn| self.call(number, turn, end_ns, progress);
        (0..=more).map(call).collect()
    }

    fn call(&self, number: u64, turn: u64, end_ns: u64, progress: f64) -> Call {
        let id = mixed(self.seed ^ mixed(number * 4 + turn));
        let dice = |salt: u64, sides: u64| mixed(id ^ salt) % sides;
        let runaway = turn > 0;
        let which = [GPT_4O, GPT_4O, 1, 2, GEMINI][dice(1, 5) as usize % 5];
        let mut model = MODELS.get(which).copied().unwrap_or(MODELS[GPT_4O]);
        let drifted = which == GPT_4O && progress >= DRIFT.from;
        if drifted {
            model.answered = DRIFTED;
        }
        let outcome = self.outcome(which, model, progress, &dice);
        let (service, feature) = match runaway {
            true => ("batch-summaries", "summary"),
            false => SERVICES[dice(2, 3) as usize % SERVICES.len()],
        };
        let answered = matches!(
            outcome,
            Outcome::Good | Outcome::Truncated | Outcome::Refused | Outcome::Empty
        );
        let duration_ms = match (answered, outcome) {
            (true, _) => 500 + dice(3, 1500) + dice(4, 1500),
            (false, Outcome::Timeout) => 30_000,
            (false, _) => 80 + dice(3, 120),
        };
        Call {
            id,
            start_ns: end_ns.saturating_sub(duration_ms * NS_PER_MS),
            duration_ms,
            ttft_ms: 150 + dice(5, 300),
            model,
            fingerprint: match (which == GPT_4O, drifted) {
                (true, false) => "fp_5d58a6052a",
                (true, true) => "fp_a288987b44",
                (false, _) => "",
            },
            outcome,
            service,
            feature,
            tenant: match runaway {
                true => "globex".to_owned(),
                false => format!("tenant-{}", 1 + dice(6, 12)),
            },
            input_tokens: match runaway {
                true => 12_000 + dice(7, 8_000),
                false => 200 + dice(7, 1_800),
            },
            output_tokens: match outcome {
                Outcome::Empty => 0,
                Outcome::Truncated => 256,
                _ => 40 + dice(8, 400),
            },
        }
    }

    fn outcome(
        &self,
        which: usize,
        model: Model,
        progress: f64,
        dice: &dyn Fn(u64, u64) -> u64,
    ) -> Outcome {
        let luck = dice(9, 100);
        if QUOTA.is_on(progress) && model.provider == "openai" && luck < 95 {
            return Outcome::Quota;
        }
        if LIMIT.is_on(progress) && which == GPT_4O && luck < 60 {
            return Outcome::TokenLimit;
        }
        if EMPTY.is_on(progress) && which == GEMINI && luck < 45 {
            return Outcome::Empty;
        }
        let luck = dice(10, 1000);
        let usual = USUAL.iter().find(|(below, _)| luck < *below);
        usual.map_or(Outcome::Good, |(_, outcome)| *outcome)
    }
}

/// SplitMix64's mixing: enough for a demonstration.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(progress: f64, of: impl Fn(&Call) -> bool, that: impl Fn(&Call) -> bool) -> f64 {
        let scenario = Scenario::new(7);
        let calls: Vec<_> = (0..4000)
            .flat_map(|n| scenario.calls(n, 0, progress))
            .collect();
        let all: Vec<_> = calls.iter().filter(|c| of(c)).collect();
        all.iter().filter(|c| that(c)).count() as f64 / all.len() as f64
    }

    #[test]
    fn calm_calls_hardly_fail_and_incidents_show() {
        let asked = |model: &'static str| move |c: &Call| c.model.asked == model;
        let ends = |outcome| move |c: &Call| c.outcome == outcome;
        assert!(share(0.0, |_| true, ends(Outcome::Good)) > 0.97);
        assert!(share(0.3, asked("gpt-4o"), ends(Outcome::TokenLimit)) > 0.5);
        assert!(share(0.6, asked("gemini-2.5-flash"), ends(Outcome::Empty)) > 0.35);
        assert!(share(0.9, asked("gpt-4o-mini"), ends(Outcome::Quota)) > 0.9);
        assert!(share(0.7, |_| true, |c| c.tenant == "globex") > 0.7);
        let drifted = |c: &Call| c.model.answered == DRIFTED;
        assert_eq!(share(0.1, asked("gpt-4o"), drifted), 0.0);
        assert_eq!(share(0.5, asked("gpt-4o"), drifted), 1.0);
    }

    #[test]
    fn no_two_calls_have_one_id() {
        let scenario = Scenario::new(7);
        let ids = (0..4000)
            .flat_map(|n| scenario.calls(n, 0, 0.7))
            .map(|c| c.id);
        let ids: std::collections::HashSet<_> = ids.collect();
        assert_eq!(ids.len(), 16_000);
    }
}
