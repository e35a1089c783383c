// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who is at the other end of a connection, and what follows from that.

use std::fmt;

use crate::addresses::Asker;
use crate::control::Allowed;

/// A client, as far as the kernel says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Who {
    /// Whose share of addresses is taken, and whether what is others' may be destroyed.
    pub(super) asker: Asker,
    /// Whether it may ask for what needs the operator: who may on the control socket may here.
    pub(super) operates: bool,
}

impl Who {
    /// Who is on a TCP connection is not known: all of them have one user's share together.
    pub(super) const UNKNOWN: Self = Self { asker: Asker { uid: None, is_operator: false }, operates: false };

    /// Who connected by a unix socket, by its user and its effective group.
    pub(super) fn of_user(allowed: Allowed, uid: u32, gid: u32) -> Self {
        let admitted = allowed.admit(uid, gid);
        let asker = admitted.unwrap_or(Asker { uid: Some(uid), is_operator: false });
        Self { asker, operates: admitted.is_some() }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.asker.uid {
            Some(uid) => write!(f, "user {uid}"),
            None => f.write_str("somebody"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::allowed::tests::ALLOWED;

    #[test]
    fn who_may_ask_on_the_control_socket_operates_here() {
        // Root, the daemon's user, its group, and two strangers.
        for (uid, gid, is_operator, operates) in [
            (0, 1, true, true),
            (7, 1, true, true),
            (8, 70, false, true),
            (8, 0, false, false),
            (70, 7, false, false),
        ] {
            let expected = Who { asker: Asker { uid: Some(uid), is_operator }, operates };
            assert_eq!(Who::of_user(ALLOWED, uid, gid), expected, "{uid}:{gid}");
        }
    }
}
