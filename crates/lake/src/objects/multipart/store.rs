//! The files of multipart uploads.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use s3s::crypto::{Checksum as _, Md5};
use serde::Serialize;
use tokio::sync::RwLock;
use uuid::Uuid;

use super::completed::{Completed, Memory};
use super::part::{PartFile, PartInfo};
use super::{LOCKS, UploadInfo, UploadPlace, WantedPart, folder, locks};
use crate::limits;
use crate::log::Logger;
use crate::objects::{BucketName, ObjectError};

/// The version of the stored form. A reader that meets a later one leaves the upload alone.
pub const FORMAT: u32 = 1;
const FILE: &str = "upload.json";
const COMPLETED: &str = ".completed";

/// All multipart uploads of a lake.
pub struct Multipart {
    pub(super) root: PathBuf,
    completed: Memory,
    /// Held for reading while a part is put in place, for writing while an upload ends.
    locks: [RwLock<()>; LOCKS],
}

impl Multipart {
    /// The uploads in `root`, which is made if it is missing. What ended ones left behind is removed; those that cannot be
    /// read are left alone and told of in the log.
    pub fn open(root: PathBuf, logger: &Logger) -> io::Result<Self> {
        let completed = Memory::open(root.join(COMPLETED))?;
        let multipart = Self {
            root,
            completed,
            locks: locks(),
        };
        for bucket in fs::read_dir(&multipart.root)? {
            let bucket = bucket?;
            let name = bucket.file_name();
            let Some(name) = name.to_str().and_then(BucketName::parse) else {
                continue;
            };
            for upload in fs::read_dir(bucket.path())? {
                let id = upload?.file_name();
                let Some(id) = id.to_str().and_then(|id| Uuid::try_parse(id).ok()) else {
                    continue;
                };
                if multipart.has_ended(&name, id) {
                    multipart.remove(&name, id)?;
                } else if let Err(error) = multipart.load(&name, id) {
                    logger.error(format_args!(
                        "the multipart upload in {} cannot be read and is left alone: {error}",
                        folder(&multipart.root, &name, id).display()
                    ));
                }
            }
        }
        Ok(multipart)
    }

    fn has_ended(&self, bucket: &BucketName, id: Uuid) -> bool {
        self.completed.knows(id) || !folder(&self.root, bucket, id).join(FILE).exists()
    }

    /// The lock of an upload.
    pub fn lock(&self, place: &UploadPlace) -> &RwLock<()> {
        &self.locks[place.id.as_bytes()[0] as usize % LOCKS]
    }

    pub(super) fn create(
        &self,
        bucket: &BucketName,
        id: Uuid,
        info: &UploadInfo,
    ) -> io::Result<()> {
        let folder = folder(&self.root, bucket, id);
        fs::create_dir_all(&folder)?;
        write_json(&folder.join(FILE), info)?;
        for above in folder.ancestors().skip(1).take(2) {
            File::open(above)?.sync_all()?;
        }
        Ok(())
    }

    pub(super) fn info(&self, place: &UploadPlace) -> Result<UploadInfo, ObjectError> {
        let info = self.load(&place.bucket, place.id)?;
        info.filter(|info| info.key == place.key.to_string())
            .ok_or(ObjectError::NoSuchUpload)
    }

    pub(super) fn load(
        &self,
        bucket: &BucketName,
        id: Uuid,
    ) -> Result<Option<UploadInfo>, ObjectError> {
        let stored = match fs::read(folder(&self.root, bucket, id).join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            stored => stored?,
        };
        let info: UploadInfo =
            serde_json::from_slice(&stored).map_err(|error| ObjectError::Failed(error.into()))?;
        match info.format {
            FORMAT => Ok(Some(info)),
            other => Err(ObjectError::Failed(
                format!("{FILE} has format {other}; this lake reads format {FORMAT}").into(),
            )),
        }
    }

    /// Moves a durable file to its place among an upload's parts; gives the part as it is kept.
    pub(super) fn keep_part(
        &self,
        place: &UploadPlace,
        staged: &Path,
        mut part: PartInfo,
    ) -> io::Result<PartInfo> {
        let folder = folder(&self.root, &place.bucket, place.id);
        let mut earlier = part_files(&folder)?;
        earlier.retain(|(file, _)| file.number == part.number);
        // The later of two counts, also if the clock was set back in between.
        for (file, _) in &earlier {
            let behind = Timestamp::from_nanosecond(file.nanoseconds + 1);
            part.modified = behind.map_or(part.modified, |behind| part.modified.max(behind));
        }
        fs::rename(staged, folder.join(PartFile::of(&part).to_string()))?;
        File::open(&folder)?.sync_all()?;
        // What an earlier part leaves behind counts no more, and goes with the upload at last.
        for (_, path) in earlier {
            let _ = fs::remove_file(path);
        }
        Ok(part)
    }

    /// An upload's parts and their files, by number.
    pub(super) fn parts(
        &self,
        place: &UploadPlace,
    ) -> io::Result<BTreeMap<u32, (PartInfo, PathBuf)>> {
        let mut latest: BTreeMap<u32, (PartFile, PathBuf)> = BTreeMap::new();
        for (file, path) in part_files(&folder(&self.root, &place.bucket, place.id))? {
            let superseded = latest
                .get(&file.number)
                .is_some_and(|(other, _)| other.nanoseconds > file.nanoseconds);
            if !superseded {
                latest.insert(file.number, (file, path));
            }
        }
        let mut parts = BTreeMap::new();
        for (number, (file, path)) in latest {
            match fs::metadata(&path) {
                Ok(metadata) => drop(parts.insert(number, (file.into_part(metadata.len()), path))),
                // Superseded since the folder was read; its successor will be in the next listing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(parts)
    }

    /// The files of the parts that an object is to be made of, and the object's entity tag.
    pub(super) fn choose(
        &self,
        place: &UploadPlace,
        wanted: &[WantedPart],
    ) -> Result<(Vec<PathBuf>, String), ObjectError> {
        if wanted
            .windows(2)
            .any(|pair| pair[0].number >= pair[1].number)
        {
            return Err(ObjectError::PartsOutOfOrder);
        }
        let mut parts = self.parts(place)?;
        let (mut files, mut md5, mut size) = (Vec::with_capacity(wanted.len()), Md5::new(), 0_u64);
        for (index, one) in wanted.iter().enumerate() {
            let (part, path) = parts
                .remove(&one.number)
                .filter(|(part, _)| matches(part, one))
                .ok_or(ObjectError::NoSuchPart)?;
            if index + 1 < wanted.len() && part.size < limits::PART_BYTES_MIN {
                return Err(ObjectError::PartTooSmall {
                    number: part.number,
                    size: part.size,
                });
            }
            size += part.size;
            let digest = digest(&part.e_tag).ok_or(ObjectError::NoSuchPart)?;
            md5.update(&digest);
            files.push(path);
        }
        match size <= limits::OBJECT_BYTES {
            true => Ok((files, format!("{}-{}", hex(&md5.finalize()), wanted.len()))),
            false => Err(ObjectError::TooLarge),
        }
    }

    pub(super) fn completed_as(&self, place: &UploadPlace, parts: &[WantedPart]) -> Option<String> {
        self.completed.find(place, parts)
    }

    pub(super) fn remember(&self, id: Uuid, completed: &Completed) -> io::Result<()> {
        self.completed.add(id, completed)
    }

    /// Ends an upload: without its description it is none, whatever else is left.
    pub(super) fn remove(&self, bucket: &BucketName, id: Uuid) -> io::Result<()> {
        let folder = folder(&self.root, bucket, id);
        match fs::remove_file(folder.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => File::open(&folder)?.sync_all()?,
        }
        fs::remove_dir_all(folder)
    }

    /// Ends all uploads to a bucket that goes away.
    pub fn remove_bucket(&self, bucket: &BucketName) -> io::Result<()> {
        match fs::remove_dir_all(self.root.join(bucket.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn matches(part: &PartInfo, wanted: &WantedPart) -> bool {
    let told_otherwise = match (&part.checksum, &wanted.checksum) {
        (Some(kept), Some(told)) => kept.algorithm == told.algorithm && kept.value != told.value,
        _ => false,
    };
    part.e_tag == wanted.e_tag && !told_otherwise
}

fn part_files(folder: &Path) -> io::Result<Vec<(PartFile, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name().to_str().and_then(PartFile::parse);
        files.extend(file.map(|file| (file, entry.path())));
    }
    Ok(files)
}

/// Writes `value` durably and in one step.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let temporary = path.with_extension("json.new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

/// Bytes in lower-case hexadecimal, as entity tags have them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(e_tag: &str) -> Option<Vec<u8>> {
    let digits = e_tag.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
