//! Evaluations: what a judge said about an answer.

/// One result: a row of `llm_evals`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evaluation<'a> {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    pub trace_id: [u8; 16],
    /// The span that it was recorded on, if any.
    pub span_id: Option<[u8; 8]>,
    /// The answer that was judged, if told.
    pub response_id: &'a str,
    /// What was judged, such as `relevance`.
    pub name: &'a str,
    pub score: Option<f64>,
    pub label: &'a str,
    pub explanation: &'a str,
    /// Why there is no result.
    pub error_type: &'a str,
    pub convention: &'static str,
    pub service: &'a str,
    pub service_version: &'a str,
    pub environment: &'a str,
}
