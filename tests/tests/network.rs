//! Agents whose phase lists host names: what they reach through the host, what they don't, and
//! what the job's log says of both. The internet is one that the test made.

#![expect(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::fs;
use std::path::Path;

use serde_json::json;
use tests::harness::{Agents, GREETING, Game, Host, Internet, Part, Parts, Said, Setup, gantry};
use tests::standin::{Asked, Reply, Standin};

const LISTED: &str = "listed.test:8080";
const NAME: &str = "a game about a ferry";
const KEY: &str = "the-real-key";

/// Asks the proxy for each target; what came of it, a line each.
const FETCH: &str = r#"
use strict; use warnings; use IO::Socket::INET;
my ($proxy) = ($ENV{HTTPS_PROXY} // "") =~ m{^http://(.+)} or die "no proxy\n";
for my $target (@ARGV) {
  my $way = IO::Socket::INET->new($proxy) or die "$proxy: $@\n";
  print $way "CONNECT $target HTTP/1.1\r\nhost: $target\r\n\r\n";
  my $status = (split / /, <$way> // "no answer")[1];
  while (defined(my $line = <$way>)) { last if $line eq "\r\n" }
  print $way "GET / HTTP/1.0\r\n\r\n" if $status eq "200";
  my $text = do { local $/; <$way> } // "";
  print "$target $status ", (split /\r?\n/, $text)[-1] // "", "\n";
}
"#;

fn pipeline(list: &str, permissions: &str) -> String {
    format!(
        "name = \"reaches\"\n\
         [[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 1\n\
         permissions = \"{permissions}\"\nnetwork = {list}\n"
    )
}

async fn submit(host: &Host) -> String {
    let job = json!({ "name": NAME, "pipeline": "reaches" });
    host.client().submit_with(&job).await
}

/// An agent that asks for these and then does the demo agent's work; what came of it is in
/// `seen` of the folder.
fn asking(folder: &Path, targets: &[&str]) -> Agents {
    let fetch = folder.join("fetch.pl");
    fs::write(&fetch, FETCH).unwrap();
    let bridge = concat!(env!("CARGO_MANIFEST_DIR"), "/../worker/proxy-bridge");
    let work = format!(
        "{bridge} perl {} {} >{} 2>&1; {} __demo-agent",
        fetch.display(),
        targets.join(" "),
        folder.join("seen").display(),
        gantry().display()
    );
    Agents::running(&work)
}

fn seen(folder: &Path) -> Vec<String> {
    let seen = fs::read_to_string(folder.join("seen")).unwrap();
    seen.lines().map(str::to_owned).collect()
}

/// The lines of the log about the network, without how long it took, by the alphabet: a
/// connection's end is told when it is there, and the next one may have begun.
async fn told(host: &Host, job: &str) -> Vec<String> {
    let lines = host.client().logs(job).await.into_iter();
    let lines = lines.filter_map(|line| Some(line.strip_prefix("network: ")?.to_owned()));
    let cut = |line: String| line.split(", in ").next().unwrap().to_owned();
    let mut lines: Vec<String> = lines.map(cut).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_reaches_a_listed_name_and_no_other() {
    let Some(_internet) = Internet::of("an_agent_reaches_a_listed_name_and_no_other").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let targets = [
        LISTED,
        "unlisted.test:8080",
        "listed.test:443",
        "private.test:443",
        "metadata.test:443",
        "own.test:443",
        "nowhere.test:443",
        "127.0.0.1:8080",
    ];
    let agents = asking(folder.path(), &targets);
    let list = format!(
        "[\"{LISTED}\", \"private.test\", \"metadata.test\", \"own.test\", \"nowhere.test\"]"
    );
    let setup = Setup::agents(&agents).pipeline("reaches", &pipeline(&list, "edit"));
    let host = Host::start(setup).await;
    let job = submit(&host).await;
    host.client().succeeded(&job).await;

    let seen = seen(folder.path());
    assert_eq!(seen[0], format!("{LISTED} 200 {GREETING}"), "{seen:#?}");
    let statuses: Vec<&str> = seen.iter().filter_map(|it| it.split(' ').nth(1)).collect();
    let expected = ["200", "403", "403", "403", "403", "403", "502", "403"];
    assert_eq!(statuses, expected, "{seen:#?}");

    let told = told(&host, &job).await;
    let expected = [
        "CONNECT 127.0.0.1:8080: refused: an address, and only names can be listed",
        "listed.test:443: refused: not in the `network` of this phase",
        "listed.test:8080: allowed, at 5.5.5.1",
        "listed.test:8080: closed; 18 bytes sent, 57 received",
        "metadata.test:443: refused: the name resolves to 169.254.169.254, a cloud's metadata address",
        "nowhere.test:443: failed: the name doesn't resolve (failed to lookup address information: \
         Name or service not known)",
        "own.test:443: refused: the name resolves to 5.5.5.2, an address of this machine",
        "private.test:443: refused: the name resolves to 10.1.2.3, a private address",
        "unlisted.test:8080: refused: not in the `network` of this phase",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_comes_back_lets_its_agent_out_again() {
    let test = "a_host_that_comes_back_lets_its_agent_out_again";
    let Some(_internet) = Internet::of(test).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let agents = asking(folder.path(), &[LISTED]);
    let mut held = agents.hold("idea", "idea");
    let setup =
        Setup::agents(&agents).pipeline("reaches", &pipeline(&format!("[\"{LISTED}\"]"), "edit"));
    let mut host = Host::start(setup).await;
    let job = submit(&host).await;
    held.arrived().await;
    host.kill().await;
    host.restart().await;
    host.said("adopted=true").await;
    held.let_on().await;
    host.client().succeeded(&job).await;
    assert_eq!(seen(folder.path()), [format!("{LISTED} 200 {GREETING}")]);
    let told = told(&host, &job).await;
    assert_eq!(told[0], "listed.test:8080: allowed, at 5.5.5.1");
    assert_eq!(agents.runs().len(), 2, "it ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_does_not_allow_makes_no_pipeline() {
    let agents = Agents::new();
    let setup = Setup::agents(&agents)
        .pipeline("reaches", &pipeline("[\"npm\", \"example.com\"]", "edit"))
        .set("NETWORK_ALLOW", "npm");
    let mut host = Host::start(setup).await;
    let job = json!({ "name": "a game", "pipeline": "reaches" });
    let answer = host.client().post("/api/jobs", &job).await;
    assert!(answer.status >= 400, "{}", answer.text());
    let text = answer.text();
    assert!(
        text.contains("`example.com` is not among NETWORK_ALLOW"),
        "{text}"
    );
    host.terminate().await;
    for (allowed, status, said) in [
        ("npm", 1, "`example.com` is not among NETWORK_ALLOW"),
        (
            "npm, *.com",
            1,
            "NETWORK_ALLOW=`npm, *.com`: `*.com` is too wide",
        ),
        ("npm, example.com", 0, "reaches/idea: npm, example.com"),
    ] {
        host.set("NETWORK_ALLOW", Some(allowed));
        let mut check = host.command();
        check.arg("check");
        Said::by(check).await.expect(status, said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_a_list_is_given_no_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let agents = asking(folder.path(), &[LISTED]);
    let setup = Setup::agents(&agents).pipeline("reaches", &pipeline("\"none\"", "edit"));
    let host = Host::start(setup).await;
    let job = submit(&host).await;
    host.client().succeeded(&job).await;
    assert_eq!(seen(folder.path()), ["no proxy"]);
    assert_eq!(told(&host, &job).await, [""; 0]);
}

/// It has no line but the proxy's, and its model's calls don't go through that.
#[tokio::test(flavor = "multi_thread")]
async fn claude_code_in_docker_reaches_a_listed_name_and_no_other() {
    let test = "claude_code_in_docker_reaches_a_listed_name_and_no_other";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_none() {
        return;
    }
    let Some(_internet) = Internet::of(test).await else {
        return;
    };
    let command = format!("perl -e '{FETCH}' {LISTED} unlisted.test:8080 2>&1");
    let script = move |asked: &Asked| match asked.tool_uses().len() {
        0 => Reply::tool("Bash", json!({ "command": command, "description": "d" })),
        _ => Reply::text("done"),
    };
    let api = Standin::start(script).await.unwrap();
    let list = pipeline(&format!("[\"{LISTED}\"]"), "full");
    let host = Host::start(Setup::docker(api.url(), KEY).pipeline("reaches", &list)).await;
    let job = submit(&host).await;
    // There is no idea in the end: its agent had something else to do.
    host.client().ended(&job).await;
    let said = format!("{:?}", api.asked()[1].tool_results());
    let reached = format!("{LISTED} 200 {GREETING}");
    assert!(
        said.contains(&reached) && said.contains("unlisted.test:8080 403"),
        "{said}"
    );
    let expected = [
        "listed.test:8080: allowed, at 5.5.5.1",
        "listed.test:8080: closed; 18 bytes sent, 57 received",
        "unlisted.test:8080: refused: not in the `network` of this phase",
    ];
    assert_eq!(told(&host, &job).await, expected);
}

/// With a proxy in its environment it asks its model over the model's socket, as ever.
#[tokio::test(flavor = "multi_thread")]
async fn claude_code_asks_its_model_past_the_proxy() {
    let test = "claude_code_asks_its_model_past_the_proxy";
    if Parts::of(test, &[Part::Claude]).is_none() {
        return;
    }
    let api = Standin::start(Game::of(NAME).script()).await.unwrap();
    let list = pipeline("[\"listed.test\"]", "edit");
    let host = Host::start(Setup::claude(api.url(), KEY).pipeline("reaches", &list)).await;
    let job = submit(&host).await;
    host.client().succeeded(&job).await;
    assert!(!api.asked().is_empty());
    assert_eq!(told(&host, &job).await, [""; 0]);
}
