// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whom the control socket serves, by what the kernel says of who connects.

use crate::addresses::Asker;

/// Who may ask: root and the daemon's own user, who may all, and the group that the control socket belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    uid: u32,
    gid: u32,
}

impl Allowed {
    /// The user of this process, and that group.
    pub(crate) fn of_group(gid: u32) -> Self {
        Self { uid: nix::unistd::geteuid().as_raw(), gid }
    }

    /// Who somebody is, if they may ask. Of the groups of a process the kernel tells the effective one only.
    pub(crate) fn admit(self, uid: u32, gid: u32) -> Option<Asker> {
        let is_operator = uid == 0 || uid == self.uid;
        (is_operator || gid == self.gid).then_some(Asker { uid: Some(uid), is_operator })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of a daemon of user 7 and group 70.
    pub(crate) const ALLOWED: Allowed = Allowed { uid: 7, gid: 70 };

    #[test]
    fn root_the_daemons_user_and_the_sockets_group_may_ask() {
        let (operator, client) = (Some(true), Some(false));
        for (uid, gid, expected) in [
            (0, 1, operator),
            (7, 1, operator),
            (8, 70, client),
            (8, 0, None),
            (70, 7, None),
            (7, 70, operator),
        ] {
            let asker = ALLOWED.admit(uid, gid);
            assert_eq!(asker.map(|asker| asker.is_operator), expected, "{uid}:{gid}");
            assert!(asker.is_none_or(|asker| asker.uid == Some(uid)));
        }
    }
}
