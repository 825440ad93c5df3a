<?php
// SPDX-License-Identifier: ISC
// Roundcube in front of Trivet, both on one machine. Its place is /etc/roundcube/trivet.inc.php, and the last line
// of /etc/roundcube/config.inc.php is
//     include('/etc/roundcube/trivet.inc.php');
// The first two lines are to be changed.

$trivet_name = 'mail.example.org';	// a name in the server's certificate
$trivet_domain = 'example.org';		// of login names without one

$trivet_tls = [
	'ssl' => [
		'verify_peer' => true,
		'verify_peer_name' => true,
		'peer_name' => $trivet_name,	// although the connection is to localhost
		'cafile' => '/etc/ssl/certs/ca-certificates.crt',
	],
];

// Mail is read by IMAP and sent by submission, TLS from the start, with the name and password of whoever logged in.
$config['imap_host'] = 'ssl://localhost:993';
$config['imap_auth_type'] = 'PLAIN';
$config['imap_conn_options'] = $trivet_tls;
$config['smtp_host'] = 'ssl://localhost:465';
$config['smtp_auth_type'] = 'PLAIN';
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['smtp_timeout'] = 30;		// without one smtp_conn_options count for nothing
$config['smtp_conn_options'] = $trivet_tls;
$config['smtp_helo_host'] = $trivet_name;
$config['username_domain'] = $trivet_domain;

// The server says which folders are Drafts, Sent, Junk, Trash and Archive (RFC 6154), and has made them. The names that
// Roundcube has as its defaults are the same; archive_mbox has none, and without it there is no button.
$config['lock_special_folders'] = false;	// true would ask the settings, not the server
$config['create_default_folders'] = false;
$config['archive_mbox'] = 'Archive';
$config['imap_delimiter'] = '/';

// Quota: 0 stands for "no limit" where the server names none.
$config['quota_zero_as_unlimited'] = true;
$config['max_message_size'] = '50M';	// message_size_limit; PHP has limits of its own (README)

// Deleting moves to Trash; there it is deleted for good.
$config['flag_for_deletion'] = false;
$config['skip_deleted'] = true;

// No caches: the server sorts, threads and searches from its own index, and on one machine asking it is cheap. Where
// Roundcube runs far away from the server, 'db' for imap_cache (lists and threads) and true for messages_cache (headers
// and flags, kept up by QRESYNC) are worth trying; both work.
$config['imap_cache'] = null;
$config['messages_cache'] = false;

// Plugins that need nothing but this server. No managesieve: there are no filters on the server yet.
$config['plugins'] = ['archive', 'markasjunk', 'zipdownload'];
$config['markasjunk_spam_flag'] = '$Junk';	// the names that other mail programs use
$config['markasjunk_ham_flag'] = '$NotJunk';
$config['markasjunk_move_spam'] = true;
$config['markasjunk_move_ham'] = true;
