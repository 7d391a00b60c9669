//! nginx, which only redirects: what a click costs when nothing is checked and nothing is kept.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::failure::{During as _, Result};
use crate::machine;
use crate::process::{Launch, Process};

const MOST_START: Duration = Duration::from_secs(10);

/// What nginx is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// The same answer to everybody.
    Constant,
    /// Values of the request in the `Location`, unchecked.
    Variables,
    /// The same, and a line in a buffered access log. Nothing is synced: a crash loses lines.
    VariablesAndLog,
}

impl Redirect {
    pub(crate) const ALL: [Self; 3] = [Self::Constant, Self::Variables, Self::VariablesAndLog];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Constant => "nginx, constant redirect",
            Self::Variables => "nginx, redirect with variables",
            Self::VariablesAndLog => "nginx, variables and buffered log",
        }
    }

    /// The directives that make it.
    fn directives(self, dir: &Path) -> String {
        const CONSTANT: &str = "return 302 https://shop.example/landing?click=1;";
        const VARIABLES: &str = "return 302 \
            https://shop.example/landing?click=$request_id&source=$arg_pub_member_id&sub=$arg_pub_sub_1;";
        match self {
            Self::Constant => format!("access_log off; {CONSTANT}"),
            Self::Variables => format!("access_log off; {VARIABLES}"),
            Self::VariablesAndLog => {
                format!("access_log {}/access.log combined buffer=64k flush=1s; {VARIABLES}", dir.display())
            }
        }
    }
}

/// A running nginx with one worker.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) process: Process,
    pub(crate) address: String,
}

impl Nginx {
    /// Starts it in a folder of its own. Without nginx it says what to install.
    pub(crate) fn start(redirect: Redirect, cores: &str, dir: &Path) -> Result<Self> {
        let program = machine::find("nginx", "nginx-light wrk")?;
        fs::create_dir_all(dir).during("make a folder for nginx")?;
        let address = free_address()?;
        let config = dir.join("nginx.conf");
        fs::write(&config, configuration(redirect, &address, dir)).during("write nginx.conf")?;
        let (prefix, config) = (format!("{}/", dir.display()), config.display().to_string());
        let launch = Launch::new("nginx", &program, cores).args(["-p", &prefix, "-c", &config]);
        let mut process = launch.start(dir.join("nginx.out"))?;
        process.until("listener of nginx", MOST_START, || TcpStream::connect(&address).ok())?;
        Ok(Self { process, address })
    }
}

/// A free port, which nginx cannot choose by itself. It may be taken in between; then nginx says so and ends.
pub(crate) fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").during("find a free port")?;
    Ok(listener.local_addr().during("the address of a listener")?.to_string())
}

fn configuration(redirect: Redirect, address: &str, dir: &Path) -> String {
    let directives = redirect.directives(dir);
    let shown = dir.display();
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders = folders.map(|name| format!("    {name}_temp_path {shown}/{name};\n")).concat();
    format!(
        "daemon off;\nworker_processes 1;\npid {shown}/nginx.pid;\nerror_log stderr crit;\n\
         events {{ worker_connections 8192; }}\nhttp {{\n{folders}    \
         keepalive_requests 1000000000;\n    \
         server {{ listen {address} backlog=4096; location / {{ {directives} }} }}\n}}\n"
    )
}
