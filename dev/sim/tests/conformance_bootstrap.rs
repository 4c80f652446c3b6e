//! Cases of OMA's Enabler Test Specification about bootstrap: our device, our Bootstrap-Server and our server.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one event")]

mod world;
mod yard;

use lightship_client::{Account, Event as Told};
use lightship_coap::Code;
use lightship_lwm2m::Version;
use lightship_lwm2m::bootstrap::Operation;
use lightship_server::bootstrap::{Ended, Step};
use world::{integer, path};
use yard::{BS, DEAD, SERVER, Yard, discover, finish, read, remove, server_account, writes};

/// Configuration C.13: the Bootstrap-Server's account alone, in Security instance 1.
fn fresh() -> Vec<Account> {
    let mut account = Account::bootstrap(BS);
    account.security.instance = lightship_lwm2m::ObjectInstanceId::new(1).expect("legal");
    vec![account]
}

/// What case 0 prescribes.
fn provisioning() -> Vec<Step> {
    let mut steps = writes(SERVER);
    steps.extend([discover("/"), finish()]);
    steps
}

fn codes(yard: &Yard) -> Vec<(Operation, Code)> {
    yard.done.iter().map(|done| (done.command.operation, done.code)).collect()
}

fn is_configured(yard: &mut Yard) {
    yard.run_s(20);
    assert_eq!(yard.ended, [Ended::Finished]);
    let registration = yard.registration().expect("registered");
    assert_eq!(&*registration.details.endpoint, yard::NAME);
}

// Case: LightweightM2M-1.1-int-0
#[test]
fn lightweightm2m_1_1_int_0_client_initiated_bootstrap() {
    let mut yard = Yard::new(Version::V1_1, fresh(), provisioning());
    yard.run_s(20);
    let (write, changed) = (Operation::Write, Code::CHANGED);
    let expected = [
        (write, changed),
        (write, changed),
        (Operation::Discover, Code::CONTENT),
        (Operation::Finish, changed),
    ];
    assert_eq!(codes(&yard), expected);
    let listed = yard.done[2].text();
    assert!(listed.contains("lwm2m=\"1.1\"") || listed.contains("lwm2m=1.1"), "{listed}");
    let links: Vec<_> = listed.split(',').collect();
    let attributes = |target: &str| {
        let link = links.iter().find(|link| link.starts_with(&format!("<{target}>")));
        link.unwrap_or_else(|| panic!("{target} is in {listed}")).split_once(';').map(|(_, rest)| rest)
    };
    assert!(attributes("/0/0").is_some_and(|shown| shown.contains("ssid=1")), "{listed}");
    assert!(!attributes("/0/1").unwrap_or_default().contains("ssid"), "{listed}");
    assert!(attributes("/1/0").is_some_and(|shown| shown.contains("ssid=1")), "{listed}");
    attributes("/3/0");
    is_configured(&mut yard);
}

// Case: LightweightM2M-1.1-int-4
#[test]
fn lightweightm2m_1_1_int_4_bootstrap_delete() {
    let mut accounts = fresh();
    accounts.push(server_account(SERVER));
    let mut steps = vec![discover("/"), read("/1"), remove("/0"), remove("/1"), discover("/"), read("/1")];
    steps.extend(writes(SERVER));
    steps.push(finish());
    let mut yard = Yard::new(Version::V1_1, accounts, steps);
    let now = yard.now;
    assert!(yard.client.bootstrap(now));
    yard.drain();
    yard.run_s(20);
    let codes = codes(&yard);
    let deleted = codes.iter().filter(|(operation, _)| *operation == Operation::Delete);
    assert_eq!(deleted.map(|(_, code)| *code).collect::<Vec<_>>(), [Code::DELETED; 2]);
    let (before, after) = (yard.done[0].text(), yard.done[4].text());
    assert!(before.contains("</1/0>") && !after.contains("</1/0>"), "{before} became {after}");
    assert!(after.contains("</0/1>"), "the Bootstrap-Server's account is still in {after}");
    assert_eq!(yard.done[1].code, Code::CONTENT);
    is_configured(&mut yard);
}

// Case: LightweightM2M-1.1-int-5
#[test]
fn lightweightm2m_1_1_int_5_server_initiated_bootstrap() {
    let mut accounts = fresh();
    accounts.push(server_account(SERVER));
    let mut yard = Yard::new(Version::V1_1, accounts, vec![discover("/"), finish()]);
    yard.run_s(5);
    assert!(yard.registration().is_some() && yard.done.is_empty());
    assert_eq!(yard.execute(path("/1/0/9")), Code::CHANGED);
    yard.run_s(5);
    assert_eq!(codes(&yard), [(Operation::Discover, Code::CONTENT), (Operation::Finish, Code::CHANGED)]);
    is_configured(&mut yard);
}

// Case: LightweightM2M-1.1-int-7
#[test]
fn lightweightm2m_1_1_int_7_fall_back_to_bootstrap() {
    let mut accounts = fresh();
    accounts.push(server_account(DEAD));
    let mut yard = Yard::new(Version::V1_1, accounts, provisioning());
    yard.run_s(60);
    assert!(yard.done.is_empty() && yard.registration().is_none(), "first it tries the server it knows");
    assert!(yard.tried(DEAD) > 0);
    yard.run_s(3 * 86_400);
    assert!(yard.told.iter().any(|told| matches!(told, Told::Failed { .. })));
    is_configured(&mut yard);
}

// Case: LightweightM2M-1.1-int-8
#[test]
fn lightweightm2m_1_1_int_8_bootstrap_read() {
    let mut steps = writes(SERVER);
    let access =
        [("/2/0/0", integer(3)), ("/2/0/1", integer(0)), ("/2/0/2/1", integer(15)), ("/2/0/3", integer(1))];
    steps.extend([yard::write("/2/0", &access), read("/1"), read("/2"), finish()]);
    let mut yard = Yard::new(Version::V1_1, fresh(), steps);
    yard.run_s(20);
    let reads: Vec<_> = yard.done.iter().filter(|done| done.command.operation == Operation::Read).collect();
    assert_eq!(reads.iter().map(|done| done.code).collect::<Vec<_>>(), [Code::CONTENT; 2]);
    assert_eq!(reads[0].values().get("/1/0/1"), Some(&integer(86_400)));
    assert_eq!(reads[1].values(), access.map(|(name, value)| (name.to_owned(), value)).into());
    is_configured(&mut yard);
}

// Case: LightweightM2M-1.1-int-9
#[test]
fn lightweightm2m_1_1_int_9_bootstrap_and_configuration_consistency() {
    let steps = vec![yard::write("/1/0/5", &[("/1/0/5", integer(3600))]), finish()];
    let mut yard = Yard::new(Version::V1_1, fresh(), steps);
    yard.run_s(20);
    let expected = [(Operation::Write, Code::CHANGED), (Operation::Finish, Code::NOT_ACCEPTABLE)];
    assert_eq!(codes(&yard), expected);
    assert!(yard.registration().is_none());
    assert!(yard.client.accounts().all(|(_, account)| account.is_bootstrap()), "nothing of it is kept");
}
