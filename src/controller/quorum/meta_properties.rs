//! Which disk is this? The `meta.properties` file in the root of the disk (`MetaProperties`, KIP-853).
//!
//! `kafka-storage format` writes it; here the first start on an empty disk does, with the directory id it was given. From
//! then on the disk's own directory id counts: a vote was given by this node *on this disk*.

use trial_storage::{DirId, Disk, DiskError, OpenMode};
use uuid::Uuid;

use super::persist::Replacement;
use crate::metadata::uuid_text;

const FILE_NAME: &str = "meta.properties";
const TEMPORARY_NAME: &str = "meta.properties.tmp";
/// More than the four properties take.
const LONGEST: usize = 1 << 14;

/// Why the disk cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaPropertiesError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A property is missing or senseless.
    #[error("{property} is missing or malformed in meta.properties")]
    Malformed {
        /// Which.
        property: &'static str,
    },
    /// The disk is another node's.
    #[error("meta.properties says {property}={found}, and this node was started with {expected}")]
    Inconsistent {
        /// Which.
        property: &'static str,
        /// What the disk says.
        found: String,
        /// What the node was told.
        expected: String,
    },
}

/// What a disk is formatted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: i32,
    /// `directory.id`.
    pub directory_id: Uuid,
}

/// The disk's directory id. An empty disk is formatted as `expected` says: then the file is given too, and must be durable
/// before anything is told in this directory id's name.
pub(super) fn load_or_format(
    disk: &mut dyn Disk,
    expected: &MetaProperties,
) -> Result<(Uuid, Option<Replacement>), MetaPropertiesError> {
    let root = disk.open_dir(".")?;
    let file = match disk.open(root, FILE_NAME, OpenMode::Existing) {
        Ok(file) => file,
        Err(DiskError::NotFound(_)) => return format(disk, root, expected),
        Err(error) => return Err(error.into()),
    };
    let bytes = disk.read(file, 0, LONGEST);
    disk.close(file);
    Ok((check(&bytes?, expected)?, None))
}

fn format(
    disk: &mut dyn Disk,
    root: DirId,
    expected: &MetaProperties,
) -> Result<(Uuid, Option<Replacement>), MetaPropertiesError> {
    let MetaProperties { cluster_id, node_id, directory_id } = expected;
    let text = format!(
        "cluster.id={cluster_id}\ndirectory.id={}\nnode.id={node_id}\nversion=1\n",
        uuid_text::of(*directory_id)
    );
    let file = disk.open(root, TEMPORARY_NAME, OpenMode::CreateEmpty)?;
    disk.write(file, 0, text.into())?;
    let replacement = Replacement { dir: root, file, temporary_name: TEMPORARY_NAME, name: FILE_NAME };
    Ok((*directory_id, Some(replacement)))
}

/// Source: `MetaPropertiesEnsemble.verify`.
fn check(bytes: &[u8], expected: &MetaProperties) -> Result<Uuid, MetaPropertiesError> {
    let text = std::str::from_utf8(bytes).map_err(|_| MetaPropertiesError::Malformed { property: "version" })?;
    let property = |name: &'static str| {
        let values = text.lines().filter_map(|line| line.split_once('='));
        let mut values = values.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
        values.next().ok_or(MetaPropertiesError::Malformed { property: name })
    };
    let agree = |name: &'static str, expected: &str| match property(name)? {
        found if found == expected => Ok(()),
        found => Err(MetaPropertiesError::Inconsistent {
            property: name,
            found: found.to_string(),
            expected: expected.to_string(),
        }),
    };
    agree("version", "1")?;
    agree("cluster.id", &expected.cluster_id)?;
    agree("node.id", &expected.node_id.to_string())?;
    uuid_text::parse(property("directory.id")?).ok_or(MetaPropertiesError::Malformed { property: "directory.id" })
}
