//! Plain calls, one datagram each, for systems without batches.

use std::io;
use std::net::UdpSocket;

use super::Slot;

/// These systems are not asked at which address a datagram arrived.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "the same shape as on systems where it can fail")]
pub(crate) fn tell_local(_socket: &UdpSocket) -> io::Result<()> {
    Ok(())
}

/// These systems have no such filter.
#[cfg(not(target_os = "linux"))]
pub(crate) fn steer_by_connection_id(_socket: &UdpSocket, _shards: u8) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Nor this one.
#[cfg(not(target_os = "linux"))]
pub(crate) fn shed_hellos(_socket: &UdpSocket, _shed: super::Shed) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Nor can they tell this.
#[cfg(not(target_os = "linux"))]
pub(crate) fn fill(_socket: &UdpSocket) -> io::Result<super::Fill> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Receives datagrams until none is there or every slot is full.
pub(crate) fn receive(socket: &UdpSocket, slots: &mut [Slot]) -> io::Result<usize> {
    let mut count = 0;
    for slot in slots {
        match socket.recv_from(&mut slot.bytes) {
            // A datagram that fills the slot may have been cut.
            Ok((len, address)) => {
                slot.address = address;
                slot.local = None;
                slot.len = if len < slot.bytes.len() { len } else { 0 };
                count += 1;
            }
            Err(error) if count == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(count)
}

/// Sends datagrams until the system takes no more.
pub(crate) fn send(socket: &UdpSocket, slots: &[Slot]) -> io::Result<usize> {
    let mut count = 0;
    for slot in slots {
        match socket.send_to(slot.data(), slot.address) {
            Ok(_) => count += 1,
            Err(error) if count == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(count)
}
