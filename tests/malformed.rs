//! Requests that nobody honest sends: refused, nothing written that counts, and the server goes on.

use testkit::{Server, for_each_engine, http};

use crate::world::{AT_MOST, TOKEN, World, encoded};

/// A request that must be refused, and why it is here.
struct Bad {
    what: String,
    bytes: Vec<u8>,
}

fn bad(what: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Bad {
    Bad { what: what.into(), bytes: bytes.into() }
}

/// What the requests are about: were one of them taken, a click or a conversion would be there to be seen.
struct Aim {
    /// The path of a link that runs.
    link: String,
    /// A click that can be reported.
    click: String,
}

/// Who greets in another protocol would not understand an answer in this one.
const HUNG_UP_ON: &str = "the preface of HTTP/2";

/// The parameters of a sound click.
const SOUND: &str = "pub_click_id=c1&pub_member_id=m1";

const END: &str = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";

#[test]
fn nothing_malformed_is_taken_and_the_server_goes_on() {
    for_each_engine(|engine| {
        // Bodies that never end are given up soon, so that the test is quick.
        let world = World::with(engine, "", &["--body-timeout-ms", "1000"]);
        let aim = Aim { link: world.path("flat/app"), click: world.click("flat", "victim") };
        let groups = [
            lines(&aim),
            queries(&aim),
            heads(&aim),
            framings(&aim),
            bodies(&aim),
            values(&aim),
            paths(&aim),
        ];
        let all: Vec<Bad> = groups.into_iter().flatten().collect();
        assert!(all.len() >= 80, "{} requests", all.len());
        let mut taken = Vec::new();
        for Bad { what, bytes } in &all {
            let statuses = statuses(world.server(), bytes);
            let answered = !statuses.is_empty() || what == HUNG_UP_ON;
            let refused = answered && statuses.iter().all(|status| (400..500).contains(status));
            let written = (world.count("conversion"), world.count("click where verdict = 0"));
            if !refused || written != (0, 1) {
                taken.push(format!("{what}: answered {statuses:?}, conversions and clicks {written:?}"));
            }
        }
        assert!(taken.is_empty(), "{taken:#?}");
        assert_eq!((world.count("delivery"), world.count("conversion_change")), (0, 0));
        // Everything that reached the postbacks is in the inbound log, and no token with it.
        assert!(world.count("inbound where code = 'parameter_malformed'") > 30);
        assert_eq!(
            world.count(&format!("inbound where target like '%{TOKEN}%' or body like '%{TOKEN}%'")),
            0
        );
        let deep = format!("{}1{}", "[".repeat(9_999), "]".repeat(9_999));
        let sound = format!("{{\"gk_click_id\":\"{}\",\"whatever\":{deep}}}", aim.click);
        let request = http::client().post(format!("{}/postback?token={TOKEN}", world.server().url()));
        let answer = http::answer(request.header("content-type", "application/json").body(sound));
        assert_eq!(answer.code(), "recorded", "what nobody reads may be as deep as it likes");
        world.click("flat", "afterwards");
        world.stop();
    });
}

/// The statuses of all answers to these bytes.
fn statuses(server: &Server, bytes: &[u8]) -> Vec<u16> {
    let back = http::raw(server.address(), bytes, AT_MOST);
    let text = String::from_utf8_lossy(&back).into_owned();
    let answers = text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at..]);
    answers.map(|answer| http::raw_status(answer.as_bytes())).collect()
}

/// Request lines that are none.
fn lines(aim: &Aim) -> Vec<Bad> {
    let link = &aim.link;
    let rest = "\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut all = vec![
        bad("a space in the target", format!("GET {link}?{SOUND}&pub_sub_1=a b HTTP/1.1{rest}")),
        bad("two spaces", format!("GET  {link}?{SOUND} HTTP/1.1{rest}")),
        bad("no version", format!("GET {link}?{SOUND}{rest}")),
        bad("a version of the future", format!("GET {link}?{SOUND} HTTP/1.7{rest}")),
        bad("HTTP/2 in the line", format!("GET {link}?{SOUND} HTTP/2.0{rest}")),
        bad("a lower-case version", format!("GET {link}?{SOUND} http/1.1{rest}")),
        bad("HTTP/0.9", format!("GET {link}?{SOUND}\r\n\r\n")),
        bad(HUNG_UP_ON, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        bad("a lower-case method", format!("get {link}?{SOUND} HTTP/1.1{rest}")),
        bad("an unknown method", format!("BREW {link}?{SOUND} HTTP/1.1{rest}")),
        bad("a method that is no word", format!("G@T {link}?{SOUND} HTTP/1.1{rest}")),
        bad("no method", format!("{link}?{SOUND} HTTP/1.1{rest}")),
        bad("a target without a slash", format!("GET {} HTTP/1.1{rest}", link.trim_start_matches('/'))),
        bad("a star", format!("GET * HTTP/1.1{rest}")),
        bad(
            "a tunnel",
            "CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\nConnection: close\r\n\r\n",
        ),
        bad(
            "another scheme",
            format!("GET file://{link}?{SOUND}#x HTTP/1.1{rest}").replace("file://", "file:///x"),
        ),
        bad("noise", vec![0x80, 0xff, 0x00, 0x01, b'\r', b'\n', b'\r', b'\n']),
        bad("a TLS greeting", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03zz\r\n\r\n".to_vec()),
    ];
    for (name, byte) in
        [("NUL", 0x00), ("SOH", 0x01), ("TAB", 0x09), ("CR", 0x0d), ("DEL", 0x7f), ("no UTF-8", 0xff)]
    {
        let mut bytes = format!("GET {link}?{SOUND}&pub_sub_1=a").into_bytes();
        bytes.push(byte);
        bytes.extend_from_slice(format!("b HTTP/1.1{rest}").as_bytes());
        all.push(bad(format!("a raw {name} in the target"), bytes));
    }
    all
}

/// So many of the same, each with its number.
fn numbered(before: &str, behind: &str, count: usize) -> String {
    (0..count).flat_map(|at| [before.to_owned(), at.to_string(), behind.to_owned()]).collect()
}

/// Parameters of a click that cannot be read, and more of them than anybody needs.
fn queries(aim: &Aim) -> Vec<Bad> {
    let get = |query: &str| format!("GET {}?{query}{END}\r\n", aim.link);
    let values = [
        "%",
        "%4",
        "%zz",
        "%u0041",
        "%ff",
        "%c3%28",
        "%ed%a0%80",
        "%f5%80%80%80",
        "%00",
        "a%0d%0ab",
        "%1b",
        "%7f",
    ];
    let mut all: Vec<Bad> = values
        .iter()
        .flat_map(|value| {
            let queries = [
                format!("pub_click_id=c{value}&pub_member_id=m1"),
                format!("pub_click_id=c1&pub_member_id=m{value}"),
                format!("{SOUND}&pub_sub_15={value}"),
            ];
            queries.map(|query| bad(query.clone(), get(&query)))
        })
        .collect();
    let unknown = numbered("&p", "=1", 10_000);
    let short: String = "&a".repeat(10_000);
    all.extend([
        bad("10,000 parameters", get(&format!("{SOUND}{unknown}"))),
        bad("10,000 parameters without a value", get(&format!("{SOUND}{short}"))),
        bad("10,000 times the same", get(&format!("{}pub_member_id=m1", "pub_click_id=c1&".repeat(4_000)))),
        bad("101 parameters", get(&format!("{SOUND}{}", "&a=1".repeat(99)))),
        bad("a click id of 256 bytes", get(&format!("pub_member_id=m1&pub_click_id={}", "x".repeat(256)))),
        bad("a sub of 501 bytes, encoded", get(&format!("{SOUND}&pub_sub_1={}", encoded(&"ß".repeat(251))))),
        bad("a query of 1 MB", get(&format!("{SOUND}&pub_sub_1={}", "x".repeat(1 << 20)))),
        bad("a query of 1 MB that nobody reads", get(&format!("{SOUND}&x={}", "x".repeat(1 << 20)))),
        bad("a parameter twice", get(&format!("{SOUND}&pub_click_id=c1"))),
        bad("a parameter twice, once in disguise", get(&format!("{SOUND}&%70ub_click_id=c2"))),
    ]);
    all
}

/// Header lines that are none, and more of them than anybody needs.
fn heads(aim: &Aim) -> Vec<Bad> {
    let get = |headers: &[u8]| {
        let mut bytes = format!("GET {}?{SOUND}{END}", aim.link).into_bytes();
        bytes.extend_from_slice(headers);
        bytes.extend_from_slice(b"\r\n");
        bytes
    };
    let (many, hundred) = (numbered("X-", ": 1\r\n", 10_000), numbered("X-", ": 1\r\n", 100));
    vec![
        bad("10,000 headers", get(many.as_bytes())),
        bad("102 headers", get(hundred.as_bytes())),
        bad("a header of 1 MB", get(format!("X-Long: {}\r\n", "x".repeat(1 << 20)).as_bytes())),
        bad("a user agent of 200 KB", get(format!("User-Agent: {}\r\n", "x".repeat(200_000)).as_bytes())),
        bad("a header without a colon", get(b"nonsense\r\n")),
        bad("a header without a name", get(b": x\r\n")),
        bad("a space before the colon", get(b"X-Y : x\r\n")),
        bad("a folded line", get(b"X-Y: a\r\n b\r\n")),
        bad("a line folded by a tab", get(b"X-Y: a\r\n\tb\r\n")),
        bad("a NUL in a name", get(b"X\0Y: a\r\n")),
        bad("a NUL in a value", get(b"X-Y: a\0b\r\n")),
        bad("a bare CR in a value", get(b"X-Y: a\rb: c\r\n")),
        bad("a name that is no ASCII", get("X-é: a\r\n".as_bytes())),
        bad("a space in a name", get(b"X Y: a\r\n")),
        bad("a second host", get(b"Host: y\r\n")),
        bad("no host", format!("GET {}?{SOUND} HTTP/1.1\r\nConnection: close\r\n\r\n", aim.link)),
    ]
}

/// Bodies whose end is not clear, and requests hidden behind them.
fn framings(aim: &Aim) -> Vec<Bad> {
    let sound = format!("gk_click_id={}&token={TOKEN}", aim.click);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let post = |headers: &str, body: &str| {
        format!("POST /postback HTTP/1.1\r\nHost: x\r\n{form}{headers}\r\n{body}")
    };
    let length = sound.len();
    let chunked = format!("{length:x}\r\n{sound}\r\n0\r\n\r\n");
    let hidden = format!("GET /postback?{sound}{END}\r\n");
    let te = "Transfer-Encoding: chunked\r\n";
    let close = "Connection: close\r\n";
    vec![
        bad("a length that is no number", post(&format!("{close}Content-Length: x\r\n"), &sound)),
        bad("a negative length", post(&format!("{close}Content-Length: -{length}\r\n"), &sound)),
        bad("a length with a sign", post(&format!("{close}Content-Length: +{length}\r\n"), &sound)),
        bad(
            "a length beyond 64 bits",
            post(&format!("{close}Content-Length: 99999999999999999999\r\n"), &sound),
        ),
        bad(
            "two lengths",
            post(&format!("{close}Content-Length: {length}\r\nContent-Length: 0\r\n"), &sound),
        ),
        bad("two lengths in one line", post(&format!("{close}Content-Length: {length}, 0\r\n"), &sound)),
        bad("a length that never comes", post(&format!("{close}Content-Length: {}\r\n", length + 9), &sound)),
        bad("an unknown coding", post(&format!("{close}Transfer-Encoding: xchunked\r\n"), &chunked)),
        bad(
            "chunks that are not the last coding",
            post(&format!("{close}Transfer-Encoding: chunked, gzip\r\n"), &chunked),
        ),
        bad(
            "a coding that nobody undoes",
            post(&format!("{close}Transfer-Encoding: gzip, chunked\r\n"), &chunked),
        ),
        bad("a coding in two lines", post(&format!("{close}{te}Transfer-Encoding: identity\r\n"), &chunked)),
        bad(
            "chunks in HTTP/1.0",
            post(&format!("{close}{te}"), &chunked).replacen("HTTP/1.1", "HTTP/1.0", 1),
        ),
        bad("a space before the colon of the coding", post("Transfer-Encoding : chunked\r\n", &chunked)),
        bad("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n", &chunked)),
        bad("a chunk's size that is no number", post(te, &format!("zz\r\n{sound}\r\n0\r\n\r\n"))),
        bad("a chunk's size beyond 64 bits", post(te, &format!("fffffffffffffffff\r\n{sound}\r\n0\r\n\r\n"))),
        bad("a chunk that is longer than it says", post(te, &format!("5\r\n{sound}\r\n0\r\n\r\n"))),
        bad("a chunk that never comes", post(te, &format!("fff\r\n{sound}"))),
        bad(
            "a request behind a length that lies",
            post(&format!("Content-Length: 5\r\n{te}"), &format!("0\r\n\r\n{hidden}")),
        ),
        bad(
            "a request behind chunks that lie",
            post(&format!("{te}Content-Length: 5\r\n"), &format!("0\r\n\r\n{hidden}")),
        ),
        bad(
            "a request in a chunk",
            post(te, &format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len())).replace(
                "HTTP/1.1\r\nHost: x\r\nContent",
                "HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent",
            ),
        ),
    ]
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// A `POST` with these header lines. The token is in the query, so that nothing but the body is wrong.
fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST /postback?token={TOKEN}{END}{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn form(body: &str) -> Vec<u8> {
    post(FORM, body.as_bytes())
}

fn json(body: &str) -> Vec<u8> {
    post(JSON, body.as_bytes())
}

impl Aim {
    /// A sound form.
    fn form(&self) -> String {
        format!("gk_click_id={}", self.click)
    }

    /// A sound JSON object with more members, each with its comma.
    fn object(&self, more: &str) -> String {
        format!("{{\"gk_click_id\":\"{}\"{more}}}", self.click)
    }
}

/// Bodies of a kind, size or shape that is not taken.
fn bodies(aim: &Aim) -> Vec<Bad> {
    let (sound, object) = (aim.form(), aim.object(""));
    let long = "x".repeat(70_000);
    let no_utf8 = [aim.object(",\"cnv_sub_1\":\"").trim_end_matches('}').as_bytes(), b"\xff\"}"].concat();
    let two_types = format!("Content-Type: text/plain\r\n{JSON}");
    let gzip = post(&format!("{JSON}Content-Encoding: gzip\r\n"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
    let click = &aim.click;
    vec![
        bad("a body too large", form(&format!("{sound}&x={long}"))),
        bad("a body far too large", form(&format!("{sound}&x={}", long.repeat(30)))),
        bad("JSON too large", json(&aim.object(&format!(",\"x\":\"{long}\"")))),
        bad("plain text", post("Content-Type: text/plain\r\n", sound.as_bytes())),
        bad("a file upload", post("Content-Type: multipart/form-data; boundary=b\r\n", sound.as_bytes())),
        bad("XML", post("Content-Type: application/xml\r\n", b"<gk_click_id/>")),
        bad("no type", post("", sound.as_bytes())),
        bad("a type that is none", post("Content-Type: json\r\n", object.as_bytes())),
        bad("two types", post(&two_types, object.as_bytes())),
        bad("a form that says it is JSON", json(&sound)),
        bad("JSON that says it is a form", form(&object)),
        bad("gzip", gzip),
        bad("JSON with a byte order mark", json(&format!("\u{feff}{object}"))),
        bad("JSON in UTF-16", post(JSON, &utf16(&object))),
        bad("JSON that is no UTF-8", post(JSON, &no_utf8)),
        bad("JSON too deep", json(&aim.object(&format!(",\"cnv_sub_1\":{}", "{\"a\":".repeat(9_999))))),
        bad("3,000 members", json(&aim.object(&numbered(",\"p", "\":1", 3_000)))),
        bad("10,000 fields", form(&format!("{sound}{}", "&a=1".repeat(10_000)))),
        bad("a member twice", json(&aim.object(&format!(",\"gk_click_id\":\"{click}\"")))),
        bad("a member twice, in disguise", json(&aim.object(&format!(",\"gk\\u005fclick_id\":\"{click}\"")))),
        bad("a field twice", form(&format!("{sound}&{sound}"))),
        bad("a token twice", form(&format!("{sound}&token={TOKEN}"))),
    ]
}

/// Bodies with one value that cannot be taken.
fn values(aim: &Aim) -> Vec<Bad> {
    let member = |name: &str, value: &str| json(&aim.object(&format!(",\"{name}\":{value}")));
    let texts = [
        "null",
        "true",
        "[]",
        "{}",
        "[\"x\"]",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"a\\nb\"",
        "NaN",
        "01",
        "'x'",
        "x",
    ];
    let amounts = ["1e400", "-1", "1e2", "0.1234567", "123456789012345678901234567890", "1.5e-3"];
    let documents = ["", "{", "[]", "null", "1", "\"x\"", "{}{}", "{\"a\":1,}", "// x"];
    let fields = ["%", "%zz", "%ff", "%00", "%0d%0a", "%ed%a0%80"];
    let texts = texts.iter().map(|text| bad(format!("a member {text}"), member("cnv_sub_1", text)));
    let amounts =
        amounts.iter().map(|amount| bad(format!("an amount of {amount}"), member("cnv_amount", amount)));
    let documents = documents.iter().map(|document| bad(format!("JSON {document:?}"), json(document)));
    let field =
        |value: &&str| bad(format!("a field {value}"), form(&format!("{}&cnv_sub_1={value}", aim.form())));
    texts.chain(amounts).chain(documents).chain(fields.iter().map(field)).collect()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// Addresses that are nearly those that are served.
fn paths(aim: &Aim) -> Vec<Bad> {
    let (link, click) = (&aim.link, &aim.click);
    let sound = format!("gk_click_id={click}&token={TOKEN}");
    let by_path = format!("gk_click_id={click}");
    let id = link.rsplit('/').next().unwrap();
    let bare = id.replace('-', "");
    let targets = [
        format!("{link}/?{SOUND}"),
        format!("{link}%00?{SOUND}"),
        format!("{link}%20?{SOUND}"),
        format!("{link}/..?{SOUND}"),
        format!("{link};x=1?{SOUND}"),
        format!("/{link}?{SOUND}"),
        format!("{}?{SOUND}", link.replace("redirect/", "redirect//")),
        format!("{}?{SOUND}", link.replace(id, &bare)),
        format!("{}?{SOUND}", link.replace(id, &format!("%7B{id}%7D"))),
        format!("{}?{SOUND}", link.replace("v1", "v2")),
        format!("{}?{SOUND}", link.replace("offer-link", "Offer-Link")),
        format!("{link}%3F{SOUND}"),
        format!("/postback/?{sound}"),
        format!("//postback?{sound}"),
        format!("/Postback?{sound}"),
        format!("/postback%3f{sound}"),
        format!("/x/../postback?{sound}"),
        format!("/api/v1/postback/?{by_path}"),
        format!("/api/v1/postback/{TOKEN}/?{by_path}"),
        format!("/api/v1/postback/{TOKEN}/x?{by_path}"),
        format!("/api/v1/postback/{TOKEN}%00?{by_path}"),
        format!("/api/v1/postback/%zz?{by_path}"),
        format!("/api/v1/postback/{TOKEN}?{sound}"),
        format!("/api/v1/postback/{}?{by_path}", "x".repeat(60_000)),
        format!("/{}", "x".repeat(1 << 20)),
    ];
    targets
        .into_iter()
        .map(|target| {
            let what: String = target.chars().take(80).collect();
            bad(what, format!("GET {target}{END}\r\n"))
        })
        .collect()
}
