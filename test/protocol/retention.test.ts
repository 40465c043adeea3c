/** How long messages are kept, by what the room and the server say (MSC1763). */
import type { JsonObject } from '#protocol/json/json.ts'
import { lifetimeOf, readRetention, retentionConfiguration, type RetentionRules } from '#protocol/retention.ts'
import { describe, expect, it } from 'vitest'

const hour = 3_600_000
const day = 24 * hour

const nothing = { min: undefined, max: undefined }
const rules = (
  defaults: Partial<RetentionRules['defaults']> = {},
  allowed: Partial<RetentionRules['allowed']> = {},
): RetentionRules => ({ defaults: { ...nothing, ...defaults }, allowed: { ...nothing, ...allowed } })

describe('a room’s policy', () => {
  it('decides, whatever the server would say', () => {
    expect(lifetimeOf(rules(), { max_lifetime: day })).toBe(day)
    expect(lifetimeOf(rules({ max: hour }), { max_lifetime: day })).toBe(day)
    expect(lifetimeOf(rules({ max: 9 * day }), { max_lifetime: day })).toBe(day)
  })

  it('is as the server has it by default where it says nothing', () => {
    expect(lifetimeOf(rules(), undefined)).toBeUndefined()
    expect(lifetimeOf(rules(), {})).toBeUndefined()
    expect(lifetimeOf(rules({ max: day }), undefined)).toBe(day)
    expect(lifetimeOf(rules({ max: day }), {})).toBe(day)
    expect(lifetimeOf(rules({ max: day }), { max_lifetime: null })).toBe(day)
    expect(lifetimeOf(rules({ max: day }), { expire_on_clients: true })).toBe(day)
  })

  it('keeps messages for its own least time', () => {
    expect(lifetimeOf(rules(), { min_lifetime: 2 * day, max_lifetime: day })).toBe(2 * day)
    expect(lifetimeOf(rules({ max: day }), { min_lifetime: 2 * day })).toBe(2 * day)
    expect(lifetimeOf(rules(), { min_lifetime: 2 * day })).toBeUndefined()
    expect(lifetimeOf(rules({ min: 3 * day, max: 9 * day }), { max_lifetime: day })).toBe(day)
  })

  const wrong: readonly JsonObject[string][] = ['86400000', -1, 1.5, true, [], {}, 2 ** 53, Number.NaN, '']
  it.each(wrong)('is ignored as a whole with %j in it', (value) => {
    expect(readRetention({ max_lifetime: value })).toBeUndefined()
    expect(lifetimeOf(rules(), { max_lifetime: value })).toBeUndefined()
    expect(lifetimeOf(rules({ max: 7 * day }), { max_lifetime: value })).toBe(7 * day)
    expect(lifetimeOf(rules({ max: 7 * day }), { max_lifetime: day, min_lifetime: value })).toBe(7 * day)
  })

  it('is read from its own fields alone', () => {
    const inherited: JsonObject = Object.create({ max_lifetime: 1 })
    expect(lifetimeOf(rules(), inherited)).toBeUndefined()
  })
})

describe('the server’s limits', () => {
  const limits = { min: day, max: 30 * day }

  it.each([
    [hour, day],
    [0, day],
    [day, day],
    [2 * day, 2 * day],
    [30 * day, 30 * day],
    [365 * day, 30 * day],
    [Number.MAX_SAFE_INTEGER, 30 * day],
  ])('make of %i ms %i ms', (asked, given) => {
    expect(lifetimeOf(rules({}, limits), { max_lifetime: asked })).toBe(given)
  })

  it('have the last word over the least time as well', () => {
    expect(lifetimeOf(rules({}, limits), { min_lifetime: 90 * day, max_lifetime: 2 * day })).toBe(30 * day)
  })

  it('hold on one side alone', () => {
    expect(lifetimeOf(rules({}, { min: day }), { max_lifetime: 365 * day })).toBe(365 * day)
    expect(lifetimeOf(rules({}, { max: day }), { max_lifetime: 1 })).toBe(1)
  })

  it('make no policy where there is none', () => {
    expect(lifetimeOf(rules({}, limits), undefined)).toBeUndefined()
    expect(lifetimeOf(rules({}, limits), { max_lifetime: 'soon' })).toBeUndefined()
  })
})

describe('what clients are told', () => {
  it('is all that the owner said', () => {
    expect(retentionConfiguration(rules({ min: hour, max: 3 * day }, { min: day, max: 30 * day }))).toEqual({
      policies: { '*': { min_lifetime: hour, max_lifetime: 3 * day } },
      limits: { max_lifetime: { min: day, max: 30 * day } },
    })
  })

  it('leaves out what was not said', () => {
    expect(retentionConfiguration(rules())).toEqual({ policies: {}, limits: {} })
    expect(retentionConfiguration(rules({ max: day }))).toEqual({
      policies: { '*': { max_lifetime: day } },
      limits: {},
    })
    expect(retentionConfiguration(rules({}, { min: hour }))).toEqual({
      policies: {},
      limits: { max_lifetime: { min: hour } },
    })
  })
})
