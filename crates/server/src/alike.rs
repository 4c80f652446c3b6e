//! Registers that were read before. Devices of one kind say the same but for their names, so what they say is read once.

use core::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use lightship_coap::{Message, OptionNumber};
use lightship_lwm2m::Endpoint;

use crate::devices::SecretHash;
use crate::{Deviations, Terms};

/// What Registers said that were taken.
pub(crate) struct Alike {
    registers: HashTable<Entry>,
    hashes: SecretHash,
    /// What the Register says that is looked at.
    said: Vec<u8>,
}

struct Entry {
    /// All options but the name, and the body.
    said: Box<[u8]>,
    terms: Arc<Terms>,
    deviations: Deviations,
}

impl Alike {
    pub(crate) fn new(hashes: SecretHash) -> Self {
        Self { registers: HashTable::new(), hashes, said: Vec::new() }
    }

    /// What a Register says whose like was read before.
    pub(crate) fn find(
        &mut self,
        message: &Message<'_>,
        body: &[u8],
    ) -> Option<(Endpoint, Arc<Terms>, Deviations)> {
        let endpoint = Endpoint::new(self.put(message, body)?).ok()?;
        let found = |entry: &Entry| *entry.said == *self.said;
        let entry = self.registers.find(self.hashes.hash_one(&*self.said), found)?;
        Some((endpoint, entry.terms.clone(), entry.deviations))
    }

    /// Takes note of what a Register said that names its device, and nothing that others may have another meaning for.
    pub(crate) fn learn(
        &mut self,
        message: &Message<'_>,
        body: &[u8],
        terms: &Arc<Terms>,
        deviations: &Deviations,
    ) {
        if body.len() > BODY_MAX || self.put(message, body).is_none() {
            return;
        }
        if self.registers.len() >= REGISTERS_MAX {
            self.registers.clear();
        }
        let hashes = self.hashes;
        let hash = hashes.hash_one(&*self.said);
        if self.registers.find(hash, |entry| *entry.said == *self.said).is_none() {
            let entry = Entry { said: (&*self.said).into(), terms: terms.clone(), deviations: *deviations };
            self.registers.insert_unique(hash, entry, |entry| hashes.hash_one(&*entry.said));
        }
    }

    /// Writes down what the Register says beside its name, which comes back if it stands there once.
    fn put<'a>(&mut self, message: &Message<'a>, body: &[u8]) -> Option<&'a str> {
        self.said.clear();
        let mut name = None;
        for option in message.options() {
            if option.number == OptionNumber::URI_QUERY
                && let Some(value) = option.value.strip_prefix(b"ep=")
            {
                if name.replace(value).is_some() {
                    return None;
                }
                continue;
            }
            self.said.extend_from_slice(&option.number.0.to_be_bytes());
            // No option is longer than a datagram.
            self.said.extend_from_slice(&u16::try_from(option.value.len()).ok()?.to_be_bytes());
            self.said.extend_from_slice(option.value);
        }
        self.said.extend_from_slice(body);
        // Tells the body from options.
        self.said.extend_from_slice(&u32::try_from(body.len()).ok()?.to_be_bytes());
        core::str::from_utf8(name?).ok()
    }
}

/// Registers that are remembered; then all are forgotten, and read again.
const REGISTERS_MAX: usize = 256;
/// Bytes of a body that is remembered.
const BODY_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use lightship_coap::{Code, ContentFormat, Encoder, MessageId, Token, Type};
    use lightship_lwm2m::{Binding, Version};

    use super::*;
    use crate::ObjectList;

    fn register(number: u16, queries: &[&str]) -> Vec<u8> {
        let mut buffer = [0; 512];
        let token = Token::new(&number.to_be_bytes()).expect("a token");
        let mut message = Encoder::new(&mut buffer, Type::Con, Code::POST, MessageId(number), token);
        message.options().uri_path("rd").content_format(ContentFormat::LINK);
        for query in queries {
            message.options().uri_query(query);
        }
        let len = message.finish_with(b"</1/0>,</3/0>").expect("it fits");
        buffer[..len].to_vec()
    }

    fn terms() -> Arc<Terms> {
        Arc::new(Terms {
            version: Version::V1_1,
            lifetime_s: 60,
            binding: Binding::UDP,
            queue_mode: false,
            sms: None,
            attributes: Box::default(),
            objects: Arc::new(ObjectList::default()),
        })
    }

    #[test]
    fn whoever_says_the_same_but_for_its_name_is_known() {
        let mut alike = Alike::new(SecretHash { secret: 5 });
        let terms = terms();
        let one = register(1, &["ep=a", "lt=60", "lwm2m=1.1"]);
        let message = Message::parse(&one).expect("a message");
        assert!(alike.find(&message, message.payload()).is_none());
        alike.learn(&message, message.payload(), &terms, &Deviations::default());
        let mut find = |queries: &[&str], body: Option<&[u8]>| {
            let bytes = register(2, queries);
            let message = Message::parse(&bytes).expect("a message");
            let found = alike.find(&message, body.unwrap_or(message.payload()))?;
            assert!(Arc::ptr_eq(&found.1, &terms));
            Some(found.0.to_string())
        };
        assert_eq!(find(&["ep=b", "lt=60", "lwm2m=1.1"], None).as_deref(), Some("b"));
        assert_eq!(
            find(&["lt=60", "ep=c", "lwm2m=1.1"], None).as_deref(),
            Some("c"),
            "wherever the name stands"
        );
        for other in [
            &["ep=b", "lt=61", "lwm2m=1.1"][..],
            &["ep=b", "lt=60"],
            &["ep=b", "lt=60", "lwm2m=1.1", "b=U"],
            &["ep=b", "ep=b", "lt=60", "lwm2m=1.1"],
            &["lt=60", "lwm2m=1.1"],
            &["EP=b", "lt=60", "lwm2m=1.1"],
            &["ep=", "lt=60", "lwm2m=1.1"],
        ] {
            assert_eq!(find(other, None), None, "{other:?}");
        }
        assert_eq!(find(&["ep=b", "lt=60", "lwm2m=1.1"], Some(b"</1/0>,</3/1>")), None);
        assert_eq!(find(&["ep=b", "lt=60", "lwm2m=1.1"], Some(b"")), None);
    }

    #[test]
    fn no_more_are_kept_than_said() {
        let mut alike = Alike::new(SecretHash { secret: 5 });
        for number in 0..1000 {
            let bytes = register(number, &["ep=a", &format!("lt={number}")]);
            let message = Message::parse(&bytes).expect("a message");
            alike.learn(&message, message.payload(), &terms(), &Deviations::default());
            assert!(alike.registers.len() <= REGISTERS_MAX);
            assert!(alike.find(&message, message.payload()).is_some());
        }
    }
}
