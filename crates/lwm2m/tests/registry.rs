//! The embedded tables of the OMA registry: their size, and facts of well-known objects that were read off by hand.

use lightship_lwm2m::{
    DataType, ObjectId, ObjectVersion, ResourceId,
    object::{self, Operations, ResourceDefinition},
};

fn object(id: u16) -> ObjectId {
    ObjectId::new(id).expect("an object ID")
}

fn resource(object_id: u16, version: Option<(u8, u8)>, id: u16) -> Option<ResourceDefinition<'static>> {
    let version = version.map(|(major, minor)| ObjectVersion::new(major, minor));
    object::resource(object(object_id), version, ResourceId::new(id).expect("a resource ID"))
}

#[test]
fn the_whole_registry_is_there() {
    let all: Vec<_> = object::objects().collect();
    assert_eq!(all.len(), 424);
    assert_eq!(all.iter().map(|definition| definition.resources().count()).sum::<usize>(), 4506);
    assert!(all.is_sorted_by_key(|definition| (definition.id, definition.version)));
    for definition in &all {
        assert!(!definition.name.is_empty());
        let ids: Vec<_> = definition.resources().map(|row| row.id).collect();
        assert!(ids.is_sorted(), "{} {}", definition.id, definition.version);
        for row in definition.resources() {
            assert_eq!(definition.resource(row.id), Some(row));
        }
        let found = object::lookup(definition.id, definition.version).expect("found again");
        assert_eq!(found.name, definition.name);
    }
}

#[test]
fn versions_of_the_core_objects() {
    let versions = |id: u16| -> Vec<String> {
        object::objects()
            .filter(|definition| definition.id == object(id))
            .map(|row| row.version.to_string())
            .collect()
    };
    assert_eq!(versions(0), ["1.0", "1.1", "1.2"]);
    assert_eq!(versions(1), ["1.0", "1.1", "1.2"]);
    assert_eq!(versions(3), ["1.0", "1.1", "1.2"]);
    assert_eq!(versions(5), ["1.0", "1.1", "1.2"]);
    assert_eq!(versions(6), ["1.0"]);
    for (id, latest) in [(0, "1.2"), (2, "1.1"), (4, "1.3"), (7, "1.0"), (21, "2.0"), (3303, "1.1")] {
        assert_eq!(object::latest(object(id)).expect("known").version.to_string(), latest, "/{id}");
    }
    assert!(object::latest(object(65534)).is_none());
    assert!(object::lookup(object(3), ObjectVersion::new(9, 9)).is_none());
}

#[test]
fn facts_of_well_known_resources() {
    let lifetime = resource(1, None, 1).expect("Lifetime");
    assert_eq!(
        (lifetime.name, lifetime.operations, lifetime.data_type),
        ("Lifetime", Operations::READ_WRITE, Some(DataType::Integer))
    );
    assert!(lifetime.mandatory && !lifetime.multiple);
    assert_eq!(lifetime.units, "s");

    let battery = resource(3, None, 9).expect("Battery Level");
    assert_eq!((battery.name, battery.range_text), ("Battery Level", "0..100"));
    assert_eq!(battery.operations, Operations::READ);
    assert!(!battery.mandatory);

    let reboot = resource(3, Some((1, 0)), 4).expect("Reboot");
    assert_eq!((reboot.operations, reboot.data_type, reboot.mandatory), (Operations::EXECUTE, None, true));

    let sources = resource(3, None, 6).expect("Available Power Sources");
    assert!(sources.multiple && !sources.mandatory);

    let key = resource(0, None, 5).expect("Secret Key");
    assert_eq!((key.operations, key.data_type), (Operations::NONE, Some(DataType::Opaque)));

    let oscore = resource(0, None, 17).expect("OSCORE Security Mode");
    assert_eq!(oscore.data_type, Some(DataType::ObjectLink));

    let sensor = resource(3303, None, 5700).expect("Sensor Value");
    assert_eq!(
        (sensor.data_type, sensor.mandatory, sensor.operations),
        (Some(DataType::Float), true, Operations::READ)
    );

    assert_eq!(
        resource(2, None, 2).map(|row| (row.multiple, row.operations)),
        Some((true, Operations::READ_WRITE))
    );
    assert_eq!(resource(6, None, 5).and_then(|row| row.data_type), Some(DataType::Time));
    assert_eq!(resource(7, None, 6).map(|row| row.operations), Some(Operations::EXECUTE));
    assert_eq!(
        resource(16, None, 0).map(|row| (row.multiple, row.data_type)),
        Some((true, Some(DataType::String)))
    );
}

#[test]
fn versions_differ_where_the_registry_says_so() {
    assert!(resource(0, Some((1, 0)), 13).is_none());
    assert!(resource(0, Some((1, 1)), 13).is_some());
    assert!(resource(1, Some((1, 0)), 9).is_none());
    assert_eq!(resource(1, Some((1, 1)), 9).map(|row| row.operations), Some(Operations::EXECUTE));
    assert!(resource(1, Some((1, 1)), 26).is_none());
    assert!(resource(1, Some((1, 2)), 26).is_some());
    assert!(resource(5, Some((1, 0)), 10).is_none());
    assert!(resource(5, Some((1, 1)), 10).is_some());
    assert!(resource(5, Some((1, 1)), 14).is_none());
    assert!(resource(5, Some((1, 2)), 14).is_some());
    assert_eq!(resource(21, Some((1, 1)), 0).and_then(|row| row.data_type), Some(DataType::String));
    assert_eq!(resource(21, Some((2, 0)), 0).and_then(|row| row.data_type), Some(DataType::Opaque));
    assert_eq!(resource(3, Some((1, 1)), 11).map(|row| row.range_text), Some("0..8"));
    assert_eq!(resource(3, Some((1, 2)), 11).map(|row| row.range_text), Some("0..32"));
}

#[test]
fn the_test_objects_have_every_data_type() {
    let types = |id: u16| -> std::collections::BTreeSet<DataType> {
        let definition = object::latest(object(id)).expect("known");
        definition.resources().filter_map(|row| row.data_type).collect()
    };
    assert_eq!(types(3442).len(), 9, "{:?}", types(3442));
    assert_eq!(types(3441).len(), 7, "{:?}", types(3441));
    assert_eq!(
        object::latest(object(3442)).map(|definition| definition.name),
        Some("LwM2M v1.1 Test Object")
    );
}

/// A look-up by the compiler, as the derive macro does it.
const _: () = {
    let (Some(device), Some(battery)) = (ObjectId::new(3), ResourceId::new(9)) else {
        panic!("legal numbers")
    };
    let Some(row) = object::resource(device, None, battery) else { panic!("the registry has it") };
    assert!(row.operations.readable() && !row.multiple && matches!(row.data_type, Some(DataType::Integer)));
};

#[cfg(feature = "alloc")]
mod loaded {
    use super::*;
    use lightship_lwm2m::object::{
        Definitions, InvalidDefinition, OwnedObjectDefinition, OwnedResourceDefinition,
    };

    fn row(id: u16, name: &str) -> OwnedResourceDefinition {
        OwnedResourceDefinition {
            id: ResourceId::new(id).expect("a resource ID"),
            name: name.into(),
            operations: Operations::READ,
            multiple: false,
            mandatory: true,
            data_type: Some(DataType::Float),
            range_text: String::new(),
            units: "Cel".into(),
        }
    }

    #[test]
    fn loaded_definitions_win() {
        let mut definitions = Definitions::new();
        assert_eq!(definitions.latest(object(3303)).map(|definition| definition.name), Some("Temperature"));
        let mut own = OwnedObjectDefinition::new(object(3303), "Oven");
        own.version = ObjectVersion::new(1, 1);
        let own = own.with_resources(vec![row(5701, "b"), row(5700, "a")]).expect("legal");
        assert!(definitions.load(own).is_none());
        let found = definitions.latest(object(3303)).expect("known");
        assert_eq!(found.name, "Oven");
        assert_eq!(found.resources().map(|row| row.name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found.resource(ResourceId::new(5701).expect("an ID")).map(|row| row.name), Some("b"));
        assert_eq!(
            definitions.lookup(object(3303), ObjectVersion::V1_0).map(|row| row.name),
            Some("Temperature")
        );
        assert_eq!(definitions.all().count(), 424, "one hides the embedded one");
    }

    // Proves: DAT-11
    #[test]
    fn the_best_definition_for_a_registered_version() {
        let definitions = Definitions::new();
        let version = |id: u16, major: u8, minor: u8| {
            definitions
                .best(object(id), ObjectVersion::new(major, minor))
                .map(|found| found.version.to_string())
        };
        assert_eq!(version(3, 1, 0).as_deref(), Some("1.0"));
        assert_eq!(version(3, 1, 9).as_deref(), Some("1.2"));
        assert_eq!(version(21, 1, 9).as_deref(), Some("1.1"));
        assert_eq!(version(21, 9, 0).as_deref(), Some("2.0"));
        assert_eq!(version(40000, 1, 0), None);
    }

    #[test]
    fn odd_definitions_are_refused() {
        let define = |rows| OwnedObjectDefinition::new(object(32769), "Own").with_resources(rows);
        let first = ResourceId::new(1).expect("an ID");
        assert_eq!(define(vec![row(1, "a"), row(1, "b")]), Err(InvalidDefinition::DuplicateResource(first)));
        let untyped = OwnedResourceDefinition { data_type: None, ..row(1, "a") };
        assert_eq!(define(vec![untyped]), Err(InvalidDefinition::MissingType(first)));
    }
}
