// SPDX-License-Identifier: AGPL-3.0-or-later
//! Noise_IK_25519_ChaChaPoly_BLAKE2s with our messages inside (source: wire page, gateway sessions; the Noise
//! specification, revision 34). The prologue binds both ed25519 addresses, since each X25519 key belongs to two.

use core::fmt;

use ratman_types::{Address, SecretKey, Signer, to_x25519};
use ratman_wire::session::{Initiation, InitiationPayload, Response, ResponsePayload, SessionIndex};
use snow::{Builder, HandshakeState};
use zeroize::{Zeroize, Zeroizing};

use super::SessionDrop;
use super::entropy::Entropy;

const NOISE: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE_DOMAIN: &[u8] = b"irdest session 1";

/// Our address and the X25519 form of its secret.
pub(super) struct StaticKey {
    address: Address,
    secret: Zeroizing<[u8; 32]>,
}

impl StaticKey {
    pub(super) fn new(key: &SecretKey) -> Self {
        Self { address: key.address(), secret: Zeroizing::new(key.to_x25519().to_bytes()) }
    }

    pub(super) fn address(&self) -> Address {
        self.address
    }

    fn builder<'a>(&'a self, prologue: &'a [u8], entropy: &mut Entropy) -> Builder<'a> {
        let parameters = NOISE.parse().expect("a valid Noise name");
        Builder::with_resolver(parameters, Box::new(entropy.resolver()))
            .local_private_key(&self.secret[..])
            .and_then(|builder| builder.prologue(prologue))
            .expect("each is given once")
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticKey({})", self.address.short())
    }
}

/// What a complete handshake yields: the key of either direction, zeroised when dropped.
pub(super) struct Split {
    pub(super) from_initiator: Zeroizing<[u8; 32]>,
    pub(super) from_responder: Zeroizing<[u8; 32]>,
}

impl Split {
    fn of(mut state: HandshakeState) -> Self {
        let (mut from_initiator, mut from_responder) = state.dangerously_get_raw_split();
        let split = Self {
            from_initiator: Zeroizing::new(from_initiator),
            from_responder: Zeroizing::new(from_responder),
        };
        from_initiator.zeroize();
        from_responder.zeroize();
        split
    }
}

/// A handshake that we began.
#[derive(Debug)]
pub(super) struct Begun(HandshakeState);

/// Begins a handshake; `remote_key` is the X25519 form of `remote`.
pub(super) fn initiate(
    local: &StaticKey,
    (remote, remote_key): (Address, &[u8; 32]),
    sender: SessionIndex,
    payload: &InitiationPayload,
    entropy: &mut Entropy,
) -> (Begun, Initiation) {
    let prologue = prologue(&local.address, &remote);
    let builder = local.builder(&prologue, entropy).remote_public_key(remote_key).expect("given once");
    let mut state = builder.build_initiator().expect("every key is there");
    let mut initiation = Initiation { sender, noise: [0; _], mac2: [0; 16] };
    let written =
        state.write_message(&payload.encode(), &mut initiation.noise).expect("the first message fits");
    assert_eq!(written, initiation.noise.len(), "the first message has a fixed length");
    (Begun(state), initiation)
}

impl Begun {
    /// Reads the response. After an error the handshake is as before: a forged response ends nothing.
    pub(super) fn read(&mut self, response: &Response) -> Result<ResponsePayload, SessionDrop> {
        let mut payload = [0; ResponsePayload::LEN];
        self.0.read_message(&response.noise, &mut payload).map_err(|_| SessionDrop::BadHandshake)?;
        ResponsePayload::decode(&payload).map_err(|_| SessionDrop::OtherVersion)
    }

    /// The keys, after [`Begun::read`].
    pub(super) fn split(self) -> Split {
        Split::of(self.0)
    }
}

/// An initiation that decrypted and is proven to come from the frame's sender.
pub(super) struct Received {
    state: HandshakeState,
    pub(super) payload: InitiationPayload,
}

/// Reads an initiation in a frame from `remote`.
pub(super) fn receive(
    local: &StaticKey,
    remote: Address,
    initiation: &Initiation,
    entropy: &mut Entropy,
) -> Result<Received, SessionDrop> {
    let remote_key = to_x25519(remote.as_bytes()).ok_or(SessionDrop::BadAddress)?;
    let prologue = prologue(&remote, &local.address);
    let mut state = local.builder(&prologue, entropy).build_responder().expect("every key is there");
    let mut payload = [0; InitiationPayload::LEN];
    state.read_message(&initiation.noise, &mut payload).map_err(|_| SessionDrop::BadHandshake)?;
    if state.get_remote_static() != Some(&remote_key[..]) {
        return Err(SessionDrop::SenderMismatch);
    }
    let payload = InitiationPayload::decode(&payload).map_err(|_| SessionDrop::OtherVersion)?;
    Ok(Received { state, payload })
}

impl Received {
    /// Answers; the keys are complete.
    pub(super) fn respond(
        mut self,
        sender: SessionIndex,
        receiver: SessionIndex,
        payload: &ResponsePayload,
    ) -> (Response, Split) {
        let mut response = Response { sender, receiver, noise: [0; _] };
        let written = self
            .state
            .write_message(&payload.encode(), &mut response.noise)
            .expect("the second message fits");
        assert_eq!(written, response.noise.len(), "the second message has a fixed length");
        (response, Split::of(self.state))
    }
}

fn prologue(initiator: &Address, responder: &Address) -> Vec<u8> {
    [PROLOGUE_DOMAIN, initiator.as_bytes(), responder.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use ratman_types::WallTime;
    use ratman_wire::session::Capabilities;

    use super::*;

    const PAYLOAD: InitiationPayload =
        InitiationPayload { time: WallTime::from_micros(1), capabilities: Capabilities(1) };

    fn key(number: u8) -> StaticKey {
        StaticKey::new(&SecretKey::from_seed([number; 32]))
    }

    fn initiation(from: &StaticKey, to: Address, entropy: &mut Entropy) -> (Begun, Initiation) {
        let to_key = to_x25519(to.as_bytes()).unwrap();
        initiate(from, (to, &to_key), SessionIndex(1), &PAYLOAD, entropy)
    }

    #[test]
    fn both_ends_get_the_same_keys() {
        let (alice, bob, mut entropy) = (key(1), key(2), Entropy::new([0; 32]));
        let (mut begun, initiation) = initiation(&alice, bob.address(), &mut entropy);
        let received = receive(&bob, alice.address(), &initiation, &mut entropy).unwrap();
        assert_eq!(received.payload, PAYLOAD);
        let answer = ResponsePayload { capabilities: Capabilities(3) };
        let (response, theirs) = received.respond(SessionIndex(2), SessionIndex(1), &answer);
        let mut forged = response;
        forged.noise[40] ^= 1;
        assert_eq!(begun.read(&forged), Err(SessionDrop::BadHandshake));
        assert_eq!(begun.read(&response), Ok(answer), "a forged response ended nothing");
        let ours = begun.split();
        assert_eq!(ours.from_initiator, theirs.from_initiator);
        assert_eq!(ours.from_responder, theirs.from_responder);
        assert_ne!(ours.from_initiator, ours.from_responder);
    }

    #[test]
    fn the_static_key_must_be_that_of_the_sender() {
        let (alice, bob, mut entropy) = (key(1), key(2), Entropy::new([0; 32]));
        // Alice says in the carrier header and the prologue that she is Carol, and proves her own key.
        let claimed = StaticKey { address: key(3).address(), secret: alice.secret.clone() };
        let (_, initiation) = initiation(&claimed, bob.address(), &mut entropy);
        let refused = receive(&bob, claimed.address(), &initiation, &mut entropy).map(|_| ());
        assert_eq!(refused, Err(SessionDrop::SenderMismatch));
    }

    #[test]
    fn the_prologue_binds_both_addresses() {
        let (alice, bob, mut entropy) = (key(1), key(2), Entropy::new([0; 32]));
        let (_, initiation) = initiation(&alice, bob.address(), &mut entropy);
        let renamed = StaticKey { address: key(4).address(), secret: bob.secret.clone() };
        for (local, remote) in [(&renamed, alice.address()), (&bob, key(4).address())] {
            let refused = receive(local, remote, &initiation, &mut entropy).map(|_| ());
            assert_eq!(refused, Err(SessionDrop::BadHandshake));
        }
    }
}
