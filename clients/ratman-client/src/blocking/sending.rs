// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that are sent, and news of them.

use std::io::{self, Read, Write};
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::runtime::Runtime;

use crate::types::{MAX_CONTENT, News, OpenedStream, Recipient};
use crate::{Result, ResumeToken};

/// [`crate::Sending`] as a writer. News are taken from the connection while something is called here, and kept until they are asked
/// for.
#[derive(Debug)]
pub struct Sending {
    sending: crate::Sending,
    runtime: Arc<Runtime>,
}

impl Sending {
    pub(super) const fn new(sending: crate::Sending, runtime: Arc<Runtime>) -> Self {
        Self { sending, runtime }
    }

    /// [`crate::Sending::offset`].
    pub const fn offset(&self) -> u64 {
        self.sending.offset()
    }

    /// [`crate::Sending::written`].
    pub const fn written(&self) -> u64 {
        self.sending.written()
    }

    /// [`crate::Sending::resume_token`].
    pub const fn resume_token(&self) -> &ResumeToken {
        self.sending.resume_token()
    }

    /// [`crate::Sending::copy_from`].
    ///
    /// # Errors
    /// As there.
    pub fn copy_from(&mut self, reader: &mut (impl Read + ?Sized)) -> Result<u64> {
        let mut piece = zeroize::Zeroizing::new(vec![0; MAX_CONTENT]);
        let before = self.written();
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(self.written() - before),
                Ok(length) => self.write_all(&piece[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// [`crate::Sending::finish`].
    ///
    /// # Errors
    /// As there.
    pub fn finish(&mut self) -> Result<()> {
        self.runtime.block_on(self.sending.finish())
    }

    /// [`crate::Sending::next_news`].
    ///
    /// # Errors
    /// As there.
    pub fn next_news(&mut self) -> Result<Option<(Recipient, News)>> {
        self.runtime.block_on(self.sending.next_news())
    }

    /// [`crate::Sending::accepted`].
    ///
    /// # Errors
    /// As there.
    pub fn accepted(&mut self) -> Result<Vec<(Recipient, News)>> {
        self.runtime.block_on(self.sending.accepted())
    }

    /// [`crate::Sending::cancel`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel(self) -> Result<()> {
        self.runtime.block_on(self.sending.cancel())
    }

    pub(super) fn confirm(&mut self) -> Result<Vec<OpenedStream>> {
        self.runtime.block_on(self.sending.confirm())
    }
}

/// Writes content, piece by piece; errors are [`Error`](crate::Error)s within.
impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.runtime.block_on(self.sending.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.runtime.block_on(self.sending.flush())
    }
}

/// [`crate::Following`].
#[derive(Debug)]
pub struct Following {
    following: crate::Following,
    runtime: Arc<Runtime>,
}

impl Following {
    pub(super) const fn new(following: crate::Following, runtime: Arc<Runtime>) -> Self {
        Self { following, runtime }
    }

    /// [`crate::Following::next`].
    ///
    /// # Errors
    /// As there.
    #[expect(clippy::should_implement_trait, reason = "it fails, and may go on afterwards: no iterator does")]
    pub fn next(&mut self) -> Result<Option<News>> {
        self.runtime.block_on(self.following.next())
    }
}
