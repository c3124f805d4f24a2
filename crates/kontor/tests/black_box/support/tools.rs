//! Disks to fill, cut off and copy, and a tracer that makes system calls fail.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program; its words when it fails or is not there.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => Ok(said(&output.stdout)),
        Ok(output) => Err(format!("{program} {}: {}", arguments.join(" "), said(&output.stderr))),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// A path as a program's argument.
pub(crate) fn word(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// A mounted file system, unmounted when dropped.
pub(crate) struct Mount {
    pub(crate) at: PathBuf,
}

impl Mount {
    /// Makes an ext4 file system in an image file, and mounts it.
    pub(crate) fn new_image(image: &Path, size_mib: u64, at: &Path) -> Result<Mount, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("mounting a disk image needs root".to_owned());
        }
        run("truncate", &["-s", &format!("{size_mib}M"), word(image)])?;
        run("mkfs.ext4", &["-q", "-F", word(image)])?;
        Mount::image(image, at)
    }

    /// Mounts an image file: ext4 replays its own journal, as after a power cut.
    pub(crate) fn image(image: &Path, at: &Path) -> Result<Mount, String> {
        std::fs::create_dir_all(at).map_err(|e| e.to_string())?;
        run("mount", &["-o", "loop", word(image), word(at)])?;
        Ok(Mount { at: at.to_owned() })
    }

    /// A small disk in memory.
    pub(crate) fn small(size_mib: u64, at: &Path) -> Result<Mount, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("mounting a small disk needs root".to_owned());
        }
        std::fs::create_dir_all(at).map_err(|e| e.to_string())?;
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size_mib}m"), "tmpfs", word(at)])?;
        Ok(Mount { at: at.to_owned() })
    }

    /// Gives a small disk another size.
    pub(crate) fn resize(&self, size_mib: u64) -> Result<(), String> {
        run("mount", &["-o", &format!("remount,size={size_mib}m"), word(&self.at)]).map(drop)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if run("umount", &[word(&self.at)]).is_err() {
            // Still busy, after a test that failed: let go of it as soon as it is free.
            run("umount", &["-l", word(&self.at)]).ok();
        }
    }
}

/// The words that start a program under strace with these system calls changed, or why that is not
/// possible here. The program stays our own child (`-D`), so signals and exit codes are its own.
pub(crate) fn tracer(calls: &str, change: &str) -> Result<Vec<String>, String> {
    let inject = format!("inject={calls}:{change}");
    let trace = format!("trace={calls}");
    let words = ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let mut probe = words[1..].to_vec();
    probe.push("true");
    run("strace", &probe)?;
    Ok(words.iter().map(|word| (*word).to_owned()).collect())
}
