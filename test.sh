#!/usr/bin/env bash
# Checks everything, on a Debian machine that has Rust and nothing else: format, lints, documentation, then every test on
# SQLite and PostgreSQL. What is missing is installed by apt (as root, or by sudo). The release binary is not built: it
# would double the time and is the same code.
#
#   PITLANE_TEST_POSTGRES   a postgres:// URL of a superuser, to use that server instead of a private one
#   PITLANE_TEST_AXE        the file axe.min.js of axe-core, instead of fetching it by npm
#   PITLANE_CRASH_ROUNDS    rounds of the kill -9 test (50)
#   PITLANE_READY_WITHIN_MS the most that a start may take after a kill (2000), for slow machines
#   PITLANE_TEST_MINUTES    the most the tests together may take (55)
set -euo pipefail
cd "$(dirname "$0")"

export PITLANE_CRASH_ROUNDS="${PITLANE_CRASH_ROUNDS:-50}"
export CARGO_TERM_COLOR=never
test_minutes="${PITLANE_TEST_MINUTES:-55}"

step_name="the start"
summary=""
postgres_pid=""
scratch="$(mktemp -d /tmp/pitlane-test.XXXXXX)"

# Everything that ends this script ends here: stop what was started, say the result on the last line.
finish() {
    local code=$?
    trap - EXIT
    if [[ -n "$postgres_pid" ]] && kill -QUIT "$postgres_pid" 2>/dev/null; then
        for _ in $(seq 100); do
            kill -0 "$postgres_pid" 2>/dev/null || break
            sleep 0.1
        done
    fi
    rm -rf "$scratch"
    echo
    if ((code != 0)); then
        echo "test.sh: FAILED at $step_name (exit $code, after ${SECONDS} s)"
    else
        echo "test.sh: everything passed in ${SECONDS} s"
    fi
    if [[ -n "$summary" ]]; then
        echo "$summary"
    fi
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step NAME COMMAND… runs the command, says how long it took, and ends the script if it fails.
step() {
    step_name="$1"
    shift
    local began=$SECONDS
    echo
    echo "== $step_name: $*"
    "$@"
    echo "== $step_name: passed in $((SECONDS - began)) s"
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# Runs as the user who may own a PostgreSQL cluster, which root may not.
as_postgres() {
    if ((EUID == 0)); then runuser -u postgres -- "$@"; else "$@"; fi
}

postgres_programs() {
    find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1
}

install_missing() {
    local packages=()
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    command -v strace >/dev/null || packages+=(strace)
    # Counts the instructions of a click.
    command -v valgrind >/dev/null || packages+=(valgrind)
    # A real browser looks at the portal.
    command -v chromium >/dev/null || packages+=(chromium)
    command -v chromedriver >/dev/null || packages+=(chromium-driver)
    if [[ -z "${PITLANE_TEST_AXE:-}" ]]; then
        command -v npm >/dev/null || packages+=(npm)
    fi
    # Needed also beside a server of yours: a test stops and starts one of its own.
    if [[ -z "$(postgres_programs)" ]]; then
        packages+=(postgresql-15)
    fi
    if ((${#packages[@]} == 0)); then
        echo "nothing to install"
        return
    fi
    echo "installing by apt: ${packages[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

# axe-core finds what keeps people from using a page. It is not ours to hand on, so it is fetched; its sum is pinned.
fetch_axe() {
    if [[ -n "${PITLANE_TEST_AXE:-}" ]]; then
        echo "using $PITLANE_TEST_AXE"
        return
    fi
    local file="axe-core-4.14.1.tgz"
    (cd "$scratch" && npm pack --silent axe-core@4.14.1)
    echo "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745  $scratch/$file" | sha256sum --check --quiet
    tar -xzf "$scratch/$file" -C "$scratch" package/axe.min.js
    export PITLANE_TEST_AXE="$scratch/package/axe.min.js"
    echo "axe-core 4.14.1"
}

start_postgres() {
    if [[ -n "${PITLANE_TEST_POSTGRES:-}" ]]; then
        echo "using the server named by PITLANE_TEST_POSTGRES"
        return
    fi
    local programs cluster port
    programs="$(postgres_programs)"
    cluster="$scratch/postgres"
    mkdir "$cluster"
    chmod 711 "$scratch"
    if ((EUID == 0)); then chown postgres: "$cluster"; fi
    (cd / && as_postgres "$programs/initdb" -D "$cluster" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync) \
        >"$scratch/initdb.log" || { cat "$scratch/initdb.log"; return 1; }
    cat >>"$cluster/postgresql.conf" <<'CONF'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 400
shared_buffers = '256MB'
log_min_messages = fatal
CONF
    # A port is only known to be free once the server has it, so a taken one means another try.
    for _ in $(seq 10); do
        port=$((20000 + RANDOM % 12000))
        if (cd / && as_postgres "$programs/pg_ctl" -D "$cluster" -l "$cluster/log" -o "-p $port" -w start >/dev/null); then
            postgres_pid="$(head -n 1 "$cluster/postmaster.pid")"
            export PITLANE_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres"
            echo "a private PostgreSQL on port $port, process $postgres_pid"
            return
        fi
    done
    cat "$cluster/log"
    return 1
}

# Adds up the closing lines of both test runners: "test result: ok. 3 passed; 0 failed; …" of cargo test and
# "Summary [ 1.0s] 9 tests run: 8 passed (1 slow), 1 failed, …" of nextest.
count_tests() {
    awk '
        /^test result: / || /^ *Summary \[/ {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) passed += $(i - 1)
                if ($i ~ /^(failed|timed)/) failed += $(i - 1)
            }
        }
        END { printf "%d passed, %d failed\n", passed, failed }
    ' "$@"
}

# The documentation's examples are tests too, and nextest does not run them.
run_tests() {
    local log="$scratch/tests.log" code=0
    : >"$log"
    if command -v cargo-nextest >/dev/null; then
        timeout "${test_minutes}m" cargo nextest run --workspace --locked --no-fail-fast 2>&1 | tee -a "$log" || code=$?
        timeout 10m cargo test --workspace --locked --doc --no-fail-fast 2>&1 | tee -a "$log" || code=$?
    else
        timeout "${test_minutes}m" cargo test --workspace --locked --no-fail-fast 2>&1 | tee -a "$log" || code=$?
    fi
    summary="$(count_tests "$log")"
    if ((code == 124)); then echo "the tests took longer than $test_minutes minutes"; fi
    if [[ "$summary" == "0 passed, "* ]]; then
        echo "no test ran"
        return 1
    fi
    return "$code"
}

check_dependencies() {
    if command -v cargo-deny >/dev/null; then
        cargo deny --offline --locked check bans licenses sources
    else
        echo "skipped: cargo-deny is not installed; the tidy test has checked bans and licences by deny.toml"
    fi
}

step "tools" install_missing
step "axe" fetch_axe
step "postgres" start_postgres
step "format" cargo fmt --all --check
step "lints" cargo clippy --workspace --all-targets --locked -- -D warnings
step "documentation" env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked
step "tests" run_tests
step "dependencies" check_dependencies
