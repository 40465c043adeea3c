/** What one-time keys cost: rows for those that are given out, not for all that a device ever had. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import { addKeys, claimKeys, countKeys } from '../../../durable-objects/user-sync/one-time-keys.ts'
import { registerUser, type User } from '../client.ts'
import { countRows } from '../room/row-count.ts'
import { withKeys } from './devices.ts'

const algorithm = 'signed_curve25519'

function inside<T>({ userId }: User, work: (sql: SqlStorage) => T): Promise<T> {
  const stub = env.USER_SYNC.get(env.USER_SYNC.idFromName(userId))
  return runInDurableObject(stub, (_, { storage }) => work(storage.sql))
}

test('a claim reads a few rows, however many keys there are and were', async () => {
  const user = await registerUser('key-rows')
  await withKeys(user)
  const { deviceId } = user
  await inside(user, (sql) => {
    const upload = (from: number, count: number) => {
      const keys = Array.from({ length: count }, (_, n) => {
        return { algorithm, keyId: `K${from + n}`, json: JSON.stringify({ key: `${from + n}` }), name: '' }
      })
      expect(addKeys(sql, { deviceId, oneTimeKeys: keys, fallbackKeys: [] })).toEqual({ ok: true })
    }
    const claim = (count: number) => claimKeys(sql, { [deviceId]: { [algorithm]: count } })
    upload(0, 1500)
    claim(900)
    expect(countKeys(sql, deviceId)).toEqual({ [algorithm]: 600 })
    const claimed = countRows({ sql }, () =>
      expect(Object.keys(claim(1)[deviceId] ?? {})).toEqual([`${algorithm}:K900`]),
    )
    expect(claimed.read).toBeLessThan(20)
    expect(countKeys(sql, deviceId)).toEqual({ [algorithm]: 599 })
    // An upload forgets the oldest of those that were claimed, all but 500.
    upload(1500, 1)
    const rows = sql
      .exec<{ rows: number }>('SELECT count(*) AS rows FROM one_time_keys WHERE is_claimed = 1')
      .one().rows
    expect(rows).toBe(500)
    expect(countKeys(sql, deviceId)).toEqual({ [algorithm]: 600 })
    claim(600)
    expect(countKeys(sql, deviceId)).toEqual({})
  })
})
