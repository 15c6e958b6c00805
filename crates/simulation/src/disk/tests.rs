//! The disk keeps what was synced and loses what was not.

use super::*;
use buffer::fs::read_to_end;

fn path(name: &str) -> PathBuf {
    Path::new("/log").join(name)
}

fn content(disk: &Arc<SimDisk>, name: &str) -> Option<Vec<u8>> {
    let file = disk.mount().open(&path(name)).ok()?;
    Some(read_to_end(&*file, 0).expect("readable"))
}

/// A folder that survives, and a file in it whose name survives.
fn with_file(disk: &Arc<SimDisk>, name: &str) -> Box<dyn File> {
    let fs = disk.mount();
    fs.create_dir(Path::new("/log")).expect("made");
    fs.sync_dir(Path::new("/")).expect("synced");
    let file = fs.create(&path(name)).expect("made");
    fs.sync_dir(Path::new("/log")).expect("synced");
    file
}

#[test]
fn what_was_synced_is_there_and_the_rest_may_be() {
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let mut file = with_file(&disk, "a");
        file.append(&[1; 3000]).expect("written");
        file.sync().expect("synced");
        file.append(&[2; 9000]).expect("written");
        disk.lose_power();
        assert!(file.append(b"x").is_err(), "its process is gone");
        let bytes = content(&disk, "a").expect("its name was synced");
        assert_eq!(bytes[..3000], [1; 3000]);
        let rest = &bytes[3000..];
        match rest.iter().filter(|byte| **byte == 2).count() {
            0 => lost += 1,
            9000 => kept += 1,
            _ => torn += 1,
        }
    }
    assert!(lost > 0 && kept > 0 && torn > 0, "{lost} {kept} {torn}");
}

#[test]
fn a_name_survives_when_its_folder_was_synced() {
    let mut gone = 0;
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let mut first = with_file(&disk, "a");
        first.append(b"first").expect("written");
        first.sync().expect("synced");
        let fs = disk.mount();
        let mut second = fs.create(&path("b")).expect("made");
        second.append(b"second").expect("written");
        second.sync().expect("synced");
        fs.rename(&path("b"), &path("a")).expect("renamed");
        assert_eq!(content(&disk, "a").as_deref(), Some(&b"second"[..]));
        disk.lose_power();
        match content(&disk, "a").as_deref() {
            Some(b"first") => gone += 1,
            Some(b"second") => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(gone > 0 && gone < 50, "{gone}");
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    let disk = SimDisk::new(1);
    with_file(&disk, "a").append(b"text").expect("written");
    disk.kill();
    assert_eq!(content(&disk, "a").as_deref(), Some(&b"text"[..]));
}

#[test]
fn what_a_failed_sync_forgot_no_later_sync_writes() {
    let disk = SimDisk::new(1);
    let mut file = with_file(&disk, "a");
    file.append(b"one").expect("written");
    let failing = DiskFaults {
        sync: 1.0,
        ..DiskFaults::default()
    };
    disk.set_faults(failing);
    assert!(file.sync().is_err());
    disk.set_faults(DiskFaults::default());
    file.append(b"two").expect("written");
    file.sync().expect("it looks well");
    assert_eq!(content(&disk, "a").as_deref(), Some(&b"onetwo"[..]));
    disk.lose_power();
    assert_eq!(content(&disk, "a").as_deref(), Some(&b"\0\0\0two"[..]));
}

#[test]
fn what_was_written_anew_behind_a_cut_vanishes_whole() {
    let written = b"written at last";
    let mut content = Content::default();
    content.append(&written[..7]);
    content.truncate(0);
    content.append(written);
    content.forget_unsynced();
    let mut gone = Vec::new();
    content.evict(&mut gone);
    assert_eq!(gone, written);
    assert_eq!(content.bytes(), [0; 15]);
}

#[test]
fn a_full_disk_takes_a_part() {
    let disk = SimDisk::new(3);
    let mut file = with_file(&disk, "a");
    disk.set_full(true);
    let error = file.append(&[7; 100]).expect_err("no room");
    assert_eq!(error.raw_os_error(), Some(ENOSPC));
    assert!(content(&disk, "a").expect("there").len() <= 100);
    disk.set_full(false);
    file.append(b"x").expect("room again");
}
