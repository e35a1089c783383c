// SPDX-License-Identifier: AGPL-3.0-or-later
//! The initiator's side of a handshake.

use ratman_types::{Address, Now, Timestamp, to_x25519};
use ratman_wire::Mode;
use ratman_wire::session::{CookieReply, InitiationPayload, Response};

use super::cookie::with_cookie;
use super::handshake;
use super::remote::{Attempt, Complete};
use super::{Cipher, Role, SessionDrop, Sessions};

/// How often one initiation is repeated with another cookie: a forged cookie must not end the handshake, and a
/// flood of forged ones must not make us flood the remote.
const MAX_COOKIES: u8 = 3;

impl Sessions {
    /// Sends a new initiation to a remote that we hold; `since` is when the series of them began.
    pub(super) fn initiate(&mut self, remote: Address, since: Timestamp, now: Now) {
        let Some(remote_key) = to_x25519(remote.as_bytes()) else { return };
        let index = self.new_index();
        let time = self.times.next_to_send(&remote, self.wall(now));
        if self.times.is_configured(&remote) {
            self.persist.insert(remote);
        }
        let payload = InitiationPayload { time, capabilities: self.capabilities };
        let (begun, initiation) =
            handshake::initiate(&self.local, (remote, &remote_key), index, &payload, &mut self.entropy);
        let retry_at = self.retry_at(now.at);
        if let Some(state) = self.remotes.get_mut(&remote) {
            state.attempt = Some(Attempt { begun, initiation, since, retry_at, cookies: 0 });
            self.transmit(remote, Mode::SESSION_INITIATION, initiation.encode());
        }
    }

    pub(super) fn handle_response(
        &mut self,
        remote: Address,
        payload: &[u8],
        now: Now,
    ) -> Result<(), SessionDrop> {
        let response = Response::decode(payload).map_err(|_| SessionDrop::MalformedFrame)?;
        let state = self.remotes.get_mut(&remote).ok_or(SessionDrop::UnknownHandshake)?;
        let is_open = |attempt: &mut Attempt| attempt.initiation.sender == response.receiver;
        let mut attempt = state.attempt.take_if(is_open).ok_or(SessionDrop::UnknownHandshake)?;
        let answer = match attempt.begun.read(&response) {
            Ok(answer) => answer,
            Err(drop) => {
                state.attempt = Some(attempt);
                return Err(drop);
            }
        };
        let handshake = Complete {
            role: Role::Initiator,
            cipher: Cipher::agreed(self.capabilities, answer.capabilities),
            split: attempt.begun.split(),
            ours: response.receiver,
            theirs: response.sender,
            rekey_after: self.rekey_after(Role::Initiator),
        };
        let context = self.key_context(remote, now.at);
        if let Some(state) = self.remotes.get_mut(&remote) {
            state.ring.complete(state.key_pair(context, handshake));
            state.traffic.heard();
        }
        self.established(remote, Role::Initiator, now.at);
        // The responder may send only after our first frame, and packets may not be waiting for us.
        self.keepalive(remote, now.at);
        Ok(())
    }

    pub(super) fn handle_cookie(&mut self, remote: Address, payload: &[u8]) -> Result<(), SessionDrop> {
        let reply = CookieReply::decode(payload).map_err(|_| SessionDrop::MalformedFrame)?;
        let attempt = self
            .remotes
            .get_mut(&remote)
            .and_then(|state| state.attempt.as_mut())
            .filter(|attempt| attempt.initiation.sender == reply.receiver && attempt.cookies < MAX_COOKIES)
            .ok_or(SessionDrop::UnknownHandshake)?;
        attempt.cookies += 1;
        let repeated = with_cookie(&attempt.initiation, &reply.cookie);
        self.transmit(remote, Mode::SESSION_INITIATION, repeated.encode());
        Ok(())
    }
}
