//! Reads the tokens out of the style sheet and computes what can be read on what, in both themes.

use std::collections::HashMap;

const STYLE: &str = include_str!("../../static/pitlane.css");

/// Lightness, chroma, hue.
type Oklch = [f64; 3];

/// Every colour token, light and dark.
fn tokens() -> HashMap<&'static str, [Oklch; 2]> {
    let mut tokens = HashMap::new();
    for line in STYLE.lines() {
        let Some((name, value)) =
            line.trim().strip_prefix("--").and_then(|line| line.split_once(": light-dark("))
        else {
            continue;
        };
        let colours: Vec<Oklch> = value.split("oklch(").skip(1).map(colour).collect();
        tokens.insert(name, [colours[0], colours[1]]);
    }
    tokens
}

fn colour(text: &str) -> Oklch {
    let inside = text.split([')', '/']).next().unwrap();
    let numbers: Vec<f64> = inside.split_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

/// Linear red, green and blue; outside 0 to 1 no screen shows it.
fn linear([lightness, chroma, hue]: Oklch) -> [f64; 3] {
    let (a, b) = (chroma * hue.to_radians().cos(), chroma * hue.to_radians().sin());
    let cube = |from: [f64; 2]| (lightness + from[0] * a + from[1] * b).powi(3);
    let cones = [
        cube([0.396_337_777_4, 0.215_803_757_3]),
        cube([-0.105_561_345_8, -0.063_854_172_8]),
        cube([-0.089_484_177_5, -1.291_485_548]),
    ];
    let row = |row: [f64; 3]| row.iter().zip(cones).map(|(weight, cone)| weight * cone).sum();
    [
        row([4.076_741_662_1, -3.307_711_591_3, 0.230_969_929_2]),
        row([-1.268_438_004_6, 2.609_757_401_1, -0.341_319_396_5]),
        row([-0.004_196_086_3, -0.703_418_614_7, 1.707_614_701]),
    ]
}

/// The contrast of WCAG 2: 1 to 21.
fn contrast(one: Oklch, other: Oklch) -> f64 {
    let luminance = |colour| {
        let [red, green, blue] = linear(colour).map(|part| part.clamp(0.0, 1.0));
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// What is put on what, and the contrast that it needs: 4.5 for text, 3 for the edges of controls and for lines.
fn pairs() -> Vec<(String, String, f64)> {
    let mut pairs: Vec<(&str, &str, f64)> = vec![
        ("n9", "n1", 4.5),
        ("n9", "n2", 4.5),
        ("n8", "n1", 3.0),
        ("accent-text", "n1", 4.5),
        ("accent-text", "n2", 4.5),
        ("accent-text", "n4", 4.5),
        ("accent-text", "accent-soft", 4.5),
        ("n12", "accent-soft", 7.0),
        ("on-accent", "accent", 4.5),
        ("on-accent", "accent-strong", 4.5),
        ("on-accent", "bad", 4.5),
        ("accent", "n1", 3.0),
        ("n1", "n12", 7.0),
    ];
    for text in ["n10", "n11", "n12"] {
        pairs.extend(["n1", "n2", "n3", "n4"].map(|ground| (text, ground, 4.5)));
    }
    let mut pairs: Vec<_> =
        pairs.into_iter().map(|(text, on, least)| (text.to_owned(), on.to_owned(), least)).collect();
    for meaning in ["good", "attention", "bad", "info"] {
        let (text, soft) = (format!("{meaning}-text"), format!("{meaning}-soft"));
        pairs.extend(["n1", "n2", &soft].map(|ground| (text.clone(), ground.to_owned(), 4.5)));
        pairs.push(("n12".to_owned(), soft, 7.0));
    }
    pairs
}

#[test]
fn everything_can_be_read_on_what_it_is_put_on_in_both_themes() {
    let tokens = tokens();
    assert!(tokens.len() >= 30, "only {} tokens were read", tokens.len());
    for (text, on, least) in pairs() {
        for (theme, name) in ["light", "dark"].iter().enumerate() {
            let found = contrast(tokens[text.as_str()][theme], tokens[on.as_str()][theme]);
            assert!(found >= least, "{text} on {on} has {found:.2} in the {name} theme and needs {least}");
        }
    }
}

#[test]
fn every_token_is_a_colour_that_screens_have() {
    for (name, themes) in tokens() {
        for colour in themes {
            assert!(linear(colour).iter().all(|part| (-0.001..1.001).contains(part)), "{name}: {colour:?}");
        }
    }
}

#[test]
fn black_on_white_is_twenty_one() {
    assert!((contrast([0.0, 0.0, 0.0], [1.0, 0.0, 0.0]) - 21.0).abs() < 0.01);
}

#[test]
fn nothing_but_tokens_names_a_colour() {
    let rules = STYLE.lines().filter(|line| !line.trim_start().starts_with("--"));
    for line in rules.filter(|line| !line.contains("data:image") && !line.contains("::backdrop")) {
        assert!(!line.contains("oklch(") && !line.contains("rgb(") && !line.contains(": #"), "{line}");
    }
}
