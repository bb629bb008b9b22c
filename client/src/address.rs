//! `host:port` of a node, or the path of its Unix socket.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Where a node listens for clients. Cheap to clone.
///
/// The host may be a name, an IPv4 address or an IPv6 address, in brackets or (as in Redis' redirections)
/// without. As text a Unix socket is `unix:PATH`, or its path alone where that begins with a slash.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: Arc<str>,
    /// 0 for a Unix socket: no host is empty.
    host_bytes: u16,
}

/// What begins the text of a Unix socket's address.
const UNIX: &str = "unix:";

/// The text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not HOST:PORT, for example 127.0.0.1:6379, nor the path of a Unix socket, which begins with a slash"
)]
pub struct AddressError {
    text: String,
}

impl Address {
    /// The address of `host` and `port`; `None` where the host is empty or of absurd length, or the port is 0.
    pub fn new(host: &str, port: u16) -> Option<Self> {
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        // 253 is the longest name that DNS can hold.
        if host.is_empty() || host.len() > 253 || port == 0 || host.contains(char::is_whitespace) {
            return None;
        }
        Some(Self { text: format!("{host}:{port}").into(), host_bytes: host.len() as u16 })
    }

    /// The address of a Unix socket; `None` where the path is empty.
    pub fn unix(path: &str) -> Option<Self> {
        (!path.is_empty()).then(|| Self { text: format!("{UNIX}{path}").into(), host_bytes: 0 })
    }

    /// The path of a Unix socket.
    pub fn unix_path(&self) -> Option<&str> {
        if self.host_bytes == 0 { self.text.strip_prefix(UNIX) } else { None }
    }

    /// The host, without brackets; empty for a Unix socket.
    pub fn host(&self) -> &str {
        &self.text[..self.host_bytes as usize]
    }

    /// The port; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        match self.host_bytes {
            0 => 0,
            bytes => self.text[bytes as usize + 1..].parse().expect("made from a port"),
        }
    }

    /// `host:port`, or `unix:` and the path.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let path = text.strip_prefix(UNIX).or_else(|| text.starts_with('/').then_some(text));
        if let Some(path) = path {
            return Address::unix(path).ok_or_else(|| AddressError { text: text.to_owned() });
        }
        text.rsplit_once(':')
            .and_then(|(host, port)| Address::new(host, port.parse().ok()?))
            .ok_or_else(|| AddressError { text: text.to_owned() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_all_kinds_are_read() {
        for (text, host, port) in [
            ("127.0.0.1:6379", "127.0.0.1", 6379),
            ("db-1.example:7000", "db-1.example", 7000),
            ("[::1]:7000", "::1", 7000),
            ("::1:7000", "::1", 7000),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host(), address.port()), (host, port), "{text}");
        }
    }

    #[test]
    fn the_path_of_a_socket_is_an_address() {
        for text in ["/run/carousel.sock", "unix:/run/carousel.sock"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.unix_path(), Some("/run/carousel.sock"));
            assert_eq!(
                (address.as_str(), address.host(), address.port()),
                ("unix:/run/carousel.sock", "", 0)
            );
        }
        assert_eq!("h:1".parse::<Address>().unwrap().unix_path(), None);
        assert_eq!("unix:relative".parse::<Address>().unwrap().unix_path(), Some("relative"));
        assert_eq!(Address::new("unix", 7000).unwrap().unix_path(), None, "a host of that name");
    }

    #[test]
    fn what_is_no_address_is_named_in_the_error() {
        for text in
            ["", "unix:", "localhost", ":6379", "localhost:", "localhost:0", "localhost:65536", "a b:1"]
        {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("'{text}' is not HOST:PORT")), "{error}");
        }
    }
}
