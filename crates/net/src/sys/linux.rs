//! `recvmmsg` and `sendmmsg`, with the local address of each datagram on sockets that listen on all addresses.

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use super::{BATCH_LEN, Slot};

/// Makes the kernel tell at which of our addresses a datagram arrived.
pub(crate) fn tell_local(socket: &UdpSocket) -> io::Result<()> {
    let (level, name) = if socket.local_addr()?.is_ipv4() {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    };
    let yes: libc::c_int = 1;
    let size = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    // SAFETY: the option's value is one c_int that outlives the call, and its size stands beside it.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(&yes).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the kernel give each datagram with a connection ID to the socket of the shard that the ID names: the filter is
/// `lightship_server::shard_of` in the kernel's words. All other datagrams are spread by their addresses as before.
///
/// The socket stands for its whole group (`SO_REUSEPORT`), whose members must have been bound in the order of the shards.
pub(crate) fn steer_by_connection_id(socket: &UdpSocket, shards: u8) -> io::Result<()> {
    set_filter(socket, libc::SO_ATTACH_REUSEPORT_CBPF, &mut connection_id_filter(shards))
}

/// Gives the kernel a program in classic BPF, under the option that says what for; the one before is gone with it.
pub(super) fn set_filter(
    socket: &UdpSocket,
    option: libc::c_int,
    filter: &mut [libc::sock_filter],
) -> io::Result<()> {
    let len =
        libc::c_ushort::try_from(filter.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    let size = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).unwrap_or(0);
    // SAFETY: the option's value is one sock_fprog that outlives the call, with its size beside it; it points to `len`
    // instructions that outlive the call, too. The kernel copies and verifies them.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, ptr::from_ref(&program).cast(), size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The content type of a record with a connection ID, and where the first byte of that stands (RFC 9146 §4).
const TLS12_CID: u32 = 25;
const CID_AT: u32 = 11;
/// What may stand before it when a session is resumed: a record whose length is at that place, and which is so long.
const CHANGE_CIPHER_SPEC: u32 = 20;
const LENGTH_AT: u32 = 11;
const CHANGE_LEN: u32 = 14;
/// No socket has this number: the kernel spreads by addresses then.
const ANY: u32 = u32::MAX;

fn connection_id_filter(shards: u8) -> [libc::sock_filter; 17] {
    const LOAD_LEN: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_LEN;
    const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const LOAD_TWO: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
    const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    const RETURN_LOADED: u32 = libc::BPF_RET | 0x10;
    // Reading behind the end would end the program with 0, which is a socket.
    [
        instruction(LOAD_LEN, 0, 0, 0),
        instruction(IF_AT_LEAST, 0, 14, CID_AT + 1),
        instruction(LOAD_BYTE, 0, 0, 0),
        instruction(IF_EQUAL, 9, 0, TLS12_CID),
        instruction(IF_EQUAL, 0, 11, CHANGE_CIPHER_SPEC),
        instruction(LOAD_LEN, 0, 0, 0),
        instruction(IF_AT_LEAST, 0, 9, CHANGE_LEN + CID_AT + 1),
        instruction(LOAD_TWO, 0, 0, LENGTH_AT),
        instruction(IF_EQUAL, 0, 7, 1),
        instruction(LOAD_BYTE, 0, 0, CHANGE_LEN),
        instruction(IF_EQUAL, 0, 5, TLS12_CID),
        instruction(LOAD_BYTE, 0, 0, CHANGE_LEN + CID_AT),
        instruction(JUMP, 0, 0, 1),
        instruction(LOAD_BYTE, 0, 0, CID_AT),
        instruction(IF_AT_LEAST, 1, 0, u32::from(shards)),
        instruction(RETURN_LOADED, 0, 0, 0),
        instruction(RETURN, 0, 0, ANY),
    ]
}

/// One instruction; `yes` and `no` are how many of the next ones a jump leaves out.
pub(super) fn instruction(code: u32, yes: u8, no: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).unwrap_or(0), jt: yes, jf: no, k }
}

/// Receives up to [`BATCH_LEN`] datagrams without waiting and says how many slots it filled. A slot of length 0 holds
/// a datagram that was empty, too long or from no address.
pub(crate) fn receive(socket: &UdpSocket, slots: &mut [Slot]) -> io::Result<usize> {
    let count = slots.len().min(BATCH_LEN);
    let mut names = [const { MaybeUninit::<Name>::uninit() }; BATCH_LEN];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; BATCH_LEN];
    let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; BATCH_LEN];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH_LEN];
    let parts = headers.iter_mut().zip(&mut vectors).zip(&mut names).zip(&mut controls);
    for ((((header, vector), name), control), slot) in parts.zip(slots.iter_mut()).take(count) {
        let bytes = libc::iovec { iov_base: slot.bytes.as_mut_ptr().cast(), iov_len: slot.bytes.len() };
        let header = header.write(header_of(vector.write(bytes)));
        header.msg_hdr.msg_name = name.as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = NAME_LEN;
        header.msg_hdr.msg_control = control.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = CONTROL_LEN as _;
    }
    // SAFETY: the first `count` headers are written and point to one vector, one name, one control buffer and one slot each,
    // all of which outlive the call, are borrowed mutably here and nowhere else, and have the sizes written beside them; names
    // and control buffers are only written by the kernel; no time-out is given.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr().cast(),
            length(count),
            libc::MSG_DONTWAIT as _,
            ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for ((header, name), slot) in headers.iter().zip(&names).zip(slots.iter_mut()).take(received.min(count)) {
        // SAFETY: the first `count` headers are written, and `received` is not more.
        let header = unsafe { header.assume_init_ref() };
        // SAFETY: the kernel wrote an address of `msg_namelen` bytes there.
        let address = unsafe { address_of(name, header.msg_hdr.msg_namelen) };
        let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
        // SAFETY: the kernel wrote `msg_controllen` bytes of control messages into the buffer, which still lives.
        slot.local = unsafe { local_of(&header.msg_hdr) };
        slot.len = 0;
        if let (Some(address), true) = (address, whole) {
            slot.address = address;
            slot.len = usize::try_from(header.msg_len).unwrap_or(0).min(slot.bytes.len());
        }
    }
    Ok(received)
}

/// Sends up to [`BATCH_LEN`] datagrams without waiting and says how many the kernel took, at least one unless it
/// is an error about the first. Each leaves from its slot's local address if it has one.
pub(crate) fn send(socket: &UdpSocket, slots: &[Slot]) -> io::Result<usize> {
    let count = slots.len().min(BATCH_LEN);
    let mut names = [const { MaybeUninit::<Name>::uninit() }; BATCH_LEN];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; BATCH_LEN];
    let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; BATCH_LEN];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH_LEN];
    let parts = headers.iter_mut().zip(&mut vectors).zip(&mut names).zip(&mut controls);
    for ((((header, vector), name), control), slot) in parts.zip(slots).take(count) {
        let data = slot.data();
        let bytes = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        let header = header.write(header_of(vector.write(bytes)));
        header.msg_hdr.msg_namelen = name_of(slot.address, name);
        header.msg_hdr.msg_name = name.as_mut_ptr().cast();
        if let Some(local) = slot.local {
            leave_from(&mut header.msg_hdr, control.write(Control::EMPTY), local);
        }
    }
    // SAFETY: the first `count` headers are written and point to one vector, one name, one slot and, some, one control buffer
    // each, which are written as far as is said beside them and outlive the call; sendmmsg writes only to the headers' msg_len.
    let sent = unsafe {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), length(count), flags as _)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// A header for one vector, without name and control messages.
fn header_of(vector: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: mmsghdr is plain data for which all zeroes is a legal value.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_iov = vector;
    header.msg_hdr.msg_iovlen = 1;
    header
}

/// Room for the address of either family: the larger of the two, aligned for both.
type Name = libc::sockaddr_in6;

#[allow(clippy::cast_possible_truncation, reason = "28 bytes")]
const NAME_LEN: libc::socklen_t = size_of::<Name>() as libc::socklen_t;

/// Writes an address as the system wants it and gives its length.
fn name_of(address: SocketAddr, name: &mut MaybeUninit<Name>) -> libc::socklen_t {
    match address {
        SocketAddr::V4(address) => {
            const { assert!(size_of::<libc::sockaddr_in>() <= size_of::<Name>()) };
            const { assert!(align_of::<libc::sockaddr_in>() <= align_of::<Name>()) };
            let four = libc::sockaddr_in {
                sin_family: FAMILY_4,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: the place is large enough and aligned for it, as is asserted above.
            unsafe { name.as_mut_ptr().cast::<libc::sockaddr_in>().write(four) };
            libc::socklen_t::try_from(size_of::<libc::sockaddr_in>()).unwrap_or(0)
        }
        SocketAddr::V6(address) => {
            name.write(libc::sockaddr_in6 {
                sin6_family: FAMILY_6,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            });
            NAME_LEN
        }
    }
}

/// The address that the system has written.
///
/// # Safety
/// The first `len` bytes of `name` must have been written.
unsafe fn address_of(name: &MaybeUninit<Name>, len: libc::socklen_t) -> Option<SocketAddr> {
    let four = libc::socklen_t::try_from(size_of::<libc::sockaddr_in>()).unwrap_or(0);
    if len < four {
        return None;
    }
    // SAFETY: both families begin with the family, and so much is written; plain data that is aligned.
    match unsafe { name.as_ptr().cast::<libc::sa_family_t>().read() } {
        FAMILY_4 => {
            // SAFETY: an address of this family is so long, and it is written; plain data that is aligned.
            let found = unsafe { name.as_ptr().cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(found.sin_port)).into())
        }
        FAMILY_6 if len >= NAME_LEN => {
            // SAFETY: the whole is written.
            let found = unsafe { name.assume_init_ref() };
            let ip = Ipv6Addr::from(found.sin6_addr.s6_addr);
            let port = u16::from_be(found.sin6_port);
            Some(SocketAddrV6::new(ip, port, found.sin6_flowinfo, found.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "small numbers")]
const FAMILY_4: libc::sa_family_t = libc::AF_INET as libc::sa_family_t;
#[allow(clippy::cast_possible_truncation, reason = "small numbers")]
const FAMILY_6: libc::sa_family_t = libc::AF_INET6 as libc::sa_family_t;

/// Room for one packet-info message, aligned as the kernel's macros want it.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Control([u8; CONTROL_LEN]);

impl Control {
    const EMPTY: Control = Control([0; CONTROL_LEN]);
}

/// The address that a datagram was sent to.
///
/// # Safety
/// `msg_control` must point to `msg_controllen` bytes of well-formed control messages, or `msg_controllen` be 0.
unsafe fn local_of(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the caller's promise is what the macros need; they stay inside the buffer. The payload of each of the
    // two messages is the structure named, read without regard to its alignment.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(head) = message.as_ref() {
            match (head.cmsg_level, head.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                    return Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => message = libc::CMSG_NXTHDR(header, message),
            }
        }
    }
    None
}

/// Makes a datagram leave from that address of ours.
fn leave_from(header: &mut libc::msghdr, control: &mut Control, local: IpAddr) {
    match local {
        IpAddr::V4(address) => {
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(address).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            attach(header, control, (libc::IPPROTO_IP, libc::IP_PKTINFO), info);
        }
        IpAddr::V6(address) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: address.octets() },
                ipi6_ifindex: 0,
            };
            attach(header, control, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), info);
        }
    }
}

/// Attaches one control message with that plain structure as its payload.
fn attach<T: Copy>(
    header: &mut libc::msghdr,
    control: &mut Control,
    kind: (libc::c_int, libc::c_int),
    info: T,
) {
    const { assert!(size_of::<T>() <= 20, "fits the room for one message, see CONTROL_LEN") };
    let size = libc::c_uint::try_from(size_of::<T>()).unwrap_or(0);
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE and CMSG_LEN only calculate. The buffer is CONTROL_LEN bytes long and aligned, which is
    // enough for one message of up to 20 bytes, so the first header lies inside of it and is followed by room for
    // the payload.
    unsafe {
        header.msg_controllen = libc::CMSG_SPACE(size) as _;
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = kind.0;
        (*message).cmsg_type = kind.1;
        (*message).cmsg_len = libc::CMSG_LEN(size) as _;
        ptr::write_unaligned(libc::CMSG_DATA(message).cast(), info);
    }
}

fn length(count: usize) -> libc::c_uint {
    libc::c_uint::try_from(count.min(BATCH_LEN)).unwrap_or(0)
}

/// More than a header of 16 and a payload of 20 bytes.
const CONTROL_LEN: usize = 64;
