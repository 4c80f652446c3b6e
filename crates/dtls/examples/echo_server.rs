//! A DTLS server that says everything back: `echo_server 127.0.0.1:5684 --psk-key-hex 0001…`.

#![expect(clippy::print_stdout, reason = "a program for people")]
#![allow(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, reason = "an example")]

mod common;

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};

use common::{Flags, World, drain, patience, receive, seal, tell};
use lightship_dtls::cookie::{Cookies, Verdict};
use lightship_dtls::{Association, Cid, Event, Path};

/// Every client, by the number that its connection ID begins with, if it is to put one into its records.
#[derive(Default)]
struct Clients {
    by_number: HashMap<u32, Client>,
    by_address: HashMap<SocketAddr, u32>,
    next: u32,
}

struct Client {
    association: Association,
    address: SocketAddr,
    is_over: bool,
}

fn main() -> Result<(), String> {
    let flags = Flags::read()?;
    let socket = UdpSocket::bind(flags.address).map_err(|error| error.to_string())?;
    println!("listening on {}", socket.local_addr().map_err(|error| error.to_string())?);
    let mut world = World::new()?;
    let now = world.host(&flags.config).now;
    let mut cookies = Cookies::new(now, &mut world.rng);
    let mut clients = Clients::default();
    let mut buffer = [0; 2048];
    loop {
        let now = world.host(&flags.config).now;
        let next = clients.by_number.values().filter_map(|client| client.association.poll_timeout()).min();
        socket.set_read_timeout(Some(patience(now, next))).map_err(|error| error.to_string())?;
        if let Ok((len, from)) = socket.recv_from(&mut buffer) {
            take(&socket, &flags, &mut world, &mut cookies, &mut clients, from, &mut buffer[..len]);
        }
        for client in clients.by_number.values_mut() {
            let mut host = world.host(&flags.config);
            if client.association.poll_timeout().is_some_and(|at| host.now >= at) {
                client.association.handle_timeout(&mut host);
                let address = client.address;
                let send = |datagram: &[u8]| drop(socket.send_to(datagram, address));
                drain(&mut client.association, &mut host, &flags, send, |event| {
                    client.is_over |= matches!(event, Event::Failed(_));
                    tell(&event);
                });
            }
        }
        clients.by_number.retain(|_, client| !client.is_over);
        let Clients { by_number, by_address, .. } = &mut clients;
        by_address.retain(|_, number| by_number.contains_key(number));
    }
}

fn take(
    socket: &UdpSocket,
    flags: &Flags,
    world: &mut World,
    cookies: &mut Cookies,
    clients: &mut Clients,
    from: SocketAddr,
    datagram: &mut [u8],
) {
    let mut host = world.host(&flags.config);
    let mut out = [0; 256];
    // A hello begins anew, also on an address that is known.
    let known = clients.find(datagram, from);
    let is_hello =
        datagram.first() == Some(&22) && datagram.get(3..5) == Some(&[0, 0]) && datagram.get(13) == Some(&1);
    if known.is_none() || is_hello {
        let number = clients.next;
        match cookies.judge(&mut host, from.to_string().as_bytes(), datagram, &mut out) {
            Verdict::Answer(len) => drop(socket.send_to(&out[..len], from)),
            Verdict::Proven(hello) => {
                // Who is found by address alone needs none.
                let named = [&number.to_be_bytes()[..], flags.own_cid().bytes()].concat();
                let cid = flags.cid.as_ref().and_then(|_| Cid::new(&named)).unwrap_or(Cid::EMPTY);
                let association = Association::accept(&mut host, hello, cid, &number.to_be_bytes());
                clients.next += 1;
                clients.by_address.insert(from, number);
                clients.by_number.insert(number, Client { association, address: from, is_over: false });
            }
            Verdict::Drop(reason) => eprintln!("{from}: {reason:?}"),
            _ => {}
        }
    }
    let Some(client) = clients.find(datagram, from).and_then(|number| clients.by_number.get_mut(&number))
    else {
        return;
    };
    let path = if client.address == from { Path::Current } else { Path::New };
    if !is_hello {
        for data in receive(&mut client.association, &mut host, path, datagram) {
            println!("{from}: {}", String::from_utf8_lossy(&data));
            match seal(&mut client.association, &mut host, &data) {
                Ok(record) => drop(socket.send_to(&record, from)),
                Err(error) => eprintln!("{from}: {error}"),
            }
        }
    }
    let mut is_over = client.is_over;
    let send = |datagram: &[u8]| drop(socket.send_to(datagram, from));
    let mut is_moved = false;
    drain(&mut client.association, &mut host, flags, send, |event| {
        is_over |= matches!(event, Event::Failed(_) | Event::Closed(_));
        is_moved |= matches!(event, Event::Moved);
        tell(&event);
    });
    client.is_over = is_over;
    if is_moved {
        client.address = from;
    }
}

impl Clients {
    /// Whose datagram it is: by connection ID, else by address.
    fn find(&self, datagram: &[u8], from: SocketAddr) -> Option<u32> {
        if datagram.first() == Some(&25) {
            let number = datagram.get(11..15)?.first_chunk().copied().map(u32::from_be_bytes)?;
            return self.by_number.contains_key(&number).then_some(number);
        }
        self.by_address.get(&from).copied()
    }
}
