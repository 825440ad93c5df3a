/* SPDX-License-Identifier: ISC */
/* Every type of message that crosses between processes, who sends it and its fields. */
#pragma once

#include <stdint.h>

enum message_type {
	/* master -> all */
	MSG_PEER = 1,		/* u8 role, u32 index, str label; fd: a channel to it */
	MSG_RELOAD,		/* str name of this host; fd: the text of the settings file */
	MSG_STOP,
	MSG_DRAIN,		/* front: others have your doors, end with your last connection; courier: with your last attempt */
	MSG_NEW_LOG,		/* recorder; fd: the log opened anew */
	/* all -> master */
	MSG_READY,
	MSG_FAILED,		/* str why: cannot do its work */
	/* front -> auth */
	MSG_LOGIN,		/* u64 question, str sid, str peer, bool secure, str authzid, str authcid, str password */
	MSG_RECIPIENT,		/* u64 question, str address, u64 size */
	/* auth -> front */
	MSG_LOGIN_ANSWER,	/* u64 question, u8 login_result, str address */
	MSG_RECIPIENT_ANSWER,	/* u64 question, u8 recipient_result, u32 count, count * (u8 target_kind, str address) */
	/* auth -> hash worker and back */
	MSG_HASH,		/* u64 job, str verifier, str password */
	MSG_HASH_ANSWER,	/* u64 job, bool right */
	/* auth -> pam worker and back */
	MSG_PAM,		/* u64 job, str user, str peer, str password */
	MSG_PAM_ANSWER,		/* u64 job, u8 login_result */
	/* auth -> pam worker; fd: a channel for the next two, one question at a time */
	MSG_NAMES,
	MSG_NAME,		/* str name of a system account */
	MSG_NAME_ANSWER,	/* u8 users_result, str name, str home, u32 uid, u32 gid */
	/* auth -> master */
	MSG_SESSION_WANTED,	/* u32 front, u64 question, str sid, str peer, bool secure, grant */
	MSG_KEEPER_WANTED,	/* grant */
	/* queue -> auth: please have a keeper for this account joined to me */
	MSG_ACCOUNT_WANTED,	/* str address */
	/* auth -> queue: there is no such account (any more), or it cannot be told now */
	MSG_ACCOUNT_ANSWER,	/* str address, u8 recipient_result */
	/* master -> front */
	MSG_SESSION,		/* u64 question, str address; fd: stream to the keeper (none: it could not be had) */
	/* master -> keeper */
	MSG_SESSION_OPEN,	/* str sid, str peer, bool secure; fd: stream to the front */
	MSG_QUOTA,		/* u64 quota_bytes, u64 quota_messages: they changed */
	/* keeper -> master -> auth */
	MSG_USAGE,		/* str address, u64 bytes, u64 messages, u64 quota_bytes, u64 quota_messages */
	/* keeper -> master: no session since a minute; master -> keeper: go, or a session comes */
	MSG_IDLE,		/* to master: u64 how many sessions it was ever given */
	MSG_KEEPER_GONE,	/* master -> auth: str address */
	/* signer -> front: once, first of all */
	MSG_CERTIFICATE,	/* str PEM text of the certificate and its issuers */
	/* front -> signer and back; one question at a time */
	MSG_SIGN,		/* u32 scheme of RFC 8446 4.2.3, str what a handshake signs */
	MSG_SIGNATURE,		/* str signature */
	/* front -> master: its signer does not do its work */
	MSG_SIGNER_FAILED,	/* u32 index */
	/* auth -> front */
	MSG_TICKET_KEYS,	/* str current, str previous (may be empty): TLS_TICKET_KEY octets each */
	/* master -> nursery: a blank keeper, please; fd: its channel to master */
	MSG_BIRTH,		/* u32 index */
	/* nursery -> master */
	MSG_BORN,		/* u32 index, u32 pid; 0: it could not be had */
	/* master -> a blank keeper: this account is yours */
	MSG_ACCOUNT,		/* grant */

	MSG_SMTPD = 0x100,	/* from here on: smtpd's own, smtpd/smtpd.h */
};

/* A grant: str address, str maildir, u32 uid, u32 gid, u64 quota_bytes, u64 quota_messages. */
