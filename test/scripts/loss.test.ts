/** The loss test (test/loss), short enough for every run; `npm run test:loss` has it at full length. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { differences, runLoss, unreadIn } from '../loss/run-loss.ts'
import { restartableServer } from '../loss/server.ts'

let server: Awaited<ReturnType<typeof restartableServer>>
beforeAll(async () => {
  server = await restartableServer()
}, 60_000)
afterAll(() => server.end())

test('nothing is lost, nothing comes twice, and the counts are right in the end', async () => {
  const seed = Math.floor(Math.random() * 1e6)
  console.log(`seed ${seed}`)
  const { faults, lost, replayed } = await runLoss(server, { seed, events: 400, restarts: 2 })
  expect(faults).toEqual([])
  // Something did go wrong on the way.
  expect(lost + replayed).toBeGreaterThan(0)
}, 120_000)

describe('the test itself', () => {
  test('finds what is missing, double, foreign or out of order', () => {
    expect(differences('x', ['a', 'b'], ['a', 'b'])).toEqual([])
    expect(differences('x', ['a'], ['a', 'b'])).toEqual(['x: 1 lost, 0 twice, 0 that were never said'])
    expect(differences('x', ['a', 'a', 'b'], ['a', 'b'])).toEqual(['x: 0 lost, 1 twice, 0 that were never said'])
    expect(differences('x', ['a', 'c'], ['a', 'b'])).toEqual(['x: 1 lost, 0 twice, 1 that were never said'])
    expect(differences('x', ['b', 'a'], ['a', 'b'])).toEqual(['x: in another order'])
  })

  test('counts from the furthest receipt', () => {
    const read = (eventId: string) => ({ room: '', eventId })
    const mentions = new Map([['c', '@me:x']])
    const counted = unreadIn(['a', 'b', 'c', 'd'], [read('b'), read('a')], mentions, { userId: '@me:x' })
    expect(counted).toEqual({ all: 2, highlights: 1 })
  })
})
