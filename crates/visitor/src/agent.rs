//! What a user agent says about itself.

mod bot;
mod cache;

use std::sync::Arc;

use domain::visitor::{Agent, Device};
use ua_parser::{Regexes, device, os, user_agent};

use self::cache::Cache;
use crate::Error;

/// uap-core's data as `build.rs` left it.
const DATA: &str = include_str!(concat!(env!("OUT_DIR"), "/agents.json"));

/// What is read of a user agent; the longest of real browsers, inside apps, have half of it.
const MAX_BYTES: usize = 1_024;

/// The longest name of a family that is kept. Only bots have longer ones.
const MAX_FAMILY_BYTES: usize = 64;

/// Reads user agents, and remembers.
pub(crate) struct Agents {
    browsers: user_agent::Extractor<'static>,
    systems: os::Extractor<'static>,
    spiders: device::Extractor<'static>,
    cache: Cache,
}

impl Agents {
    /// Compiles the expressions: about 80 ms and 10 MB.
    pub(crate) fn load() -> Result<Self, Error> {
        let fault = |error: String| Error::Agents(error);
        let data: Regexes<'static> = serde_json::from_str(DATA).map_err(|error| fault(error.to_string()))?;
        let browsers = user_agent::Builder::new().push_all(data.user_agent_parsers);
        let browsers = browsers.map_err(|error| fault(error.to_string()))?.build();
        let systems = os::Builder::new().push_all(data.os_parsers);
        let systems = systems.map_err(|error| fault(error.to_string()))?.build();
        let spiders = device::Builder::new().push_all(data.device_parsers);
        let spiders = spiders.map_err(|error| fault(error.to_string()))?.build();
        Ok(Self {
            browsers: browsers.map_err(|error| fault(error.to_string()))?,
            systems: systems.map_err(|error| fault(error.to_string()))?,
            spiders: spiders.map_err(|error| fault(error.to_string()))?,
            cache: Cache::default(),
        })
    }

    /// What the text says, from memory when it was read before.
    pub(crate) fn of(&self, text: &str) -> Arc<Agent> {
        let text = &text[..text.floor_char_boundary(MAX_BYTES)];
        self.cache.get_or(text, || self.read(text))
    }

    fn read(&self, text: &str) -> Agent {
        let system = self.systems.extract(text).map(|found| found.os);
        let browser = self.browsers.extract(text).map(|found| found.family);
        let mut os = family(system.as_deref());
        let browser = family(browser.as_deref());
        // The one rule whose answer is a word of the text's own: television sets, by their makers.
        if text.contains("HbbTV/") {
            "HbbTV".clone_into(&mut os);
        }
        let bot = bot::is_bot(text) || self.spiders.extract(text).is_some();
        Agent { device: device_of(&os, &browser), os, browser, bot }
    }
}

/// The family's name, empty when there is none that says anything.
fn family(name: Option<&str>) -> String {
    let name = name.filter(|name| *name != "Other").unwrap_or_default();
    name[..name.floor_char_boundary(MAX_FAMILY_BYTES)].to_owned()
}

fn device_of(os: &str, browser: &str) -> Option<Device> {
    match os {
        "iOS" => Some(Device::Ios),
        "Android" => Some(Device::Android),
        "Mac OS X" | "Mac OS" => Some(Device::MacOs),
        "" if browser.is_empty() => None,
        _ => Some(Device::Browser),
    }
}
