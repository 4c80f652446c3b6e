//! Registration as the settings of a device want it: by profile, and in the order of its accounts.

mod program;

use program::{Program, Server, eventually};

#[test]
fn a_device_names_its_profile_once_the_server_knows_it() {
    let server = Server::start(&[]);
    let mut device = server.device("one", &["--profile", "hash"]);
    let shown = server.json(&["show", "one"]);
    let profile = shown["profile_id"].as_str().expect("a profile").to_owned();
    assert!(profile.starts_with("5:"), "{profile}");
    // From here on the list is not sent; the server knows it all the same.
    assert_eq!(device.say("reconnect"), "ok");
    device.await_line("event registered");
    let again = eventually("the new registration is shown", || {
        let again = server.json(&["show", "one"]);
        (again["registration_id"] != shown["registration_id"]).then_some(again)
    });
    assert_eq!((&again["profile_id"], &again["objects"]), (&shown["profile_id"], &shown["objects"]));
}

#[test]
fn accounts_register_in_their_order_and_a_dead_one_may_hold_up_the_rest() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("device.toml");
    // Nobody answers at the first; whether the second is tried then, the first account decides.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    for (blocks, registers) in [(false, true), (true, false)] {
        let text = format!(
            "endpoint = \"ordered-{blocks}\"\nack-timeout = 0.2\nmax-retransmit = 0\n\
             [[account]]\nuri = \"coap://{}\"\npriority = 1\nfailure-block = {blocks}\n\
             retry-count = 1\nretry-timer = 1\nretry-sequence-delay = 1\nbootstrap-on-failure = false\n\
             [[account]]\nuri = \"coap://{}\"\npriority = 2\nshort-server-id = 7\n",
            silent.local_addr().expect("bound"),
            server.coap,
        );
        std::fs::write(&file, text).expect("written");
        let mut device = Program::start(&["device", "--config", file.to_str().expect("UTF-8")]);
        device.await_line("event failed ssid=1 reason=timeout");
        if registers {
            device.await_line("event registered ssid=7");
        } else {
            // Twice more the first is tried, and never the second.
            device.await_line("event failed ssid=1 reason=timeout");
            device.await_line("event failed ssid=1 reason=timeout");
        }
        assert_eq!(server.is_registered(&format!("ordered-{blocks}")), registers);
    }
}
