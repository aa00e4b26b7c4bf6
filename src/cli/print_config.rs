//! `lapwing print-config`: the configuration in force, as YAML that can be used again.

use std::path::Path;

use super::{Failure, load, print, say};
use crate::config;

/// Prints the configuration, or the reference of all keys.
pub(super) fn run(file: Option<&Path>, reference: bool) -> Result<(), Failure> {
    if reference {
        return print(&config::keys::reference());
    }
    let (config, warnings) = load(file)?;
    warnings
        .iter()
        .for_each(|warning| say(&format!("warning: {warning}")));
    print(&config::print::effective(&config))
}
