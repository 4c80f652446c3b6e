//! What is kept is what comes back, and a broken file is never taken for an empty one.

use super::*;
use crate::device::object::World;
use lightship_client::dtls::{Resumption, Suite};
use lightship_client::{Array, ObjectLink, Retry, Secret, SecurityMode, ShortServerId, Text, Tls};
use lightship_lwm2m::{ObjectId, ObjectInstanceId};
use lightship_net::client_driver::Clock;
use lightship_platform::UnixTime;
use std::collections::BTreeSet;
use std::sync::Arc;

fn objects() -> ObjectSet {
    let world = World::new(Clock::standing(UnixTime::from_secs(1_800_000_000)), [7; 32], "serial");
    let mut set = ObjectSet::new(Arc::clone(&world));
    let ids: BTreeSet<u16> = lightship_lwm2m::object::objects().map(|object| object.id.get()).collect();
    for id in ids.into_iter().filter(|id| *id > 1) {
        set.add(ObjectId::new(id).unwrap(), 1).unwrap();
    }
    set
}

/// An account with everything that there is.
fn full() -> Account {
    let link = ObjectLink { object: 21, instance: 3 };
    let mut account = Account::new(ShortServerId::new(65_534).unwrap(), "coaps://server.example:5684/x");
    account.security.instance = ObjectInstanceId::new(7).unwrap();
    account.security.mode = SecurityMode::Psk;
    account.security.identity = Secret::new(b"dev-7").unwrap();
    account.security.server_key = Secret::new(&[0, 1]).unwrap();
    account.security.key = Secret::new(&[0xff; 16]).unwrap();
    account.security.hold_off_s = Some(5);
    account.security.account_timeout_s = Some(0);
    account.security.matching_type = Some(1);
    account.security.server_name = Some(Text::new("server.example"));
    account.security.certificate_usage = Some(3);
    account.security.ciphersuites = Some(Array::from([0xc0a8, 0xc0ae, 0, 65_535]));
    account.security.tls = Tls {
        groups: Some(Array::from([0x17, 0x1d, 0, 1])),
        server_signatures: Some(Array::from([0x403, 1, 2, 3])),
        signatures: Some(Array::from([1, 0x403, 2, 3])),
        certificate_signatures: Some(Array::from([1, 2, 0x403, 3])),
        tls13_features: Some(0),
        server_extensions: Some(u32::MAX),
        extensions: Some(0x1001),
    };
    account.security.oscore = Some(link);
    account.server_instance = ObjectInstanceId::new(9).unwrap();
    account.lifetime_s = u32::MAX;
    account.default_pmin_s = Some(0);
    account.default_pmax_s = Some(60);
    account.disable_timeout_s = Some(7);
    account.notification_storing = false;
    account.binding = Text::new("UQ");
    account.apn_link = Some(link);
    account.tls_alert = Some(40);
    account.last_bootstrapped_s = Some(-1);
    account.priority = Some(2);
    account.initial_delay_s = Some(3);
    account.failure_block = Some(true);
    account.bootstrap_on_failure = Some(false);
    account.retry = Retry::new(1, 2, 3, 4);
    account.trigger = Some(true);
    account.preferred_transport = Some(Text::new("U"));
    account.mute_send = Some(false);
    account.alternate_apn_links = Some(Array::from([link, ObjectLink::NULL]));
    account.supported_versions = Some(Array::from(["1.0", "1.1", "1.2", "1.2.1"].map(Text::new)));
    account.confirmable_notifications = Some(true);
    account.profile_hash = Some(1);
    account
}

fn session() -> Resumption {
    Resumption {
        session_id: [1, 2, 3].into(),
        ticket: [4; 300].into(),
        master_secret: lightship_client::crypto::Secret::new(&[0xfe; 48]),
        suite: Suite::PskAes128Ccm8,
        extended_master_secret: true,
        note: [5].into(),
    }
}

fn kept(path: &Path, accounts: &[Account], attributes: &[(u16, LwPath, AttributeChange)], set: &ObjectSet) {
    let (mut file, _) = StateFile::open(path, "e").unwrap();
    let session = session();
    let sessions = [(Some(65_534), &session), (None, &session)];
    let accounts = (accounts.iter(), sessions.into_iter());
    file.keep("e", "2.0", accounts, attributes.iter().copied(), set).unwrap();
}

#[test]
fn what_is_kept_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let accounts = [full(), Account::bootstrap("coap://bootstrap.example")];
    let change = AttributeChange::parse(["pmin=5", "gt=-2.5", "con=1"]).unwrap();
    let attributes = [(65_534, "/3303/0/5700".parse().unwrap(), change)];
    let set = objects();
    assert!(StateFile::open(&path, "e").unwrap().1.is_none(), "no file, no state");
    kept(&path, &accounts, &attributes, &set);

    let (_, state) = StateFile::open(&path, "e").unwrap();
    let state = state.unwrap();
    assert_eq!(state.accounts, accounts);
    assert_eq!(state.sessions, [(Some(65_534), session()), (None, session())]);
    assert_eq!(state.attributes, attributes);
    assert_eq!(state.firmware, "2.0");
    // Every object of the registry, into a set that has nothing.
    let world = World::new(Clock::standing(UnixTime::from_secs(1_800_000_000)), [8; 32], "other");
    let mut again = ObjectSet::new(world);
    for object in &state.objects {
        again.restore(object).unwrap();
    }
    assert_eq!(again.iter().count(), set.iter().count());
    let shown = |set: &ObjectSet| -> Vec<String> {
        set.kept().iter().map(|node| serde_json::to_string(node).unwrap()).collect()
    };
    let other = shown(&again).into_iter().zip(shown(&set)).find(|(again, before)| again != before);
    assert_eq!(other, None);
    // An object whose instances are all gone stays without.
    let sensor = ObjectId::new(3303).unwrap();
    again.find_mut(sensor).unwrap().remove_instance(ObjectInstanceId::ZERO);
    kept(&path, &accounts, &[], &again);
    let mut set = objects();
    let state = StateFile::open(&path, "e").unwrap().1.unwrap();
    state.objects.iter().for_each(|object| set.restore(object).unwrap());
    assert_eq!(set.find(sensor).unwrap().instance_ids().count(), 0);
}

#[test]
fn the_file_is_the_owners_and_is_replaced_only_when_something_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let set = objects();
    kept(&path, &[full()], &[], &set);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let about = || fs::metadata(&path).unwrap();
        assert_eq!(about().permissions().mode() & 0o777, 0o600);
        let inode = about().ino();
        kept(&path, &[full()], &[], &set);
        assert_eq!(about().ino(), inode, "the same again is not written");
        kept(&path, &[], &[], &set);
        assert_ne!(about().ino(), inode, "the file is another one");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn a_broken_file_is_an_error_that_says_why_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    kept(&path, &[full()], &[], &objects());
    let good = fs::read_to_string(&path).unwrap();
    for (bad, words) in [
        (String::new(), "no state of a device"),
        (good[..good.len() / 2].to_owned(), "no state of a device"),
        ("{}".to_owned(), "no state of a device"),
        ("[1, 2]".to_owned(), "no state of a device"),
        (good.replace("_state\": 1", "_state\": 2"), "format 2"),
        (good.replace("\"endpoint\": \"e\"", "\"endpoint\": \"other\""), "belongs to \"other\""),
        (good.replace("\"priority\"", "\"pirority\""), "pirority"),
        (good.replace("\"mode\": 0", "\"mode\": 9"), "9 is no security mode"),
        (good.replace("65534", "65535"), "65535 is no Short Server ID"),
        (good.replace(&"ff".repeat(16), "fg"), "a key is no hex"),
    ] {
        assert_ne!(bad, good, "{words}: nothing was changed");
        fs::write(&path, &bad).unwrap();
        let error = StateFile::open(&path, "e").unwrap_err();
        assert!(error.contains(words) && error.contains("state.json"), "{words}: {error}");
        assert!(!error.contains("ffff"), "a key is told: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    for (from, to) in [("/3303\"", "/3303/0\""), ("\"5700\"", "\"5799\""), ("\"float\"", "\"string\"")] {
        fs::write(&path, good.replace(from, to)).unwrap();
        let state = StateFile::open(&path, "e").unwrap().1.unwrap();
        let mut set = objects();
        assert!(state.objects.iter().any(|object| set.restore(object).is_err()), "{from} {to}");
    }
    let missing = folder.path().join("no").join("such").join("folder");
    let (mut file, _) = StateFile::open(&missing, "e").unwrap();
    assert!(file.keep("e", "", ([].iter(), [].into_iter()), [].into_iter(), &objects()).is_err());
}
