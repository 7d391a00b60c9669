//! What a run did, for people and for programs.

use std::fmt::Write as _;

use domain::time::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::fault::Fault;
use super::plan::{Change, Effect, Plan, Step};

/// What a run did, or would do.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The file's name.
    pub(crate) file: String,
    /// Whether nothing was written.
    pub(crate) dry_run: bool,
    /// How many things are new.
    pub(crate) created: usize,
    /// How many changed.
    pub(crate) changed: usize,
    /// How many were just so.
    pub(crate) unchanged: usize,
    /// The state of the catalog afterwards; grows with every change.
    pub(crate) catalog_version: i64,
    /// What may be wrong in the file.
    pub(crate) warnings: Vec<Fault>,
    /// Every thing of the file.
    pub(crate) things: Vec<Thing>,
}

/// One thing of the file.
#[derive(Debug, Serialize)]
pub(crate) struct Thing {
    /// `network`, `advertiser`, `partner`, `offer`, `link`, `postback` or `user`.
    pub(crate) kind: &'static str,
    /// The label of its network.
    pub(crate) network: String,
    /// Its name: label, slug, `offer/partner` of a link, `partner/slug` of a postback, e-mail address of a user.
    pub(crate) name: String,
    /// Its id; none for a thing that a dry run would create.
    pub(crate) id: Option<Uuid>,
    /// What became of it.
    pub(crate) result: Effect,
    /// What changed; every property of a new thing.
    pub(crate) changes: Vec<Change>,
    /// Of a link: what the partner places.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tracking_link: Option<String>,
    /// Of an advertiser: what it calls to report a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postback_url: Option<String>,
    /// Fresh secrets: this is the only time that they are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) secrets: Vec<Secret>,
}

/// A fresh secret.
#[derive(Debug, Serialize)]
pub(crate) struct Secret {
    /// `postback_token`, `signing_secret` or `setup_token`.
    pub(crate) name: &'static str,
    /// The secret; none in a dry run.
    pub(crate) value: Option<String>,
    /// When it stops to work by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
}

impl Report {
    /// What `plan` did. `public_url` stands before every path; `{network}` in it becomes the network's label.
    pub(crate) fn new(
        plan: &Plan,
        file: &str,
        public_url: &str,
        dry_run: bool,
        warnings: Vec<Fault>,
    ) -> Self {
        let count = |effect| plan.steps.iter().filter(|step| step.effect == effect).count();
        Self {
            file: file.to_owned(),
            dry_run,
            created: count(Effect::Created),
            changed: count(Effect::Changed),
            unchanged: count(Effect::Unchanged),
            catalog_version: plan.version,
            warnings,
            things: plan.steps.iter().map(|step| Thing::new(step, public_url, dry_run)).collect(),
        }
    }

    /// For people: a line for each thing, then what changed, what to hand out, and the secrets.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for thing in &self.things {
            thing.write(&mut text);
        }
        for warning in &self.warnings {
            let Fault { line, column, message } = warning;
            // Writing into a String cannot fail, here and below.
            let _ = writeln!(text, "warning: {}:{line}:{column}: {message}", self.file);
        }
        let (created, changed, unchanged) = (self.created, self.changed, self.unchanged);
        let _ = writeln!(text, "\n{created} created, {changed} changed, {unchanged} unchanged.");
        if self.dry_run {
            text.push_str("This was a dry run: nothing was written.\n");
        }
        if self.things.iter().any(|thing| !thing.secrets.is_empty()) && !self.dry_run {
            text.push_str("The secrets above are shown this once; keep them now.\n");
        }
        text.push_str("What the file does not name stays as it is.\n");
        text
    }

    /// For programs: one JSON object.
    pub(crate) fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

impl Thing {
    fn new(step: &Step, public_url: &str, dry_run: bool) -> Self {
        let label = &step.network.label;
        let base = public_url.trim_end_matches('/').replace("{network}", label);
        let address = |name: &str| {
            let own = step.address.as_ref().filter(|(own, _)| *own == name);
            own.map(|(_, path)| format!("{base}{path}"))
        };
        Self {
            kind: step.noun.word(),
            network: label.clone(),
            name: step.name.clone(),
            id: (!dry_run || step.effect != Effect::Created).then_some(step.id),
            result: step.effect,
            changes: step.changes.clone(),
            tracking_link: address("tracking_link"),
            postback_url: address("postback_url"),
            secrets: step
                .secrets
                .iter()
                .map(|shown| Secret {
                    name: shown.name,
                    value: (!dry_run).then(|| shown.value.clone()),
                    expires: shown.expires.map(|at: Timestamp| at.to_string()),
                })
                .collect(),
        }
    }

    fn write(&self, text: &mut String) {
        let mark = match self.result {
            Effect::Created => "+ created  ",
            Effect::Changed => "~ changed  ",
            Effect::Unchanged => "= unchanged",
        };
        let id = self.id.map(|id| format!("  {id}")).unwrap_or_default();
        let owner = if self.kind == "network" { String::new() } else { format!(" of {}", self.network) };
        let _ = writeln!(text, "{mark} {} {}{owner}{id}", self.kind, self.name);
        if self.result == Effect::Changed {
            for change in &self.changes {
                let _ = writeln!(text, "    {}", change.line());
            }
        }
        for (name, address) in [("tracking link", &self.tracking_link), ("postback URL", &self.postback_url)]
        {
            if let Some(address) = address {
                let _ = writeln!(text, "    {name}: {address}");
            }
        }
        for secret in &self.secrets {
            let value = secret.value.as_deref().unwrap_or("(made when this is applied)");
            let until = secret.expires.as_ref().map(|at| format!("  (until {at})")).unwrap_or_default();
            let _ = writeln!(text, "    {}: {value}{until}", secret.name.replace('_', " "));
        }
    }
}

/// The longest value in a line for people, in characters.
const MAX_SHOWN: usize = 120;

impl Change {
    /// `field: old → new`, cut to a readable length.
    fn line(&self) -> String {
        let short = |value: &Option<String>| match value {
            None => "(none)".to_owned(),
            Some(value) => {
                let line = value.replace('\n', " ");
                let cut = line.char_indices().nth(MAX_SHOWN).map(|(at, _)| at);
                cut.map_or(line.clone(), |at| format!("{}…", &line[..at]))
            }
        };
        format!("{}: {} → {}", self.field, short(&self.old), short(&self.new))
    }
}
