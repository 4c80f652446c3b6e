//! A device's name as a copy.

use core::fmt;
use core::ops::Deref;

use lightship_lwm2m::Endpoint;

/// A device's name in an event that is told for each message: copied, since counting who holds the one text would make the
/// processors of shard and host wait for each other each time.
#[derive(Clone)]
pub struct Name(Inner);

#[derive(Clone)]
enum Inner {
    Short { len: u8, bytes: [u8; SHORT_LEN_MAX] },
    Long(Endpoint),
}

/// Names of up to so many bytes are copied; a `urn:uuid:` has 45.
const SHORT_LEN_MAX: usize = 54;

impl From<&Endpoint> for Name {
    fn from(endpoint: &Endpoint) -> Self {
        let name = endpoint.as_str().as_bytes();
        let mut bytes = [0; SHORT_LEN_MAX];
        Self(match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(name);
                Inner::Short { len, bytes }
            }
            _ => Inner::Long(endpoint.clone()),
        })
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Inner::Short { len, bytes } => {
                bytes.get(..usize::from(*len)).and_then(|name| str::from_utf8(name).ok()).unwrap_or_default()
            }
            Inner::Long(endpoint) => endpoint.as_str(),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_length_is_the_same_as_a_copy() {
        for len in 1..=200 {
            let endpoint =
                Endpoint::new(&"näme".chars().cycle().take(len).collect::<String>()).expect("a name");
            assert_eq!(&*Name::from(&endpoint), endpoint.as_str());
        }
    }
}
