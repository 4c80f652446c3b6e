//! Connection IDs towards the client alone: our association, in the examples of `dtls`, with pion, in both roles. The other way
//! round is what a server and its devices agree upon: `dtls-pion`, `dtls-devices`, `nat` and `dev/interop/tshark` play that.

use super::dtls_peers::{End, KEY, Library, SUITES, Suite};
use super::{World, start};
use crate::keys::Keys;
use crate::ports::at_free_port;
use crate::process::Process;
use crate::report::{Check, Report, holds};
use crate::secure::{SOON, Tunnel};
use crate::wire::{CON, GET, Message};
use std::process::Command;

pub(crate) fn run(world: &World, report: &mut Report) {
    let made = start(report, "dtls-one-way/starts", || Keys::of_this_run(&world.folders.cache));
    let Some(keys) = made else { return };
    // With CBC pion reckons the MAC of a record with a connection ID otherwise than RFC 9146 §5.1 (differences.md).
    let is_played =
        |suite: &&Suite| suite.psk && !suite.short.ends_with("cbc") && Library::Pion.serves(suite);
    for suite in SUITES.iter().filter(is_played) {
        let ways = Ways { world, keys: &keys, suite };
        report.case(&format!("dtls-one-way/our-server/{}", suite.short), || ways.our_server());
        report.case(&format!("dtls-one-way/our-client/{}", suite.short), || ways.our_client());
    }
}

struct Ways<'a> {
    world: &'a World,
    keys: &'a Keys,
    suite: &'a Suite,
}

impl Ways<'_> {
    /// An example of `dtls`, which lies beside the program.
    fn example(&self, name: &str, address: &str, more: &[&str]) -> Result<Process, String> {
        let mut command = Command::new(self.world.program.binary.with_file_name("examples").join(name));
        command.arg(address).args(["--psk-identity", "one-way", "--psk-key-hex", KEY]);
        command.args(["--suite", self.suite.name]).args(more);
        Process::start(command, &self.world.program.logs.join(format!("{name}-{}.log", self.suite.short)))
    }

    fn pion(&self, cid: &'static [&'static str]) -> End<'_> {
        let Self { world, keys, suite } = self;
        End { world, keys, library: Library::Pion, suite, who: "one-way", more: cid }
    }

    /// pion wants an ID of eight bytes to see, our server none.
    fn our_server(&self) -> Check {
        let (port, mut ours) = at_free_port(|port| {
            let mut ours = self.example("echo_server", &format!("127.0.0.1:{port}"), &[])?;
            says(&mut ours, "listening")?;
            Ok((port, ours))
        })?;
        let mut theirs = self.pion(&["cid=8"]).client(&format!("127.0.0.1:{port}"))?;
        agreed(&says(&mut ours, "established")?, 0, 8)?;
        for id in 1..4 {
            is_echoed(&mut theirs, id)?;
        }
        Ok(())
    }

    /// Our client wants one of four bytes, pion none.
    fn our_client(&self) -> Check {
        let (port, mut theirs) = at_free_port(|port| Ok((port, self.pion(&["cid=0"]).server(port)?)))?;
        let mut ours = self.example("echo_client", &format!("127.0.0.1:{port}"), &["--cid", "0a0b0c0d"])?;
        agreed(&says(&mut ours, "established")?, 4, 0)?;
        // "hello 1", which is no CoAP: it goes back as it came.
        let heard = theirs.says("data ")?;
        theirs.order(&heard.replacen("data", "send", 1))?;
        says(&mut ours, "hello 1").map(drop)
    }
}

fn says(process: &mut Process, start: &str) -> Result<String, String> {
    process.wait_for(start, SOON, |line| line.starts_with(start).then(|| line.to_owned()))
}

/// Whether a session of ours has connection IDs of these lengths, in the records to us and in those of ours.
fn agreed(established: &str, own_len: usize, peer_len: usize) -> Check {
    let len = |name: &str| {
        let id = established.split_once(&format!(" {name}=Some("))?.1.split_once(')')?.0;
        Some(id.len() / 2)
    };
    let found = (len("own_cid"), len("peer_cid"));
    holds(found == (Some(own_len), Some(peer_len)), || format!("{found:?} in {established}"))
}

/// Whether a message comes back as it is.
fn is_echoed(tunnel: &mut Tunnel, id: u16) -> Check {
    let message = Message::new(CON, GET, id, b"echo").path("/3/0/0");
    tunnel.send(&message)?;
    let back = tunnel.receive(SOON)?;
    holds(back.encode() == message.encode(), || format!("{message:?} came back as {back:?}"))
}
