//! Statements as clients write them, and as somebody who wants in would.

use super::*;

fn insert_parts(text: &str) -> (String, String, String) {
    match split(text.as_bytes(), true) {
        Ok(Statement::Insert {
            head_end,
            format,
            data,
        }) => (
            text[..head_end].trim().to_owned(),
            format,
            text[data..].to_owned(),
        ),
        other => panic!("{text}: {other:?}"),
    }
}

fn format_of(text: &str) -> Option<String> {
    match split(text.as_bytes(), true) {
        Ok(Statement::Query { format, .. }) => format,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn an_insert_ends_where_its_data_begins() {
    let cases = [
        (
            "INSERT INTO t FORMAT CSV\n1,2\n",
            "INSERT INTO t",
            "CSV",
            "1,2\n",
        ),
        (
            "insert into db.`fo(rmat` (a, b) format RowBinary\n\n\n",
            "insert into db.`fo(rmat` (a, b)",
            "RowBinary",
            "\n\n",
        ),
        (
            "INSERT INTO t (`a`) VALUES (1), ('FORMAT CSV')",
            "INSERT INTO t (`a`)",
            "Values",
            " (1), ('FORMAT CSV')",
        ),
        (
            "INSERT INTO values VALUES (1)",
            "INSERT INTO values",
            "Values",
            " (1)",
        ),
        (
            "INSERT INTO format FORMAT TSV\r\n1",
            "INSERT INTO format",
            "TSV",
            "1",
        ),
        (
            "INSERT INTO t /* FORMAT x */ SETTINGS a='FORMAT y' FORMAT JSONEachRow {\"a\":1}",
            "INSERT INTO t /* FORMAT x */ SETTINGS a='FORMAT y'",
            "JSONEachRow",
            "{\"a\":1}",
        ),
        ("INSERT INTO t FORMAT Native", "INSERT INTO t", "Native", ""),
    ];
    for (text, head, format, data) in cases {
        assert_eq!(
            insert_parts(text),
            (head.to_owned(), format.to_owned(), data.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn data_is_never_read_as_a_statement() {
    let text = "INSERT INTO t FORMAT JSONEachRow {\"a\":1}\n\n create table pwned (a Int8) engine=Memory; drop table t";
    assert_eq!(
        insert_parts(text).2,
        "{\"a\":1}\n\n create table pwned (a Int8) engine=Memory; drop table t"
    );
}

#[test]
fn an_insert_that_is_still_arriving_waits() {
    let text = b"INSERT INTO t (a, b) FORMAT Native\n";
    for cut in 0..text.len() - 1 {
        assert_eq!(
            split(&text[..cut], false),
            Ok(Statement::Incomplete),
            "{cut}"
        );
    }
    assert!(matches!(split(text, false), Ok(Statement::Insert { .. })));
    assert_eq!(split(b"SELECT 1", false), Ok(Statement::Incomplete));
}

#[test]
fn an_insert_from_a_query_is_a_query() {
    for text in [
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a) WITH 1 AS x SELECT x FORMAT Native",
        "INSERT INTO t (SELECT 1)",
    ] {
        assert!(
            matches!(
                split(text.as_bytes(), true),
                Ok(Statement::Query { select: false, .. })
            ),
            "{text}"
        );
    }
}

#[test]
fn a_second_statement_is_refused_and_a_quoted_one_is_not() {
    for text in [
        "SELECT 1; SELECT 2",
        "SELECT 1;;-- x\nDROP TABLE t",
        "SELECT ';' /* ; */ ; x",
        "INSERT INTO t SELECT 1; DROP TABLE t",
    ] {
        assert_eq!(
            split(text.as_bytes(), true),
            Err(Refusal::Several),
            "{text}"
        );
    }
    for text in [
        "SELECT 1;",
        "SELECT ';x' -- ; y",
        "SELECT $a$;x$a$ ; ",
        "SELECT `a;\\`b` # ;x",
        "SELECT 'it''s; \\'; '",
    ] {
        assert!(split(text.as_bytes(), true).is_ok(), "{text}");
    }
}

#[test]
fn files_of_the_process_are_refused_however_they_are_spelled() {
    for text in [
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "select 1 into/**/outfile '/tmp/x' truncate",
        "(SELECT 1) INTO -- c\n OUTFILE 'x'",
        "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
        "INSERT INTO t(a) FROM\n#! c\nINFILE 'x'",
    ] {
        assert_eq!(split(text.as_bytes(), true), Err(Refusal::File), "{text}");
    }
    assert!(split(b"SELECT 'INTO OUTFILE x' AS `into outfile`", true).is_ok());
}

#[test]
fn the_format_is_the_word_after_format_at_the_top_level() {
    assert_eq!(format_of("SELECT 1 FORMAT JSON").as_deref(), Some("JSON"));
    assert_eq!(
        format_of("SELECT (SELECT format FROM t) x format TSV SETTINGS a=1;").as_deref(),
        Some("TSV")
    );
    assert_eq!(format_of("SELECT 'x FORMAT JSON'"), None);
}

#[test]
fn an_empty_text_is_refused() {
    assert_eq!(split(b" -- nothing\n", true), Err(Refusal::Empty));
}

#[test]
fn any_bytes_are_survived() {
    use proptest::prelude::*;
    proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..200), complete: bool)| {
        let _ = split(&bytes, complete);
        let mut text = b"INSERT INTO t ".to_vec();
        text.extend_from_slice(&bytes);
        if let Ok(Statement::Insert { head_end, data, .. }) = split(&text, complete) {
            prop_assert!(head_end <= data && data <= text.len());
        }
    });
}
