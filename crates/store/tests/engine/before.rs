//! What was recorded before a table was made anew is there afterwards, as it was.

use domain::click::Step;
use domain::conversion::{Reason, Status, Waiting};
use domain::id::{ConversionId, InboundId};
use store::schema::MIGRATIONS;
use store::{Db, MigrationText, Options, click, conversion, inbound};
use uuid::Uuid;

use crate::world::{World, on_each_engine};

fn open(world: &World, migrations: &'static [MigrationText]) -> Db {
    Db::open(&world.target, &Options::default(), migrations, &click::LOG).unwrap()
}

const ONE: Uuid = Uuid::from_u128(0x0198_f1c2_7a3b_7c4d_8e5f_a1b2_c3d4_e5f6);

#[tokio::test(flavor = "multi_thread")]
async fn conversions_requests_and_counts_survive_their_new_tables() {
    let before = MIGRATIONS.iter().position(|text| text.name == "V17__cost").unwrap();
    on_each_engine(async |world| {
        open(world, &MIGRATIONS[..before]).close().await;
        let hex = ONE.simple();
        let id = if world.is_sqlite() { format!("x'{hex}'") } else { format!("'\\x{hex}'::bytea") };
        world.behind(&format!(
            "insert into conversion values ({id}, {id}, {id}, {id}, {id}, {id}, {id}, 'c', 'm', 'id:1', '1', 'e',
                 'Rejected', 'capped', null, 0, 5, 4, 'USD', 3, 'EUR', '192.0.2.1', '{{\"cnv_sub_1\":\"é\"}}', 10,
                 20, 1, 30, 'approval', 7, 0);
             insert into conversion_change values ({id}, 0, {id}, 'Success', null, 'advertiser', 10, 1, 'first');
             insert into conversion_change values ({id}, 1, {id}, 'Rejected', 'capped', 'staff', 20, 0, 'then');
             insert into conversion_count values ({id}, 0, {id}, {id}, 'Success', '', 'USD', 1, 5, 4);
             insert into inbound values ({id}, {id}, {id}, 10, '192.0.2.1', 'GET', '/postback', '', 'recorded', '',
                 {id}, {id}, '[{{\"rule\":\"approval\",\"passed\":true,\"detail\":\"it''s\"}}]')"
        ));
        let db = open(world, MIGRATIONS);
        let (made, history) = db
            .read(|tx| {
                let id = ConversionId(ONE);
                Ok::<_, store::Error>((conversion::find(tx, id)?.unwrap(), conversion::changes(tx, id)?))
            })
            .await
            .unwrap();
        let told = (made.status, made.reason, made.payout.micros, made.completed.ms(), made.changed.ms());
        assert_eq!(told, (Status::Rejected, Some(Reason::Capped), 4, 7, 20));
        assert_eq!((made.kept["cnv_sub_1"].as_str(), made.amount.unwrap().micros), ("é", 3));
        assert_eq!(made.waits.map(|wait| (wait.until.ms(), wait.what)), Some((30, Waiting::Approval)));
        let notes: Vec<&str> = history.iter().map(|line| line.note.as_str()).collect();
        assert_eq!(notes, ["first", "then"]);
        let logged = db.read(|tx| inbound::find(tx, InboundId(ONE))).await.unwrap().unwrap();
        let step = Step { rule: "approval".into(), passed: true, detail: "it's".to_owned() };
        assert_eq!(logged.steps, [step]);
        assert_eq!(world.look("select count(*) from conversion_change where counted = 0"), 1);
        assert_eq!(world.look("select revenue_micros from conversion_count"), 5);
        db.close().await;
    })
    .await;
}
