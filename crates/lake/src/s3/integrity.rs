//! Checksums that come with an upload, in its headers or behind its body.

use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::Checksum;
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders};

use super::error::uncommon;

const TRAILER: &str = "x-amz-trailer";
const CHECKSUM: &str = "x-amz-checksum-";

/// What a request promises of its body, and what its answer needs to know of it.
#[derive(Default)]
pub struct Promised {
    pub checksum: Checksum,
    pub content_md5: Option<String>,
    /// The MD5 is needed in any case: it is a part's entity tag.
    pub tagged: bool,
}

/// What was found of a body that is as promised.
pub struct Verified {
    /// The checksums for the answer.
    pub checksum: Checksum,
    /// The MD5 in hexadecimal, if it was needed; else empty.
    pub md5: String,
}

/// Computes what an upload says about itself.
pub struct Integrity {
    md5: Option<Md5>,
    content_md5: Option<String>,
    hasher: ChecksumHasher,
    declared: Checksum,
    trailer: Option<String>,
}

impl Integrity {
    /// For a body that nothing is promised of but that gets an entity tag.
    pub fn tagging() -> Self {
        Self {
            md5: Some(Md5::new()),
            content_md5: None,
            hasher: ChecksumHasher::default(),
            declared: Checksum::default(),
            trailer: None,
        }
    }

    /// What `promised` and `headers` say of the body.
    pub fn new(promised: Promised, headers: &HeaderMap) -> S3Result<Self> {
        let trailer = headers
            .get(TRAILER)
            .and_then(|name| name.to_str().ok())
            .map(|name| name.trim().to_ascii_lowercase());
        let declared = promised.checksum;
        let algorithm = trailer
            .as_deref()
            .and_then(|name| name.strip_prefix(CHECKSUM));
        let wanted =
            |name: &str, declared: &Option<String>| declared.is_some() || algorithm == Some(name);
        let hasher = ChecksumHasher {
            crc32: wanted("crc32", &declared.checksum_crc32).then(Crc32::new),
            crc32c: wanted("crc32c", &declared.checksum_crc32c).then(Crc32c::new),
            crc64nvme: wanted("crc64nvme", &declared.checksum_crc64nvme).then(Crc64Nvme::new),
            sha1: wanted("sha1", &declared.checksum_sha1).then(Sha1::new),
            sha256: wanted("sha256", &declared.checksum_sha256).then(Sha256::new),
        };
        if let Some(unknown) = algorithm
            .filter(|name| !["crc32", "crc32c", "crc64nvme", "sha1", "sha256"].contains(name))
        {
            let message = format!("The checksum algorithm {unknown} is not served here.");
            return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
        }
        promised.content_md5.as_deref().map(check_md5).transpose()?;
        Ok(Self {
            md5: (promised.tagged || promised.content_md5.is_some()).then(Md5::new),
            content_md5: promised.content_md5,
            hasher,
            declared,
            trailer,
        })
    }

    /// Takes a piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        if let Some(md5) = &mut self.md5 {
            md5.update(piece);
        }
    }

    /// Compares, once the body has ended and with it its trailer has come.
    pub fn finish(self, trailers: Option<&TrailingHeaders>) -> S3Result<Verified> {
        let md5 = self.md5.map(Md5::finalize);
        if let (Some(digest), Some(declared)) = (&md5, &self.content_md5)
            && base64_simd::STANDARD.encode_to_string(digest) != *declared
        {
            return Err(S3Error::with_message(
                S3ErrorCode::BadDigest,
                "The Content-MD5 you specified did not match what we received.",
            ));
        }
        let computed = self.hasher.finalize();
        let trailing = |name: &str| -> Option<String> {
            let header = self
                .trailer
                .as_deref()
                .filter(|trailer| trailer.strip_prefix(CHECKSUM) == Some(name))?;
            trailers?.read(|map| {
                map.get(header)
                    .and_then(|value| value.to_str().ok())
                    .map(|value| value.trim().to_owned())
            })?
        };
        for (name, label, computed, declared) in [
            (
                "crc32",
                "CRC32",
                &computed.checksum_crc32,
                &self.declared.checksum_crc32,
            ),
            (
                "crc32c",
                "CRC32C",
                &computed.checksum_crc32c,
                &self.declared.checksum_crc32c,
            ),
            (
                "crc64nvme",
                "CRC64NVME",
                &computed.checksum_crc64nvme,
                &self.declared.checksum_crc64nvme,
            ),
            (
                "sha1",
                "SHA1",
                &computed.checksum_sha1,
                &self.declared.checksum_sha1,
            ),
            (
                "sha256",
                "SHA256",
                &computed.checksum_sha256,
                &self.declared.checksum_sha256,
            ),
        ] {
            let Some(computed) = computed else { continue };
            let promised = declared.clone().or_else(|| trailing(name));
            match promised {
                Some(promised) if promised == *computed => {}
                Some(_) => {
                    let message =
                        format!("The {label} you specified did not match the calculated checksum.");
                    return Err(S3Error::with_message(S3ErrorCode::BadDigest, message));
                }
                None => {
                    let message =
                        format!("The trailer promised {CHECKSUM}{name} and it did not come.");
                    return Err(uncommon("MalformedTrailerError", message));
                }
            }
        }
        let md5 = md5.map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok(Verified {
            checksum: computed,
            md5: md5.unwrap_or_default(),
        })
    }
}

/// Makes `hasher` compute the checksum that headers name `algorithm`.
pub fn enable(hasher: &mut ChecksumHasher, algorithm: &str) {
    match algorithm {
        "crc32" => hasher.crc32 = Some(Crc32::new()),
        "crc32c" => hasher.crc32c = Some(Crc32c::new()),
        "crc64nvme" => hasher.crc64nvme = Some(Crc64Nvme::new()),
        "sha1" => hasher.sha1 = Some(Sha1::new()),
        "sha256" => hasher.sha256 = Some(Sha256::new()),
        _ => {}
    }
}

fn check_md5(declared: &str) -> S3Result<()> {
    match base64_simd::STANDARD.decode_to_vec(declared) {
        Ok(digest) if digest.len() == 16 => Ok(()),
        _ => Err(S3Error::with_message(
            S3ErrorCode::InvalidDigest,
            "The Content-MD5 you specified was invalid.",
        )),
    }
}
