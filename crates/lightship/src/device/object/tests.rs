//! Objects as servers and the user meet them.

use super::*;
use lightship_net::client_driver::Clock;
use lightship_platform::UnixTime;

fn set_of(objects: &[u16]) -> ObjectSet {
    let world = World::new(Clock::standing(UnixTime::from_secs(1_800_000_000)), [7; 32], "serial");
    let mut set = ObjectSet::new(world);
    for object in objects {
        set.add(ObjectId::new(*object).unwrap(), 1).unwrap();
    }
    set
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn shown(set: &ObjectSet, text: &str) -> Vec<String> {
    let at = path(text);
    let object = set.find(at.object_id().unwrap()).unwrap();
    let values = object.values(at.instance_id().unwrap()).into_iter();
    values
        .filter(|(here, _)| at.contains(*here))
        .map(|(here, value)| format!("{here}={}", crate::value_text::print(&value.as_value())))
        .collect()
}

fn execute(set: &mut ObjectSet, text: &str, arguments: &str) -> Result<(), Refusal> {
    let at = path(text);
    let arguments = Arguments::parse(arguments.as_bytes()).unwrap();
    let object = set.find_mut(at.object_id().unwrap()).unwrap();
    object.execute(at.instance_id().unwrap(), at.resource_id().unwrap(), arguments)
}

fn write(set: &mut ObjectSet, text: &str, value: Value<'_>) -> Result<(), Refusal> {
    let at = path(text);
    let object = set.find_mut(at.object_id().unwrap()).unwrap();
    object.edit(at.instance_id().unwrap())?;
    let written = object.write(at.resource_id().unwrap(), at.resource_instance_id(), value);
    if written.is_err() {
        object.abort();
        return written;
    }
    object.commit()
}

fn hand(set: &mut ObjectSet, text: &str, value: OwnedValue) -> Result<(), String> {
    let at = path(text);
    let object = set.find_mut(at.object_id().unwrap()).unwrap();
    object.set(at.instance_id().unwrap(), at.resource_id().unwrap(), at.resource_instance_id(), value)
}

#[test]
fn every_object_of_the_registry_can_be_built_with_legal_values() {
    let mut built = 0;
    for definition in object::objects() {
        if matches!(definition.id.get(), 0 | 1) {
            continue;
        }
        let mut set = set_of(&[]);
        set.add(definition.id, 1).unwrap();
        let object = set.find(definition.id).unwrap();
        for resource in object.definition().resources() {
            let here = Path::resource(definition.id, ObjectInstanceId::ZERO, resource.id);
            let values = object.values(ObjectInstanceId::ZERO).into_iter();
            for (at, value) in values.filter(|(at, _)| here.contains(*at)) {
                assert_eq!(Some(value.data_type()), resource.data_type, "{at}");
                assert!(
                    resource.range().allows(&value.as_value()),
                    "{at} = {value:?}: {}",
                    resource.range_text
                );
            }
            let must =
                resource.mandatory && resource.data_type.is_some() && !resource.operations.executable();
            assert!(
                !must || object.present(ObjectInstanceId::ZERO, resource.id).is_some(),
                "{here} is missing"
            );
        }
        built += 1;
    }
    assert!(built > 300, "{built}");
}

#[test]
fn test_object_starts_as_the_registry_says() {
    let set = set_of(&[3442, 3441]);
    assert_eq!(
        shown(&set, "/3442/0"),
        [
            "/3442/0/110=initial value",
            "/3442/0/120=1024",
            "/3442/0/125=9223372036854775808",
            "/3442/0/130=3.14159",
            "/3442/0/140=true",
            "/3442/0/150=0x0123456789abcdef",
            "/3442/0/160=2000-01-01T00:00:00Z",
            "/3442/0/170=3:0",
            "/3442/0/180=</3442>",
            "/3442/0/1110/0=initial value",
            "/3442/0/1120/0=1024",
            "/3442/0/1125/0=9223372036854775808",
            "/3442/0/1130/0=3.14159",
            "/3442/0/1140/0=true",
            "/3442/0/1150/0=0x0123456789abcdef",
            "/3442/0/1160/0=2000-01-01T00:00:00Z",
            "/3442/0/1170/0=3:0",
            "/3442/0/1180/0=</3442>",
        ]
    );
    assert!(!shown(&set, "/3441/0").iter().any(|line| line.contains("/125=") || line.contains("/180=")));
}

#[test]
fn test_object_resets_randomizes_and_clears() {
    let mut set = set_of(&[3442]);
    let initial = shown(&set, "/3442/0");
    execute(&mut set, "/3442/0/1", "").unwrap();
    let random = shown(&set, "/3442/0");
    assert_ne!(random, initial);
    execute(&mut set, "/3442/0/2", "").unwrap();
    assert_eq!(
        shown(&set, "/3442/0"),
        [
            "/3442/0/110=",
            "/3442/0/120=0",
            "/3442/0/125=0",
            "/3442/0/130=0",
            "/3442/0/140=false",
            "/3442/0/150=0x",
            "/3442/0/160=1970-01-01T00:00:00Z",
            "/3442/0/170=65535:65535",
            "/3442/0/180=",
        ]
    );
    execute(&mut set, "/3442/0/0", "").unwrap();
    assert_eq!(shown(&set, "/3442/0"), initial);
}

#[test]
fn test_object_lists_the_last_arguments() {
    let mut set = set_of(&[3442]);
    execute(&mut set, "/3442/0/3", "3='stringValue',4").unwrap();
    assert_eq!(shown(&set, "/3442/0/4"), ["/3442/0/4/3=stringValue", "/3442/0/4/4="]);
    execute(&mut set, "/3442/0/1", "").unwrap();
    assert_eq!(shown(&set, "/3442/0/4"), ["/3442/0/4/3=stringValue", "/3442/0/4/4="]);
    execute(&mut set, "/3442/0/3", "").unwrap();
    assert!(shown(&set, "/3442/0/4").is_empty());
}

#[test]
fn test_object_sends_in_the_format_and_with_the_patience_of_the_arguments() {
    let mut set = set_of(&[3442]);
    set.world.take_send();
    hand(&mut set, "/3442/0/6/0", OwnedValue::String("/3/0/0".to_owned())).unwrap();
    hand(&mut set, "/3442/0/6/4", OwnedValue::String("/3303".to_owned())).unwrap();
    let paths = vec![path("/3/0/0"), path("/3303")];
    let (json, two) = (Some(lightship_coap::ContentFormat::SENML_JSON), std::time::Duration::from_secs(2));
    for (arguments, wish) in [
        ("", SendWish::default()),
        ("0='110'", SendWish { format: json, patience: None }),
        ("1='2000',0='110'", SendWish { format: json, patience: Some(two) }),
    ] {
        execute(&mut set, "/3442/0/5", arguments).unwrap();
        assert_eq!(set.to_send(path("/3442/0/5")), Some((paths.clone(), wish)), "{arguments}");
    }
    for arguments in ["0", "0='0'", "0='x'", "1='0'", "1='-5'", "2='110'"] {
        assert_eq!(execute(&mut set, "/3442/0/5", arguments), Err(Refusal::BadValue), "{arguments}");
    }
    assert_eq!(set.to_send(path("/3442/0/3")), None);
}

#[test]
fn a_transaction_is_whole_or_nothing() {
    let mut set = set_of(&[3442]);
    let before = shown(&set, "/3442/0");
    let id = ObjectInstanceId::ZERO;
    let resource = |number| ResourceId::new(number).unwrap();
    let object = set.find_mut(ObjectId::new(3442).unwrap()).unwrap();
    object.edit(id).unwrap();
    object.write(resource(110), None, Value::String("new")).unwrap();
    object.abort();
    assert_eq!(shown(&set, "/3442/0"), before);
    write(&mut set, "/3442/0/110", Value::String("new")).unwrap();
    assert_eq!(shown(&set, "/3442/0/110"), ["/3442/0/110=new"]);
}

#[test]
fn values_out_of_range_are_refused_whoever_sets_them() {
    let mut set = set_of(&[3, 5]);
    assert!(hand(&mut set, "/3/0/9", OwnedValue::Integer(101)).is_err());
    hand(&mut set, "/3/0/9", OwnedValue::Integer(100)).unwrap();
    assert!(hand(&mut set, "/3/0/6", OwnedValue::Integer(1)).is_err(), "needs a resource instance");
    assert!(hand(&mut set, "/3/0/99", OwnedValue::Integer(1)).is_err(), "no such resource");
    assert_eq!(write(&mut set, "/5/0/11", Value::Integer(3)), Err(Refusal::BadValue));
    assert_eq!(write(&mut set, "/5/0/1", Value::String(&"x".repeat(256))), Err(Refusal::BadValue));
}

#[test]
fn a_sensor_moves_until_it_is_set_by_hand_and_remembers_extremes() {
    let mut set = set_of(&[3303]);
    let later = |set: &mut ObjectSet, seconds: u64| {
        set.world.advance_for_test(std::time::Duration::from_secs(seconds));
        let due = set.is_due();
        set.tick();
        due
    };
    assert!(!later(&mut set, 1));
    assert_eq!(shown(&set, "/3303/0/5700"), ["/3303/0/5700=21"]);
    assert!(later(&mut set, 1));
    assert_ne!(shown(&set, "/3303/0/5700"), ["/3303/0/5700=21"]);
    hand(&mut set, "/3303/0/5700", OwnedValue::Float(30.0)).unwrap();
    assert!(!later(&mut set, 60));
    assert_eq!(shown(&set, "/3303/0/5700"), ["/3303/0/5700=30"]);
    assert_eq!(shown(&set, "/3303/0/5602"), ["/3303/0/5602=30"]);
    hand(&mut set, "/3303/0/5700", OwnedValue::Float(10.0)).unwrap();
    assert_eq!(shown(&set, "/3303/0/5601"), ["/3303/0/5601=10"]);
    execute(&mut set, "/3303/0/5605", "").unwrap();
    assert_eq!(shown(&set, "/3303/0/5602"), ["/3303/0/5602=10"]);
    assert_eq!(shown(&set, "/3303/0/5601"), ["/3303/0/5601=10"]);
}

#[test]
fn the_devices_clock_runs_and_can_be_set() {
    let mut set = set_of(&[3]);
    let time = |set: &ObjectSet| shown(set, "/3/0/13");
    assert_eq!(time(&set), ["/3/0/13=2027-01-15T08:00:00Z"]);
    set.world.advance_for_test(std::time::Duration::from_secs(5));
    assert_eq!(time(&set), ["/3/0/13=2027-01-15T08:00:05Z"]);
    write(&mut set, "/3/0/13", Value::Time(946_684_800)).unwrap();
    set.world.advance_for_test(std::time::Duration::from_secs(2));
    assert_eq!(time(&set), ["/3/0/13=2000-01-01T00:00:02Z"]);
}

// Proves: OBJ-07
#[test]
fn power_sources_share_their_numbers() {
    let set = set_of(&[3]);
    let numbers = |resource: &str| -> Vec<String> {
        let lines = shown(&set, resource).into_iter();
        lines.filter_map(|line| Some(line.strip_prefix(resource)?.split_once('=')?.0.to_owned())).collect()
    };
    assert_eq!(numbers("/3/0/6"), ["/0", "/1"]);
    assert_eq!(numbers("/3/0/7"), numbers("/3/0/6"));
    assert_eq!(numbers("/3/0/8"), numbers("/3/0/6"));
}

// Proves: OBJ-06
#[test]
fn resetting_the_error_code_leaves_a_single_zero() {
    let mut set = set_of(&[3]);
    assert_eq!(shown(&set, "/3/0/11"), ["/3/0/11/0=0"]);
    hand(&mut set, "/3/0/11/0", OwnedValue::Integer(1)).unwrap();
    hand(&mut set, "/3/0/11/1", OwnedValue::Integer(2)).unwrap();
    execute(&mut set, "/3/0/12", "").unwrap();
    assert_eq!(shown(&set, "/3/0/11"), ["/3/0/11/0=0"]);
}

#[test]
fn reboot_asks_for_a_restart_once() {
    let mut set = set_of(&[3]);
    assert!(!set.world.take_restart());
    execute(&mut set, "/3/0/4", "").unwrap();
    assert!(set.world.take_restart());
    assert!(!set.world.take_restart());
}

// Proves: FWU-02
#[test]
fn firmware_is_installed_only_when_downloaded() {
    let mut set = set_of(&[3, 5]);
    assert_eq!(execute(&mut set, "/5/0/2", ""), Err(Refusal::NotAllowed));
    write(&mut set, "/5/0/0", Value::Opaque(b"2.0.1\nimage")).unwrap();
    assert_eq!(shown(&set, "/5/0/3"), ["/5/0/3=2"]);
    assert_eq!(shown(&set, "/5/0/7"), ["/5/0/7=2.0.1"]);
    assert_eq!(write(&mut set, "/5/0/0", Value::Opaque(b"other")), Err(Refusal::BadValue));
    execute(&mut set, "/5/0/2", "").unwrap();
    assert_eq!(shown(&set, "/5/0/3"), ["/5/0/3=3"]);
    for refused in [execute(&mut set, "/5/0/2", ""), execute(&mut set, "/5/0/10", "")] {
        assert_eq!(refused, Err(Refusal::NotAllowed));
    }
    assert_eq!(write(&mut set, "/5/0/0", Value::Opaque(&[0])), Err(Refusal::NotAllowed));
    set.world.advance_for_test(std::time::Duration::from_secs(3));
    assert!(set.is_due());
    set.tick();
    assert_eq!(shown(&set, "/5/0/3"), ["/5/0/3=0"]);
    assert_eq!(shown(&set, "/5/0/5"), ["/5/0/5=1"]);
    assert_eq!(shown(&set, "/3/0/3"), ["/3/0/3=2.0.1"]);
    assert!(set.world.take_restart());
}

// Proves: FWU-04
#[test]
fn firmware_is_dropped_by_an_empty_uri_or_a_zero_byte() {
    let mut set = set_of(&[5]);
    for (place, value) in [("/5/0/1", Value::String("")), ("/5/0/0", Value::Opaque(&[0]))] {
        write(&mut set, "/5/0/0", Value::Opaque(b"1.0\n")).unwrap();
        assert_eq!(shown(&set, "/5/0/3"), ["/5/0/3=2"]);
        write(&mut set, place, value).unwrap();
        assert_eq!(shown(&set, "/5/0/3"), ["/5/0/3=0"], "{place}");
        assert_eq!(shown(&set, "/5/0/5"), ["/5/0/5=0"], "{place}");
    }
    write(&mut set, "/5/0/0", Value::Opaque(b"1.0\n")).unwrap();
    execute(&mut set, "/5/0/10", "").unwrap();
    assert_eq!(shown(&set, "/5/0/5"), ["/5/0/5=10"]);
    write(&mut set, "/5/0/1", Value::String("coap://host/image")).unwrap();
    assert_eq!(shown(&set, "/5/0/5"), ["/5/0/5=9"], "this device only takes what is pushed");
}

#[test]
fn created_instances_get_what_their_creator_cannot_know() {
    let mut set = set_of(&[3303]);
    let object = set.find_mut(ObjectId::new(3303).unwrap()).unwrap();
    let second = ObjectInstanceId::new(1).unwrap();
    object.create(second).unwrap();
    object.commit().unwrap();
    assert!(object.present(second, ResourceId::new(5700).unwrap()).is_some());
    assert_eq!(object.create(second), Err(Refusal::BadValue));
    assert_eq!(object.delete(second), Ok(()));
    assert_eq!(object.delete(second), Err(Refusal::NotFound));
}

#[test]
fn a_single_object_stays_single() {
    let mut set = set_of(&[3]);
    assert!(set.add(ObjectId::new(3).unwrap(), 1).is_err());
    assert!(set.add(ObjectId::new(65_000).unwrap(), 1).is_err(), "unknown object");
}

// Proves: DAT-12
#[test]
fn each_release_is_served_the_objects_of_its_own_version() {
    let mut set = set_of(&[2, 3, 4, 5, 6, 7, 16, 3303, 3441, 3442]);
    let versions = |set: &ObjectSet| -> Vec<String> {
        let objects = (0..).map_while(|index| set.at(index)).map(|object| object.model());
        objects.map(|model| format!("{}={}", model.id, model.version)).collect()
    };
    let newest =
        ["2=1.1", "3=1.2", "4=1.3", "5=1.2", "6=1.0", "7=1.0", "16=1.0", "3303=1.1", "3441=1.0", "3442=1.0"];
    assert_eq!(versions(&set), newest);
    set.serve_as(Version::V1_0);
    let oldest =
        ["2=1.0", "3=1.0", "4=1.0", "5=1.0", "6=1.0", "7=1.0", "16=1.0", "3303=1.1", "3441=1.0", "3442=1.0"];
    assert_eq!(versions(&set), oldest);
    set.serve_as(Version::V1_1);
    let middle =
        ["2=1.0", "3=1.1", "4=1.2", "5=1.0", "6=1.0", "7=1.0", "16=1.0", "3303=1.1", "3441=1.0", "3442=1.0"];
    assert_eq!(versions(&set), middle);
    set.serve_as(Version::V1_2);
    assert_eq!(versions(&set), newest);

    // What the older version lacks is not there for the older server, and is still there for the newer one.
    let has = |set: &ObjectSet, at: &str| {
        let at = path(at);
        let object = set.at(set
            .objects
            .iter()
            .position(|object| Some(object.definition.id) == at.object_id())
            .unwrap());
        object.unwrap().has(at.instance_id().unwrap(), at.resource_id().unwrap())
    };
    for (release, at, present) in [
        (Version::V1_0, "/4/0/11", false),
        (Version::V1_1, "/4/0/11", true),
        (Version::V1_1, "/4/0/13", false),
        (Version::V1_2, "/4/0/13", true),
        (Version::V1_1, "/5/0/10", false),
        (Version::V1_2, "/5/0/10", true),
        (Version::V1_0, "/3/0/22", true),
    ] {
        set.serve_as(release);
        assert_eq!(has(&set, at), present, "{release} {at}");
    }
    set.serve_as(Version::V1_0);
    assert!(hand(&mut set, "/4/0/13", OwnedValue::Integer(1)).is_ok(), "the device itself has the newest");
}

// Proves: DAT-13
#[test]
fn single_objects_are_there_once_and_what_is_mandatory_in_them_too() {
    let set = set_of(&[2, 3, 4, 5, 6, 7, 16, 3303, 3441, 3442]);
    for object in (0..).map_while(|index| set.at(index)) {
        let model = object.model();
        let definition = object::lookup(model.id, model.version).unwrap();
        if !definition.multiple {
            let at = object.instance_from(0);
            assert_eq!(at, Some(ObjectInstanceId::ZERO), "/{}", model.id);
            assert_eq!(object.instance_from(1), None, "/{}", model.id);
        }
        let Some(instance) = object.instance_from(0) else { continue };
        for resource in definition.resources() {
            let here = Path::resource(model.id, instance, resource.id);
            let values = object_values(&set, here);
            if resource.operations.executable() {
                assert!(values.is_empty(), "{here} has a value");
            } else if resource.mandatory && !resource.multiple {
                assert_eq!(values, [here], "{here}");
            }
        }
    }
}

/// The paths of the values at and below a path.
fn object_values(set: &ObjectSet, at: Path) -> Vec<Path> {
    let object = set.find(at.object_id().unwrap()).unwrap();
    let values = object.values(at.instance_id().unwrap()).into_iter();
    values.map(|(here, _)| here).filter(|here| at.contains(*here)).collect()
}

// Proves: OBJ-10
#[test]
fn connectivity_and_location_are_there_to_be_read() {
    let set = set_of(&[4, 6]);
    for (number, mandatory) in [(4, &[0, 1, 2, 4][..]), (6, &[0, 1, 5])] {
        let id = ObjectId::new(number).unwrap();
        let object = set.find(id).unwrap();
        for resource in mandatory {
            let here = Path::resource(id, ObjectInstanceId::ZERO, ResourceId::new(*resource).unwrap());
            assert!(!object_values(&set, here).is_empty(), "{here}");
        }
        for resource in object.definition().resources() {
            let operations = resource.operations;
            assert!(operations.readable() && !operations.writable() && !operations.executable(), "{number}");
        }
    }
}

// Proves: OBJ-09
#[test]
fn a_factory_reset_forgets_what_was_set_and_the_clock_may_be_set_by_servers() {
    let mut set = set_of(&[3]);
    for (at, value) in [
        ("/3/0/13", Value::Time(946_684_800)),
        ("/3/0/14", Value::String("+05:00")),
        ("/3/0/15", Value::String("Asia/Karachi")),
    ] {
        write(&mut set, at, value).unwrap();
    }
    assert_eq!(shown(&set, "/3/0/13"), ["/3/0/13=2000-01-01T00:00:00Z"]);
    assert_eq!(shown(&set, "/3/0/14"), ["/3/0/14=+05:00"]);
    assert_eq!(shown(&set, "/3/0/15"), ["/3/0/15=Asia/Karachi"]);
    execute(&mut set, "/3/0/5", "").unwrap();
    assert_ne!(shown(&set, "/3/0/13"), ["/3/0/13=2000-01-01T00:00:00Z"]);
    assert_ne!(shown(&set, "/3/0/14"), ["/3/0/14=+05:00"]);
    assert_ne!(shown(&set, "/3/0/15"), ["/3/0/15=Asia/Karachi"]);
    assert!(set.world.take_restart(), "it registers anew");
}

#[test]
fn a_bootstrap_may_do_everything_and_counts_as_a_whole_or_not_at_all() {
    let mut set = set_of(&[2, 3, 3303]);
    let rights = ObjectId::new(2).unwrap();
    let five = ObjectInstanceId::new(5).unwrap();
    assert_eq!(
        set.find_mut(rights).unwrap().create(five),
        Err(Refusal::NotAllowed),
        "a single server may not"
    );
    let kept = |set: &ObjectSet| serde_json::to_string(&set.kept()).unwrap();
    for keeps in [false, true] {
        let before = kept(&set);
        set.bootstrap_begins();
        assert_eq!(set.find_mut(rights).unwrap().create(five), Ok(()));
        set.find_mut(rights).unwrap().commit().unwrap();
        set.find_mut(ObjectId::new(3303).unwrap()).unwrap().delete(ObjectInstanceId::ZERO).unwrap();
        // The user, too, does something meanwhile: an object that was not there.
        set.add(ObjectId::new(3304).unwrap(), 1).unwrap();
        assert!(
            kept(&set).starts_with(before.trim_end_matches(']')) || keeps,
            "half a bootstrap is not kept"
        );
        set.bootstrap_ends(keeps);
        assert_eq!(set.find(rights).unwrap().instance_ids().any(|id| id == five), keeps);
        assert_eq!(
            set.find(ObjectId::new(3303).unwrap()).unwrap().instance_ids().count(),
            usize::from(!keeps)
        );
        assert!(set.find(ObjectId::new(3304).unwrap()).unwrap().instance_ids().count() >= 1);
    }
}
