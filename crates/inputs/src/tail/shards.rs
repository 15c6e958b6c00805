//! Which shard follows a file, and what the instances of all shards must know of each other.
//!
//! Files belong to shards by families: a file with everything that rotation makes of it, told by the name without what
//! rotation puts behind it. So all generations and copies of a file are in the shard that knows what was read of it. A
//! family goes to the shard that has the fewest when its name comes up first, and stays there as long as the process runs;
//! nothing of that is stored. Rows of the database and what is handed over go by the names that stand in them, so that
//! there may be more or fewer shards, and others may have a file, after the next start. What rotation renames so that the
//! names do not show it is recognised by its inode: whoever has it keeps it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use buffer::positions::Position;
use plugin::Shard;
use record::Origin;

use super::identity::FileId;

/// Endings behind which there is only what rotation has added.
const ENDINGS: [&[u8]; 6] = [b".log", b".json", b".txt", b".out", b".err", b".ndjson"];
/// Words that rotation puts behind names, beside numbers and dates.
const WORDS: [&[u8]; 8] = [
    b"old",
    b"bak",
    b"backup",
    b"orig",
    b"prev",
    b"previous",
    b"rotated",
    b"last",
];

/// A family is forgotten when its shard has told of its files so often and nobody has asked for it.
const PATIENCE: u32 = 3;

/// The part of one shard.
pub struct Share {
    shard: Shard,
    /// None if there are no others.
    peers: Option<Arc<Peers>>,
}

/// The instances of one name in all shards.
struct Peers(Mutex<All>);

struct All {
    of_shards: Vec<Own>,
    families: HashMap<u64, Family>,
    /// How many instances there are.
    present: usize,
    /// What the first of them has found out about earlier runs: afterwards the database says something else.
    earlier: Option<EarlierRun>,
    /// Who has heard of that.
    have_heard: Vec<usize>,
}

/// When files were last looked for, and since when generations may have been missed.
pub type EarlierRun = (Option<SystemTime>, Option<SystemTime>);

/// What one of them tells the others.
#[derive(Default)]
struct Own {
    known: HashMap<u64, Vec<Content>>,
    scanned: Option<SystemTime>,
    /// Whether there were files at the start, once it has looked.
    had_files: Option<bool>,
    /// How many families it has.
    families: usize,
    /// How often it has told the others of its files.
    told: u32,
}

/// A file and what rotation makes of it.
struct Family {
    shard: usize,
    /// Which telling of that shard came before somebody asked for it last.
    used: u32,
}

/// What tells files with the same inode number apart, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    device: Option<u64>,
    birth: Option<i64>,
}

impl Content {
    /// An open file.
    pub fn new(id: FileId, birth: Option<i64>) -> Content {
        Content {
            device: Some(id.device),
            birth,
        }
    }

    /// A file of which a position is known.
    pub fn of(position: &Position) -> Content {
        let facts = position.facts.as_ref();
        Content {
            device: facts.map(|facts| facts.device),
            birth: facts.and_then(|facts| facts.birth),
        }
    }

    fn may_be(self, other: Content) -> bool {
        fn agree<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
            !matches!((one, other), (Some(one), Some(other)) if one != other)
        }
        agree(self.device, other.device) && agree(self.birth, other.birth)
    }
}

impl Share {
    /// The part of `shard` in the instance `name`.
    pub fn join(name: &Arc<str>, shard: Shard) -> Share {
        /// They stay: which shard a file belongs to must not change from one instance to the next.
        static ALL: Mutex<Option<HashMap<Arc<str>, Arc<Peers>>>> = Mutex::new(None);
        let peers = shard.has_others().then(|| {
            let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
            let all = all.get_or_insert_default();
            let known = all.get(name).cloned();
            let known = known.filter(|peers| peers.lock().of_shards.len() == shard.count);
            known.unwrap_or_else(|| {
                let peers = Arc::new(Peers::new(shard.count));
                all.insert(Arc::clone(name), Arc::clone(&peers));
                peers
            })
        });
        if let Some(peers) = &peers {
            peers.lock().present += 1;
        }
        Share { shard, peers }
    }

    /// Whether there are other shards.
    pub fn has_others(&self) -> bool {
        self.peers.is_some()
    }

    /// Whether files that were found under this name are this shard's.
    pub fn owns(&self, name: &Path) -> bool {
        let Some(peers) = &self.peers else {
            return true;
        };
        peers.lock().owner(family(name)) == self.shard.index
    }

    /// Whether this content is another shard's.
    pub fn is_elsewhere(&self, inode: u64, content: Content) -> bool {
        let Some(peers) = &self.peers else {
            return false;
        };
        peers.lock().has_other(self.shard.index, inode, content)
    }

    /// Takes a content for this shard; `false`: another one has it.
    pub fn claim(&self, inode: u64, content: Content) -> bool {
        let Some(peers) = &self.peers else {
            return true;
        };
        let mut all = peers.lock();
        let is_free = !all.has_other(self.shard.index, inode, content);
        if is_free && let Some(own) = all.of_shards.get_mut(self.shard.index) {
            own.note(inode, content);
        }
        is_free
    }

    /// Tells the others of all files that this shard has, in place of what it told them before: inodes, contents, and the
    /// names that they were found under. Families of which nobody has or finds anything any more are forgotten.
    pub fn publish<'a>(&self, files: impl Iterator<Item = (u64, Content, &'a Path)>) {
        let Some(peers) = &self.peers else {
            return;
        };
        let index = self.shard.index;
        let (mut own, mut families) = (Own::default(), Vec::new());
        for (inode, content, name) in files {
            own.note(inode, content);
            families.push(family(name));
        }
        let mut all = peers.lock();
        if let Some(before) = all.of_shards.get_mut(index) {
            before.known = own.known;
            before.told += 1;
        }
        for family in families {
            all.owner(family);
        }
        all.forget_unused(index);
    }

    /// What the first instance in a process has found out about earlier runs, which is this one or has told; `own` finds it
    /// out. What one learns after a reload is its own.
    pub fn earlier_run(&self, own: EarlierRun) -> EarlierRun {
        let Some(peers) = &self.peers else {
            return own;
        };
        let mut all = peers.lock();
        if all.have_heard.contains(&self.shard.index) {
            return own;
        }
        all.have_heard.push(self.shard.index);
        *all.earlier.get_or_insert(own)
    }

    /// This shard has looked for files at this time.
    pub fn note_scan(&self, at: SystemTime) {
        if let Some(peers) = &self.peers
            && let Some(own) = peers.lock().of_shards.get_mut(self.shard.index)
        {
            own.scanned = Some(at);
        }
    }

    /// Since when all have looked for files, if they have; `own` is when this shard did.
    pub fn scanned_by_all(&self, own: SystemTime) -> Option<SystemTime> {
        let Some(peers) = &self.peers else {
            return Some(own);
        };
        let all = peers.lock();
        let times: Option<Vec<SystemTime>> = all.of_shards.iter().map(|own| own.scanned).collect();
        times?.into_iter().min()
    }

    /// This shard has looked for files at the start.
    pub fn note_start(&self, had_files: bool) {
        if let Some(peers) = &self.peers
            && let Some(own) = peers.lock().of_shards.get_mut(self.shard.index)
        {
            own.had_files = Some(had_files);
        }
    }

    /// Whether there were files for any shard at the start, and all have looked.
    pub fn had_files(&self) -> bool {
        let Some(peers) = &self.peers else {
            return false;
        };
        let all = peers.lock();
        let mut looked = all.of_shards.iter();
        looked.all(|own| own.had_files.is_some())
            && all.of_shards.iter().any(|own| own.had_files == Some(true))
    }
}

impl Drop for Share {
    /// Others may have what was this one's. Those that are not done yet must still know whether there were files.
    fn drop(&mut self) {
        let Some(peers) = &self.peers else {
            return;
        };
        let mut all = peers.lock();
        if let Some(own) = all.of_shards.get_mut(self.shard.index) {
            (own.known, own.scanned) = (HashMap::new(), None);
        }
        all.present -= 1;
        if all.present == 0 {
            (all.earlier, all.have_heard) = (None, Vec::new());
        }
    }
}

impl Peers {
    fn new(count: usize) -> Peers {
        Peers(Mutex::new(All {
            of_shards: (0..count).map(|_| Own::default()).collect(),
            families: HashMap::new(),
            present: 0,
            earlier: None,
            have_heard: Vec::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    /// The shard of a family; of a new one, the shard that has the fewest.
    fn owner(&mut self, family: u64) -> usize {
        let families = &mut self.families;
        let known = families.entry(family).or_insert_with(|| {
            let shards = self.of_shards.iter_mut().enumerate();
            let fewest = shards.min_by_key(|(_, own)| own.families);
            let shard = fewest.map_or(0, |(shard, own)| {
                own.families += 1;
                shard
            });
            Family { shard, used: 0 }
        });
        known.used = self.of_shards.get(known.shard).map_or(0, |own| own.told);
        known.shard
    }

    /// Forgets the families of a shard that nobody has asked for while it told of its files several times.
    fn forget_unused(&mut self, shard: usize) {
        let Some(own) = self.of_shards.get_mut(shard) else {
            return;
        };
        let told = own.told;
        let is_used =
            |family: &Family| family.shard != shard || told.wrapping_sub(family.used) < PATIENCE;
        self.families.retain(|_, family| is_used(family));
        let left = self
            .families
            .values()
            .filter(|family| family.shard == shard);
        own.families = left.count();
    }

    fn has_other(&self, index: usize, inode: u64, content: Content) -> bool {
        let mut others = self.of_shards.iter().enumerate();
        others.any(|(number, own)| {
            let mut known = own.known.get(&inode).into_iter().flatten();
            number != index && known.any(|known| known.may_be(content))
        })
    }
}

impl Own {
    fn note(&mut self, inode: u64, content: Content) {
        let known = self.known.entry(inode).or_default();
        if !known.contains(&content) {
            known.push(content);
        }
    }
}

/// Stands for the family of files that are found under `name`.
fn family(name: &Path) -> u64 {
    let folder = name.parent().unwrap_or(Path::new("")).as_os_str();
    let file = name.file_name().map_or(&b""[..], OsStr::as_bytes);
    let hash = Origin::of(&[b"family", folder.as_bytes(), first_name(file)]).to_bytes();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What a file was called before rotation put something behind its name, as far as the name tells.
fn first_name(name: &[u8]) -> &[u8] {
    let mut end = name.len();
    for (at, _) in name
        .iter()
        .enumerate()
        .filter(|(at, byte)| *at > 0 && **byte == b'.')
    {
        let rest = &name[at..];
        let ending = ENDINGS.iter().find(|ending| rest.starts_with(ending));
        let after = ending.map(|ending| at + ending.len());
        if let Some(after) = after
            && name.get(after).is_none_or(|byte| b".-_~".contains(byte))
        {
            end = after;
            break;
        }
    }
    while let Some(cut) = without_last(&name[..end]) {
        end = cut;
    }
    &name[..end]
}

/// Where the last part of a name begins, if rotation has put it there.
fn without_last(name: &[u8]) -> Option<usize> {
    let cut = name.iter().rposition(|byte| b".-_~".contains(byte))?;
    let part = &name[cut + 1..];
    let is_stamp = part
        .iter()
        .all(|byte| byte.is_ascii_digit() || b":TZ+".contains(byte));
    let is_word = WORDS.iter().any(|word| part.eq_ignore_ascii_case(word));
    (cut > 0 && (is_stamp || is_word)).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_have_the_name_of_their_file() {
        for (name, first) in [
            ("app.log", "app.log"),
            ("app.log.1", "app.log"),
            ("app.log-20261122", "app.log"),
            ("app.log.2026-11-22T13:00:00Z", "app.log"),
            ("app.log.20261122-131415.gz", "app.log"),
            ("app.log.old", "app.log"),
            ("app.log~", "app.log"),
            ("app.log.audit", "app.log"),
            ("app.logs", "app.logs"),
            ("messages", "messages"),
            ("messages-20261122", "messages"),
            ("messages.1", "messages"),
            ("worker-1.log", "worker-1.log"),
            ("worker-2.log", "worker-2.log"),
            ("0.log", "0.log"),
            ("0.log.20261122-131415", "0.log"),
            ("trace.json.3", "trace.json"),
            (".log", ".log"),
            ("1", "1"),
            ("-1", "-1"),
            ("", ""),
        ] {
            let found = first_name(name.as_bytes());
            assert_eq!(String::from_utf8_lossy(found), first, "{name}");
        }
    }

    #[test]
    fn names_are_spread_evenly_and_generations_stay_together() {
        for count in [2, 3, 8] {
            let mut all = Peers::new(count);
            let all = all.0.get_mut().expect("no panic");
            let mut files = vec![0_usize; count];
            for number in 0..240 {
                let name = format!("/var/log/containers/pod-{number}_ns_c.log");
                let shard = all.owner(family(Path::new(&name)));
                files[shard] += 1;
                for behind in ["", ".1", "-20261122", ".old", ".1.gz"] {
                    let generation = format!("{name}{behind}");
                    let owner = all.owner(family(Path::new(&generation)));
                    assert_eq!(owner, shard, "{generation}");
                }
            }
            assert_eq!(files, vec![240 / count; count]);
        }
    }

    #[test]
    fn families_that_are_gone_make_room() {
        let [one, other] = shares("families");
        let [a, b] = ["/a.log", "/b.log"].map(Path::new);
        assert!(one.owns(a) && !one.owns(b) && other.owns(b));
        let mut file = (7, content(None), a);
        for _ in 0..2 * PATIENCE {
            one.publish([file].into_iter());
        }
        assert!(one.owns(a), "it has it");
        // Somebody still finds it.
        for _ in 0..2 * PATIENCE {
            one.publish([].into_iter());
            assert!(!other.owns(a));
        }
        for _ in 0..PATIENCE {
            one.publish([].into_iter());
        }
        file.2 = Path::new("/c.log");
        assert!(one.owns(file.2) && !one.owns(a), "the other has one more");
    }

    fn shares(name: &str) -> [Share; 2] {
        let name: Arc<str> = name.into();
        [0, 1].map(|index| Share::join(&name, Shard { index, count: 2 }))
    }

    fn content(birth: Option<i64>) -> Content {
        Content {
            device: Some(5),
            birth,
        }
    }

    #[test]
    fn a_content_is_one_shards() {
        let [one, other] = shares("content");
        assert!(one.claim(7, content(Some(1))) && one.claim(7, content(Some(1))));
        assert!(!other.claim(7, content(Some(1))) && !other.claim(7, content(None)));
        // An inode that is used again, or on another device.
        assert!(other.claim(7, content(Some(2))));
        assert!(!other.is_elsewhere(
            7,
            Content {
                device: Some(6),
                birth: Some(1)
            }
        ));
        one.publish([(9, content(None), Path::new("/x"))].into_iter());
        assert!(
            other.is_elsewhere(9, content(Some(4))) && !other.is_elsewhere(7, content(Some(1)))
        );
        drop(one);
        assert!(!other.is_elsewhere(9, content(Some(4))));
        let alone = Share::join(&"content".into(), Shard::ONLY);
        assert!(alone.claim(9, content(None)) && alone.owns(Path::new("/any")));
    }

    #[test]
    fn what_all_have_done_counts() {
        let [one, other] = shares("together");
        let times = [10, 20].map(|s| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(s));
        one.note_scan(times[1]);
        assert_eq!(one.scanned_by_all(times[1]), None);
        other.note_scan(times[0]);
        assert_eq!(one.scanned_by_all(times[1]), Some(times[0]));
        one.note_start(false);
        assert!(!one.had_files());
        other.note_start(true);
        assert!(one.had_files() && other.had_files());
        assert_eq!(one.earlier_run((None, None)), (None, None));
        // By then the first one has made the database.
        assert_eq!(other.earlier_run((Some(times[0]), None)), (None, None));
        assert_eq!(
            other.earlier_run((Some(times[1]), None)),
            (Some(times[1]), None)
        );
        drop(other);
        assert!(one.had_files());
    }
}
