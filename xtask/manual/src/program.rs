// SPDX-License-Identifier: AGPL-3.0-or-later
//! The programs that have a manual.

use clap::Command;
use irdest_tools::{echo, ping, ratcat, ratctl};

/// A program, and what its command line does not know.
pub(crate) struct Program {
    /// Its command line.
    pub(crate) command: Command,
    /// The section of the manual: 1 for what users run, 8 for what administrators do.
    pub(crate) section: &'static str,
    /// Files, signals, and where to read on, in the words of troff.
    pub(crate) more: &'static str,
}

impl Program {
    /// All of them.
    pub(crate) fn all() -> [Self; 6] {
        [
            Self { command: irdest_gateway::cli::command(), section: "8", more: GATEWAY },
            Self { command: ratcat::command(), section: "1", more: RATCAT },
            Self { command: ratctl::command(), section: "1", more: RATCTL },
            Self { command: ping::command(), section: "1", more: PING },
            Self { command: echo::command(), section: "1", more: ECHO },
            Self { command: irdest_mblog::cli::command(), section: "1", more: MBLOG },
        ]
    }
}

const GATEWAY: &str = r#".SH FILES
.TP
.I /etc/irdest\-gateway/gateway.toml
The configuration; every key is explained in
.IR /usr/share/doc/irdest\-gateway/defaults.toml .
.TP
.I /var/lib/irdest\-gateway
The sealed identity, and what must survive a restart.
.TP
.I /etc/credstore.encrypted/irdest\-gateway.identity\-passphrase
The passphrase of the identity, sealed to this machine; where that was not possible it is
.IR /etc/credstore/irdest\-gateway.identity\-passphrase.plain .
.TP
.I /run/irdest\-gateway/control.sock
The control socket, for root and the group irdest\-gateway.
.TP
.I /run/irdest\-gateway/clients.sock
The socket of the client API, for programs such as
.BR ratcat (1)
and
.BR ratctl (1).
.SH SIGNALS
.TP
.B SIGHUP
Read the configuration again; links, sessions and flows go on. A mistake changes nothing.
.TP
.BR SIGTERM ", " SIGINT
End, and put back what was changed on the host.
.SH SEE ALSO
.BR ratcat (1),
.BR ratctl (1),
.BR systemctl (1),
.BR systemd\-creds (1),
.BR nft (8)
"#;

const RATCAT: &str = r#".SH FILES
.TP
.I ~/.config/irdest/identity
Your address and its token, made by
.BR "ratctl address create" ;
in
.I $XDG_CONFIG_HOME
if that is set. Where it is missing,
.I ~/.config/ratcat/id
of earlier tools is used.
.TP
.I ~/.local/state/irdest/sends
What is kept of files that are being sent, for
.BR \-\-resume ;
in
.I $XDG_STATE_HOME
if that is set.
.TP
.I .ratcat\-*.part
What came of a stream that is not whole, beside where its file is to be. The same command goes on with it.
.SH SIGNALS
.TP
.BR SIGINT ", " SIGTERM
End in order: a stream of which the router has not all is given up, unless
.B \-\-resume
was said; one that it has all of is sent by it all the same; one that comes stays with it.
.SH SEE ALSO
.BR ratctl (1),
.BR irdest\-gateway (8)
"#;

const RATCTL: &str = r#".SH FILES
.TP
.I ~/.config/irdest/identity
Your address and its token, in
.I $XDG_CONFIG_HOME
if that is set. Whoever has this file is you.
.TP
.I /run/irdest\-gateway/clients.sock
Where the router of this host listens; who is root or in its group may change contacts and trust here.
.SH SEE ALSO
.BR ratcat (1),
.BR irdest\-gateway (8)
"#;

const PING: &str = r#".SH FILES
.TP
.I ~/.config/irdest/identity
Your address and its token, for
.BR \-\-own ;
in
.I $XDG_CONFIG_HOME
if that is set.
.SH SIGNALS
.TP
.B SIGINT
Print the statistics, and end.
.SH SEE ALSO
.BR irdest\-echo (1),
.BR ratctl (1),
.BR ping (8)
"#;

const ECHO: &str = r#".SH FILES
.TP
.I ~/.config/irdest/echo
Its address and token, made when it is first started; in
.I $XDG_CONFIG_HOME
if that is set.
.SH SIGNALS
.TP
.B SIGUSR1
Print the figures.
.TP
.BR SIGINT ", " SIGTERM
Take the address down, print the figures, and end.
.SH SEE ALSO
.BR irdest\-ping (1),
.BR ratctl (1)
"#;

const MBLOG: &str = r#".SH FILES
.TP
.I ~/.config/irdest/identity
Your address and its token, made by
.BR "ratctl address create" .
.TP
.I ~/.local/share/irdest/mblog
The posts that have come; in
.I $XDG_DATA_HOME
if that is set.
.SH SEE ALSO
.BR ratcat (1),
.BR ratctl (1)
"#;
