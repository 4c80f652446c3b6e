//! A filter on one socket that lets the kernel drop a part of the ClientHellos, and how full the socket is.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

use super::linux::{instruction, set_filter};
use super::{Fill, Shed};

/// Makes the kernel drop such parts of the ClientHellos that come to the socket before they are queued; everything else is queued
/// as before. A new filter takes the place of the old one at once.
pub(crate) fn shed_hellos(socket: &UdpSocket, shed: Shed) -> io::Result<()> {
    if shed == Shed::NOTHING {
        return detach(socket);
    }
    set_filter(socket, libc::SO_ATTACH_FILTER, &mut hello_filter(shed))
}

fn detach(socket: &UdpSocket) -> io::Result<()> {
    let unused: libc::c_int = 0;
    let size = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    // SAFETY: the option takes a c_int that it does not read; it outlives the call, and its size stands beside it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DETACH_FILTER,
            ptr::from_ref(&unused).cast(),
            size,
        )
    };
    match result {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // There was none.
            error if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            error => Err(error),
        },
    }
}

/// How full the socket is, in the kernel's measure.
pub(crate) fn fill(socket: &UdpSocket) -> io::Result<Fill> {
    let mut info = [0_u32; 9];
    let mut size = libc::socklen_t::try_from(size_of_val(&info)).unwrap_or(0);
    // SAFETY: the kernel writes at most `size` bytes into the array, which outlives the call and is borrowed mutably here.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            info.as_mut_ptr().cast(),
            ptr::from_mut(&mut size),
        )
    };
    // What waits, how much of it may, and what was dropped (SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_RCVBUF, SK_MEMINFO_DROPS).
    let [waiting, room, .., dropped] = info;
    if result == 0 { Ok(Fill { waiting, room, dropped }) } else { Err(io::Error::last_os_error()) }
}

/// The socket's memory in nine numbers; `libc` has no name for it.
const SO_MEMINFO: libc::c_int = 55;

/// What a socket's filter sees begins with the header of UDP.
const UDP_HEADER: u32 = 8;
const RECORD_HEADER: u32 = 13;
const EPOCH_AT: u32 = 3;
const HANDSHAKE: u32 = 22;
const CLIENT_HELLO: u32 = 1;
/// Where the length of the session ID stands in a ClientHello in the first record of a datagram: behind the headers of the record and of
/// the message, version and random (RFC 6347 §4.2.1).
const SESSION_ID_AT: u32 = UDP_HEADER + RECORD_HEADER + 12 + 2 + 32;

fn hello_filter(shed: Shed) -> [libc::sock_filter; 18] {
    const LOAD_LEN: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_LEN;
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const LOAD_BYTE_BEHIND_X: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_IND;
    const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const LOAD_RANDOM: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const TO_X: u32 = libc::BPF_MISC | libc::BPF_TAX;
    const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const IF_GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    /// `SKF_AD_OFF + SKF_AD_RANDOM`: no byte of the datagram, but a random number.
    const RANDOM: u32 = 0_u32.wrapping_sub(0x1000) + 56;
    const TAKE: u32 = u32::MAX;
    const DROP: u32 = 0;
    // Reading behind the end drops: a hello whose cookie lies there is none.
    [
        instruction(LOAD_LEN, 0, 0, 0),
        instruction(IF_AT_LEAST, 0, 14, SESSION_ID_AT + 2),
        instruction(LOAD_BYTE, 0, 0, UDP_HEADER),
        instruction(IF_EQUAL, 0, 12, HANDSHAKE),
        instruction(LOAD_HALF, 0, 0, UDP_HEADER + EPOCH_AT),
        instruction(IF_EQUAL, 0, 10, 0),
        instruction(LOAD_BYTE, 0, 0, UDP_HEADER + RECORD_HEADER),
        instruction(IF_EQUAL, 0, 8, CLIENT_HELLO),
        instruction(LOAD_BYTE, 0, 0, SESSION_ID_AT),
        instruction(TO_X, 0, 0, 0),
        instruction(LOAD_BYTE_BEHIND_X, 0, 0, SESSION_ID_AT + 1),
        instruction(IF_EQUAL, 2, 0, 0),
        instruction(LOAD_RANDOM, 0, 0, RANDOM),
        instruction(IF_GREATER, 3, 2, shed.kept_with_cookie),
        instruction(LOAD_RANDOM, 0, 0, RANDOM),
        instruction(IF_GREATER, 1, 0, shed.kept_without_cookie),
        instruction(RETURN, 0, 0, TAKE),
        instruction(RETURN, 0, 0, DROP),
    ]
}
