//! What was found, in the order of a call's way, and how it is shown.

use std::fmt::Write as _;

/// Everything found.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

#[derive(Debug)]
struct Finding {
    level: Level,
    about: &'static str,
    what: String,
    todo: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Good,
    /// May be as it should be.
    Doubt,
    Wrong,
}

impl Findings {
    pub fn good(&mut self, about: &'static str, what: &str) {
        self.push(Level::Good, about, what, "");
    }

    /// May be why nothing is seen, or as it should be; `todo` may be empty.
    pub fn doubt(&mut self, about: &'static str, what: &str, todo: &str) {
        self.push(Level::Doubt, about, what, todo);
    }

    pub fn wrong_because(&mut self, about: &'static str, what: &str, todo: &str) {
        self.push(Level::Wrong, about, what, todo);
    }

    /// How many are wrong.
    pub fn wrong(&self) -> usize {
        let wrong = self.0.iter().filter(|one| one.level == Level::Wrong);
        wrong.count()
    }

    /// A line for each, and below it what to do.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for one in &self.0 {
            let level = match one.level {
                Level::Good => "ok   ",
                Level::Doubt => "look ",
                Level::Wrong => "WRONG",
            };
            // Writing into a String cannot fail.
            _ = writeln!(text, "{level} {:14} {}", one.about, one.what);
            if !one.todo.is_empty() {
                _ = writeln!(text, "{:20} -> {}", "", one.todo);
            }
        }
        text
    }

    fn push(&mut self, level: Level, about: &'static str, what: &str, todo: &str) {
        self.0.push(Finding {
            level,
            about,
            what: what.to_owned(),
            todo: todo.to_owned(),
        });
    }
}
