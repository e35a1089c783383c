// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is stored of a stream beside its blocks, and read at a start. No key lies in it: manifests stay sealed to their recipient.

use ratman_types::{Address, ByteCount, Recipient, RouterId, WallTime};
use ratman_wire::stream::{Lifetime, StreamId};
use ratman_wire::{DecodeError, Reader, Writer};

use super::StreamKey;
use crate::journal::{GroupKey, Role};
use crate::stream::Routing;

const VERSION: u8 = 2;
const SENT: u8 = 1;
const RECEIVED: u8 = 2;
const FINISHED: u8 = 3;
const CARRIED: u8 = 4;
/// As [`SENT`], of a stream that is pulled only.
const PULLED: u8 = 5;
const SHARED: u8 = 6;
const ANNOUNCED: u8 = 7;

/// One stored record: version ‖ kind ‖ fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A stream of ours whose content is complete.
    Sent {
        key: StreamKey,
        routing: Routing,
        created: WallTime,
        lifetime: Lifetime,
        size: ByteCount,
        sealed: Vec<u8>,
    },
    /// What a client of ours shares, from its address to itself; the manifest is sealed to itself as well.
    Shared { key: StreamKey, created: WallTime, lifetime: Lifetime, size: ByteCount, sealed: Vec<u8> },
    /// Somebody is told of what is shared.
    Announced { key: StreamKey, created: WallTime, lifetime: Lifetime, sealed: Vec<u8> },
    /// A stream that comes here; the sealed manifest once it is here.
    Received {
        key: StreamKey,
        end: WallTime,
        brought_by: Option<RouterId>,
        sealed: Option<Vec<u8>>,
        complete: bool,
    },
    /// A stream that was here and is not to come again.
    Finished { key: StreamKey, end: WallTime },
    /// Frames for somebody else.
    Carried { key: GroupKey, end: WallTime, brought_by: Option<RouterId> },
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer);
        writer.u8(VERSION);
        match self {
            Self::Sent { key, routing, created, lifetime, size, sealed } => {
                writer.u8(match routing {
                    Routing::Push => SENT,
                    Routing::Pull => PULLED,
                });
                write_key(&mut writer, key);
                writer.u64(created.as_micros()).u32(lifetime.as_secs()).u64(size.0).bytes(sealed);
            }
            Self::Shared { key, created, lifetime, size, sealed } => {
                writer.u8(SHARED);
                write_key(&mut writer, key);
                writer.u64(created.as_micros()).u32(lifetime.as_secs()).u64(size.0).bytes(sealed);
            }
            Self::Announced { key, created, lifetime, sealed } => {
                writer.u8(ANNOUNCED);
                write_key(&mut writer, key);
                writer.u64(created.as_micros()).u32(lifetime.as_secs()).bytes(sealed);
            }
            Self::Received { key, end, brought_by, sealed, complete } => {
                writer.u8(RECEIVED);
                write_key(&mut writer, key);
                writer.u64(end.as_micros()).u8(u8::from(*complete));
                write_router(&mut writer, *brought_by);
                writer.bytes(sealed.as_deref().unwrap_or_default());
            }
            Self::Finished { key, end } => {
                writer.u8(FINISHED);
                write_key(&mut writer, key);
                writer.u64(end.as_micros());
            }
            Self::Carried { key, end, brought_by } => {
                writer.u8(CARRIED).bytes(key.sender.as_bytes()).recipient(&key.recipient);
                writer.option(key.stream, |writer, stream| {
                    writer.bytes(stream.as_bytes());
                });
                writer.u64(end.as_micros());
                write_router(&mut writer, *brought_by);
            }
        }
        buffer
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        match reader.u8("kind")? {
            kind @ (SENT | PULLED | SHARED) => {
                let key = read_key(&mut reader)?;
                let (created, lifetime) = (read_time(&mut reader)?, read_lifetime(&mut reader)?);
                let (size, sealed) = (ByteCount(reader.u64("size")?), reader.rest().to_vec());
                let routing = if kind == PULLED { Routing::Pull } else { Routing::Push };
                Ok(match kind {
                    SHARED => Self::Shared { key, created, lifetime, size, sealed },
                    _ => Self::Sent { key, routing, created, lifetime, size, sealed },
                })
            }
            ANNOUNCED => {
                let key = read_key(&mut reader)?;
                let (created, lifetime) = (read_time(&mut reader)?, read_lifetime(&mut reader)?);
                Ok(Self::Announced { key, created, lifetime, sealed: reader.rest().to_vec() })
            }
            RECEIVED => {
                let (key, end) = (read_key(&mut reader)?, read_time(&mut reader)?);
                let complete = match reader.u8("complete")? {
                    0 => false,
                    1 => true,
                    tag => return Err(DecodeError::Tag { field: "complete", tag }),
                };
                let brought_by = read_router(&mut reader)?;
                let sealed = Some(reader.rest()).filter(|sealed| !sealed.is_empty()).map(<[u8]>::to_vec);
                Ok(Self::Received { key, end, brought_by, sealed, complete })
            }
            FINISHED => {
                let record = Self::Finished { key: read_key(&mut reader)?, end: read_time(&mut reader)? };
                reader.end()?;
                Ok(record)
            }
            CARRIED => {
                let sender = Address::from_bytes(reader.array("sender")?);
                let recipient = reader.recipient("recipient")?.ok_or(DecodeError::Value("recipient"))?;
                let stream =
                    reader.option("stream", |reader| reader.array("stream").map(StreamId::from_bytes))?;
                let key = GroupKey { role: role_of(&recipient), sender, recipient, stream };
                let (end, brought_by) = (read_time(&mut reader)?, read_router(&mut reader)?);
                reader.end()?;
                Ok(Self::Carried { key, end, brought_by })
            }
            tag => Err(DecodeError::Tag { field: "kind", tag }),
        }
    }
}

/// Why frames of others to a recipient are kept.
const fn role_of(recipient: &Recipient) -> Role {
    match recipient {
        Recipient::Address(_) => Role::Carried,
        Recipient::Namespace(_) => Role::Flooded,
    }
}

fn write_key(writer: &mut Writer<'_>, key: &StreamKey) {
    writer.bytes(key.sender.as_bytes()).recipient(&key.recipient).bytes(key.stream.as_bytes());
}

fn read_key(reader: &mut Reader<'_>) -> Result<StreamKey, DecodeError> {
    Ok(StreamKey {
        sender: Address::from_bytes(reader.array("sender")?),
        recipient: reader.recipient("recipient")?.ok_or(DecodeError::Value("recipient"))?,
        stream: StreamId::from_bytes(reader.array("stream")?),
    })
}

fn write_router(writer: &mut Writer<'_>, router: Option<RouterId>) {
    writer.option(router, |writer, router| {
        writer.bytes(router.as_bytes());
    });
}

fn read_router(reader: &mut Reader<'_>) -> Result<Option<RouterId>, DecodeError> {
    reader.option("router", |reader| reader.array("router").map(RouterId::from_bytes))
}

fn read_lifetime(reader: &mut Reader<'_>) -> Result<Lifetime, DecodeError> {
    Lifetime::from_secs(reader.u32("lifetime")?).ok_or(DecodeError::Value("lifetime"))
}

fn read_time(reader: &mut Reader<'_>) -> Result<WallTime, DecodeError> {
    reader.u64("time").map(WallTime::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratman_types::Namespace;

    fn keys() -> impl Strategy<Value = StreamKey> {
        any::<[u8; 3]>()
            .prop_map(|[sender, recipient, stream]| super::super::tests::key(sender, recipient, stream))
    }

    fn records() -> impl Strategy<Value = Record> {
        let time = || any::<u64>().prop_map(WallTime::from_micros);
        let router = || prop::option::of(any::<[u8; 32]>().prop_map(RouterId::from_bytes));
        let bytes = || prop::collection::vec(any::<u8>(), 1..100);
        prop_oneof![
            (keys(), 0..4_u8, time(), 0..=Lifetime::MAX.as_secs(), any::<u64>(), bytes()).prop_map(
                |(key, kind, created, lifetime, size, sealed)| {
                    let (lifetime, size) = (Lifetime::from_secs(lifetime).unwrap(), ByteCount(size));
                    let sent = |routing| Record::Sent {
                        key,
                        routing,
                        created,
                        lifetime,
                        size,
                        sealed: sealed.clone(),
                    };
                    match kind {
                        0 => sent(Routing::Push),
                        1 => sent(Routing::Pull),
                        2 => Record::Shared { key, created, lifetime, size, sealed },
                        _ => Record::Announced { key, created, lifetime, sealed },
                    }
                }
            ),
            (keys(), time(), router(), prop::option::of(bytes()), any::<bool>()).prop_map(
                |(key, end, brought_by, sealed, complete)| Record::Received {
                    key,
                    end,
                    brought_by,
                    sealed,
                    complete
                }
            ),
            (keys(), time()).prop_map(|(key, end)| Record::Finished { key, end }),
            (keys(), any::<bool>(), any::<bool>(), time(), router()).prop_map(
                |(key, named, to_namespace, end, brought_by)| {
                    let namespace = Recipient::Namespace(Namespace::from_bytes(*key.recipient.as_bytes()));
                    let recipient = if to_namespace { namespace } else { key.recipient };
                    let stream = named.then_some(key.stream);
                    let key = GroupKey { role: role_of(&recipient), sender: key.sender, recipient, stream };
                    Record::Carried { key, end, brought_by }
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn what_was_stored_is_read(record in records()) {
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn other_bytes_are_refused_or_mean_what_they_say(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(record) = Record::decode(&bytes) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }
    }
}
