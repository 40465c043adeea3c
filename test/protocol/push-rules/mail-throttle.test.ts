/** Letters about unread messages get rarer, and begin anew after a quiet time. */
import { describe, expect, test } from 'vitest'

import { isForgotten, mailDue, mailedAgain, type MailedRoom } from '#protocol/push-rules/mail-throttle.ts'

const minute = 60_000
const hour = 60 * minute

describe('a room that nobody reads', () => {
  test('is in a letter after ten minutes, then ever more seldom, in the end once a day', () => {
    let mailed: MailedRoom | undefined
    const times: number[] = []
    // Somebody says something every minute.
    for (let now = 0; now <= 60 * hour; now += minute) {
      const waitingSince = mailed ? mailed.sentAt + minute : 0
      if (now < mailDue(waitingSince, mailed)) continue
      times.push(now)
      mailed = mailedAgain(mailed, now)
    }
    const gaps = times.map((time, index) => (time - (times[index - 1] ?? 0)) / minute)
    expect(gaps).toEqual([10, 11, 60, 360, 1440, 1440])
  })

  test('begins anew once there was silence for long enough', () => {
    const mailed = { sentAt: 0, gap: 6 * hour }
    expect(mailedAgain(mailed, 18 * hour).gap).toBe(24 * hour)
    expect(mailedAgain(mailed, 18 * hour + 1).gap).toBe(10 * minute)
    expect([isForgotten(mailed, 18 * hour), isForgotten(mailed, 18 * hour + 1)]).toEqual([false, true])
  })
})

test('nobody hears of a message that is younger than ten minutes', () => {
  expect(mailDue(1000, undefined)).toBe(1000 + 10 * minute)
  expect(mailDue(1000, { sentAt: 0, gap: minute })).toBe(1000 + 10 * minute)
  expect(mailDue(1000, { sentAt: 0, gap: hour })).toBe(hour)
})
