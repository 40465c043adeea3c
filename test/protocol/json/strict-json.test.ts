import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, canonicalJsonLoose } from '#protocol/json/canonical-json.ts'
import type { JsonValue } from '#protocol/json/json.ts'
import { canonicalJsonOfText, parseFederationJson, parseStrictJson } from '#protocol/json/strict-json.ts'

function valueOf(text: string): unknown {
  const result = parseStrictJson(text)
  return result.ok ? result.value : result
}

function reasonOf(text: string, maxDepth?: number): string {
  const result = parseStrictJson(text, maxDepth === undefined ? {} : { maxDepth })
  return result.ok ? 'accepted' : result.reason
}

describe('what JSON.parse accepts', () => {
  it('parses to the same value', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), fc.integer({ min: 0, max: 3 }), (text, indent) => {
        const spaced = JSON.stringify(JSON.parse(text), undefined, indent)
        // JSON.stringify writes 2^64 as 18446744073709552000: another number, and a refused one.
        fc.pre(!/\d{17}/.test(spaced))
        expect(valueOf(spaced)).toEqual(JSON.parse(spaced))
      }),
      { numRuns: 500 },
    )
  })

  it('parses with every escape and any white space', () => {
    expect(valueOf(' \t\r\n{ "a" : [ 1 , "\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00" ] , "b" : { } } \n')).toEqual(
      {
        a: [1, '"\\/\b\f\n\r\té\u{1f600}'],
        b: {},
      },
    )
  })
})

describe('what JSON.parse refuses', () => {
  it.each([
    '',
    ' ',
    '{',
    '[',
    '}',
    '{]',
    '[}',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{,"a":1}',
    '{a:1}',
    "{'a':1}",
    '{1:1}',
    '[1,]',
    '[,1]',
    '[1 2]',
    '[1]]',
    '[1] x',
    '1 2',
    '01',
    '-',
    '+1',
    '.5',
    '1.',
    '1e',
    '1e+',
    '0x10',
    'NaN',
    'Infinity',
    '-Infinity',
    'undefined',
    'True',
    'nul',
    'truefalse',
    '"',
    '"\\',
    '"\\"',
    '"\\x41"',
    '"\\u12"',
    '"\\u12g4"',
    '"a\nb"',
    '"\u0000"',
    '"\u001f"',
    '/* */1',
    '\ufeff1',
    '\u00a01',
    '{"a":1 "b":2}',
    '{"a" 1}',
  ])('is no JSON: %j', (text) => {
    expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError)
    expect(reasonOf(text)).toBe('not_json')
  })

  it('is refused for any damage to a document', () => {
    const document =
      '{"type":"m.room.message","content":{"body":"\\u00e9\\n","n":[-1,20,true,false,null,{}]},"depth":3}'
    fc.assert(
      fc.property(fc.nat(document.length - 1), fc.string({ unit: 'binary', maxLength: 2 }), (at, put) => {
        const damaged = document.slice(0, at) + put + document.slice(at + 1)
        let parsed: unknown
        let ok = true
        try {
          parsed = JSON.parse(damaged)
        } catch {
          ok = false
        }
        if (!ok) expect(reasonOf(damaged)).toBe('not_json')
        else if (reasonOf(damaged) === 'accepted') expect(valueOf(damaged)).toEqual(parsed)
        else expect(reasonOf(damaged)).toMatch(/duplicate_key|bad_number/)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('duplicate keys', () => {
  it.each([
    '{"a":1,"a":2}',
    '{"a":1,"b":2,"\\u0061":1}',
    '[{"x":{"sender":"@a:a","sender":"@b:b"}}]',
    '{"__proto__":1,"__proto__":2}',
  ])('are refused: %s', (text) => {
    expect(reasonOf(text)).toBe('duplicate_key')
  })

  it('are not seen where objects differ', () => {
    expect(reasonOf('[{"a":1},{"a":1},{"b":{"a":{"a":1}},"a":2}]')).toBe('accepted')
  })
})

describe('keys that objects inherit', () => {
  it('are plain members', () => {
    const value = valueOf('{"__proto__":{"admin":true},"constructor":1,"hasOwnProperty":2,"toString":3}')
    expect(Reflect.ownKeys(Object(value))).toEqual(['__proto__', 'constructor', 'hasOwnProperty', 'toString'])
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect(Reflect.get(Object(value), 'admin')).toBeUndefined()
    expect(Reflect.get({}, 'admin')).toBeUndefined()
  })
})

describe('numbers', () => {
  it.each([
    ['9007199254740991', 9007199254740991],
    ['-9007199254740991', -9007199254740991],
    ['9007199254740992', 9007199254740992],
    ['1152921504606846976', 2 ** 60],
    ['-0', 0],
    ['-0.0', 0],
    ['1e10', 1e10],
    ['1.0', 1],
    ['1E+2', 100],
    ['0.5', 0.5],
    ['0.1000000000000000055511151231257827', 0.1],
  ])('%s is kept', (text, number) => {
    expect(Object.is(valueOf(text), number)).toBe(true)
  })

  it.each(['9007199254740993', '-9007199254740993', '9223372036854775807', '1e309', '-1e309', `1${'0'.repeat(400)}`])(
    '%s is lost by Number and refused',
    (text) => {
      expect(reasonOf(`{"a":[${text}]}`)).toBe('bad_number')
    },
  )

  it('of absurd length are refused without delay', () => {
    expect(reasonOf('7'.repeat(1_000_000))).toBe('bad_number')
  })
})

describe('nesting', () => {
  const nest = (depth: number) => '[{"a":'.repeat(depth / 2) + '0' + '}]'.repeat(depth / 2)

  it('goes to the limit and no further', () => {
    expect(reasonOf(nest(1000))).toBe('accepted')
    expect(reasonOf(`[${nest(1000)}]`)).toBe('too_deep')
    expect(reasonOf('[[]]', 1)).toBe('too_deep')
    expect(reasonOf('[1]', 1)).toBe('accepted')
    expect(reasonOf('1', 0)).toBe('accepted')
    expect(reasonOf('{}', 0)).toBe('too_deep')
  })

  it('without end costs nothing', () => {
    expect(reasonOf('['.repeat(5_000_000))).toBe('too_deep')
    expect(reasonOf('{"a":'.repeat(1_000_000))).toBe('too_deep')
  })
})

describe('what another server sent', () => {
  const jsonOf = (value: JsonValue | undefined): JsonValue => value ?? 'nothing was parsed'
  const parse = (text: string): JsonValue => {
    const result = parseFederationJson(text)
    return result.ok ? result.value : result
  }

  it('loses the bad values and keeps the rest', () => {
    const text =
      '{"pdus":[{"ok":1},{"depth":9007199254740993},{"x":1.0},{"x":1e3},{"a":1,"a":2},{"x":1e999},{"ok":[0.5,-0]}]}'
    expect(parse(text)).toEqual({
      pdus: [{ ok: 1 }, { depth: NaN }, { x: NaN }, { x: NaN }, { a: NaN }, { x: NaN }, { ok: [0.5, 0] }],
    })
  })

  it.each([1008, 100_000])('loses what is nested %d deep and keeps the rest', (depth) => {
    const deep = '['.repeat(depth) + ']'.repeat(depth)
    const [kept, lost] = [parse(`[[1],${deep}]`)].flat()
    expect(kept).toEqual([1])
    expect(() => canonicalJsonLoose(jsonOf(lost))).toThrow(/too_deep|not_json/)
  })

  it('has events as deep as they may be', () => {
    const event = '['.repeat(1000) + ']'.repeat(1000)
    const [kept] = [parse(`[${event}]`)].flat()
    expect(canonicalJson(jsonOf(kept))).toBe(event)
  })

  it('is refused as a whole only where it is no JSON', () => {
    expect(parse('{"pdus":[')).toEqual({ ok: false, reason: 'not_json' })
    expect(parse('')).toEqual({ ok: false, reason: 'not_json' })
  })

  it('is otherwise what the strict parser makes of it', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), (json) => {
        const text = JSON.stringify(JSON.parse(json))
        const strict = parseStrictJson(text)
        // A double such as 1e21 is written with an exponent although it is whole.
        if (strict.ok && !/\de[+-]?\d/.test(text)) expect(parse(text)).toEqual(strict.value)
      }),
    )
  })
})

describe('the canonical form of a text', () => {
  it('keeps numbers as they were spelled', () => {
    expect(canonicalJsonOfText('{"b":[1.0, 1e3 , -0,9223372036854775807],"a":{"d":0.10,"c":1}}')).toBe(
      '{"a":{"c":1,"d":0.10},"b":[1.0,1e3,-0,9223372036854775807]}',
    )
  })

  it('is the canonical form of its value otherwise', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), fc.oneof(fc.maxSafeInteger(), fc.boolean())),
        (value) => {
          expect(canonicalJsonOfText(JSON.stringify(value))).toBe(canonicalJson(value))
        },
      ),
    )
  })

  it.each(['', '{', '{"a":1,"a":1}', '"\\ud800"', '['.repeat(2000) + ']'.repeat(2000)])(
    'does not exist for what nobody can have signed: %.20s',
    (text) => {
      expect(canonicalJsonOfText(text)).toBeUndefined()
    },
  )
})
