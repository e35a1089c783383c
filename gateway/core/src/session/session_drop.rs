// SPDX-License-Identifier: AGPL-3.0-or-later
//! Why a session frame or batch went no further.

crate::drop_reasons! {
    /// Why the session part of the gateway refused a frame, a record or a batch of packets.
    pub enum SessionDrop {
        /// A handshake message, cookie or data frame of the wrong length or form.
        MalformedFrame = "malformed_session_frame", "not the form of its mode";
        /// A mode that is none of the control half's: data goes to the table.
        NotASessionMode = "not_a_session_mode", "not a mode of gateway sessions";
        /// The frame is for another address, or for nobody.
        NotForUs = "not_for_us", "the frame is not for our address";
        /// The remote would be ourselves.
        OwnAddress = "own_address", "the remote is our own address";
        /// The remote's address is no usable ed25519 key.
        BadAddress = "bad_address", "the remote's address is no usable key";
        /// `sessions.accept = configured`, and the sender is not configured.
        NotAccepted = "not_accepted", "sessions with strangers are not accepted";
        /// Too many initiations at once: a cookie was asked for instead.
        CookieAsked = "cookie_asked", "under load: a cookie was asked for";
        /// Under load, strangers with good cookies are too many as well.
        Overloaded = "overloaded", "under load: too many strangers at once";
        /// The strangers behind one neighbour hold their share of half-open sessions.
        HalfOpenQuota = "half_open_quota", "too many half-open sessions of strangers over one neighbour";
        /// All sessions that strangers, or we, may open are taken.
        SessionsFull = "sessions_full", "too many sessions";
        /// The Noise message did not decrypt.
        BadHandshake = "bad_handshake", "the handshake message did not decrypt";
        /// The static key inside the handshake is not that of the carrier frame's sender.
        SenderMismatch = "sender_mismatch", "the handshake proves another key than the sender's";
        /// A version of sessions that we do not speak.
        OtherVersion = "other_version", "another version of gateway sessions";
        /// A stranger's initiation with a time over five minutes off.
        TimeOutsideWindow = "time_outside_window", "the initiation's time is over five minutes off";
        /// A stranger's initiation from before our start, which may be a replay.
        BeforeStart = "before_start", "the initiation is older than this process";
        /// An initiation that is not newer than the last one from this remote.
        ReplayedInitiation = "replayed_initiation", "the initiation is not newer than the last";
        /// The memory for strangers' initiation times is full.
        InitiationsFull = "initiations_full", "too many strangers' initiations remembered";
        /// A response or cookie that answers no open initiation of ours.
        UnknownHandshake = "unknown_handshake", "answers no open initiation";
        /// More answers were waiting to be sent than the driver took.
        TransmitFull = "transmit_full", "too many session messages wait to be sent";
        /// More events were waiting than the driver took.
        EventsFull = "events_full", "too many session events wait to be read";
        /// A data frame for a key that we do not hold: expired, or from before a restart.
        UnknownIndex = "unknown_index", "no key has this receiver index";
        /// The key is over 180 s old.
        KeyExpired = "key_expired", "the session key is too old";
        /// The key has sealed, or would have opened, 2^34 frames.
        CounterExhausted = "counter_exhausted", "the session key has served too many frames";
        /// A counter that was opened before.
        Replayed = "replayed", "the frame was opened before";
        /// A counter 8192 or more behind the newest.
        BehindWindow = "behind_window", "the frame is too far behind the newest";
        /// The authentication tag is wrong.
        BadSeal = "bad_seal", "the frame does not authenticate";
        /// Records that contradict their lengths or the header.
        MalformedRecord = "malformed_record", "records that contradict their lengths";
        /// A record of which another part did not come, or not in order.
        MissingPart = "missing_part", "another part of the record is missing";
        /// A path report about a frame that we did not send: no key of ours, or a counter that was not given out.
        ReportNotOurs = "report_not_ours", "the path report is about no frame of ours";
        /// A path report about a frame that is not among our last 65 536, or over 10 s old.
        ReportTooOld = "report_too_old", "the path report is about too old a frame";
        /// A path report with another tag than its frame had.
        ReportForged = "report_forged", "the path report quotes another tag";
        /// A path report that a frame was too big for an MTU that holds it.
        ReportWrong = "report_wrong", "the reported MTU holds the quoted frame";
        /// The path's frames hold no session data at all.
        PathTooSmall = "path_too_small", "the path's frames are too small for sessions";
        /// The batch would need more frames than one call seals.
        BatchTooLarge = "batch_too_large", "the batch needs too many frames";
    }
}
