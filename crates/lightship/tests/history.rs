//! What a device has told, as a user asks for it.

mod program;

use program::{Server, eventually};

#[test]
fn the_history_of_a_value_is_listed_and_written_as_a_table() {
    let server = Server::start(&[]);
    let mut device = server.device("probe", &[]);
    server.ctl(&["observe", "probe", "/3303/0/5700"]);
    for value in [30.5, 31.5, -3.5] {
        assert!(device.say(&format!("set /3303/0/5700 {value}")).starts_with("ok"));
        eventually("the value is told", || {
            server.json(&["history", "probe", "/3303/0/5700", "--limit", "5"])["items"]
                .as_array()
                .is_some_and(|items| items.iter().any(|item| item["value"] == value))
                .then_some(())
        });
    }
    let table = server.ctl(&["history", "probe", "/3303/0/5700", "--from", "1h"]);
    assert!(table.starts_with("TIME") && table.contains("VALUE") && table.contains("  -3.5"), "{table}");
    let (last, before) = (table.find("-3.5").unwrap(), table.find("30.5").unwrap());
    assert!(last < before, "what was heard last comes first: {table}");

    // Texts of several Resources; what looks like a formula is none.
    server.ctl(&["write", "probe", "/3303/0/5750", "=1+1"]);
    assert!(device.say("send /3303/0/5750 /3303/0/5601").starts_with("ok"));
    let csv = eventually("the Send is told", || {
        let csv = server.ctl(&["history", "probe", "/3303/0", "--csv"]);
        csv.contains("/3303/0/5750").then_some(csv)
    });
    assert!(csv.starts_with("time,received_at,path,type,value,source,event\r\n"), "{csv}");
    assert!(csv.contains(",/3303/0/5750,string,\"'=1+1\",sent,"), "{csv}");
    assert!(csv.contains(",/3303/0/5700,float,-3.5,notified,"), "{csv}");
    let named = server.ctl(&["history", "probe", "/3303/0"]);
    assert!(named.contains("Application Type") && named.contains("=1+1"), "{named}");

    assert!(server.ctl(&["history", "probe", "/6"]).contains("has told nothing of /6"));
    let refused = server.ctl_refused(&["history", "probe", "/3303", "--from", "1h", "--to", "2h"]);
    assert!(refused.contains("later than"), "{refused}");
    let refused = server.ctl_refused(&["history", "nobody", "/3303"]);
    assert!(refused.contains("not registered"), "{refused}");

    let log = server.ctl(&["log", "probe"]);
    assert!(log.lines().next().unwrap().contains(" sent probe"), "what came last comes first: {log}");
    assert!(log.lines().last().unwrap().contains(" registered probe"), "{log}");
    let json = server.json(&["log", "probe", "--type", "notified", "--limit", "2"]);
    assert_eq!(json["items"].as_array().map(Vec::len), Some(2), "{json}");
    assert!(json["next"].is_string(), "{json}");
    let refused = server.ctl_refused(&["log", "nobody"]);
    assert!(refused.contains("not registered"), "{refused}");
}
