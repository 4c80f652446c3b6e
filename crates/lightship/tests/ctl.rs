//! What `lightship ctl` shows of the last messages of a device, against the real program.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]
mod program;

use program::{Program, Server};

#[test]
fn a_trace_is_listed_followed_and_written_as_a_capture() {
    let server = Server::start(&[]);
    let _device = server.device("probe", &[]);
    server.ctl(&["read", "probe", "/3/0/0"]);
    let text = server.ctl(&["trace", "probe"]);
    assert!(text.contains("register") && text.contains(" read /3/0/0 "), "{text}");
    assert!(text.contains("/3/0/0 Manufacturer = Lightship"), "the answer's value: {text}");
    let json = server.json(&["trace", "probe", "--limit", "2"]);
    let items = json["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["direction"], &items[1]["direction"]),
        (2, &"out".into(), &"in".into())
    );
    assert_eq!(items[0]["exchange"], items[1]["exchange"]);
    assert!(server.ctl(&["trace", "--address", "127.0.0.1"]).contains(" read /3/0/0 "));
    assert!(server.ctl(&["trace", "nobody"]).contains("nothing is recorded of nobody"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probe.pcapng");
    let told = server.ctl(&["trace", "probe", "--pcapng", file.to_str().unwrap()]);
    let bytes = std::fs::read(&file).unwrap();
    assert!(told.contains(&format!("{} bytes", bytes.len())), "{told}");
    assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a], "the head of a pcapng file");

    let url = format!("http://{}", server.http);
    let mut follower = Program::start(&["ctl", "--url", &url, "trace", "probe", "--follow"]);
    follower.await_line(" read /3/0/0 ");
    server.ctl(&["read", "probe", "/3/0/1"]);
    follower.await_line(" read /3/0/1 ");
    follower.await_line("/3/0/1 Model Number = ");
    follower.kill();
}
