//! `lapwing doctor`: "my calls don't show up".
//!
//! Goes the way of a call, from the configuration to the row, with what a person could look at by
//! hand, and says for each thing that is not right what to do. Looks, and changes nothing but for
//! one span of its own ([`probe`]). Exit code 0 when nothing is wrong, 1 when something is.

mod admin;
mod disk;
mod findings;
mod probe;
mod receivers;
mod store;

use self::findings::Findings;
use super::{Failure, print};
use crate::config::Config;

/// What to look at.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Send no span of its own
    #[arg(long)]
    no_probe: bool,
}

/// Looks at everything, prints what was found; an error when something is wrong.
pub(super) async fn run(
    config: &Config,
    warnings: &[String],
    options: &Options,
) -> Result<(), Failure> {
    let mut findings = Findings::default();
    findings.good("configuration", "valid");
    for warning in warnings {
        findings.doubt("configuration", warning, "");
    }
    recognition(config, &mut findings);
    let metrics = admin::look(config, &mut findings).await;
    let receivers = receivers::look(config, &mut findings).await;
    disk::look(config, metrics.is_some(), &mut findings);
    let store = store::look(config, &mut findings).await;
    if let Some(store) = &store {
        store::spans(store, &mut findings).await;
    }
    match (store, receivers) {
        _ if options.no_probe => {}
        (Some(store), true) => probe::send(config, &store, &mut findings).await,
        _ => findings.doubt(
            "probe",
            "not sent: a receiver or the store is not there",
            "repair what is above, then run `lapwing doctor` again",
        ),
    }
    print(&findings.text())?;
    match findings.wrong() {
        0 => Ok(()),
        n => Err(anyhow::anyhow!("{n} thing(s) to repair, see above").into()),
    }
}

/// Are the rules such that a plain call is recognised? No collector is needed for that.
fn recognition(config: &Config, findings: &mut Findings) {
    const ABOUT: &str = "rules";
    let knowledge = match super::knowledge::load(config) {
        Ok(knowledge) => knowledge,
        Err(error) => {
            let files = "`rules.attributes_file`, `rules.failures_file`, `rules.prices_file`";
            let todo = format!("repair or remove the file in {files}");
            return findings.wrong_because(ABOUT, &format!("{error:#}"), &todo);
        }
    };
    let arena = bumpalo::Bump::new();
    let body = probe::call();
    let recognised = crate::decode::traces(&body, &arena)
        .map(|request| {
            let observed =
                crate::normalise::memory::observe_all(&knowledge.attributes, &request, &arena);
            observed.spans.iter().any(Option::is_some)
        })
        .unwrap_or(false);
    match recognised {
        true => findings.good(ABOUT, "a plain call is recognised"),
        false => findings.wrong_because(
            ABOUT,
            "a plain call of the `gen_ai` convention is not recognised",
            "look at `rules.attributes_file`: it is tried before the built-in names",
        ),
    }
}
