//! Objects derived from plain structs, used as the engine uses them.

use lightship_client::{
    Arguments, Array, Multiple, Object, Objects, Refusal, ResourceId, ResourceInstanceId, Single, Sink, Text,
    Value,
};
use lightship_lwm2m::{DataType, ObjectInstanceId};

#[derive(Object, Clone, Default)]
#[lwm2m(object = 3303, version = "1.1", execute(5605 = Self::reset))]
struct Temperature {
    #[resource(5700, read = Self::measured)]
    value: f32,
    #[resource(5601)]
    lowest: Option<f32>,
    #[resource(5701)]
    unit: Option<&'static str>,
    #[resource(5750)]
    application: Option<Text<16>>,
    resets: u32,
}

impl Temperature {
    fn reset(&mut self, _: Arguments<'_>) -> Result<(), Refusal> {
        self.lowest = None;
        self.resets += 1;
        Ok(())
    }

    fn measured(&self) -> Result<f32, Refusal> {
        if self.value.is_nan() { Err(Refusal::Later) } else { Ok(self.value) }
    }
}

#[derive(Object, Clone, Default)]
#[lwm2m(object = 2, check = Self::valid)]
struct AccessControl {
    #[resource(0)]
    object: u16,
    #[resource(1)]
    instance: u16,
    #[resource(2)]
    rights: Option<Array<u8, 2>>,
    #[resource(3)]
    owner: u16,
}

impl AccessControl {
    fn valid(&self) -> Result<(), Refusal> {
        if self.object == 0 { Err(Refusal::BadValue) } else { Ok(()) }
    }
}

#[derive(Default)]
struct Seen(Vec<(Option<u16>, String)>);

impl Sink for Seen {
    fn value(&mut self, value: Value<'_>) {
        self.0.push((None, format!("{value:?}")));
    }

    fn item(&mut self, id: ResourceInstanceId, value: Value<'_>) {
        self.0.push((Some(id.get()), format!("{value:?}")));
    }
}

fn iid(id: u16) -> ObjectInstanceId {
    ObjectInstanceId::new(id).expect("not 65535")
}

fn rid(id: u16) -> ResourceId {
    ResourceId::new(id).expect("not 65535")
}

fn item(id: u16) -> Option<ResourceInstanceId> {
    ResourceInstanceId::new(id)
}

fn read(object: &dyn Object, instance: u16, resource: u16) -> Result<Vec<(Option<u16>, String)>, Refusal> {
    let mut seen = Seen::default();
    object.read(iid(instance), rid(resource), &mut seen).map(|()| seen.0)
}

#[test]
fn the_model_comes_from_the_registry_in_ascending_order() {
    let object = Multiple::<Temperature, 1>::new();
    let model = object.model();
    assert!(model.multiple);
    let ids: Vec<u16> = model.resources.iter().map(|resource| resource.id.get()).collect();
    assert_eq!(ids, [5601, 5605, 5700, 5701, 5750]);
    let value = model.resource(rid(5700)).unwrap();
    assert_eq!((value.data_type, value.mandatory), (Some(DataType::Float), true));
    assert!(value.operations.readable() && !value.operations.writable());
    assert!(model.resource(rid(5605)).unwrap().operations.executable());
}

#[test]
fn absent_late_and_present_values_are_told_apart() {
    let mut object = Single::new(Temperature { value: 21.5, ..Temperature::default() });
    assert_eq!(read(&object, 0, 5700), Ok(vec![(None, "Float(21.5)".into())]));
    assert_eq!(read(&object, 0, 5601), Err(Refusal::NotFound));
    assert_eq!(read(&object, 1, 5700), Err(Refusal::NotFound));
    object.value = f32::NAN;
    assert_eq!(read(&object, 0, 5700), Err(Refusal::Later));
    assert!(object.has(iid(0), rid(5700)) && !object.has(iid(0), rid(5601)));
}

#[test]
fn nothing_of_a_transaction_shows_before_its_commit() {
    let mut object = Multiple::<AccessControl, 2>::new().creatable(AccessControl::default);
    object.create(iid(4)).unwrap();
    object.write(rid(0), None, Value::Integer(3)).unwrap();
    object.write(rid(2), item(1), Value::Integer(15)).unwrap();
    assert_eq!(object.instance_from(0), None);
    object.commit().unwrap();
    assert_eq!(object.instance_from(0), Some(iid(4)));
    assert_eq!(read(&object, 4, 2), Ok(vec![(Some(1), "Integer(15)".into())]));

    object.edit(iid(4)).unwrap();
    object.write(rid(0), None, Value::Integer(0)).unwrap();
    assert_eq!(object.commit(), Err(Refusal::BadValue), "the struct's own check");
    assert_eq!(read(&object, 4, 0), Ok(vec![(None, "Integer(3)".into())]));
}

#[test]
fn arrays_stay_sorted_and_bounded() {
    let mut array = Array::<u8, 2>::new();
    assert_eq!(array.insert(item(7).unwrap(), 1), Ok(()));
    assert_eq!(array.insert(item(3).unwrap(), 2), Ok(()));
    assert_eq!(array.insert(item(5).unwrap(), 3), Err(3));
    assert_eq!(array.iter().map(|(id, value)| (id.get(), *value)).collect::<Vec<_>>(), [(3, 2), (7, 1)]);
    assert_eq!(array.remove(item(3).unwrap()), Some(2));
    assert_eq!(array.insert(item(5).unwrap(), 3), Ok(()));
    assert_eq!(array.iter().map(|(id, _)| id.get()).collect::<Vec<_>>(), [5, 7]);
}

#[test]
fn a_value_that_does_not_fit_is_refused() {
    let mut object = Multiple::<AccessControl, 1>::new().with(0, AccessControl::default());
    object.edit(iid(0)).unwrap();
    assert_eq!(object.write(rid(0), None, Value::Integer(70_000)), Err(Refusal::BadValue));
    assert_eq!(object.write(rid(0), None, Value::String("3")), Err(Refusal::BadValue));
    assert_eq!(object.write(rid(0), item(0), Value::Integer(3)), Err(Refusal::BadValue));
    assert_eq!(object.write(rid(2), None, Value::Integer(3)), Err(Refusal::BadValue));
    object.abort();
}

#[test]
fn tuples_slices_and_boxes_are_sets_of_objects() {
    fn ids(objects: &(impl Objects + ?Sized)) -> Vec<u16> {
        (0..).map_while(|index| objects.at(index)).map(|object| object.model().id.get()).collect()
    }
    let mut temperature = Single::new(Temperature::default());
    let mut rights = Multiple::<AccessControl, 1>::new();
    assert_eq!(ids(&(temperature.clone(), rights.clone())), [3303, 2]);
    let slice: &mut [&mut dyn Object] = &mut [&mut temperature, &mut rights];
    assert_eq!(ids(slice), [3303, 2]);
}

#[test]
fn handlers_run_on_the_instance() {
    let mut object = Single::new(Temperature { lowest: Some(1.0), ..Temperature::default() });
    assert_eq!(object.execute(iid(0), rid(5605), Arguments::NONE), Ok(()));
    assert_eq!((object.lowest, object.resets), (None, 1));
    assert_eq!(object.execute(iid(0), rid(5700), Arguments::NONE), Err(Refusal::NotAllowed));
}

#[test]
fn execute_arguments_follow_the_grammar() {
    for good in ["", "0", "0,1", "2='a'", "0='a,b',9=''", "5='!#$%&()*+-./:;<=>?@[]^_`{|}~'"] {
        assert!(Arguments::parse(good.as_bytes()).is_some(), "{good}");
    }
    for bad in
        ["a", "10", "0,", ",0", "0='a", "0=a", "0,0", "0=' '", "0='\"'", "0='\\'", "0 ,1", "0, 1", "0=''x"]
    {
        assert!(Arguments::parse(bad.as_bytes()).is_none(), "{bad}");
    }
    let parsed = Arguments::parse(b"0='a,b',9,3=''").unwrap();
    assert_eq!(parsed.iter().collect::<Vec<_>>(), [(0, Some("a,b")), (9, None), (3, Some(""))]);
}
