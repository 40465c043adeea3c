/** How messages to devices are split into EDUs. */
import type { JsonObject } from '#protocol/json/json.ts'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { isDeliverable, isToDeviceType, splitMessages } from '#protocol/device-keys/to-device.ts'

const limit = 65_536
/** A content that has just so many bytes. */
const content = (bytes: number): JsonObject => ({ x: 'y'.repeat(bytes - '{"x":""}'.length) })

describe('messages', () => {
  test('stay in one part while they are small', () => {
    const users = new Map([
      ['@a:x', { D1: { n: 1 }, D2: { n: 2 } }],
      ['@b:x', { '*': { n: 3 } }],
    ])
    expect(splitMessages(users)).toEqual([{ '@a:x': { D1: { n: 1 }, D2: { n: 2 } }, '@b:x': { '*': { n: 3 } } }])
    expect(splitMessages(new Map())).toEqual([])
  })

  test('of full size go each alone', () => {
    const users = new Map([['@a:x', { D1: content(limit), D2: content(limit) }]])
    expect(splitMessages(users)).toEqual([{ '@a:x': { D1: content(limit) } }, { '@a:x': { D2: content(limit) } }])
  })

  test('are all there, once, in order, in parts of limited size; and split the same way again', () => {
    const sizes = fc.array(fc.array(fc.integer({ min: 20, max: 40_000 }), { maxLength: 12 }), { maxLength: 6 })
    fc.assert(
      fc.property(sizes, (users) => {
        const wanted = new Map(
          users.map((devices, user) => [
            `@u${user}:x`,
            Object.fromEntries(devices.map((size, device) => [`D${device}`, content(size)])),
          ]),
        )
        const parts = splitMessages(wanted)
        expect(splitMessages(wanted)).toEqual(parts)
        const flat = (map: Iterable<readonly [string, unknown]>) =>
          [...map].flatMap(([userId, devices]) => Object.entries(Object(devices)).map((each) => [userId, ...each]))
        expect(parts.flatMap((part) => flat(Object.entries(part)))).toEqual(flat(wanted))
        for (const part of parts) {
          const count = Object.values(part).flatMap((devices) => Object.keys(Object(devices))).length
          if (count > 1) expect(JSON.stringify(part).length).toBeLessThan(limit + 100)
        }
      }),
    )
  })

  test('are counted in bytes', () => {
    expect(isDeliverable(content(limit))).toBe(true)
    expect(isDeliverable(content(limit + 1))).toBe(false)
    expect(isDeliverable({ x: 'ä'.repeat(limit / 2) })).toBe(false)
    for (const nothing of [undefined, null, 'text', 7, []]) expect(isDeliverable(nothing)).toBe(false)
    expect([isToDeviceType('m'.repeat(255)), isToDeviceType('ä'.repeat(128))]).toEqual([true, false])
  })
})
