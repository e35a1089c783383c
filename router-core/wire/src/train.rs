// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packet trains between two netmods, over UDP beside the link that they measure (source: wire page, peering; the
//! layouts are ours, see `decisions/trains.md`).
//!
//! A train is many packets of one length sent as fast as the sender can; how far apart they arrive tells what the link
//! carries. Each packet and each report is a carrier frame of its own and ends with a MAC under a key that only the two
//! ends of one link have.

use core::fmt;

use ratman_types::{RouterId, blake2b, blake2s_mac, is_same_mac};
use zeroize::Zeroizing;

use crate::peering::Nonce;
use crate::{DecodeError, Frame, Header, Mode, Reader, Writer};

/// Packets of the longest train: 777 KB on the wire.
pub const MAX_TRAIN: u16 = 512;
/// The longest packet, in bytes: with the headers of UDP and IPv4 1500, what almost every path carries whole.
pub const MAX_TRAIN_PACKET: usize = 1472;
/// The shortest packet, in bytes; with less the sender rather than the link would be measured.
pub const MIN_TRAIN_PACKET: usize = 256;
/// Arrivals in one report at most, so that it fits any path and is shorter than the two packets of any train.
pub const MAX_ARRIVALS: usize = 128;

const KEY_DOMAIN: &[u8] = b"irdest train 1";
const MAC: usize = 16;

/// What authenticates trains and reports of one link, in both directions; zeroised when dropped and never printed.
#[derive(Clone)]
pub struct TrainKey(Zeroizing<[u8; 32]>);

impl TrainKey {
    /// `H(DH(router keys) ‖ "irdest train 1" ‖ dialer's nonce ‖ listener's nonce)`.
    pub fn derive(shared: &[u8; 32], dialer: &Nonce, listener: &Nonce) -> Self {
        Self(Zeroizing::new(*blake2b(&[shared, KEY_DOMAIN, dialer, listener]).as_bytes()))
    }

    fn seal(&self, header: Header, mut payload: Vec<u8>) -> Vec<u8> {
        let length = payload.len();
        payload.extend([0; MAC]);
        let mut frame = Frame { header, payload: &payload }.encode();
        let end = frame.len() - MAC;
        debug_assert_eq!(end, header.encoded_len() + length);
        let mac = blake2s_mac(&self.0, &[&frame[..end]]);
        frame[end..].copy_from_slice(&mac);
        frame
    }

    /// The same bytes with a MAC that holds in place of their last ones, for tests of what comes after it.
    pub(crate) fn resealed(&self, bytes: &[u8]) -> Vec<u8> {
        let covered = &bytes[..bytes.len().saturating_sub(MAC)];
        [covered, &blake2s_mac(&self.0, &[covered])].concat()
    }

    /// The payload of a frame of this mode from this router, if its MAC holds.
    fn open<'a>(&self, bytes: &'a [u8], mode: Mode, sender: RouterId) -> Result<&'a [u8], TrainError> {
        let frame = Frame::decode(bytes)?;
        if frame.header != header(mode, sender) {
            return Err(DecodeError::Value("header").into());
        }
        let Some((payload, mac)) = frame.payload.split_last_chunk::<MAC>() else {
            return Err(DecodeError::Truncated { field: "mac", missing: MAC - frame.payload.len() }.into());
        };
        let own = blake2s_mac(&self.0, &[&bytes[..bytes.len() - MAC]]);
        if is_same_mac(&own, mac) { Ok(payload) } else { Err(TrainError::Mac) }
    }
}

impl fmt::Debug for TrainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrainKey(…)")
    }
}

/// Why a datagram is no packet of a train and no report of this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Not made by the other end of this link.
    #[error("the MAC does not hold")]
    Mac,
    /// Not a frame of this kind.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Of what kind a datagram claims to be and which router claims to have sent it; nothing if it is neither a train nor a
/// report.
pub fn peek(bytes: &[u8]) -> Option<(Mode, RouterId)> {
    let header = Frame::decode(bytes).ok()?.header;
    let mode = [Mode::TRAIN, Mode::TRAIN_REPORT].into_iter().find(|mode| *mode == header.mode)?;
    Some((mode, header.sender_router()))
}

/// One packet of a train: train 4 ‖ index 2 ‖ count 2 ‖ zeros ‖ MAC 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainPacket {
    /// Numbers the trains of one link and direction, strictly increasing.
    pub train: u32,
    /// The place in the train, from 0.
    pub index: u16,
    /// Packets of the train, 2 to [`MAX_TRAIN`].
    pub count: u16,
}

impl TrainPacket {
    /// A datagram of `length` bytes, kept between [`MIN_TRAIN_PACKET`] and [`MAX_TRAIN_PACKET`].
    pub fn encode(&self, sender: RouterId, length: usize, key: &TrainKey) -> Vec<u8> {
        let header = header(Mode::TRAIN, sender);
        let length = length.clamp(MIN_TRAIN_PACKET, MAX_TRAIN_PACKET);
        let mut payload = Vec::with_capacity(length);
        Writer::new(&mut payload).u32(self.train).u16(self.index).u16(self.count);
        payload.resize(length - header.encoded_len() - MAC, 0);
        key.seal(header, payload)
    }

    /// Parses a datagram of a neighbour.
    ///
    /// # Errors
    /// [`TrainError`]; a MAC that holds is asked for before the fields.
    pub fn decode(bytes: &[u8], sender: RouterId, key: &TrainKey) -> Result<Self, TrainError> {
        if !(MIN_TRAIN_PACKET..=MAX_TRAIN_PACKET).contains(&bytes.len()) {
            return Err(DecodeError::Value("length").into());
        }
        let mut reader = Reader::new(key.open(bytes, Mode::TRAIN, sender)?);
        let packet =
            Self { train: reader.u32("train")?, index: reader.u16("index")?, count: reader.u16("count")? };
        if !(2..=MAX_TRAIN).contains(&packet.count) || packet.index >= packet.count {
            return Err(DecodeError::Value("count").into());
        }
        if reader.rest().iter().any(|byte| *byte != 0) {
            return Err(DecodeError::Value("zeros").into());
        }
        Ok(packet)
    }
}

/// When one packet arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its place in the train.
    pub index: u16,
    /// Microseconds since the first packet of the report arrived, by the receiver's kernel.
    pub micros: u32,
}

/// What arrived of a train: train 4 ‖ received 2 ‖ (index 2 ‖ microseconds 4) … ‖ MAC 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainReport {
    /// The number of the train.
    pub train: u32,
    /// Packets that arrived.
    pub received: u16,
    /// In the order of arrival each [`TrainReport::every`]-th of them, the first included.
    pub arrivals: Vec<Arrival>,
}

impl TrainReport {
    /// Which arrivals a report of so many packets names: all up to [`MAX_ARRIVALS`], else every second, third and so on.
    pub fn every(received: u16) -> usize {
        usize::from(received).div_ceil(MAX_ARRIVALS).max(1)
    }

    /// The datagram.
    ///
    /// # Panics
    /// If the number of arrivals is not what [`TrainReport::every`] makes it.
    pub fn encode(&self, sender: RouterId, key: &TrainKey) -> Vec<u8> {
        assert_eq!(self.arrivals.len(), named(self.received), "arrivals of {} packets", self.received);
        let mut payload = Vec::with_capacity(6 + 6 * self.arrivals.len() + MAC);
        let mut writer = Writer::new(&mut payload);
        writer.u32(self.train).u16(self.received);
        for arrival in &self.arrivals {
            writer.u16(arrival.index).u32(arrival.micros);
        }
        key.seal(header(Mode::TRAIN_REPORT, sender), payload)
    }

    /// Parses a datagram of a neighbour; whether it fits a train that was sent is the sender's to judge.
    ///
    /// # Errors
    /// [`TrainError`], also for times that run backwards.
    pub fn decode(bytes: &[u8], sender: RouterId, key: &TrainKey) -> Result<Self, TrainError> {
        let mut reader = Reader::new(key.open(bytes, Mode::TRAIN_REPORT, sender)?);
        let (train, received) = (reader.u32("train")?, reader.u16("received")?);
        if received > MAX_TRAIN {
            return Err(DecodeError::Value("received").into());
        }
        let mut arrivals = Vec::with_capacity(named(received));
        for _ in 0..named(received) {
            arrivals.push(Arrival { index: reader.u16("index")?, micros: reader.u32("arrival")? });
        }
        reader.end()?;
        let begins = arrivals.first().is_none_or(|first| first.micros == 0);
        if !begins || !arrivals.is_sorted_by_key(|arrival| arrival.micros) {
            return Err(DecodeError::Value("arrival").into());
        }
        Ok(Self { train, received, arrivals })
    }
}

fn named(received: u16) -> usize {
    usize::from(received).div_ceil(TrainReport::every(received))
}

const fn header(mode: Mode, sender: RouterId) -> Header {
    Header { hops_left: 0, ..Header::new(mode, *sender.as_bytes()) }
}

#[cfg(test)]
mod tests;
