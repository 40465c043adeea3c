import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase64, encodeBase64UrlUnpadded, encodeBase64Unpadded } from '#protocol/signing/base64.ts'

const textOf = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes)

describe('unpadded base64', () => {
  it.each([
    ['', ''],
    ['f', 'Zg'],
    ['fo', 'Zm8'],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg'],
    ['fooba', 'Zm9vYmE'],
    ['foobar', 'Zm9vYmFy'],
  ])('of %j, as in the specification', (text, encoded) => {
    expect(encodeBase64Unpadded(new TextEncoder().encode(text))).toBe(encoded)
    expect(textOf(decodeBase64(encoded))).toBe(text)
  })

  it('has an URL-safe twin', () => {
    const bytes = Uint8Array.of(0xfb, 0xff, 0xbf)
    expect(encodeBase64Unpadded(bytes)).toBe('+/+/')
    expect(encodeBase64UrlUnpadded(bytes)).toBe('-_-_')
    expect(decodeBase64('-/+_')).toEqual(bytes)
  })

  it('is what the platform makes of it, both ways, padded or not', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const padded = Buffer.from(bytes).toString('base64')
        expect(encodeBase64Unpadded(bytes)).toBe(padded.replaceAll('=', ''))
        expect(encodeBase64UrlUnpadded(bytes)).toBe(Buffer.from(bytes).toString('base64url'))
        for (const text of [padded, encodeBase64Unpadded(bytes), encodeBase64UrlUnpadded(bytes)]) {
          expect(decodeBase64(text)).toEqual(bytes)
        }
      }),
    )
  })

  it('may have trailing bits, which mean nothing', () => {
    expect(decodeBase64('Zh')).toEqual(decodeBase64('Zg'))
  })

  it.each([
    'A',
    'AAAAA',
    'A=',
    '=',
    '==',
    '====',
    'Zg=',
    'Zg===',
    'Z=g=',
    '=Zg',
    'Zm 9v',
    'Zm9v\n',
    'Zm9v,',
    'Zmé',
    'Zm9\u0100',
    'Z\0',
  ])('is not %j', (text) => {
    expect(decodeBase64(text)).toBeUndefined()
  })
})
