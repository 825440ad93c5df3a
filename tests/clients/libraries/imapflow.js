// SPDX-License-Identifier: ISC
// The work of ../work.py by imapflow, found by NODE_PATH.
"use strict";
const assert = require("node:assert");
const fs = require("node:fs");
const { ImapFlow } = require("imapflow");

const [host, port, mode, ca, user, password, , large, folder] = process.argv.slice(2);
const word = "가나다라";
const byUid = { uid: true };

async function octetsOf(stream) {
	const parts = [];
	for await (const part of stream)
		parts.push(part);
	return Buffer.concat(parts);
}

async function work(client) {
	assert(client.capabilities.get("IDLE"));
	await client.getQuota("INBOX");
	const before = await client.list({ statusQuery: { messages: true, unseen: true, uidNext: true } });
	assert.strictEqual(before.find(box => box.path === "INBOX").status.messages, 4);
	assert(before.some(box => box.specialUse === "\\Trash"));
	assert(before.some(box => box.path === folder));
	await client.mailboxCreate(folder + "/안");
	await client.mailboxSubscribe(folder);
	assert((await client.list()).find(box => box.path === folder + "/안").subscribed);

	let lock = await client.getMailboxLock("INBOX");
	assert.strictEqual((await client.search({ body: word }, byUid)).length, 4);
	const [first] = await client.search({ subject: "first" }, byUid);
	const [second] = await client.search({ subject: "second" }, byUid);
	const [third] = await client.search({ subject: "third" }, byUid);
	const [fourth] = await client.search({ or: [{ subject: "fourth" }, { flagged: true }] }, byUid);
	const told = await client.fetchAll("1:*", { uid: true, flags: true, envelope: true, bodyStructure: true,
		internalDate: true, size: true, headers: ["references"] });
	assert.deepStrictEqual(told.map(m => m.envelope.subject), ["first", "second", "third", "fourth"]);
	const { content } = await client.download(first, "1", byUid);
	assert.match((await octetsOf(content)).toString(), /^가나다라 text of the first/);
	assert(await client.messageFlagsAdd(first, ["\\Flagged", "Work"], byUid));
	assert(await client.messageFlagsAdd(first, ["$b"], byUid));
	assert(await client.messageFlagsRemove(first, ["$b"], byUid));
	const copied = await client.messageCopy(second, folder, byUid);
	assert.strictEqual(copied.uidMap.size, 1);
	const moved = await client.messageMove(third, folder, byUid);
	assert.strictEqual(moved.uidMap.size, 1);
	assert(await client.messageDelete(fourth, byUid));
	assert.strictEqual((await client.status("INBOX", { messages: true })).messages, 2);
	lock.release();

	const octets = fs.readFileSync(large);
	const { uid } = await client.append(folder, octets, ["\\Seen"], new Date("2017-07-14T02:40:00Z"));
	lock = await client.getMailboxLock(folder, { readOnly: true });
	const one = await client.fetchOne(uid, { source: true, size: true, internalDate: true }, byUid);
	assert(one.source.equals(octets));
	assert.strictEqual(one.size, octets.length);
	assert.strictEqual(one.internalDate.getTime(), Date.parse("2017-07-14T02:40:00Z"));
	const whole = await client.download(uid, undefined, byUid);       // in pieces of 64 KB
	assert((await octetsOf(whole.content)).equals(octets));
	lock.release();

	lock = await client.getMailboxLock("INBOX");
	const arrived = new Promise(resolve => client.once("exists", resolve));
	client.idle();
	setTimeout(() => console.log("idle"), 200);
	const { count } = await arrived;
	assert.strictEqual(count, 3);
	assert.strictEqual((await client.search({ subject: "fifth" }, byUid)).length, 1);
	await client.noop();
	lock.release();

	await client.mailboxRename(folder + "/안", folder + "/밖");
	await client.mailboxUnsubscribe(folder + "/안");
	await client.mailboxDelete(folder + "/밖");
	await client.logout();
}

async function main() {
	const client = new ImapFlow({ host, port: Number(port), secure: mode === "tls", doSTARTTLS: mode !== "tls",
		tls: { ca: fs.readFileSync(ca) }, auth: { user, pass: password }, logger: false,
		qresync: mode === "tls" });
	await client.connect();
	await work(client);
}

main().then(() => process.exit(0), error => {
	console.log(error, error.response ? error.response : "");
	process.exit(1);
});
