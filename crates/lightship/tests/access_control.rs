//! Two servers with different rights on one device, with the real program.

mod program;

use program::{Program, Server, eventually};
use serde_json::json;

#[test]
fn two_servers_have_the_rights_that_object_2_gives_them() {
    let (owner, guest) = (Server::start(&[]), Server::start(&[]));
    let to = |server: &Server| format!("coap://{}", server.coap);
    let mut device =
        Program::start(&["device", "--endpoint", "shared", "--server", &to(&owner), "--server", &to(&guest)]);
    for server in [&owner, &guest] {
        eventually("both know the device", || server.is_registered("shared").then_some(()));
    }
    // The temperature is the first server's, the second may read it, and create others.
    for line in [
        "create /2/0",
        "set /2/0/0 3303",
        "set /2/0/1 0",
        "set /2/0/2/2 1",
        "set /2/0/3 1",
        "create /2/1",
        "set /2/1/0 3303",
        "set /2/1/1 65535",
        "set /2/1/2/2 16",
        "set /2/1/3 65535",
    ] {
        let answer = device.say(line);
        assert!(answer.starts_with("ok"), "{line}: {answer}");
    }
    let refused = |server: &Server, arguments: &[&str]| {
        let said = server.ctl_refused(arguments);
        assert!(said.contains("4.01"), "{arguments:?}: {said}");
    };
    for server in [&owner, &guest] {
        assert_eq!(server.json(&["read", "shared", "/3303/0/5700"])["code"], "2.05");
    }
    owner.ctl(&["exec", "shared", "/3303/0/5605"]);
    refused(&guest, &["exec", "shared", "/3303/0/5605"]);
    refused(&guest, &["delete", "shared", "/3303/0"]);
    refused(&guest, &["read", "shared", "/3/0/0"]);
    refused(&owner, &["create", "shared", "/3303"]);

    assert_eq!(guest.json(&["create", "shared", "/3303/7", "5750=mine"])["code"], "2.01");
    assert_eq!(guest.json(&["read", "shared", "/3303/7/5700"])["code"], "2.05");
    refused(&owner, &["read", "shared", "/3303/7/5700"]);
    let made = guest.json(&["read", "shared", "/2/2/3"]);
    assert_eq!(made["content"]["value"], json!(2), "the creator owns it: {made}");
    assert_eq!(guest.json(&["delete", "shared", "/3303/7"])["code"], "2.02");
    assert!(guest.ctl_refused(&["read", "shared", "/2/2/3"]).contains("4.04"));
}

#[test]
fn entries_of_the_file_are_there_from_the_start() {
    let (owner, guest) = (Server::start(&[]), Server::start(&[]));
    let file = std::env::temp_dir().join(format!("lightship-access-{}.toml", std::process::id()));
    let text = format!(
        "endpoint = \"filed\"\nserver = [\"coap://{}\", \"coap://{}\"]\n\
         [[access]]\nobject = 3303\ninstance = 0\nowner = 1\nacl = {{ 2 = 1 }}\n\
         [[access]]\nobject = 3303\nacl = {{ 2 = 16 }}\n",
        owner.coap, guest.coap
    );
    std::fs::write(&file, text).expect("a file");
    let _device = Program::start(&["device", "--config", file.to_str().expect("a path of text")]);
    for server in [&owner, &guest] {
        eventually("both know the device", || server.is_registered("filed").then_some(()));
        assert_eq!(server.json(&["read", "filed", "/3303/0/5700"])["code"], "2.05");
    }
    owner.ctl(&["exec", "filed", "/3303/0/5605"]);
    assert!(guest.ctl_refused(&["exec", "filed", "/3303/0/5605"]).contains("4.01"));
    assert!(guest.ctl_refused(&["read", "filed", "/3/0/0"]).contains("4.01"));
    assert_eq!(guest.json(&["create", "filed", "/3303/7"])["code"], "2.01");
    assert_eq!(guest.json(&["read", "filed", "/2/1"])["content"]["resources"]["1"]["value"], 65_535);
    let _ = std::fs::remove_file(file);
}
