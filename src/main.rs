//! The program: a command line around the library.

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // There is one provider for all that speak TLS; that it is installed already cannot be.
    let _ = rustls::crypto::ring::default_provider().install_default();
    lapwing::cli::run(lapwing::cli::Cli::parse())
}
