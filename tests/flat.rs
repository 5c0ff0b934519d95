//! The typed layer over named segments.

use seqslot::{PosixSlotAllocator, ShmLocator, SlotBackend, is_local, locator_of};

#[test]
fn a_locator_leads_a_reader_on_this_host_to_the_segment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("poses.flink");
    let owner = PosixSlotAllocator::create(&path, 4, 24).unwrap();
    let told = locator_of(&owner).unwrap().to_bytes_le().unwrap();

    let heard = ShmLocator::from_bytes_le(&told).unwrap();
    assert!(is_local(&heard).unwrap());
    assert_eq!((heard.slot_count, heard.slot_size as usize), (4, owner.slot_total_size()));
    let reader = PosixSlotAllocator::attach(&heard.segment_path).unwrap();
    let handle = owner.reserve_slot(1).unwrap();
    owner.commit_slot(handle, b"hello").unwrap();
    assert_eq!(reader.next_unread_slot(0), Ok(Some(handle)));

    assert!(!is_local(&ShmLocator { uid: !heard.uid, ..heard.clone() }).unwrap());
    assert!(!is_local(&ShmLocator { hostname_hash: !heard.hostname_hash, ..heard }).unwrap());
}

#[test]
fn a_locator_of_a_relative_path_leads_there_from_any_directory() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let path = folder.path().strip_prefix(std::env::current_dir().unwrap()).unwrap().join("poses.flink");
    assert!(path.is_relative());
    let owner = PosixSlotAllocator::create(&path, 4, 24).unwrap();
    let found = locator_of(&owner).unwrap().segment_path;
    assert_eq!(std::path::Path::new(&found), std::env::current_dir().unwrap().join(&path));
}
