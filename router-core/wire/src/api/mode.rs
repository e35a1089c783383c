// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a microframe is about: a namespace and an operation (source: manual, client protocol; deployed routers,
//! section 8.1). Which pairs are ours alone, and why these, says `decisions/client-api.md`.

use core::fmt;

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u8);

        impl $name {
            $($(#[$item_doc])* pub const $item: Self = Self($value);)*

            /// Its name, if it has one.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$item => Some($text),)*
                    Self(_) => None,
                }
            }
        }
    };
}

named! {
    /// The upper half of a mode; values without a name are representable.
    ApiNamespace {
        /// The connection and the router as a whole.
        INTRINSIC = 0x0, "Intrinsic";
        /// Addresses of clients.
        ADDRESS = 0x1, "Addr";
        /// Names and trust.
        CONTACT = 0x2, "Contact";
        /// Attachments to neighbours.
        LINK = 0x3, "Link";
        /// Others on the mesh.
        PEER = 0x4, "Peer";
        /// Receiving.
        RECEIVE = 0x5, "Recv";
        /// Sending.
        SEND = 0x6, "Send";
        /// Streams and subscriptions.
        STREAM = 0x7, "Stream";
        /// Namespaces of the mesh.
        SPACE = 0x8, "Space";
        /// Ways to addresses; ours.
        ROUTE = 0x9, "Route";
    }
}

named! {
    /// The lower half of a mode; values without a name are representable.
    Operation {
        /// The answer to a request, with [`ApiNamespace::INTRINSIC`].
        REPLY = 0x00, "Reply";
        /// Makes one.
        CREATE = 0x01, "Create";
        /// Ends one for good.
        DESTROY = 0x02, "Destroy";
        /// Subscribes.
        SUBSCRIBE = 0x03, "Sub";
        /// Takes up a subscription.
        RESUBSCRIBE = 0x04, "Resub";
        /// Ends a subscription.
        UNSUBSCRIBE = 0x05, "Unsub";
        /// Begins to announce; with [`ApiNamespace::INTRINSIC`] the handshake.
        UP = 0x10, "Up";
        /// Ends announcing; with [`ApiNamespace::INTRINSIC`] the connection.
        DOWN = 0x11, "Down";
        /// Adds a record.
        ADD = 0x20, "Add";
        /// Removes a record.
        DELETE = 0x21, "Delete";
        /// Changes a record.
        MODIFY = 0x22, "Modify";
        /// Lists records.
        LIST = 0x30, "List";
        /// Asks about records.
        QUERY = 0x31, "Query";
        /// To or from one.
        ONE = 0x32, "One";
        /// To or from many.
        MANY = 0x33, "Many";
        /// How something stands.
        STATUS = 0x34, "Status";
        /// Asks all who share a namespace.
        ANYCAST = 0x35, "Anycast";
        /// Content of a stream; ours.
        CONTENT = 0x40, "Content";
        /// The end of the content; ours.
        END = 0x41, "End";
        /// Gives up what the connection is about; ours.
        CANCEL = 0x42, "Cancel";
        /// The client has a stream for good; ours.
        TAKEN = 0x43, "Taken";
        /// Goes on with a stream that another connection began; ours.
        RESUME = 0x44, "Resume";
    }
}

/// The mode of a microframe: a namespace, and an operation of it. Any value is representable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiMode(pub u16);

impl ApiMode {
    /// What every request is answered with.
    pub const REPLY: Self = Self::new(ApiNamespace::INTRINSIC, Operation::REPLY);
    /// To make an address, whose answer has no tag.
    pub const ADDRESS_CREATE: Self = Self::new(ApiNamespace::ADDRESS, Operation::CREATE);
    /// To list addresses, whose answer has no tag.
    pub const ADDRESS_LIST: Self = Self::new(ApiNamespace::ADDRESS, Operation::LIST);
    /// A piece of content, either way.
    pub const CONTENT: Self = Self::new(ApiNamespace::STREAM, Operation::CONTENT);
    /// The end of content, either way.
    pub const END: Self = Self::new(ApiNamespace::STREAM, Operation::END);
    /// The header of a stream that one was asked for.
    pub const RECV_ONE: Self = Self::new(ApiNamespace::RECEIVE, Operation::ONE);
    /// The header of a stream where several were asked for.
    pub const RECV_MANY: Self = Self::new(ApiNamespace::RECEIVE, Operation::MANY);
    /// The header of a stream on the connection of a subscription.
    pub const SUBSCRIBED_STREAM: Self = Self::new(ApiNamespace::LINK, Operation::ONE);

    /// The mode of an operation in a namespace.
    pub const fn new(namespace: ApiNamespace, operation: Operation) -> Self {
        Self(u16::from_be_bytes([namespace.0, operation.0]))
    }

    /// Its upper half.
    pub const fn namespace(self) -> ApiNamespace {
        ApiNamespace(self.0.to_be_bytes()[0])
    }

    /// Its lower half.
    pub const fn operation(self) -> Operation {
        Operation(self.0.to_be_bytes()[1])
    }
}

/// `Stream.Create`, or the number where a half of it has no name.
impl fmt::Display for ApiMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.namespace().name(), self.operation().name()) {
            (Some(namespace), Some(operation)) => write!(f, "{namespace}.{operation}"),
            (_, None) | (None, _) => write!(f, "{:#06x}", self.0),
        }
    }
}

impl fmt::Debug for ApiMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiMode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_its_two_halves() {
        let mode = ApiMode::new(ApiNamespace::STREAM, Operation::SUBSCRIBE);
        assert_eq!(mode, ApiMode(0x0703));
        assert_eq!((mode.namespace(), mode.operation()), (ApiNamespace(7), Operation(3)));
        assert_eq!(ApiMode::SUBSCRIBED_STREAM, ApiMode(0x0332));
        assert_eq!(mode.to_string(), "Stream.Sub");
        assert_eq!(ApiMode(0x0A01).to_string(), "0x0a01");
        assert_eq!(format!("{:?}", ApiMode(0x01FF)), "ApiMode(0x01ff)");
    }
}
