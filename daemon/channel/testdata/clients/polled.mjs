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
  const { Keyboard } = await import("vk-io");
  const keyboard = Keyboard.keyboard([[Keyboard.callbackButton({ label: "Приду", payload: "visit:yes" })], [Keyboard.textButton({ label: "Перенести" })],
    [Keyboard.urlButton({ label: "Сайт", url: "https://example.org" })]]).inline();
  const pressed = await vk.api.messages.send({ peer_id: 7, random_id: 97, message: "Придёте?", keyboard: String(keyboard) });
  say({ sent, again, stranger, pressed });
}
if (kind === "max") {
  const { Bot } = require("@maxhub/max-bot-api");
  const bot = new Bot(token, { clientOptions: { baseUrl: url } });
  bot.on("message_created", (c) => say({ user: String(c.user.user_id), text: c.message.body.text, mid: c.message.body.mid }));
  bot.on("bot_started", (c) => say({ user: String(c.user.user_id), start: c.startPayload }));
  const { Keyboard } = require("@maxhub/max-bot-api");
  const keyboard = Keyboard.inlineKeyboard([[Keyboard.button.callback("Приду", "visit:yes")], [Keyboard.button.link("Сайт", "https://example.org")]]);
  const sent = await bot.api.sendMessageToUser(120000001, "Придёте?", { attachments: [keyboard] }).catch((e) => e);
  const stranger = await bot.api.sendMessageToUser(8, "Придёте?").catch((e) => e.status);
  say({ sent: sent.body?.mid ?? String(sent), stranger });
  bot.start();
}
if (kind === "telegram" || kind === "telegram-told") {
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
  if (kind === "telegram-told") {
    for (;;) for (const u of (await client.getUpdates()).result) say({ chat: String(u.message.chat_id), text: u.message.text, keyboard: u.message.reply_markup });
  }
  for (const text of ["раз", "два", "три"]) await client.sendMessage(client.makeMessage(text));
  await client.sendCallback(client.makeCallbackQuery("svc:1", { id: "77", message: { message_id: 5, date: 1767225600 } }));
}
