//! Queue Mode as a user sees it: a device that sleeps, commands from a shell, what became of them.

mod program;

use program::{Server, command, eventually};
use serde_json::json;
use std::process::Stdio;

const SLEEPY: [&str; 3] = ["--queue-mode", "--awake", "1.5"];

fn await_sleep(server: &Server) {
    eventually("the device counts as asleep", || {
        (server.json(&["show", "meter"])["state"] == "asleep").then_some(())
    });
}

// Proves: QUE-02
#[test]
fn commands_from_a_shell_wait_for_a_device_that_sleeps() {
    let server = Server::start(&["--awake-window", "1"]);
    let mut device = server.device("meter", &SLEEPY);
    await_sleep(&server);
    let shown = server.ctl(&["show", "meter"]);
    assert!(shown.contains("asleep, expected 20") && shown.contains("Queue Mode"), "{shown}");
    let refused = server.ctl_refused(&["read", "meter", "/3/0/0"]);
    assert!(refused.contains("The device sleeps.") && refused.contains("try again in"), "{refused}");

    let queued = server.ctl(&["write", "meter", "/3303/0/5750", "attic", "--queue", "--not-after", "1h"]);
    assert!(queued.contains("waiting") && queued.contains("write /3303/0/5750"), "{queued}");
    let write = server.json(&["write", "meter", "/3303/0/5750", "cellar", "--queue", "--supersede"]);
    let execute = server.json(&["exec", "meter", "/3303/0/5605", "--queue"]);
    let mistake = server.json(&["read", "meter", "/3/0/99", "--queue"]);
    let regretted = server.json(&["read", "meter", "/3/0", "--queue"]);
    let cancelled = server.ctl(&["commands", "--cancel", regretted["id"].as_str().unwrap()]);
    assert!(cancelled.contains("cancelled"), "{cancelled}");
    let shown = server.ctl(&["commands", regretted["id"].as_str().unwrap()]);
    assert_eq!(shown, server.ctl(&["commands", "--show", regretted["id"].as_str().unwrap()]));
    let states = || {
        let listed = server.json(&["commands", "meter"]);
        let items = listed["items"].as_array().unwrap().iter().rev();
        items.map(|item| item["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states(), ["superseded", "waiting", "waiting", "waiting", "cancelled"]);
    let id = |one: &serde_json::Value| one["id"].as_str().unwrap().to_owned();
    let moved = server.ctl(&["commands", "--move", &id(&mistake), "--before", &id(&write)]);
    assert!(moved.contains(&id(&mistake)) && moved.contains("waiting"), "{moved}");
    server.ctl(&["commands", "--move", &id(&execute), "--first"]);
    server.ctl(&["commands", "--move", &id(&write), "--priority", "-1"]);
    let table = server.ctl(&["commands", "meter"]);
    let at = |one| table.find(&id(one)).unwrap_or_else(|| panic!("not listed: {table}"));
    assert!(
        at(&execute) < at(&mistake) && at(&mistake) < at(&write) && at(&write) < at(&regretted),
        "{table}"
    );
    let usage = command(&["ctl", "commands", "--move", &id(&write)]).output().expect("ctl runs");
    assert_eq!(usage.status.code(), Some(2), "it has to say where to");
    let over = server.ctl_refused(&["commands", "--move", &id(&regretted), "--last"]);
    assert!(over.contains("It no longer waits.") && over.contains("is cancelled"), "{over}");

    assert_eq!(device.say("update"), "ok");
    eventually("every command has ended", || {
        (states() == ["superseded", "done", "done", "refused", "cancelled"]).then_some(())
    });
    let told = server.ctl(&["commands", "--show", write["id"].as_str().unwrap()]);
    assert!(told.contains("done") && told.contains("outcome      2.04"), "{told}");
    let refused = server.json(&["commands", "--show", mistake["id"].as_str().unwrap()]);
    assert_eq!((&refused["answer"]["code"], &refused["attempts"]), (&json!("4.04"), &json!(1)));
    let table = server.ctl(&["commands", "meter"]);
    assert!(table.contains("OUTCOME") && table.contains("4.04") && table.contains("superseded"), "{table}");
    let events = server.ctl(&["events", "--endpoint", "meter", "--type", "command_done"]);
    assert!(
        events.contains(&format!("{} done execute /3303/0/5605", execute["id"].as_str().unwrap())),
        "{events}"
    );

    // The device is awake now, and a caller may wait for the next time.
    assert_eq!(server.json(&["read", "meter", "/3303/0/5750"])["content"]["value"], "cellar");
    await_sleep(&server);
    let url = format!("http://{}", server.http);
    let waiting = command(&["ctl", "--url", &url, "--json", "read", "meter", "/3/0/0", "--wait", "30s"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("ctl runs");
    assert_eq!(device.say("update"), "ok");
    let output = waiting.wait_with_output().expect("ctl ends");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an answer");
    assert_eq!(answer["content"]["value"], "Lightship");
}

#[test]
fn events_tell_which_paths_a_composite_command_is_about() {
    let server = Server::start(&["--awake-window", "1"]);
    let _device = server.device("meter", &SLEEPY);
    await_sleep(&server);
    server.ctl(&["composite", "read", "meter", "/3/0/9", "/1/0", "--queue"]);
    let told = server.ctl(&["events", "--type", "command_queued"]);
    assert!(told.contains("waiting read-composite /3/0/9 /1/0"), "{told}");
}
