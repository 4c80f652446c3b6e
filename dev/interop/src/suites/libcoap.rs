//! libcoap's command line client, at our server and (from the server's own port) at our device.

use super::raw_server::RawServer;
use super::{World, start};
use crate::lightship::{Device, Serve};
use crate::ports::fresh_port;
use crate::process::{Process, output_of};
use crate::report::{Check, Report, holds, same};
use crate::tools;
use crate::wire::Socket;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// Runs the suite.
pub(crate) fn run(world: &World, report: &mut Report) {
    at_our_server(world, report);
    at_our_device(world, report);
}

fn client(port: Option<u16>, method: &str) -> Result<Command, String> {
    let mut command = Command::new(tools::coap_client()?);
    command.args(["-B", "20", "-m", method]);
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    Ok(command)
}

fn at_our_server(world: &World, report: &mut Report) {
    let started =
        start(report, "libcoap-device/starts", || Serve::start(&world.program, "serve-libcoap", &[]));
    let Some(serve) = started else { return };
    let register = |endpoint: &str| format!("coap://{}/rd?ep={endpoint}&lt=60&lwm2m=1.1&b=U", serve.coap);
    report.case("libcoap-device/registers", || {
        output_of(client(None, "post")?.args(["-t", "40", "-e", "</1/0>,</3/0>"]).arg(register("libcoap")))?;
        serve.registered("libcoap", SOON).map(drop)
    });
    for size in ["16", "64", "1024"] {
        report.case(&format!("libcoap-device/registers-in-blocks-of-{size}"), || {
            let list: Vec<String> = (0..200).map(|n| format!("</10250/{n}>")).collect();
            let file = world.program.logs.join("links.txt");
            std::fs::write(&file, list.join(",")).map_err(|error| error.to_string())?;
            let endpoint = format!("libcoap-{size}");
            output_of(
                client(None, "post")?
                    .args(["-t", "40", "-b", size, "-f"])
                    .arg(&file)
                    .arg(register(&endpoint)),
            )?;
            let objects = serve.registered(&endpoint, SOON)?["objects"].to_string();
            holds(objects.contains("/10250/199"), || format!("the list is cut: {objects}"))
        });
    }
    report.case("libcoap-device/unknown-path", || {
        let output = Command::new(tools::coap_client()?)
            .args(["-B", "5", &format!("coap://{}/nothing/here", serve.coap)])
            .output()
            .map_err(|error| error.to_string())?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        holds(text.contains("4.04"), || format!("no 4.04 in {text:?}"))
    });
    report.case("libcoap-device/non-confirmable-register-is-refused", || {
        let mut register_non = client(None, "post")?;
        register_non.args(["-N", "-t", "40", "-e", "</3/0>"]).arg(register("libcoap-non"));
        let output = register_non.output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        holds(text.contains("4.00"), || format!("no 4.00 in {text:?}"))?;
        same("REST status", &serve.rest.get("endpoints/libcoap-non")?.status, &404)
    });
}

/// A device of ours, and the port from which it takes orders.
///
/// Each process of libcoap gets one of its own: a process begins with a message ID by chance, and one behind another at the same port
/// would at times send what the device must take for copies of what came before (RFC 7252 §4.5).
struct Place {
    process: Device,
    device: SocketAddr,
    port: u16,
    folder: PathBuf,
}

impl Place {
    fn open(world: &World) -> Result<Self, String> {
        let socket = Socket::open_at(&format!("127.0.0.1:{}", fresh_port()?))?;
        let RawServer { socket, device, process } = RawServer::start_from(socket, world, "for-libcoap", &[])?;
        // The socket closes: its port is libcoap's now.
        Ok(Self { process, device, port: socket.address().port(), folder: world.program.logs.clone() })
    }

    fn uri(&self, path: &str) -> String {
        format!("coap://{}{path}", self.device)
    }

    /// GET with these options; the payload.
    fn get(&self, options: &[&str], path: &str) -> Result<Vec<u8>, String> {
        let file = self.folder.join("libcoap-payload");
        let _absent = std::fs::remove_file(&file);
        output_of(client(Some(self.port), "get")?.args(options).arg("-o").arg(&file).arg(self.uri(path)))?;
        std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
    }
}

fn blocks_both_ways(world: &World, size: &str) -> Check {
    let text: String = (0..2500_u32).map(|n| char::from_digit(n % 10, 10).unwrap_or('x')).collect();
    let mut written = Place::open(world)?;
    let file = written.folder.join("libcoap-write");
    std::fs::write(&file, &text).map_err(|error| error.to_string())?;
    let mut put = client(Some(written.port), "put")?;
    output_of(put.args(["-t", "0", "-b", size, "-f"]).arg(&file).arg(written.uri("/3442/0/110")))?;
    let shown = written.process.obey("show /3442/0/110")?;
    same("text written", &shown, &format!("/3442/0/110={text}"))?;
    let mut read = Place::open(world)?;
    read.process.obey(&format!("set /3442/0/110 {text}"))?;
    let got = read.get(&["-A", "0", "-b", size], "/3442/0/110")?;
    same("text read", &String::from_utf8_lossy(&got).into_owned(), &text)
}

fn at_our_device(world: &World, report: &mut Report) {
    report.case("libcoap-server/device-registers", || Place::open(world).map(drop));
    report.case("libcoap-server/reads", || {
        let text = Place::open(world)?.get(&["-A", "0"], "/3/0/0")?;
        holds(!text.is_empty(), || "no manufacturer".to_owned())
    });
    report.case("libcoap-server/discovers", || {
        let links = Place::open(world)?.get(&["-A", "40"], "/3")?;
        let links = String::from_utf8_lossy(&links).into_owned();
        holds(links.contains("</3/0>"), || links)
    });
    for size in ["16", "256", "1024"] {
        report.case(&format!("libcoap-server/blocks-of-{size}-both-ways"), || blocks_both_ways(world, size));
    }
    report.case("libcoap-server/observes", || observes(&mut Place::open(world)?));
}

fn observes(place: &mut Place) -> Check {
    place.process.obey("set /3303/0/5700 20.5")?;
    let mut command = client(Some(place.port), "get")?;
    command.args(["-w", "-A", "0", "-s", "8"]).arg(place.uri("/3303/0/5700"));
    let mut watcher = Process::start(command, &place.folder.join("libcoap-observe.log"))?;
    for value in ["20.5", "21.25", "-7.5"] {
        place.process.obey(&format!("set /3303/0/5700 {value}"))?;
        watcher.wait_for(value, SOON, |line| line.contains(value).then_some(()))?;
    }
    Ok(())
}
