// Says what clients that others wrote make of the requests that our tests are about: asked on stdin, answered on stdout.
import http from "node:http";
import { createRequire } from "node:module";
import { VK } from "vk-io";
const require = createRequire(import.meta.url);
const { Bot } = require("@maxhub/max-bot-api");
const twilio = require("twilio");

let text = "";
for await (const piece of process.stdin) text += piece;
const asked = JSON.parse(text);

// serve posts each body to a client's own webhook and gathers its answers, with what its handlers were given.
async function serve(listener, bodies, headers, given) {
  const server = http.createServer(listener).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const out = {};
  for (const [name, body] of Object.entries(bodies)) {
    given.now = null;
    const r = await fetch(`http://127.0.0.1:${server.address().port}/in`, { method: "POST", headers, body });
    const answer = await r.text();
    await new Promise((done) => setImmediate(done)); // handlers run after the answer
    for (let n = 0; n < 50 && r.ok && answer.toLowerCase() === "ok" && !given.now; n++) await new Promise((done) => setTimeout(done, 10));
    out[name] = { code: r.status, answer, told: given.now };
  }
  server.closeAllConnections();
  server.close();
  return out;
}

const given = { now: null };
const vk = new VK({ token: "none", webhookSecret: asked.vk.secret, webhookConfirmation: asked.vk.confirmation });
vk.updates.on("message_new", (c) => {
  given.now = { user: String(c.senderId), text: c.text ?? "", person: c.isUser, group: c.isChat, out: c.isOutbox, number: String(c.conversationMessageId), payload: c.messagePayload ?? null,
    files: c.attachments.map((a) => `${a.type} ${a.ownerId}_${a.id} ${a.largeSizeUrl ?? a.url ?? ""}`) };
});
vk.updates.on("message_event", (c) => {
  given.now = { user: String(c.userId), payload: c.eventPayload };
});

const bot = new Bot("none");
bot.botInfo = { user_id: 220000001, first_name: "Бот", is_bot: true };
const told = (c) => {
  given.now = { kind: c.updateType, user: String(c.user?.user_id ?? c.message?.sender?.user_id ?? ""), mid: c.updateType === "message_created" ? c.messageId : "", text: c.message?.body?.text ?? "",
    start: c.startPayload ?? "", pressed: c.callback?.payload ?? "", phone: c.contactInfo?.tel ?? "", contact: c.contactInfo?.fullName ?? "" };
};
bot.on("message_created", told);
bot.on("message_callback", told);
bot.on("bot_started", told);
const hook = bot.webhookCallback({ domain: "leads.example.test", path: "/in", secret: asked.max.secret });

console.log(JSON.stringify({
  vk: await serve(vk.updates.getWebhookCallback(), asked.vk.bodies, { "Content-Type": "application/json" }, given),
  max: await serve(hook, asked.max.bodies, { "Content-Type": "application/json", "X-Max-Bot-Api-Secret": asked.max.secret }, given),
  maxForged: await serve(hook, asked.max.bodies, { "Content-Type": "application/json", "X-Max-Bot-Api-Secret": "guess" }, given),
  twilio: asked.twilio.map((t) => twilio.validateRequest(t.token, t.signature, t.url, Object.fromEntries(new URLSearchParams(t.body)))),
}));
process.exit(0);
