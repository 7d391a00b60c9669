//! The parameters of a tracking link: placeholders that nobody replaced, values that cannot be read, and values that
//! only look odd.

use testkit::for_each_engine;

use crate::world::{World, click_id, encoded};

/// What trackers leave behind when they replace nothing.
const PLACEHOLDERS: [&str; 34] = [
    "PUB_MEMBER_ID",
    "PUB_CLICK_ID",
    "pub_click_id",
    "null",
    "NULL",
    "undefined",
    "TOBEREPLACED",
    "{x}",
    "{click_id}",
    "{{x}}",
    "{{click.id}}",
    "{{ clickid }}",
    "[x]",
    "[CLICK_ID]",
    "[[x]]",
    "[[member]]",
    "${x}",
    "${CLICK-ID}",
    "#x#",
    "#clickid#",
    "%x%",
    "%CLICK_ID%",
    "%%x%%",
    "%%CACHEBUSTER%%",
    "<x>",
    "<click id>",
    "__X__",
    "__CLICK_ID__",
    "{aff:sub:1}",
    "{Sub1}",
    "[sub1]",
    "__callback_param__",
    "%subid%",
    "${SUBID}",
];

#[test]
fn a_placeholder_is_recognised_in_both_ids_raw_and_encoded() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        for placeholder in PLACEHOLDERS {
            let once = encoded(placeholder);
            for value in [encoded(&once), once] {
                for (name, other) in [("pub_member_id", "pub_click_id"), ("pub_click_id", "pub_member_id")] {
                    let answer = world.visit("flat/app", &format!("{name}={value}&{other}=1"));
                    assert_eq!((answer.status, answer.code()), (400, format!("{name}_macro")), "{value}");
                    let message = answer.json()["messages"][0].as_str().unwrap().to_owned();
                    assert!(message.starts_with(&format!("{name} is `")), "{message}");
                }
            }
        }
        for raw in ["{click_id}", "%click_id%", "[x]", "__x__", "$%7Bx}", "{{x}}"] {
            let request = format!(
                "GET {}?pub_click_id={raw}&pub_member_id=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                world.path("flat/app")
            );
            let back =
                testkit::http::raw(world.server().address(), request.as_bytes(), crate::world::AT_MOST);
            let back = String::from_utf8_lossy(&back);
            assert!(back.contains("\"code\":\"pub_click_id_macro\""), "{raw}: {back}");
        }
        world.stop();
    });
}

#[test]
fn a_value_that_only_looks_odd_is_a_value() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let (longest, wide) = ("x".repeat(255), "é".repeat(127));
        let odd = [
            "0",
            "nullable",
            "undefined1",
            "{",
            "}",
            "{}",
            "{{}}",
            "[]",
            "{a}b",
            "a{b}",
            "{a}{b}",
            "{0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6}",
            "a+b/c==",
            "%",
            "100%",
            "%41",
            "<a",
            "__x",
            "#1",
            "$5",
            "a b",
            " ",
            "Ж漢😀",
            "'; drop table click; --",
            "a&b=c",
            "..%2f..",
            longest.as_str(),
            wide.as_str(),
        ];
        for (at, value) in odd.iter().enumerate() {
            let id = click_id(
                &world.visit("flat/app", &format!("pub_click_id={}&pub_member_id=m{at}", encoded(value))),
            );
            let kept = format!("select pub_click_id from click where click_id = {}", engine.id(&id));
            assert_eq!(engine.sql(&kept), [[*value]]);
        }
        world.stop();
    });
}

#[test]
fn a_parameter_that_cannot_be_read_is_named_with_what_is_wrong() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let ids = "pub_click_id=c1&pub_member_id=m1";
        let (too_long, much_too_long) = ("x".repeat(256), "é".repeat(251));
        let many = "a=1&".repeat(99);
        let encoding = "has a `%` that is not followed by two hexadecimal digits";
        let cases = [
            ("pub_click_id=%&pub_member_id=m1".to_owned(), "pub_click_id", encoding),
            ("pub_click_id=%4&pub_member_id=m1".to_owned(), "pub_click_id", encoding),
            ("pub_click_id=c1&pub_member_id=a%g0".to_owned(), "pub_member_id", encoding),
            (format!("{ids}&pub_sub_3=%u0041"), "pub_sub_3", encoding),
            ("pub_click_id=%ff&pub_member_id=m1".to_owned(), "pub_click_id", "is not valid UTF-8"),
            (format!("{ids}&pub_sub_15=%c3"), "pub_sub_15", "is not valid UTF-8"),
            (format!("{ids}&pub_sub_1=%ed%a0%80"), "pub_sub_1", "is not valid UTF-8"),
            (format!("{ids}&pub_device=%c0%af"), "pub_device", "is not valid UTF-8"),
            (
                "pub_click_id=a%00b&pub_member_id=m1".to_owned(),
                "pub_click_id",
                "contains a control character",
            ),
            (format!("{ids}&pub_sub_2=a%0d%0aSet-Cookie:x"), "pub_sub_2", "contains a control character"),
            (format!("{ids}&pub_gender=%7f"), "pub_gender", "contains a control character"),
            (format!("{ids}&pub_age=%c2%85"), "pub_age", "contains a control character"),
            (format!("pub_member_id=m1&pub_click_id={too_long}"), "pub_click_id", "is longer than 255 bytes"),
            (
                format!("pub_click_id=c1&pub_member_id={too_long}"),
                "pub_member_id",
                "is longer than 255 bytes",
            ),
            (format!("{ids}&pub_sub_9={}", encoded(&much_too_long)), "pub_sub_9", "is longer than 500 bytes"),
            (format!("{ids}&pub_click_id=c1"), "pub_click_id", "is given more than once"),
            (format!("{ids}&pub_member_id=m2"), "pub_member_id", "is given more than once"),
            (format!("{ids}&pub_sub_1=a&pub_sub_1=a"), "pub_sub_1", "is given more than once"),
            (format!("{ids}&pub_sub_1=&pub_sub_1=a"), "pub_sub_1", "is given more than once"),
            (format!("{ids}&pub%5Fclick_id=c1"), "pub_click_id", "is given more than once"),
            (format!("{many}{ids}"), "the query", "has more than 100 parameters"),
            (format!("{ids}&%zz=1"), "a parameter's name", encoding),
        ];
        for (query, name, wrong) in &cases {
            let answer = world.visit("flat/app", query);
            assert_eq!((answer.status, answer.code().as_str()), (400, "parameter_malformed"), "{query}");
            assert_eq!(answer.json()["messages"][0], format!("{name} {wrong}"), "{query}");
        }
        let refused =
            format!("click where verdict = {}", domain::click::Verdict::ParameterMalformed.number());
        assert_eq!(world.count(&refused), i64::try_from(cases.len()).unwrap());
        let others = "utm=%zz&utm=1&utm=1&x[]=1&x[]=2&&&=";
        click_id(&world.visit("flat/app", &format!("{ids}&{others}")));
        world.stop();
    });
}
