/** What every event costs before anything is stored: canonical JSON, hash and signature; and the check of one. */
import { rulesOf } from '../../../worker/protocol/room-versions/rules.ts'
import { canonicalJson } from '../../../worker/protocol/json/canonical-json.ts'
import type { JsonObject } from '../../../worker/protocol/json/json.ts'
import { signingKeyOf } from '../../../worker/protocol/signing/keys.ts'
import { signEvent, verifyEventSignature } from '../../../worker/protocol/signing/event-signatures.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { measure, type Row } from '../measure.ts'
import type { Bench } from '../setting.ts'

const event: JsonObject = {
  auth_events: ['$a'.padEnd(44, 'a'), '$b'.padEnd(44, 'b'), '$c'.padEnd(44, 'c')],
  content: { body: 'A message of ordinary length, as people write it.', msgtype: 'm.text' },
  depth: 1234,
  origin_server_ts: 1_760_000_000_000,
  prev_events: ['$d'.padEnd(44, 'd')],
  room_id: '!r'.padEnd(44, 'r'),
  sender: '@alice:example.org',
  type: 'm.room.message',
}
/** Operations between two looks at the clock. */
const batch = 100

export async function* micro({ sizes }: Bench): AsyncGenerator<Row> {
  const rules = rulesOf('12')
  const key = signingKeyOf('ed25519:bench', new Uint8Array(32).fill(7))
  if (!rules) return
  const signed = signEvent(rules, event, 'example.org', key, nodeCrypto)
  const operations = {
    'canonical JSON of an event': () => canonicalJson(signed),
    'hash and sign an event': () => signEvent(rules, event, 'example.org', key, nodeCrypto),
    "verify an event's signature": () =>
      verifyEventSignature(rules, signed, 'example.org', key.keyId, key.publicKey, nodeCrypto),
  }
  for (const [name, run] of Object.entries(operations)) {
    for (let i = 0; i < batch; i++) run()
    yield measure({
      name,
      count: sizes.batches,
      pid: process.pid,
      // Measured by the batch, told by the operation.
      run: async () => {
        const begun = performance.now()
        for (let i = 0; i < batch; i++) run()
        return (performance.now() - begun) / batch
      },
    }).then((row) => ({
      ...row,
      count: row.count * batch,
      perSecond: row.perSecond * batch,
      cpu: (row.cpu ?? 0) / batch,
    }))
  }
}
