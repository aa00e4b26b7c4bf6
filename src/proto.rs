//! The generated OTLP and `google.rpc` types, from `proto/`.
//!
//! For the answers and for tests. Requests are not decoded with these: `decode` walks the bytes.
//! The modules nest as the packages do, because the generated code refers to its siblings by path.

#![allow(clippy::all, missing_docs)]

pub mod google {
    pub mod rpc {
        include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
    }
}

macro_rules! package {
    ($name:ident, $file:literal) => {
        pub mod $name {
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/opentelemetry.proto.", $file));
            }
        }
    };
}

pub mod opentelemetry {
    pub mod proto {
        package!(common, "common.v1.rs");
        package!(resource, "resource.v1.rs");
        package!(trace, "trace.v1.rs");
        package!(logs, "logs.v1.rs");
        package!(metrics, "metrics.v1.rs");
        pub mod collector {
            package!(trace, "collector.trace.v1.rs");
            package!(logs, "collector.logs.v1.rs");
            package!(metrics, "collector.metrics.v1.rs");
        }
    }
}
