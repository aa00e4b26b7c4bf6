//! The answer's head, as ClickHouse words it, and its data.

use bytes::Bytes;
use http::Response;

use super::{Job, Stop};
use crate::store::embedded::front::answer::Sink;
use crate::store::embedded::front::blocks;
use crate::store::embedded::front::error::{BAD_ARGUMENTS, Exception};
use crate::store::embedded::front::formats::content_type;
use crate::store::embedded::outcome::Counters;

impl Job {
    pub(super) fn send_all(
        &self,
        sink: &mut Sink,
        format: &str,
        counters: Counters,
        data: &[u8],
    ) -> Result<(), Stop> {
        sink.start(self.ok(format, counters)?)?;
        self.send(sink, data)
    }

    pub(super) fn send(&self, sink: &mut Sink, data: &[u8]) -> Result<(), Stop> {
        let data = if self.ask.compress {
            blocks::compress(data).into()
        } else {
            Bytes::copy_from_slice(data)
        };
        Ok(sink.send(data)?)
    }

    pub(super) fn ok(&self, format: &str, counters: Counters) -> Result<Response<()>, Exception> {
        self.head(format, counters)
            .header("Content-Type", content_type(format))
            .body(())
            .map_err(|error| Exception::new(BAD_ARGUMENTS, error))
    }

    pub(super) fn head(&self, format: &str, counters: Counters) -> http::response::Builder {
        let summary = format!(
            "{{\"read_rows\":\"{}\",\"read_bytes\":\"{}\",\"written_rows\":\"{}\",\"written_bytes\":\"{}\",\
             \"total_rows_to_read\":\"0\",\"result_rows\":\"{}\",\"result_bytes\":\"0\",\"elapsed_ns\":\"0\"}}",
            counters.read_rows,
            counters.read_bytes,
            counters.written_rows,
            counters.written_bytes,
            counters.result_rows
        );
        Response::builder()
            .header(
                "X-ClickHouse-Server-Display-Name",
                &self.front.about.display_name,
            )
            .header("X-ClickHouse-Timezone", &self.front.about.timezone)
            .header("X-ClickHouse-Query-Id", &self.query_id)
            .header("X-ClickHouse-Format", format)
            .header("X-ClickHouse-Summary", summary)
            .header("X-ClickHouse-Exception-Tag", &self.exception_tag)
    }
}
