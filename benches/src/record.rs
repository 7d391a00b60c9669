//! What the database says, counted beside the product: it is not asked whether it kept what it acknowledged.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::click::Verdict;
use domain::time::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::cluster;
use crate::failure::{During as _, Result, ensure};

const MOST_COUNTING: Duration = Duration::from_mins(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Where the record is.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// The folder with the SQLite database.
    Sqlite(PathBuf),
    /// The PostgreSQL database's URL.
    Postgres(String),
}

impl Record {
    /// The arguments that make the binary use it.
    pub(crate) fn args(&self) -> [String; 2] {
        match self {
            Self::Sqlite(dir) => ["--data".to_owned(), dir.display().to_string()],
            Self::Postgres(url) => ["--database".to_owned(), url.clone()],
        }
    }

    /// Fails unless at least so many clicks are kept that went on to the advertiser.
    pub(crate) fn ensure_clicks(&self, acknowledged: u64) -> Result<()> {
        let verdicts = Verdict::ALL.iter().filter(|verdict| verdict.sends_on());
        let verdicts: Vec<String> = verdicts.map(|verdict| verdict.number().to_string()).collect();
        let kept =
            self.count(&format!("select count(*) from click where verdict in ({})", verdicts.join(", ")))?;
        ensure(kept >= acknowledged, || {
            format!("LOST: {acknowledged} clicks were acknowledged, {kept} are kept")
        })
    }

    /// Fails unless there are exactly so many conversions, each of a click of its own, and `postbacks` were logged.
    pub(crate) fn ensure_conversions(&self, conversions: u64, postbacks: u64) -> Result<()> {
        for (query, expected) in [
            ("select count(*) from conversion", conversions),
            ("select count(distinct click_id) from conversion where holds_place = 1", conversions),
            ("select count(*) from inbound", postbacks),
        ] {
            let found = self.count(query)?;
            ensure(found == expected, || format!("WRONG: `{query}` gives {found}, not {expected}"))?;
        }
        Ok(())
    }

    /// How many messages to partners have arrived, as the record has it.
    pub(crate) fn delivered(&self) -> Result<u64> {
        self.count("select count(*) from delivery where state = 'delivered'")
    }

    /// How many messages to partners there are.
    pub(crate) fn deliveries(&self) -> Result<u64> {
        self.count("select count(*) from delivery")
    }

    /// How many clicks are kept.
    pub(crate) fn clicks(&self) -> Result<u64> {
        self.count("select count(*) from click")
    }

    /// How many quarters of an hour before a moment are counted and not summed up.
    pub(crate) fn unsummed(&self, before: Timestamp) -> Result<u64> {
        let before_ms = before.ms();
        self.count(&format!("select count(*) from count_quarter where summed = 0 and start_ms < {before_ms}"))
    }

    /// Waits until the server that writes it has counted every click for reports, so that what is measured next does
    /// not pay for what came before.
    pub(crate) fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + MOST_COUNTING;
        let waiting = "select (select count(*) from (select 1 from click_arrival limit 1) arrived)
                            + (select count(*) from (select 1 from click_gathered limit 1) gathered)";
        while self.count(waiting)? > 0 {
            ensure(Instant::now() < deadline, || format!("clicks are uncounted after {MOST_COUNTING:?}"))?;
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// What it takes on the disk, with all its indexes and, on SQLite, its write-ahead log.
    pub(crate) fn bytes(&self) -> Result<u64> {
        match self {
            Self::Sqlite(dir) => {
                let files = fs::read_dir(dir).during("read the database's folder")?.flatten();
                Ok(files.filter_map(|file| Some(file.metadata().ok()?.len())).sum())
            }
            Self::Postgres(_) => self.count("select pg_database_size(current_database())"),
        }
    }

    /// The one number that a query gives.
    fn count(&self, query: &str) -> Result<u64> {
        let number: i64 = match self {
            Self::Sqlite(dir) => {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
                let connection = Connection::open_with_flags(dir.join("pitlane.db"), flags);
                connection
                    .and_then(|connection| connection.query_row(query, [], |row| row.get(0)))
                    .during(query)?
            }
            Self::Postgres(url) => cluster::connect(url)?.query_one(query, &[]).during(query)?.get(0),
        };
        u64::try_from(number).during(query)
    }
}
