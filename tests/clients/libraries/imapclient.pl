# SPDX-License-Identifier: ISC
# The work of ../work.py by Mail::IMAPClient.
use strict;
use warnings;
use Mail::IMAPClient;

my ($host, $port, $mode, $ca, $user, $password, $folder, $large) = @ARGV;
my $word = "\xea\xb0\x80\xeb\x82\x98\xeb\x8b\xa4\xeb\x9d\xbc";
$| = 1;

my $tls = [ SSL_ca_file => $ca, SSL_verify_mode => 1, SSL_hostname => $host ];
my $imap = Mail::IMAPClient->new(Server => $host, Port => $port, User => $user, Password => $password, Uid => 1,
	Peek => 1, $mode eq "tls" ? (Ssl => $tls) : (Starttls => $tls)) or die "connect: $@\n";

sub must($$) {
	my ($what, $value) = @_;
	die "$what: " . ($imap->LastError // "no reason") . "\n" unless defined $value;
	return $value;
}

sub same {
	my ($what, $got, $wanted) = @_;
	die "$what: $got instead of $wanted\n" unless $got eq $wanted;
}

must("quota root", $imap->getquotaroot("INBOX"));
must("namespace", $imap->namespace);
die "no such folder in the list\n" unless grep { $_ eq $folder } $imap->folders;
must("create", $imap->create("$folder/&xUg-"));
must("subscribe", $imap->subscribe($_)) for ($folder, "$folder/&xUg-");
die "not subscribed\n" unless grep { $_ eq "$folder/&xUg-" } $imap->subscribed;

must("select", $imap->select("INBOX"));
my ($first) = $imap->search(SUBJECT => \"first");
same("found by a word", scalar(my @all = $imap->search("CHARSET", "UTF-8", "BODY", $word)), 4);
my @sorted = $imap->sort("ARRIVAL", "US-ASCII", "ALL");
same("sorted", scalar(@sorted), 4);
same("threads", scalar(@{ must("thread", $imap->thread("REFERENCES", "US-ASCII", "ALL")) }), 4);
my ($second) = $imap->search(SUBJECT => \"second");
my ($third) = $imap->search(SUBJECT => \"third");
my ($fourth) = $imap->search(SUBJECT => \"fourth");
same("subject", $imap->subject($first), "first");
my $envelope = must("envelope", $imap->get_envelope($first));
same("envelope's subject", $envelope->{subject}, "first");
must("structure", $imap->get_bodystructure($first));
must("flag", $imap->set_flag("Flagged", $first));
must("keyword", $imap->set_flag("Work", $first));
same("flags", join(" ", sort grep { !/Recent/ } $imap->flags($first)), "Work \\Flagged");
must("copy", $imap->copy($folder, $second));
must("move", $imap->move($folder, $third));
must("delete", $imap->delete_message($fourth));
must("expunge", $imap->expunge);
same("left", $imap->message_count, 2);

my $uid = must("append", $imap->append_file($folder, $large, undef, "\\Seen"));
must("select", $imap->select($folder));
open(my $file, "<:raw", $large) or die "$large: $!\n";
my $octets = do { local $/; <$file> };
same("the large message is the same", must("fetch", $imap->message_string($uid)) eq $octets, 1);
same("its size", $imap->size($uid), length($octets));
must("close", $imap->close);

must("select", $imap->select("INBOX"));
my $tag = must("idle", $imap->idle);
print "idle\n";
my $seen = 0;
for (1 .. 20) {
	$seen = 1 if grep { /EXISTS/ } $imap->idle_data(1);
	last if $seen;
}
must("done", $imap->done($tag));
die "IDLE did not tell of the message\n" unless $seen;
same("found after IDLE", scalar(my @new = $imap->search(SUBJECT => \"fifth")), 1);

must("rename", $imap->rename("$folder/&xUg-", "$folder/&vBY-"));
must("unsubscribe", $imap->unsubscribe("$folder/&xUg-"));
must("status", $imap->status("$folder/&vBY-", "MESSAGES"));
must("delete", $imap->delete("$folder/&vBY-"));
must("logout", $imap->logout);
