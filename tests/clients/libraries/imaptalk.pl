# SPDX-License-Identifier: ISC
# The work of ../work.py by Mail::IMAPTalk.
use strict;
use warnings;
use IO::Socket::SSL;
use Mail::IMAPTalk;
use POSIX ();

my ($host, $port, $mode, $ca, $user, $password, $folder, $large) = @ARGV;
my $word = "\xea\xb0\x80\xeb\x82\x98\xeb\x8b\xa4\xeb\x9d\xbc";
my $imap;
$| = 1;

# At once: the object's end would wait for an answer.
sub fail {
	print STDERR @_, "\n";
	POSIX::_exit(1);
}

sub must($$) {
	my ($what, $value) = @_;
	fail("$what: ", $@ || "no reason") unless defined $value;
	return $value;
}

sub same {
	my ($what, $got, $wanted) = @_;
	fail("$what: $got instead of $wanted") unless $got eq $wanted;
}

# It has no STARTTLS of its own: whoever wants that hands it a socket.
sub after_starttls {
	my $socket = IO::Socket::INET->new(PeerHost => $host, PeerPort => $port) or die "connect: $!\n";
	$socket->autoflush(1);
	my $line = <$socket>;
	print $socket "t STARTTLS\r\n";
	$line = <$socket>;
	die "STARTTLS: $line\n" unless $line =~ /^t OK/;
	IO::Socket::SSL->start_SSL($socket, SSL_ca_file => $ca, SSL_verify_mode => 1, SSL_hostname => $host,
		SSL_verifycn_name => $host, SSL_verifycn_scheme => "imap") or die "TLS: $SSL_ERROR\n";
	return $socket;
}

my %how = $mode eq "tls" ?
	(Server => $host, Port => $port, UseSSL => 1, SSL_ca_file => $ca, SSL_verify_mode => 1) :
	(Socket => after_starttls(), State => Mail::IMAPTalk::Connected());
$imap = Mail::IMAPTalk->new(%how, UseBlocking => 1, Uid => 1) or die "connect: " . ($@ || $SSL_ERROR) . "\n";
$imap->login($user, $password) or die "login: $@\n";

must("namespace", $imap->namespace);
must("quota root", $imap->getquotaroot("INBOX"));
fail("no such folder in the list") unless grep { $_->[2] eq $folder } @{ $imap->list("", "*") };
must("create", $imap->create("$folder/&xUg-"));
must("subscribe", $imap->subscribe($_)) for ($folder, "$folder/&xUg-");
fail("not subscribed") unless grep { $_->[2] eq "$folder/&xUg-" } @{ $imap->lsub("", "*") };
my $status = must("status", $imap->status("INBOX", "(messages unseen uidnext uidvalidity)"));
same("messages", $status->{messages}, 4);

must("select", $imap->select("inbox"));
my $first = $imap->search("subject", "first")->[0];
my $second = $imap->search("subject", "second")->[0];
my $third = $imap->search("subject", "third")->[0];
my $fourth = $imap->search("subject", "fourth")->[0];
same("found by a word", scalar(@{ must("search", $imap->search("charset", "utf-8", "body", { Literal => $word })) }), 4);
same("sorted", scalar(@{ must("sort", $imap->sort("(arrival)", "us-ascii", "all")) }), 4);
same("threads", scalar(@{ must("thread", $imap->thread("REFERENCES", "us-ascii", "all")) }), 4);
my $told = must("fetch", $imap->fetch($first, "(flags internaldate rfc822.size envelope bodystructure)"));
same("envelope's subject", $told->{$first}{envelope}{Subject}, "first");
same("its type", $told->{$first}{bodystructure}{"MIME-TxtType"}, "text/plain");
must("header", $imap->fetch($first, "(body.peek[header.fields (subject from)])"));
must("a piece", $imap->fetch($first, "(body.peek[1.mime] body.peek[1]<0.5>)"));
must("flag", $imap->store($first, "+flags", "(\\flagged Work)"));
must("copy", $imap->copy($second, $folder));
must("move", $imap->move($third, $folder));
must("delete", $imap->store($fourth, "+flags", "(\\deleted)"));
must("expunge", $imap->expunge);
same("left", $imap->message_count("INBOX"), 2);

open(my $file, "<:raw", $large) or die "$large: $!\n";
must("append", $imap->append($folder, "(\\seen)", $file));
my $octets = do { seek($file, 0, 0); local $/; <$file> };
must("select", $imap->select($folder));
my $uid = $imap->search("subject", "large")->[0];
same("the large message is the same", $imap->fetch($uid, "body.peek[]")->{$uid}{body} eq $octets, 1);
must("close", $imap->close);

must("select", $imap->select("INBOX"));
my $seen = 0;
print "idle\n";
must("idle", $imap->idle(sub { $seen = 1 if lc($_[0]) eq "exists"; return $seen; }, 20));
fail("IDLE did not tell of the message") unless $seen;
same("found after IDLE", scalar(@{ $imap->search("subject", "fifth") }), 1);

must("rename", $imap->rename("$folder/&xUg-", "$folder/&vBY-"));
must("unsubscribe", $imap->unsubscribe("$folder/&xUg-"));
must("delete", $imap->delete("$folder/&vBY-"));
$imap->logout;
