//! What makes a configuration usable: the rules that a device checks at Bootstrap-Finish (4.06 when one is broken), and a
//! Bootstrap-Server before it sends anything. Core TS 1.2, 6.1.7.6 and E.1, E.2.
//!
//! What needs cryptography (whether a certificate can be read) is not looked at here.

use crate::{Binding, ObjectInstanceId, ShortServerId, Version};
use core::fmt;

/// The longest URI of a server in bytes.
pub const URI_LEN_MAX: usize = 255;
/// The longest pre-shared key in bytes: what every peer can take (RFC 4279 §5.3).
pub const PSK_LEN_MAX: usize = 64;
/// The longest identity of a pre-shared key in bytes (RFC 4279 §5.3).
pub const PSK_IDENTITY_LEN_MAX: usize = 128;

/// What counts of one instance of the Security object (0); `None` is a resource that is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecurityFacts<'a> {
    /// The instance.
    pub instance: ObjectInstanceId,
    /// Server URI, resource 0.
    pub uri: Option<&'a str>,
    /// Bootstrap-Server, resource 1.
    pub bootstrap: Option<bool>,
    /// Security Mode, resource 2: 0 pre-shared key, 1 raw public key, 2 certificate, 3 none, 4 certificate by EST.
    pub mode: Option<i64>,
    /// The length of Public Key or Identity, resource 3; 0 when absent.
    pub identity_len: usize,
    /// The length of Server Public Key, resource 4; 0 when absent.
    pub server_key_len: usize,
    /// The length of Secret Key, resource 5; 0 when absent.
    pub key_len: usize,
    /// Short Server ID, resource 10.
    pub short_server_id: Option<i64>,
    /// The instance of object 21 that resource 17 links to.
    pub oscore: Option<ObjectInstanceId>,
}

/// What counts of one instance of the Server object (1); `None` is a resource that is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerFacts<'a> {
    /// The instance.
    pub instance: ObjectInstanceId,
    /// Short Server ID, resource 0.
    pub short_server_id: Option<i64>,
    /// Lifetime, resource 1.
    pub lifetime_s: Option<i64>,
    /// Notification Storing, resource 6.
    pub notification_storing: Option<bool>,
    /// Binding, resource 7.
    pub binding: Option<&'a str>,
}

/// A whole configuration; the iterators give each instance once, in any order.
#[derive(Clone, Debug)]
pub struct Configuration<S, V, O> {
    /// The instances of object 0, the Bootstrap-Server's included.
    pub security: S,
    /// The instances of object 1.
    pub servers: V,
    /// The instances of object 21.
    pub oscore: O,
    /// Whether the device has object 2, without which it cannot serve several servers.
    pub has_access_control: bool,
}

/// What is wrong with a configuration, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Inconsistent {
    /// There is no server account.
    NoServer,
    /// More than one Bootstrap-Server account.
    TwoBootstrapServers(ObjectInstanceId),
    /// A resource of that instance of object 0 is absent that must be there.
    SecurityLacks(ObjectInstanceId, u16),
    /// A resource of that instance of object 1 is absent that must be there.
    ServerLacks(ObjectInstanceId, u16),
    /// A Short Server ID outside 1 to 65534, in that instance of object 0.
    SecurityShortServerId(ObjectInstanceId),
    /// A Short Server ID outside 1 to 65534, in that instance of object 1.
    ServerShortServerId(ObjectInstanceId),
    /// Two server accounts in object 0 have that Short Server ID.
    SecurityTwice(u16),
    /// Two instances of object 1 have that Short Server ID.
    ServerTwice(u16),
    /// No instance of object 1 has the Short Server ID of that instance of object 0.
    WithoutServer(ObjectInstanceId),
    /// No instance of object 0 has the Short Server ID of that instance of object 1.
    WithoutSecurity(ObjectInstanceId),
    /// The URI of that instance of object 0 is none, or has an unknown scheme.
    Uri(ObjectInstanceId),
    /// The scheme of the URI and the Security Mode of that instance of object 0 do not go together.
    UriAndMode(ObjectInstanceId),
    /// An unknown Security Mode.
    Mode(ObjectInstanceId),
    /// Keys that the Security Mode needs are missing, or too long.
    Credentials(ObjectInstanceId),
    /// The lifetime in that instance of object 1 is negative or longer than 32 bits.
    Lifetime(ObjectInstanceId),
    /// The binding in that instance of object 1 is none.
    Binding(ObjectInstanceId),
    /// That instance of object 0 links to OSCORE parameters that are not there.
    NoOscore(ObjectInstanceId),
    /// That instance of object 0 links to OSCORE parameters of another account.
    OscoreShared(ObjectInstanceId),
    /// Several servers on a device without access control.
    NoAccessControl,
}

impl fmt::Display for Inconsistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => f.write_str("no server account is left, so the device would register nowhere"),
            Self::TwoBootstrapServers(at) => write!(f, "/0/{at} is a second Bootstrap-Server account"),
            Self::SecurityLacks(at, resource) => write!(f, "/0/{at}/{resource} is missing"),
            Self::ServerLacks(at, resource) => write!(f, "/1/{at}/{resource} is missing"),
            Self::SecurityShortServerId(at) => {
                write!(f, "/0/{at}/10 is no Short Server ID, which is 1 to 65534")
            }
            Self::ServerShortServerId(at) => {
                write!(f, "/1/{at}/0 is no Short Server ID, which is 1 to 65534")
            }
            Self::SecurityTwice(ssid) => {
                write!(f, "two instances of object 0 have the Short Server ID {ssid}")
            }
            Self::ServerTwice(ssid) => write!(f, "two instances of object 1 have the Short Server ID {ssid}"),
            Self::WithoutServer(at) => {
                write!(f, "/0/{at} has no instance of object 1 with its Short Server ID")
            }
            Self::WithoutSecurity(at) => {
                write!(f, "/1/{at} has no instance of object 0 with its Short Server ID")
            }
            Self::Uri(at) => write!(f, "/0/{at}/0 is no URI that a device can reach a server by"),
            Self::UriAndMode(at) => {
                write!(f, "the scheme of /0/{at}/0 does not go with the mode in /0/{at}/2")
            }
            Self::Mode(at) => write!(f, "/0/{at}/2 is no Security Mode, which is 0 to 4"),
            Self::Credentials(at) => write!(f, "/0/{at} has no keys as its Security Mode needs them"),
            Self::Lifetime(at) => write!(f, "/1/{at}/1 is no lifetime"),
            Self::Binding(at) => write!(f, "/1/{at}/7 is no binding"),
            Self::NoOscore(at) => write!(f, "/0/{at}/17 links to no instance of object 21"),
            Self::OscoreShared(at) => {
                write!(f, "/0/{at}/17 links to the instance of object 21 of another account")
            }
            Self::NoAccessControl => {
                f.write_str("several servers need object 2, which the device does not have")
            }
        }
    }
}

impl core::error::Error for Inconsistent {}

impl<'s, S, V, O> Configuration<S, V, O>
where
    S: Iterator<Item = SecurityFacts<'s>> + Clone,
    V: Iterator<Item = ServerFacts<'s>> + Clone,
    O: Iterator<Item = ObjectInstanceId> + Clone,
{
    /// Checks the whole of it, without memory; the work grows with the square of the number of accounts.
    ///
    /// # Errors
    /// The first [`Inconsistent`] found.
    pub fn check(&self) -> Result<(), Inconsistent> {
        let mut bootstrap_seen = false;
        let mut accounts: usize = 0;
        for facts in self.security.clone() {
            let is_bootstrap = facts.bootstrap.ok_or(Inconsistent::SecurityLacks(facts.instance, 1))?;
            if is_bootstrap {
                if bootstrap_seen {
                    return Err(Inconsistent::TwoBootstrapServers(facts.instance));
                }
                bootstrap_seen = true;
            } else {
                accounts = accounts.saturating_add(1);
                self.check_pair(&facts)?;
            }
            check_security(&facts)?;
            self.check_oscore(&facts)?;
        }
        for facts in self.servers.clone() {
            self.check_server(&facts)?;
        }
        match accounts {
            0 => Err(Inconsistent::NoServer),
            1 => Ok(()),
            _ if self.has_access_control => Ok(()),
            _ => Err(Inconsistent::NoAccessControl),
        }
    }

    /// A server account has a Short Server ID of its own and exactly one instance of object 1 with the same.
    fn check_pair(&self, facts: &SecurityFacts<'_>) -> Result<(), Inconsistent> {
        let at = facts.instance;
        let number = facts.short_server_id.ok_or(Inconsistent::SecurityLacks(at, 10))?;
        let ssid = short_server_id(number).ok_or(Inconsistent::SecurityShortServerId(at))?;
        let same = |other: &SecurityFacts<'_>| {
            other.bootstrap != Some(true) && other.short_server_id == Some(number)
        };
        if self.security.clone().filter(same).count() > 1 {
            return Err(Inconsistent::SecurityTwice(ssid));
        }
        match self.servers.clone().filter(|server| server.short_server_id == Some(number)).count() {
            0 => Err(Inconsistent::WithoutServer(at)),
            1 => Ok(()),
            _ => Err(Inconsistent::ServerTwice(ssid)),
        }
    }

    fn check_oscore(&self, facts: &SecurityFacts<'_>) -> Result<(), Inconsistent> {
        let Some(link) = facts.oscore else { return Ok(()) };
        if !self.oscore.clone().any(|instance| instance == link) {
            return Err(Inconsistent::NoOscore(facts.instance));
        }
        if self.security.clone().filter(|other| other.oscore == Some(link)).count() > 1 {
            return Err(Inconsistent::OscoreShared(facts.instance));
        }
        Ok(())
    }

    fn check_server(&self, facts: &ServerFacts<'_>) -> Result<(), Inconsistent> {
        let at = facts.instance;
        let lacks = |resource| Inconsistent::ServerLacks(at, resource);
        let number = facts.short_server_id.ok_or(lacks(0))?;
        short_server_id(number).ok_or(Inconsistent::ServerShortServerId(at))?;
        let lifetime_s = facts.lifetime_s.ok_or(lacks(1))?;
        u32::try_from(lifetime_s).map_err(|_| Inconsistent::Lifetime(at))?;
        facts.notification_storing.ok_or(lacks(6))?;
        let binding = facts.binding.ok_or(lacks(7))?;
        let is_binding = [Version::V1_2, Version::V1_0].map(|version| Binding::parse(binding, version));
        if is_binding.iter().all(Option::is_none) {
            return Err(Inconsistent::Binding(at));
        }
        let ours = |security: SecurityFacts<'_>| {
            security.bootstrap == Some(false) && security.short_server_id == Some(number)
        };
        if self.security.clone().any(ours) { Ok(()) } else { Err(Inconsistent::WithoutSecurity(at)) }
    }
}

fn short_server_id(number: i64) -> Option<u16> {
    u16::try_from(number).ok().and_then(ShortServerId::new).map(ShortServerId::get)
}

fn check_security(facts: &SecurityFacts<'_>) -> Result<(), Inconsistent> {
    let at = facts.instance;
    let uri = facts.uri.ok_or(Inconsistent::SecurityLacks(at, 0))?;
    let is_secured = is_secured(uri).ok_or(Inconsistent::Uri(at))?;
    let mode = facts.mode.ok_or(Inconsistent::SecurityLacks(at, 2))?;
    let (identity, server, key) = (facts.identity_len, facts.server_key_len, facts.key_len);
    let has_keys = match mode {
        0 => (1..=PSK_IDENTITY_LEN_MAX).contains(&identity) && (1..=PSK_LEN_MAX).contains(&key),
        1 => identity > 0 && server > 0 && key > 0,
        // Whom to trust may follow from the usage of the certificate; one's own must be there.
        2 => identity > 0 && key > 0,
        3 => true,
        // The device gets its certificate itself, and needs to know whom it may trust with that.
        4 => server > 0,
        _ => return Err(Inconsistent::Mode(at)),
    };
    if is_secured == (mode == 3) {
        return Err(Inconsistent::UriAndMode(at));
    }
    if has_keys { Ok(()) } else { Err(Inconsistent::Credentials(at)) }
}

/// Whether the scheme of a server's URI asks for transport security; `None` when the text is no URI of a server: an unknown
/// scheme, no host, a port that is none.
#[must_use]
pub fn is_secured(uri: &str) -> Option<bool> {
    if uri.len() > URI_LEN_MAX || uri.chars().any(|char| char.is_control() || char == ' ') {
        return None;
    }
    let (scheme, rest) = uri.split_once("://")?;
    let secured = [("coap", false), ("coaps", true), ("coap+tcp", false), ("coaps+tcp", true)]
        .into_iter()
        .find(|(known, _)| scheme.eq_ignore_ascii_case(known))
        .map(|(_, secured)| secured)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<core::net::Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let has_port = |port: &str| {
        port.is_empty()
            || port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0)
    };
    let good = !host.is_empty() && !host.contains(['@', '<', '>', '"']) && port.is_none_or(has_port);
    good.then_some(secured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Removes something.
    type Take<T> = fn(&mut T);

    fn id(number: u16) -> ObjectInstanceId {
        ObjectInstanceId::new(number).expect("an ID")
    }

    fn security(instance: u16, ssid: i64) -> SecurityFacts<'static> {
        SecurityFacts {
            instance: id(instance),
            uri: Some("coap://lwm2m.example"),
            bootstrap: Some(false),
            mode: Some(3),
            identity_len: 0,
            server_key_len: 0,
            key_len: 0,
            short_server_id: Some(ssid),
            oscore: None,
        }
    }

    fn bootstrap_server(instance: u16) -> SecurityFacts<'static> {
        SecurityFacts { bootstrap: Some(true), short_server_id: None, ..security(instance, 0) }
    }

    fn server(instance: u16, ssid: i64) -> ServerFacts<'static> {
        ServerFacts {
            instance: id(instance),
            short_server_id: Some(ssid),
            lifetime_s: Some(300),
            notification_storing: Some(true),
            binding: Some("U"),
        }
    }

    fn check(security: &[SecurityFacts<'_>], servers: &[ServerFacts<'_>]) -> Result<(), Inconsistent> {
        let oscore = [id(5)];
        let (security, servers) = (security.iter().copied(), servers.iter().copied());
        Configuration { security, servers, oscore: oscore.into_iter(), has_access_control: true }.check()
    }

    #[test]
    fn accounts_pair_by_short_server_id() {
        assert_eq!(check(&[bootstrap_server(0), security(1, 7)], &[server(0, 7)]), Ok(()));
        assert_eq!(check(&[security(1, 7), security(2, 8)], &[server(0, 8), server(3, 7)]), Ok(()));
        for (security, servers, reason) in [
            ([].to_vec(), [].to_vec(), Inconsistent::NoServer),
            ([bootstrap_server(0)].to_vec(), [].to_vec(), Inconsistent::NoServer),
            (
                [bootstrap_server(0), bootstrap_server(4), security(1, 7)].to_vec(),
                [server(0, 7)].to_vec(),
                Inconsistent::TwoBootstrapServers(id(4)),
            ),
            ([security(1, 7)].to_vec(), [].to_vec(), Inconsistent::WithoutServer(id(1))),
            ([security(1, 7)].to_vec(), [server(0, 8)].to_vec(), Inconsistent::WithoutServer(id(1))),
            (
                [security(1, 7)].to_vec(),
                [server(0, 7), server(1, 9)].to_vec(),
                Inconsistent::WithoutSecurity(id(1)),
            ),
            (
                [security(1, 7), security(2, 7)].to_vec(),
                [server(0, 7)].to_vec(),
                Inconsistent::SecurityTwice(7),
            ),
            ([security(1, 7)].to_vec(), [server(0, 7), server(1, 7)].to_vec(), Inconsistent::ServerTwice(7)),
            ([security(1, 0)].to_vec(), [server(0, 0)].to_vec(), Inconsistent::SecurityShortServerId(id(1))),
            (
                [security(1, 65_535)].to_vec(),
                [server(0, 65_535)].to_vec(),
                Inconsistent::SecurityShortServerId(id(1)),
            ),
        ] {
            assert_eq!(check(&security, &servers), Err(reason));
        }
    }

    #[test]
    fn mandatory_resources_are_there() {
        let lacking_security: [(u16, Take<SecurityFacts<'_>>); 4] = [
            (0, |facts| facts.uri = None),
            (1, |facts| facts.bootstrap = None),
            (2, |facts| facts.mode = None),
            (10, |facts| facts.short_server_id = None),
        ];
        for (resource, take) in lacking_security {
            let mut facts = security(3, 7);
            take(&mut facts);
            assert_eq!(check(&[facts], &[server(0, 7)]), Err(Inconsistent::SecurityLacks(id(3), resource)));
        }
        let lacking_server: [(u16, Take<ServerFacts<'_>>); 3] = [
            (1, |facts| facts.lifetime_s = None),
            (6, |facts| facts.notification_storing = None),
            (7, |facts| facts.binding = None),
        ];
        for (resource, take) in lacking_server {
            let mut facts = server(2, 7);
            take(&mut facts);
            assert_eq!(check(&[security(0, 7)], &[facts]), Err(Inconsistent::ServerLacks(id(2), resource)));
        }
        let nameless = ServerFacts { short_server_id: None, ..server(2, 7) };
        assert_eq!(
            check(&[security(0, 7)], &[server(0, 7), nameless]),
            Err(Inconsistent::ServerLacks(id(2), 0))
        );
        for (lifetime_s, binding, reason) in [
            (-1, "U", Inconsistent::Lifetime(id(0))),
            (1 << 32, "U", Inconsistent::Lifetime(id(0))),
            (300, "X", Inconsistent::Binding(id(0))),
            (300, "", Inconsistent::Binding(id(0))),
        ] {
            let facts = ServerFacts { lifetime_s: Some(lifetime_s), binding: Some(binding), ..server(0, 7) };
            assert_eq!(check(&[security(0, 7)], &[facts]), Err(reason));
        }
    }

    // Bad inputs 296, 297.
    #[test]
    fn uri_mode_and_keys_go_together() {
        let with = |uri, mode, keys: [usize; 3]| {
            let [identity_len, server_key_len, key_len] = keys;
            let facts = SecurityFacts {
                uri: Some(uri),
                mode: Some(mode),
                identity_len,
                server_key_len,
                key_len,
                ..security(0, 7)
            };
            check(&[facts], &[server(0, 7)])
        };
        for (uri, mode, keys) in [
            ("coap://[::1]:5683/x?y", 3, [0, 0, 0]),
            ("coaps://h", 0, [1, 0, 64]),
            ("coaps+tcp://h:5684/", 1, [91, 91, 67]),
            ("COAPS://h", 2, [400, 0, 121]),
            ("coaps://192.0.2.1", 4, [0, 300, 0]),
            ("coap+tcp://h", 3, [9, 9, 9]),
        ] {
            assert_eq!(with(uri, mode, keys), Ok(()), "{uri}");
        }
        let long: std::string::String = "coap://".chars().chain(core::iter::repeat_n('h', 300)).collect();
        for uri in
            ["http://x", "coap://", "coap://[::1", "coap://h:0", "coap://h:99999", "h", "coap://a b", &long]
        {
            assert_eq!(with(uri, 3, [0; 3]), Err(Inconsistent::Uri(id(0))), "{uri}");
        }
        assert_eq!(with("coap://h", 9, [0; 3]), Err(Inconsistent::Mode(id(0))));
        for (uri, mode) in [("coaps://h", 3), ("coap://h", 0), ("coap://h", 2)] {
            assert_eq!(with(uri, mode, [9; 3]), Err(Inconsistent::UriAndMode(id(0))), "{uri} {mode}");
        }
        for (mode, keys) in [
            (0, [0, 0, 16]),
            (0, [9, 0, 0]),
            (0, [9, 0, 65]),
            (0, [129, 0, 16]),
            (1, [9, 0, 9]),
            (2, [9, 9, 0]),
            (4, [9, 0, 9]),
        ] {
            assert_eq!(
                with("coaps://h", mode, keys),
                Err(Inconsistent::Credentials(id(0))),
                "{mode} {keys:?}"
            );
        }
    }

    #[test]
    fn oscore_parameters_belong_to_one_account_and_several_servers_need_access_control() {
        let linked =
            |instance, ssid, oscore| SecurityFacts { oscore: Some(id(oscore)), ..security(instance, ssid) };
        assert_eq!(check(&[linked(0, 7, 5)], &[server(0, 7)]), Ok(()));
        assert_eq!(check(&[linked(0, 7, 6)], &[server(0, 7)]), Err(Inconsistent::NoOscore(id(0))));
        let two = [server(0, 7), server(1, 8)];
        assert_eq!(check(&[linked(0, 7, 5), linked(1, 8, 5)], &two), Err(Inconsistent::OscoreShared(id(0))));
        let security: Vec<_> = [security(0, 7), security(1, 8)].into();
        let poor = Configuration {
            security: security.iter().copied(),
            servers: two.iter().copied(),
            oscore: core::iter::empty(),
            has_access_control: false,
        };
        assert_eq!(poor.check(), Err(Inconsistent::NoAccessControl));
    }
}
