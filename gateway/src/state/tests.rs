// SPDX-License-Identifier: AGPL-3.0-or-later

use super::*;
use std::os::unix::fs::PermissionsExt;

const LOCAL: Address = Address::from_bytes([1; 32]);
const REMOTE: Address = Address::from_bytes([2; 32]);

/// Any instant.
const NOW: Timestamp = Timestamp::from_micros(7_000_000);

fn at(seconds: u64) -> WallTime {
    WallTime::from_micros(seconds * 1_000_000)
}

#[test]
fn the_directory_is_private_and_locked() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b");
    let state = State::open(&dir).unwrap();
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let error = State::open(&dir).unwrap_err().to_string();
    let expected = format!("{}: state_dir is in use by process {}", dir.display(), std::process::id());
    assert!(error.starts_with(&expected), "{error}");
    drop(state);
    State::open(&dir).unwrap();
}

#[test]
fn the_lock_comes_before_anything_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let _state = State::open(dir.path()).unwrap();
    std::fs::write(dir.path().join(TIMES_FILE), "damaged").unwrap();
    assert!(matches!(State::open(dir.path()), Err(StateError::InUse { .. })));
    assert!(dir.path().join(TIMES_FILE).exists(), "a second process must not move files of the first");
}

#[test]
fn the_ceiling_of_origin_times_survives_a_crash_and_a_clean_end_lowers_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path()).unwrap();
    assert_eq!(state.last_origin(&LOCAL), None);
    assert!(state.raise_origin(LOCAL, at(1060), NOW));
    assert!(state.raise_origin(LOCAL, at(1000), NOW));
    drop(state); // a crash: nothing is settled
    let mut state = State::open(dir.path()).unwrap();
    assert_eq!(state.last_origin(&LOCAL), Some(at(1060)), "never below what may have been used");
    state.settle_origin(LOCAL, at(1010), NOW);
    drop(state);
    assert_eq!(State::open(dir.path()).unwrap().last_origin(&LOCAL), Some(at(1010)));
}

#[test]
fn a_discarded_ceiling_makes_room_for_a_lower_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path()).unwrap();
    assert!(state.raise_origin(LOCAL, at(1060), NOW));
    state.settle_origin(LOCAL, WallTime::default(), NOW);
    assert!(state.raise_origin(LOCAL, at(800), NOW));
    drop(state);
    assert_eq!(State::open(dir.path()).unwrap().last_origin(&LOCAL), Some(at(800)));
}

#[test]
fn initiation_times_survive_and_are_written_only_when_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path()).unwrap();
    state.session_used(REMOTE, at(5), WallTime::default(), NOW);
    state.session_used(REMOTE, at(5), at(7), NOW);
    std::fs::remove_file(dir.path().join(TIMES_FILE)).unwrap();
    state.session_used(REMOTE, at(5), at(7), NOW);
    assert!(!dir.path().join(TIMES_FILE).exists(), "nothing new, nothing written");
    state.session_used(REMOTE, at(6), at(7), NOW);
    drop(state);
    let state = State::open(dir.path()).unwrap();
    assert_eq!(state.session_times(&REMOTE), SessionTimes { sent: Some(at(6)), received: Some(at(7)) });
    assert_eq!(state.session_times(&LOCAL), SessionTimes::default());
}

#[test]
fn what_cannot_be_stored_is_told_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::open(dir.path()).unwrap();
    assert!(state.raise_origin(LOCAL, at(1_000), NOW));
    let in_the_way = dir.path().join("times.toml.new");
    std::fs::remove_file(&in_the_way).unwrap();
    std::fs::create_dir(&in_the_way).unwrap();
    assert!(!state.raise_origin(LOCAL, at(1_010), NOW));
    let trouble = state.trouble().unwrap();
    let expected = format!("{}: cannot write: ", dir.path().join(TIMES_FILE).display());
    assert!(trouble.starts_with(&expected), "{trouble}");
    assert!(!state.raise_origin(LOCAL, at(1_010), NOW), "what is in memory alone is not stored");
    state.session_used(REMOTE, at(5), at(7), NOW);

    std::fs::remove_dir(in_the_way).unwrap();
    assert!(!state.raise_origin(LOCAL, at(1_012), NOW), "not tried again at once");
    let later = NOW + std::time::Duration::from_secs(1);
    assert!(state.raise_origin(LOCAL, at(1_012), later));
    assert_eq!(state.trouble(), None);
    drop(state);
    let state = State::open(dir.path()).unwrap();
    assert_eq!(state.last_origin(&LOCAL), Some(at(1_012)));
    assert_eq!(state.session_times(&REMOTE).received, Some(at(7)), "all that waited is stored");
}

#[test]
fn damaged_times_are_moved_aside() {
    for content in ["version = 1\n[origin_ceil", "version = 9", "\u{fffd}\0"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(TIMES_FILE), content).unwrap();
        let mut state = State::open(dir.path()).unwrap();
        assert_eq!(state.last_origin(&LOCAL), None);
        let aside = std::fs::read_to_string(dir.path().join("times.toml.damaged")).unwrap();
        assert_eq!(aside, content);
        assert!(state.raise_origin(LOCAL, at(1), NOW));
    }
}

#[test]
fn an_unusable_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = State::open(&file).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: cannot make the directory: ", file.display())), "{error}");
}
