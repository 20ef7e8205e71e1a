# Attempts to get out of where this runs: `perl probe.pl out=FILE NAME=VALUE… ATTEMPT…`. A line each:
# the attempt, a tab, and `through …` with what it got, or `held …` with why it got nothing. Each runs
# in a process of its own, for some seconds at most, and leaves nothing running but `afterlife`, which
# is meant to. What an attempt reaches for is given to it: it belongs to the test.
use strict;
use warnings;
use Fcntl qw(:DEFAULT :mode);
use Errno;
use POSIX ();
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);

my %given  = map  { split /=/, $_, 2 } grep { /^[a-z0-9-]+=/ } @ARGV;
my @wanted = grep { !/^[a-z0-9-]+=/ } @ARGV;
my %attempt;

sub held { die(($_[0] // "$!") . "\n") }

# Raw system calls: that of this machine.
my %number = %{ {
  x86_64 => { socket => 41, unshare => 272, mount => 165, setns => 308, keyctl => 250, syslog => 103,
    open_by_handle_at => 304, mknodat => 259, chroot => 161, io_uring_setup => 425 },
  aarch64 => { socket => 198, unshare => 97, mount => 40, setns => 268, keyctl => 219, syslog => 116,
    open_by_handle_at => 265, mknodat => 33, chroot => 51, io_uring_setup => 425 },
}->{ (POSIX::uname())[4] } // {} };

# A call that is refused as such; any other error is the kernel's who has looked at it.
sub refused {
  my ($name, @args) = @_;
  my $number = $number{$name} // held("no number of `$name` is known here");
  return "through $name" if syscall($number, @args) >= 0;
  held() if $!{EPERM};
  return "through $name, as far as: $!";
}

# --- sockets -----------------------------------------------------------------------------------

sub connected {
  my ($family, $kind, $to) = @_;
  socket(my $socket, $family, $kind, 0) or held();
  connect($socket, $to) or held();
  return $socket;
}

# What is said there to who asks.
sub greeting {
  my ($socket, $request) = @_;
  send($socket, $request, MSG_NOSIGNAL) // held();
  recv($socket, my $said, 4096, 0) // held();
  held('it says nothing') if $said eq '';
  $said =~ s/\r?\n.*//s;
  return "through to: $said";
}

sub internet { my ($at) = @_; $at =~ /^(.*):(\d+)$/ ? ($1, $2) : held("`$at` is no address") }

my $GET = "GET /_ping HTTP/1.0\r\n\r\n";
for my $name (qw(tcp4 far-tcp4 own-tcp4)) {
  $attempt{$name} = sub { my ($host, $port) = internet($given{$name});
    greeting(connected(AF_INET, SOCK_STREAM, pack_sockaddr_in($port, inet_aton($host))), $GET) };
}
for my $name (qw(udp4 far-udp4)) {
  $attempt{$name} = sub { my ($host, $port) = internet($given{$name});
    my $ask = "\0\1\1\0\0\1\0\0\0\0\0\0\6listed\4test\0\0\1\0\1"; # a question for a name server
    greeting(connected(AF_INET, SOCK_DGRAM, pack_sockaddr_in($port, inet_aton($host))), $ask)
      =~ s/[^ -~]/./gr };
}
$attempt{tcp6} = sub { my ($host, $port) = internet($given{tcp6});
  greeting(connected(AF_INET6, SOCK_STREAM, pack_sockaddr_in6($port, inet_pton(AF_INET6, $host))), $GET) };
$attempt{abstract} = sub { greeting(connected(AF_UNIX, SOCK_STREAM, pack_sockaddr_un("\0$given{abstract}")), $GET) };
for my $name (qw(engine neighbour-socket)) {
  $attempt{$name} = sub {
    my $last;
    for my $path (split /,/, $given{$name}) {
      my $said = eval { greeting(connected(AF_UNIX, SOCK_STREAM, pack_sockaddr_un($path)), $GET) };
      return $said if defined $said;
      $last = $@;
    }
    die $last };
}
$attempt{interfaces} = sub {
  my @there = map { /^\s*([^:\s]+):/ ? $1 : () } lines('/proc/net/dev');
  my @other = grep { $_ ne 'lo' } @there;
  return "through @other" if @other;
  held("only @there") };
$attempt{vsock}  = sub { refused('socket', 40, 1, 0) };
$attempt{packet} = sub { refused('socket', 17, 3, 0x300) };
$attempt{raw}    = sub { refused('socket', 2, 3, 1) };
$attempt{alg}    = sub { refused('socket', 38, 5, 0) };
$attempt{unix}   = sub { refused('socket', 1, 1, 0) };

# A name that only the proxy resolves.
for my $name (qw(private-name metadata-name listed-name)) {
  $attempt{$name} = sub {
    my ($host, $port) = ($ENV{HTTPS_PROXY} // held('no proxy')) =~ m{^http://(.*):(\d+)$};
    my $proxy = connected(AF_INET, SOCK_STREAM, pack_sockaddr_in($port, inet_aton($host)));
    my $said = greeting($proxy, "CONNECT $given{$name} HTTP/1.1\r\nhost: $given{$name}\r\n\r\n");
    return $said if $said =~ / 200/;
    held($said) };
}

# --- what is to be read ------------------------------------------------------------------------

sub lines { my ($path) = @_; open(my $file, '<', $path) or held(); my @lines = <$file>; return @lines }
sub slurp { my ($path) = @_; open(my $file, '<', $path) or return; local $/; return scalar <$file> }
sub pids { grep { $_ != $$ && $_ != getppid() } map { m{/(\d+)$} } glob('/proc/[0-9]*') }

# Every file and folder below, links not followed.
sub walk {
  my ($visit, @todo) = @_;
  while (defined(my $path = shift @todo)) {
    my @stat = lstat $path or next;
    $visit->($path, $stat[2], $stat[7]);
    next unless S_ISDIR($stat[2]);
    next if $path =~ m{^/(proc|sys|usr)$};
    opendir(my $folder, $path) or next;
    push @todo, map { $path eq '/' ? "/$_" : "$path/$_" } grep { !/^\.\.?$/ } readdir $folder;
  }
}

# Where a text stands that these processes and files hold; spelt backwards, or this would find itself.
sub search {
  my ($text) = @_;
  my ($looked, @found) = (0);
  for my $pid (pids()) {
    for my $file (qw(environ cmdline)) {
      my $held = slurp("/proc/$pid/$file") // next;
      $looked++;
      push @found, "/proc/$pid/$file" if index($held, $text) >= 0;
    }
    push @found, "/proc/$pid/mem" if in_memory($pid, $text);
  }
  walk(sub { my ($path, $mode, $size) = @_;
    return unless S_ISREG($mode) && $size <= 1 << 20;
    my $held = slurp($path) // return;
    $looked++;
    push @found, $path if index($held, $text) >= 0 }, '/');
  return "through @found" if @found;
  held("not in $looked places");
}

sub in_memory {
  my ($pid, $text) = @_;
  my $maps = slurp("/proc/$pid/maps") // return 0;
  sysopen(my $memory, "/proc/$pid/mem", O_RDONLY) or return 0;
  my $left = 16 << 20;
  for ($maps =~ /^(\S+-\S+ rw.*)$/mg) {
    my ($from, $to) = map { hex } /^([0-9a-f]+)-([0-9a-f]+)/;
    next if $to - $from > $left;
    $left -= $to - $from;
    sysseek($memory, $from, 0) or next;
    my $read = sysread($memory, my $held, $to - $from) or next;
    return 1 if index($held, $text) >= 0;
  }
  return 0;
}

for my $name (qw(key neighbour-token)) {
  $attempt{$name} = sub { search(scalar reverse $given{$name}) };
}
$attempt{'own-token'} = sub { search($ENV{ANTHROPIC_AUTH_TOKEN} // held('no token')) };

$attempt{sockets} = sub {
  my @found;
  walk(sub { push @found, $_[0] if S_ISSOCK($_[1]) }, '/');
  @found = grep { !m{^/tmp/cc-socks/} } @found; # the CLI's own, of its making
  my @other = grep { $_ ne '/run/gantry/model.sock' } @found;
  return "through @other" if @other;
  held("only @found") };

# A file of the host's, by every way that could lead to it.
for my $name (qw(host-file neighbour-file)) {
  $attempt{$name} = sub {
    my $path = $given{$name};
    my @ways = ($path, "/proc/1/root$path", "/proc/$$/root/..$path", "/workspace/../..$path",
      "/run/gantry/../../../..$path", "/dev/fd/../../../..$path", "/proc/1/cwd/../../../..$path");
    for my $way (@ways) { my $held = slurp($way); return "through $way: $held" if defined $held }
    held() };
}
$attempt{'host-process'} = sub {
  my @all = pids();
  for my $pid (@all) { return "through $pid" if (slurp("/proc/$pid/comm") // '') eq "gantry\n" }
  held('not among ' . @all . ' processes') };
$attempt{devices} = sub {
  my %harmless = map { $_ => 1 } qw(null zero full random urandom tty console ptmx);
  my (@there, @other);
  walk(sub { push @there, $1 if $_[0] =~ m{^/dev/(.*)} && (S_ISCHR($_[1]) || S_ISBLK($_[1])) }, '/dev');
  @other = grep { !$harmless{$_} && !m{^pts/} } @there;
  return "through @other" if @other;
  held("only @there") };
$attempt{'kernel-log'} = sub {
  for my $path (qw(/dev/kmsg /proc/kmsg)) { return "through $path" if sysopen(my $log, $path, O_RDONLY | O_NONBLOCK) }
  refused('syslog', 10, 0, 0) };

# --- what is to be written ---------------------------------------------------------------------

sub opens { my ($path, $how) = @_; return sysopen(my $file, $path, $how, 0644) }
sub makes { my ($path) = @_; return opens($path, O_WRONLY | O_CREAT | O_EXCL) && unlink $path }

$attempt{root} = sub {
  my @open = grep { makes($_) } qw(/probe /etc/probe /usr/local/bin/probe /var/tmp/probe /opt/probe);
  return "through @open" if @open;
  held() };
$attempt{'run-folder'} = sub {
  my @open = grep { opens($_, O_WRONLY) } qw(/run/gantry/prompt.md);
  push @open, grep { makes($_) } qw(/run/gantry/probe);
  push @open, 'its socket' if unlink '/run/gantry/model.sock';
  return "through @open" if @open;
  held() };
# Opened and never written to.
$attempt{'kernel-files'} = sub {
  opens('/proc/self/oom_score_adj', O_WRONLY) or return "through nothing: not even its own opens";
  my @limits = map { glob("/sys/fs/cgroup/$_") } qw(memory.max memory/memory.limit_in_bytes pids.max pids/pids.max cgroup.procs */cgroup.procs */release_agent);
  my @open = grep { opens($_, O_WRONLY) } qw(/proc/sys/kernel/core_pattern /proc/sysrq-trigger
    /proc/sys/vm/overcommit_memory /sys/kernel/uevent_helper /sys/power/state), @limits;
  return "through @open" if @open;
  held("only its own, of 5 and " . @limits) };
$attempt{'tmp-write'} = sub { makes('/tmp/probe-write') ? "through /tmp" : held() };

# --- privileges and namespaces -----------------------------------------------------------------

$attempt{unshare} = sub { refused('unshare', 0x10000000) };
$attempt{mount}   = sub { refused('mount', 'none', '/tmp', 'tmpfs', 0, 0) };
$attempt{chroot}  = sub { refused('chroot', '/tmp') };
$attempt{keyctl}  = sub { refused('keyctl', 0, -3, 1) };
$attempt{device}  = sub { refused('mknodat', -100, '/tmp/probe-null', 0020666, 259) };
$attempt{setns}   = sub { sysopen(my $of, '/proc/1/ns/net', O_RDONLY) or held(); refused('setns', fileno($of), 0) };
$attempt{handle}  = sub { refused('open_by_handle_at', -100, pack('L l a8', 8, 1, 'nothing.'), 0) };
$attempt{io_uring} = sub {
  my $off = slurp('/proc/sys/kernel/io_uring_disabled') // 0;
  return refused('io_uring_setup', 1, "\0" x 200) if $off == 0 || !$given{open};
  return 'through, but for a kernel that has it turned off' };

# A program of root's with the bit: whom it runs as, seen before it is reaped.
$attempt{setuid} = sub {
  my ($program) = grep { -u $_ && !(stat $_)[4] } qw(/usr/bin/su /bin/su /usr/bin/passwd /usr/bin/mount) or held('no such program');
  my $child = fork // held();
  if (!$child) {
    if (!$>) { POSIX::setgid(12345); POSIX::setuid(12345) }
    open($_->[0], $_->[1], '/dev/null') for [*STDIN, '<'], [*STDOUT, '>'], [*STDERR, '>'];
    exec { $program } $program, '-c', 'id' or POSIX::_exit(127);
  }
  my $status = '';
  for (1 .. 200) { $status = slurp("/proc/$child/status") // ''; last if $status =~ /^State:\s+Z/m; select undef, undef, undef, 0.02 }
  kill KILL => $child;
  waitpid $child, 0;
  my ($effective) = $status =~ /^Uid:\s+\d+\s+(\d+)/m or held('it was never seen');
  return "through: $program ran as root" if $effective == 0;
  held("$program ran as itself, like any other") };

# --- limits ------------------------------------------------------------------------------------

# Bounded, and over as soon as this attempt is.
$attempt{forks} = sub {
  my @children;
  for (1 .. 700) {
    my $child = fork;
    last unless defined $child;
    if (!$child) { sleep 20; POSIX::_exit(0) }
    push @children, $child;
  }
  kill KILL => @children;
  waitpid $_, 0 for @children;
  my $count = @children;
  return "through: $count processes" if $count == 700;
  held($count >= 20 ? 'some processes, and then no more' : "only $count processes") };

sub takes_memory {
  my ($mib) = @_;
  my $child = fork // held();
  if (!$child) {
    # Whoever is in want of memory ends this one first.
    if (open(my $score, '>', '/proc/self/oom_score_adj')) { print $score "1000\n"; close $score }
    my $held = '';
    $held .= 'x' x (8 << 20) for 1 .. $mib / 8;
    POSIX::_exit(0);
  }
  waitpid $child, 0;
  return "through: $mib MiB" if $? == 0;
  held(sprintf 'ended by signal %d', $? & 127);
}
$attempt{'memory-little'} = sub { takes_memory(64) };
$attempt{memory}          = sub { takes_memory($given{memory}) };

for my $place (['tmp', '/tmp'], ['home', $ENV{HOME} // '/']) {
  my ($name, $folder) = @$place;
  $attempt{$name} = sub {
    sysopen(my $file, "$folder/probe-fill", O_WRONLY | O_CREAT) or held();
    my ($piece, $mib, $why) = ('x' x (1 << 20), 0);
    while ($mib < 300) { my $wrote = syswrite($file, $piece) // do { $why = "$!"; last }; $mib++ if $wrote == 1 << 20 }
    unlink "$folder/probe-fill";
    return "through: $mib MiB" if $mib == 300;
    held(($mib >= 64 ? 'full: ' : "full at $mib MiB: ") . ($why // 'no more')) };
}
$attempt{'file-size'} = sub {
  local $SIG{XFSZ} = 'IGNORE';
  my $path = ($given{folder} // '.') . '/probe-sparse';
  sysopen(my $file, $path, O_WRONLY | O_CREAT) or held();
  unlink $path; # nothing stays, however this ends
  truncate($file, 1 << 30) or return "through nothing: not even a gibibyte: $!";
  return 'through: more than a gibibyte' if truncate($file, (1 << 30) + 1);
  held() };

# --- the model's socket ------------------------------------------------------------------------

sub ask {
  my ($line, $body, $token) = @_;
  $token //= $ENV{ANTHROPIC_AUTH_TOKEN} // '';
  my $socket = connected(AF_UNIX, SOCK_STREAM, pack_sockaddr_un($ENV{ANTHROPIC_UNIX_SOCKET} // held('no socket')));
  my $head = "$line HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
  $head .= "authorization: Bearer $token\r\n" if $token ne '';
  my $request = $head . 'content-length: ' . length($body) . "\r\n\r\n$body";
  syswrite($socket, $request) // held();
  my $answer = do { local $/; <$socket> } // '';
  my ($status) = $answer =~ m{^HTTP/1.1 (\d+)} or held('no answer');
  my ($words) = $answer =~ /"message":"((?:[^"\\]|\\.)*)"/;
  return "through: $status" if $status == 200;
  held("$status " . ($words // ''));
}

sub body {
  my ($more, $said, $model) = @_;
  $said //= '"plain"';
  $model //= $ENV{MODEL};
  return qq({"model":"$model","max_tokens":16,"messages":[{"role":"user","content":$said}]$more});
}

my $POST = 'POST /v1/messages';
my %asks = (
  'ask' => sub { ask($POST, body('')) },
  'ask-elsewhere' => sub { ask("POST http://127.0.0.1:9/v1/complete", body('')) },
  'ask-server-tool' => sub { ask($POST, body(',"tools":[{"type":"web_search_20250305","name":"web_search"}]')) },
  'ask-fetch-tool' => sub { ask($POST, body(',"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]')) },
  'ask-code-tool' => sub { ask($POST, body(',"tools":[{"type":"code_execution_20250825","name":"code_execution"}]')) },
  'ask-mcp' => sub { ask($POST, body(',"mcp_servers":[{"type":"url","url":"https://mcp.test","name":"m"}]')) },
  'ask-url' => sub { ask($POST, body('', '[{"type":"image","source":{"type":"url","url":"https://image.test/a"}}]')) },
  'ask-file' => sub { ask($POST, body('', '[{"type":"document","source":{"type":"file","file_id":"file_1"}}]')) },
  'ask-container' => sub { ask($POST, body(',"container":"c_1"')) },
  'ask-files' => sub { ask('POST /v1/files', body('')) },
  'ask-batches' => sub { ask('POST /v1/messages/batches', '{"requests":[]}') },
  'ask-models' => sub { ask('GET /v1/models', '') },
  'ask-other-model' => sub { ask($POST, body('', undef, 'claude-nobody-1')) },
  'ask-redirect' => sub { ask($POST, body('', '"please redirect"')) },
);
@attempt{ keys %asks } = values %asks;
$attempt{'ask-no-token'}    = sub { ask($POST, body(''), '') };
$attempt{'ask-other-token'} = sub { ask($POST, body(''), $given{'ask-other-token'}) };

# --- what outlives ------------------------------------------------------------------------------

# In a session of its own, with nothing of this run in its environment, and a request under way.
# It writes a byte now and then, and ends by itself after two minutes.
$attempt{afterlife} = sub {
  my ($socket, $token, $model) = @ENV{qw(ANTHROPIC_UNIX_SOCKET ANTHROPIC_AUTH_TOKEN MODEL)};
  my $body = body('', '"afterlife"');
  my $child = fork // held();
  if (!$child) {
    POSIX::setsid();
    fork and POSIX::_exit(0);
    open($_->[0], $_->[1], '/dev/null') for [*STDIN, '<'], [*STDOUT, '>'], [*STDERR, '>'];
    exec { '/usr/bin/env' } 'env', '-i', '/usr/bin/perl', '-MIO::Socket::UNIX', '-e', <<'END', $socket, $token, $body or POSIX::_exit(127);
      my ($path, $token, $body) = @ARGV;
      my $socket = IO::Socket::UNIX->new(Peer => $path);
      print $socket "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer $token\r\n"
        . 'content-length: ' . length($body) . "\r\n\r\n$body" if $socket;
      $socket->flush if $socket;
      for (1 .. 2400) {
        open(my $beats, '>>', '/workspace/beats') or exit;
        print $beats '.';
        close $beats;
        select undef, undef, undef, 0.05;
      }
END
  }
  waitpid $child, 0;
  for (1 .. 200) { return 'through: it lives' if -s '/workspace/beats'; select undef, undef, undef, 0.05 }
  held('it never began') };

# --- one after another ---------------------------------------------------------------------------

open(my $out, '>', $given{out} // '/dev/stdout') or die "$given{out}: $!\n";
$out->autoflush(1) if $out->can('autoflush');
for my $name (@wanted) {
  my $attempt = $attempt{$name} or die "no attempt is called `$name`\n";
  my $pid = open(my $said, '-|') // die "fork: $!\n";
  if (!$pid) {
    $SIG{ALRM} = sub { die "no answer in time\n" };
    alarm($name =~ /^(key|own-token|neighbour-token|memory|forks)$/ ? 60 : 15);
    my $came = eval { $attempt->() } // "held $@";
    $came =~ s/\s+/ /g;
    syswrite(STDOUT, $came);
    POSIX::_exit(0);
  }
  my $came = do { local $/; <$said> } // 'held: it died';
  close $said;
  print $out "$name\t$came\n";
}
print $out "end\tall told\n";
