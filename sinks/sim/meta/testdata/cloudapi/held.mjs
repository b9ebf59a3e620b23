// Sends by somebody else's client what leadstream sends, and reads the webhooks that came of what leadstream has sent; prints
// the bodies of the former, as its client makes them, and what it made of answers and webhooks.
// Usage: node held.mjs <base URL> <token> <number's id> < webhooks
import { WhatsAppClient, isBusinessScopedUserId } from '@kapso/whatsapp-cloud-api'
import { normalizeWebhook, verifySignature } from '@kapso/whatsapp-cloud-api/server'
import { readFileSync } from 'node:fs'

const [baseUrl, accessToken, phoneNumberId] = process.argv.slice(2)
let body
const client = new WhatsAppClient({
  accessToken, baseUrl, graphVersion: 'v23.0',
  fetch: (url, init) => { body = JSON.parse(init.body); return fetch(url, init) }
})
const common = { phoneNumberId, to: '79990000011', bizOpaqueCallbackData: 'ID' }
const rows = n => Array.from({ length: n }, (_, i) => ({ id: `d${i}`, title: `t${i}` }))
const template = name => ({ name, language: { code: 'ru' }, components: [{ type: 'body', parameters: [{ type: 'text', text: 'Анна' }, { type: 'text', text: '5 марта' }] }] })
const out = { bodies: {}, ids: {}, errors: {} }

const ops = {
  text: () => client.messages.sendText({ ...common, body: 'Ждём', previewUrl: false }),
  hidden: () => client.messages.sendText({ ...common, to: undefined, recipient: 'RU.1349abc', body: 'Ждём', previewUrl: false }),
  buttons: () => client.messages.sendInteractiveButtons({ ...common, bodyText: 'Когда?', buttons: rows(3) }),
  list: () => client.messages.sendInteractiveList({ ...common, bodyText: 'Когда?', buttonText: 'Выбрать', sections: [{ rows: rows(4) }] }),
  link: () => client.messages.sendInteractiveCtaUrl({ ...common, bodyText: 'Мы здесь', parameters: { displayText: 'Карта', url: 'https://a.test/?a=1&b=2' } }),
  template: () => client.messages.sendTemplate({ ...common, template: template('visit') }),
  unknownTemplate: () => client.messages.sendTemplate({ ...common, template: template('no_such') }),
  stranger: () => client.messages.sendText({ ...common, to: '79990000099', body: 'Ждём', previewUrl: false })
}
for (const [name, send] of Object.entries(ops)) {
  try {
    out.ids[name] = (await send()).messages[0].id
  } catch (e) {
    out.errors[name] = { code: e.code ?? null, status: e.httpStatus ?? null, class: e.constructor.name }
  }
  out.bodies[name] = body
}

out.scoped = isBusinessScopedUserId('RU.1349abc') && isBusinessScopedUserId('RU.ENT.1349abc') && !isBusinessScopedUserId('79990000011')
out.signed = true
out.statuses = []
for (const hook of JSON.parse(readFileSync(0, 'utf8'))) {
  out.signed &&= verifySignature({ appSecret: 'app_secret', rawBody: hook.body, signatureHeader: hook.signature })
  for (const s of normalizeWebhook(JSON.parse(hook.body)).statuses) {
    out.statuses.push({ id: s.id, status: s.status, opaque: s.bizOpaqueCallbackData, code: s.errors?.[0]?.code ?? null, user: s.recipientUserId ?? null })
  }
}
console.log(JSON.stringify(out))
