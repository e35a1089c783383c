// SPDX-License-Identifier: AGPL-3.0-or-later
//! Pages of lists that change meanwhile. A list is in the order of its keys, and a cursor is the key of the last entry that was told:
//! nothing has to be remembered between two pages, and what stays in the list all the while comes exactly once.

use ratman_wire::api::{Cursor, MAX_ENTRIES, Page, PageOf, RefusalReason};

use crate::client_api::failure::Failure;
use crate::status::{LinkStatus, PeerStatus};

/// What fits into a [`Cursor`].
const MAX_KEY: usize = 128;

/// Of a key that would be too long, so much is its beginning, and the rest the hash of all of it.
const KEY_HEAD: usize = MAX_KEY - 32;

/// Of the entries, each with its key, those that belong on a page; `as_told` makes of an entry what is told of it. Keys have at
/// least one byte, and at most [`MAX_KEY`].
///
/// # Errors
/// The limit cannot be.
pub(in crate::client_api) fn page<K: AsRef<[u8]> + Ord, T, U>(
    keyed: impl IntoIterator<Item = (K, T)>,
    wanted: &PageOf,
    as_told: impl Fn(T) -> U,
) -> Result<Page<U>, Failure> {
    let limit = usize::from(wanted.limit);
    if !(1..=MAX_ENTRIES).contains(&limit) {
        let expected = format!("expected a limit from 1 to {MAX_ENTRIES}, got {limit}");
        return Err(Failure::refused(RefusalReason::Invalid, &expected));
    }
    let after = |(key, _): &(K, T)| key.as_ref() > &wanted.after[..];
    let mut left: Vec<_> = keyed.into_iter().filter(after).collect();
    // Most lists are in this order already, which costs next to nothing then.
    left.sort_by(|(one, _), (other, _)| one.cmp(other));
    left.dedup_by(|(one, _), (other, _)| one == other);
    let more = left.len() > limit;
    left.truncate(limit);
    let last = left.last().filter(|_| more);
    let next = last.map(|(key, _)| key.as_ref().iter().copied().collect()).unwrap_or_default();
    Ok(Page { entries: left.into_iter().map(|(_, entry)| as_told(entry)).collect(), next })
}

/// A page with what was asked about, if it is there.
pub(in crate::client_api) fn only<U>(entry: Option<U>) -> Page<U> {
    Page { entries: entry.into_iter().collect(), next: Cursor::default() }
}

/// In the order of the links' numbers.
pub(super) fn link_key(link: &LinkStatus) -> [u8; 36] {
    let mut key = [0; 36];
    key[..4].copy_from_slice(&link.link.to_be_bytes());
    key[4..].copy_from_slice(link.neighbour.as_bytes());
    key
}

/// In the order of how they are written, which a reload of the configuration does not change.
pub(super) fn peer_key(peer: &PeerStatus) -> [u8; MAX_KEY] {
    let name = peer.peer.as_bytes();
    let head = &name[..name.len().min(KEY_HEAD)];
    let mut key = [0; MAX_KEY];
    key[..head.len()].copy_from_slice(head);
    key[KEY_HEAD..].copy_from_slice(ratman_types::blake2b(&[name]).as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[u16]) -> impl Iterator<Item = ([u8; 2], u16)> {
        names.iter().map(|name| (name.to_be_bytes(), *name))
    }

    fn told(names: &[u16], wanted: &PageOf) -> (Vec<u16>, Cursor) {
        let page = page(keys(names), wanted, |name| name).unwrap();
        (page.entries.into_vec(), page.next)
    }

    #[test]
    fn what_stays_comes_once_whatever_else_comes_and_goes() {
        let mut names: Vec<u16> = (0..300).collect();
        let mut all = Vec::new();
        let mut wanted = PageOf { limit: 100, ..PageOf::first() };
        loop {
            let (entries, next) = told(&names, &wanted);
            all.extend(entries);
            // The last that was told goes, and another comes in front of it.
            let last = *all.last().unwrap();
            names.retain(|name| *name != last);
            names.insert(0, 1_000 - last);
            if next.is_empty() {
                break;
            }
            wanted.after = next;
        }
        let stayed: Vec<u16> = all.iter().copied().filter(|name| *name < 300).collect();
        assert_eq!(stayed, (0..300).collect::<Vec<_>>());
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), all.len());
    }

    #[test]
    fn a_page_that_ends_with_the_list_has_no_cursor() {
        let of = |limit| PageOf { limit, ..PageOf::first() };
        assert_eq!(told(&[3, 1, 2], &of(3)), (vec![1, 2, 3], Cursor::default()));
        let (entries, next) = told(&[3, 1, 2], &of(2));
        assert_eq!((entries, &next[..]), (vec![1, 2], &[0, 2][..]));
        assert_eq!(told(&[3, 1, 2], &PageOf::after(next)), (vec![3], Cursor::default()));
        assert_eq!(told(&[], &of(1)), (vec![], Cursor::default()));
        assert_eq!(told(&[7, 7], &of(1)), (vec![7], Cursor::default()), "nothing comes twice");
        let beyond = [255; 128].into_iter().collect();
        assert_eq!(told(&[7], &PageOf::after(beyond)), (vec![], Cursor::default()), "whatever it says");
    }

    #[test]
    fn a_limit_that_cannot_be_is_refused() {
        for limit in [0, 257, u16::MAX] {
            let refused = page(keys(&[1]), &PageOf { limit, ..PageOf::first() }, |name| name).unwrap_err();
            let Failure::Refused(refusal) = refused else { panic!("{refused:?}") };
            assert_eq!(refusal.reason, RefusalReason::Invalid);
        }
        assert_eq!(told(&[1], &PageOf { limit: 256, ..PageOf::first() }).0, [1]);
    }

    #[test]
    fn peers_whose_names_begin_alike_have_keys_of_their_own() {
        let peer = |end: &str| {
            let peer = format!("inet:{}{end}", "a".repeat(250));
            peer_key(&PeerStatus { peer, linked: false, reached: false, failure: None })
        };
        assert_ne!(peer("b:1"), peer("c:1"));
        let short = |name: &str| {
            peer_key(&PeerStatus { peer: name.into(), linked: false, reached: false, failure: None })
        };
        assert!(short("inet:a:1") < short("inet:b:1"));
        assert!(short("inet:a:1") < short("inet:a:10"));
    }
}
