//! What `strace` saw a server do, in the order in which it happened.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::process::Command;

use testkit::{Folder, Server, eventually};

use crate::world::AT_MOST;

/// Everything that writes to a file or a socket, makes it durable, or hears from a database server.
pub(crate) const CALLS: &str = "write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,\
                     fsync,fdatasync,sync_file_range,read,readv,recvfrom,recvmsg";

/// A system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its name, such as `pwrite64`.
    pub(crate) name: String,
    /// The path or, of a socket, `TCP:[from->to]`, that its descriptor stands for.
    pub(crate) file: String,
    /// What it wrote, or read.
    pub(crate) data: Vec<u8>,
    /// Its last argument: of `pwrite64` the place in the file.
    pub(crate) last: u64,
    /// The line of the trace at which it began.
    pub(crate) entered: usize,
    /// The line at which it was over; none when it never was.
    pub(crate) left: Option<usize>,
    /// What it returned; negative for an error.
    pub(crate) returned: i64,
    /// It never reached the system: its outcome was made up by `strace`.
    pub(crate) injected: bool,
}

impl Call {
    /// Made what was written to its file before durable.
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync") && self.returned == 0 && !self.injected
    }

    pub(crate) fn is_send(&self) -> bool {
        matches!(self.name.as_str(), "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg")
    }

    pub(crate) fn is_receive(&self) -> bool {
        matches!(self.name.as_str(), "read" | "readv" | "recvfrom" | "recvmsg")
    }
}

/// A trace that is being written.
pub(crate) struct Tracing {
    folder: Folder,
    process: u32,
}

impl Tracing {
    /// Starts a server under `strace`, which sees these calls. `more` are further arguments, such as
    /// `--inject=fsync:error=EIO:when=9`, which makes up the outcome of the ninth.
    pub(crate) fn start(command: &Command, calls: &str, more: &[&str]) -> (Server, Self) {
        let folder = Folder::new();
        let mut traced = Command::new("strace");
        // The tracer is the grandchild, so that the child is the server itself, with its signals and its code.
        traced.args(["-D", "-f", "--seccomp-bpf", "-yy", "-xx", "-s", "1000000", "--abbrev=none"]);
        traced.arg(format!("--trace={calls}")).args(more);
        traced.args(["-o", &folder.join("trace"), "--"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => traced.env(name, value),
                None => traced.env_remove(name),
            };
        }
        let server = Server::start(traced);
        let process = server.pid();
        (server, Self { folder, process })
    }

    /// Waits for the end of the server, which somebody else brings about, and reads the trace.
    pub(crate) fn calls(self) -> Vec<Call> {
        let trace = self.folder.join("trace");
        let process = self.process.to_string();
        let is_end =
            |line: &str| line.split_once(' ').is_some_and(|(of, what)| of == process && what.contains("+++"));
        eventually("the trace ends", AT_MOST, || end(&trace).lines().any(is_end));
        read(&trace)
    }
}

/// The last lines of a file.
fn end(path: &str) -> String {
    let mut file = File::open(path).expect("a trace");
    let length = file.seek(SeekFrom::End(0)).expect("a file");
    file.seek(SeekFrom::Start(length.saturating_sub(2_000))).expect("a file");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("a trace in ASCII");
    text
}

/// Reads a trace.
fn read(path: &str) -> Vec<Call> {
    let lines = BufReader::new(File::open(path).expect("a trace")).lines();
    parse(lines.map(|line| line.expect("a trace in ASCII")))
}

/// The calls of a trace in the order in which they began.
///
/// `strace` writes a line when a call begins and ends it when the call is over. When another thread does something in
/// between, the line is cut (`<unfinished ...>`) and taken up later (`<... fsync resumed>`). So the lines are in the
/// order of what happened: what is over on one line was over before anything began on a later one.
pub(crate) fn parse(lines: impl Iterator<Item = String>) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut begun: HashMap<String, (usize, String)> = HashMap::new();
    for (number, line) in lines.enumerate() {
        let Some((process, text)) = line.trim_end().split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(beginning) = text.strip_suffix("<unfinished ...>") {
            begun.insert(process.to_owned(), (number, beginning.to_owned()));
        } else if let Some(end) = text.strip_prefix("<... ") {
            let (_, end) = end.split_once(" resumed>").unwrap_or_else(|| panic!("line {number}: {end:.200}"));
            let (entered, beginning) = begun.remove(process).expect("a call that began");
            calls.push(call(entered, Some(number), &format!("{beginning}{end}")));
        } else if text.starts_with(|first: char| first.is_ascii_lowercase()) {
            calls.push(call(number, Some(number), text));
        }
    }
    // What a process was doing at its end.
    calls.extend(begun.into_values().map(|(entered, text)| call(entered, None, &format!("{text}) = ?"))));
    calls.sort_by_key(|call| call.entered);
    calls
}

fn call(entered: usize, left: Option<usize>, text: &str) -> Call {
    let (name, arguments) = text.split_once('(').unwrap_or_else(|| panic!("no call: {text:.200}"));
    let (arguments, end) = arguments.rsplit_once(" = ").unwrap_or_else(|| panic!("no end: {text:.200}"));
    let arguments = arguments.trim_end().trim_end_matches(')').trim_end();
    let returned = end.split(' ').next().unwrap_or_default();
    assert!(!arguments.contains("\"..."), "strace cut what it shows: {text:.200}");
    Call {
        name: name.to_owned(),
        file: file(arguments),
        data: data(arguments),
        last: arguments.rsplit(", ").next().and_then(|last| last.parse().ok()).unwrap_or(0),
        entered,
        left,
        returned: returned.parse().unwrap_or(-1),
        injected: end.contains("(INJECTED)"),
    }
}

/// What stands between the angle brackets behind the descriptor: a path in `\x2f` notation, or a socket as it is.
fn file(arguments: &str) -> String {
    let inside = arguments.split_once('<').map_or("", |(_, rest)| rest);
    let end = inside.find(">, ").or_else(|| inside.strip_suffix('>').map(str::len)).unwrap_or(0);
    let shown = &inside[..end];
    if shown.starts_with("\\x") {
        String::from_utf8_lossy(&bytes(shown)).into_owned()
    } else {
        shown.to_owned()
    }
}

/// Every quoted text of the arguments, one behind the other.
fn data(arguments: &str) -> Vec<u8> {
    arguments.split('"').skip(1).step_by(2).flat_map(bytes).collect()
}

/// `\x48\x54` as bytes.
fn bytes(hex: &str) -> Vec<u8> {
    let byte = |digits: &str| u8::from_str_radix(digits.get(..2)?, 16).ok();
    hex.split("\\x").skip(1).map(|digits| byte(digits).expect("two hexadecimal digits")).collect()
}

#[test]
fn calls_are_read_with_their_begin_and_end() {
    let text = "\
        7  pwrite64(3<\\x2f\\x77>, \"\\x61\\x62\", 2, 4152) = 2\n\
        8  fdatasync(3<\\x2f\\x77> <unfinished ...>\n\
        9  writev(5<TCP:[127.0.0.1:80->127.0.0.1:9]>, [{iov_base=\"\\x63\", iov_len=1}, {iov_base=\"\\x64\", \
        iov_len=1}], 2) = 2\n\
        8  <... fdatasync resumed>)             = 0\n\
        8  fsync(3<\\x2f\\x77>) = -1 EIO (Input/output error) (INJECTED)\n\
        9  recvfrom(6<TCP:[a->b]>,  <unfinished ...>\n\
        9  <... recvfrom resumed>\"\\x65\", 8192, 0, NULL, NULL) = 1\n\
        9  --- SIGABRT {si_signo=SIGABRT} ---\n\
        9  recvfrom(6<TCP:[a->b]> <unfinished ...>\n\
        9  +++ killed by SIGABRT +++\n";
    let calls = parse(text.lines().map(str::to_owned));
    let seen: Vec<_> =
        calls.iter().map(|at| (at.name.as_str(), at.file.as_str(), at.entered, at.left)).collect();
    let answered = "TCP:[127.0.0.1:80->127.0.0.1:9]";
    assert_eq!(
        seen,
        [
            ("pwrite64", "/w", 0, Some(0)),
            ("fdatasync", "/w", 1, Some(3)),
            ("writev", answered, 2, Some(2)),
            ("fsync", "/w", 4, Some(4)),
            ("recvfrom", "TCP:[a->b]", 5, Some(6)),
            ("recvfrom", "TCP:[a->b]", 8, None),
        ]
    );
    assert_eq!((calls[0].data.as_slice(), calls[0].last), (&b"ab"[..], 4152));
    assert_eq!((&*calls[2].data, &*calls[4].data), (&b"cd"[..], &b"e"[..]));
    assert_eq!((calls[1].is_sync(), calls[3].is_sync(), calls[3].returned), (true, false, -1));
}
