//! What becomes of the access rights of a server that a bootstrap takes away.

use lightship_client::{Account, Array, Config};
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::ResourceInstanceId;

use crate::bench::{Bench, Reply, Rights, Temperature, account};

const NOBODY: u16 = 65_535;

fn rights(object: u16, instance: u16, owner: u16, acl: &[(u16, u16)]) -> Rights {
    let mut list = Array::new();
    for (server, rights) in acl {
        list.insert(ResourceInstanceId::new(*server).expect("legal"), *rights).expect("room");
    }
    Rights { object, instance, owner, acl: Some(list) }
}

fn shown(bench: &Bench, entry: u16) -> Option<(u16, Vec<(u16, u16)>)> {
    let rights = bench.client.objects().2.get(entry)?;
    let acl = rights.acl.iter().flat_map(|acl| acl.iter().map(|(id, rights)| (id.get(), *rights)));
    Some((rights.owner, acl.collect()))
}

/// A bootstrap that replaces the server 1 by the server 7.
fn replace_server(bench: &mut Bench) {
    let own = bench.client.add_account(Account::bootstrap("coap://bs.example")).expect("room");
    bench.id = own;
    assert!(bench.client.bootstrap(bench.now));
    bench.drain();
    let request = bench.take();
    bench.answer(&request, Code::CHANGED, |_| {});
    let security = br#"[{"bn":"/0/5/","n":"0","vs":"coap://new.example"},{"n":"1","vb":false},{"n":"2","v":3},{"n":"10","v":7}]"#;
    let server =
        br#"[{"bn":"/1/3/","n":"0","v":7},{"n":"1","v":600},{"n":"6","vb":true},{"n":"7","vs":"U"}]"#;
    let json = ContentFormat::SENML_JSON;
    for path in ["/0/0", "/1/0"] {
        assert_eq!(bench.ask(Code::DELETE, path).code, Code::DELETED, "{path}");
    }
    assert_eq!(bench.send(Code::PUT, "/0/5", json, security).code, Code::CHANGED);
    // Whatever the rights say: the Bootstrap-Server reads all of them, and writes all that fits or nothing.
    assert!(bench.get("/2", json).text().contains("/2/5/"));
    let one_wrong = br#"[{"n":"/3311/0/5851","v":7},{"n":"/3311/1/5851","v":101}]"#;
    assert_eq!(bench.send(Code::PUT, "/3311", json, one_wrong).code, Code::BAD_REQUEST);
    assert_eq!(bench.client.objects().3.get(0).and_then(|light| light.dimmer), None);
    assert_eq!(bench.send(Code::PUT, "/99/0/1", ContentFormat::TEXT, b"1").code, Code::BAD_REQUEST);
    assert_eq!(bench.send(Code::PUT, "/1/3", json, server).code, Code::CHANGED);
    bench.ask_with(Code::POST, "/bs", |_| {}, &[]);
    let finished = bench.sent.iter().find(|(to, _)| *to == own).map(|(_, sent)| Reply::new(sent).code);
    assert_eq!(finished, Some(Code::CHANGED));
}

// Proves: BST-26
#[test]
fn rights_of_a_removed_server_go_and_what_it_owned_gets_an_heir_or_goes_too() {
    let mut bench = Bench::with(Config::new("a"), account(1, 300));
    let (_, temperatures, control, ..) = bench.client.objects_mut();
    for id in 1..=2 {
        temperatures.insert(id, Temperature::default()).unwrap_or_else(|_| panic!("room"));
    }
    let entries = [
        // Inherited by the server that may write it, not by one that is no account.
        rights(3303, 0, 1, &[(7, 3), (9, 15)]),
        // Nobody but the removed server reached it.
        rights(3303, 1, 1, &[(9, 15)]),
        // By default everybody may read it.
        rights(3303, 2, 1, &[(0, 1), (1, 15)]),
        // Owned by another one.
        rights(3311, 0, 7, &[(1, 15)]),
        // Nothing to do with it.
        rights(3, 0, 7, &[(9, 1)]),
        // The right to create.
        rights(3303, NOBODY, NOBODY, &[(1, 16), (7, 16)]),
    ];
    for (entry, id) in entries.into_iter().zip(0..) {
        control.insert(id, entry).unwrap_or_else(|_| panic!("room"));
    }
    bench.drain();
    replace_server(&mut bench);

    assert_eq!(shown(&bench, 0), Some((7, vec![(7, 3), (9, 15)])));
    assert_eq!(shown(&bench, 1), None);
    assert!(bench.client.objects().1.get(1).is_none(), "the instance goes with its rights");
    assert_eq!(shown(&bench, 2), Some((7, vec![(0, 1)])));
    assert_eq!(shown(&bench, 3), Some((7, vec![])));
    assert_eq!(shown(&bench, 4), Some((7, vec![(9, 1)])));
    assert_eq!(shown(&bench, 5), Some((NOBODY, vec![(7, 16)])));
    for left in [0, 2] {
        assert!(bench.client.objects().1.get(left).is_some(), "{left}");
    }
}
