// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a stream is to be.

use ratman_wire::api::{
    Address, AuxiliaryData, ByteCount, Letterhead, Lifetime, List, MAX_RECIPIENTS, NewStream, Recipient,
};

use crate::{Error, Result};

/// A stream that is to be sent: from whom, to whom, and how.
///
/// ```
/// # use ratman_client::{Outgoing, types::{Address, Lifetime, Recipient}};
/// # let (ours, theirs) = (Address::from_bytes([1; 32]), Address::from_bytes([2; 32]));
/// let day = Lifetime::from_secs(86_400).unwrap();
/// let outgoing = Outgoing::new(ours, [Recipient::Address(theirs)]).size(5).lifetime(day).progress(true);
/// ```
#[derive(Clone, Debug)]
pub struct Outgoing {
    from: Address,
    to: Vec<Recipient>,
    size: Option<ByteCount>,
    lifetime: Option<Lifetime>,
    progress: bool,
    auxiliary_data: AuxiliaryData,
}

impl Outgoing {
    /// From an address of this program, to 1 to [`MAX_RECIPIENTS`] others, nobody twice: the same content to each.
    pub fn new(from: Address, to: impl IntoIterator<Item = Recipient>) -> Self {
        let auxiliary_data = AuxiliaryData::default();
        let outgoing =
            Self { from, to: Vec::new(), size: None, lifetime: None, progress: false, auxiliary_data };
        outgoing.to(to)
    }

    /// To these instead.
    #[must_use]
    pub fn to(mut self, to: impl IntoIterator<Item = Recipient>) -> Self {
        // One more than may be is enough to be refused.
        self.to = to.into_iter().take(MAX_RECIPIENTS + 1).collect();
        self
    }

    /// What a letterhead says. A size of zero stands for one that is not known, as in deployed programs.
    pub fn of(letterhead: &Letterhead) -> Self {
        let size = Some(letterhead.stream_size).filter(|size| size.0 > 0);
        let auxiliary_data = letterhead.auxiliary_data.clone();
        Self { size, auxiliary_data, ..Self::new(letterhead.from, [letterhead.to]) }
    }

    /// How many bytes the content will have. The router then refuses at once what it has no room for, and refuses the end of any other
    /// content. Default: not known.
    #[must_use]
    pub const fn size(mut self, bytes: u64) -> Self {
        self.size = Some(ByteCount(bytes));
        self
    }

    /// For how long it is wanted: at most 30 days, to a namespace a day. Default a week, to a namespace a day.
    #[must_use]
    pub const fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Whether progress is to be told, some times a second. Default no.
    #[must_use]
    pub const fn progress(mut self, progress: bool) -> Self {
        self.progress = progress;
        self
    }

    /// What the recipients are told beside the content, at most 32 KiB. Default nothing.
    #[must_use]
    pub fn auxiliary_data(mut self, data: AuxiliaryData) -> Self {
        self.auxiliary_data = data;
        self
    }

    /// The address that it is from.
    pub const fn from(&self) -> Address {
        self.from
    }

    /// As the router is told.
    pub(crate) fn into_new_stream(self) -> Result<NewStream> {
        let number = self.to.len();
        let mut seen = self.to.clone();
        seen.sort_unstable();
        seen.dedup();
        if number == 0 || seen.len() != number {
            return Err(Error::Input("a stream has at least one recipient, and nobody twice".to_owned()));
        }
        // What is wanted for different times is wanted for the shortest: no router takes a namespace for longer.
        let usual = self.to.iter().map(Lifetime::usual_to).min().unwrap_or(Lifetime::USUAL);
        let to = List::new(self.to)
            .ok_or_else(|| Error::Input(format!("a stream has at most {MAX_RECIPIENTS} recipients")))?;
        Ok(NewStream {
            from: self.from,
            to,
            size: self.size,
            lifetime: self.lifetime.unwrap_or(usual),
            progress: self.progress,
            auxiliary_data: self.auxiliary_data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_wire::api::Namespace;

    const FROM: Address = Address::from_bytes([1; 32]);

    fn address(byte: u8) -> Recipient {
        Recipient::Address(Address::from_bytes([byte; 32]))
    }

    #[test]
    fn the_usual_lifetime_is_that_of_the_recipients() {
        let lifetime =
            |to: &[Recipient]| Outgoing::new(FROM, to.iter().copied()).into_new_stream().unwrap().lifetime;
        let namespace = Recipient::Namespace(Namespace::from_bytes([2; 32]));
        assert_eq!(lifetime(&[address(2)]), Lifetime::USUAL);
        assert_eq!(lifetime(&[address(2), namespace]), Lifetime::MAX_FLOODED);
    }

    #[test]
    fn nobody_is_told_twice_and_somebody_is_told() {
        for to in [vec![], vec![address(2), address(3), address(2)]] {
            let refused = Outgoing::new(FROM, to).into_new_stream();
            assert!(matches!(refused, Err(Error::Input(_))), "{refused:?}");
        }
        let key = |index: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&index.to_be_bytes());
            Recipient::Address(Address::from_bytes(bytes))
        };
        assert!(Outgoing::new(FROM, (0..MAX_RECIPIENTS).map(key)).into_new_stream().is_ok());
        let refused = Outgoing::new(FROM, (0..2 * MAX_RECIPIENTS).map(key)).into_new_stream();
        assert!(matches!(refused, Err(Error::Input(_))), "{refused:?}");
    }
}
