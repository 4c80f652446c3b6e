//! Attributes in all combinations, against a second reading of the standard's text.

use lightship_client::Config;
use lightship_coap::Code;
use lightship_platform::{Rng, SeededRng};

use crate::bench::{Bench, account};

/// One observation judged second by second, as the standard's text has it (TS_Core 5.1.2), in the plainest way.
struct Judge {
    attributes: Vec<(&'static str, u32)>,
    told: (u32, u64),
    looked_at: u64,
    changed: bool,
    due: bool,
}

impl Judge {
    fn has(&self, name: &str) -> Option<u32> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn fires(&self, new: u32) -> bool {
        let last = self.told.0;
        let crossed = |limit: u32| (last <= limit && new > limit) || (last >= limit && new < limit);
        let conditions = [
            self.has("gt").map(crossed),
            self.has("lt").map(crossed),
            self.has("st").map(|step| new.abs_diff(last) >= step),
        ];
        last != new && (conditions.iter().all(Option::is_none) || conditions.contains(&Some(true)))
    }

    /// What is notified at a second in which the value is this.
    fn second(&mut self, now: u64, value: u32) -> Option<u32> {
        let since = |at: u64| now - at;
        let [epmin, pmin, pmax] =
            ["epmin", "pmin", "pmax"].map(|name| u64::from(self.has(name).unwrap_or(0)));
        let changed_long_ago = self.changed && since(self.looked_at) >= epmin;
        let look =
            changed_long_ago || self.has("epmax").is_some_and(|max| since(self.looked_at) >= max.into());
        if look && !self.due {
            self.due = self.fires(value);
            self.looked_at = now;
            self.changed = false;
        }
        let forced = pmax > 0 && pmax >= pmin && since(self.told.1) >= pmax;
        let tell = (self.due && since(self.told.1) >= pmin) || forced;
        if tell {
            (self.told, self.looked_at, self.changed, self.due) = ((value, now), now, false, false);
        }
        tell.then_some(value)
    }
}

// Proves: ATT-03, ATT-04, ATT-05, ATT-06, ATT-08
#[test]
fn attributes_in_all_combinations_do_what_the_text_says() {
    let mut rng = SeededRng::from_number(3);
    let (mut told, mut refused) = (0, 0);
    for round in 0..300 {
        let mut attributes = Vec::new();
        for (name, most) in
            [("pmin", 8), ("pmax", 12), ("gt", 60), ("lt", 40), ("st", 15), ("epmin", 4), ("epmax", 9)]
        {
            if rng.below(3) == 0 {
                attributes.push((name, 1 + rng.below(most)));
            }
        }
        let mut bench = Bench::with(Config::new("x"), account(1, 0));
        bench.register();
        bench.set(50.0);
        let query: Vec<String> = attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !query.is_empty()
            && bench.ask(Code::PUT, &format!("/3303/0/5700?{}", query.join("&"))).code != Code::CHANGED
        {
            refused += 1;
            continue;
        }
        bench.observe("/3303/0/5700");
        let mut judge = Judge { attributes, told: (50, 0), looked_at: 0, changed: false, due: false };
        let mut value = 50;
        for now in 1..=80 {
            bench.seconds(1);
            // What was due by itself, then a change, then what that brought.
            let mut expected = Vec::from_iter(judge.second(now, value));
            if rng.below(2) == 0 {
                let new = (value + 90 + rng.below(21)) % 100;
                // A value that was set is looked at, be it the same.
                judge.changed = true;
                value = new;
                bench.set(value.into());
                expected.extend(judge.second(now, value));
            }
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(bench.notified(), expected, "round {round}, second {now}, {query:?}");
            told += expected.len();
        }
    }
    assert!(told > 1000 && refused > 10, "{told} told, {refused} refused");
}
