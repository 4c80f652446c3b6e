//! Device management from end to end: each operation from the command line through REST to a device and back.

use crate::program::Server;
use serde_json::json;

// Proves: DAT-12
#[test]
fn an_older_device_shows_the_objects_of_its_release() {
    let server = Server::start(&[]);
    for (release, device_object, monitoring, signal) in
        [("1.0", "1.0", "1.0", "4.04"), ("1.1", "1.1", "1.2", "2.05"), ("1.2", "1.2", "1.3", "2.05")]
    {
        let _device = server.device(release, &["--lwm2m", release]);
        let shown = server.json(&["show", release]);
        assert_eq!(shown["lwm2m_version"], release);
        let version = |path: &str| {
            let objects = shown["objects"].as_array().expect("a list").iter();
            objects.clone().find(|entry| entry["path"] == path).map(|entry| entry["version"].clone())
        };
        assert_eq!(version("/1/0"), Some(json!(release)), "{shown}");
        assert_eq!(version("/3/0"), Some(json!(device_object)), "{shown}");
        assert_eq!(version("/4/0"), Some(json!(monitoring)), "{shown}");
        assert_eq!(version("/3303/0"), Some(json!("1.1")), "{shown}");
        // 4/0/11 Signal to noise ratio came with version 1.1 of the object.
        let answer = server.ctl_raw(&["read", release, "/4/0/11", "--json"]);
        let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("JSON");
        assert_eq!(answer["code"], signal, "{release}: {answer}");
    }
}
