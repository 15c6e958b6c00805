//! What the disk has damaged is counted.

use super::*;

/// Overwrites a text of the only file under `folder` that holds it.
fn damage(folder: &Path, text: &[u8]) {
    let files = std::fs::read_dir(folder).expect("a folder");
    let damaged = files.filter(|file| {
        let path = file.as_ref().expect("listed").path();
        let mut content = std::fs::read(&path).unwrap_or_default();
        let at = content.windows(text.len()).position(|at| at == text);
        let Some(at) = at else {
            return false;
        };
        content[at] ^= 1;
        std::fs::write(path, content).expect("written");
        true
    });
    assert_eq!(damaged.count(), 1);
}

#[tokio::test]
async fn damage_is_counted_and_what_is_around_it_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let life = async {
        let mut rig = Rig::new(folder.path(), &["only"], None);
        for records in 1..4 {
            let batch = rig.batch(2);
            rig.storage.route(batch, &[0], STORED);
            let ledger = Arc::clone(&rig.ledger);
            until("it is written", || ledger.discharged() == 2 * records).await;
        }
        assert_eq!(rig.storage.counted.damaged_places.get(), 0);
        rig.end().await;
    };
    LocalSet::new().run_until(life).await;
    damage(&folder.path().join("wal"), b"2---");
    let next = async {
        let mut rig = Rig::new(folder.path(), &["only"], None);
        rig.storage.start(&rig.road);
        // A segment that was closed is only read when its records are wanted.
        assert_eq!(rig.answer(0).await, [0, 1]);
        assert_eq!(rig.answer(0).await, [4, 5]);
        let counted = &rig.storage.counted;
        assert_eq!(counted.damaged_places.get(), 1);
        let bytes = counted.damaged_bytes.get();
        assert!((2_000..3_000).contains(&bytes), "{bytes}");
        rig.end().await;
    };
    LocalSet::new().run_until(next).await;
}
