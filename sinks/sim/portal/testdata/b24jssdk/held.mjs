// Drives the simulated portal with the vendor's own client and prints what the client made of it, as JSON.
// Usage: node held.mjs <webhook URL>; the portal's certificate comes in NODE_EXTRA_CA_CERTS.
import { ApiVersion, B24Hook } from '@bitrix24/b24jssdk'

const restriction = {
  rateLimit: { burstLimit: 50, drainRate: 20, adaptiveEnabled: false },
  adaptiveConfig: { enabled: false, thresholdPercent: 100, coefficient: 0.001, maxDelay: 1000 },
  maxRetries: 3,
  retryDelay: 100,
  retryOnNetworkError: false
}
const open = (more = {}) => B24Hook.fromWebhookUrl(process.argv[2].replace(/\/$/, ''), {
  restrictionParams: { ...restriction, ...more }
})
const b24 = open()
const call = async (method, params, client = b24) => {
  const response = await client.actions.v2.call.make({ method, params })
  if (!response.isSuccess) {
    throw new Error(response.getErrorMessages().join('; '))
  }
  return response.getData().result
}
const failure = async (method, params, client = b24) => {
  try {
    const response = await client.actions.v2.call.make({ method, params })
    return { soft: !response.isSuccess, codes: [...response.getErrors()].map(e => e.code) }
  } catch (e) {
    return { class: e.name, code: e.code, status: e.status, message: e.message }
  }
}
const byOrigin = id => ({
  entityTypeId: 1,
  filter: { '=originatorId': 'leadstream', '=originId': id },
  select: ['id', 'stageId', 'originId'],
  order: { id: 'ASC' },
  start: -1
})
const out = {}

const added = await call('crm.item.add', {
  entityTypeId: 1,
  fields: {
    title: 'Кухня & шкаф',
    name: 'Anna',
    originatorId: 'leadstream',
    originId: 'sdk-1',
    fm: [
      { typeId: 'PHONE', valueType: 'MOBILE', value: '+79990000011' },
      { typeId: 'EMAIL', valueType: 'WORK', value: 'anna@example.test' }
    ]
  }
})
out.added = { id: added.item.id, title: added.item.title, fm: added.item.fm.map(m => [m.typeId, m.valueType, m.value]) }
out.found = (await call('crm.item.list', byOrigin('sdk-1'))).items
out.classic = await call('crm.lead.list', { filter: { '=ORIGIN_ID': 'sdk-1' }, select: ['ID', 'STATUS_ID'], start: -1 })
out.byPhone = await call('crm.duplicate.findbycomm', { type: 'PHONE', values: ['89990000011'], entity_type: 'LEAD' })
out.noPhone = await call('crm.duplicate.findbycomm', { type: 'PHONE', values: ['89990000099'], entity_type: 'LEAD' })
out.comment = await call('crm.timeline.comment.add', {
  fields: { ENTITY_ID: added.item.id, ENTITY_TYPE: 'lead', COMMENT: 'is it in stock? [ls:evt-77]' }
})
out.comments = (await call('crm.timeline.comment.list', {
  filter: { ENTITY_ID: added.item.id, ENTITY_TYPE: 'lead' }
})).map(c => c.COMMENT)

const chain = await b24.actions.v2.batch.make({
  calls: {
    lead: { method: 'crm.item.add', params: { entityTypeId: 1, fields: { title: 'A&B=[c]', originId: 'sdk-2' } } },
    todo: {
      method: 'crm.activity.todo.add',
      params: { ownerTypeId: 1, ownerId: '$result[lead][item][id]', deadline: '2026-03-01T18:00:00+03:00', title: 'Call back' }
    }
  },
  options: { isHaltOnError: true }
})
const chained = chain.getData()
out.batch = { ok: chain.isSuccess, title: chained.lead.item.title, lead: chained.lead.item.id, todo: chained.todo.id }

const mixed = await b24.actions.v2.batch.make({
  calls: [
    ['server.time', {}],
    ['crm.item.get', { entityTypeId: 1, id: 999 }],
    ['crm.item.get', { entityTypeId: 1, id: added.item.id }]
  ],
  options: { isHaltOnError: false, returnAjaxResult: true }
})
out.mixed = mixed.getData().map(r => r.isSuccess ? 'ok' : [...r.getErrors()].map(e => e.code).join())

out.unknownMethod = await failure('crm.item.frobnicate', {})
out.missingItem = await failure('crm.item.get', { entityTypeId: 1, id: 999 })
out.badFilter = await failure('crm.item.list', { entityTypeId: 1, filter: { '=nope': 1 } })
out.wrongSecret = await failure('server.time', {}, B24Hook.fromWebhookUrl(process.argv[2].replace(/secret\/?$/, 'other')))
out.operating = b24.getHttpClient(ApiVersion.v2).getStats().operatingStats['crm.item.list']

// The portal's next answer to an add is lost: the client must see no success, and the lead must be there all the same.
await new Promise((done) => setTimeout(done, 1000)) // a quick machine has filled the portal's bucket by now
await call('server.time', {}) // a fresh connection state before the cut
out.lost = await failure('crm.lead.add', { fields: { TITLE: 'lost', ORIGINATOR_ID: 'leadstream', ORIGIN_ID: 'sdk-3' } }, open({ maxRetries: 1 }))
out.lostFound = (await call('crm.item.list', byOrigin('sdk-3'))).items.length

// More at once than the portal lets through: the client must recognise the refusals, wait, and get all done.
const burst = open()
const answers = await Promise.all(Array.from({ length: 14 }, () => call('server.time', {}, burst)))
out.throttled = { answered: answers.length, retried: burst.getHttpClient(ApiVersion.v2).getStats().retries > 0 }

console.log(JSON.stringify(out))
