//! A folder of files for one test, and what to write into it.

use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ipnet::IpNet;
use maxminddb_writer::Database;
use maxminddb_writer::metadata::IpVersion;
use maxminddb_writer::paths::IpAddrWithMask;
use serde_json::Value;

/// A folder of its own, gone with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pitlane-visitor-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Puts the file there at once, as an updater that is careful does: another inode under the same name.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let (new, path) = (self.file(&format!("{name}.new")), self.file(name));
        fs::write(&new, content).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A MaxMind DB file of IPv6, with IPv4 inside, as everybody makes them.
pub(crate) fn mmdb(kind: &str, built_seconds: u64, records: &[(&str, Value)]) -> Vec<u8> {
    let mut database = Database::default();
    database.metadata.binary_format_major_version = 2;
    database.metadata.ip_version = IpVersion::V6;
    kind.clone_into(&mut database.metadata.database_type);
    database.metadata.build_epoch = built_seconds;
    for (net, record) in records {
        let path = match net.parse().unwrap() {
            IpNet::V4(net) => {
                let low = Ipv6Addr::from_bits(net.network().to_bits().into());
                IpAddrWithMask::new(low.into(), 96 + net.prefix_len())
            }
            IpNet::V6(net) => IpAddrWithMask::new(net.network().into(), net.prefix_len()),
        };
        let data = database.insert_value(record).unwrap();
        database.insert_node(path, data);
    }
    database.write_to(Vec::new()).unwrap()
}
