//! A disk so small that a test can fill it: a file system in memory, in a mount namespace of its own, which goes with
//! the process that holds it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use testkit::Folder;

/// Its size: some thousand clicks.
const SIZE: &str = "12m";

/// Mounts the disk, says so, and holds it until its input ends.
const HOLD: &str = "mount -t tmpfs -o size=$2,mode=700 none \"$1\" && echo mounted && exec cat";

/// The disk, gone when dropped.
pub(crate) struct SmallDisk {
    holder: Child,
    /// Where it is for those in its namespace.
    folder: Folder,
    /// Whether the namespace has users of its own, because ours may not mount.
    users: bool,
}

impl SmallDisk {
    /// Makes it with a copy of the files of a folder.
    pub(crate) fn with(files: &Path) -> Self {
        let folder = Folder::new();
        let made = [false, true].into_iter().map(|users| hold(&folder, users).map(|holder| (holder, users)));
        let mut made: Vec<Result<_, String>> = made.collect();
        let at = made.iter().position(Result::is_ok).unwrap_or_else(|| {
            let why: Vec<&String> = made.iter().filter_map(|made| made.as_ref().err()).collect();
            panic!("this test mounts a disk: run it as root, or where users may make namespaces; it said {why:#?}")
        });
        let (holder, users) = made.swap_remove(at).expect("the one that was made");
        for (other, _) in made.into_iter().flatten() {
            end(other);
        }
        let disk = Self { holder, folder, users };
        copy(files, &disk.seen());
        disk
    }

    /// Where it is for us.
    fn seen(&self) -> PathBuf {
        let path = format!("/proc/{}/root{}", self.holder.id(), self.folder.path().display());
        PathBuf::from(path)
    }

    /// A command that runs where the disk is mounted.
    pub(crate) fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()));
        if self.users {
            inside.arg(format!("--user=/proc/{}/ns/user", self.holder.id())).arg("--preserve-credentials");
        }
        inside.arg("--").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// The folder's path, for those in its namespace.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the space there is.
    pub(crate) fn fill(&self) {
        let mut ballast =
            std::fs::File::create(self.seen().join("ballast")).expect("an empty file needs no space");
        for size in [1 << 16, 1 << 12, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Gives the space back.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.seen().join("ballast")).expect("the ballast");
    }

    /// Copies everything back, when nobody uses it any more. What is there goes first: an old log beside a new database
    /// would be taken for its own.
    pub(crate) fn copy_back(&self, files: &Path) {
        for entry in std::fs::read_dir(files).expect("a folder") {
            std::fs::remove_file(entry.expect("a file").path()).expect("a file of an earlier state");
        }
        copy(&self.seen(), files);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The process that holds the disk, or why there is none.
fn hold(folder: &Folder, users: bool) -> Result<Child, String> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    if users {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--", "sh", "-c", HOLD, "sh"]).arg(folder.path()).arg(SIZE);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("unshare: {error}"))?;
    let mut line = String::new();
    let out = BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line);
    if out.is_ok() && line == "mounted\n" {
        return Ok(child);
    }
    let mut said = String::new();
    let mut errors = child.stderr.take().expect("a pipe");
    end(child);
    let _ = errors.read_to_string(&mut said);
    Err(said)
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let file = entry.expect("a file").path();
        std::fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("a copy");
    }
}
