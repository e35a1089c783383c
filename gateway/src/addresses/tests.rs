// SPDX-License-Identifier: AGPL-3.0-or-later

use std::path::Path;

use super::*;
use crate::store::StoreConfig;

const ROOT: Asker = Asker { uid: Some(0), is_operator: true };
const NOW: WallTime = WallTime::from_micros(1_800_000_000_000_000);

fn own() -> Address {
    SecretKey::from_seed([1; 32]).address()
}

fn store(dir: &Path) -> Arc<Store> {
    Arc::new(Store::open(dir, &StoreConfig::default()).unwrap())
}

fn open(dir: &Path) -> Addresses {
    Addresses::new(store(dir), own())
}

fn listed(addresses: &Addresses) -> Vec<Address> {
    addresses.list().unwrap().into_iter().map(|kept| kept.address).collect()
}

fn put(addresses: &Addresses, address: &Address, value: Vec<u8>) {
    let change = Change::Put { table: Table::Addresses, key: slot(address), value };
    addresses.store.commit(&[change]).unwrap();
}

#[test]
fn an_address_opens_with_its_token_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = open(dir.path());
    let (address, token) = addresses.create(ROOT, NOW).unwrap();
    let (other, others) = addresses.create(ROOT, NOW).unwrap();
    assert_eq!(addresses.unlock(&address, &token, NOW).unwrap().address(), address);
    drop(addresses);
    let addresses = open(dir.path());
    assert_eq!(addresses.unlock(&address, &token, NOW).unwrap().address(), address);
    assert_eq!(addresses.unlock(&other, &others, NOW).unwrap().address(), other);
    assert!(
        matches!(addresses.unlock(&address, &others, NOW), Err(AddressError::Token(of)) if of == address)
    );
    assert!(matches!(addresses.unlock(&own(), &token, NOW), Err(AddressError::Unknown(_))));
    let mut both = [address, other];
    both.sort_unstable();
    assert_eq!(listed(&addresses), both);
}

#[test]
fn a_destroyed_address_is_gone_and_only_its_owner_destroys_it() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = open(dir.path());
    let (address, token) = addresses.create(ROOT, NOW).unwrap();
    let (_, others) = addresses.create(ROOT, NOW).unwrap();
    assert!(matches!(addresses.destroy(&address, &others), Err(AddressError::Token(_))));
    addresses.destroy(&address, &token).unwrap();
    assert!(matches!(addresses.unlock(&address, &token, NOW), Err(AddressError::Unknown(_))));
    assert!(matches!(addresses.destroy(&address, &token), Err(AddressError::Unknown(_))));
    assert_eq!(listed(&open_again(addresses, dir.path())).len(), 1);
}

fn open_again(addresses: Addresses, dir: &Path) -> Addresses {
    drop(addresses);
    open(dir)
}

#[test]
fn a_key_of_the_clients_is_taken_once_and_never_that_of_the_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = open(dir.path());
    let key = SecretKey::from_seed([7; 32]);
    let (address, token) = addresses.adopt(&key, ROOT, NOW).unwrap();
    assert_eq!(address, key.address());
    assert_eq!(addresses.unlock(&address, &token, NOW).unwrap().seed(), key.seed());
    assert!(matches!(addresses.adopt(&key, ROOT, NOW), Err(AddressError::Duplicate(of)) if of == address));
    assert!(matches!(
        addresses.adopt(&SecretKey::from_seed([1; 32]), ROOT, NOW),
        Err(AddressError::Duplicate(_))
    ));
    assert!(addresses.unlock(&address, &token, NOW).is_ok(), "the first token still opens it");
}

/// The whole of the threat: who has the files and no token.
#[test]
fn neither_key_nor_token_are_in_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = open(dir.path());
    let seed: [u8; 32] = std::array::from_fn(|index| 0xA0 ^ u8::try_from(index).unwrap());
    let key = SecretKey::from_seed(seed);
    let (address, token) = addresses.adopt(&key, ROOT, NOW).unwrap();
    let (gone, gone_token) = addresses.create(ROOT, NOW).unwrap();
    addresses.destroy(&gone, &gone_token).unwrap();
    drop(addresses);
    let mut read = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        // By eights, so that no part of a secret is there either.
        let secrets = [&seed, token.as_bytes(), gone_token.as_bytes(), &key.to_x25519().to_bytes()];
        assert!(!secrets.iter().any(|secret| secret.chunks(8).any(holds)));
        assert!(!holds(token.reveal().as_bytes()));
        assert!(holds(address.as_bytes()), "it is the file");
        read += 1;
    }
    assert_eq!(read, 1);
}

#[test]
fn there_are_so_many_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = open(dir.path());
    let put = |number: u16| {
        let mut address = [1; 32];
        address[..2].copy_from_slice(&number.to_be_bytes());
        Change::Put { table: Table::Addresses, key: Key::address(&address), value: Vec::new() }
    };
    let most = u16::try_from(MAX_ADDRESSES).unwrap();
    addresses.store.commit(&(1..most).map(put).collect::<Vec<_>>()).unwrap();
    let (address, token) = addresses.create(ROOT, NOW).unwrap();
    assert!(matches!(addresses.create(ROOT, NOW), Err(AddressError::Full)));
    addresses.destroy(&address, &token).unwrap();
    addresses.create(ROOT, NOW).unwrap();
}

#[test]
fn a_damaged_record_is_told_and_leaves_the_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = open(dir.path());
    let (damaged, token) = addresses.create(ROOT, NOW).unwrap();
    let (later, later_token) = addresses.create(ROOT, NOW).unwrap();
    let (well, well_token) = addresses.create(ROOT, NOW).unwrap();
    let mut record = addresses.store.get(Table::Addresses, &slot(&damaged)).unwrap().unwrap();
    for index in 1..record.len() {
        record[index] ^= 1;
        put(&addresses, &damaged, record.clone());
        let error = addresses.unlock(&damaged, &token, NOW).unwrap_err();
        assert!(matches!(error, AddressError::Damaged { damage: Damage::Checksum, .. }), "{index}: {error}");
        record[index] ^= 1;
    }
    record[60] ^= 1;
    put(&addresses, &damaged, record);
    put(&addresses, &later, vec![3; 200]);
    let addresses = open_again(addresses, dir.path());
    let kept = addresses.list().unwrap();
    let damage = |of: Address| kept.iter().find(|kept| kept.address == of).unwrap().damage;
    assert_eq!(damage(damaged), Some(Damage::Checksum));
    assert_eq!(damage(later), Some(Damage::Version(3)));
    assert_eq!(damage(well), None);
    assert!(addresses.unlock(&well, &well_token, NOW).is_ok());
    // What a later version wrote, that one can use.
    assert!(matches!(addresses.destroy(&later, &later_token), Err(AddressError::Damaged { .. })));
    addresses.destroy(&damaged, &well_token).unwrap();
    assert_eq!(listed(&addresses).len(), 2);
    addresses.destroy_without_token(&later).unwrap();
    assert_eq!(listed(&addresses), [well], "but the operator may do without");
}

#[test]
fn one_user_leaves_room_for_another_and_the_operator_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = open(dir.path());
    let user = |uid| Asker { uid: Some(uid), is_operator: false };
    for uid in [1_000, 1_001] {
        for _ in 0..MAX_PER_USER {
            // The token is lost.
            addresses.create(user(uid), NOW).unwrap();
        }
        assert!(matches!(addresses.create(user(uid), NOW), Err(AddressError::Share)));
    }
    let (address, token) = addresses.create(user(1_002), NOW).unwrap();
    while addresses.create(ROOT, NOW).is_ok() {}
    assert_eq!(listed(&addresses).len(), MAX_ADDRESSES);
    let addresses = open_again(addresses, dir.path());
    assert!(matches!(addresses.create(user(1_000), NOW), Err(AddressError::Full)));
    let lost = addresses.list().unwrap().into_iter().find(|kept| kept.life.uid == Some(1_000)).unwrap();
    addresses.destroy_without_token(&lost.address).unwrap();
    assert!(matches!(addresses.destroy_without_token(&lost.address), Err(AddressError::Unknown(_))));
    addresses.create(user(1_000), NOW).unwrap();
    assert!(addresses.unlock(&address, &token, NOW).is_ok());
}

#[test]
fn when_an_address_was_made_and_used_is_known_and_seldom_written() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = open(dir.path());
    let (address, token) = addresses.create(ROOT, NOW).unwrap();
    let life = |addresses: &Addresses| addresses.list().unwrap()[0].life;
    let made = Life { made: Some(NOW), used: None, uid: Some(0) };
    assert_eq!(life(&addresses), made);
    assert!(addresses.unlock(&address, &AuthToken::from_bytes([9; 32]), NOW).is_err());
    assert_eq!(life(&addresses), made, "whoever has no token does not use it");
    let minutes = |minutes: u64| NOW + Duration::from_secs(60 * minutes);
    for (at, noted) in [(1, 1), (2, 1), (60, 1), (61, 61), (60, 61), (0, 0), (500, 500)] {
        addresses.unlock(&address, &token, minutes(at)).unwrap();
        let syncs = addresses.store.syncs();
        assert_eq!(life(&addresses).used, Some(minutes(noted)), "at minute {at}");
        addresses.unlock(&address, &token, minutes(at)).unwrap();
        assert_eq!(addresses.store.syncs(), syncs);
    }
    let addresses = open_again(addresses, dir.path());
    assert_eq!(life(&addresses), Life { used: Some(minutes(500)), ..made });
    assert!(addresses.unlock(&address, &token, NOW).is_ok(), "the key is sealed as it was");
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = open(dir.path());
    let (address, token) = addresses.create(ROOT, NOW).unwrap();
    let key = addresses.unlock(&address, &token, NOW).unwrap();
    let wrong = addresses.unlock(&address, &AuthToken::from_bytes([9; 32]), NOW).unwrap_err();
    let printed = format!("{addresses:?} {token:?} {key:?} {wrong} {wrong:?}").to_lowercase();
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for secret in [key.seed(), token.as_bytes()] {
        assert!(!printed.contains(&hexadecimal(&secret[..4])), "{printed}");
    }
}
