//! Every hostile guest, where it is met, and the words that must be said about it. It runs none.

use super::made;
use plugin_runtime::Step;
use std::path::Path;

/// A row of the table.
pub(super) struct Row {
    /// Its file lands as `GUEST.wasm`.
    pub(super) guest: &'static str,
    pub(super) does: &'static str,
    pub(super) source: Source,
    pub(super) met: Met,
    /// All of these must be in the refusal, the fault, or the last line of the log.
    pub(super) says: &'static [&'static str],
}

/// Where the bytes of a guest come from.
pub(super) enum Source {
    /// `tests/guests/GUEST.wat`.
    Wat,
    /// What no text of wasm can be.
    Made(fn(&Path)),
}

/// Where its harm is stopped.
pub(super) enum Met {
    /// On the way in: it never serves.
    Lands,
    /// In this step: the call is a fault of the plugin's.
    Faults(Step),
    /// In `prompt`, without a fault: what it does too much is cut, and the log says so.
    Logs,
}

use Met::{Faults, Lands, Logs};

/// Guests of `tests/guests` that mean no harm.
pub(super) const INNOCENT: &[&str] = &[
    "asks-again",
    "grows",
    "innocent",
    "naps",
    "newer-patch",
    "recurses-some",
    "says-unavailable",
    "stages",
    "stats-a-file",
    "tells-time",
    "typed-options",
    "uses-group",
];

const fn wat(
    guest: &'static str,
    does: &'static str,
    met: Met,
    says: &'static [&'static str],
) -> Row {
    Row {
        guest,
        does,
        source: Source::Wat,
        met,
        says,
    }
}

const fn made(
    guest: &'static str,
    does: &'static str,
    make: fn(&Path),
    says: &'static [&'static str],
) -> Row {
    Row {
        guest,
        does,
        source: Source::Made(make),
        met: Lands,
        says,
    }
}

#[rustfmt::skip]
pub(super) const HOSTILE: &[Row] = &[
    wat("loops-in-start", "Never finishes its start function, so not even `describe` answers.", Lands, &["`describe` failed: took longer than 500ms"]),
    wat("loops-in-describe", "Never says what it is.", Lands, &["`describe` failed: took longer than 500ms"]),
    wat("loops-in-self-test", "Its own test never ends.", Lands, &["its self-test failed: took longer than 500ms"]),
    wat("loops", "Never comes back.", Faults(Step::Prompt), &["took longer than 500ms"]),
    wat("loops-in-validate", "Never comes back from `validate`.", Faults(Step::Validate), &["in validate: took longer than 500ms"]),
    wat("loops-in-deploy", "Never comes back from `deploy`.", Faults(Step::Deploy), &["in deploy: took longer than 500ms"]),
    wat("loops-in-post-return", "Answers well, and never ends cleaning up.", Faults(Step::Prompt), &["took longer than 500ms"]),
    wat("calls-the-host", "Asks for the time for ever.", Faults(Step::Prompt), &["took longer than 500ms"]),
    wat("lists-files", "Asks for the list of files for ever, and keeps each answer.", Faults(Step::Prompt), &["took longer than 500ms"]),
    wat("sleeps", "Waits for a clock for ever, which no deadline of guest code would end.", Faults(Step::Prompt), &["took longer than 500ms"]),
    wat("sleeps-in-self-test", "Waits for a clock for ever in its own test.", Lands, &["its self-test failed: took longer than 500ms"]),
    wat("begins-with-memory", "Begins with a memory of four gigabytes.", Lands, &["wants more at its start than a call may have", "memory has a minimum byte size of 4294967296 which exceeds the limit"]),
    wat("begins-with-memories", "Begins with eight memories; each by itself is small.", Lands, &["wants more at its start than a call may have", "memories count of 9 exceeds the per-instance limit of 4"]),
    wat("eats-memory-at-once", "Grows its memory by four gigabytes in one step.", Faults(Step::Prompt), &["used more than 64 MiB of memory"]),
    wat("eats-memory", "Grows its memory for ever.", Faults(Step::Prompt), &["used more than 64 MiB of memory"]),
    wat("eats-memories", "Grows several memories in turn; each by itself stays small.", Faults(Step::Prompt), &["used more than 64 MiB of memory"]),
    wat("begins-with-tables", "Begins with a table of a hundred million elements.", Lands, &["wants more at its start than a call may have", "table index 0 has a minimum element size of 100000000 which exceeds the limit of 100000"]),
    wat("eats-tables-at-once", "Grows its table by a hundred million elements in one step.", Faults(Step::Prompt), &["used more than 20000 table elements"]),
    wat("eats-tables", "Grows its table for ever.", Faults(Step::Prompt), &["used more than 20000 table elements"]),
    wat("many-instances", "Makes a thousand instances of one module when it starts.", Lands, &["instances count exceeds limit of 1000"]),
    wat("leaks-handles", "Makes a million handles and gives none back.", Faults(Step::Prompt), &["held more than 1000 handles at once"]),
    wat("recurses", "Calls itself for ever.", Faults(Step::Prompt), &["used more than 512 KiB of stack"]),
    wat("recurses-through-host", "Asks the host for a name; while the host asks for room to put it, it asks again.", Faults(Step::Prompt), &["cannot leave component instance"]),
    wat("answers-a-huge-text", "Its prompt says that it has three gigabytes.", Faults(Step::Prompt), &["string pointer/length out of bounds"]),
    wat("answers-a-huge-list", "Its list says that it has a billion tasks.", Faults(Step::Prompt), &["list pointer/length out of bounds"]),
    wat("answers-lists-of-lists", "Thirty tasks of 250 files of a megabyte, all the same bytes: 7.3 GiB in three lists.", Faults(Step::Prompt), &["handed more than 4 MiB to the host in one call"]),
    wat("answers-empty-texts", "Expects four million files without a name, which cost it nothing.", Faults(Step::Prompt), &["handed more than 4 MiB to the host in one call"]),
    wat("answers-too-much", "Asks for ten thousand tasks.", Faults(Step::Prompt), &["broken answer in prompt: tasks: 10000 are more than the limit of 32"]),
    wat("amplifies", "Asks for a hundred tasks whose prompts are all the same megabyte of its memory.", Faults(Step::Prompt), &["handed more than 4 MiB to the host in one call"]),
    wat("claims-a-length", "Its list says that it has one task more than its memory holds.", Faults(Step::Prompt), &["list pointer/length out of bounds"]),
    wat("points-outside", "Answers with a list that lies outside of its memory.", Faults(Step::Prompt), &["list pointer/length out of bounds"]),
    wat("answers-no-room", "Gives the host an address outside of its memory to write to.", Faults(Step::Prompt), &["realloc return: beyond end of memory"]),
    wat("floods-log", "Logs a long line ten thousand times, then answers no task.", Logs, &["9800 more lines were dropped: one call may log 200"]),
    wat("asks-much-random", "Asks for all the random bytes that there are.", Faults(Step::Prompt), &["exceeds limit 65536"]),
    wat("exits", "Ends its process, which is the host's.", Faults(Step::Prompt), &["Exited with i32 exit status 0"]),
    wat("invalid-utf8", "Its prompt isn't UTF-8.", Faults(Step::Prompt), &["invalid utf-8 sequence"]),
    wat("logs-invalid-utf8", "Logs what isn't UTF-8.", Faults(Step::Prompt), &["invalid utf-8 sequence"]),
    wat("invalid-level", "Logs at a level that there isn't.", Faults(Step::Prompt), &["unexpected discriminant: 77"]),
    wat("neither-ok-nor-error", "Its answer is neither an answer nor an error.", Faults(Step::Prompt), &["invalid expected discriminant"]),
    wat("invalid-verdict", "Its verdict is none of the three.", Faults(Step::Validate), &["trapped in validate: unexpected discriminant: 7"]),
    wat("scores-a-hundred", "Its verdict has a score that there isn't.", Faults(Step::Validate), &["options.score: 100 isn't 0 to 10"]),
    wat("deep-json", "Its verdict's options are 65,000 open brackets.", Faults(Step::Validate), &["options isn't the JSON object that is expected"]),
    wat("escapes", "Stages a file beside the workspace.", Faults(Step::Prompt), &["tasks[0].stage[0].path: `../key.md`"]),
    wat("stages-absolutely", "Stages a file of the machine.", Faults(Step::Prompt), &["tasks[0].stage[0].path: `/etc/cron.d/x` is absolute"]),
    wat("stages-twice", "Stages two files under one name.", Faults(Step::Prompt), &["tasks[0].stage[1].path: `notes.md` is there twice"]),
    wat("stages-below-a-file", "Stages a file, and another one as if the first were a folder.", Faults(Step::Prompt), &["`notes/a.md` is below `notes`, which is staged as a file"]),
    wat("stages-over-the-host", "Stages a file under a name by which the host writes its own.", Faults(Step::Prompt), &["`src/.gantry-0011223344` has a part that begins with `.gantry-`"]),
    wat("stages-deep", "Stages a file five hundred folders down.", Faults(Step::Prompt), &["has more than 64 parts"]),
    wat("root-climbs", "Publishes what lies beside the workspace.", Faults(Step::Deploy), &["sites[0].root: `../..` has a part `.` or `..`"]),
    wat("entry-climbs", "Its site's first page is a file of the machine.", Faults(Step::Deploy), &["sites[0].entry: `/etc/passwd` is absolute"]),
    wat("slug-climbs", "Its site's slug leads out of the sites.", Faults(Step::Deploy), &["sites[0].slug: `../admin` must be"]),
    wat("traps-in-start", "Runs into `unreachable` in its start function.", Lands, &["unreachable", "in begin (0x"]),
    wat("traps-in-describe", "Runs into `unreachable` in `describe`.", Lands, &["`describe` failed: wasm `unreachable`"]),
    wat("traps", "Runs into `unreachable`.", Faults(Step::Prompt), &["plugin `traps` 1.0.0 trapped in prompt", "unreachable", "in deep (0x"]),
    wat("traps-in-post-return", "Answers well, and runs into `unreachable` while it cleans up.", Faults(Step::Prompt), &["trapped in prompt", "unreachable"]),
    wat("divides-by-zero", "Divides by zero.", Faults(Step::Prompt), &["integer divide by zero"]),
    wat("calls-nothing", "Calls a function of its table that isn't there.", Faults(Step::Prompt), &["uninitialized element"]),
    wat("reads-outside", "Reads past the end of its memory.", Faults(Step::Prompt), &["out of bounds memory access"]),
    wat("says-internal", "Says that it failed itself.", Faults(Step::Prompt), &["plugin `says-internal` 1.0.0 failed in prompt: oops"]),
    wat("says-internal-at-length", "Says with a megabyte that it failed itself.", Faults(Step::Prompt), &["failed in prompt: xxx"]),
    wat("says-escape-codes", "Says with a terminal's escape codes that it failed itself.", Faults(Step::Prompt), &["failed in prompt: \u{fffd}[2J"]),
    wat("name-climbs", "Its name leads out of the folder.", Lands, &["describes itself as `../escape`"]),
    wat("long-summary", "Its summary has a megabyte.", Lands, &["a summary of more than 500 bytes"]),
    wat("long-version", "Its version has a megabyte, and is a semantic version.", Lands, &["a version of more than 100 bytes"]),
    wat("summary-of-lines", "Its summary has line ends and escape codes.", Lands, &["a summary that isn't one line of text"]),
    wat("requests-much", "Requests a hundred thousand capabilities.", Lands, &["requests more than 32 capabilities"]),
    wat("fails-self-test", "Its own test fails.", Lands, &["its self-test says: a game ended"]),
    wat("self-test-babbles", "Its own test fails with a megabyte of reasons.", Lands, &["its self-test says: xxx"]),
    wat("job-in-describe", "Asks for the job's id in `describe`, where there is none.", Lands, &["`job.id` was called from `describe`, where there is no job"]),
    wat("job-in-self-test", "Asks for the job's id in `self-test`, where there is none.", Lands, &["its self-test failed: `job.id` was called from `self-test`"]),
    wat("unknown-function", "Imports a function of `job` that came later.", Lands, &["function `shout` of gantry:phase/job@0.9.", "update the host"]),
    wat("newer-interface", "Built for a version that doesn't fit this one.", Lands, &["imports gantry:phase/job@0.1", "update the host"]),
    wat("unknown-step", "Exports a step that came later.", Lands, &["exports gantry:phase/review@0.9.2, which isn't in gantry:phase@0.9.1", "update the host"]),
    wat("mixes-lines", "Its steps are of one line of the interface, and what it imports of another.", Lands, &["mixes lines of the interface (gantry:phase/describe@0.9.0 with gantry:phase/job@0.10.0)"]),
    wat("requests-network", "Requests a capability that no host has.", Lands, &["requests `network`, which this host doesn't know"]),
    wat("wants-http", "Imports a part of WASI that no plugin gets.", Lands, &["imports wasi:http/outgoing@0.2.0"]),
    wat("describe-of-another-type", "Exports `describe`, and it is no function of the interface.", Lands, &["`describe` failed: expected `record` found `u32`"]),
    made("empty", "Has no bytes.", made::empty, &["is empty"]),
    made("header", "Ends within the first eight bytes.", made::header, &["is cut off"]),
    made("truncated", "Ends half-way, as a broken copy does.", made::truncated, &["isn't a valid component"]),
    made("corrupted", "Has a hole of zeros in its middle.", made::corrupted, &["isn't a valid component"]),
    made("bit-flipped", "Has one bit turned in its first type.", made::bit_flipped, &["isn't a valid component"]),
    made("text", "Is a script.", made::text, &["isn't wasm"]),
    made("core", "Is a core module.", made::core, &["is a core module, not a component"]),
    made("sparse", "Is two gigabytes of nothing.", made::sparse, &["has 2147483648 bytes; a plugin has at most 64 MiB"]),
    made("compiled", "Is machine code that wasmtime would load as it is (a .cwasm).", made::compiled, &["isn't wasm"]),
    made("nothing", "Is a component without anything.", made::nothing, &["doesn't export gantry:phase/describe"]),
    made("another", "Says in its manifest that it is `innocent`.", made::innocent, &["describes itself as `innocent`", "rename the file or the plugin"]),
    made("innocent@2.0.0", "Says another version than its file's name.", made::innocent, &["its file is named for 2.0.0"]),
    made("innocent@two", "Is named for a version that is none.", made::innocent, &["is named for `two`"]),
    made("Bad_Name", "Is named as no plugin may be.", made::innocent, &["isn't named NAME.wasm"]),
    made("odd", "Has a version that isn't one.", made::odd_version, &["version `one`, which isn't a semantic version"]),
    made("linked", "Is a link to a file outside of the folder.", made::linked, &["is a symbolic link"]),
    made("piped", "Is a pipe that nobody writes to.", made::piped, &["isn't a regular file"]),
];
