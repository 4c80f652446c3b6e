//! What fuzzing has found so far, again.

use lightship_fuzz::{TARGETS, Target, corpus};

/// Says which input it was, when it is dropped by a panic.
struct Under<'a>(&'a str, usize);

impl Drop for Under<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} line {}", self.0, self.1);
        }
    }
}

fn replay((name, target): &Target) {
    for (number, input) in corpus::read(name).expect("its corpus").iter().enumerate() {
        let _under = Under(name, number + 1);
        target(input);
    }
}

#[test]
fn every_target_takes_its_whole_corpus() {
    std::thread::scope(|scope| {
        for target in TARGETS {
            scope.spawn(move || replay(target));
        }
    });
}
