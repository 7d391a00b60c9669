//! Names of systems and browsers that nearly all clicks have, so that a stored click has one byte for each. A place in
//! these lists is stored: they only grow, at their ends. What is not in them is stored as text.

/// Operating systems.
pub(super) const OS: &[&str] = &[
    "Android",
    "iOS",
    "Windows",
    "Mac OS X",
    "Linux",
    "Chrome OS",
    "Ubuntu",
    "KaiOS",
    "Tizen",
    "Web0S",
    "tvOS",
    "FreeBSD",
    "Windows Phone",
    "Debian",
];

/// Browsers, and the apps that open a page by themselves.
pub(super) const BROWSERS: &[&str] = &[
    "Chrome",
    "Chrome Mobile",
    "Chrome Mobile WebView",
    "Chrome Mobile iOS",
    "Mobile Safari",
    "Mobile Safari UI/WKWebView",
    "Safari",
    "Firefox",
    "Firefox Mobile",
    "Firefox iOS",
    "Edge",
    "Edge Mobile",
    "Samsung Internet",
    "Opera",
    "Opera Mobile",
    "Opera Mini",
    "Facebook",
    "Facebook Messenger",
    "Instagram",
    "Snapchat",
    "Pinterest",
    "Google",
    "Twitter",
    "LINE",
    "WhatsApp",
    "Android",
    "Amazon Silk",
    "UC Browser",
    "Yandex Browser",
    "MiuiBrowser",
    "Huawei Browser",
    "QQ Browser Mobile",
    "QQ Browser",
    "DuckDuckGo Mobile",
    "Brave",
    "Vivaldi",
    "Whale",
    "Puffin",
    "Coc Coc",
    "Ecosia Android",
    "Ecosia iOS",
    "Chromium",
    "IE",
    "IE Mobile",
    "okhttp",
    "CFNetwork",
];

#[cfg(test)]
mod tests {
    use super::{BROWSERS, OS};

    #[test]
    fn a_place_in_a_list_is_for_ever() {
        assert_eq!((OS[0], OS[4], OS[13]), ("Android", "Linux", "Debian"));
        assert_eq!((BROWSERS[0], BROWSERS[12], BROWSERS[45]), ("Chrome", "Samsung Internet", "CFNetwork"));
        for list in [OS, BROWSERS] {
            assert!(list.len() < 255, "a place is one byte");
            let mut names = list.to_vec();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), list.len(), "a name stands once");
        }
    }
}
