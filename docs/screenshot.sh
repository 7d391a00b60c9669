#!/usr/bin/env bash
# Makes the pictures of docs/concept/design-system.md and the README's portal anew: starts the demo, logs in, and lets
# Chromium draw each component of the gallery and a few pages, in both themes. Needs curl and Chromium (Debian: curl
# chromium).
#
#   docs/screenshot.sh [target/debug/pitlane]           the pictures of the documents
#   docs/screenshot.sh target/debug/pitlane FOLDER      every page, wide and narrow, into that folder
set -euo pipefail
cd "$(dirname "$0")/.."

binary="${1:-target/debug/pitlane}"
out="docs/concept/design-system"
work="$(mktemp -d /tmp/pitlane-screenshot.XXXXXX)"
demo=""
finish() {
    [[ -n "$demo" ]] && kill "$demo" 2>/dev/null && wait "$demo" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

"$binary" demo --listen 127.0.0.1:0 --days 20 >"$work/demo" 2>&1 &
demo=$!
for _ in $(seq 120); do
    grep -q "Ctrl-C ends it" "$work/demo" && break
    kill -0 "$demo" 2>/dev/null || { cat "$work/demo"; exit 1; }
    sleep 1
done
word() { sed -n "s/^ *$1  *//p" "$work/demo" | head -n 1; }
base="$(word address)"
base="${base%/login}"

curl -sS -o /dev/null -c "$work/cookies" -H "Origin: $base" \
    --data-urlencode "email=$(word e-mail)" --data-urlencode "password=$(word password)" "$base/login"
get() { curl -sSf -b "$work/cookies" "$base$1"; }

# A page is saved with its files and drawn from there, without a network: the browser needs no session then. NAME PATH.
save() {
    get "$2" >"$work/$1.html"
    mkdir -p "$work/static"
    for file in $(grep -o '/static/[a-z0-9.]*' "$work/$1.html" | sort -u); do
        [[ -e "$work$file" ]] || get "$file" >"$work$file"
    done
    sed -i 's#"/static/#"static/#g' "$work/$1.html"
}

# SAVED NAME WIDTH HEIGHT [STYLE]: both themes of a saved page, with a style added for the picture.
draw() {
    local style="${5:-}"
    for theme in light dark; do
        sed "s|data-theme=\"system\"|data-theme=\"$theme\"|; s|</head>|<style>${style//$'\n'/ }</style></head>|" \
            "$work/$1.html" >"$work/shown.html"
        chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-sync \
            --disable-background-networking --disable-component-update --user-data-dir="$work/profile" \
            --screenshot="$PWD/$out/$2-$theme.png" --window-size="$3,$4" "file://$work/shown.html" 2>"$work/chromium"
    done
}

# One section of the gallery, without the frame. NAME HEIGHT.
component() {
    draw design "$1" 880 "$2" "body { display: block !important; min-height: 0 !important; } .rail, .bar, .head,
        .gallery > section:not(#$1) { display: none !important; } main { padding: 20px !important; }"
}

offer="$(get /offers | grep -o '/offers/[0-9a-f-]\{36\}' | sort -u | head -n 1)"

if [[ -n "${2:-}" ]]; then
    mkdir -p "$2"
    out="$(realpath --relative-to=. "$2")"
    first() { get "$1" | grep -o "$2[0-9a-f-]\{36\}" | head -n 1; }
    for page in /home /offers "$offer" "$offer"/{checklist,test,postbacks,activity} /postbacks /postbacks/builder \
        "$(first /postbacks /postbacks/)" /clicks /conversions "$(first /clicks /trace/)" /reports /tokens /team /profile \
        /profile/sessions /profile/totp /help /design; do
        name="$(sed 's/[0-9a-f]\{8\}-[0-9a-f-]\{27\}/one/' <<<"${page#/}" | tr / -)"
        save page "$page"
        draw page "$name-wide" 1440 1000
        draw page "$name-narrow" 360 900
    done
    ls "$out"
    exit
fi

mkdir -p "$out"
save design /design
component tokens 190
component type 330
component buttons 150
component pills 150
component notices 400
component tabs 150
component form 760
component filters 170
component tables 600
component stats 180
component charts 860
component urls 400
component facts 180
component trace 330
component icons 260

save home /home
save offer "$offer"
draw home home-wide 1040 420
draw home ../../image/portal 1280 860
draw home home-phone 360 720
draw offer offer-phone 360 720
du -ch "$out"/*.png | tail -n 1
