// Drives the simulated server with the vendor's own client and prints what the client made of it, as JSON.
// Usage: node held.mjs <base URL>
import OpenAI from 'openai'

const open = (more = {}) => new OpenAI({ baseURL: process.argv[2], apiKey: 'right-key', maxRetries: 0, timeout: 2000, ...more })
const ask = (content, more = {}, client = open()) => client.chat.completions.create({
  model: 'sim-1',
  messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content }],
  ...more
})
const failure = async promise => {
  try {
    await promise
    return 'no error'
  } catch (e) {
    return { class: e.constructor.name, status: e.status ?? null, code: e.code ?? null, param: e.param ?? null, type: e.type ?? null }
  }
}
const format = {
  type: 'json_schema',
  json_schema: {
    name: 'triage',
    strict: true,
    schema: { type: 'object', additionalProperties: false, required: ['sure'], properties: { sure: { type: 'boolean' } } }
  }
}
const out = {}

const plain = await ask('hello')
out.plain = { content: plain.choices[0].message.content, finish: plain.choices[0].finish_reason, total: plain.usage.total_tokens > 0, request: plain._request_id }
const parsed = await open().chat.completions.parse({ model: 'sim-1', messages: [{ role: 'user', content: 'json' }], response_format: format })
out.parsed = parsed.choices[0].message.parsed
out.parts = (await ask([{ type: 'text', text: 'hel' }, { type: 'text', text: 'lo' }])).choices[0].message.content
out.refusal = (await ask('refuse')).choices[0].message
out.cut = (await ask('long', { max_completion_tokens: 2 })).choices[0].finish_reason
out.models = (await open().models.list()).data.map(m => m.id)
out.wrongKey = await failure(ask('hello', {}, open({ apiKey: 'wrong-key' })))
out.noModel = await failure(ask('hello', { model: 'sim-9' }))
out.badSchema = await failure(ask('hello', { response_format: { ...format, json_schema: { ...format.json_schema, schema: { type: 'object', properties: { a: { type: 'string' } } } } } }))
out.unknownField = await failure(ask('hello', { patience: 3 }))
out.limited = await failure(ask('limited'))
out.quota = await failure(ask('quota'))
out.down = await failure(ask('down'))
out.hang = await failure(ask('hang', {}, open({ timeout: 200 })))
const started = Date.now()
out.retried = (await ask('later', {}, open({ maxRetries: 2 }))).choices[0].message.content
out.waited = Date.now() - started >= 300
console.log(JSON.stringify(out))
