//! Blocks of addresses, such as `10.0.0.0/8`.

use std::net::{IpAddr, Ipv6Addr};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    address: u128,
    bits: u32,
}

/// IPv4 as it lies in IPv6 (RFC 4291 section 2.5.5.2), so that there is one space of addresses.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => a.to_ipv6_mapped().to_bits(),
        IpAddr::V6(a) => a.to_bits(),
    }
}

impl Net {
    /// # Errors
    /// What it should have been.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?}: expected an address, or a block such as 10.0.0.0/8 or 2001:db8::/32");
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(b) => b.trim().parse().ok().filter(|b| *b <= most).ok_or_else(wrong)?,
        };
        Ok(Self { address: number(address), bits: bits + 128 - most })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let differ = self.address ^ number(address);
        differ.leading_zeros() >= self.bits
    }
}

/// One client: an IPv4 address, or the network of 64 bits that one household has of IPv6.
pub fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lies_in_its_block_however_it_is_written() {
        let ip = |t: &str| t.parse::<IpAddr>().unwrap();
        let ten = Net::parse("10.0.0.0/8").unwrap();
        assert!(ten.contains(ip("10.200.3.4")) && ten.contains(ip("::ffff:10.1.1.1")));
        assert!(!ten.contains(ip("11.0.0.1")) && !ten.contains(ip("::1")));
        assert!(Net::parse("::1").unwrap().contains(ip("::1")));
        assert!(Net::parse("0.0.0.0/0").unwrap().contains(ip("1.2.3.4")));
        for bad in ["10.0.0.0/33", "10.0.0/8", "here", "", "::/129"] {
            assert!(Net::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(client(ip("2001:db8:1:2:3::4")), client(ip("2001:db8:1:2::9")));
        assert_eq!(client(ip("::ffff:10.1.1.1")), ip("10.1.1.1"));
    }
}
