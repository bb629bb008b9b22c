//! `host:port` of a node.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Where a node listens for clients. Cheap to clone.
///
/// The host may be a name, an IPv4 address or an IPv6 address, in brackets or (as in Redis' redirections)
/// without.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: Arc<str>,
    host_bytes: u16,
}

/// The text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not HOST:PORT, for example 127.0.0.1:6379")]
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

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.text[..self.host_bytes as usize]
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.text[self.host_bytes as usize + 1..].parse().expect("made from a port")
    }

    /// `host:port`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
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
    fn what_is_no_address_is_named_in_the_error() {
        for text in ["", "localhost", ":6379", "localhost:", "localhost:0", "localhost:65536", "a b:1"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("'{text}' is not HOST:PORT")), "{error}");
        }
    }
}
