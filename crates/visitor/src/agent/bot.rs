//! Bots by the words of their user agents. Programs that fetch by themselves are meant: crawlers, previews, scripts,
//! monitors. Libraries that apps open a link with on somebody's behalf (okhttp, CFNetwork, Dalvik) are none.

/// Words of bots, in lower case, anywhere in the text.
#[rustfmt::skip]
const ANYWHERE: &[&str] = &[
    // The address of its own page, as polite robots give it.
    "+http://", "+https://",
    // Crawlers.
    "crawl", "spider", "slurp", "scraper", "indexer", "archiver", "nutch", "heritrix", "httrack", "scrapy",
    "screaming frog", "mediapartners-google", "feedfetcher", "apis-google", "google-inspectiontool", "googleother",
    "google-read-aloud", "google-safety", "chatgpt-user", "claude-user", "perplexity-user", "cohere-ai",
    "anthropic-ai", "meta-externalagent", "meta-externalfetcher",
    // Previews.
    "facebookexternalhit", "facebookcatalog", "bingpreview", "web preview", "skypeuripreview", "slack-imgproxy",
    "embedly", "iframely", "vkshare", "flipboardproxy", "favicon",
    // Browsers that nobody sits at.
    "headless", "phantomjs", "slimerjs", "puppeteer", "playwright", "selenium", "webdriver", "cypress/", "ptst/",
    "chrome-lighthouse", "pagespeed", "gtmetrix", "wkhtmlto", "prerender", "browsershot",
    // Monitors and scanners.
    "monitor", "uptime", "pingdom", "statuscake", "site24x7", "nagios", "check_http", "zabbix", "newrelicpinger",
    "datadog", "catchpoint", "gomezagent", "w3c_validator", "w3c-checklink", "zgrab", "masscan", "nmap scripting",
    "nuclei", "sqlmap", "nikto", "censys", "internetmeasurement", "netcraft", "virustotal", "urlscan", "linkcheck",
    // Scripts.
    "python-requests", "python-urllib", "python-httpx", "aiohttp", "go-http-client", "libwww-perl", "lwp::",
    "apache-httpclient", "commons-httpclient", "node-fetch", "guzzlehttp", "postmanruntime", "powershell",
    "google-http-java-client", "mechanize",
];

/// Programs that put their own name first, in lower case; what follows is no letter.
#[rustfmt::skip]
const FIRST: &[&str] = &[
    "curl", "libcurl", "wget", "python", "java", "ruby", "php", "perl", "node", "axios", "got", "undici", "deno",
    "bun", "httpie", "insomnia", "reqwest", "hyper", "ureq", "faraday", "typhoeus", "http.rb", "rest-client",
    "aria2", "k6", "wrk", "oha", "hey", "ab", "apachebench", "apache-jmeter", "siege", "vegeta", "locust",
    "artillery", "whatsapp", "viber", "mastodon", "wordpress", "drupal", "simplepie", "jsdom", "symfony", "colly",
    "xenu", "pycurl", "winhttp",
];

/// Names that end as robots do, of phones that people hold.
const NOT_ROBOTS: &[&str] = &["cubot"];

/// Whether the text is a program's that fetches by itself. No text at all says nothing.
pub(super) fn is_bot(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let first = text.trim_start();
    let is_first = |word: &str| {
        let rest = first.strip_prefix(word);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphabetic()))
    };
    names_a_robot(&text)
        || ANYWHERE.iter().any(|word| text.contains(word))
        || FIRST.iter().any(|word| is_first(word))
}

/// Whether a word ends in `bot` or `bots`: `Googlebot/2.1`, `robot`, `AdsBot-Google`.
fn names_a_robot(text: &str) -> bool {
    let mut words = text.split(|character: char| !character.is_ascii_alphabetic());
    words.any(|word| {
        let word = word.strip_suffix('s').unwrap_or(word);
        word.ends_with("bot") && !NOT_ROBOTS.contains(&word)
    })
}
