//! Both encodings against `opentelemetry-proto`, and against damage.

mod oracle;
mod request;

use bumpalo::Bump;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use proptest::prelude::*;
use prost::Message;

use super::{Rejected, count_metric_points, json, logs, traces};

/// Reads the bytes as everything they could be. It returns: that is the test.
fn read_as_anything(bytes: &[u8]) {
    let arena = Bump::new();
    let _ = traces(bytes, &arena);
    let _ = logs(bytes, &arena);
    let _ = count_metric_points(bytes);
    if let Ok(body) = json::traces_to_proto(bytes) {
        let _ = traces(&body, &arena);
    }
    if let Ok(body) = json::logs_to_proto(bytes) {
        let _ = logs(&body, &arena);
    }
    let _ = json::metrics_point_count(bytes);
    let _ = json::signal(bytes);
    assert!(json::documents(bytes).count() <= bytes.len());
}

proptest! {
    #[test]
    fn any_traces_are_read_as_prost_reads_them(request in request::traces()) {
        let body = request.encode_to_vec();
        let arena = Bump::new();
        let read = traces(&body, &arena).unwrap();
        prop_assert_eq!(&read.rejected, &Rejected::default());
        prop_assert_eq!(oracle::flat_traces(&request), oracle::flat_view(&read));
        for span in &read.spans {
            let again = opentelemetry_proto::tonic::trace::v1::Span::decode(span.encoded).unwrap();
            prop_assert_eq!(again.name, span.name);
        }
    }

    #[test]
    fn any_logs_are_read_as_prost_reads_them(request in request::logs()) {
        let body = request.encode_to_vec();
        let arena = Bump::new();
        let read = logs(&body, &arena).unwrap();
        prop_assert_eq!(&read.rejected, &Rejected::default());
        prop_assert_eq!(oracle::flat_logs(&request), oracle::flat_log_view(&read));
    }

    #[test]
    fn json_means_what_the_binary_form_means(request in request::traces(), loose: bool) {
        let text = request::traces_json(&request, loose).to_string();
        let body = json::traces_to_proto(text.as_bytes()).unwrap();
        prop_assert_eq!(ExportTraceServiceRequest::decode(&*body).unwrap(), request);
    }

    #[test]
    fn json_logs_mean_what_the_binary_form_means(request in request::logs(), loose: bool) {
        let text = request::logs_json(&request, loose).to_string();
        let body = json::logs_to_proto(text.as_bytes()).unwrap();
        prop_assert_eq!(ExportLogsServiceRequest::decode(&*body).unwrap(), request);
    }

    #[test]
    fn random_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        read_as_anything(&bytes);
    }

    #[test]
    fn random_json_like_text_is_survived(text in r#"[\[\]{}",:\\u0-9a-fn tesv]{0,200}"#) {
        read_as_anything(text.as_bytes());
    }

    #[test]
    fn flipped_bits_are_survived(
        request in request::traces(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..8),
    ) {
        let text = request::traces_json(&request, false).to_string().into_bytes();
        for mut body in [request.encode_to_vec(), text] {
            if body.is_empty() {
                continue;
            }
            for (index, bit) in &flips {
                let at = index.index(body.len());
                body[at] ^= 1 << bit;
            }
            read_as_anything(&body);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_body_cut_anywhere_is_survived(request in request::traces()) {
        let body = request.encode_to_vec();
        let text = request::traces_json(&request, false).to_string();
        for cut in 0..body.len() {
            read_as_anything(&body[..cut]);
        }
        // Every cut of a JSON body is an error: the last brace is missing.
        for cut in 0..text.len() {
            prop_assert!(json::traces_to_proto(&text.as_bytes()[..cut]).is_err());
        }
    }
}
