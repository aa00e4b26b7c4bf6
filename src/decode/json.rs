//! OTLP/JSON, transcoded to the binary form.
