// clickhouse-go over HTTP at both doors, which is what Grafana's plugin does in its HTTP mode.
// Takes WRITER_URL, WRITER_USER, WRITER_KEY and READER_URL from the environment.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func connect(address, user, key string, method clickhouse.CompressionMethod) driver.Conn {
	parsed, err := url.Parse(address)
	must(err)
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{parsed.Host},
		Auth:        clickhouse.Auth{Database: "lapwing", Username: user, Password: key},
		Compression: &clickhouse.Compression{Method: method},
	})
	must(err)
	return conn
}

func main() {
	ctx := context.Background()
	at := time.Unix(1767323045, 0).UTC()
	methods := []clickhouse.CompressionMethod{
		clickhouse.CompressionNone, clickhouse.CompressionLZ4, clickhouse.CompressionGZIP, clickhouse.CompressionZSTD,
	}
	for turn, method := range methods {
		writer := connect(os.Getenv("WRITER_URL"), os.Getenv("WRITER_USER"), os.Getenv("WRITER_KEY"), method)
		must(writer.Ping(ctx))
		version, err := writer.ServerVersion()
		must(err)
		if turn == 0 {
			fmt.Println(version.DisplayName, version.Version, version.Revision, version.Timezone)
			must(writer.Exec(ctx, "CREATE TABLE go (id UInt64, text String, kind LowCardinality(String), at DateTime64(9), tags Map(String, String)) ENGINE = MergeTree ORDER BY id"))
		}
		batch, err := writer.PrepareBatch(ctx, "INSERT INTO go")
		must(err)
		for id := range 10_000 {
			must(batch.Append(uint64(id), fmt.Sprintf("%d\n\nDROP TABLE go;", id), "kind", at, map[string]string{"k": "v"}))
		}
		must(batch.Send())
		var count uint64
		must(writer.QueryRow(ctx, "SELECT count() FROM go").Scan(&count))
		if count != uint64(turn+1)*10_000 {
			must(fmt.Errorf("method %v: %d rows", method, count))
		}
		reader := connect(os.Getenv("READER_URL"), "default", "", method)
		rows, err := reader.Query(ctx, "SELECT id, text, kind, at, tags FROM go ORDER BY id")
		must(err)
		seen := 0
		for rows.Next() {
			var id uint64
			var text, kind string
			var when time.Time
			var tags map[string]string
			must(rows.Scan(&id, &text, &kind, &when, &tags))
			if !when.Equal(at) || kind != "kind" || tags["k"] != "v" {
				must(fmt.Errorf("row %d came back as %v %v %v", id, kind, when, tags))
			}
			seen++
		}
		must(rows.Err())
		if seen != int(count) {
			must(fmt.Errorf("method %v: %d of %d rows came back", method, seen, count))
		}
		rows, err = reader.Query(ctx, "SELECT id FROM go WHERE 0")
		must(err)
		for rows.Next() {
			must(fmt.Errorf("a row of nothing"))
		}
		must(rows.Err())
		for _, sql := range []string{"DROP TABLE go", "INSERT INTO go (id) VALUES (1)"} {
			if err := reader.Exec(ctx, sql); err == nil || !strings.Contains(err.Error(), "164") {
				must(fmt.Errorf("%s: %v", sql, err))
			}
		}
		// What Grafana's plugin asks when it is set up.
		for _, sql := range []string{"SHOW DATABASES", "SHOW TABLES FROM \"lapwing\"", "DESC TABLE \"lapwing\".\"go\"", "SELECT 1"} {
			rows, err := reader.Query(ctx, sql)
			must(err)
			for rows.Next() {
			}
			must(rows.Err())
		}
		rows, err = writer.Query(ctx, "SELECT number, throwIf(number = 700000) FROM numbers(1000000)")
		for err == nil && rows.Next() {
		}
		if err == nil {
			err = rows.Err()
		}
		if err == nil {
			must(fmt.Errorf("method %v: a broken result was taken for a whole one", method))
		}
		fmt.Println("broken result, method", method, "told as:", err)
	}
	fmt.Println("clickhouse-go ok")
}
