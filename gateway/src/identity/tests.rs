// SPDX-License-Identifier: AGPL-3.0-or-later

use super::*;

fn open(state: &State, passphrase: &str) -> Result<Identity, IdentityError> {
    Identity::load_or_create_at(state, &Passphrase::new(passphrase.into()), Cost::CHEAPEST)
}

#[test]
fn an_identity_is_made_once_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path()).unwrap();
    let made = open(&state, "a").unwrap();
    let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_ne!(made.address.public(), made.router.public());
    assert!(made.address.public()[0] != 0 && !made.router.public().contains(&0));
    let found = open(&state, "a").unwrap();
    assert_eq!((found.address(), found.router_id()), (made.address(), made.router_id()));
}

#[test]
fn neither_seed_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let identity = open(&State::open(dir.path()).unwrap(), "a").unwrap();
    let file = std::fs::read(dir.path().join(FILE)).unwrap();
    for seed in [identity.address.seed(), identity.router.seed()] {
        assert!(!file.windows(8).any(|window| seed.windows(8).any(|part| part == window)));
    }
}

#[test]
fn a_wrong_passphrase_or_a_damaged_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let state = State::open(dir.path()).unwrap();
    open(&state, "right").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = open(&state, "wrong").unwrap_err().to_string();
    assert_eq!(error, format!("{}: wrong passphrase; the identity was left as it is", path.display()));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    for damaged in [b"".as_slice(), b"irdest", b"-----BEGIN", &before[..100]] {
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(open(&state, "right"), Err(IdentityError::Unseal { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "an operator may still want to repair it");
    }
    std::fs::write(&path, &before).unwrap();
    open(&state, "right").unwrap();
}
