import { describe, expect, test } from 'vitest'

import { drawToken } from '../../worker/protocol/token-bucket.ts'

const policy = { burst: 3, every: 1000 }

/** Draws at these times, one after the other; the waits that come of it. */
function draws(times: readonly number[]): number[] {
  let fullAt: number | undefined
  return times.map((now) => {
    const drawn = drawToken(policy, fullAt, now)
    fullAt = drawn.fullAt
    return drawn.wait
  })
}

describe('a bucket of three that refills every second', () => {
  test('gives three at once and then says how long to wait', () => {
    expect(draws([0, 0, 0, 0, 100])).toEqual([0, 0, 0, 1000, 900])
  })

  test('gives one more each second', () => {
    expect(draws([0, 0, 0, 1000, 1000, 2000])).toEqual([0, 0, 0, 0, 1000, 0])
  })

  test('does not punish those who knock too early', () => {
    expect(draws([0, 0, 0, 500, 600, 700, 1000])).toEqual([0, 0, 0, 500, 400, 300, 0])
  })

  test('never holds more than three, however long it rests', () => {
    expect(draws([0, 1e9, 1e9, 1e9, 1e9])).toEqual([0, 0, 0, 0, 1000])
  })

  test('is full again at the time it says', () => {
    const { fullAt } = drawToken(policy, undefined, 5000)
    expect(fullAt).toBe(6000)
    expect(drawToken(policy, fullAt, 6000)).toEqual(drawToken(policy, undefined, 6000))
  })
})
