// SPDX-License-Identifier: AGPL-3.0-or-later
//! What payloads of the client protocol are made of. Every value has exactly one encoding.

use core::net::Ipv6Addr;
use core::time::Duration;

use ratman_types::{Address, Bandwidth, ByteCount, Mtu, Namespace, Recipient, RouterId, WallTime};

use crate::stream::{Lifetime, StreamId};
use crate::{DecodeError, Reader, Writer};

/// A value with an encoding of its own.
pub(in crate::api) trait Field: Sized {
    /// Takes it from the front; errors name it `field`.
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError>;

    /// Appends it.
    fn write(&self, writer: &mut Writer<'_>);

    /// Any value of it.
    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self;
}

/// What can be left out: a 0, or a 1 and the value.
pub(in crate::api) trait Optional: Field {}

impl<T: Optional> Field for Option<T> {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        reader.option(field, |reader| T::read(reader, field))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.option(self.as_ref(), |writer, value| value.write(writer));
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        (random.below(3) > 0).then(|| T::draw(random))
    }
}

impl<T: Field> Field for Box<T> {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        T::read(reader, field).map(Self::new)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        T::write(self, writer);
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        Self::new(T::draw(random))
    }
}

/// Implements [`Field`] by how a number of the wire becomes the value, and the value the number.
macro_rules! by_number {
    ($($type:ty: $read:ident, $from:expr, $into:expr;)*) => {$(
        impl Field for $type {
            fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
                $from(reader.$read(field)?, field)
            }

            fn write(&self, writer: &mut Writer<'_>) {
                writer.$read($into(*self));
            }

            #[cfg(test)]
            fn draw(random: &mut super::tests::Random) -> Self {
                loop {
                    let bytes: [u8; 16] = random.array();
                    if let Ok(value) = Self::read(&mut Reader::new(&bytes), "drawn") {
                        return value;
                    }
                }
            }
        }
    )*};
}

/// A conversion that always holds.
macro_rules! plain {
    ($from:expr) => {
        |value, _| Ok($from(value))
    };
}

by_number! {
    u8: u8, plain!(u8::from), u8::from;
    u16: u16, plain!(u16::from), u16::from;
    u32: u32, plain!(u32::from), u32::from;
    u64: u64, plain!(u64::from), u64::from;
    i64: u64, plain!(u64::cast_signed), i64::cast_unsigned;
    bool: u8, bool_of, u8::from;
    ByteCount: u64, plain!(ByteCount), |ByteCount(bytes)| bytes;
    WallTime: u64, plain!(WallTime::from_micros), WallTime::as_micros;
    Duration: u64, plain!(Duration::from_micros), micros;
    Bandwidth: u32, plain!(Bandwidth::from_bytes_per_second), Bandwidth::as_bytes_per_second;
    Mtu: u32, plain!(Mtu), |Mtu(bytes)| bytes;
    Lifetime: u32, lifetime_of, Lifetime::as_secs;
}

fn bool_of(value: u8, field: &'static str) -> Result<bool, DecodeError> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        tag => Err(DecodeError::Tag { field, tag }),
    }
}

fn lifetime_of(seconds: u32, field: &'static str) -> Result<Lifetime, DecodeError> {
    Lifetime::from_secs(seconds).ok_or(DecodeError::Value(field))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Implements [`Field`] for values that are bytes.
macro_rules! by_bytes {
    ($($type:ty: $from:path, $as_bytes:path;)*) => {$(
        impl Field for $type {
            fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
                reader.array(field).map($from)
            }

            fn write(&self, writer: &mut Writer<'_>) {
                writer.bytes(&$as_bytes(self)[..]);
            }

            #[cfg(test)]
            fn draw(random: &mut super::tests::Random) -> Self {
                $from(random.array())
            }
        }
    )*};
}

by_bytes! {
    Address: Address::from_bytes, Address::as_bytes;
    Namespace: Namespace::from_bytes, Namespace::as_bytes;
    RouterId: RouterId::from_bytes, RouterId::as_bytes;
    StreamId: StreamId::from_bytes, StreamId::as_bytes;
    Ipv6Addr: Ipv6Addr::from_octets, Ipv6Addr::octets;
    super::NamespaceSeed: super::NamespaceSeed::from_bytes, super::NamespaceSeed::as_bytes;
    super::SubscriptionId: super::SubscriptionId::from_bytes, super::SubscriptionId::as_bytes;
}

impl Field for Recipient {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        reader.recipient(field)?.ok_or(DecodeError::Tag { field, tag: 0 })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.recipient(self);
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        match random.below(2) {
            0 => Self::Address(Field::draw(random)),
            _ => Self::Namespace(Field::draw(random)),
        }
    }
}

/// Its tag says as well that there is none.
impl Field for Option<Recipient> {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        reader.recipient(field)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            None => writer.u8(0),
            Some(recipient) => writer.recipient(recipient),
        };
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        (random.below(3) > 0).then(|| Recipient::draw(random))
    }
}

impl Optional for u8 {}
impl Optional for u32 {}
impl Optional for u64 {}
impl Optional for i64 {}
impl Optional for ByteCount {}
impl Optional for Duration {}
impl Optional for Mtu {}
impl Optional for Address {}

/// Defines a struct whose encoding is that of its fields, in their order.
macro_rules! record {
    ($($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $crate::api::field::Field for $name {
            fn read(
                reader: &mut $crate::Reader<'_>,
                _: &'static str,
            ) -> Result<Self, $crate::DecodeError> {
                $(let $field = $crate::api::field::Field::read(reader, stringify!($field))?;)*
                Ok(Self { $($field,)* })
            }

            fn write(&self, writer: &mut $crate::Writer<'_>) {
                $($crate::api::field::Field::write(&self.$field, writer);)*
            }

            #[cfg(test)]
            fn draw(random: &mut $crate::api::tests::Random) -> Self {
                Self { $($field: $crate::api::field::Field::draw(random),)* }
            }
        }
    )*};
}

/// Defines an enum that is one byte, and what follows it where a variant holds something.
macro_rules! choice {
    ($($(#[$doc:meta])* pub enum $name:ident {
        $($(#[$item_doc:meta])* $item:ident $(($type:ty))? = $tag:literal,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$item_doc])* $item $(($type))?,)*
        }

        impl $crate::api::field::Field for $name {
            fn read(
                reader: &mut $crate::Reader<'_>,
                field: &'static str,
            ) -> Result<Self, $crate::DecodeError> {
                match reader.u8(field)? {
                    $($tag => Ok(Self::$item $((<$type as $crate::api::field::Field>::read(reader, field)?))?),)*
                    tag => Err($crate::DecodeError::Tag { field, tag }),
                }
            }

            fn write(&self, writer: &mut $crate::Writer<'_>) {
                match self {
                    $(choice!(@pattern value $item $($type)?) => {
                        writer.u8($tag);
                        $(<$type as $crate::api::field::Field>::write(value, writer);)?
                    })*
                }
            }

            #[cfg(test)]
            fn draw(random: &mut $crate::api::tests::Random) -> Self {
                let tags: &[u8] = &[$($tag),*];
                match tags[random.below(tags.len())] {
                    $($tag => Self::$item $((<$type as $crate::api::field::Field>::draw(random)))?,)*
                    _ => unreachable!("it was drawn of these"),
                }
            }
        }
    )*};
    (@pattern $value:ident $item:ident) => { Self::$item };
    (@pattern $value:ident $item:ident $type:ty) => { Self::$item($value) };
}

pub(in crate::api) use {choice, record};
