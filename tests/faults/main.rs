//! The faults that vivavoce must survive, done to it on purpose: a point after another, each with its count.
//!
//! `make faults` runs all of it in full, `FAULTS=short make faults` a short form of each, `make faults POINTS=1,5` some. What
//! is drawn at random comes from a seed that is printed; `FAULTS_SEED` gives it again. Nothing here waits for time to pass: a
//! process is killed after so many messages, acknowledged samples or written bytes, and every wait has a deadline.
#![cfg(all(feature = "server", feature = "whisper"))]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a trial stops where it finds something else than it expects, and tells what it counted"
)]

mod bits;
mod chunking;
mod day;
mod dice;
mod disk;
mod image;
mod journals;
mod kills;
mod network;
mod power;
mod process;
mod real;
mod recorder;
mod relay;
mod secrets;
mod server;
mod shim;
mod slow;
mod sound;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "of what the other tests need, a trial needs the recorder that is cut and killed")]
mod support;
mod tally;
mod write_log;

use std::{process::ExitCode, time::Instant};

use tally::{Point, Scale};

/// Every point, as the list of what must hold numbers them.
fn points() -> Vec<Point> {
    vec![
        Point::new(1, "the server is killed", |scale| Box::pin(kills::run(scale))),
        Point::new(2, "the network is cut, the recorder is killed", |scale| Box::pin(network::run(scale))),
        Point::new(3, "engines are stopped, killed, made to abort", |scale| Box::pin(real::run(scale))),
        Point::new(4, "recognition is four times too slow", |scale| Box::pin(slow::run(scale))),
        Point::new(5, "what must not be found is looked for", |scale| Box::pin(secrets::run(scale))),
        Point::new(6, "ten hours", |scale| Box::pin(day::run(scale))),
        Point::new(7, "disks fail", |scale| Box::pin(disk::run(scale))),
        Point::new(9, "audio is cut into messages at random", |scale| Box::pin(chunking::run(scale))),
    ]
}

/// Which points are wanted: `POINTS=1,5`, else all.
fn wanted(number: u32) -> bool {
    let asked = variable("POINTS").unwrap_or_default();
    asked.is_empty() || asked.split(',').any(|one| one.trim() == number.to_string())
}

/// What the environment says.
#[expect(clippy::disallowed_methods, reason = "how long a trial is to be is no setting of the product")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(server::WORD) => return server::run(&server::Settings::parse(arguments)),
        Some(network::WORD) => return network::record(arguments),
        // A name that `cargo test` was given: none of these is called so.
        Some(other) if !other.starts_with('-') => return ExitCode::SUCCESS,
        Some("--list") => return ExitCode::SUCCESS,
        Some(_) | None => {}
    }
    let scale = Scale::from_environment(variable("FAULTS").as_deref(), variable("FAULTS_SEED").as_deref());
    println!("faults, {}: seed {} (FAULTS_SEED={} gives the same again)", scale.name(), scale.seed, scale.seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let begun = Instant::now();
    let mut short = 0;
    for point in points().into_iter().filter(|point| wanted(point.number)) {
        let verdict = runtime.block_on(point.run(scale));
        println!("{verdict}");
        short += u32::from(!verdict.holds());
    }
    println!("{} in {:.0} s", if short == 0 { "all hold" } else { "FELL SHORT" }, begun.elapsed().as_secs_f64());
    ExitCode::from(u8::from(short > 0))
}
