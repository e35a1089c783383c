// SPDX-License-Identifier: AGPL-3.0-or-later
//! A doubly linked list whose links lie in a vector beside the members: joining, leaving from the middle and moving
//! to the end take constant time and no allocation.

/// The neighbours of one member in its chain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    before: Option<usize>,
    after: Option<usize>,
}

/// The ends of one chain; `links[id]` belongs to the one chain that member `id` is in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    first: Option<usize>,
    last: Option<usize>,
}

impl Chain {
    pub(super) fn first(&self) -> Option<usize> {
        self.first
    }

    /// Adds a member that is in no chain of these links.
    pub(super) fn append(&mut self, links: &mut [Links], id: usize) {
        links[id] = Links { before: self.last, after: None };
        match self.last.replace(id) {
            Some(before) => links[before].after = Some(id),
            None => self.first = Some(id),
        }
    }

    /// Takes out a member of this chain.
    pub(super) fn remove(&mut self, links: &mut [Links], id: usize) {
        let Links { before, after } = links[id];
        match before {
            Some(before) => links[before].after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => links[after].before = before,
            None => self.last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(chain: &Chain, links: &[Links]) -> Vec<usize> {
        let forwards: Vec<_> = core::iter::successors(chain.first, |&id| links[id].after).collect();
        let mut backwards: Vec<_> = core::iter::successors(chain.last, |&id| links[id].before).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        forwards
    }

    #[test]
    fn members_leave_from_anywhere() {
        let (mut chain, mut links) = (Chain::default(), vec![Links::default(); 4]);
        (0..4).for_each(|id| chain.append(&mut links, id));
        chain.remove(&mut links, 2);
        assert_eq!(ids(&chain, &links), [0, 1, 3]);
        chain.remove(&mut links, 0);
        chain.remove(&mut links, 3);
        chain.append(&mut links, 0);
        assert_eq!(ids(&chain, &links), [1, 0]);
        chain.remove(&mut links, 1);
        chain.remove(&mut links, 0);
        assert_eq!(ids(&chain, &links), []);
        assert_eq!(chain.first(), None);
    }
}
