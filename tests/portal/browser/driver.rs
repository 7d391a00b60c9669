//! A real browser: Debian's Chromium, driven by its own driver over the `WebDriver` protocol, which is plain HTTP.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Folder, eventually, http};

/// What the protocol calls an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What the protocol calls this key.
const SHIFT: char = '\u{e008}';

/// Nothing on a page may take longer than this to appear.
const AT_MOST: Duration = Duration::from_secs(20);

/// How a browser is set up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    /// In CSS pixels.
    pub(super) width: u32,
    /// Whether pages may run scripts.
    pub(super) scripts: bool,
    /// Whether the system likes dark pages.
    pub(super) dark: bool,
}

/// The driver's process; it ends with this.
pub(super) struct Driver {
    child: Child,
    base: String,
    folder: Folder,
}

impl Driver {
    /// Starts it on a free port.
    pub(super) fn start() -> Self {
        let mut command = Command::new("chromedriver");
        command.args(["--port=0", "--allowed-ips=127.0.0.1"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("chromedriver: install the package chromium-driver");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let port = loop {
            let line = lines.next().expect("the driver says its port").expect("a line");
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                break rest.trim_end_matches('.').to_owned();
            }
        };
        // Its pipe must not fill up.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, base: format!("http://127.0.0.1:{port}"), folder: Folder::new() }
    }

    /// Opens a browser of its own, without cookies.
    #[track_caller]
    pub(super) fn open(&self, setup: Setup) -> Tab {
        let profile = self.folder.join(&format!("{setup:?}").replace([' ', '{', '}', ':', ','], "-"));
        let mut args = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--window-size={},900", setup.width.max(500)),
            format!("--user-data-dir={profile}"),
        ];
        if setup.dark {
            args.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let scripts = if setup.scripts { 1 } else { 2 };
        let mut options = json!({
            "args": args,
            "prefs": { "profile.managed_default_content_settings.javascript": scripts },
        });
        if setup.width < 500 {
            // No window is that narrow; a phone's screen is.
            let screen = json!({ "width": setup.width, "height": 800, "pixelRatio": 1.0, "touch": false });
            options["mobileEmulation"] = json!({ "deviceMetrics": screen });
        }
        let wanted = json!({
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" },
        });
        let body = json!({ "capabilities": { "alwaysMatch": wanted } });
        let opened = send(http::client().post(format!("{}/session", self.base)), Some(&body));
        let id = opened["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {opened}")).to_owned();
        Tab { base: format!("{}/session/{id}", self.base) }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One browser with one page; it closes with this.
pub(super) struct Tab {
    base: String,
}

impl Drop for Tab {
    fn drop(&mut self) {
        // Also while a failed test unwinds: a browser must not outlive it.
        let _ = testkit::block_on(http::send(http::client().delete(&self.base)));
    }
}

impl Tab {
    /// Opens an address.
    #[track_caller]
    pub(super) fn go(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// The address that is open.
    #[track_caller]
    pub(super) fn url(&self) -> String {
        self.get("url").as_str().expect("an address").to_owned()
    }

    /// The page as it stands.
    #[track_caller]
    pub(super) fn source(&self) -> String {
        self.get("source").as_str().expect("a page").to_owned()
    }

    /// Clicks on the first element that an `XPath` finds.
    #[track_caller]
    pub(super) fn click(&self, path: &str) {
        let element = self.find(path);
        // The driver scrolls only as far as it must, and what it wants may then lie under a bar.
        let script = "arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })";
        self.post("execute/sync", &json!({ "script": script, "args": [{ ELEMENT: element }] }));
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Types into a field instead of what stands in it.
    #[track_caller]
    pub(super) fn type_into(&self, field: &str, text: &str) {
        let element = self.find(&format!("//*[@id='{field}']"));
        self.post(&format!("element/{element}/clear"), &json!({}));
        self.post(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses keys, wherever the focus is; a shift is held until the end.
    #[track_caller]
    pub(super) fn press(&self, keys: &str) {
        let stroke = |kind: &str, key: char| json!({ "type": kind, "value": key.to_string() });
        let each = keys.chars().flat_map(|key| match key {
            SHIFT => vec![stroke("keyDown", key)],
            _ => vec![stroke("keyDown", key), stroke("keyUp", key)],
        });
        let held = keys.chars().filter(|key| *key == SHIFT).map(|key| stroke("keyUp", key));
        let keyboard =
            json!({ "type": "key", "id": "keyboard", "actions": each.chain(held).collect::<Vec<_>>() });
        self.post("actions", &json!({ "actions": [keyboard] }));
    }

    /// Waits until the page has a text, as its source has it.
    #[track_caller]
    pub(super) fn shows(&self, text: &str) {
        eventually(text, AT_MOST, || self.source().contains(text));
    }

    /// Waits until the open address ends so.
    #[track_caller]
    pub(super) fn is_at(&self, end: &str) {
        eventually(end, AT_MOST, || self.url().ends_with(end));
    }

    /// What a function's body returns in the page.
    #[track_caller]
    pub(super) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The same of one that calls its first argument.
    #[track_caller]
    pub(super) fn run_async(&self, script: &str) -> Value {
        self.post("execute/async", &json!({ "script": script, "args": [] }))
    }

    /// What the console was told since this was last asked: errors, warnings, what the policy forbade.
    #[track_caller]
    pub(super) fn console(&self) -> Vec<String> {
        let lines = self.post("se/log", &json!({ "type": "browser" }));
        let lines = lines.as_array().expect("lines").iter();
        let bad = lines.filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING");
        bad.map(|line| line["message"].to_string()).collect()
    }

    #[track_caller]
    fn find(&self, path: &str) -> String {
        let body = json!({ "using": "xpath", "value": path });
        let found = self.post("element", &body);
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("no {path} on {}", self.url())).to_owned()
    }

    #[track_caller]
    fn get(&self, command: &str) -> Value {
        send(http::client().get(format!("{}/{command}", self.base)), None)
    }

    #[track_caller]
    fn post(&self, command: &str, body: &Value) -> Value {
        send(http::client().post(format!("{}/{command}", self.base)), Some(body))
    }
}

#[track_caller]
fn send(request: http::RequestBuilder, body: Option<&Value>) -> Value {
    let request = match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    };
    let answer = http::answer(request);
    let value = answer.json()["value"].clone();
    assert_eq!(answer.status, 200, "{} {}", value["error"], value["message"]);
    value
}
