/**
 * Servers that publish more keys than anybody needs, and others each time: what is written down of that is bounded, since
 * anybody can make this server ask any other for its keys. Security cases 24, 26.
 */
import { serverNameOf } from '#protocol/identifiers/user-id.ts'
import type { JsonObject } from '#protocol/json/json.ts'
import { encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

import { keyOf } from '../../dsl/room-timeline.ts'
import { registerUser, type User } from '../client.ts'
import { askAs, publishedKeys, serversAnswer, stranger } from './hostile-server.ts'

let alice: User
beforeAll(async () => {
  alice = await registerUser('hk_alice')
})
afterEach(() => void serversAnswer({}))

const profile = () => `/query/profile?user_id=${encodeURIComponent(alice.userId)}`

/** As many keys as are read of an answer, with names of their own; the real one among them. */
function keys(server: string, name: string, count: number): JsonObject {
  const { keyId, publicKey } = keyOf(server)
  const key = encodeBase64Unpadded(publicKey)
  const more = Array.from({ length: count }, (_, n) => [`ed25519:${name}${n}`, { key }] as const)
  return Object.fromEntries([[keyId, { key }], ...more])
}

async function kept(server: string) {
  const query = `SELECT count(*) AS keys, sum(response IS NOT NULL) AS answers, sum(length(response)) AS bytes
    FROM remote_server_keys WHERE server_name = ?`
  return env.DB.prepare(query).bind(server).first<{ keys: number; answers: number; bytes: number }>()
}

describe('case 24: of a server with a hundred keys', () => {
  it('the answer is kept once', async () => {
    const server = serverNameOf(stranger())
    serversAnswer({
      '/key/v2/server': () =>
        Response.json(publishedKeys(server, { verify_keys: keys(server, 'a', 90), padding: 'x'.repeat(40_000) })),
    })
    expect((await askAs(server, 'GET', profile())).status).toBe(200)
    expect(await kept(server)).toMatchObject({ keys: 91, answers: 1 })
  })

  it('and other keys each time, the oldest are forgotten', async () => {
    const server = serverNameOf(stranger())
    const start = Date.now()
    let asked = 0
    serversAnswer({
      '/key/v2/server': () => {
        asked += 1
        const { publicKey } = keyOf(server)
        const former = { key: encodeBase64Unpadded(publicKey), expired_ts: 1 }
        const expired = Array.from({ length: 90 }, (_, n) => [`ed25519:old${asked}_${n}`, former])
        return Response.json(
          publishedKeys(server, {
            // Out of date at once: so it is asked for again.
            valid_until_ts: Date.now() + 1_000,
            verify_keys: keys(server, `new${asked}_`, 90),
            old_verify_keys: Object.fromEntries(expired),
          }),
        )
      },
    })
    for (const minutes of [0, 5, 10, 15]) {
      vi.spyOn(Date, 'now').mockReturnValue(start + minutes * 60_000)
      expect((await askAs(server, 'GET', profile())).status).toBe(200)
    }
    expect(asked).toBe(4)
    const { keys: count = 0, answers } = (await kept(server)) ?? {}
    expect(answers).toBe(1)
    expect(count).toBeGreaterThan(180)
    expect(count).toBeLessThan(300)
  })

  it('an answer without end is read to a bound', async () => {
    const server = serverNameOf(stranger())
    serversAnswer({
      '/key/v2/server': () => Response.json(publishedKeys(server, { padding: 'x'.repeat(100_000) })),
    })
    expect((await askAs(server, 'GET', profile())).status).toBe(401)
    expect(await kept(server)).toMatchObject({ keys: 0 })
  })
})
