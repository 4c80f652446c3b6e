//! A device that knows a Bootstrap-Server alone: it is told its server, registers there, and remembers.

mod program;

use lightship_coap::{Code, ContentFormat, Encoder, Message, MessageId, OptionWriter, Token, Type};
use program::{Program, Server, eventually};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// A Bootstrap-Server of hand-made messages.
struct BootstrapServer {
    socket: UdpSocket,
    device: SocketAddr,
    next: u16,
}

type Options<'a> = &'a dyn Fn(&mut OptionWriter<'_>);

impl BootstrapServer {
    fn uri(socket: &UdpSocket) -> String {
        format!("coap://{}", socket.local_addr().expect("bound"))
    }

    /// Waits for a Bootstrap-Request and takes it; message IDs go on from `next`.
    fn asked(socket: UdpSocket, endpoint: &str, next: u16) -> Self {
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        let mut bytes = [0; 1500];
        let (len, device) = socket.recv_from(&mut bytes).expect("a Bootstrap-Request");
        let request = Message::parse(&bytes[..len]).expect("CoAP");
        let query: Vec<&str> = request.uri_query().collect();
        assert!(request.uri_path().eq(["bs"]), "{request:?}");
        assert_eq!(query, [format!("ep={endpoint}").as_str(), "pct=112"]);
        let server = Self { socket, device, next };
        server.send(Type::Ack, Code::CHANGED, request.message_id(), request.token(), &|_| {}, b"");
        server
    }

    fn send(&self, ty: Type, code: Code, id: MessageId, token: Token, options: Options<'_>, payload: &[u8]) {
        let mut buffer = [0; 1200];
        let mut message = Encoder::new(&mut buffer, ty, code, id, token);
        options(message.options());
        let len = message.finish_with(payload).expect("fits");
        self.socket.send_to(&buffer[..len], self.device).expect("sent");
    }

    /// Sends a command and gives code and payload of the answer.
    fn command(&mut self, code: Code, path: &str, options: Options<'_>, payload: &[u8]) -> (Code, String) {
        self.next += 1;
        let id = MessageId(self.next);
        let token = Token::new(&self.next.to_be_bytes()).expect("short");
        let all = |writer: &mut OptionWriter<'_>| {
            if path != "/" {
                writer.uri_path(path);
            }
            options(writer);
        };
        self.send(Type::Con, code, id, token, &all, payload);
        let mut bytes = [0; 1500];
        loop {
            let (len, _) = self.socket.recv_from(&mut bytes).expect("an answer");
            let answer = Message::parse(&bytes[..len]).expect("CoAP");
            if answer.token() == token {
                return (answer.code(), String::from_utf8_lossy(answer.payload()).into_owned());
            }
        }
    }

    fn write(&mut self, path: &str, json: &str) -> Code {
        let format = |options: &mut OptionWriter<'_>| _ = options.content_format(ContentFormat::SENML_JSON);
        self.command(Code::PUT, path, &format, json.as_bytes()).0
    }

    fn discover(&mut self) -> String {
        let accept = |options: &mut OptionWriter<'_>| _ = options.accept(ContentFormat::LINK);
        let (code, links) = self.command(Code::GET, "/", &accept, b"");
        assert_eq!(code, Code::CONTENT);
        links
    }

    fn finish(&mut self) -> Code {
        self.command(Code::POST, "bs", &|_| {}, b"").0
    }
}

fn security(instance: u16, uri: &str, ssid: u16) -> String {
    format!(
        r#"[{{"bn":"/0/{instance}/","n":"0","vs":"{uri}"}},{{"n":"1","vb":false}},{{"n":"2","v":3}},{{"n":"10","v":{ssid}}}]"#
    )
}

fn server(instance: u16, ssid: u16, lifetime: u32) -> String {
    format!(
        r#"[{{"bn":"/1/{instance}/","n":"0","v":{ssid}}},{{"n":"1","v":{lifetime}}},{{"n":"6","vb":true}},{{"n":"7","vs":"U"}}]"#
    )
}

#[test]
fn a_device_is_told_its_server_and_remembers_it() {
    let server_itself = Server::start(&[]);
    let uri = format!("coap://{}", server_itself.coap);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("device.state");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let bootstrap = BootstrapServer::uri(&socket);
    let arguments = ["device", "--endpoint", "boot", "--state", file.to_str().expect("UTF-8"), "--bootstrap"];
    let arguments = [&arguments[..], &[bootstrap.as_str()]].concat();
    let mut device = Program::start(&arguments);
    let mut bs = BootstrapServer::asked(socket, "boot", 100);
    device.await_line("event bootstrap_started");

    let links = bs.discover();
    assert!(links.starts_with("</>;lwm2m=1.2,</0/0>,"), "{links}");
    assert_eq!(bs.finish(), Code::NOT_ACCEPTABLE, "there is no server yet");
    assert_eq!(bs.write("0/1", &security(1, &uri, 7)), Code::CHANGED);
    assert_eq!(bs.finish(), Code::NOT_ACCEPTABLE, "half an account");
    assert_eq!(bs.write("1/3", &server(3, 7, 600)), Code::CHANGED);
    // The rest of the device is open to it, too, whatever servers may do there.
    assert_eq!(bs.write("3442/0", r#"[{"bn":"/3442/0/","n":"110","vs":"by bootstrap"}]"#), Code::CHANGED);
    assert_eq!(bs.write("3/0/2", r#"[{"bn":"/3/0/2","vs":"SN-1"}]"#), Code::CHANGED);
    assert_eq!(bs.command(Code::DELETE, "3303/0", &|_| {}, b"").0, Code::DELETED);
    assert_eq!(bs.command(Code::DELETE, "0/0", &|_| {}, b"").0, Code::BAD_REQUEST, "its own account");
    let links = bs.discover();
    assert!(
        links.contains(&format!("</0/1>;ssid=7;uri=\"{uri}\"")) && links.contains("</1/3>;ssid=7"),
        "{links}"
    );
    assert!(!links.contains("</3303/0>"), "{links}");
    assert_eq!(bs.finish(), Code::CHANGED);

    device.await_line("event bootstrap_finished");
    device.await_line("event registered ssid=7 location=/rd/");
    eventually("it is listed", || server_itself.is_registered("boot").then_some(()));
    let value = |path: &str| server_itself.json(&["read", "boot", path])["content"]["value"].clone();
    assert_eq!((value("/1/3/0"), value("/1/3/1")), (7.into(), 600.into()));
    assert_eq!(value("/3442/0/110"), "by bootstrap");
    device.kill();

    // With its state it needs no second bootstrap.
    let mut device = Program::start(&arguments);
    device.await_line("event registered ssid=7");
    assert_eq!(value("/3/0/2"), "SN-1");
    assert!(device.say("show /0").contains(&bootstrap), "the Bootstrap-Server is remembered");
}

#[test]
fn a_server_sends_the_device_to_bootstrap_and_a_failed_one_changes_nothing() {
    let first = Server::start(&[]);
    let second = Server::start(&[]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let bootstrap = BootstrapServer::uri(&socket);
    let mut device = first.device("moved", &["--bootstrap", &bootstrap]);
    assert_eq!(first.json(&["exec", "moved", "/1/0/9"])["code"], "2.04");
    let again = socket.try_clone().expect("cloned");
    let mut bs = BootstrapServer::asked(socket, "moved", 100);
    device.await_line("event bootstrap_started");
    let uri = format!("coap://{}", second.coap);
    assert_eq!(bs.command(Code::DELETE, "/", &|_| {}, b"").0, Code::DELETED);
    assert!(!bs.discover().contains("</1/"), "nothing is left of the accounts");
    assert_eq!(bs.write("0/5", &security(5, &uri, 1)), Code::CHANGED);
    assert_eq!(bs.write("1/5", &server(5, 1, 300)), Code::CHANGED);
    assert_eq!(bs.finish(), Code::CHANGED);
    device.await_line("event accounts_changed");
    device.await_line("event registered ssid=1");
    eventually("it is at the second server", || second.is_registered("moved").then_some(()));

    // This time the Bootstrap-Server deletes everything and refuses to go on.
    assert_eq!(device.say("bootstrap"), "ok");
    let mut bs = BootstrapServer::asked(again, "moved", 200);
    assert_eq!(bs.command(Code::DELETE, "/", &|_| {}, b"").0, Code::DELETED);
    assert_eq!(bs.finish(), Code::NOT_ACCEPTABLE);
    assert!(second.is_registered("moved"));
}

// Proves: OBJ-02
#[test]
fn our_own_bootstrap_server_tells_a_device_two_servers() {
    let other = Server::start(&[]);
    let server = Server::start(&["--bootstrap-coap", "127.0.0.1:0"]);
    let (coap, bootstrap) = (server.coap, server.bootstrap.expect("a Bootstrap-Server").to_string());
    let uris = [format!("coap://{coap}"), format!("coap://{}", other.coap)];
    server.ctl(&["bootstrap", "put", "two", "--server", &uris[0], "--server", &uris[1], "--lifetime", "300"]);
    let bootstrap = format!("coap://{bootstrap}");
    // With this patience nothing that was lost would come again in time.
    let patient = ["--ack-timeout", "60", "--bootstrap", bootstrap.as_str()];
    let mut device = Program::start(&[&["device", "--endpoint", "two"][..], &patient].concat());
    device.await_line("event bootstrap_finished");
    device.await_line("event registered ssid=");
    device.await_line("event registered ssid=");
    for here in [&server, &other] {
        eventually("it is registered at both", || here.is_registered("two").then_some(()));
    }
    let sessions = server.json(&["bootstrap", "sessions", "two"]);
    let text = sessions.to_string();
    for step in ["bootstrap-discover", "/0/1", "/0/2", "/1/0", "/1/1", "bootstrap-finish"] {
        assert!(text.contains(step), "{step}: {text}");
    }
    let shown = device.say("show /0");
    assert!(shown.contains(&uris[0]) && shown.contains(&uris[1]) && shown.contains(&bootstrap), "{shown}");
    // With two servers the device keeps rights, and each finds its own account.
    assert_eq!(server.json(&["read", "two", "/1/0/1"])["content"]["value"], 300);
    // Told to go there again by hand, it ends as it was.
    assert_eq!(device.say("bootstrap"), "ok");
    device.await_line("event bootstrap_finished");
    eventually("a second session is listed", || {
        let sessions = server.json(&["bootstrap", "sessions", "two"]);
        (sessions.to_string().matches("bootstrap-finish").count() == 2).then_some(())
    });
    assert!(server.is_registered("two") && other.is_registered("two"));
}
