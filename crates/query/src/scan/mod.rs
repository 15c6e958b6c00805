//! Tables as DataFusion sees them: the objects below a location, listed anew for every query and read
//! line by line.
//!
//! ```text
//! s3://bucket/prefix/  →  DIR/objects/bucket/prefix/, recursively
//! ```

mod batches;
mod hint;
mod lines;
mod listing;
mod location;
mod object;
mod partitions;
mod table;

pub(crate) use listing::{Object, list_objects, list_partition_folders};
pub(crate) use location::S3Location;
pub(crate) use partitions::{partition_folder_name, unescape_partition_value};
pub(crate) use table::{LakeTable, ScanContext};
