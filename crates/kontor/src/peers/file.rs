//! The file LINKS of a data directory: the sites that were joined, with the keys that they gave. A secret,
//! so it is in no backup and readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kontor_api::site::PeerAddress;
use serde::{Deserialize, Serialize};

const LINKS: &str = "LINKS";

/// What the file says, and where it is.
pub(crate) struct LinksFile {
    directory: PathBuf,
    links: Vec<PeerAddress>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Written {
    /// One code for each site.
    #[serde(default)]
    codes: Vec<String>,
}

impl LinksFile {
    /// Reads the file of a directory; nothing is in it if it is not there.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(LINKS);
        let written: Written = match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{} is not readable", path.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Written::default(),
            Err(error) => return Err(error).with_context(|| format!("{} could not be read", path.display())),
        };
        let links = written.codes.iter().map(|code| code.parse()).collect::<Result<_, _>>();
        let links = links.with_context(|| format!("{} is not readable", path.display()))?;
        Ok(Self { directory: directory.to_owned(), links })
    }

    /// The sites in it.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = PeerAddress> + '_ {
        self.links.iter().cloned()
    }

    /// Puts a site into the file, in place of what it said of that site. Durable when this returns.
    pub(crate) fn put(&mut self, address: &PeerAddress) -> anyhow::Result<()> {
        let mut links = self.links.clone();
        links.retain(|known| known.site != address.site);
        links.push(address.clone());
        let written = Written { codes: links.iter().map(PeerAddress::code).collect() };
        self.write(&written)
            .with_context(|| format!("{LINKS} in {} could not be written", self.directory.display()))?;
        self.links = links;
        Ok(())
    }

    fn write(&self, written: &Written) -> anyhow::Result<()> {
        let text = toml::to_string(written)?;
        let part = self.directory.join("LINKS.tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, self.directory.join(LINKS))?;
        File::open(&self.directory)?.sync_all()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_code_of_each_site_is_found_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a temporary folder");
        let code = |text: &str| text.parse::<PeerAddress>().expect("a code");
        let mut file = LinksFile::open(directory.path()).expect("nothing is there");
        for text in ["http://west:one@a:1", "http://east:two@b:2", "http://west:three@c:3"] {
            file.put(&code(text)).expect("it is written");
        }
        let found: Vec<_> = LinksFile::open(directory.path()).expect("readable").addresses().collect();
        assert_eq!(found, [code("http://east:two@b:2"), code("http://west:three@c:3")]);
        let mode = fs::metadata(directory.path().join(LINKS)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds keys");
        fs::write(directory.path().join(LINKS), "codes = [\"west\"]").expect("written");
        assert!(LinksFile::open(directory.path()).is_err());
    }
}
