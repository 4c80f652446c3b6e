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
    AtMost(f64),
}

/// All parts, in the order of the table.
pub(crate) const PARTS: &[Part] = &[
    Part {
        name: "udp",
        about: "one shard beside a bare echo with the same system calls and load",
        command: &["cargo", "run", "--release", "--quiet", "-p", "lightship-bench", "--bin", "shard-vs-echo"],
        goals: &[
            Goal {
                figure: "update-vs-echo",
                what: "Updates per second of one shard, plain CoAP, against the bare echo",
                want: Want::AtLeast(0.8),
                unit: "",
            },
            Goal {
                figure: "update-secured-vs-echo",
                what: "the same inside DTLS-PSK CCM_8 with connection ID",
                want: Want::AtLeast(0.7),
                unit: "",
            },
        ],
    },
    Part {
        name: "scaling",
        about: "two shards beside one",
        command: &["cargo", "run", "--release", "--quiet", "-p", "lightship-bench", "--bin", "scaling"],
        goals: &[Goal {
            figure: "two-shards-by-cpu",
            what: "two shards against one, by the CPU that a message takes of them",
            want: Want::AtLeast(1.8),
            unit: "",
        }],
    },
    Part {
        name: "leshan",
        about: "Updates of one shard and of a server on Leshan's library, under the same load",
        command: &["cargo", "run", "--release", "--quiet", "-p", "lightship-bench", "--bin", "versus-leshan"],
        goals: &[Goal {
            figure: "update-vs-leshan",
            what: "Updates per second of one shard, against Leshan's server with all cores",
            want: Want::AtLeast(10.0),
            unit: "",
        }],
    },
    Part {
        name: "resident",
        about: "memory of the whole server with a million idle devices",
        command: &["cargo", "run", "--release", "--quiet", "-p", "lightship-bench", "--bin", "resident"],
        goals: &[Goal {
            figure: "resident-plain",
            what: "resident bytes of the whole server for each of 1 000 000 idle devices",
            want: Want::AtMost(700.0),
            unit: " bytes",
        }],
    },
    Part {
        name: "resident-secured",
        about: "the same with 200 000 devices that each have a DTLS session",
        command: &[
            "cargo",
            "run",
            "--release",
            "--quiet",
            "-p",
            "lightship-bench",
            "--bin",
            "resident",
            "--",
            "secured",
        ],
        goals: &[Goal {
            figure: "resident-secured",
            what: "resident bytes of the whole server for each of 200 000 idle devices with a DTLS session",
            want: Want::AtMost(1000.0),
            unit: " bytes",
        }],
    },
    Part {
        name: "rest",
        about: "REST reads of an awake device under half of the maximum load",
        command: &[
            "cargo",
            "run",
            "--release",
            "--quiet",
            "-p",
            "lightship-bench",
            "--bin",
            "rest-under-load",
        ],
        goals: &[Goal {
            figure: "rest-read-p99-ms",
            what: "p99 of a REST read of an awake device under half of the maximum load",
            want: Want::AtMost(20.0),
            unit: " ms",
        }],
    },
    Part {
        name: "soak",
        about: "three minutes of mixed load; dev/bench/soak for an hour",
        command: &[
            "cargo",
            "run",
            "--release",
            "--quiet",
            "-p",
            "lightship-bench",
            "--bin",
            "soak",
            "--",
            "3",
        ],
        goals: &[
            Goal {
                figure: "soak-memory-growth",
                what: "resident memory in the last third of three minutes of mixed load, against the second (an hour: 1.1)",
                want: Want::AtMost(1.5),
                unit: "",
            },
            Goal {
                figure: "soak-descriptor-growth",
                what: "descriptors more in the last third of a mixed load than in the second",
                want: Want::AtMost(8.0),
                unit: "",
            },
            Goal {
                figure: "soak-answers-at-fault",
                what: "answers missing or wrong under a mixed load",
                want: Want::AtMost(0.0),
                unit: "",
            },
        ],
    },
    Part {
        name: "store",
        about: "a million registrations and their events into the embedded store, a kill, and back",
        command: &["cargo", "run", "--release", "--quiet", "-p", "lightship-bench", "--bin", "stored"],
        goals: &[],
    },
    Part {
        name: "ready",
        about: "the server goes on with a million stored registrations",
        command: &[
            "cargo",
            "run",
            "--release",
            "--quiet",
            "-p",
            "lightship-bench",
            "--bin",
            "stored",
            "ready",
        ],
        goals: &[Goal {
            figure: "ready-s",
            what: "Time from process start to `ready` with 1,000,000 stored registrations",
            want: Want::AtMost(2.0),
            unit: " s",
        }],
    },
    Part {
        name: "durable",
        about: "the whole server with one shard and its store on the disk, beside a bare echo under the same load",
        command: &["cargo", "run", "--release", "--quiet", "-p", "lightship-bench", "--bin", "durable"],
        goals: &[
            Goal {
                figure: "durable-register-vs-echo",
                what: "Registrations per second, durable, one shard, against the bare echo",
                want: Want::AtLeast(0.3),
                unit: "",
            },
            Goal {
                figure: "durable-notify-vs-echo",
                what: "Notifications per second into the event log, durable before the acknowledgement, against the bare echo",
                want: Want::AtLeast(0.3),
                unit: "",
            },
        ],
    },
];
