//! A server with one network, two offers and three links, and a client that sends exactly the bytes it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::advertiser::{Advertiser, Proof};
use domain::ambient::Ambient;
use domain::catalog::Catalog;
use domain::click::{Click, Destination};
use domain::id::{AdvertiserId, ClickId, LinkId, NetworkId, OfferId, PartnerId};
use domain::link::{Link, LinkApproval};
use domain::money::Rate;
use domain::network::Network;
use domain::offer::{Approval, ConversionKind, Offer, OfferStatus, Results, Rules, Terms};
use domain::partner::{Partner, PartnerStatus};
use domain::secret::SecretHash;
use domain::sequence::Order;
use domain::time::Timestamp;
use store::bell::Bell;
use store::live::Live;
use store::{Db, Options, Target, Tx};
use testkit::Folder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;
use visitor::{Lookup, Sources};
use web::{App, Gate, Limits, Settings};

/// The token of the network's advertiser.
pub(crate) const TOKEN: &str = "pbt_5c1f0a9e7d3b4826";
/// A link to an offer that runs.
pub(crate) const LINK: LinkId = LinkId(Uuid::from_u128(0x11));
/// A link to a paused offer with a fallback.
pub(crate) const PAUSED: LinkId = LinkId(Uuid::from_u128(0x12));
/// A link of a partner that is not approved, without a fallback.
pub(crate) const UNAPPROVED: LinkId = LinkId(Uuid::from_u128(0x13));

/// Long enough for the slowest machine; only a broken test waits so long.
pub(crate) const AT_MOST: Duration = Duration::from_secs(30);

/// The time in these tests: it stands still, and ids count up.
const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_000);
static IDS: AtomicU64 = AtomicU64::new(1);

fn new_id(at: Timestamp) -> Uuid {
    let count = IDS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut random = [0; 10];
    random[2..].copy_from_slice(&count);
    uuid::Builder::from_unix_timestamp_millis(at.ms().unsigned_abs(), &random).into_uuid()
}

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) db: Db,
    live: Arc<Live>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
    _folder: Folder,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default(), |_| {}).await
    }

    pub(crate) async fn limited(limits: Limits) -> Self {
        Self::with(limits, |_| {}).await
    }

    /// A server whose settings `change` has had its say about.
    pub(crate) async fn with(limits: Limits, change: impl FnOnce(&mut App)) -> Self {
        let folder = Folder::new();
        let target = Target::Sqlite { dir: folder.path().to_owned() };
        let options = Options::default();
        let db = Db::open(&target, &options, store::schema::MIGRATIONS, &store::click::LOG).unwrap();
        let live = Arc::new(Live::default());
        live.catalog.store(Arc::new(catalog()));
        let mut app = App {
            db: db.clone(),
            live: Arc::clone(&live),
            visitors: Arc::new(Lookup::load(Sources::default()).unwrap()),
            ambient: Ambient { now: || NOW, new_id, random: || 4 },
            bell: Bell::default(),
            settings: Settings::new(|| Ok(u64::MAX)),
            pages: axum::Router::new(),
            metrics: Some(Arc::new(|| "rendered 1\n".to_owned())),
        };
        change(&mut app);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        let served = tokio::spawn(web::serve(listener, Arc::new(app), Gate::from(limits), shutdown));
        Self { address, db, live, stop, served, _folder: folder }
    }

    /// Puts a second network beside the first.
    pub(crate) fn add_network(&self) {
        let mut catalog = catalog();
        let second = Network { id: NetworkId(Uuid::from_u128(0xff)), label: "other".to_owned(), ..network() };
        catalog.networks.insert(second.id, Arc::new(second));
        self.live.catalog.store(Arc::new(catalog));
    }

    /// Sends a request of this method and target, and reads the answer.
    pub(crate) async fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = if named { "" } else { "Host: localhost\r\n" };
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head =
            format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n{host}{length}{}", lines.concat());
        self.send(format!("{head}\r\n{body}").as_bytes()).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[], "").await
    }

    /// Sends these bytes on a connection of their own and reads until the server closes it. All of them are taken, as
    /// by a client that reads only when it has written everything.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Answer {
        let socket = TcpSocket::new_v4().unwrap();
        // Little is on its way at a time, as over a distance.
        socket.set_send_buffer_size(8 * 1024).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        let sent = tokio::time::timeout(AT_MOST, stream.write_all(bytes)).await.expect("an end");
        sent.expect("no reset before everything is written");
        let mut back = Vec::new();
        let read = tokio::time::timeout(AT_MOST, stream.read_to_end(&mut back)).await.expect("an end");
        read.expect("no reset before the whole answer is read");
        Answer::read(&back)
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The clicks with the partner's click id `c1`, oldest first.
    pub(crate) async fn clicks(&self) -> Vec<Click> {
        let newest_first = |tx: &mut Tx<'_>| store::click::by_pub_click_id(tx, "c1", 100);
        let mut clicks = self.db.read(newest_first).await.unwrap();
        clicks.reverse();
        clicks
    }

    /// Stops the server and waits until it has ended.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(AT_MOST, self.served).await.expect("an end").unwrap().unwrap();
    }
}

/// Reads until the other side closes; empty when it closes without a word.
pub(crate) async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut back = Vec::new();
    tokio::time::timeout(AT_MOST, stream.read_to_end(&mut back)).await.expect("an end").unwrap_or_default();
    back
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { status, headers, body: body.to_owned() }
    }

    /// A header's value; empty when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }

    /// The click id that the advertiser is handed.
    pub(crate) fn click(&self) -> ClickId {
        let location = self.header("location");
        location.split("click=").nth(1).unwrap_or_else(|| panic!("no click in {self:?}"))[..36]
            .parse()
            .unwrap()
    }
}

fn network() -> Network {
    Network {
        id: NetworkId(Uuid::from_u128(1)),
        label: "acme".to_owned(),
        name: "Acme".to_owned(),
        currency: "USD".parse().unwrap(),
        zone: "UTC".to_owned(),
        fallback_url: None,
    }
}

fn catalog() -> Catalog {
    let network = Arc::new(network());
    let advertiser = Arc::new(Advertiser {
        id: AdvertiserId(Uuid::from_u128(2)),
        network: network.id,
        slug: "shop".to_owned(),
        name: "Shop".to_owned(),
        proof: Proof::Token,
        allowed_addresses: Vec::new(),
    });
    let partner = Arc::new(Partner {
        id: PartnerId(Uuid::from_u128(3)),
        network: network.id,
        slug: "app".to_owned(),
        name: "App".to_owned(),
        status: PartnerStatus::Active,
    });
    let running = Arc::new(offer(4, &network, &advertiser));
    let fallback_url = Some("https://fallback.test/more".to_owned());
    let paused =
        Arc::new(Offer { status: OfferStatus::Paused, fallback_url, ..offer(5, &network, &advertiser) });
    let link = |id: LinkId, offer: &Arc<Offer>, approval| {
        (id, Arc::new(Link { id, offer: Arc::clone(offer), partner: Arc::clone(&partner), approval }))
    };
    Catalog {
        version: 1,
        links: [
            link(LINK, &running, LinkApproval::Approved),
            link(PAUSED, &paused, LinkApproval::Approved),
            link(UNAPPROVED, &running, LinkApproval::Requested),
        ]
        .into(),
        tokens: [(SecretHash::of(TOKEN), advertiser.id)].into(),
        networks: [(network.id, network)].into(),
        advertisers: [(advertiser.id, advertiser)].into(),
        partners: [(partner.id, partner)].into(),
        offers: [(running.id, running), (paused.id, paused)].into(),
        ..Catalog::default()
    }
}

fn offer(id: u128, network: &Arc<Network>, advertiser: &Arc<Advertiser>) -> Offer {
    let destination = "https://shop.test/land?click={gk_click_id}&m={pub_member_id}&ip={ip}&ua={user_agent}";
    Offer {
        id: OfferId(Uuid::from_u128(id)),
        network: Arc::clone(network),
        advertiser: Arc::clone(advertiser),
        slug: format!("offer-{id}"),
        name: "Offer".to_owned(),
        categories: Vec::new(),
        status: OfferStatus::Active,
        launches: None,
        expires: None,
        currency: network.currency,
        conversion_kind: ConversionKind::FlatRate,
        results: Results::Single(Terms {
            revenue: Rate::Flat(3_000_000),
            payout: Rate::Flat(2_000_000),
            reward_points: 0,
            approval: Approval::Automatic,
            pending_days: 0,
            repeats: false,
            caps: Vec::new(),
            order: Order::default(),
        }),
        destination: Destination::parse(destination).unwrap(),
        fallback_url: None,
        attribution_window_ms: 86_400_000,
        rules: Rules::default(),
        changes: Vec::new(),
    }
}
