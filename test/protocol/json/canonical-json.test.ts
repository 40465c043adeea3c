import canonicalize from 'canonicalize'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CanonicalJsonError,
  canonicalJson,
  canonicalJsonBytes,
  canonicalJsonLoose,
  compareCodePoints,
} from '#protocol/json/canonical-json.ts'
import type { JsonValue } from '#protocol/json/json.ts'
import { parseStrictJson } from '#protocol/json/strict-json.ts'
import fixture from '../../fixtures/canonical-json.json' with { type: 'json' }

/** JSON as an event may hold it: integers in range, well-formed strings, keys of every kind. */
const text = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }))
const canonicalValue = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text,
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value')),
    fc.dictionary(text, tie('value')),
  ),
})).value

function faultOf(write: () => unknown): string | undefined {
  try {
    write()
    return undefined
  } catch (error) {
    return error instanceof CanonicalJsonError ? error.fault : 'another error'
  }
}

function nested(depth: number): JsonValue {
  let value: JsonValue = []
  for (let level = 1; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

describe('the examples of the specification', () => {
  it.each(fixture.examples)('$input', ({ input, canonical }) => {
    const parsed = parseStrictJson(input)
    expect(parsed.ok && canonicalJson(parsed.value)).toBe(canonical)
  })
})

describe('keys', () => {
  it('stand by code point, not by UTF-16 unit as JavaScript sorts them', () => {
    const keys = { '\u{1f600}': 1, '\uffff': 2, '\ue000': 3, z: 4, '\u{1f600}a': 5, '\u{10ffff}': 6 }
    expect(canonicalJson(keys)).toBe('{"z":4,"\ue000":3,"\uffff":2,"\u{1f600}":1,"\u{1f600}a":5,"\u{10ffff}":6}')
  })

  it('that look like array indexes stand as text', () => {
    expect(canonicalJson({ 10: 1, 9: 2, 1: 3 })).toBe('{"1":3,"10":1,"9":2}')
  })

  it('may be any of the names that objects inherit', () => {
    const parsed = parseStrictJson('{"toString":1,"__proto__":{"x":1},"constructor":2}')
    expect(parsed.ok && canonicalJson(parsed.value)).toBe('{"__proto__":{"x":1},"constructor":2,"toString":1}')
    expect(canonicalJson({ a: 1 })).toBe('{"a":1}')
  })

  it('compare as their code points do', () => {
    fc.assert(
      fc.property(text, text, (left, right) => {
        const points = (of: string) => Array.from(of, (character) => character.codePointAt(0) ?? 0)
        const [a, b] = [points(left), points(right)]
        const at = a.findIndex((point, index) => point !== b[index])
        const expected = at === -1 ? a.length - b.length : (a[at] ?? -1) - (b[at] ?? -1)
        expect(Math.sign(compareCodePoints(left, right))).toBe(Math.sign(expected))
      }),
    )
  })
})

describe('strings', () => {
  it('escape what must be escaped and nothing else', () => {
    const controls = String.fromCharCode(...Array.from({ length: 32 }, (_, code) => code))
    expect(canonicalJson(controls)).toBe(
      String.raw`"\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f` +
        String.raw`\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f"`,
    )
    expect(canonicalJson('"\\/\u007f\u2028\u2029é')).toBe('"\\"\\\\/\u007f\u2028\u2029é"')
  })

  it.each([['\ud800'], ['a\udc00'], ['\udc00\ud800'], ['\ud83d\ud83d\ude00'], ['\\\ud800']])(
    'with a lone surrogate have no UTF-8: %j',
    (lone) => {
      expect(faultOf(() => canonicalJson({ a: [lone] }))).toBe('not_unicode')
      expect(faultOf(() => canonicalJsonLoose({ [lone]: 1 }))).toBe('not_unicode')
    },
  )

  it('may spell an escape without being one', () => {
    expect(canonicalJson(String.raw`\ud83d`)).toBe(String.raw`"\\ud83d"`)
    expect(canonicalJson(String.raw`\\ud83d`)).toBe(String.raw`"\\\\ud83d"`)
  })
})

describe('numbers', () => {
  it('are integers up to 2^53-1', () => {
    expect(canonicalJson([0, -0, 1, -1, 2 ** 53 - 1, -(2 ** 53) + 1])).toBe(
      '[0,0,1,-1,9007199254740991,-9007199254740991]',
    )
  })

  it.each([
    [0.5, 'not_an_integer'],
    [1e-7, 'not_an_integer'],
    [2 ** 53, 'integer_out_of_range'],
    [-(2 ** 53), 'integer_out_of_range'],
    [1e300, 'integer_out_of_range'],
    [NaN, 'not_json'],
    [Infinity, 'not_json'],
    [-Infinity, 'not_json'],
  ])('%d is none of them', (number, fault) => {
    expect(faultOf(() => canonicalJson({ depth: number }))).toBe(fault)
  })

  it('in room versions 1 to 5 also are what Python would print', () => {
    const numbers = [0.5, -1.25, 0.0001, 0.00001, 1.5e-7, -2e-10, 1e-100, 123456.789, 2 ** 53, 2 ** 60, -(2 ** 63)]
    expect(canonicalJsonLoose(numbers)).toBe(
      '[0.5,-1.25,0.0001,1e-05,1.5e-07,-2e-10,1e-100,123456.789,9007199254740992,1152921504606846976,-9223372036854775808]',
    )
    expect(faultOf(() => canonicalJsonLoose(NaN))).toBe('not_json')
    expect(faultOf(() => canonicalJsonLoose(Infinity))).toBe('not_json')
  })
})

describe('hostile values', () => {
  it('are refused when nested too deep, before the stack is used up', () => {
    expect(canonicalJson(nested(1000))).toHaveLength(500 * '[]'.length + 500 * '{"a":}'.length)
    expect(faultOf(() => canonicalJson(nested(1001)))).toBe('too_deep')
    expect(faultOf(() => canonicalJson(nested(100_000)))).toBe('too_deep')
  })

  it('with many keys are sorted in reasonable time', () => {
    const keys = Array.from({ length: 50_000 }, (_, index) => `k${(index * 7919) % 50_000}`)
    const written = canonicalJson(Object.fromEntries(keys.map((key) => [key, 0])))
    expect(written.startsWith('{"k0":0,"k1":0,"k10":0,"k100":0,')).toBe(true)
  })
})

describe('every value', () => {
  it('parses back to itself', () => {
    fc.assert(
      fc.property(canonicalValue, (value) => {
        const written = canonicalJson(value)
        const parsed = parseStrictJson(written)
        expect(parsed.ok && canonicalJson(parsed.value)).toBe(written)
        expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('is written as an independent implementation writes it, where both sort alike', () => {
    const isBmp = (value: JsonValue): boolean => !/[\ud800-\udfff]/.test(JSON.stringify(value))
    fc.assert(
      fc.property(canonicalValue.filter(isBmp), (value) => {
        expect(canonicalJson(value)).toBe(canonicalize(value))
      }),
      { numRuns: 500 },
    )
  })

  it('is the same in loose mode, and as bytes', () => {
    fc.assert(
      fc.property(canonicalValue, (value) => {
        expect(canonicalJsonLoose(value)).toBe(canonicalJson(value))
        expect(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(canonicalJsonBytes(value))).toBe(
          canonicalJson(value),
        )
      }),
    )
  })

  it('does not depend on the order in which keys were added', () => {
    fc.assert(
      fc.property(fc.dictionary(text, fc.integer(), { maxKeys: 40 }), (object) => {
        const reversed = Object.fromEntries(Object.entries(object).reverse())
        expect(canonicalJson(reversed)).toBe(canonicalJson(object))
      }),
    )
  })
})
