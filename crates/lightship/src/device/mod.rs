//! `lightship device`: one LwM2M Client, steered from standard input.
//!
//! `settings` finds out what the device shall be, `object` builds its objects, `running` is the device at work,
//! `command` reads the lines that steer it, `state` is what survives a restart.

mod command;
mod object;
mod running;
mod settings;
mod state;

pub(crate) use self::running::Device;
pub(crate) use self::settings::Settings;

use self::command::Command;
use crate::cli::DeviceArguments;
use crate::failure::Failure;
use crate::output;
use std::io::BufRead;
use tokio::sync::mpsc::{Receiver, channel};

/// Lines read ahead.
const LINES_AHEAD: usize = 16;

/// Runs the command.
pub(crate) fn run(arguments: DeviceArguments) -> Result<(), Failure> {
    let device = Device::new(Settings::load(arguments)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format_args!("no runtime: {error}")))?;
    let result = runtime.block_on(live(device, read_lines()));
    // The thread that reads standard input cannot be woken; do not wait for it.
    runtime.shutdown_background();
    result
}

/// Reads standard input on a thread of its own; the end of input ends the channel.
fn read_lines() -> Receiver<String> {
    let (sender, receiver) = channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// What made the device act.
enum Turn {
    Event(String),
    Line(Option<String>),
    Stop,
}

/// The whole life of the device: register, serve, obey, de-register.
async fn live(mut device: Device, mut lines: Receiver<String>) -> Result<(), Failure> {
    device.start();
    let stop = told_to_stop();
    tokio::pin!(stop);
    let told = loop {
        let turn = tokio::select! {
            event = device.next() => Turn::Event(event),
            line = lines.recv() => Turn::Line(line),
            () = &mut stop => Turn::Stop,
        };
        let ended = match turn {
            Turn::Event(line) => output::line(&line).map(|()| false),
            Turn::Line(Some(line)) => obey(&mut device, &line),
            Turn::Line(None) | Turn::Stop => Ok(true),
        };
        match ended {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    // Nobody may be listening any more; the servers still want to know.
    let farewell = device.farewell(|line| if told.is_ok() { output::line(line) } else { Ok(()) }).await;
    told.and(farewell)
}

/// Obeys a line and answers it; true when the device is to end.
fn obey(device: &mut Device, line: &str) -> Result<bool, Failure> {
    let command = match command::parse(line) {
        Ok(None) => return Ok(false),
        Ok(Some(command)) => command,
        Err(error) => {
            output::line(&format!("error {error}"))?;
            return Ok(false);
        }
    };
    let quit = command == Command::Quit;
    match device.obey(command) {
        Ok(answer) if answer.is_empty() => output::line("ok")?,
        Ok(answer) => output::line(&format!("ok {answer}"))?,
        Err(error) => output::line(&format!("error {error}"))?,
    }
    Ok(quit)
}

/// Ends when the process is asked to end: Ctrl-C, or SIGTERM where there is one.
pub(crate) async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
