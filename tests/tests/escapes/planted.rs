//! What an agent leaves for others to fall into: for the host, that reads its files, writes beside
//! them and packs them; for the next run in the same workspace; and for whoever comes after its end.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use tests::harness::{Client, DEADLINE, Part, Parts};
use tests::standin::Reply;
use tokio::time::{sleep, timeout};

use crate::attempts::{not_held, not_through, told};
use crate::scene::{BUILD, IDEA, Scene, attempts, bash, file, probe};

/// Two phases: what the first one's agent leaves, the second one's run finds.
const PIPELINE: &str = "name = \"escape\"\n\
    [[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 1\npermissions = \"full\"\n\
    [[phase]]\nid = \"build\"\nplugin = \"build\"\nattempts = 1\npermissions = \"full\"\n";

const SECRET: &str = "the machine's";

/// In a folder of the machine, under a name that a plugin reads.
const BAIT: &str = "{\"upgrades\":[{\"id\":\"bait-of-the-machine\"}]}";

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_leaves_harms_neither_the_host_nor_a_later_run() {
    let test = "what_an_agent_leaves_harms_neither_the_host_nor_a_later_run";
    if Parts::of(test, &[Part::Docker, Part::WorkerImage]).is_none() {
        return;
    }
    let scene = Scene::start(PIPELINE).await;
    let traps = Traps::lay(&scene);
    scene.plan.set(IDEA, traps.first_run());
    scene.plan.set(BUILD, later_run());
    let client = scene.host.client();
    let job = scene.submit().await;
    // By the neighbour, in the first phase six times and for two others, and in the next one.
    scene.asked(10).await;
    let ended = client.ended(&job).await;
    let phases = &ended["phases"];
    assert_eq!(phases[0]["status"], "accepted", "{ended:#}");
    assert_eq!(
        phases[1]["attempts"][0]["tasks"][0]["exit_code"], 0,
        "{ended:#}"
    );

    nothing_outlived_its_run(&scene, &ended, &job).await;
    hooks_ran_for_nobody_but_the_agent_itself(client, &job).await;
    traps.nobody_fell_in(&scene, &job).await;
    let answer = client
        .send(client.request(Method::DELETE, &format!("/api/jobs/{job}")))
        .await;
    assert!(answer.status < 300, "{}", answer.text());
    gone(&scene.host.data().join("workspaces").join(&job)).await;
    traps.are_as_they_were();
    scene.neighbour_goes_on().await;
}

/// The machine's files that links lead to, and what would be there if somebody had followed one.
struct Traps {
    secret: PathBuf,
    folder: PathBuf,
    /// Made by a program that a repository's configuration names.
    ran: PathBuf,
    owner: (u32, u32, u32),
}

impl Traps {
    fn lay(scene: &Scene) -> Self {
        let folder = scene.host.folder().join("outside");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("progression.json"), BAIT).unwrap();
        let secret = scene.secret();
        let traps = Self {
            owner: owner(&secret),
            secret,
            folder,
            ran: scene.host.folder().join("ran"),
        };
        traps.git_would_run_it();
        traps
    }

    /// Whoever runs `git status` in that repository, runs what its configuration says.
    fn git_would_run_it(&self) {
        let repository = tempfile::tempdir().unwrap();
        let ran = repository.path().join("ran");
        let git = |args: &[&str]| {
            let mut git = Command::new("git");
            let ended = git.args(args).current_dir(repository.path()).output();
            ended.expect("git is there").status.success()
        };
        assert!(git(&["init", "--quiet", "."]));
        let config = repository.path().join(".git/config");
        let text = fs::read_to_string(&config).unwrap() + &runs(&ran);
        fs::write(config, text).unwrap();
        let _ = git(&["status"]);
        assert!(ran.exists(), "git ran what its configuration names");
    }

    /// Plants it all, lets the CLI itself run into its hooks, and leaves a process behind.
    fn first_run(&self) -> Vec<Reply> {
        let (secret, folder) = (self.secret.display(), self.folder.display());
        let config = runs(&self.ran);
        let plant = format!(
            "set -e; cd /workspace; git init --quiet .; printf '%s' '{config}' >>.git/config\n\
             echo '* filter=f' >.gitattributes\n\
             ln -s {secret} leak; ln -s {folder} design; mkfifo pipe\n\
             mkdir site; ln -s {folder}/index.html site/index.html\n\
             mkdir .claude /session/.claude /session/projects/-workspace/.claude\n\
             echo '{hooks}' | tee .claude/settings.json .claude/settings.local.json \
             /session/settings.json /session/.claude/settings.json \
             /session/projects/-workspace/settings.json >/dev/null\n\
             echo '{servers}' >.mcp.json; echo '{servers}' >/session/.claude.json\n\
             ln -s {secret} /session/leak; ln -s {folder} /session/projects/outside\n\
             printf %s \"$ANTHROPIC_AUTH_TOKEN\" >token; echo planted >planted",
            hooks = hooks(),
            servers = json!({ "mcpServers": { "m": { "command": "/bin/sh",
                "args": ["-c", "echo ${HOOKED:-server} >>/workspace/hooked"] } } }),
        );
        // As who doesn't say which settings are to be read.
        let fall_in = "cd /workspace; HOOKED=itself CLAUDE_CONFIG_DIR=/tmp/its-own \
             env -u CLAUDECODE timeout 100 claude -p hello --model \"$MODEL\" \
             </dev/null >itself 2>&1; true";
        let stay = attempts("rows-first", &[], &["afterlife"]);
        vec![probe(), bash(plant), bash(fall_in), stay]
    }

    async fn nobody_fell_in(&self, scene: &Scene, job: &str) {
        let client = scene.host.client();
        // It reads the workspace, and not through a link.
        let asked = scene.api.asked();
        let prompts = asked.iter().map(|it| it.prompt());
        let built = prompts.filter(|prompt| prompt.contains(BUILD));
        let built: Vec<String> = built.collect();
        assert!(built[0].contains("The game's title is"), "{}", built[0]);
        for prompt in &built {
            assert!(!prompt.contains("bait-of-the-machine"), "{prompt}");
        }
        assert_eq!(file(client, job, "planted").await, "planted\n");
        // What it stages is there, in place of a link.
        assert!(file(client, job, "site/index.html").await.contains("<"));
        for path in ["leak", "pipe", "design/progression.json", ".git/../leak"] {
            let answer = client.get(&format!("/api/jobs/{job}/files/{path}")).await;
            assert!(answer.status >= 400, "{path}: {}", answer.text());
        }
        let archive = client.get(&format!("/api/jobs/{job}/archive")).await;
        let archive = String::from_utf8_lossy(&archive.body).into_owned();
        let mut given_out = vec![archive];
        for phase in ["idea", "build"] {
            let path = format!("/api/jobs/{job}/attempts/{phase}/1/diff");
            given_out.push(client.get(&path).await.text());
        }
        given_out.push(format!("{:?}", client.events(job).await));
        given_out.extend(client.logs(job).await);
        assert!(given_out[0].contains("fsmonitor"), "it is plain content");
        for text in given_out {
            assert!(
                !text.contains(SECRET) && !text.contains("bait-of-the"),
                "{text}"
            );
        }
        self.are_as_they_were();
    }

    fn are_as_they_were(&self) {
        assert!(!self.ran.exists(), "something was run");
        assert_eq!(fs::read_to_string(&self.secret).unwrap(), SECRET);
        assert_eq!(owner(&self.secret), self.owner);
        let there: Vec<_> = fs::read_dir(&self.folder).unwrap().flatten().collect();
        let there: Vec<_> = there.iter().map(|it| it.file_name()).collect();
        assert_eq!(there, ["progression.json"]);
        let bait = fs::read_to_string(self.folder.join("progression.json"));
        assert_eq!(bait.unwrap(), BAIT);
    }
}

/// A part of a repository's configuration, by which `git` makes that file.
fn runs(file: &Path) -> String {
    let file = file.display();
    format!("[core]\n\tfsmonitor = touch {file}\n[filter \"f\"]\n\tclean = \"touch {file}; cat\"\n")
}

fn owner(path: &Path) -> (u32, u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.uid(), found.gid(), found.mode())
}

/// Settings by which the CLI runs a command at each turn, which tells whose run it is.
fn hooks() -> Value {
    let command = "echo ${HOOKED:-planted} >>/workspace/hooked";
    let hook = json!([{ "hooks": [{ "type": "command", "command": command }] }]);
    json!({ "hooks": { "SessionStart": hook, "UserPromptSubmit": hook, "PreToolUse": hook,
        "PostToolUse": hook, "Stop": hook } })
}

/// Looks at what the first run left, and tries its token.
fn later_run() -> Vec<Reply> {
    let look = "cd /workspace; stat -c %s beats >beats-then; sleep 2; stat -c %s beats >beats-now";
    let token = "ask-other-token=$(cat /workspace/token)".to_owned();
    let names = ["ask", "ask-other-token"];
    vec![
        bash(look),
        attempts("rows-later", &[token], &names),
        Reply::text("done"),
    ]
}

/// Its processes, its requests and its token went with the run.
async fn nothing_outlived_its_run(scene: &Scene, ended: &Value, job: &str) {
    let client = scene.host.client();
    let first = told(&file(client, job, "rows-first").await);
    assert_eq!(not_through(&first, &["afterlife"]), [""; 0], "{first:#?}");
    let asked = scene.api.asked();
    assert!(
        asked.iter().any(|it| it.prompt() == "afterlife"),
        "it asked"
    );
    let then = file(client, job, "beats-then").await;
    assert!(then.trim().parse::<u64>().unwrap() > 0);
    assert_eq!(file(client, job, "beats-now").await, then);
    let later = told(&file(client, job, "rows-later").await);
    let held = [("ask-other-token", "401 ")];
    let wrong = [not_held(&later, &held), not_through(&later, &["ask"])].concat();
    assert_eq!(wrong, [""; 0], "{later:#?}");
    // What it had asked for last is paid for, since nobody knows how long the answer was.
    let budget = &ended["budget"];
    assert_eq!(budget["set_aside_usd"], "0.00", "{ended:#}");
    assert_ne!(budget["assumed_usd"], "0.00", "{ended:#}");
    let sockets = scene.host.run_folders();
    assert_eq!(sockets.len(), 1, "the neighbour's alone: {sockets:?}");
}

async fn hooks_ran_for_nobody_but_the_agent_itself(client: &Client, job: &str) {
    let hooked = file(client, job, "hooked").await;
    let mut whose: Vec<&str> = hooked.lines().collect();
    whose.dedup();
    let itself = file(client, job, "itself").await;
    assert_eq!(whose, ["itself"], "{itself}");
}

/// Waits until it isn't there: the host removes it behind the answer.
async fn gone(path: &Path) {
    let looks = async {
        while path.exists() {
            sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, looks).await.expect("it is removed");
}
