//! What is measured, and what is wanted.

/// A command and the figures that it gives.
pub(crate) struct Part {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// One line about it.
    pub(crate) about: &'static str,
    /// The program and its arguments, run in the root of the repository.
    pub(crate) command: &'static [&'static str],
    pub(crate) goals: &'static [Goal],
}

/// What one figure should be.
pub(crate) struct Goal {
    /// The figure's name in the line that tells it.
    pub(crate) figure: &'static str,
    /// What it is, as the table shows it.
    pub(crate) what: &'static str,
    pub(crate) want: Want,
    /// Stands behind the numbers, with the space in front of it.
    pub(crate) unit: &'static str,
}

/// On which side of the bound a goal is met.
#[derive(Clone, Copy)]
pub(crate) enum Want {
    AtLeast(f64),
    #[cfg_attr(not(test), expect(dead_code, reason = "goals for time and memory come with their parts"))]
    AtMost(f64),
}

/// All parts, in the order of the table.
pub(crate) const PARTS: &[Part] = &[Part {
    name: "udp",
    about: "one shard beside a bare echo with the same system calls and load",
    command: &["cargo", "run", "--release", "--quiet", "-p", "lightship-bench", "--bin", "shard-vs-echo"],
    goals: &[Goal {
        figure: "update-vs-echo",
        what: "Updates per second of one shard, plain CoAP, against the bare echo",
        want: Want::AtLeast(0.8),
        unit: "",
    }],
}];
