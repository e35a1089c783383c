// SPDX-License-Identifier: AGPL-3.0-or-later

use std::collections::BTreeMap;
use std::sync::Mutex as StdMutex;

use super::*;
use crate::store::{Store, StoreConfig};

/// What the control loop was told, by a short name.
type Told = Arc<StdMutex<Vec<String>>>;

/// A desk whose orders are carried out by being noted.
pub(crate) struct Bed {
    pub(crate) desk: Desk,
    pub(crate) told: Told,
    dir: tempfile::TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::start(tempfile::tempdir().unwrap())
    }

    fn start(dir: tempfile::TempDir) -> Self {
        let store = Arc::new(Store::open(dir.path(), &StoreConfig::default()).unwrap());
        let own = SecretKey::from_seed([1; 32]).address();
        let configured = BTreeMap::from([("bob".to_owned(), SecretKey::from_seed([3; 32]).address())]);
        let contacts = Contacts::open(Arc::clone(&store), configured).unwrap();
        let (desk, mut orders) = Desk::new(Addresses::new(store, own), contacts);
        let told = Told::default();
        let notes = Arc::clone(&told);
        tokio::spawn(async move {
            while let Some(order) = orders.recv().await {
                let (note, done) = match order {
                    Order::Up(key, done) => (format!("up {}", key.address().short()), done),
                    Order::Down(address, done) => (format!("down {}", address.short()), done),
                    Order::Trust(scores, done) => {
                        let scores: Vec<String> =
                            scores.iter().map(|(of, score)| format!("{} {score}", of.short())).collect();
                        (format!("trust {}", scores.join(", ")), done)
                    }
                };
                notes.lock().unwrap().push(note);
                let _ = done.send(());
            }
        });
        Self { desk, told, dir }
    }

    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

fn standing(address: Address, up: bool) -> Standing {
    Standing { address, up, damage: None }
}

#[tokio::test]
async fn an_address_goes_up_with_its_token_and_is_down_after_a_restart() {
    let bed = Bed::new();
    let (address, token) = bed.desk.create().await.unwrap();
    assert_eq!(bed.desk.addresses().await.unwrap(), [standing(address, false)]);
    let wrong = AuthToken::from_bytes([9; 32]);
    let refused = bed.desk.up(address, wrong.clone()).await.unwrap_err();
    assert!(matches!(refused, DeskError::Address(AddressError::Token(_))));
    assert!(bed.told().is_empty());
    bed.desk.up(address, token.clone()).await.unwrap();
    bed.desk.up(address, token.clone()).await.unwrap();
    assert_eq!(bed.told(), [format!("up {}", address.short())], "once");
    assert_eq!(bed.desk.addresses().await.unwrap(), [standing(address, true)]);
    for refused in [bed.desk.down(address, wrong.clone()).await, bed.desk.destroy(address, wrong).await] {
        assert!(matches!(refused, Err(DeskError::Address(AddressError::Token(_)))));
    }
    assert!(bed.told().is_empty());
    let Bed { dir, desk, .. } = bed;
    drop(desk);
    // The task that notes has nothing of the store.
    let bed = Bed::start(dir);
    assert_eq!(bed.desk.addresses().await.unwrap(), [standing(address, false)]);
    bed.desk.up(address, token.clone()).await.unwrap();
    bed.desk.down(address, token).await.unwrap();
    let expected = ["up", "down"].map(|what| format!("{what} {}", address.short()));
    assert_eq!(bed.told(), expected);
}

#[tokio::test]
async fn what_is_destroyed_goes_down() {
    let bed = Bed::new();
    let (address, token) = bed.desk.adopt(SecretKey::from_seed([7; 32])).await.unwrap();
    bed.desk.up(address, token.clone()).await.unwrap();
    bed.desk.destroy(address, token.clone()).await.unwrap();
    assert_eq!(bed.told().last(), Some(&format!("down {}", address.short())));
    assert!(bed.desk.addresses().await.unwrap().is_empty());
    let gone = bed.desk.up(address, token).await.unwrap_err();
    assert!(matches!(gone, DeskError::Address(AddressError::Unknown(_))));
}

#[tokio::test]
async fn trust_is_heeded_at_once_and_absent_where_it_is_unset() {
    let bed = Bed::new();
    let [ann, bob] = [2, 3].map(|byte| SecretKey::from_seed([byte; 32]).address());
    bed.desk.add_contact("ann".to_owned(), ann, Some(5)).await.unwrap();
    bed.desk.set_trust("bob".to_owned(), Some(0)).await.unwrap();
    bed.desk.set_trust(ann.to_string(), None).await.unwrap();
    bed.desk.set_trust("ann".to_owned(), Some(6)).await.unwrap();
    bed.desk.remove_contact("ann".to_owned()).await.unwrap();
    let in_order = ann < bob;
    let [ann, bob] = [ann.short(), bob.short()];
    let both = |score| match in_order {
        true => format!("trust {ann} {score}, {bob} 0"),
        false => format!("trust {bob} 0, {ann} {score}"),
    };
    let expected =
        [format!("trust {ann} 5"), both(5), format!("trust {bob} 0"), both(6), format!("trust {bob} 0")];
    assert_eq!(bed.told(), expected);
    let refused = bed.desk.set_trust("nobody".to_owned(), Some(1)).await.unwrap_err();
    assert_eq!(refused.to_string(), "no contact is called \"nobody\"");
    assert!(bed.told().is_empty());
}

#[tokio::test]
async fn who_asks_a_daemon_that_ends_hears_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), &StoreConfig::default()).unwrap());
    let contacts = Contacts::open(Arc::clone(&store), BTreeMap::new()).unwrap();
    let (desk, orders) = Desk::new(Addresses::new(store, Address::from_bytes([1; 32])), contacts);
    drop(orders);
    let (address, token) = desk.create().await.unwrap();
    assert!(matches!(desk.up(address, token).await, Err(DeskError::Ending)));
    assert_eq!(desk.addresses().await.unwrap(), [standing(address, false)]);
}
