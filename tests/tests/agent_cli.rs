//! The real Claude Code CLI against the stand-in, directly and through the
//! gateway. No model takes part: replies are scripted.
//!
//! Wants `GANTRY_TEST_CLAUDE`, the CLI's path; without it each test says that it
//! did not run.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that fails here has failed; what did not run is said"
)]

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateway::{
    Accounts, AccountsError, Credential, Gateway, GatewayConfig, Limits, Prices, Provider, Run,
    RunSpec, Turn, Turned,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::standin::{Asked, Block, Reply, ReplyUsage, Script, Standin, script};
use tokio::process::Command;
use tokio::sync::watch;

const MODEL: &str = "claude-opus-4-8";
const TOKEN: &str = "run-token";
const KEY: &str = "the-real-key";
const DEADLINE: Duration = Duration::from_secs(120);

/// The CLI's path, or a line about `test` in the list of what did not run.
fn cli(test: &str) -> Option<PathBuf> {
    if let Some(path) = env::var_os("GANTRY_TEST_CLAUDE") {
        return Some(path.into());
    }
    let line = format!("{test}: GANTRY_TEST_CLAUDE does not name the Claude Code CLI");
    println!("{line}");
    if let Some(list) = env::var_os("GANTRY_TEST_NOT_RUN") {
        let list = OpenOptions::new().append(true).create(true).open(list);
        // One write, since other tests write to it at the same time.
        list.unwrap().write_all((line + "\n").as_bytes()).unwrap();
    }
    None
}

/// Whoever pays doesn't count.
#[derive(Debug)]
struct NoBudget;

#[async_trait]
impl Accounts for NoBudget {
    async fn turn(&self, _: &Turn) -> Result<Turned, AccountsError> {
        Ok(Turned {
            day: "2026-11-30".to_owned(),
            granted: 0,
            room: None,
        })
    }
}

/// A folder to work in, and one for what the CLI keeps.
struct Desk {
    workspace: TempDir,
    home: TempDir,
}

struct Ended {
    success: bool,
    /// The `result` line.
    result: Value,
    output: String,
}

impl Desk {
    fn new() -> Self {
        Self {
            workspace: TempDir::new().unwrap(),
            home: TempDir::new().unwrap(),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.workspace.path().join(file)
    }

    async fn run(&self, cli: &Path, prompt: &str, more: &[&str], access: &[(&str, &str)]) -> Ended {
        let prompt_file = self.home.path().join("prompt.md");
        fs::write(&prompt_file, prompt).unwrap();
        let mut command = Command::new(cli);
        command
            .args(["-p", "--output-format", "stream-json", "--verbose"])
            .args(["--include-partial-messages", "--model", MODEL])
            .args(["--max-turns", "20", "--setting-sources", "user"])
            .args(["--strict-mcp-config", "--permission-mode", "acceptEdits"])
            .args(more)
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("CLAUDE_CONFIG_DIR", self.home.path().join("config"))
            .env("CLAUDE_CODE_MAX_RETRIES", "2")
            .envs(
                [
                    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
                    "DISABLE_TELEMETRY",
                    "DISABLE_AUTOUPDATER",
                    "DISABLE_ERROR_REPORTING",
                ]
                .map(|name| (name, "1")),
            )
            .envs(access.iter().copied())
            .current_dir(self.workspace.path())
            .stdin(Stdio::from(fs::File::open(prompt_file).unwrap()))
            .kill_on_drop(true);
        let ended = tokio::time::timeout(DEADLINE, command.output());
        let ended = ended.await.expect("the CLI ends in time").unwrap();
        let output = String::from_utf8_lossy(&ended.stdout).into_owned()
            + &String::from_utf8_lossy(&ended.stderr);
        let lines = output.lines().filter_map(|l| serde_json::from_str(l).ok());
        let result = lines.rev().find(|line: &Value| line["type"] == "result");
        Ended {
            success: ended.status.success(),
            result: result.unwrap_or_default(),
            output,
        }
    }
}

impl Ended {
    #[track_caller]
    fn well(&self) {
        assert!(self.success, "{}", self.output);
        assert_eq!(self.result["is_error"], false, "{}", self.output);
    }
}

/// A stand-in behind a gateway, and the way in that a run gets.
struct Behind {
    api: Standin,
    run: Run,
    _fence: watch::Sender<bool>,
    _folder: TempDir,
}

impl Behind {
    async fn start(script: impl Script + 'static) -> Self {
        let api = Standin::start(script).await.unwrap();
        let gateway = Gateway::new(GatewayConfig {
            provider: Provider {
                base_url: api.url().to_owned(),
                credential: Credential::ApiKey(KEY.into()),
            },
            small_models: Vec::new(),
            prices: Prices::default(),
            limits: Limits::default(),
        });
        let folder = TempDir::new().unwrap();
        let (fence, fenced) = watch::channel(false);
        let spec = RunSpec {
            socket_path: folder.path().join("model.sock"),
            token: TOKEN.into(),
            models: vec![MODEL.into()],
            owner: None,
            fence: fenced,
            accounts: Arc::new(NoBudget),
        };
        Self {
            api,
            run: gateway.unwrap().open(spec).await.unwrap(),
            _fence: fence,
            _folder: folder,
        }
    }

    async fn run(&self, desk: &Desk, cli: &Path, prompt: &str, more: &[&str]) -> Ended {
        let socket = self.run.socket_path().to_str().unwrap();
        let access = [
            ("ANTHROPIC_UNIX_SOCKET", socket),
            ("ANTHROPIC_BASE_URL", "http://localhost"),
            ("ANTHROPIC_AUTH_TOKEN", TOKEN),
        ];
        desk.run(cli, prompt, more, &access).await
    }
}

fn one_file() -> impl Script {
    script::files([("lighthouse", "docs/idea.md", "keepers\n")])
}

#[tokio::test]
async fn a_write_turn_creates_the_file() {
    let Some(cli) = cli("a_write_turn_creates_the_file") else {
        return;
    };
    let api = Standin::start(one_file()).await.unwrap();
    let desk = Desk::new();
    let access = [
        ("ANTHROPIC_BASE_URL", api.url()),
        ("ANTHROPIC_AUTH_TOKEN", TOKEN),
    ];
    let ended = desk.run(&cli, "a lighthouse", &[], &access).await;
    ended.well();
    assert_eq!(ended.result["result"], "Everything is written.");
    assert_eq!(fs::read(desk.path("docs/idea.md")).unwrap(), b"keepers\n");

    let asked = api.asked();
    let turns: Vec<usize> = asked.iter().map(Asked::turn).collect();
    assert_eq!(turns, [1, 2]);
    assert_eq!(asked[0].prompt(), "a lighthouse");
    assert_eq!(asked[0].header("authorization"), format!("Bearer {TOKEN}"));
    assert!(asked[0].streams());
}

#[tokio::test]
async fn a_write_turn_through_the_gateway_creates_the_file() {
    let Some(cli) = cli("a_write_turn_through_the_gateway_creates_the_file") else {
        return;
    };
    let usage = ReplyUsage {
        input: 1000,
        output: 30,
        cache_read: 7,
        cache_creation: 5,
    };
    let script = one_file();
    let mut behind = Behind::start(move |asked: &Asked| script.reply(asked).usage(usage)).await;
    let desk = Desk::new();
    let ended = behind.run(&desk, &cli, "a lighthouse", &[]).await;
    ended.well();
    assert_eq!(fs::read(desk.path("docs/idea.md")).unwrap(), b"keepers\n");

    let asked = behind.api.asked();
    assert_eq!(asked.len(), 2);
    for asked in &asked {
        assert_eq!(asked.header("x-api-key"), KEY);
        assert!(!format!("{:?}", asked.headers).contains(TOKEN));
        assert!(asked.header("anthropic-beta").contains("claude-code"));
    }
    let used = behind.run.close().await.unwrap();
    assert_eq!((used.requests, used.refused), (2, 0));
    let tokens = used.models[MODEL];
    assert_eq!((tokens.input, tokens.output), (2000, 60));
    assert_eq!((tokens.cache_read, tokens.cache_creation), (14, 10));
    assert_eq!(ended.result["usage"]["input_tokens"], 2000);
    assert_eq!(ended.result["usage"]["output_tokens"], 60);
}

#[tokio::test]
async fn a_file_that_is_there_is_written_over() {
    let Some(cli) = cli("a_file_that_is_there_is_written_over") else {
        return;
    };
    let behind = Behind::start(one_file()).await;
    let desk = Desk::new();
    fs::create_dir(desk.path("docs")).unwrap();
    fs::write(desk.path("docs/idea.md"), "old").unwrap();
    behind.run(&desk, &cli, "a lighthouse", &[]).await.well();
    assert_eq!(fs::read(desk.path("docs/idea.md")).unwrap(), b"keepers\n");
}

/// Tools whose requests look different from a plain one: schemas that come later,
/// an image, an agent of its own, two at once.
#[tokio::test]
async fn nothing_that_the_cli_sends_of_its_own_is_refused() {
    let Some(cli) = cli("nothing_that_the_cli_sends_of_its_own_is_refused") else {
        return;
    };
    // One grey pixel.
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55\0\0\0\nIDAT\x78\x9c\x63\x68\0\0\0\x82\0\x81\x77\xcd\x72\xb6\0\0\0\0IEND\xaeB`\x82";
    let desk = Desk::new();
    fs::write(desk.path("a.png"), PNG).unwrap();
    let image = desk.path("a.png").to_str().unwrap().to_owned();
    let behind = Behind::start(move |asked: &Asked| {
        let uses = asked.tool_uses();
        match (asked.prompt().contains("lighthouse"), uses.len()) {
            (false, _) => Reply::text("the agent's agent is done"),
            (true, 0) => Reply::tool("ToolSearch", json!({"query": "select:NotebookEdit"})),
            (true, 1) => Reply::blocks([
                Block::Text("looking".into()),
                Block::read(&image),
                Block::tool("Bash", json!({"command": "echo x", "description": "d"})),
            ]),
            (true, 3) => Reply::tool(
                "Agent",
                json!({"description": "d", "prompt": "do it", "subagent_type": "general-purpose", "run_in_background": false}),
            ),
            _ if asked.tools().contains(&"StructuredOutput") && uses.len() == 4 => {
                Reply::tool("StructuredOutput", json!({"name": "n"}))
            }
            _ => Reply::text("done"),
        }
    })
    .await;
    let schema = r#"{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}"#;
    let more = ["--json-schema", schema, "--allowedTools", "Bash"];
    let ended = behind.run(&desk, &cli, "a lighthouse", &more).await;
    ended.well();
    assert_eq!(ended.result["structured_output"]["name"], "n");

    let asked = behind.api.asked();
    let last = asked.iter().rfind(|a| a.tool_uses().len() == 5);
    let failed: Vec<_> = last.unwrap_or(&asked[asked.len() - 1]).tool_results();
    let failed: Vec<_> = failed.iter().filter(|result| result.is_error).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let sent = asked.iter().map(|a| a.body.to_string()).collect::<String>();
    assert!(sent.contains("tool_reference"));
    assert!(sent.contains("\"base64\""));
    assert!(asked.iter().any(|a| a.prompt() == "do it"));
    let used = behind.run.usage();
    assert_eq!(used.refused, 0, "{}", ended.output);
}

#[tokio::test]
async fn an_overloaded_provider_is_asked_again_and_a_refusal_ends_the_run() {
    let Some(cli) = cli("an_overloaded_provider_is_asked_again_and_a_refusal_ends_the_run") else {
        return;
    };
    let overloaded = Reply::error(529, "overloaded_error", Some(0));
    let done = Reply::text("done");
    let behind = Behind::start(script::sequence([
        overloaded,
        done.clone().cut_stream(),
        done,
    ]))
    .await;
    let desk = Desk::new();
    behind.run(&desk, &cli, "hi", &[]).await.well();
    assert!(behind.api.asked().len() >= 3);

    let invalid = Reply::error(400, "invalid_request_error", None);
    behind.api.play(script::sequence([invalid]));
    let ended = behind.run(&desk, &cli, "hi", &[]).await;
    assert!(!ended.success);
    assert_eq!(ended.result["is_error"], true);
}

#[tokio::test]
async fn another_model_is_told_to_the_agent() {
    let Some(cli) = cli("another_model_is_told_to_the_agent") else {
        return;
    };
    let behind = Behind::start(one_file()).await;
    let desk = Desk::new();
    let other = ["--model", "claude-sonnet-4-5"];
    let ended = behind.run(&desk, &cli, "a lighthouse", &other).await;
    assert!(!ended.success);
    assert!(
        ended.output.contains("not one of this run's"),
        "{}",
        ended.output
    );
    assert!(behind.api.asked().is_empty());
}
