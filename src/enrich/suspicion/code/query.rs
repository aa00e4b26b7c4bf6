//! Queries and commands: SQL and lines for a shell.

use super::{Seen, is_prose};

/// SQL and its like: verbs in capitals with what belongs to them.
pub(super) fn query(line: &str, seen: &mut Seen) -> u32 {
    let upper = line.trim_start_matches('(');
    if upper.starts_with("SELECT ") || upper == "SELECT" {
        seen.select = true;
        return if line.contains(" FROM ") { 2 } else { 1 };
    }
    let after_select = seen.select && line.starts_with("FROM ");
    if !upper.starts_with(['I', 'U', 'D', 'C', 'A', 'M', 'W', 's', 'i', 'F']) {
        return 0;
    }
    let whole = [
        ("INSERT INTO ", ""),
        ("UPDATE ", " SET "),
        ("DELETE FROM ", ""),
        ("CREATE TABLE ", ""),
        ("CREATE INDEX ", ""),
        ("CREATE VIEW ", ""),
        ("CREATE OR REPLACE ", ""),
        ("ALTER TABLE ", ""),
        ("DROP TABLE ", ""),
        ("MATCH (", ")"),
        ("select * from ", ""),
        ("select count(", "from"),
        ("insert into ", "values"),
        ("WITH ", " AS ("),
    ];
    let told = whole
        .iter()
        .any(|(begin, then)| line.starts_with(begin) && line.contains(then));
    if after_select || told { 2 } else { 0 }
}

/// Programs, in the order of their letters.
pub(super) const PROGRAMS: &[&str] = &[
    "apt",
    "apt-get",
    "awk",
    "aws",
    "az",
    "brew",
    "cargo",
    "cat",
    "cd",
    "chmod",
    "chown",
    "conda",
    "cp",
    "curl",
    "docker",
    "echo",
    "export",
    "find",
    "gcloud",
    "git",
    "go",
    "grep",
    "gzip",
    "head",
    "helm",
    "journalctl",
    "kubectl",
    "ls",
    "make",
    "mkdir",
    "mv",
    "mysql",
    "node",
    "npm",
    "npx",
    "openssl",
    "pip",
    "pip3",
    "pnpm",
    "psql",
    "python",
    "python3",
    "rm",
    "rsync",
    "scp",
    "sed",
    "set",
    "source",
    "ssh",
    "sudo",
    "systemctl",
    "tail",
    "tar",
    "terraform",
    "unzip",
    "uv",
    "wget",
    "xargs",
    "yarn",
];

fn is_program(word: &str) -> bool {
    PROGRAMS.binary_search(&word).is_ok()
}

/// A line for a shell: a known program with an option, a path or a pipe.
pub(super) fn command(line: &str) -> u32 {
    let line = line
        .strip_prefix("$ ")
        .map_or(line, |rest| rest.trim_start());
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    if !is_program(first) || line.ends_with(['?', '.', ',']) {
        return 0;
    }
    let option = rest.split_whitespace().any(|word| {
        let name = word.trim_start_matches('-');
        let dashes = word.len() - name.len();
        (1..=2).contains(&dashes) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    });
    let path = rest.split_whitespace().any(|word| {
        word.contains('/')
            || word.contains("*.")
            || word.starts_with('$')
            || word.starts_with("\"$")
    });
    let piped = rest.contains(" | ") || rest.contains(" > ") || rest.contains(" && ");
    let short = rest.split_whitespace().count() <= 4;
    match (option || piped, path) {
        (true, _) if !is_prose(line) || piped => 2,
        (_, true) => 1,
        _ => u32::from(short && matches!(first, "git" | "npm" | "pip" | "docker" | "kubectl")),
    }
}
