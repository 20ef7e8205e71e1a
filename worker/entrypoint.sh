#!/usr/bin/env bash
# Runs Claude Code once, by the worker's contract (README.md beside this file).
# It never judges the work: exit status 0 says that the agent ended well, and
# `validate` decides from outside what the agent's files are worth.
#
# Everything that waits is a process of its own that acts by itself (timers, the
# filter), so that the main line only ever waits for the CLI and no signal is lost.
set -u
set -m # each background job gets its own process group, which can be ended whole
export LC_ALL=C.UTF-8
umask 022

: "${OUTPUT_LIMIT_BYTES:=67108864}" # of agent.jsonl; the result line may go beyond it
: "${STOP_GRACE_SECONDS:=4}"        # between TERM and KILL
: "${LINGER_SECONDS:=10}"           # what the CLI gets after its result line
: "${SESSION_LIMIT_BYTES:=67108864}"
: "${CLAUDE_CODE_MAX_RETRIES:=9}" # pauses double up to 32 s: about two minutes in all

# What a session that is gone on with is told; it has the prompt already.
GO_ON="You were cut off before the work was finished, and are now going on in the same session. What was
under way at that moment may have taken effect in part or not at all: look at the files before you rely on
them. Then finish the task as it was given to you above."
# What a session of an earlier attempt is told, with the prompt after it.
AGAIN="You have worked on this task before, in this conversation. It is given to you again below, as it is now: with
what was wrong with the work, or is wanted otherwise, where somebody said so. Files may have changed since you last
saw them: look at them before you rely on them."

started_at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
run_dir='' cli='' ended_by='' config_dir='' begun_from=''
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd) # before the working folder is another's

say() { printf 'worker: %s\n' "$*" >&2; }

# A JSON string of what may hold anything: printable ASCII stays, the rest is "?".
json_string() {
  local LC_ALL=C text=${1:0:500}
  text=${text//[^ -~]/?}
  text=${text//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

# write_status STATE REASON: by rename, so that no reader ever sees half a file.
write_status() {
  [ -n "${OUT_DIR:-}" ] && [ -d "$OUT_DIR" ] && [ -w "$OUT_DIR" ] || return 0
  local reason=null finished=null
  [ -n "$2" ] && reason=$(json_string "$2")
  [ "$1" != running ] && finished="\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\""
  printf '{"phase":%s,"task":%s,"state":"%s","reason":%s,"started_at":"%s","finished_at":%s}\n' \
    "$(json_string "${PHASE:-}")" "$(json_string "${TASK:-}")" "$1" "$reason" \
    "$started_at" "$finished" >"$OUT_DIR/.status.json.$$" &&
    mv -f "$OUT_DIR/.status.json.$$" "$OUT_DIR/status.json"
}

# finish STATUS STATE REASON: the only way out.
finish() {
  trap '' TERM INT HUP
  collect_sessions "$1"
  [ -n "$3" ] && say "$3"
  write_status "$2" "$3"
  [ -n "$run_dir" ] && rm -rf "$run_dir"
  [ -n "$config_dir" ] && rm -rf "$config_dir"
  exit "$1"
}

refuse() { finish 64 failed "$1"; }
fail() { finish 1 failed "$1"; }

check_inputs() {
  local name
  for name in PHASE TASK JOB_ID JOB_NAME WORKSPACE_DIR PROMPT_FILE OUT_DIR SESSION_DIR \
    MODEL_SOCKET MODEL_TOKEN MODEL PERMISSIONS SESSION_ID RESUME TIMEOUT_SECONDS; do
    [ -n "${!name:-}" ] || refuse "$name is missing: the worker's contract requires it"
  done
  case $PERMISSIONS in full | edit) ;; *) refuse "PERMISSIONS is neither edit nor full" ;; esac
  case $RESUME in 0 | 1) ;; *) refuse "RESUME is neither 0 nor 1" ;; esac
  case $TIMEOUT_SECONDS in
    *[!0-9]* | 0) refuse "TIMEOUT_SECONDS is not a whole number of seconds above 0" ;;
  esac
  case ${MAX_TURNS:-1} in
    *[!0-9]* | 0) refuse "MAX_TURNS is not a whole number above 0" ;;
  esac
  case $SESSION_ID${SESSION_FROM:-} in
    *[!0-9A-Za-z-]*) refuse "SESSION_ID or SESSION_FROM is not a UUID" ;;
  esac
}

check_surroundings() {
  [ -d "$OUT_DIR" ] && [ -w "$OUT_DIR" ] || fail "OUT_DIR $OUT_DIR is not a folder that can be written to"
  [ -f "$PROMPT_FILE" ] && [ -r "$PROMPT_FILE" ] || fail "PROMPT_FILE $PROMPT_FILE cannot be read"
  cd -- "$WORKSPACE_DIR" 2>/dev/null || fail "WORKSPACE_DIR $WORKSPACE_DIR is not a folder that can be entered"
  command -v claude >/dev/null || fail "no claude on PATH: install it with npm install -g @anthropic-ai/claude-code"
  if [ -z "${HOME:-}" ] || [ ! -d "$HOME" ] || [ ! -w "$HOME" ]; then
    HOME=${TMPDIR:-/tmp}
  fi
  export HOME
  run_dir=$(mktemp -d "${TMPDIR:-/tmp}/gantry-run.XXXXXXXX") || fail "no folder can be made in ${TMPDIR:-/tmp}"
  config_dir=$(mktemp -d "$HOME/.gantry-claude.XXXXXXXX") || fail "no folder can be made in $HOME"
  mkfifo "$run_dir/out" "$run_dir/err" "$run_dir/ended" || fail "no pipe can be made in $run_dir"
}

# The CLI's folder is new each time: a hook or a setting that an earlier run left
# is never read. The one session file is a link into SESSION_DIR, so that it also
# outlives a run that is killed. The session of an earlier attempt is a copy there,
# of which the CLI makes this one. What can't be gone on with starts anew.
prepare_config() {
  printf '{"disableAllHooks":true,"includeCoAuthoredBy":false}\n' >"$config_dir/settings.json"
  local project earlier=0 asked kept='' file mended
  project=$(pwd -P | LC_ALL=C sed 's/[^0-9A-Za-z]/-/g')
  mkdir -p "$config_dir/projects/$project" "$SESSION_DIR/projects/$project" 2>/dev/null ||
    fail "SESSION_DIR $SESSION_DIR cannot be written to"
  if [ -n "${SESSION_FROM:-}" ]; then
    mended=$config_dir/projects/$project/$SESSION_FROM.jsonl
    for file in "$SESSION_DIR"/projects/*/"$SESSION_FROM.jsonl"; do
      usable "$file" && asked=$(mend "$file" "$mended") && begun_from=$SESSION_FROM earlier=$asked && break
      rm -f -- "$mended"
    done
  fi
  mended=$SESSION_DIR/projects/$project/.mended
  for file in "$SESSION_DIR"/projects/*/"$SESSION_ID.jsonl"; do
    # One that was cut off before this attempt's prompt was in it is worth no more than the earlier one.
    if [ "$RESUME" = 1 ] && usable "$file" && asked=$(mend "$file" "$mended") && [ "$asked" -gt "$earlier" ] &&
      mv -f -- "$mended" "$file"; then
      kept=$file
    else
      rm -f -- "$file" "$mended"
    fi
  done
  if [ -n "$kept" ]; then
    say "going on with session $SESSION_ID"
    [ -n "$begun_from" ] && rm -f -- "$config_dir/projects/$project/$begun_from.jsonl"
    begun_from=''
  else
    [ "$RESUME" = 1 ] && say "nothing is left of session $SESSION_ID to go on with: starting it anew"
    [ -n "$begun_from" ] && say "going on from session $begun_from, of an earlier attempt"
    [ -n "${SESSION_FROM:-}" ] && [ -z "$begun_from" ] && say "nothing is left of session $SESSION_FROM to go on from"
    RESUME=0 kept=$SESSION_DIR/projects/$project/$SESSION_ID.jsonl
  fi
  ln -s "$(realpath -m -- "$kept")" "$config_dir/projects/$project/$SESSION_ID.jsonl" ||
    fail "the session file cannot be linked in"
}

usable() { [ -f "$1" ] && [ ! -L "$1" ] && small_enough "$1"; }

small_enough() {
  [ "$(wc -c <"$1")" -le "$SESSION_LIMIT_BYTES" ] && return
  say "a session file of more than $SESSION_LIMIT_BYTES bytes is not kept: $(basename -- "$1")"
  return 1
}

# mend FROM TO: copies a session without what can't be read or would be read wrongly, and prints
# how many prompts are in it. False where there is none: the CLI finds no conversation there.
mend() {
  rm -f -- "$2"
  perl -e "$FIELDS$MEND" "$1" "$2"
}

# What the CLI wrote beside the link (it may replace a file by rename) goes back too. After a
# run that ended well, that holds all that was said in the session of the attempt before.
collect_sessions() {
  [ -n "$config_dir" ] && [ -d "$config_dir/projects" ] || return 0
  local file folder
  for file in "$config_dir"/projects/*/"$SESSION_ID.jsonl"; do
    [ -f "$file" ] || continue
    small_enough "$file" || { [ -L "$file" ] && rm -f -- "$(realpath -- "$file")"; continue; }
    [ "$1" = 0 ] && [ -n "${SESSION_FROM:-}" ] && rm -f -- "$SESSION_DIR"/projects/*/"$SESSION_FROM.jsonl"
    [ -L "$file" ] && continue
    folder=$SESSION_DIR/projects/$(basename -- "$(dirname -- "$file")")
    mkdir -p "$folder" && cp -f -- "$file" "$folder/.new.$$" &&
      mv -f -- "$folder/.new.$$" "$folder/$(basename -- "$file")"
  done
}

# The outermost fields of one JSON object that hold strings or words. Escapes are
# dissolved first, so that each string ends at its next quotation mark.
# shellcheck disable=SC2016 # the dollar signs are Perl's
FIELDS='
use strict; use warnings;
my %plain = (n => " ", r => " ", t => " ", b => " ", f => " ", u => "?", "\"" => "`");
sub fields { my ($line) = @_; my (%field, $key); my ($depth, $wants) = (0, 0);
  $line =~ s{\\(.)}{$plain{$1} // $1}ges;
  while ($line =~ /\G[\s:]*(?:"([^"]*)"|([{}\[\],])|([^\s:{}\[\],"]+))/gc) {
    if (defined $2) {
      if ($2 eq "{" || $2 eq "[") { $wants = ++$depth == 1 }
      elsif ($2 eq ",") { $wants = $depth == 1; $key = undef if $wants }
      else { $depth-- }
      next }
    next unless $depth == 1;
    my $text = $1 // $3;
    if ($wants) { $key = $text; $wants = 0 } elsif (defined $key) { $field{$key} = $text } }
  return \%field }
'

# Copies the whole lines of a session: who is killed leaves half a line, and a machine
# that goes off may leave zeros. What the session has cost so far stays out, or the CLI
# would count it once more as this run's.
# shellcheck disable=SC2016 # the dollar signs are Perl's
MEND='
my ($from, $to) = @ARGV; my $asked = 0; umask 077;
open(my $in, "<", $from) or exit 1;
open(my $out, ">", $to) or exit 1;
while (my $line = <$in>) {
  next unless $line =~ /^\{[^\0]*\}\n\z/;
  my $prompt = $line =~ /"user"/ && $line !~ /"tool_result"/;
  my $field = $prompt || $line =~ /"cost-state"/ ? fields($line) : {};
  my $type = $field->{type} // "";
  next if $type eq "cost-state";
  $asked++ if $prompt && $type eq "user" && ($field->{isMeta} // "") ne "true";
  print $out $line or exit 1 }
close $out or exit 1;
print $asked;
exit($asked ? 0 : 1);
'

# Reads the CLI's lines, keeps them up to the limit, and past it only the result
# line, while it goes on reading so that the CLI is never blocked. The verdict is
# taken here, from the line itself, and not from a file that others can write.
# shellcheck disable=SC2016 # the dollar signs are Perl's
FILTER='
my ($limit, $out, $verdict) = @ARGV;
my ($used, $reserve, $full, $skip, $told, $buffer) = (0, 1 << 20, 0, 0, 0, "");
open(my $bell, ">&=", 3) or die "worker: no bell: $!\n";
open(my $sink, ">", $out) or die "worker: $out: $!\n";
sub put { my ($line) = @_; my $at = 0;
  while ($at < length $line) { my $n = syswrite($sink, $line, length($line) - $at, $at);
    unless (defined $n) { print STDERR "worker: agent.jsonl: $!\n" unless $told++; return } $at += $n } }
sub judge { my ($line) = @_; my $field = fields($line);
  return 0 unless ($field->{type} // "") eq "result";
  my ($kind, $error) = ($field->{subtype} // "none", $field->{is_error} // "none");
  my $text = $field->{result} // "";
  open(my $file, ">", "$verdict.new") or return 1;
  print $file ($error eq "false" && $kind !~ /^error/ ? "done\n" : "failed\n"), "$kind: ", substr($text, 0, 300), "\n";
  close $file; rename "$verdict.new", $verdict;
  if ($bell) { syswrite($bell, "result\n"); close $bell; undef $bell }
  return 1 }
sub fill { return if $full++;
  print STDERR "worker: more than $limit bytes of output: the rest of it is dropped\n" }
sub take { my ($line) = @_;
  my $result = $line =~ /"type"\s*:\s*"result"/ && judge($line);
  fill() if $used + length $line > $limit;
  if (!$full) { $used += length $line; put($line) }
  elsif ($result) { if (length $line <= $reserve) { $reserve -= length $line; put($line) }
    else { print STDERR "worker: a result line that is too long is dropped\n" } } }
while (my $n = sysread(STDIN, $buffer, 65536, length $buffer)) {
  my $from = length($buffer) - $n;
  while ((my $end = index($buffer, "\n", $from)) >= 0) {
    my $line = substr($buffer, 0, $end + 1, ""); $from = 0;
    if ($skip) { $skip = 0; next } take($line) }
  if (length $buffer > $limit + (1 << 20)) { fill(); $skip = 1; $buffer = "" } }
take("$buffer\n") if length $buffer && !$skip;
'

# Does nothing where this process is gone: the number may be another group's by then.
end_agent() {
  kill -0 "$$" 2>/dev/null || return
  kill -TERM -- "-$cli" 2>/dev/null
  sleep "$STOP_GRACE_SECONDS"
  kill -KILL -- "-$cli" 2>/dev/null
}

# stop_after SECONDS [FILE]: ends the CLI then, first kindly; FILE says that it was so.
stop_after() {
  (
    sleep "$1"
    [ -n "${2:-}" ] && : >"$2"
    end_agent
  ) &
  timers="$timers $!"
  disown # bash need not report how it ends
}

# shellcheck disable=SC2329 # the trap calls it
on_stop() {
  [ -n "$ended_by" ] && return
  ended_by=terminated
  [ -n "$cli" ] && stop_after 0
}

# What the agent's tools started carries the run's mark in its environment, also
# when it left the process group. Only Linux shows it; a container ends them anyway.
sweep() {
  local found
  for _ in 1 2 3; do
    found=$(grep -lazx -e "GANTRY_RUN_MARK=$mark" /proc/[0-9]*/environ 2>/dev/null |
      sed 's|^/proc/\([0-9]*\)/environ$|\1|')
    [ -n "$found" ] || return 0
    # shellcheck disable=SC2086 # a list of numbers
    kill -KILL $found 2>/dev/null
  done
}

# Nothing of the provider's settings that this process may have inherited reaches
# the CLI: it has one socket, one token and one model.
clean_environment() {
  local name
  for name in $(compgen -e); do
    case $name in
      CLAUDE_CODE_MAX_RETRIES) ;;
      ANTHROPIC_* | CLAUDE* | ZAI_* | API_TOKEN* | DATABASE_URL* | REDIS_URL* | AWS_* | GANTRY_TOKEN*) unset "$name" ;;
    esac
  done
  export ANTHROPIC_UNIX_SOCKET=$MODEL_SOCKET ANTHROPIC_BASE_URL=http://localhost
  export ANTHROPIC_AUTH_TOKEN=$MODEL_TOKEN CLAUDE_CONFIG_DIR=$config_dir CLAUDE_CODE_MAX_RETRIES
  export ANTHROPIC_SMALL_FAST_MODEL=$MODEL ANTHROPIC_DEFAULT_HAIKU_MODEL=$MODEL
  export ANTHROPIC_DEFAULT_SONNET_MODEL=$MODEL ANTHROPIC_DEFAULT_OPUS_MODEL=$MODEL CLAUDE_CODE_SUBAGENT_MODEL=$MODEL
  export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_TELEMETRY=1 DISABLE_AUTOUPDATER=1
  export DISABLE_ERROR_REPORTING=1 CLAUDE_CODE_DISABLE_AUTO_MEMORY=1 CLAUDE_CODE_DISABLE_BACKGROUND_TASKS=1
  export NO_PROXY="localhost,127.0.0.1${NO_PROXY:+,$NO_PROXY}"
  unset MODEL_TOKEN MODEL_SOCKET
}

start_agent() {
  local flags=(-p --output-format stream-json --verbose --include-partial-messages
    --model "$MODEL" --setting-sources user --strict-mcp-config)
  local prompt=$PROMPT_FILE
  if [ "$RESUME" = 1 ]; then
    flags+=("--resume=$SESSION_ID") prompt=$run_dir/go-on
    printf '%s\n' "$GO_ON" >"$prompt" || fail "no file can be made in $run_dir"
  else
    flags+=("--session-id=$SESSION_ID")
    if [ -n "$begun_from" ]; then
      flags+=("--resume=$begun_from" --fork-session) prompt=$run_dir/again
      { printf '%s\n\n' "$AGAIN" && cat -- "$PROMPT_FILE"; } >"$prompt" || fail "no file can be made in $run_dir"
    fi
  fi
  [ -n "${MAX_TURNS:-}" ] && flags+=(--max-turns "$MAX_TURNS")
  if [ "$PERMISSIONS" = full ]; then flags+=(--dangerously-skip-permissions); else flags+=(--permission-mode acceptEdits); fi

  exec 3<>"$run_dir/ended" # both ends, so that neither side waits for the other
  perl -e "$FIELDS$FILTER" "$OUTPUT_LIMIT_BYTES" "$OUT_DIR/agent.jsonl" "$run_dir/verdict" <"$run_dir/out" &
  filters=$!
  {
    last=''
    while IFS= read -r line || [ -n "$line" ]; do
      printf '%s\n' "$line" >&2
      [ -n "$line" ] && last=$line
    done <"$run_dir/err"
    printf '%s' "$last" >"$run_dir/last"
  } &
  filters="$filters $!"
  local tied=() # the CLI ends with this process, where the system can see to it
  setpriv --pdeathsig KILL true 2>/dev/null && tied=(setpriv --pdeathsig KILL)
  local bridged=() # where the phase lists names, its tools find a proxy
  [ -n "${PROXY_SOCKET:-}" ] && bridged=("$here/proxy-bridge")
  env "GANTRY_RUN_MARK=$mark" "${tied[@]}" "${bridged[@]}" claude "${flags[@]}" \
    <"$prompt" >"$run_dir/out" 2>"$run_dir/err" 3>&- &
  cli=$!
  [ -n "$ended_by" ] && stop_after 0
  stop_after "$TIMEOUT_SECONDS" "$run_dir/out-of-time"
  # The result line rings; from then on the CLI has a little time to end.
  (
    until read -r -t 5 _ <&3; do kill -0 "$$" 2>/dev/null || exit; done
    sleep "$LINGER_SECONDS"
    : >"$run_dir/lingered"
    end_agent
  ) &
  timers="$timers $!"
  disown # bash need not report how it ends
}

# A trapped signal ends `wait` early: it is asked again until the CLI is gone.
wait_for_agent() {
  while :; do
    wait "$cli"
    cli_status=$?
    kill -0 "$cli" 2>/dev/null || break
  done 2>/dev/null
  wait "$cli" 2>/dev/null
  local last=$?
  [ "$last" -ne 127 ] && cli_status=$last
  cli=''
  local pid
  for pid in $timers; do kill -KILL -- "-$pid" 2>/dev/null; done
  sweep
  # Whoever still holds the pipes open does not hold up the end of the run.
  ( sleep 2; for pid in $filters; do kill -KILL -- "-$pid"; done ) 2>/dev/null &
  local drain=$!
  disown
  for pid in $filters; do
    while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
  done 2>/dev/null
  kill -KILL -- "-$drain" 2>/dev/null
}

conclude() {
  trap '' TERM INT HUP
  local verdict='' detail=''
  [ -f "$run_dir/verdict" ] && { read -r verdict; IFS= read -r detail; } <"$run_dir/verdict"
  [ -n "$ended_by" ] && finish 143 failed terminated
  if [ -n "$verdict" ]; then
    [ -e "$run_dir/lingered" ] && say "claude had not ended $LINGER_SECONDS s after its result and was ended" && cli_status=0
    [ -e "$run_dir/out-of-time" ] && cli_status=0
    [ "$verdict" = "done" ] || fail "the agent's result is an error ($detail)"
    [ "$cli_status" -eq 0 ] || fail "claude ended with status $cli_status after its result"
    finish 0 completed ''
  fi
  [ -e "$run_dir/out-of-time" ] && finish 124 failed "out of time: the limit is $TIMEOUT_SECONDS s"
  detail=$(tail -c 300 "$run_dir/last" 2>/dev/null)
  [ "$cli_status" -eq 137 ] && detail="killed, perhaps out of memory"
  fail "claude ended with status $cli_status and no result line${detail:+ ($detail)}"
}

trap on_stop TERM INT HUP
timers='' filters='' cli_status=1
check_inputs
write_status running ''
check_surroundings
prepare_config
mark=$SESSION_ID.$$.$RANDOM$RANDOM
clean_environment
[ -n "$ended_by" ] && finish 143 failed terminated
start_agent
wait_for_agent
conclude
