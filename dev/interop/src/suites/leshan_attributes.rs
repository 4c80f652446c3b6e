//! Attributes with Leshan's library on the other side each way: where Discover shows them, which are refused, what they
//! do to notifications, and how they go away.

use super::{World, start};
use crate::process::pause;
use crate::relay;
use crate::report::{Check, Report, holds};
use crate::sides::{Ours, SOON, Side, Theirs, holds_value};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// For how long nothing must be told.
const QUIET: Duration = Duration::from_millis(300);
/// How much later than its time a notification may come on a busy machine.
const LATE_MAX: Duration = Duration::from_millis(1500);
/// How much earlier, by the two clocks that look at it.
const EARLY_MAX: Duration = Duration::from_millis(100);

/// A device on Leshan's library at our server.
pub(crate) fn their_device(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-attributes-device";
    let started =
        start(report, &format!("{NAME}/registers"), || Theirs::start(world, NAME, relay::unchanged));
    let Some(mut side) = started else { return };
    run(&mut side, NAME, report);
    report.case(&format!("{NAME}/numbers-that-stay-the-same-are-counted"), || {
        let registration = side.registration()?;
        let counted = &registration["deviations"]["same-sequence"];
        holds(counted.as_u64() > Some(0), || format!("not counted: {registration}"))
    });
}

/// Our device at a server on Leshan's library.
pub(crate) fn their_server(world: &World, report: &mut Report) {
    const NAME: &str = "leshan-attributes-server";
    let started =
        start(report, &format!("{NAME}/registers"), || Ours::start(world, NAME, &["--lwm2m", "1.1"]));
    let Some(mut side) = started else { return };
    run(&mut side, NAME, report);
}

fn run(side: &mut dyn Side, who: &str, report: &mut Report) {
    discovers(side, who, report);
    refused(side, who, report);
    periods(side, who, report);
    values(side, who, report);
    inherited(side, who, report);
    gone_with_the_instance(side, who, report);
    cancelled(side, who, report);
}

fn attach(side: &mut dyn Side, path: &str, query: &str) -> Check {
    side.expect(json!({"op": "attributes", "path": path, "query": query}), "2.04").map(drop)
}

/// Takes away what a query of `name=value` attached.
fn detach(side: &mut dyn Side, path: &str, query: &str) -> Check {
    let names: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    attach(side, path, &names.join("&"))
}

/// Attaches, does the work, and takes away again whatever came of it.
fn with(side: &mut dyn Side, attached: &[(&str, &str)], work: impl FnOnce(&mut dyn Side) -> Check) -> Check {
    let outcome =
        attached.iter().try_for_each(|(path, query)| attach(side, path, query)).and_then(|()| work(side));
    for (path, query) in attached {
        detach(side, path, query)?;
    }
    outcome
}

/// Whether the link of `path` carries this, in any order of its attributes.
fn carries(links: &[String], path: &str, attribute: &str) -> bool {
    let start = format!("<{path}>");
    links
        .iter()
        .any(|link| link.strip_prefix(&start).is_some_and(|rest| rest.split(';').any(|one| one == attribute)))
}

fn discovers(side: &mut dyn Side, who: &str, report: &mut Report) {
    let levels = [
        ("object", "/3442", "pmin=10"),
        ("instance", "/3442/0", "pmin=11"),
        ("resource", "/3442/0/1120", "pmin=12"),
        ("resource-instance", "/3442/0/1120/0", "pmin=13"),
    ];
    let at =
        |path: &str| if path.matches('/').count() == 4 { "/3442/0/1120".to_owned() } else { path.to_owned() };
    // Up to 1.1 our Discover of a resource ends there.
    let shown = if side.ours() { 3 } else { 4 };
    for (level, path, query) in levels.into_iter().take(shown) {
        report.case(&format!("{who}/discover/{level}"), || {
            side.reset()?;
            with(side, &[(path, query)], |side| {
                let links = side.discover(&at(path))?;
                holds(carries(&links, path, query), || format!("{path} has no {query} in {links:?}"))
            })?;
            let links = side.discover(&at(path))?;
            holds(!carries(&links, path, query), || format!("{path} still has {query}: {links:?}"))
        });
    }
    report.case(&format!("{who}/discover/all-levels-at-once"), || {
        side.reset()?;
        let all: Vec<(&str, &str)> = levels.iter().map(|(_, path, query)| (*path, *query)).collect();
        with(side, &all, |side| {
            for (_, path, query) in levels.into_iter().take(shown) {
                let links = side.discover(&at(path))?;
                holds(carries(&links, path, query), || format!("{path} has no {query} in {links:?}"))?;
            }
            Ok(())
        })
    });
}

/// What is attached already, and what the standard then forbids.
fn refused(side: &mut dyn Side, who: &str, report: &mut Report) {
    let cases = [
        ("pmin-above-pmax", "/3", "pmin=300", "pmax=200"),
        ("epmin-above-epmax", "/3", "epmin=300", "epmax=200"),
        ("gt-below-lt", INTEGER, "gt=100", "lt=200"),
        ("gt-equals-lt", INTEGER, "gt=200", "lt=200"),
        ("lt-plus-two-steps-above-gt", INTEGER, "gt=11", "lt=10&st=2"),
        ("lt-plus-two-steps-equals-gt", INTEGER, "gt=14", "lt=10&st=2"),
    ];
    for (name, path, first, then) in cases {
        report.case(&format!("{who}/refused/{name}"), || {
            with(side, &[(path, first)], |side| {
                // pmax below pmin is without effect and no error since OMA cleared it up.
                let tolerated = side.ours() && name == "pmin-above-pmax";
                let order = json!({"op": "attributes", "path": path, "query": then});
                if tolerated {
                    side.expect(order, "2.04")?;
                    return detach(side, path, then);
                }
                side.expect(order, "4.00")?;
                let links = side.discover(path)?;
                let kept = then.split('&').find(|attribute| carries(&links, path, attribute));
                holds(kept.is_none(), || format!("{kept:?} was refused and is attached: {links:?}"))
            })
        });
    }
}

const INTEGER: &str = "/3442/0/120";

/// Observes a path while the work is done.
fn observing(side: &mut dyn Side, path: &str, work: impl FnOnce(&mut dyn Side, Instant) -> Check) -> Check {
    side.forget();
    let before = Instant::now();
    side.expect(json!({"op": "observe", "path": path}), "2.05")?;
    let outcome = work(side, before);
    side.expect(json!({"op": "cancel", "path": path}), "2.05")?;
    outcome
}

/// The next notification comes `due` at the earliest and not much later than after this period, and holds the value. What it is
/// measured from are moments before what set off the device's clock: an earlier notification may have been long on its way to us.
fn told_at(side: &mut dyn Side, path: &str, due: Instant, period: Duration, value: &str) -> Check {
    let since = Instant::now();
    let told = side.notified(path, period + SOON)?;
    let after = since.elapsed();
    let early = due.saturating_duration_since(Instant::now());
    holds(early <= EARLY_MAX, || format!("notified {early:?} too soon for {period:?}"))?;
    holds(after <= period + LATE_MAX, || format!("notified after {after:?}, too late for {period:?}"))?;
    holds_value(&told.values, path, value)
}

fn periods(side: &mut dyn Side, who: &str, report: &mut Report) {
    let second = Duration::from_secs(1);
    report.case(&format!("{who}/observe/pmin"), || {
        side.reset()?;
        with(side, &[(INTEGER, "pmin=1")], |side| {
            observing(side, INTEGER, |side, from| {
                side.write(INTEGER, json!(30))?;
                side.write(INTEGER, json!(50))?;
                told_at(side, INTEGER, from + second, second, "50")
            })
        })
    });
    report.case(&format!("{who}/observe/pmax"), || {
        side.reset()?;
        with(side, &[(INTEGER, "pmax=1")], |side| {
            observing(side, INTEGER, |side, from| told_at(side, INTEGER, from + second, second, "1024"))
        })
    });
    for (name, pmax) in [("pmin-and-pmax", 2), ("pmin-equals-pmax", 1)] {
        report.case(&format!("{who}/observe/{name}"), || {
            side.reset()?;
            with(side, &[(INTEGER, &format!("pmin=1&pmax={pmax}"))], |side| {
                observing(side, INTEGER, |side, from| {
                    side.write(INTEGER, json!(30))?;
                    told_at(side, INTEGER, from + second, second, "30")?;
                    told_at(side, INTEGER, from + second + second * pmax, second * pmax, "30")
                })
            })
        });
    }
    report.case(&format!("{who}/observe/lt-and-pmax"), || {
        side.reset()?;
        with(side, &[(INTEGER, "lt=500&pmax=2")], |side| {
            observing(side, INTEGER, |side, _| {
                side.write(INTEGER, json!(1200))?;
                side.silent(INTEGER, QUIET)?;
                let before = Instant::now();
                side.write(INTEGER, json!(400))?;
                told_at(side, INTEGER, before, Duration::ZERO, "400")?;
                told_at(side, INTEGER, before + second * 2, second * 2, "400")
            })
        })
    });
}

/// A numeric type: its name, a resource of it, and how a value of it is written.
type Numbers = (&'static str, &'static str, fn(i64) -> Value);

/// A name, attributes, the value at first, values that are not told, and values that are.
type Steps = (&'static str, &'static str, i64, &'static [i64], &'static [i64]);

/// Attributes that look at the value, for each numeric type: a change that is not told, then one that is.
fn values(side: &mut dyn Side, who: &str, report: &mut Report) {
    let integer = |value: i64| json!(value);
    let float = |value: i64| json!(f64::from(i32::try_from(value).unwrap_or_default()));
    let types: [Numbers; 3] = [
        ("integer", INTEGER, integer),
        ("float", "/3442/0/130", float),
        ("unsigned", "/3442/0/125", integer),
    ];
    for (kind, path, number) in types {
        let steps: [Steps; 5] = [
            ("lt", "lt=500", 1024, &[900], &[400]),
            ("gt", "gt=2000", 1024, &[1200], &[2100]),
            ("st-rising", "st=20", 1000, &[1010], &[1040]),
            ("st-falling", "st=20", 1000, &[990], &[960]),
            ("lt-gt-st", "lt=1000&gt=1201&st=100", 1024, &[1050], &[990, 1100, 1210]),
        ];
        for (name, query, initial, quiet, told) in steps {
            report.case(&format!("{who}/observe/{name}/{kind}"), || {
                side.write(path, number(initial))?;
                with(side, &[(path, query)], |side| {
                    observing(side, path, |side, _| {
                        for value in quiet {
                            side.write(path, number(*value))?;
                            side.silent(path, QUIET)?;
                        }
                        for value in told {
                            side.write(path, number(*value))?;
                            let found = side.notified(path, SOON)?.values;
                            let found = found.get(path).and_then(|text| text.parse::<f64>().ok());
                            holds(found == number(*value).as_f64(), || {
                                format!("notified {found:?}, not {value}")
                            })?;
                        }
                        side.silent(path, QUIET)
                    })
                })
            });
        }
    }
}

fn inherited(side: &mut dyn Side, who: &str, report: &mut Report) {
    let observed = "/3442/0/1120/0";
    for (level, path) in [("object", "/3442"), ("instance", "/3442/0"), ("resource", "/3442/0/1120")] {
        report.case(&format!("{who}/observe/inherited-from-{level}"), || {
            side.reset()?;
            with(side, &[(path, "pmax=1")], |side| {
                observing(side, observed, |side, from| {
                    let second = Duration::from_secs(1);
                    told_at(side, observed, from + second, second, "1024")
                })
            })
        });
    }
    report.case(&format!("{who}/observe/inheritance-that-contradicts"), || {
        side.reset()?;
        with(side, &[("/3442/0/1120", "pmin=200"), (observed, "pmax=100")], |side| {
            if !side.ours() {
                return side.expect(json!({"op": "observe", "path": observed}), "5.00").map(drop);
            }
            // The standard: pmax below pmin is as if it were not there, so nothing is told before 200 s.
            observing(side, observed, |side, _| {
                side.write("/3442/0/1120", json!({"0": 5}))?;
                side.silent(observed, QUIET)
            })
        })
    });
}

/// Attributes of an instance do not come back with a new one of the same number.
fn gone_with_the_instance(side: &mut dyn Side, who: &str, report: &mut Report) {
    report.case(&format!("{who}/vanish-with-object-instance"), || {
        let create = json!({"op": "create", "path": "/3442", "format": "tlv", "instance": 8,
            "resources": {"120": 1, "1120": {"0": 5}}});
        side.expect(create.clone(), "2.01")?;
        let paths = ["/3442/8", "/3442/8/1120", "/3442/8/1120/0"];
        let shown = ["/3442/8", "/3442/8/1120", "/3442/8/1120"];
        let seen = if side.ours() { 2 } else { 3 };
        for (path, at) in paths.into_iter().zip(shown).take(seen) {
            attach(side, path, "pmin=10")?;
            let links = side.discover(at)?;
            holds(carries(&links, path, "pmin=10"), || format!("{path} has no pmin in {links:?}"))?;
        }
        side.expect(json!({"op": "delete", "path": "/3442/8"}), "2.02")?;
        side.expect(create, "2.01")?;
        let mut outcome = Ok(());
        for (path, at) in paths.into_iter().zip(shown).take(seen) {
            let links = side.discover(at)?;
            outcome = outcome.and(holds(!carries(&links, path, "pmin=10"), || {
                format!("the new {path} has the pmin of the old one: {links:?}")
            }));
        }
        side.expect(json!({"op": "delete", "path": "/3442/8"}), "2.02")?;
        outcome
    });
    report.case(&format!("{who}/vanish-with-resource-instance"), || {
        side.reset()?;
        let (path, at) = ("/3442/0/1120/0", "/3442/0/1120");
        attach(side, path, "pmin=10")?;
        side.write(at, json!({"1": 10}))?;
        side.write(at, json!({"0": 10}))?;
        let links = side.discover(at)?;
        holds(!carries(&links, path, "pmin=10"), || format!("the new {path} has the old pmin: {links:?}"))?;
        // Seen, too, where Discover does not show it: a change is told at once, not after the old pmin.
        observing(side, path, |side, _| {
            side.write(at, json!({"0": 11}))?;
            told_at(side, path, Instant::now(), Duration::ZERO, "11")
        })
    });
}

/// After a cancellation or the end of what was observed, pmax makes the device send nothing more: counted on the wire.
fn cancelled(side: &mut dyn Side, who: &str, report: &mut Report) {
    let levels = [
        ("object", "/3442"),
        ("instance", "/3442/0"),
        ("resource", "/3442/0/1120"),
        ("resource-instance", "/3442/0/1120/0"),
    ];
    for (level, path) in levels {
        report.case(&format!("{who}/cancelled/{level}"), || {
            side.reset()?;
            with(side, &[(path, "pmax=1")], |side| {
                observing(side, path, |side, _| side.notified(path, SOON).map(drop))?;
                wire_stays_quiet(side)
            })
        });
    }
    report.case(&format!("{who}/removed-while-observed"), || {
        let create = json!({"op": "create", "path": "/3442", "format": "tlv", "instance": 9,
            "resources": {"120": 1}});
        side.expect(create, "2.01")?;
        let paths = ["/3442/9", "/3442/9/120"];
        for path in paths {
            attach(side, path, "pmax=1")?;
            side.expect(json!({"op": "observe", "path": path}), "2.05")?;
        }
        side.expect(json!({"op": "delete", "path": "/3442/9"}), "2.02")?;
        pause(QUIET);
        let outcome = wire_stays_quiet(side);
        // The observations ended with the instance; where the server still wants them, it no longer does.
        for path in paths {
            side.ask(json!({"op": "cancel", "path": path}))?;
        }
        outcome
    });
}

/// No content comes from the device for longer than pmax.
fn wire_stays_quiet(side: &mut dyn Side) -> Check {
    let before = side.relay().contents();
    pause(Duration::from_millis(1600));
    let more = side.relay().contents() - before;
    holds(more == 0, || format!("{more} notifications after the observation ended"))
}
