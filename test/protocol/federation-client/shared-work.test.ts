import { expect, test } from 'vitest'

import { ExpiringMap } from '../../../worker/federation-client/expiring-map.ts'
import { sharedWork } from '../../../worker/shared-work.ts'

const underWay = () => new ExpiringMap<string, Promise<string>>(10)
const minute = 60_000

test('is done once by those who want it at the same time, and remembered', async () => {
  const known = underWay()
  let done = 0
  const work = async () => `${++done}`
  const ask = () => sharedWork(known, 'key', minute, work)
  expect(await Promise.all([ask(), ask(), ask()])).toEqual(['1', '1', '1'])
  expect(await ask()).toBe('1')
  expect(await sharedWork(known, 'other key', minute, work)).toBe('2')
})

test('is done by the next one when the request that began it was cut off', async () => {
  const known = underWay()
  void sharedWork(known, 'key', minute, () => new Promise(() => {}))
  const next = () => sharedWork(known, 'key', minute, async () => 'done', { patience: 1 })
  expect(await next()).toBe('done')
  expect(await sharedWork(known, 'key', minute, async () => 'again')).toBe('done')
})

test('is not remembered when it failed or is not worth it', async () => {
  const known = underWay()
  await expect(sharedWork(known, 'key', minute, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  const keep = { worthKeeping: (value: string) => value !== '' }
  expect(await sharedWork(known, 'key', minute, async () => '', keep)).toBe('')
  expect(await sharedWork(known, 'key', minute, async () => 'something', keep)).toBe('something')
  expect(await sharedWork(known, 'key', minute, async () => 'else', keep)).toBe('something')
})
