//! Access control between several servers on one device (TS_Core 8).

use crate::bench::{Bench, Reply, Rights, Temperature, account};
use lightship_client::{Account, AccountId, Array, ResourceInstanceId, SendRefused};
use lightship_coap::{Code, ContentFormat};
use lightship_lwm2m::path;

const OWNER: u16 = 1;
const GUEST: u16 = 102;
const NOBODY: u16 = 65535;

/// A device with two servers, the guest first: `bench.id` says who asks.
struct Shared {
    bench: Bench,
    owner: AccountId,
    guest: AccountId,
}

fn rights(object: u16, instance: u16, owner: u16, list: &[(u16, u16)]) -> Rights {
    let mut acl = Array::new();
    for (server, rights) in list {
        acl.insert(ResourceInstanceId::new(*server).expect("legal"), *rights).expect("room");
    }
    Rights { object, instance, acl: (!list.is_empty()).then_some(acl), owner }
}

impl Shared {
    /// Both servers registered, and these instances of object 2.
    fn new(entries: &[Rights]) -> Shared {
        let mut bench = Bench::registered();
        let owner = bench.id;
        let guest = Account { mute_send: Some(false), ..account(GUEST, 300) };
        let guest = bench.client.add_account(guest).expect("room");
        for (id, entry) in (0..).zip(entries) {
            bench.client.objects_mut().2.insert(id, entry.clone()).expect("room");
        }
        bench.drain();
        bench.id = guest;
        bench.client.register(bench.now, guest);
        bench.drain();
        let mut shared = Shared { bench, owner, guest };
        shared.settle_updates();
        shared
    }

    /// Answers what the client tells its servers: Register and Update.
    fn settle_updates(&mut self) {
        while !self.bench.sent.is_empty() {
            self.bench.id = self.bench.sent[0].0;
            let request = self.bench.take();
            assert!(request.code == Code::POST, "{request:?}");
            let is_register = request.path == ["rd"];
            self.bench.answer(&request, if is_register { Code::CREATED } else { Code::CHANGED }, |options| {
                if is_register {
                    options.location_path("/rd/77");
                }
            });
        }
    }

    /// One request of one server, and its answer.
    fn ask(
        &mut self,
        who: u16,
        code: Code,
        path: &str,
        format: Option<ContentFormat>,
        payload: &[u8],
    ) -> Reply {
        self.bench.id = if who == OWNER { self.owner } else { self.guest };
        let wants = self.bench.id;
        self.bench.ask_with(
            code,
            path,
            |options| {
                if let Some(format) = format {
                    options.content_format(format);
                }
            },
            payload,
        );
        let at = self.bench.sent.iter().position(|(to, _)| *to == wants).expect("an answer");
        let reply = Reply::new(&self.bench.sent.remove(at).1);
        self.settle_updates();
        reply
    }

    fn get(&mut self, who: u16, path: &str) -> Code {
        self.ask(who, Code::GET, path, None, &[]).code
    }

    fn put(&mut self, who: u16, path: &str, text: &str) -> Code {
        self.ask(who, Code::PUT, path, Some(ContentFormat::TEXT), text.as_bytes()).code
    }

    fn post(&mut self, who: u16, path: &str) -> Code {
        self.ask(who, Code::POST, path, None, &[]).code
    }

    fn delete(&mut self, who: u16, path: &str) -> Code {
        self.ask(who, Code::DELETE, path, None, &[]).code
    }

    fn entries(&self) -> Vec<(u16, u16, u16)> {
        let object = &self.bench.client.objects().2;
        let found = (0..8).filter_map(|id| object.get(id));
        found.map(|entry| (entry.object, entry.instance, entry.owner)).collect()
    }
}

// Proves: ACL-01, ACL-09
#[test]
fn each_operation_needs_its_own_right() {
    // Operation, the right it needs, and its answers with and without.
    type Ask = fn(&mut Shared) -> Code;
    let asks: [(&str, u16, Ask, Code); 7] = [
        ("read", 1, |s| s.get(GUEST, "/3303/0/5700"), Code::CONTENT),
        ("read an instance", 1, |s| s.get(GUEST, "/3303/0"), Code::CONTENT),
        ("attributes", 1, |s| s.ask(GUEST, Code::PUT, "/3303/0/5700?pmin=5", None, &[]).code, Code::CHANGED),
        ("write", 2, |s| s.put(GUEST, "/3303/0/5750", "hall"), Code::CHANGED),
        ("execute", 4, |s| s.post(GUEST, "/3303/0/5605"), Code::CHANGED),
        ("delete", 8, |s| s.delete(GUEST, "/3303/0"), Code::DELETED),
        (
            "observe",
            1,
            |s| {
                s.bench.id = s.guest;
                s.bench.observe("/3303/0/5700").1.code
            },
            Code::CONTENT,
        ),
    ];
    for (name, needed, ask, success) in asks {
        let with = &mut Shared::new(&[rights(3303, 0, OWNER, &[(GUEST, needed)])]);
        assert_eq!(ask(with), success, "{name} with {needed}");
        let without = &mut Shared::new(&[rights(3303, 0, OWNER, &[(GUEST, 31 & !needed)])]);
        assert_eq!(ask(without), Code::UNAUTHORIZED, "{name} without {needed}");
    }
    // Creating is a right at the object.
    for (given, answer) in [(16, Code::CREATED), (15, Code::UNAUTHORIZED)] {
        let mut shared = Shared::new(&[rights(3303, NOBODY, NOBODY, &[(GUEST, given)])]);
        assert_eq!(shared.post(GUEST, "/3303"), answer);
    }
    // No right is needed to discover; what is not there is told before what is not allowed.
    let mut shared = Shared::new(&[rights(3, 0, OWNER, &[])]);
    let reply = shared.bench.discover("/3303/0");
    assert_eq!(reply.code, Code::CONTENT);
    assert!(reply.text().contains("</3303/0/5700>"), "{}", reply.text());
    assert_eq!(shared.get(GUEST, "/3303/9/5700"), Code::NOT_FOUND);
    assert_eq!(shared.get(GUEST, "/9999"), Code::NOT_FOUND);
    assert_eq!(shared.get(GUEST, "/3303/0/5700"), Code::UNAUTHORIZED);
}

// Proves: ACL-02
#[test]
fn an_own_entry_goes_before_ownership_and_that_before_the_default() {
    // Owner, list, and what owner and guest may read.
    type Case = (u16, &'static [(u16, u16)], bool, bool);
    let cases: [Case; 7] = [
        (OWNER, &[], true, false),
        (OWNER, &[(0, 1)], true, true),
        (OWNER, &[(0, 1), (GUEST, 2)], true, false),
        (OWNER, &[(OWNER, 2), (0, 1)], false, true),
        (OWNER, &[(GUEST, 1)], true, true),
        (NOBODY, &[(0, 1)], true, true),
        (NOBODY, &[], false, false),
    ];
    for (owner, list, owner_may, guest_may) in cases {
        let mut shared = Shared::new(&[rights(3303, 0, owner, list)]);
        let code = |may: bool| if may { Code::CONTENT } else { Code::UNAUTHORIZED };
        assert_eq!(shared.get(OWNER, "/3303/0/5700"), code(owner_may), "owner {owner}, {list:?}");
        assert_eq!(shared.get(GUEST, "/3303/0/5700"), code(guest_may), "owner {owner}, {list:?}");
        // Nothing is said about Device: nobody may.
        assert_eq!(shared.get(OWNER, "/3/0/0"), Code::UNAUTHORIZED);
    }
    // The right to create is given by name, not by default.
    let mut shared = Shared::new(&[rights(3303, NOBODY, NOBODY, &[(0, 16), (OWNER, 16)])]);
    assert_eq!(shared.post(GUEST, "/3303"), Code::UNAUTHORIZED);
    assert_eq!(shared.post(OWNER, "/3303"), Code::CREATED);
}

// Proves: ACL-03
#[test]
fn a_single_server_may_do_everything_whatever_object_2_says() {
    let mut bench = Bench::registered();
    bench.client.objects_mut().2.insert(0, rights(3303, 0, GUEST, &[(0, 0), (OWNER, 0)])).expect("room");
    bench.drain();
    let update = bench.take();
    bench.answer(&update, Code::CHANGED, |_| {});
    assert_eq!(bench.ask(Code::GET, "/3303/0/5700").code, Code::CONTENT);
    assert_eq!(bench.ask(Code::POST, "/3303/0/5605").code, Code::CHANGED);
    assert_eq!(bench.ask(Code::DELETE, "/3303/0").code, Code::DELETED);
}

#[test]
fn without_an_instance_of_object_2_all_servers_may_do_everything() {
    let mut shared = Shared::new(&[]);
    for who in [OWNER, GUEST] {
        assert_eq!(shared.get(who, "/3303/0/5700"), Code::CONTENT);
        assert_eq!(shared.put(who, "/3303/0/5750", "hall"), Code::CHANGED);
    }
    assert_eq!(shared.post(GUEST, "/3303"), Code::CREATED);
    assert_eq!(shared.entries(), [], "creating does not switch access control on");
    // That is bootstrap's business alone.
    assert_eq!(shared.post(GUEST, "/2"), Code::UNAUTHORIZED);
}

// Proves: ACL-04
#[test]
fn rights_are_sums_of_five_bits() {
    let mut shared = Shared::new(&[rights(3303, 0, OWNER, &[(0, 0)])]);
    for (text, answer) in
        [("31", Code::CHANGED), ("32", Code::BAD_REQUEST), ("-1", Code::BAD_REQUEST), ("0", Code::CHANGED)]
    {
        assert_eq!(shared.put(OWNER, "/2/0/2/0", text), answer, "{text}");
    }
    // The number of the resource instance is the server's: a second one gets rights of its own.
    let reply = shared.ask(OWNER, Code::PUT, "/2/0/2", Some(ContentFormat::LWM2M_TLV), &[]);
    assert_eq!(reply.code, Code::CHANGED);
    assert_eq!(shared.get(GUEST, "/3303/0/5700"), Code::UNAUTHORIZED);
    let tlv = [0x88, 2, 3, 0x41, 102, 1];
    let reply = shared.ask(OWNER, Code::PUT, "/2/0/2", Some(ContentFormat::LWM2M_TLV), &tlv);
    assert_eq!(reply.code, Code::CHANGED);
    assert_eq!(shared.get(GUEST, "/3303/0/5700"), Code::CONTENT);
}

// Proves: ACL-05
#[test]
fn on_the_level_of_the_object_only_what_may_be_read_is_given() {
    let entries = [rights(3303, 0, OWNER, &[(GUEST, 1)]), rights(3303, 1, OWNER, &[(GUEST, 30)])];
    let mut shared = Shared::new(&entries);
    let second = Temperature { value: 99.0, ..Temperature::default() };
    shared.bench.client.objects_mut().1.insert(1, second).expect("room");
    shared.bench.drain();
    shared.settle_updates();
    let instances = |reply: &Reply| {
        let format = lightship_lwm2m::format::Format::from_number(reply.format.expect("a format").0);
        let base = "/3303".parse().expect("a path");
        let entries = lightship_lwm2m::format::decode(format.expect("known"), base, &reply.payload);
        let mut found: Vec<u16> =
            entries.map(|entry| entry.expect("legal").path.instance_id().expect("below").get()).collect();
        found.dedup();
        found
    };
    let reply = shared.ask(GUEST, Code::GET, "/3303", None, &[]);
    assert_eq!((reply.code, instances(&reply)), (Code::CONTENT, vec![0]));
    let reply = shared.ask(OWNER, Code::GET, "/3303", None, &[]);
    assert_eq!((reply.code, instances(&reply)), (Code::CONTENT, vec![0, 1]));
    // Attributes of the object need no right.
    assert_eq!(shared.ask(GUEST, Code::PUT, "/3303?pmin=1", None, &[]).code, Code::CHANGED);
    // An observation of the object tells of the same instance only, and of no change in the other.
    shared.bench.id = shared.guest;
    let (_, first) = shared.bench.observe("/3303");
    assert_eq!((first.code, instances(&first)), (Code::CONTENT, vec![0]));
    shared.bench.seconds(2);
    shared.bench.sent.clear();
    shared.bench.client.objects_mut().1.get_mut(1).expect("there").value = 98.0;
    shared.bench.drain();
    shared.bench.seconds(2);
    assert_eq!(shared.bench.sent, []);
    shared.bench.client.objects_mut().1.get_mut(0).expect("there").value = 20.0;
    shared.bench.drain();
    let told = shared.bench.take();
    assert_eq!(instances(&told), [0]);
}

#[test]
fn a_right_that_is_taken_away_ends_the_notifications() {
    let mut shared = Shared::new(&[rights(3303, 0, OWNER, &[(GUEST, 1)])]);
    shared.bench.id = shared.guest;
    let (_, first) = shared.bench.observe("/3303/0/5700");
    assert_eq!(first.code, Code::CONTENT);
    shared.bench.set(20.0);
    assert_eq!(shared.bench.notified(), ["20"]);
    shared.bench.client.objects_mut().2.insert(0, rights(3303, 0, OWNER, &[])).expect("room");
    shared.bench.set(19.0);
    assert_eq!(shared.bench.notified(), [""; 0]);
    // And it comes back with it.
    shared.bench.client.objects_mut().2.insert(0, rights(3303, 0, OWNER, &[(0, 1)])).expect("room");
    shared.bench.set(18.0);
    assert_eq!(shared.bench.notified(), ["18"]);
}

// Proves: ACL-07
#[test]
fn who_creates_an_instance_owns_it_until_it_is_deleted() {
    let create = rights(3303, NOBODY, NOBODY, &[(GUEST, 16)]);
    let mut shared = Shared::new(&[create.clone(), rights(3, 0, OWNER, &[])]);
    let before = shared.entries();
    assert_eq!(shared.post(GUEST, "/3303"), Code::CREATED);
    assert_eq!(shared.entries(), [before.clone(), vec![(3303, 1, GUEST)]].concat());
    assert_eq!(shared.get(GUEST, "/3303/1/5700"), Code::CONTENT);
    assert_eq!(shared.put(GUEST, "/3303/1/5750", "mine"), Code::CHANGED);
    assert_eq!(shared.get(OWNER, "/3303/1/5700"), Code::UNAUTHORIZED);
    assert_eq!(shared.delete(OWNER, "/3303/1"), Code::UNAUTHORIZED);
    assert_eq!(shared.delete(GUEST, "/3303/1"), Code::DELETED);
    assert_eq!(shared.entries(), before, "what object 2 said of it is gone with it");
    // No room in object 2: the instance does not stay either.
    for id in 2..8 {
        shared.bench.client.objects_mut().2.insert(id, rights(3311, id, OWNER, &[])).expect("room");
    }
    shared.bench.drain();
    shared.settle_updates();
    assert_eq!(shared.post(GUEST, "/3303"), Code::INTERNAL_SERVER_ERROR);
    assert!(shared.bench.client.objects().1.get(1).is_none());
    // An instance with the number of one that was entered before does not inherit its list.
    let mut shared = Shared::new(&[create, rights(3303, 1, OWNER, &[(OWNER, 31), (0, 31)])]);
    assert_eq!(shared.post(GUEST, "/3303"), Code::CREATED);
    assert_eq!(shared.get(OWNER, "/3303/1/5700"), Code::UNAUTHORIZED);
    assert_eq!(shared.get(GUEST, "/3303/1/5700"), Code::CONTENT);
}

#[test]
fn deleting_the_last_known_instance_does_not_open_the_device() {
    let mut shared = Shared::new(&[rights(3303, 0, OWNER, &[])]);
    assert_eq!(shared.delete(OWNER, "/3303/0"), Code::DELETED);
    assert_eq!(shared.entries(), [(3303, 0, OWNER)]);
    assert_eq!(shared.get(GUEST, "/3/0/0"), Code::UNAUTHORIZED);
}

// Proves: ACL-08
#[test]
fn an_instance_of_object_2_is_its_owners_to_change_and_nobodys_to_make() {
    let entries = [rights(3303, 0, OWNER, &[(0, 31), (GUEST, 31)]), rights(3303, NOBODY, NOBODY, &[(0, 31)])];
    let mut shared = Shared::new(&entries);
    for who in [OWNER, GUEST] {
        assert_eq!(shared.get(who, "/2/0/3"), Code::CONTENT, "anyone may look");
        assert_eq!(shared.post(who, "/2"), Code::UNAUTHORIZED);
        assert_eq!(shared.delete(who, "/2/0"), Code::UNAUTHORIZED);
        assert_eq!(shared.put(who, "/2/1/2/0", "16"), Code::UNAUTHORIZED, "only bootstrap gives this right");
    }
    assert_eq!(shared.put(GUEST, "/2/0/2/0", "1"), Code::UNAUTHORIZED);
    assert_eq!(shared.put(GUEST, "/2/0/3", "102"), Code::UNAUTHORIZED);
    assert_eq!(shared.put(OWNER, "/2/0/2/0", "1"), Code::CHANGED);
    // It may be given away, and is then lost.
    assert_eq!(shared.put(OWNER, "/2/0/3", "102"), Code::CHANGED);
    assert_eq!(shared.put(OWNER, "/2/0/3", "1"), Code::UNAUTHORIZED);
    assert_eq!(shared.put(GUEST, "/2/0/2/0", "0"), Code::CHANGED);
}

// Proves: ACL-06
#[test]
fn a_composite_read_gives_what_may_be_read_and_a_composite_write_needs_all() {
    const JSON: Option<ContentFormat> = Some(ContentFormat::SENML_JSON);
    let entries = [rights(3303, 0, OWNER, &[(GUEST, 1)]), rights(3311, 0, OWNER, &[(GUEST, 2)])];
    let mut shared = Shared::new(&entries);
    let mut fetch = |list: &str| shared.ask(GUEST, Code::FETCH, "/", JSON, list.as_bytes());
    let some = fetch(r#"[{"n":"/3303/0/5700"},{"n":"/3311/0/5850"},{"n":"/3/0"}]"#);
    assert_eq!((some.code, some.text()), (Code::CONTENT, r#"[{"bn":"/3303/0/","n":"5700","v":21.5}]"#));
    for none in [r#"[{"n":"/3311/0/5850"},{"n":"/3/0/0"}]"#, r#"[{"n":"/3311"}]"#, r#"[{"n":"/3"}]"#] {
        assert_eq!(fetch(none).code, Code::UNAUTHORIZED, "{none}");
    }
    let all = fetch(r#"[{"n":"/"}]"#);
    assert_eq!(all.code, Code::CONTENT);
    for (part, is_there) in [("/2/0/", true), ("/3303/0/", true), ("/3311/0/", false), ("/3/0/", false)] {
        assert_eq!(all.text().contains(part), is_there, "{part} in {}", all.text());
    }
    // One instance without the right, and nothing is written.
    let mine = r#"{"n":"/3311/0/5850","vb":true}"#;
    let not_mine = r#"{"n":"/3303/0/5750","vs":"hall"}"#;
    let is_on = |shared: &Shared| shared.bench.client.objects().3.get(0).expect("there").on;
    for payload in [format!("[{mine},{not_mine}]"), format!("[{not_mine},{mine}]")] {
        let reply = shared.ask(GUEST, Code::IPATCH, "/", JSON, payload.as_bytes());
        // The resource is absent; with the right to write that would be told.
        assert_eq!(reply.code, Code::UNAUTHORIZED, "{payload}");
        assert!(!is_on(&shared));
    }
    assert_eq!(
        shared.ask(GUEST, Code::IPATCH, "/", JSON, format!("[{mine}]").as_bytes()).code,
        Code::CHANGED
    );
    assert!(is_on(&shared));
    // Rights are sums of five bits here, too, and object 2 is its owner's.
    let rights = |value: u16| format!(r#"[{{"n":"/2/0/2/102","v":{value}}}]"#);
    for (who, value, answer) in
        [(OWNER, 32, Code::BAD_REQUEST), (GUEST, 31, Code::UNAUTHORIZED), (OWNER, 0, Code::CHANGED)]
    {
        let reply = shared.ask(who, Code::IPATCH, "/", JSON, rights(value).as_bytes());
        assert_eq!(reply.code, answer, "{who} {value}");
    }
    assert_eq!(shared.get(GUEST, "/3303/0/5700"), Code::UNAUTHORIZED);
}

#[test]
fn what_is_sent_unasked_needs_the_right_to_be_read() {
    let mut shared = Shared::new(&[rights(3303, 0, OWNER, &[]), rights(3, 0, OWNER, &[(GUEST, 1)])]);
    let guest = shared.guest;
    shared.bench.id = guest;
    let now = shared.bench.now;
    let refused = shared.bench.client.send(now, guest, &[path!(3303 / 0 / 5700)]);
    assert_eq!(refused, Err(SendRefused::Nothing));
    let sent = shared.bench.client.send(now, guest, &[path!(3303 / 0 / 5700), path!(3 / 0 / 0)]);
    assert!(sent.is_ok(), "{sent:?}");
    shared.bench.drain();
    let message = shared.bench.take();
    assert_eq!(message.path, ["dp"]);
    assert_eq!(message.payload, b"\x81\xA3\x21\x65/3/0/\x00\x610\x03\x69Lightship");
}
