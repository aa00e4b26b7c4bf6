//! `lapwing check`: says whether the configuration can be used. Nothing is bound or connected to.

use std::path::Path;

use super::{Failure, say};

/// Prints the warnings of a configuration that is valid; one that is not never comes here.
pub(super) fn run(file: Option<&Path>, warnings: &[String]) -> Result<(), Failure> {
    warnings
        .iter()
        .for_each(|warning| say(&format!("warning: {warning}")));
    let name = file.map_or("the configuration".to_owned(), |file| {
        file.display().to_string()
    });
    say(&format!("{name} is valid"));
    Ok(())
}
