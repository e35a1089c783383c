// SPDX-License-Identifier: AGPL-3.0-or-later
//! The responder's side of a handshake: the cheapest reasons against an initiation come first.

use ratman_types::{Address, Hop, Now, RouterId};
use ratman_wire::Mode;
use ratman_wire::session::{CookieReply, Initiation, ResponsePayload};

use super::handshake::{self, Received};
use super::remote::{Complete, HALF_OPEN_PER_NEIGHBOUR, MAX_INBOUND_STRANGERS, Remote};
use super::{Cipher, Role, SessionDrop, Sessions};

impl Sessions {
    pub(super) fn handle_initiation(
        &mut self,
        from: Hop,
        remote: Address,
        payload: &[u8],
        now: Now,
    ) -> Result<(), SessionDrop> {
        let initiation = Initiation::decode(payload).map_err(|_| SessionDrop::MalformedFrame)?;
        if !self.accepts(&remote) {
            return Err(SessionDrop::NotAccepted);
        }
        if self.load.count(now.at) {
            self.check_cookie(remote, &initiation, now)?;
        }
        self.check_quota(&remote, from.neighbour)?;
        let received = handshake::receive(&self.local, remote, &initiation, &mut self.entropy)?;
        self.times.take(&remote, received.payload.time, (now.at, self.wall(now)))?;
        if self.times.is_configured(&remote) {
            self.persist.insert(remote);
        }
        self.respond(from, remote, &initiation, received, now);
        Ok(())
    }

    /// Under load: whether the sender proved that it can receive at its address. Then a configured remote is who it
    /// says, and only strangers are limited further.
    fn check_cookie(
        &mut self,
        remote: Address,
        initiation: &Initiation,
        now: Now,
    ) -> Result<(), SessionDrop> {
        if !self.cookies.verify(&remote, initiation, now.at) {
            let cookie = self.cookies.make(&remote, initiation, now.at, &mut self.entropy);
            let reply = CookieReply { receiver: initiation.sender, cookie };
            self.transmit(remote, Mode::SESSION_COOKIE, reply.encode());
            return Err(SessionDrop::CookieAsked);
        }
        if !self.times.is_configured(&remote) && self.load.count_proven() {
            return Err(SessionDrop::Overloaded);
        }
        Ok(())
    }

    /// Whether a stranger may have one more session.
    fn check_quota(&self, remote: &Address, neighbour: RouterId) -> Result<(), SessionDrop> {
        if self.times.is_configured(remote) || self.remotes.contains_key(remote) {
            return Ok(());
        }
        if self.strangers() >= MAX_INBOUND_STRANGERS {
            return Err(SessionDrop::SessionsFull);
        }
        let shares = |(remote, state): &(&Address, &Remote)| {
            state.neighbour == Some(neighbour) && state.is_half_open() && !self.times.is_configured(remote)
        };
        match self.remotes.iter().filter(shares).count() {
            count if count < HALF_OPEN_PER_NEIGHBOUR => Ok(()),
            _ => Err(SessionDrop::HalfOpenQuota),
        }
    }

    fn respond(&mut self, from: Hop, remote: Address, initiation: &Initiation, received: Received, now: Now) {
        let index = self.new_index();
        let cipher = Cipher::agreed(self.capabilities, received.payload.capabilities);
        let answer = ResponsePayload { capabilities: self.capabilities };
        let (response, split) = received.respond(index, initiation.sender, &answer);
        let handshake = Complete {
            role: Role::Responder,
            cipher,
            split,
            ours: index,
            theirs: initiation.sender,
            rekey_after: self.rekey_after(Role::Responder),
        };
        let context = self.key_context(remote, now.at);
        let state = self.remotes.entry(remote).or_insert_with(Remote::new);
        state.ring.offer(state.key_pair(context, handshake));
        state.neighbour = Some(from.neighbour);
        self.keys_changed(now.at);
        self.transmit(remote, Mode::SESSION_RESPONSE, response.encode());
    }
}
