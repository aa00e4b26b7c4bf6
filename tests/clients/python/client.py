"""clickhouse-connect at both doors: creates, inserts and selects at one, only selects at the other.

Takes WRITER_URL, WRITER_USER, WRITER_KEY and READER_URL from the environment.
"""
import datetime
import os
from urllib.parse import urlparse

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError


def connect(url, user, password):
    address = urlparse(url)
    return clickhouse_connect.get_client(
        host=address.hostname, port=address.port, username=user, password=password, database="lapwing"
    )


writer = connect(os.environ["WRITER_URL"], os.environ["WRITER_USER"], os.environ["WRITER_KEY"])
writer.command("CREATE TABLE py (id UInt64, text String, at DateTime, tags Map(String, String), maybe Nullable(Float64)) "
               "ENGINE = MergeTree ORDER BY id")
at = datetime.datetime(2026, 1, 2, 3, 4, 5)
rows = [[n, f"{n}\n\nDROP TABLE py; é", at, {"k": str(n)}, None if n % 2 else n / 2] for n in range(20_000)]
for compress in (False, "lz4", "zstd", "gzip"):
    writer.insert("py", rows, column_names=["id", "text", "at", "tags", "maybe"], settings={"insert_deduplication_token": str(compress)})
assert writer.query("SELECT count(), uniqExact(id) FROM py").result_rows == [(20_000 * 4, 20_000)]

reader = connect(os.environ["READER_URL"], "default", "")
got = reader.query("SELECT * FROM py WHERE id = {id:UInt64} LIMIT 1", parameters={"id": 7}).result_rows
assert got == [(7, "7\n\nDROP TABLE py; é", at, {"k": "7"}, None)], got
assert len(reader.query("SELECT * FROM py").result_rows) == 80_000
assert reader.query("SELECT * FROM py WHERE 0").result_rows == []
for sql in ("DROP TABLE py", "CREATE TABLE lapwing.no (a Int8) ENGINE = Memory", "INSERT INTO py (id) VALUES (1)"):
    try:
        reader.command(sql)
    except DatabaseError as error:
        assert "164" in str(error), error
    else:
        raise AssertionError(f"{sql} was carried out")
try:
    writer.query("SELECT number, throwIf(number = 700000) FROM numbers(1000000)")
except DatabaseError as error:
    assert "395" in str(error), error
else:
    raise AssertionError("a broken result was taken for a whole one")
print("clickhouse-connect", clickhouse_connect.version() if callable(getattr(clickhouse_connect, "version", None)) else "", "ok")
