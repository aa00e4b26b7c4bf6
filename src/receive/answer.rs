//! The words of OTLP answers: success, partial success and `google.rpc.Status`.
//!
//! Written here once for both transports and both encodings. Answers are small: a message is cut
//! to [`MESSAGE_BYTES_MAX`], far below the 4 MiB a client must be ready to read.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use serde_json::json;

use super::{Encoding, Receipt, Signal};
use crate::proto::{
    google::rpc::{BadRequest, RetryInfo, Status, bad_request::FieldViolation},
    opentelemetry::proto::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    },
};

/// The longest message put into an answer.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024;

const TYPE_PREFIX: &str = "type.googleapis.com/google.rpc.";

/// `Export<Signal>ServiceResponse`. The three have the same shape and field numbers.
pub fn success(signal: Signal, encoding: Encoding, receipt: &Receipt) -> Bytes {
    let silent = receipt.rejected == 0 && receipt.message.is_empty();
    let message = shorten(&receipt.message);
    match encoding {
        Encoding::Protobuf if silent => Bytes::new(),
        Encoding::Json if silent => Bytes::from_static(b"{}"),
        Encoding::Protobuf => ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: i64::try_from(receipt.rejected).unwrap_or(i64::MAX),
                error_message: message.to_owned(),
            }),
        }
        .encode_to_vec()
        .into(),
        Encoding::Json => {
            let rejected = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Logs => "rejectedLogRecords",
                Signal::Metrics => "rejectedDataPoints",
            };
            json!({"partialSuccess": {
                rejected: receipt.rejected.to_string(), "errorMessage": message,
            }})
            .to_string()
            .into()
        }
    }
}

/// What a `google.rpc.Status` carries beside its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    None,
    BadRequest,
    Retry(Duration),
}

/// `google.rpc.Status` with its details.
pub fn status(encoding: Encoding, code: i32, message: &str, detail: Detail) -> Bytes {
    let message = shorten(message);
    match encoding {
        Encoding::Protobuf => Status {
            code,
            message: message.to_owned(),
            details: detail.proto(message),
        }
        .encode_to_vec()
        .into(),
        Encoding::Json => {
            let mut status = json!({"code": code, "message": message});
            let detail = match detail {
                Detail::None => None,
                Detail::BadRequest => Some(json!({
                    "@type": format!("{TYPE_PREFIX}BadRequest"),
                    "fieldViolations": [{"field": "body", "description": message}],
                })),
                Detail::Retry(after) => Some(json!({
                    "@type": format!("{TYPE_PREFIX}RetryInfo"),
                    "retryDelay": format!("{}.{:09}s", after.as_secs(), after.subsec_nanos()),
                })),
            };
            if let (Some(detail), Some(object)) = (detail, status.as_object_mut()) {
                object.insert("details".to_owned(), json!([detail]));
            }
            status.to_string().into()
        }
    }
}

impl Detail {
    fn proto(self, message: &str) -> Vec<prost_types::Any> {
        let (name, value) = match self {
            Self::None => return Vec::new(),
            Self::BadRequest => {
                let violation = FieldViolation {
                    field: "body".to_owned(),
                    description: message.to_owned(),
                };
                let detail = BadRequest {
                    field_violations: vec![violation],
                };
                ("BadRequest", detail.encode_to_vec())
            }
            Self::Retry(after) => {
                let delay = prost_types::Duration::try_from(after).ok();
                let detail = RetryInfo { retry_delay: delay };
                ("RetryInfo", detail.encode_to_vec())
            }
        };
        vec![prost_types::Any {
            type_url: format!("{TYPE_PREFIX}{name}"),
            value,
        }]
    }
}

/// The longest prefix that fits and ends between two characters.
pub fn shorten(message: &str) -> &str {
    message
        .get(..message.floor_char_boundary(MESSAGE_BYTES_MAX))
        .unwrap_or(message)
}
