//! An agent whose phase lists names, on a machine with an internet of the test's own: there is no way
//! to it but the proxy, and the proxy leads to no private address, whatever a name resolves to.

use std::sync::Arc;

use serde_json::json;
use tests::harness::{Host, Internet, Part, Parts, Setup};
use tests::standin::Standin;
use tokio::net::TcpListener;

use crate::attempts::{not_held, not_through, on_the_machine, told};
use crate::scene::{IDEA, KEY, NAME, Plan, attempts, file, greet, probe};

const PIPELINE: &str = "name = \"escape\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\n\
    attempts = 1\npermissions = \"full\"\n\
    network = [\"listed.test:8080\", \"private.test\", \"metadata.test\"]\n";

/// As the internet has them: a server and a name server outside, and this machine's own address.
const OUTSIDE: &str = "5.5.5.1";
const OWN: &str = "5.5.5.2";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_listed_names_has_no_other_way_out() {
    let test = "outside::an_agent_with_listed_names_has_no_other_way_out";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_none() {
        return;
    }
    let Some(_internet) = Internet::of(test).await else {
        return;
    };
    let own = TcpListener::bind((OWN, 0)).await.unwrap();
    let given = [
        format!("far-tcp4={OUTSIDE}:8080"),
        format!("far-udp4={OUTSIDE}:53"),
        format!("own-tcp4={}", own.local_addr().unwrap()),
        "private-name=private.test:443".to_owned(),
        "metadata-name=metadata.test:443".to_owned(),
        "listed-name=listed.test:8080".to_owned(),
    ];
    let greeting = tokio::spawn(async move {
        while let Ok((stream, _)) = own.accept().await {
            greet(stream).await;
        }
    });
    let direct = ["far-tcp4", "far-udp4", "own-tcp4"];
    let names = [
        &direct[..],
        &["interfaces", "private-name", "metadata-name"],
    ]
    .concat();
    let all = [&names[..], &["listed-name"]].concat();

    let plan = Arc::<Plan>::default();
    plan.set(IDEA, vec![probe(), attempts("rows", &given, &all)]);
    let api = Standin::start(plan.script()).await.unwrap();
    let host = Host::start(Setup::docker(api.url(), KEY).pipeline("escape", PIPELINE)).await;
    let job = json!({ "name": NAME, "pipeline": "escape" });
    let job = host.client().submit_with(&job).await;
    host.client().succeeded(&job).await;

    let inside = told(&file(host.client(), &job, "rows").await);
    let held = [
        ("far-tcp4", "unreachable"),
        ("far-udp4", "unreachable"),
        ("own-tcp4", "unreachable"),
        ("interfaces", "only lo"),
        ("private-name", " 403"),
        ("metadata-name", " 403"),
    ];
    let wrong = [
        not_held(&inside, &held),
        not_through(&inside, &["listed-name"]),
    ]
    .concat();
    assert_eq!(wrong, [""; 0], "{inside:#?}");
    let outside = on_the_machine(&given, &direct).await;
    assert_eq!(not_through(&outside, &direct), [""; 0], "{outside:#?}");
    greeting.abort();
}
