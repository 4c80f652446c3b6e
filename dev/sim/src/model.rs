//! The reference model: what one device's data tree must answer, written from the standard and nothing else.
//!
//! It knows no CoAP and no engine. Since a lost answer leaves open whether its request was carried out, a
//! [`Possible`] holds every state that the device may be in, and each answer must be that of at least one of them.

use std::collections::{BTreeMap, BTreeSet};

use lightship_coap::Code;

/// How many instances of the object there is room for.
pub const ROOM: usize = 4;
/// The longest text that the application resource takes.
pub const TEXT_MAX: usize = 16;

/// Object 3303 of the device, and what the server attached to its nodes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Tree {
    /// Its instances.
    pub instances: BTreeMap<u16, Sensor>,
    /// `pmin` and `pmax` by node: the instance, and the resource if it is one's.
    pub attributes: BTreeMap<(u16, Option<u16>), BTreeMap<&'static str, u32>>,
}

/// One instance.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Sensor {
    /// What is measured: whole numbers, which grow.
    pub value: u32,
    /// What the server wrote.
    pub application: Option<String>,
    /// The arguments of each Execute.
    pub executed: Vec<String>,
}

/// The resources of an instance.
pub const VALUE: u16 = 5700;
/// The one that is written.
pub const APPLICATION: u16 = 5750;
/// The one that is executed.
pub const RESET: u16 = 5605;

/// What the server may ask. Values are texts for [`APPLICATION`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// Read the object.
    ReadObject,
    /// Read an instance.
    ReadInstance(u16),
    /// Read a resource.
    Read(u16, u16),
    /// Write a resource.
    Write(u16, u16, String),
    /// Write an instance whole, or what is named of it.
    WriteInstance {
        /// Which one.
        instance: u16,
        /// Whether what is not named goes.
        replace: bool,
        /// The new value.
        text: Option<String>,
    },
    /// Create an instance.
    Create(u16, Option<String>),
    /// Create several instances, or none of them.
    CreateBoth([u16; 2], String),
    /// Create an instance on whatever ID is free.
    CreateAnywhere,
    /// Delete one.
    Delete(u16),
    /// Read several nodes at once: what there is of them.
    ReadSeveral(Vec<(u16, Option<u16>)>),
    /// Write several resources at once, all or none.
    WriteSeveral(Vec<(u16, u16, String)>),
    /// Execute a resource.
    Execute(u16, u16, String),
    /// Attach attributes, or take them away (`None`).
    Attach {
        /// Which instance.
        instance: u16,
        /// Which resource of it, if not the instance itself.
        resource: Option<u16>,
        /// `pmin` or `pmax`.
        name: &'static str,
        /// Its value in seconds.
        value: Option<u32>,
    },
    /// Discover an instance.
    Discover(u16),
}

/// An answer: its code, and what it holds, as paths with values or attributes, in order.
pub type Reply = (Code, BTreeSet<(String, String)>);

impl Tree {
    /// Does what is asked.
    pub fn answer(&mut self, question: &Question) -> Reply {
        match self.act(question) {
            Ok((code, content)) => (code, content),
            Err(code) => (code, BTreeSet::new()),
        }
    }

    fn act(&mut self, question: &Question) -> Result<Reply, Code> {
        match question {
            Question::ReadObject => {
                let all = self.instances.keys().flat_map(|instance| self.values(*instance)).collect();
                Ok((Code::CONTENT, all))
            }
            Question::ReadInstance(instance) => {
                self.sensor(*instance)?;
                Ok((Code::CONTENT, self.values(*instance).collect()))
            }
            Question::Read(instance, resource) => {
                self.sensor(*instance)?;
                match *resource {
                    RESET => Err(Code::METHOD_NOT_ALLOWED),
                    wanted => {
                        let path = format!("/3303/{instance}/{wanted}");
                        let found: BTreeSet<_> =
                            self.values(*instance).filter(|(name, _)| *name == path).collect();
                        if found.is_empty() { Err(Code::NOT_FOUND) } else { Ok((Code::CONTENT, found)) }
                    }
                }
            }
            Question::ReadSeveral(nodes) => {
                let mut found = BTreeSet::new();
                for (instance, resource) in nodes {
                    let prefix = resource.map(|resource| format!("/3303/{instance}/{resource}"));
                    let asked = |name: &String| prefix.as_ref().is_none_or(|prefix| prefix == name);
                    found.extend(self.values(*instance).filter(|(name, _)| asked(name)));
                }
                Ok((Code::CONTENT, found))
            }
            Question::Discover(instance) => {
                let application = self.sensor(*instance)?.application.is_some();
                let resources = [Some(RESET), Some(VALUE), application.then_some(APPLICATION)];
                let nodes = core::iter::once(None).chain(resources.into_iter().flatten().map(Some));
                Ok((Code::CONTENT, nodes.map(|node| self.link(*instance, node)).collect()))
            }
            change => self.change(change),
        }
    }

    fn change(&mut self, question: &Question) -> Result<Reply, Code> {
        match question {
            Question::Write(instance, resource, text) => {
                self.sensor(*instance)?;
                match *resource {
                    VALUE | RESET => Err(Code::METHOD_NOT_ALLOWED),
                    APPLICATION => self.set(*instance, Some(text)),
                    _ => Err(Code::NOT_FOUND),
                }
            }
            Question::WriteInstance { instance, replace, text } => {
                self.sensor(*instance)?;
                match text {
                    None if *replace => {
                        self.sensor(*instance)?.application = None;
                        Ok(done(Code::CHANGED))
                    }
                    text => self.set(*instance, text.as_ref()),
                }
            }
            Question::WriteSeveral(values) => self.write_several(values),
            Question::Create(instance, text) => self.create(*instance, text.as_ref()),
            Question::CreateBoth(both, text) => self.create_both(*both, text),
            Question::CreateAnywhere => self.create_anywhere(),
            Question::Delete(instance) => {
                self.instances.remove(instance).ok_or(Code::NOT_FOUND)?;
                self.attributes.retain(|(of, _), _| of != instance);
                Ok(done(Code::DELETED))
            }
            Question::Execute(instance, resource, arguments) => {
                let sensor = self.sensor(*instance)?;
                match *resource {
                    RESET => sensor.executed.push(arguments.clone()),
                    // What is absent is judged before what it may be asked.
                    APPLICATION if sensor.application.is_none() => return Err(Code::NOT_FOUND),
                    VALUE | APPLICATION => return Err(Code::METHOD_NOT_ALLOWED),
                    _ => return Err(Code::NOT_FOUND),
                }
                Ok(done(Code::CHANGED))
            }
            Question::Attach { instance, resource, name, value } => {
                self.sensor(*instance)?;
                let attached = self.attributes.entry((*instance, *resource)).or_default();
                match value {
                    Some(value) => drop(attached.insert(*name, *value)),
                    None => drop(attached.remove(*name)),
                }
                Ok(done(Code::CHANGED))
            }
            read => unreachable!("{read:?} changes nothing"),
        }
    }

    fn create(&mut self, instance: u16, text: Option<&String>) -> Result<Reply, Code> {
        let fits = text.is_none_or(|text| text.len() <= TEXT_MAX);
        if self.instances.contains_key(&instance) || !fits {
            return Err(Code::BAD_REQUEST);
        }
        assert!(self.instances.len() < ROOM, "nobody asks for more");
        let sensor = Sensor { application: text.cloned(), ..Sensor::default() };
        self.instances.insert(instance, sensor);
        Ok(done(Code::CREATED))
    }

    fn create_both(&mut self, both: [u16; 2], text: &str) -> Result<Reply, Code> {
        if both.iter().any(|id| self.instances.contains_key(id)) || text.len() > TEXT_MAX {
            return Err(Code::BAD_REQUEST);
        }
        for id in both {
            let sensor = Sensor { application: Some(text.to_owned()), ..Sensor::default() };
            self.instances.insert(id, sensor);
        }
        Ok(done(Code::CREATED))
    }

    fn create_anywhere(&mut self) -> Result<Reply, Code> {
        if self.instances.len() == ROOM {
            return Err(Code::SERVICE_UNAVAILABLE);
        }
        let free = (0..).find(|id| !self.instances.contains_key(id)).expect("one is free");
        self.instances.insert(free, Sensor::default());
        Ok((Code::CREATED, BTreeSet::from([("location".to_owned(), format!("/3303/{free}"))])))
    }

    fn write_several(&mut self, values: &[(u16, u16, String)]) -> Result<Reply, Code> {
        // As with a Write of each: what is absent, then what may not be written, then what does not fit. What makes a
        // target wrong is found before any value is looked at.
        for (instance, resource, _) in values {
            let sensor = self.sensor(*instance)?;
            match *resource {
                APPLICATION if sensor.application.is_none() => return Err(Code::NOT_FOUND),
                APPLICATION => {}
                VALUE => return Err(Code::METHOD_NOT_ALLOWED),
                _ => return Err(Code::NOT_FOUND),
            }
        }
        if values.iter().any(|(.., text)| text.len() > TEXT_MAX) {
            return Err(Code::BAD_REQUEST);
        }
        for (instance, _, text) in values {
            self.sensor(*instance)?.application = Some(text.clone());
        }
        Ok(done(Code::CHANGED))
    }

    fn sensor(&mut self, instance: u16) -> Result<&mut Sensor, Code> {
        self.instances.get_mut(&instance).ok_or(Code::NOT_FOUND)
    }

    fn set(&mut self, instance: u16, text: Option<&String>) -> Result<Reply, Code> {
        if let Some(text) = text {
            if text.len() > TEXT_MAX {
                return Err(Code::BAD_REQUEST);
            }
            self.sensor(instance)?.application = Some(text.clone());
        }
        Ok(done(Code::CHANGED))
    }

    fn values(&self, instance: u16) -> impl Iterator<Item = (String, String)> {
        let sensor = self.instances.get(&instance);
        let value = sensor.map(|sensor| (VALUE, sensor.value.to_string()));
        let text = sensor.and_then(|sensor| Some((APPLICATION, sensor.application.clone()?)));
        let named = move |(resource, value)| (format!("/3303/{instance}/{resource}"), value);
        [value, text].into_iter().flatten().map(named)
    }

    fn link(&self, instance: u16, resource: Option<u16>) -> (String, String) {
        let path = match resource {
            None => format!("/3303/{instance}"),
            Some(resource) => format!("/3303/{instance}/{resource}"),
        };
        let attached = self.attributes.get(&(instance, resource)).into_iter().flatten();
        let attached: Vec<_> = attached.map(|(name, value)| format!("{name}={value}")).collect();
        (path, attached.join(";"))
    }
}

fn done(code: Code) -> Reply {
    (code, BTreeSet::new())
}

/// Every state that the device may be in, each with the answer to the question under way if it has been answered.
#[derive(Clone, Debug)]
pub struct Possible {
    states: BTreeSet<(Tree, Option<Reply>)>,
    open: Option<Question>,
}

impl Possible {
    /// The device is in this state.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        Self { states: BTreeSet::from([(tree, None)]), open: None }
    }

    /// A question is on its way: it will be carried out at any moment, once, or never.
    pub fn ask(&mut self, question: Question) {
        assert!(self.open.is_none(), "one at a time");
        self.open = Some(question);
        self.branch();
    }

    fn branch(&mut self) {
        let Some(question) = &self.open else { return };
        for (tree, answered) in self.states.clone() {
            if answered.is_none() {
                let mut tree = tree;
                let reply = tree.answer(question);
                self.states.insert((tree, Some(reply)));
            }
        }
    }

    /// Something happens on the device by itself, before or after the question under way.
    pub fn change(&mut self, change: impl Fn(&mut Tree)) {
        self.states = std::mem::take(&mut self.states)
            .into_iter()
            .map(|(mut tree, answered)| {
                change(&mut tree);
                (tree, answered)
            })
            .collect();
        self.branch();
    }

    /// This came back.
    ///
    /// # Panics
    /// When no state would have answered so.
    pub fn answered(&mut self, reply: &Reply) {
        let question = self.open.take().expect("a question is open");
        let all = std::mem::take(&mut self.states);
        let fitting = all.iter().filter(|(_, given)| given.as_ref() == Some(reply));
        self.states = fitting.map(|(tree, _)| (tree.clone(), None)).collect();
        assert!(!self.states.is_empty(), "{question:?} was answered {reply:?}; possible: {all:#?}");
    }

    /// Nothing came back, and nothing is on its way any more.
    pub fn unanswered(&mut self) {
        self.open = None;
        self.states = std::mem::take(&mut self.states).into_iter().map(|(tree, _)| (tree, None)).collect();
    }

    /// Whether the device may have these instances.
    #[must_use]
    pub fn has_instances(&self, instances: &BTreeMap<u16, Sensor>) -> bool {
        self.states.iter().any(|(possible, _)| possible.instances == *instances)
    }
}
