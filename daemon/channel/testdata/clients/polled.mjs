// Speaks to simulated messengers, or is one, with what others wrote: vk-io and MAX's own client ask our simulators for what
// people write and say on stdout what they were told, a line each; telegram-test-api is a server for our own asking.
// node polled.mjs vk|max URL TOKEN  or  node polled.mjs telegram TOKEN. It ends with stdin.
import { createRequire } from "node:module";
import net from "node:net";
const require = createRequire(import.meta.url);
const [kind, url, token] = process.argv.slice(2);
const say = (v) => console.log(JSON.stringify(v));
process.stdin.on("end", () => process.exit(0)).resume();

if (kind === "vk") {
  const { VK } = await import("vk-io");
  const { Agent } = await import("node:http");
  const vk = new VK({ token, agent: new Agent(), apiBaseUrl: url + "/method", pollingGroupId: 200000001, pollingWait: 1000, apiVersion: "5.199" });
  vk.updates.on("message_new", (c) => say({ user: String(c.senderId), text: c.text, number: String(c.conversationMessageId), out: c.isOutbox }));
  await vk.updates.startPolling();
  const history = await vk.api.messages.getConversations({ group_id: 200000001 });
  say({ ready: true, conversations: history.count });
  const sent = await vk.api.messages.send({ peer_id: 7, random_id: 99, message: "ответ" });
  const again = await vk.api.messages.send({ peer_id: 7, random_id: 99, message: "ответ" });
  const stranger = await vk.api.messages.send({ peer_id: 1, random_id: 98, message: "реклама" }).catch((e) => e.code);
  say({ sent, again, stranger });
}
if (kind === "max") {
  const { Bot } = require("@maxhub/max-bot-api");
  const bot = new Bot(token, { clientOptions: { baseUrl: url } });
  bot.on("message_created", (c) => say({ user: String(c.user.user_id), text: c.message.body.text, mid: c.message.body.mid }));
  bot.on("bot_started", (c) => say({ user: String(c.user.user_id), start: c.startPayload }));
  bot.start();
}
if (kind === "telegram") {
  const TelegramServer = require("telegram-test-api").TelegramServer ?? require("telegram-test-api").default ?? require("telegram-test-api");
  const port = await new Promise((done) => {
    const s = net.createServer().listen(0, "127.0.0.1", () => {
      const p = s.address().port;
      s.close(() => done(p));
    });
  });
  const server = new TelegramServer({ port, host: "127.0.0.1" });
  await server.start();
  say({ url: `http://127.0.0.1:${port}` });
  const client = server.getClient(url, { userId: 7, chatId: 7, firstName: "Olga" });
  for (const text of ["раз", "два", "три"]) await client.sendMessage(client.makeMessage(text));
  await client.sendCallback(client.makeCallbackQuery("svc:1", { id: "77", message: { message_id: 5, date: 1767225600 } }));
}
