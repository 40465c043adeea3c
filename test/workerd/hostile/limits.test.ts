/**
 * How often strangers may make this server ask others, and how often other servers may invite its people.
 * Security cases 23, 24.
 */
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { limitInvites } from '../../../worker/middleware/rate-limit.ts'
import { Refusal } from '../../../worker/refusal.ts'
import { settingsOf } from '../../../worker/settings.ts'
import { user } from '../../dsl/users.ts'
import { ask } from '../accounts/servers.ts'
import { serversAnswer } from './hostile-server.ts'

const limited = { RATE_LIMITS: 'on' }

/** Buckets fill while time goes by: here it does not. */
const stopTheClock = () => void vi.spyOn(Date, 'now').mockReturnValue(Date.now())

beforeEach(() => {
  serversAnswer({})
  stopTheClock()
})
afterEach(() => void serversAnswer({}))

describe('requests in the name of servers that nobody knows', () => {
  const inTheNameOf = (origin: string, address: string) =>
    ask(limited, 'GET', '/_matrix/federation/v1/query/profile?user_id=%40a%3Atest.local', undefined, {
      Authorization: `X-Matrix origin="${origin}",destination="test.local",key="ed25519:x",sig="AA"`,
      'CF-Connecting-IP': address,
    })

  it('are refused from an address that has too many of them, before anybody is asked', async () => {
    const asked = serversAnswer({ '/key/v2/server': () => new Response('no', { status: 404 }) })
    stopTheClock()
    const statuses: number[] = []
    for (let n = 0; n < 260; n++) statuses.push((await inTheNameOf(`made-up${n}.test:8448`, '192.0.2.40')).status)
    expect(new Set(statuses)).toEqual(new Set([401, 429]))
    const servers = new Set(asked.map(({ server }) => server))
    expect(servers.size).toBe(statuses.filter((status) => status === 401).length)
    expect(servers.size).toBe(200)
    expect((await inTheNameOf('another.test:8448', '192.0.2.41')).status).toBe(401)
  })

  it('cost nothing where the server was asked just now', async () => {
    for (let n = 0; n < 260; n++) expect((await inTheNameOf('same.test:8448', '192.0.2.42')).status).toBe(401)
  })
})

describe('invites from another server', () => {
  const settings = settingsOf({ ...env, ...limited })
  const server = (name: string) => parseServerName(name) ?? expect.fail()
  const [liar, other] = [server('liar.test'), server('other.test')]
  const untilRefused = (target: () => string, from = liar) => {
    for (let count = 0; count < 1_000; count++) {
      try {
        limitInvites(from, user(target()), settings)
      } catch (error) {
        expect(error).toBeInstanceOf(Refusal)
        return count
      }
    }
    return Infinity
  }

  it('reach one person so often, others all the same, and from others too', () => {
    expect(untilRefused(() => '@li_alice:test.local')).toBe(20)
    limitInvites(liar, user('@li_bob:test.local'), settings)
    limitInvites(other, user('@li_alice:test.local'), settings)
  })

  it('of many people have a bound as well', () => {
    let n = 0
    const count = untilRefused(() => `@li_${(n += 1)}:test.local`, server('many.test'))
    expect(count).toBe(200)
  })
})
