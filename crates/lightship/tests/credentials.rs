//! Credentials from the shell, and a server that keeps them: all of it the real program.

mod program;

use program::Server;

const KEY: &str = "6c69676874736869702d6b65792d3132";

#[test]
fn credentials_are_put_shown_listed_and_taken_away_without_a_key_in_sight() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.hex");
    std::fs::write(&key, format!("{KEY}\n")).expect("written");
    let key = key.to_str().expect("UTF-8");
    let mut seen = String::new();
    seen += &server.ctl(&["credentials", "put", "a", "--psk-identity", "id-a", "--psk-key-file", key]);
    seen += &server.ctl(&["credentials", "put", "b", "--x509"]);
    seen += &server.ctl(&["credentials", "put", "c", "--name", "meter 7"]);
    seen += &server.ctl(&["credentials", "put", "d", "--nosec"]);
    seen +=
        &server.ctl(&["credentials", "put", "a", "--bootstrap", "--psk-identity", "bs-a", "--psk-key", KEY]);
    // Another identity for the same key.
    seen += &server.ctl(&["credentials", "put", "a", "--psk-identity", "id-a2"]);
    let listed = server.ctl(&["credentials", "list"]);
    for part in ["id-a2", "endpoint's name", "meter 7", "nosec"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    assert!(!listed.contains("bs-a"), "{listed}");
    assert!(server.ctl(&["credentials", "list", "--bootstrap"]).contains("bs-a"));
    assert_eq!(server.json(&["credentials", "get", "a"])["key_set"], true);
    seen += &server.ctl(&["credentials", "get", "a", "--bootstrap"]);
    seen += &listed;
    assert!(!seen.contains(KEY), "{seen}");
    let refused =
        server.ctl_refused(&["credentials", "put", "x", "--psk-identity", "id-a2", "--psk-key", KEY]);
    assert!(refused.contains("\"a\" has it"), "{refused}");
    let refused = server.ctl_refused(&["credentials", "put", "x", "--psk-identity", "x", "--psk-key", "zz"]);
    assert!(refused.contains("no hex") && refused.contains("/key_hex"), "{refused}");
    server.ctl(&["credentials", "delete", "a"]);
    assert!(server.ctl_refused(&["credentials", "get", "a"]).contains("no such credential"));
    assert!(server.ctl(&["credentials", "get", "a", "--bootstrap"]).contains("bs-a"));
}
