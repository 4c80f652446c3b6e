//! The five minutes of the README, line by line as they are typed.

mod program;

use program::{Program, command};
use std::process::Stdio;

const README: &str = include_str!("../../../README.md");

/// The lines of the shell blocks between two headings, comments and blank lines left out.
fn lines(from: &str, to: &str) -> Vec<Vec<&'static str>> {
    let tour = README.split(from).nth(1).and_then(|rest| rest.split(to).next()).expect("the part");
    let blocks = tour.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let without_comment = |line: &'static str| line.split("  #").next().unwrap_or(line).trim();
    blocks
        .map(|block| {
            let lines = block.lines().map(without_comment);
            lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
        })
        .collect()
}

#[test]
fn every_line_of_the_tour_works_as_typed() {
    let mut demo = Program::start(&["demo", "--free-ports"]);
    let address = |line: String| line.split(' ').next_back().expect("an address").to_owned();
    let coap = address(demo.await_line("listening coap udp 127.0.0.1:"));
    let coaps = address(demo.await_line("listening coaps udp 127.0.0.1:"));
    let bootstrap = address(demo.await_line("listening bootstrap-coap udp 127.0.0.1:"));
    let http = address(demo.await_line("listening http tcp 127.0.0.1:"));
    demo.await_line("ready");
    let url = format!("http://{http}");
    let (mut tried, mut devices) = (0, 0);
    for block in lines("## Five minutes", "## The program") {
        let mut typed = block.into_iter();
        while let Some(line) = typed.next() {
            // The ports are others than by default, so that nothing is in the way.
            let line = line.replace("127.0.0.1:5683", &coap).replace("127.0.0.1:5783", &bootstrap);
            let line = line.replace("127.0.0.1:5684", &coaps);
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                // curl is not ours to try, and its lines go on in the next.
                ["curl", ..] => {}
                [first, ..] if first.starts_with("PATH=") || first.starts_with("http://") => {}
                ["lightship", "device", arguments @ ..] => {
                    let server = format!("coap://{coap}");
                    let mut all = [&["device"], arguments].concat();
                    if !arguments.contains(&"--bootstrap") && !arguments.contains(&"--server") {
                        all.extend(["--server", server.as_str()]);
                    }
                    let mut device = Program::start(&all);
                    device.await_line("event registered");
                    for line in typed.by_ref() {
                        assert!(device.say(line).starts_with("ok"), "{line}");
                    }
                    assert_eq!(device.await_end().code(), Some(0));
                    devices += 1;
                }
                ["lightship", arguments @ ..] => {
                    // What follows a stream never ends.
                    let arguments: Vec<&str> =
                        arguments.iter().copied().filter(|word| *word != "--follow").collect();
                    let output = command(&arguments)
                        .env("LIGHTSHIP_URL", &url)
                        .stdin(Stdio::null())
                        .output()
                        .expect("runs");
                    let error = String::from_utf8_lossy(&output.stderr);
                    assert_eq!(output.status.code(), Some(0), "{line}: {error}");
                    assert!(!output.stdout.is_empty(), "{line} says nothing");
                    tried += 1;
                }
                other => panic!("{other:?} is nothing that this test can type"),
            }
        }
    }
    assert!(tried >= 15 && devices >= 3, "{tried} lines, {devices} devices");
}
