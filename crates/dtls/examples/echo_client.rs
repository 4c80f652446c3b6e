//! A DTLS client that says hello and waits for the echo: `echo_client 127.0.0.1:5684 --psk-key-hex 0001…`.

#![expect(clippy::print_stdout, reason = "a program for people")]
#![allow(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, reason = "an example")]

mod common;

use std::net::UdpSocket;

use common::{Flags, World, drain, patience, receive, seal, tell};
use lightship_dtls::{Association, Connect, Credential, Event, Path, Resumption};

fn main() -> Result<(), String> {
    let flags = Flags::read()?;
    talk(&flags, None)?;
    if flags.again {
        let resume = flags.sessions.borrow().values().next().cloned();
        talk(&flags, resume)?;
    }
    Ok(())
}

/// Has one session.
fn talk(flags: &Flags, resume: Option<Resumption>) -> Result<(), String> {
    let local = if flags.address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(local).map_err(|error| error.to_string())?;
    socket.connect(flags.address).map_err(|error| error.to_string())?;
    let mut world = World::new()?;
    let connect = Connect {
        credential: credential(flags)?,
        server_name: flags.server_name.clone(),
        own_cid: flags.own_cid(),
        resume,
    };
    let mut association = Association::connect(&mut world.host(&flags.config), connect);
    let mut buffer = [0; 2048];
    let mut sent = 0;
    let mut heard = 0;
    let mut outcome = None;
    loop {
        let mut host = world.host(&flags.config);
        association.handle_timeout(&mut host);
        let send = |datagram: &[u8]| drop(socket.send(datagram));
        drain(&mut association, &mut host, flags, send, |event| {
            if let Event::Failed(failure) = &event {
                outcome = Some(Err(format!("{failure:?}")));
            }
            tell(&event);
        });
        if let Some(outcome) = outcome {
            return outcome;
        }
        if association.is_established() && sent == heard {
            if heard == flags.count {
                association.close(&mut host);
                outcome = Some(Ok(()));
                continue;
            }
            sent += 1;
            let record = seal(&mut association, &mut host, format!("hello {sent}\n").as_bytes())?;
            drop(socket.send(&record));
        }
        let wait = patience(host.now, association.poll_timeout());
        socket.set_read_timeout(Some(wait)).map_err(|error| error.to_string())?;
        if let Ok(len) = socket.recv(&mut buffer) {
            let mut host = world.host(&flags.config);
            for data in receive(&mut association, &mut host, Path::Current, &mut buffer[..len]) {
                heard += 1;
                println!("{}", String::from_utf8_lossy(&data).trim_end());
            }
        }
    }
}

/// What the client proves itself with.
fn credential(flags: &Flags) -> Result<Credential, String> {
    let chain = flags.chain.clone();
    match (&flags.psk_key, &flags.key) {
        (Some(key), _) => {
            Ok(Credential::Psk { identity: flags.psk_identity.clone().into(), key: key.clone() })
        }
        (None, Some(key)) if chain.is_empty() => Ok(Credential::RawPublicKey { key: key.clone() }),
        (None, Some(key)) => Ok(Credential::Certificates { key: key.clone(), chain }),
        (None, None) => Err("a client needs --psk-key-hex or --key".into()),
    }
}
