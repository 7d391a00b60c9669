//! What the demo prints: where to begin.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use super::cast::{PARTNERS, Playing};
use super::folder::Folder;
use super::history::Past;
use super::login::EMAIL;

/// The ids of the link that is printed.
const CLICK: &str = "my-first-click";

/// The address that a browser on this machine opens.
pub(super) fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// Everything that a person needs to know, and nothing else.
pub(super) fn text(
    address: SocketAddr,
    folder: &Folder,
    playing: &Playing,
    past: &Past,
    password: &str,
) -> String {
    let (_, _, members) = PARTNERS[0];
    let member = members.first().copied().unwrap_or_default();
    let link = format!("{}?pub_click_id={CLICK}&pub_member_id={member}&pub_sub_1=terminal", playing.link);
    let mut text = format!("Pitlane is listening on {}\n\n", url(address));
    // Writing into a String cannot fail, here and below.
    if past.clicks > 0 {
        let _ =
            writeln!(text, "The network has a past: {} clicks, {} postbacks.\n", past.clicks, past.reports);
    }
    let _ = writeln!(text, "Open in a browser");
    let _ =
        writeln!(text, "  1. a tracking link of partner PocketPoints; complete the offer where it leads to");
    let _ = writeln!(text, "       {link}");
    let _ = writeln!(
        text,
        "  2. what the partners see: their users with their links, and each postback with its"
    );
    let _ = writeln!(text, "     signature check");
    for ((_, name, _), partner) in PARTNERS.iter().zip(&playing.partners) {
        let _ = writeln!(text, "       {name:<14} http://{}/", partner.addr());
    }
    let _ =
        writeln!(text, "  3. what the advertiser sees: its offers, its visitors, the postbacks that it sent");
    let _ = writeln!(text, "       {:<14} http://{}/", "Northwind", playing.advertiser.addr());
    let _ = writeln!(
        text,
        "  4. the portal of partner PocketPoints: offers, links, clicks, postbacks and reports"
    );
    let _ = writeln!(text, "       {:<14} {}/login", "address", url(address));
    let _ = writeln!(text, "       {:<14} {EMAIL}", "e-mail");
    let _ = writeln!(text, "       {:<14} {password}", "password");
    let (program, data) = (program(), quoted(folder.path()));
    let _ = writeln!(text, "\nAsk in another terminal");
    let _ = writeln!(text, "  why it came so, once you have clicked");
    let _ = writeln!(text, "       {program} why {CLICK} --data {data}");
    if let Some((click, member)) = &past.example {
        let _ = writeln!(text, "  the same of somebody who came before you, and of all that this member did");
        let _ = writeln!(text, "       {program} why {click} --data {data}");
        let _ = writeln!(text, "       {program} why {member} --data {data}");
    }
    let _ = writeln!(text, "  what a link would do now, and a link to try it without money");
    let _ = writeln!(text, "       {program} link check '{link}' --data {data}");
    let _ = writeln!(text, "       {program} link test '{link}' --data {data}");
    let _ = writeln!(text, "  what came of it all, and what is wrong with a partner's links");
    let _ = writeln!(text, "       {program} report --by week --by offer --data {data}");
    let _ = writeln!(text, "       {program} link health --partner daily-quests --data {data}");
    let end = if folder.kept() { "the data stays in" } else { "it removes" };
    let _ = writeln!(text, "\nCtrl-C ends it; {end} {}", folder.path().display());
    text
}

/// The command as it was called.
fn program() -> String {
    std::env::args_os().next().map_or_else(|| "pitlane".to_owned(), |name| quoted(Path::new(&name)))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
