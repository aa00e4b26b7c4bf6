//! The two files that configure the engine: server settings, and the user with its rights.
//!
//! Both are written at every start and always named to the engine, which otherwise reads a `config.xml` from the
//! current directory, the home directory or `/etc`. The grants leave out every source outside the store (file, url,
//! remote, s3, databases of others): whatever a statement says, the engine cannot reach them.

use std::io::Write;
use std::path::{Path, PathBuf};

/// What the engine's user may do, on every database.
const GRANTS: &str = "SELECT, INSERT, ALTER, CREATE, DROP, TRUNCATE, OPTIMIZE, SHOW, KILL QUERY, SYSTEM, BACKUP, dictGet";

/// Table engines that read and write nothing outside the store.
const TABLE_ENGINES: &[&str] = &[
    "MergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "CoalescingMergeTree",
    "Memory",
    "Null",
    "Join",
    "Set",
    "Log",
    "TinyLog",
    "StripeLog",
    "Buffer",
    "Merge",
    "View",
    "MaterializedView",
    "Dictionary",
    "GenerateRandom",
];

/// Writes `config.xml` and `users.xml` into `directory` and gives the path of the first.
pub fn write(
    directory: &Path,
    memory_limit_bytes: u64,
    backups: &Path,
) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    let users = directory.join("users.xml");
    let config = directory.join("config.xml");
    write_file(&users, &users_xml())?;
    write_file(&config, &config_xml(&users, memory_limit_bytes, backups))?;
    Ok(config)
}

fn write_file(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(text.as_bytes())
}

/// Background pools are small: the engine shares its machine with the collector, and defaults are for servers.
/// Inserts are synced to disk before they are acknowledged, the file system's directory entries included.
fn config_xml(users: &Path, memory_limit_bytes: u64, backups: &Path) -> String {
    let users = escape(&users.to_string_lossy());
    let backups = escape(&backups.to_string_lossy());
    format!(
        "<clickhouse>
    <logger><level>none</level></logger>
    <display_name>lapwing</display_name>
    <timezone>UTC</timezone>
    <users_config>{users}</users_config>
    <max_server_memory_usage>{memory_limit_bytes}</max_server_memory_usage>
    <background_pool_size>4</background_pool_size>
    <background_schedule_pool_size>8</background_schedule_pool_size>
    <mark_cache_size>67108864</mark_cache_size>
    <backups><allowed_path>{backups}</allowed_path></backups>
    <merge_tree>
        <fsync_after_insert>1</fsync_after_insert>
        <fsync_part_directory>1</fsync_part_directory>
        <number_of_free_entries_in_pool_to_lower_max_size_of_merge>2</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
        <number_of_free_entries_in_pool_to_execute_mutation>2</number_of_free_entries_in_pool_to_execute_mutation>
        <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>2</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    </merge_tree>
</clickhouse>
"
    )
}

/// `implicit_select` and introspection are on in the library and off in a server; a server is what we stand in for.
fn users_xml() -> String {
    let engines: String = TABLE_ENGINES
        .iter()
        .map(|name| format!("                <query>GRANT TABLE ENGINE ON {name}</query>\n"))
        .collect();
    format!(
        "<clickhouse>
    <profiles><default>
        <async_insert>0</async_insert>
        <implicit_select>0</implicit_select>
        <allow_introspection_functions>0</allow_introspection_functions>
    </default></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password/>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT {GRANTS} ON *.*</query>
{engines}            </grants>
        </default>
    </users>
</clickhouse>
"
    )
}

/// Text as it may stand in an XML element.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_break_out_of_their_element() {
        let text = config_xml(Path::new("/a&b/<x>.xml"), 1, Path::new("/backups"));
        assert!(text.contains("<users_config>/a&amp;b/&lt;x&gt;.xml</users_config>"));
    }

    #[test]
    fn no_source_outside_the_store_is_granted() {
        let text = users_xml();
        for source in [
            "FILE",
            "URL",
            "REMOTE",
            "S3",
            "SOURCES",
            "ALL",
            "EXECUTABLE",
        ] {
            assert!(
                !text
                    .split(|c: char| !c.is_ascii_alphanumeric())
                    .any(|word| word == source),
                "{source}"
            );
        }
    }
}
