// SPDX-License-Identifier: AGPL-3.0-or-later
//! How a tool ended, for scripts.

use std::process::ExitCode;

/// How a tool ended. The numbers are part of its command line and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: it is done.
    Done,
    /// 1: it was not done, for none of the reasons below.
    Failed,
    /// 2: the command line, or a value in it, is wrong.
    Usage,
    /// 3: no router listens there, or it was lost.
    NoRouter,
    /// 4: the token is not that of the address, or only the operator may.
    NotAuthorised,
    /// 5: it did not arrive in time, or nothing came in time.
    NotDelivered,
    /// 6: a recipient does not want it.
    Refused,
    /// 130: the user ended it, with SIGINT or SIGTERM; what shells make of the former.
    Interrupted,
}

impl Exit {
    /// What `--help` and the manual say of them.
    pub const HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no router there,
4 not authorised (wrong token, or for operators), 5 not in time (no route, expired),
6 refused or denied by a recipient, 130 interrupted.";

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NoRouter => 3,
            Self::NotAuthorised => 4,
            Self::NotDelivered => 5,
            Self::Refused => 6,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_code() {
        let all = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::NoRouter,
            Exit::NotAuthorised,
            Exit::NotDelivered,
            Exit::Refused,
            Exit::Interrupted,
        ];
        let mut rest = Exit::HELP;
        for exit in all {
            let (_, after) = rest.split_once(&exit.code().to_string()).unwrap();
            rest = after;
        }
    }
}
