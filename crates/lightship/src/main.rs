//! The Lightship program: demo, serve, device, ctl, load, decode, store.
//!
//! I am the one program: text in, meaning out.
//! I may: read arguments, files, standard input and the environment; start the service; drive a client engine; speak
//! the REST API; print.
//! I must not: decide what a protocol means (that is `lwm2m`'s and `coap`'s), keep a server's state, open sockets by
//! myself (that is `net`'s).
//! My invariants: answers and events go to standard output, logs to standard error · exit code 0 done, 1 refused or
//! failed, 2 wrong usage · a closed pipe ends the program quietly.
//! Start reading at: `cli` (text → raw arguments), then the module named like the command (raw → meaning → work).

mod cli;
mod ctl;
mod decode;
mod demo;
mod device;
mod failure;
mod load;
mod output;
mod serve;
mod store;
mod value_text;

use clap::Parser;
use lightship_net::Heap;
use std::process::ExitCode;

/// What one thread allocates and another gives back, as events on their way from a shard into the log, costs no lock.
#[global_allocator]
static ALLOCATOR: Heap = Heap;

fn main() -> ExitCode {
    let arguments = cli::Cli::parse();
    output::start_logging(&arguments);
    match cli::run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
