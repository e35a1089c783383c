// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the commands and replies of deployed clients and routers hold (source: deployed routers, sections 8.3 to 8.6).

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use ratman_types::{Address, Namespace, Recipient};

use super::field::{Field, record};
use super::text::{List, Text};
use super::{DateTime, NamespaceSeed};
use crate::stream::{AuxiliaryData, Letterhead};
use crate::{DecodeError, Reader, Writer};

/// The most recipients of one request: as many streams are opened at once.
pub const MAX_RECIPIENTS: usize = 1024;

/// What a payload holds that holds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nothing;

impl Field for Nothing {
    fn read(_: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        Ok(Self)
    }

    fn write(&self, _: &mut Writer<'_>) {}

    #[cfg(test)]
    fn draw(_: &mut super::tests::Random) -> Self {
        Self
    }
}

/// What a client calls an address; only for itself.
pub type AddressName = Text<256>;

/// An address to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAddress {
    /// Its name, not empty.
    pub name: Option<AddressName>,
}

/// A zero, or the name, which has neither a length nor an end (source: deployed routers, section 0, point 10).
impl Field for NewAddress {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match reader.bytes(field, reader.rest().len())? {
            [] => Err(DecodeError::Truncated { field, missing: 1 }),
            [0] => Ok(Self { name: None }),
            name => Ok(Self { name: Some(Text::parse(name, field)?) }),
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self.name.as_ref().map_or("", Text::as_str) {
            "" => writer.u8(0),
            name => writer.bytes(name.as_bytes()),
        };
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        Self { name: Some(Text::draw(random)).filter(|name| !name.as_str().is_empty()) }
    }
}

record! {
    /// An address to be forgotten, and its key with it.
    pub struct DestroyedAddress {
        /// Which.
        pub address: Address,
        /// Also if it is up.
        pub force: bool,
    }

    /// One stream to be received, as deployed clients ask for it.
    pub struct RecvOne {
        /// The address of the client.
        pub address: Address,
        /// Whom the stream is to be for, where that matters.
        pub recipient: Option<Recipient>,
    }

    /// Streams to be received, as deployed clients ask for them.
    pub struct RecvMany {
        /// The address of the client.
        pub address: Address,
        /// Whom the streams are to be for, where that matters.
        pub recipient: Option<Recipient>,
        /// Exactly how many; without a limit until the connection ends.
        pub limit: Option<u32>,
    }

    /// A subscription to be made.
    pub struct NewSubscription {
        /// The address of the client.
        pub address: Address,
        /// Whom its streams are to be for, where that matters.
        pub recipient: Option<Recipient>,
    }

    /// A subscription that was made before.
    pub struct HeldSubscription {
        /// Which.
        pub id: SubscriptionId,
        /// The address of the client.
        pub address: Address,
    }

    /// A namespace whose key the router is to know.
    pub struct NewNamespace {
        /// Which; that of the seed.
        pub namespace: Namespace,
        /// Its key.
        pub seed: NamespaceSeed,
    }

    /// A namespace in which an address of a client takes part.
    pub struct Membership {
        /// The address of the client.
        pub address: Address,
        /// The namespace.
        pub namespace: Namespace,
    }

    /// An address that the router knows a way to, or knew.
    pub struct KnownPeer {
        /// Which.
        pub address: Address,
        /// When it was first heard of.
        pub first: DateTime,
        /// When it was last heard of.
        pub last: DateTime,
        /// Whether it can be reached.
        pub active: bool,
    }

    /// Four figures about a router.
    pub struct RouterFigures {
        /// Addresses of others that it knows.
        pub known_peers: u64,
        /// Addresses of clients.
        pub local_addresses: u64,
        /// Tokens of addresses that are up.
        pub active_auths: u64,
        /// Streams that it puts together.
        pub collector_workers: u64,
    }
}

/// The question who of a namespace is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anycast {
    /// The address of the client.
    pub address: Address,
    /// The namespace.
    pub namespace: Namespace,
    /// For how long answers are collected, in whole milliseconds.
    pub timeout: Duration,
}

/// The timeout has 16 bytes; 8 of them are enough for anybody.
impl Field for Anycast {
    fn read(reader: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        let address = Field::read(reader, "address")?;
        let namespace = Field::read(reader, "namespace")?;
        let millis = u64::try_from(u128::from_be_bytes(reader.array("timeout")?));
        let timeout = Duration::from_millis(millis.map_err(|_| DecodeError::Value("timeout"))?);
        Ok(Self { address, namespace, timeout })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        self.address.write(writer);
        self.namespace.write(writer);
        writer.bytes(&self.timeout.as_millis().to_be_bytes());
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        let timeout = Duration::from_millis(Field::draw(random));
        Self { address: Field::draw(random), namespace: Field::draw(random), timeout }
    }
}

/// Somebody of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnycastReply {
    /// Who.
    pub address: Address,
    /// How long the way there and back took, in whole milliseconds.
    pub after: Duration,
}

impl Field for AnycastReply {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let address = Field::read(reader, field)?;
        Ok(Self { address, after: Duration::from_millis(reader.u64(field)?) })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        self.address.write(writer);
        writer.u64(u64::try_from(self.after.as_millis()).unwrap_or(u64::MAX));
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        Self { address: Field::draw(random), after: Duration::from_millis(Field::draw(random)) }
    }
}

/// What a client takes up a subscription with, random; together with the token of its address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId([u8; 32]);

impl SubscriptionId {
    /// Takes an id that was drawn or received.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…")
    }
}

/// The version of a letterhead on the connection of a client.
const LETTERHEAD: u8 = 1;

/// 1 ‖ what a manifest has of it: to a client it is that of deployed routers (source: deployed routers, section 5.5).
impl Field for Letterhead {
    fn read(reader: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        if reader.u8("letterhead version")? != LETTERHEAD {
            return Err(DecodeError::Value("letterhead version"));
        }
        Self::decode(reader)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        self.encode_into(writer.u8(LETTERHEAD));
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        Self {
            from: Field::draw(random),
            to: Field::draw(random),
            stream_size: Field::draw(random),
            auxiliary_data: AuxiliaryData::draw(random),
        }
    }
}

impl Field for AuxiliaryData {
    fn read(reader: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        Self::decode(reader)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        self.encode_into(writer);
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        let pairs = [(c"name", c"cat.jpg"), (c"", c""), (c"name", c"\xFF")];
        Self::new(pairs.into_iter().take(random.below(4))).unwrap()
    }
}

/// A list of recipients and what each of them is told.
pub type Letterheads = List<Letterhead, MAX_RECIPIENTS>;

/// Text with a NUL behind it; exactly as this program would write the address.
impl Field for SocketAddr {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        // The longest has 8 groups, a scope and a port.
        let text = Text::<64>::read_terminated(reader, field)?;
        let address: Self = text.as_str().parse().map_err(|_| DecodeError::Value(field))?;
        if address.to_string() == text.as_str() { Ok(address) } else { Err(DecodeError::Value(field)) }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        Text::<64>::of(&self.to_string()).write_terminated(writer);
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        let port = Field::draw(random);
        match random.below(2) {
            0 => Self::from((random.array::<4>(), port)),
            _ => Self::from((random.array::<16>(), port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Field>(bytes: &[u8]) -> Result<T, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = T::read(&mut reader, "x")?;
        reader.end().map(|()| value)
    }

    #[test]
    fn names_of_addresses_end_with_the_payload() {
        assert_eq!(read(b"alice"), Ok(NewAddress { name: Some(Text::of("alice")) }));
        assert_eq!(read(&[0]), Ok(NewAddress { name: None }));
        assert_eq!(read::<NewAddress>(b""), Err(DecodeError::Truncated { field: "x", missing: 1 }));
        assert_eq!(read::<NewAddress>(b"alice\0"), Err(DecodeError::Value("x")));
        assert_eq!(read::<NewAddress>(&[0, 0]), Err(DecodeError::Value("x")));
        let too_long = DecodeError::TooLong { field: "x", length: 257, limit: 256 };
        assert_eq!(read::<NewAddress>(&[b'a'; 257]), Err(too_long));
    }

    #[test]
    fn sockets_are_written_in_one_way() {
        let local: SocketAddr = "127.0.0.1:45649".parse().unwrap();
        assert_eq!(read(b"127.0.0.1:45649\0"), Ok(local));
        assert_eq!(read(b"[::1]:9\0"), Ok(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1_u16], 9))));
        for wrong in [&b"[0::1]:9\0"[..], b"127.0.0.1:09\0", b"localhost:9\0", b"\0"] {
            assert_eq!(read::<SocketAddr>(wrong), Err(DecodeError::Value("x")), "{wrong:?}");
        }
        let longest: SocketAddr =
            "[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535".parse().unwrap();
        assert!(longest.to_string().len() <= 64);
    }

    #[test]
    fn a_timeout_that_nobody_waits_for_is_refused() {
        let ask = |timeout: u128| read::<Anycast>(&[&[1; 64][..], &timeout.to_be_bytes()].concat());
        assert_eq!(ask(1500).unwrap().timeout, Duration::from_millis(1500));
        assert!(ask(u64::MAX.into()).is_ok());
        assert_eq!(ask(u128::MAX), Err(DecodeError::Value("timeout")));
    }

    #[test]
    fn a_letterhead_says_its_version() {
        let mut bytes = vec![1];
        bytes.extend([&[7; 32][..], &[2], &[8; 32], &[0; 10]].concat());
        let letterhead: Letterhead = read(&bytes).unwrap();
        assert_eq!(letterhead.to, Recipient::Namespace(Namespace::from_bytes([8; 32])));
        bytes[0] = 2;
        assert_eq!(read::<Letterhead>(&bytes), Err(DecodeError::Value("letterhead version")));
    }
}
