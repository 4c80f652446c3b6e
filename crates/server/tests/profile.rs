//! Profile IDs (LwM2M 1.2): learnt from a device that sends its list as well, good for all others.

mod common;

use common::{World, address, read};
use lightship_coap::Code;
use lightship_server::{Config, Limits};

const PID: &str = "6:1a2b3c4d";
const LIST: &str = "</>;ct=\"110 112\",</1/0>,</3/0>,</3303>;ver=1.1,</3303/0>";

/// Registers from an address of its own and returns the code and, if it was accepted, the location.
fn register(world: &mut World, name: &str, query: &str, list: &str) -> (Code, String) {
    let host = name.bytes().map(u32::from).sum::<u32>() % 250;
    let mut packet = world.register_packet(&format!("ep={name}&lt=300&lwm2m=1.2&b=U{query}"), list);
    if list.is_empty() {
        packet.options.retain(|(number, _)| *number != lightship_coap::OptionNumber::CONTENT_FORMAT);
    }
    let answers = world.send(address(&format!("192.0.2.{host}:5683")), &packet.bytes());
    let answer = read(&answers[0]);
    (answer.code(), answer.location_path().collect::<Vec<_>>().join("/"))
}

fn code(world: &mut World, name: &str, query: &str, list: &str) -> Code {
    register(world, name, query, list).0
}

fn objects(world: &World, name: &str) -> Vec<String> {
    let objects = &world.registration(name).expect("registered").details.objects;
    objects.objects.iter().map(|link| link.path.to_string()).collect()
}

// Proves: PRF-01, PRF-06
#[test]
fn a_profile_is_learnt_from_a_list_and_stands_for_it() {
    let mut world = World::new();
    let pid = format!("&pid={PID}");
    assert_eq!(code(&mut world, "a", &pid, ""), Code::CONFLICT, "nobody has said what it is");
    assert_eq!(code(&mut world, "a", &pid, LIST), Code::CREATED);
    assert_eq!(code(&mut world, "b", &pid, ""), Code::CREATED);
    let details = |name: &str| world.registration(name).expect("registered").details;
    assert_eq!(details("a").objects, details("b").objects);
    assert_eq!(details("b").objects.profile.as_deref(), Some(PID));
    assert!(details("b").objects.objects.iter().any(|link| link.version.is_some()), "versions belong to it");
    assert!(details("b").attributes.is_empty(), "it is no unknown parameter");
    assert_eq!(code(&mut world, "c", "&pid=6:00000000", ""), Code::CONFLICT, "another one");
}

// Proves: PRF-05
#[test]
fn profiles_and_list_count_together() {
    let mut world = World::new();
    code(&mut world, "a", "&pid=1:aa", "</1/0>,</3/0>");
    code(&mut world, "b", "&pid=v:more", "</1/0>,</3/0>,</5/0>");
    assert_eq!(code(&mut world, "c", "&pid=\"1:aa,v:more\"", "</6/0>,</3/0>"), Code::CREATED);
    assert_eq!(objects(&world, "c"), ["/1/0", "/3/0", "/5/0", "/6/0"]);
    let unknown = "&pid=\"1:aa,v:unknown\"";
    assert_eq!(code(&mut world, "d", unknown, "</6/0>"), Code::CONFLICT, "one of them is not known");
    assert_eq!(code(&mut world, "d", unknown, "</1/0>,</3/0>,</6/0>"), Code::CREATED, "the whole list");
    assert_eq!(code(&mut world, "e", "&pid=v:unknown", ""), Code::CONFLICT, "two at once teach nothing");
}

#[test]
fn a_part_of_a_list_teaches_nothing() {
    let mut world = World::new();
    assert_eq!(code(&mut world, "a", "&pid=1:aa", "</6/0>"), Code::CONFLICT);
    assert_eq!(code(&mut world, "b", "&pid=1:aa", ""), Code::CONFLICT);
}

#[test]
fn a_profile_that_means_different_things_is_forgotten() {
    let mut world = World::new();
    code(&mut world, "a", "&pid=1:aa", "</1/0>,</3/0>,</5/0>");
    assert_eq!(code(&mut world, "b", "&pid=1:aa", ""), Code::CREATED);
    assert_eq!(code(&mut world, "c", "&pid=1:aa", "</1/0>,</3/0>"), Code::CREATED);
    assert_eq!(objects(&world, "c"), ["/1/0", "/3/0"], "its own word counts");
    assert_eq!(code(&mut world, "d", "&pid=1:aa", ""), Code::CONFLICT);
}

#[test]
fn what_the_host_refuses_teaches_nothing() {
    let mut world = World::new();
    world.accept = Some(lightship_server::Answer::Refuse { code: Code::FORBIDDEN });
    assert_eq!(code(&mut world, "a", "&pid=1:aa", LIST), Code::FORBIDDEN);
    world.accept = Some(lightship_server::Answer::Accept { observations: Vec::new() });
    assert_eq!(code(&mut world, "b", "&pid=1:aa", ""), Code::CONFLICT);
}

#[test]
fn an_update_may_name_another_profile() {
    let mut world = World::new();
    code(&mut world, "a", "&pid=1:aa", "</1/0>,</3/0>,</5/0>");
    let (_, location) = register(&mut world, "b", "", "</1/0>,</3/0>");
    let host = address("192.0.2.98:5683");
    let update = world.update_packet(&location, "pid=1:aa");
    assert_eq!(world.ask(host, &update), Code::CHANGED);
    assert_eq!(objects(&world, "b"), ["/1/0", "/3/0", "/5/0"]);
    let update = world.update_packet(&location, "pid=1:bb");
    assert_eq!(world.ask(host, &update), Code::NOT_FOUND, "the device registers anew");
    let update = world.update_packet(&location, "pid=nonsense");
    assert_eq!(world.ask(host, &update), Code::BAD_REQUEST);
    assert_eq!(objects(&world, "b"), ["/1/0", "/3/0", "/5/0"]);
}

#[test]
fn older_devices_have_no_profiles() {
    let mut world = World::new();
    code(&mut world, "a", "&pid=1:aa", LIST);
    let packet = world.register_packet("ep=b&lt=300&lwm2m=1.1&pid=1:aa", "");
    assert_eq!(world.ask(address("192.0.2.98:5683"), &packet), Code::BAD_REQUEST);
}

#[test]
fn the_number_of_profiles_is_bounded_and_the_first_gives_way() {
    let limits = Limits { profiles: 3, ..Limits::default() };
    let mut world = World::with(Config { limits, ..Config::default() });
    for n in 0..5 {
        assert_eq!(code(&mut world, "a", &format!("&pid=1:{n}"), LIST), Code::CREATED);
    }
    for (n, expected) in [(1, Code::CONFLICT), (2, Code::CREATED), (4, Code::CREATED)] {
        assert_eq!(code(&mut world, "b", &format!("&pid=1:{n}"), ""), expected, "{n}");
    }
}
