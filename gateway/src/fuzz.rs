// SPDX-License-Identifier: AGPL-3.0-or-later
//! Entry points of the fuzz targets: any bytes must be answered, and what parses must encode to the same bytes.

use ratman_types::Address;

use crate::config::Config;
use crate::control::RequestLine;
use crate::identity::parse_header;
use crate::{addresses, contacts};

/// A line on the control socket.
pub fn fuzz_control_request(data: &[u8]) {
    if let Ok(request) = RequestLine::parse(data) {
        let line = serde_json::to_vec(&request).expect("a request has a JSON form");
        assert_eq!(RequestLine::parse(&line).as_ref(), Ok(&request));
    }
}

/// An identity file.
pub fn fuzz_identity(data: &[u8]) {
    if let Ok((header, sealed)) = parse_header(data) {
        let head = header.to_bytes();
        assert_eq!(data[..head.len()], head);
        assert_eq!(&data[head.len()..head.len() + sealed.len()], sealed);
    }
}

/// An address, and a record of it in the database.
pub fn fuzz_address_record(data: &[u8]) {
    let Some((address, record)) = data.split_first_chunk() else { return };
    let address = Address::from_bytes(*address);
    if let Ok(parsed) = addresses::Record::parse(&address, record) {
        // One of an earlier version is written in the newest.
        assert_eq!(addresses::Record::parse(&address, &parsed.to_bytes(&address)), Ok(parsed));
    }
}

/// A record of a contact in the database.
pub fn fuzz_contact_record(data: &[u8]) {
    if let Ok(parsed) = contacts::Record::parse(data) {
        assert_eq!(parsed.to_bytes(), data);
    }
}

/// A configuration file.
pub fn fuzz_config(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        // Only that it answers: comments and order of a text are not kept.
        let _ = Config::from_text("fuzz.toml", text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_answered(data in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz_control_request(&data);
            fuzz_identity(&data);
            fuzz_address_record(&data);
            fuzz_contact_record(&data);
            fuzz_config(&data);
        }

        #[test]
        fn any_text_of_keys_is_answered(text in r#"([a-z_]{1,6}(\.[a-z]{1,4})? = ("[a-z:0-9]{0,9}"|[0-9-]{1,20}|\[\]|true)\n|\[\[?[a-z]{1,6}\]\]?\n){0,8}"#) {
            fuzz_config(text.as_bytes());
        }
    }
}
