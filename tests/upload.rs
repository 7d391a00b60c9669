//! Files of staff's work: many changes of status, and conversions that no postback reported.

use std::collections::BTreeMap;
use std::process::Stdio;

use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
use testkit::{Engine, Folder, Ran, eventually, for_each_engine};

use crate::world::{AT_MOST, World, conversion_id};
use crate::{PITLANE, stored};

/// The rows of the large file.
fn many(engine: &Engine) -> usize {
    // A row costs PostgreSQL a dozen round trips.
    if matches!(engine, Engine::Sqlite(_)) { 10_000 } else { 3_000 }
}

/// Clicks in one statement.
const AT_ONCE: usize = 500;

/// Offers with room for three, and with events in order.
const MORE: &str = r#"
[[offer]]
slug = "three"
advertiser = "shop"
destination = "https://shop.example/three?click={gk_click_id}"
revenue = "2.00"
payout = "1.00"
caps = { total = 3 }
[[link]]
offer = "three"
partner = "app"

[[postback]]
partner = "app"
slug = "news"
on = ["Success", "Pending", "Rejected", "changes"]
url = "http://{partner}/postback/news?member={pub_member_id}&status={cnv_status}&payout={payout}"
"#;

fn run(engine: &Engine, what: &str, file: &str, more: &[&str]) -> Ran {
    PITLANE.run_on(engine, &[&["conversion", what, file], more].concat())
}

/// The rows of a result file: row, id, conversion, code, message.
fn rows(path: &str) -> Vec<[String; 5]> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(reader.headers().unwrap(), &["row", "id", "conversion_id", "code", "message"][..]);
    let read = reader.records().map(|row| {
        let cells: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
        cells.try_into().unwrap()
    });
    read.collect()
}

/// Row number and code of each row.
fn codes(path: &str) -> Vec<(usize, String)> {
    rows(path).into_iter().map(|[row, _, _, code, _]| (row.parse().unwrap(), code)).collect()
}

/// Everything that conversions and partners have of it, but for what a server does with it in its own time.
fn content(engine: &Engine) -> Vec<String> {
    let mut lines = engine.content();
    let counted = ["conversion_change", "delivery", "tally"]
        .map(|table| format!("{table}: {} rows", engine.count(&format!("select count(*) from {table}"))));
    lines.retain(|line| line.starts_with("conversion: "));
    lines.extend(counted);
    lines
}

/// Clicks beside the product, all like the one given, each of a member of its own unless `member` says otherwise.
fn clicks(engine: &Engine, like: &str, count: usize, member: impl Fn(usize) -> usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|n| format!("{}-7000-8000-{n:012x}", &like[..13])).collect();
    let like = stored::clicks(engine, &format!("where k.click_id = {}", engine.id(like))).remove(0);
    let (link, facts) = (engine.id(&like.link.to_string()), engine.bytes(&like.facts.pack_own()));
    for (part, some) in ids.chunks(AT_ONCE).enumerate() {
        let values = some.iter().enumerate().map(|(at, id)| {
            let n = part * AT_ONCE + at;
            format!("({}, {link}, 0, 0, 'c-{n}', 'm-{}', {facts})", engine.id(id), member(n))
        });
        let values = values.collect::<Vec<_>>().join(", ");
        engine.execute(&format!(
            "insert into click (click_id, link_id, verdict, marks, pub_click_id, pub_member_id, facts) values {values}"
        ));
    }
    ids
}

/// A large file with every kind of fault in it, and the code of each row.
fn with_all_faults(ids: &[String]) -> (String, Vec<&'static str>) {
    let mut text = "Click Id,UserCompletedAt,Revenue,Reward\n".to_owned();
    let mut expected = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let (row, code) = match n % 50 {
            7 => (format!("00000000-0000-7000-8000-{n:012x},,2.00,5"), "click_unknown"),
            13 => ("not-an-id,,2.00,5".to_owned(), "row_malformed"),
            19 => (format!("{id},,\"1,50\",5"), "row_malformed"),
            23 => (format!("{},,2.00,5", ids[n - 1]), "duplicate"),
            29 => (format!("{id},,2.00,5"), "member_already_completed"),
            31 => ("\"=HYPERLINK(\"\"http://evil.example\"\")\",,2.00,5".to_owned(), "row_malformed"),
            37 => (format!("{id},2999-01-01T00:00:00Z,2.00,5"), "row_malformed"),
            41 => (format!("{},,3.00,5", ids[n - 1]), "conflict"),
            43 => (format!("{id},,2.00,5,more"), "row_malformed"),
            47 => (format!("{id},2020-01-01,2.00,5"), "parameter_malformed"),
            _ => (format!("{id},,2.00,5"), "recorded"),
        };
        text.push_str(&row);
        text.push('\n');
        expected.push(code);
    }
    (text, expected)
}

/// The member of the n-th click: the row before has the same one, where the file is about that.
fn member(n: usize) -> usize {
    if n % 50 == 29 { n - 1 } else { n }
}

#[test]
fn a_large_file_is_rehearsed_killed_continued_and_repeated() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let like = world.click("flat", "first");
        world.stop();
        let ids = clicks(engine, &like, many(engine), member);
        let (text, expected) = with_all_faults(&ids);
        let folder = Folder::new();
        let file = folder.file("august.csv", &text);
        let before = content(engine);
        let tried = run(engine, "upload", &file, &["--dry-run"]);
        assert_eq!(tried.code, Some(1), "{tried:?}");
        assert_eq!(content(engine), before, "a dry run writes nothing");
        assert_eq!(engine.count("select count(*) from upload"), 0);

        // Killed in the middle.
        let mut command = PITLANE.command();
        command.args(["conversion", "upload", &file, "--by", "anna"]).args(engine.database_args());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("the file is half done", AT_MOST, || {
            engine.count("select coalesce(max(rows_done), 0) from upload") >= 1_000
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let done = engine.count("select rows_done from upload");
        let ran = run(engine, "upload", &file, &["--by", "anna"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let continued = format!("Continued behind the first {done} rows, which an earlier run did.\n");
        assert!(
            ran.stdout.starts_with(&continued) && usize::try_from(done).unwrap() < many(engine),
            "{ran:?}"
        );

        let result = format!("{file}.result.csv");
        let expected: Vec<(usize, String)> =
            expected.iter().enumerate().map(|(n, code)| (n + 2, (*code).to_owned())).collect();
        assert_eq!(codes(&result), expected);
        assert_eq!(codes(&format!("{file}.dry-run.csv")), expected, "the dry run said the same");
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for (_, code) in &expected {
            *counts.entry(code).or_default() += 1;
        }
        for (code, count) in &counts {
            assert!(
                ran.stdout.lines().any(|line| line.split_whitespace().eq([*code, &count.to_string()])),
                "{ran:?}"
            );
        }
        let count = |rows: &str| engine.count(&format!("select count(*) from {rows}"));
        assert_eq!(count("conversion where status = 'Success' and holds_place = 1"), counts["recorded"]);
        assert_eq!(count("conversion where winner_id is not null"), counts["member_already_completed"]);
        assert_eq!(count("conversion_change where actor = 'staff:anna'"), count("conversion"));
        // A formula does not arrive in a spreadsheet as one.
        let raw = std::fs::read_to_string(&result).unwrap();
        assert!(!raw.contains("\n33,=") && raw.contains("\n33,\"'=HYPERLINK("), "{}", &raw[..4_000]);

        let before = content(engine);
        let again = run(engine, "upload", &file, &["--by", "anna"]);
        assert_eq!(again.code, Some(1), "the faults are still there");
        assert_eq!(content(engine), before, "a file that is repeated changes nothing");
        let repeated: Vec<String> = codes(&result).into_iter().map(|(_, code)| code).collect();
        let done_before = |code: &String| matches!(code.as_str(), "recorded" | "member_already_completed");
        for ((_, first), second) in expected.iter().zip(&repeated) {
            assert_eq!(second, if done_before(first) { "duplicate" } else { first });
        }
    });
}

/// A file of changes about four conversions and one that lost its place to the last of them.
fn changes(ids: &[String], click: &str, loser: &str) -> String {
    format!(
        "\u{feff}Status;Conversion ID;Click ID;Event ID;Reason\r\n\
             rejected;{};;;chargeback\r\n\
             Pending;;{};;\r\n\
             Success;{};;;\r\n\
             Success;{loser};;;\r\n\
             ;;;;\r\n\
             rejected;{};;;=1+1\r\n\
             Success;{loser};;;\r\n\
             Gone;{loser};;;\r\n\
             Rejected;0198f1c2-7a3b-7c4d-8e5f-a1b2c3d4e5f6;;;\r\n",
        ids[0], click, ids[2], ids[3]
    )
}

#[test]
fn changes_by_file_follow_like_single_ones() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let click: Vec<String> = (0..4).map(|n| world.click("flat", &format!("m{n}"))).collect();
        let ids: Vec<String> =
            click.iter().map(|click| conversion_id(&world.report(&format!("gk_click_id={click}")))).collect();
        let second = world.click("flat", "m3");
        let loser = conversion_id(&world.report(&format!("gk_click_id={second}")));
        let folder = Folder::new();
        let text = changes(&ids, &click[1], &loser);
        let file = folder.file("changes.csv", &text);
        let expected = [
            (2, "changed"),
            (3, "changed"),
            (4, "unchanged"),
            (5, "place_taken"),
            (7, "changed"),
            (8, "changed"),
            (9, "row_malformed"),
            (10, "conversion_unknown"),
        ]
        .map(|(row, code)| (row, code.to_owned()));
        let out = folder.join("out.csv");
        let tried = run(engine, "change", &file, &["--dry-run", "--result", &out]);
        assert_eq!((tried.code, codes(&out)), (Some(1), expected.to_vec()), "{tried:?}");
        assert!(tried.stdout.contains(" 8 rows. A dry run: nothing was written.\n"), "{tried:?}");
        assert_eq!(world.count("conversion where version > 0"), 0);
        let ran = run(engine, "change", &file, &["--result", &out, "--by", "bo"]);
        assert_eq!((ran.code, codes(&out)), (Some(1), expected.to_vec()), "{ran:?}");
        assert!(ran.stderr.contains("3 of 8 rows failed\n  next: mend those rows"), "{ran:?}");
        assert!(
            ran.stdout.contains(&format!(
                "row 5: place_taken: its member's place is taken by conversion {}",
                ids[3]
            ))
        );
        let notes = engine.sql("select note from conversion_change where actor = 'staff:bo' order by note");
        let notes: Vec<&str> = notes.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(
            notes,
            [
                "=1+1 (changes.csv, row 7)",
                "changes.csv, row 3",
                "changes.csv, row 8",
                "chargeback (changes.csv, row 2)"
            ]
        );
        // The running server tells the partner, and lets the members in again.
        let received = world.received();
        let told = |member: &str, status: &str| {
            received.iter().any(|one| one.parameter("member") == member && one.parameter("status") == status)
        };
        assert!(told("m0", "Rejected") && told("m1", "Pending") && told("m3", "Rejected"));
        eventually("the freed place is known", AT_MOST, || {
            let answer = world.visit("flat/app", "pub_click_id=again&pub_member_id=m0");
            answer.header("x-click-verdict") != "member_already_completed"
        });
        let before = content(engine);
        let again = run(engine, "change", &file, &["--result", &out, "--json"]);
        let json = again.json();
        assert_eq!((json["rows"].as_i64(), json["failed"].as_i64()), (Some(8), Some(2)), "{again:?}");
        // The row whose place was taken stands where a later row put it.
        assert_eq!(json["outcomes"]["unchanged"], 6, "{again:?}");
        assert_eq!(content(engine), before, "a file that is repeated changes nothing");
        world.stop();
    });
}

#[test]
fn uploads_obey_the_rules_of_postbacks_and_their_own_money() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let capped: Vec<String> = (0..5).map(|n| world.click("three", &format!("t{n}"))).collect();
        let share: Vec<String> = (0..3).map(|n| world.click("share", &format!("s{n}"))).collect();
        let levels = world.click("levels", "l");
        let folder = Folder::new();
        let capped = capped.iter().map(|id| format!("{id},,,,,\n")).collect::<Vec<_>>().concat();
        let text = format!(
            "ClickId,EventID,Revenue,Payout,Amount,ConversionId\n{capped}\
             {},,,,20.00,\n{},,3.00,,,\n{},,3.00,2.00,,\n\
             {levels},,,,,\n{levels},Level 10,,,,k1\n{levels},nothing,,,,\n",
            share[0], share[1], share[2]
        );
        let file = folder.file("more.csv", &text);
        let expected = [
            "recorded",
            "recorded",
            "recorded",
            "rejected:capped",
            "rejected:capped",
            "recorded",
            "amount_malformed",
            "recorded",
            "event_unknown",
            "recorded",
            "event_unknown",
        ];
        let of = |ending: &str| -> Vec<String> {
            codes(&format!("{file}.{ending}.csv")).into_iter().map(|(_, code)| code).collect()
        };
        assert_eq!(run(engine, "upload", &file, &["--dry-run"]).code, Some(1));
        assert_eq!(of("dry-run"), expected);
        assert_eq!(run(engine, "upload", &file, &[]).code, Some(1));
        assert_eq!(of("result"), expected);
        let money = engine.sql(
            "select revenue_micros, payout_micros from conversion where status = 'Success' order by revenue_micros",
        );
        let money: Vec<String> = money.iter().map(|row| row.join("/")).collect();
        let three = "2000000/1000000";
        assert_eq!(money, [three, three, three, "2000000/1500000", "3000000/2000000", "5000000/4000000"]);
        eventually("the cap stops clicks", AT_MOST, || {
            let answer = world.visit("three/app", "pub_click_id=x&pub_member_id=x");
            answer.header("x-click-verdict") == "offer_capped"
        });
        // A postback about the same is a copy.
        let copy = world.report(&format!("gk_click_id={}", &capped[..36]));
        assert_eq!(copy.code(), "duplicate");
        let told = world.received();
        assert_eq!(told.iter().filter(|one| one.path_and_query.starts_with("/postback/all")).count(), 6);
        world.stop();
    });
}

#[test]
fn a_spreadsheet_is_read_like_a_text_file() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let clicks: Vec<String> = (0..2).map(|n| world.click("flat", &format!("m{n}"))).collect();
        let folder = Folder::new();
        let path = folder.join("book.xlsx");
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        for (column, name) in ["ClickId", "UserCompletedAt", "Revenue", "Reward", "Payout"].iter().enumerate()
        {
            sheet.write(0, u16::try_from(column).unwrap(), *name).unwrap();
        }
        let at = ExcelDateTime::parse_from_str("2999-01-01 10:20:30").unwrap();
        sheet.write(1, 0, &clicks[0]).unwrap();
        sheet.write(1, 2, 0.1).unwrap();
        sheet.write(1, 3, 250).unwrap();
        sheet.write(1, 4, 12).unwrap();
        // A row of nothing between, as people leave them.
        sheet.write(3, 0, &clicks[1]).unwrap();
        let moment = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
        sheet.write_with_format(3, 1, &at, &moment).unwrap();
        book.save(&path).unwrap();
        let ran = run(engine, "upload", &path, &[]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let lines = rows(&format!("{path}.result.csv"));
        assert_eq!((lines[0][0].as_str(), lines[0][3].as_str()), ("2", "recorded"), "{lines:?}");
        assert_eq!((lines[1][0].as_str(), lines[1][3].as_str()), ("4", "row_malformed"), "{lines:?}");
        assert!(
            lines[1][4].contains("UserCompletedAt 2999-01-01T10:20:30.000Z is in the future"),
            "{lines:?}"
        );
        let stored = engine.sql("select revenue_micros, payout_micros, kept from conversion");
        assert_eq!(stored, [["100000", "12000000", r#"{"reward":"250"}"#]]);
        let why = PITLANE.run_on(engine, &["why", &lines[0][2]]).ok();
        assert!(why.stdout.contains("recorded: Success, by staff\n"), "{why:?}");
        world.stop();
    });
}

#[test]
fn the_time_of_the_result_counts_and_not_that_of_the_upload() {
    for_each_engine(|engine| {
        let world = World::with(engine, MORE, &[]);
        let like = world.click("flat", "first");
        // Clicks of long ago: 200 days, where the attribution window is 30.
        let ms = i64::from_str_radix(&like.replace('-', "")[..12], 16).unwrap() - 200 * 86_400_000;
        let old = format!("{ms:012x}");
        let old = format!("{}-{}{}", &old[..8], &old[8..], &like[13..]);
        engine.execute(&format!(
            "update click set click_id = {} where click_id = {}",
            engine.id(&old),
            engine.id(&like)
        ));
        let folder = Folder::new();
        let late = folder.file("late.csv", &format!("ClickId,ConversionId\n{old},now\n"));
        run(engine, "upload", &late, &[]).ok();
        let day = |days: i64| {
            let at = domain::time::Timestamp::from_ms(ms + days * 86_400_000);
            format!("{old},{at},day{days}\n")
        };
        let text = format!("ClickId,UserCompletedAt,ConversionId\n{}{}", day(31), day(29));
        let file = folder.file("early.csv", &text);
        run(engine, "upload", &file, &[]).ok();
        let all =
            engine.sql("select advertiser_key, coalesce(reason, '') from conversion order by advertiser_key");
        assert_eq!(all, [["day29", ""], ["day31", "too_late"], ["now", "too_late"]]);
        let completed = engine.count("select completed_ms from conversion where advertiser_key = 'day29'");
        assert_eq!(completed, ms + 29 * 86_400_000);
        world.stop();
    });
}

#[test]
fn what_cannot_be_read_is_told_before_anything_is_done() {
    for_each_engine(|engine| {
        let world = World::start(engine);
        let folder = Folder::new();
        let refused = |name: &str, text: &str, told: &str| {
            let file = folder.file(name, text);
            let ran = run(engine, "change", &file, &[]);
            assert!(ran.code == Some(2) && ran.stderr.contains(told), "{told}: {ran:?}");
            assert!(ran.stderr.contains("\n  next: "), "{ran:?}");
        };
        refused("a.csv", "ClickId,State\n", "column 2 `State` is unknown");
        refused("b.csv", "ClickId\n", "the file has no column Status");
        refused("c.csv", "ClickId,Status,ClickId\n", "column ClickId is there twice");
        refused("d.xlsx", "PK\u{3}\u{4}nonsense", "cannot read ");
        let mine = folder.file("mine.csv", "ClickId,Status\n");
        let ran = run(engine, "change", &mine, &["--result", &mine]);
        assert!(ran.code == Some(2) && ran.stderr.contains("is no result file"), "{ran:?}");
        assert_eq!(std::fs::read_to_string(&mine).unwrap(), "ClickId,Status\n");
        assert_eq!(run(engine, "change", &folder.join("absent.csv"), &[]).code, Some(2));
        assert_eq!(world.count("upload"), 0);
        world.stop();
    });
}
