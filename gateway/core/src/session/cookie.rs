// SPDX-License-Identifier: AGPL-3.0-or-later
//! Cookies: under load a responder answers an initiation only from a sender that can receive at its address, and
//! keeps nothing to know that (source: wire page, gateway sessions).

use core::time::Duration;

use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use ratman_types::{Address, Timestamp, blake2b};
use ratman_wire::session::Initiation;
use zeroize::Zeroizing;

use super::entropy::Entropy;

/// How long a secret makes cookies; afterwards it verifies them for as long again.
const SECRET_LIFETIME: Duration = Duration::from_secs(120);

/// The secrets behind our cookies.
#[derive(Debug, Default)]
pub(super) struct CookieJar {
    current: Option<Secret>,
    previous: Option<Secret>,
}

struct Secret {
    key: Zeroizing<[u8; 32]>,
    made: Timestamp,
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Secret").field("made", &self.made).finish_non_exhaustive()
    }
}

impl Secret {
    fn cookie(&self, sender: &Address, authenticated: &[u8]) -> [u8; 16] {
        let hash = blake2b(&[authenticated]);
        keyed(&self.key[..], &[sender.as_bytes(), hash.as_bytes()]).finalize().into_bytes().into()
    }
}

impl CookieJar {
    /// The cookie that `sender` is asked to prove for this initiation.
    pub(super) fn make(
        &mut self,
        sender: &Address,
        initiation: &Initiation,
        now: Timestamp,
        entropy: &mut Entropy,
    ) -> [u8; 16] {
        self.rotate(now);
        let secret = self.current.get_or_insert_with(|| Secret { key: entropy.secret(), made: now });
        secret.cookie(sender, &initiation.authenticated_bytes())
    }

    /// Whether the initiation carries a `mac2` under a cookie that we gave to `sender` for it.
    pub(super) fn verify(&mut self, sender: &Address, initiation: &Initiation, now: Timestamp) -> bool {
        self.rotate(now);
        let authenticated = initiation.authenticated_bytes();
        self.current.iter().chain(&self.previous).any(|secret| {
            let cookie = secret.cookie(sender, &authenticated);
            keyed(&cookie, &[&authenticated]).verify(&initiation.mac2.into()).is_ok()
        })
    }

    fn rotate(&mut self, now: Timestamp) {
        if self.previous.as_ref().is_some_and(|secret| now.since(secret.made) >= 2 * SECRET_LIFETIME) {
            self.previous = None;
        }
        if self.current.as_ref().is_some_and(|secret| now.since(secret.made) >= SECRET_LIFETIME) {
            self.previous = self.current.take().filter(|secret| now.since(secret.made) < 2 * SECRET_LIFETIME);
        }
    }
}

/// Repeats an initiation with the cookie that was asked for: unchanged but for `mac2`.
pub(super) fn with_cookie(initiation: &Initiation, cookie: &[u8; 16]) -> Initiation {
    let mac2 = keyed(cookie, &[&initiation.authenticated_bytes()]).finalize().into_bytes().into();
    Initiation { mac2, ..*initiation }
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Blake2sMac<U16> {
    let mut mac =
        <Blake2sMac<U16> as KeyInit>::new_from_slice(key).expect("BLAKE2s takes keys of up to 32 bytes");
    for part in parts {
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use ratman_wire::session::SessionIndex;

    use super::*;

    const SENDER: Address = Address::from_bytes([1; 32]);
    const INITIATION: Initiation = Initiation { sender: SessionIndex(7), noise: [5; _], mac2: [0; 16] };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn known_answers_hold() {
        // Python: hashlib.blake2s(b"abc", digest_size=16, key=bytes(range(32)))
        let key: [u8; 32] = core::array::from_fn(|i| i.try_into().unwrap());
        let tag: [u8; 16] = keyed(&key, &[b"a", b"bc"]).finalize().into_bytes().into();
        assert_eq!(tag.map(|byte| format!("{byte:02x}")).concat(), "61ba5f165c194692e09d12520cc4c74a");
    }

    #[test]
    fn a_cookie_holds_for_its_sender_and_initiation_only() {
        let (mut jar, mut entropy) = (CookieJar::default(), Entropy::new([0; 32]));
        let cookie = jar.make(&SENDER, &INITIATION, at(0), &mut entropy);
        let repeated = with_cookie(&INITIATION, &cookie);
        assert!(jar.verify(&SENDER, &repeated, at(1)));
        assert!(!jar.verify(&SENDER, &INITIATION, at(1)), "zeros are no mac2");
        assert!(!jar.verify(&Address::from_bytes([2; 32]), &repeated, at(1)));
        assert!(!jar.verify(&SENDER, &Initiation { sender: SessionIndex(8), ..repeated }, at(1)));
        let other = with_cookie(&Initiation { noise: [6; _], ..INITIATION }, &cookie);
        assert!(!jar.verify(&SENDER, &other, at(1)));
    }

    #[test]
    fn a_cookie_lives_from_two_to_four_minutes() {
        let (mut jar, mut entropy) = (CookieJar::default(), Entropy::new([0; 32]));
        jar.make(&SENDER, &INITIATION, at(0), &mut entropy);
        let late = with_cookie(&INITIATION, &jar.make(&SENDER, &INITIATION, at(119), &mut entropy));
        assert!(jar.verify(&SENDER, &late, at(121)));
        jar.make(&SENDER, &INITIATION, at(122), &mut entropy);
        assert!(jar.verify(&SENDER, &late, at(239)));
        assert!(!jar.verify(&SENDER, &late, at(240)));
    }

    #[test]
    fn an_idle_jar_keeps_no_old_secret() {
        let (mut jar, mut entropy) = (CookieJar::default(), Entropy::new([0; 32]));
        let old = with_cookie(&INITIATION, &jar.make(&SENDER, &INITIATION, at(0), &mut entropy));
        assert!(!jar.verify(&SENDER, &old, at(10_000)));
        assert!(jar.current.is_none() && jar.previous.is_none());
    }
}
