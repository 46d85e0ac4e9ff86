//! The process at the other end of a connection, found in `/proc`.
//!
//! Only on this machine's loopback, only a process of the user that this runs
//! as, or one that was started here as somebody else, and never this one itself.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::server::Wire;

/// The process that calls over this connection.
///
/// # Errors
/// It cannot be told, or is none of ours to kill.
pub(super) fn of(wire: &Wire) -> Result<Pid, String> {
    let peer = canonical(wire.peer);
    if !peer.ip().is_loopback() {
        return Err(format!(
            "the caller is at {peer}, and only callers on this machine's loopback can be killed"
        ));
    }
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| inode(&table, (peer, canonical(wire.local))))
        .ok_or_else(|| format!("the caller at {peer} is not in /proc/net: this needs Linux"))?;
    let mut holders = holders(&inode)?;
    let holder = holders
        .pop()
        .ok_or_else(|| format!("no process of this user has the connection from {peer}"))?;
    if !holders.is_empty() {
        holders.push(holder);
        return Err(format!(
            "several processes have the connection from {peer}: {holders:?}"
        ));
    }
    if holder == std::process::id() {
        return Err("the caller is stepfleet-local itself".to_owned());
    }
    let pid = i32::try_from(holder).map_err(|error| error.to_string())?;
    Ok(Pid::from_raw(pid))
}

/// Ends a process at once.
///
/// # Errors
/// It is gone, or may not be killed.
pub(super) fn end(pid: Pid) -> Result<(), String> {
    kill(pid, Signal::SIGKILL).map_err(|error| format!("process {pid} cannot be killed: {error}"))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The socket that goes from `ends.0` to `ends.1`.
fn inode(table: &str, ends: (SocketAddr, SocketAddr)) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
        ((local, remote) == ends).then(|| words.nth(6).map(str::to_owned))?
    })
}

/// `0100007F:1F90`, or 32 digits for IPv6: words of the machine's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for word in ip.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The processes of this user, and those that were started here, that have the socket open.
fn holders(inode: &str) -> Result<Vec<u32>, String> {
    let socket = format!("socket:[{inode}]");
    let socket = Path::new(&socket);
    let ours = geteuid().as_raw();
    let processes = fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))?;
    let pids = processes.flatten().filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let own = entry.metadata().ok()?.uid() == ours;
        (own || parent(pid) == Some(std::process::id())).then_some(pid)
    });
    let has = |pid: &u32| {
        // One that ends meanwhile has nothing any more.
        let open = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        let mut links = open
            .flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok());
        links.any(|link| link == socket)
    };
    Ok(pids.filter(has).collect())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything: the fields are counted after it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let table = [
            ("0100007F:1F90", "127.0.0.1:8080"),
            ("00000000000000000000000001000000:0050", "[::1]:80"),
            ("0000000000000000FFFF00000100007F:11D6", "127.0.0.1:4566"),
        ];
        for (text, expected) in table {
            assert_eq!(address(text), expected.parse().ok(), "{text}");
        }
        assert_eq!(address("nonsense"), None);
    }

    #[test]
    fn the_socket_of_a_connection_is_found_from_either_end() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ends = (near.local_addr().unwrap(), near.peer_addr().unwrap());
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let (client, server) = (inode(&table, ends), inode(&table, (ends.1, ends.0)));
        let client = client.expect("the connection");
        assert_ne!(Some(&client), server.as_ref());
        assert_eq!(holders(&client).unwrap(), [std::process::id()]);
    }

    #[test]
    fn who_is_elsewhere_or_this_process_is_refused() {
        let wire =
            |peer: &str, local: &str| Wire::new(peer.parse().unwrap(), local.parse().unwrap());
        let far = of(&wire("192.0.2.1:1", "127.0.0.1:2")).unwrap_err();
        assert!(
            far.contains("192.0.2.1:1") && far.contains("loopback"),
            "{far}"
        );
        let nobody = of(&wire("127.0.0.1:1", "127.0.0.1:2")).unwrap_err();
        assert!(nobody.contains("/proc/net"), "{nobody}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let itself = Wire::new(near.local_addr().unwrap(), near.peer_addr().unwrap());
        let refused = of(&itself).unwrap_err();
        assert!(refused.contains("stepfleet-local itself"), "{refused}");
    }
}
