import { parseXMatrix } from '#protocol/signing/x-matrix.ts'
import { describe, expect, it } from 'vitest'

describe('the X-Matrix header', () => {
  it('is read as the specification writes it', () => {
    expect(
      parseXMatrix('X-Matrix origin="origin.hs.example.com",destination="d.example",key="ed25519:key1",sig="ABCDEF"'),
    ).toEqual({ origin: 'origin.hs.example.com', destination: 'd.example', keyId: 'ed25519:key1', signature: 'ABCDEF' })
  })
  it('may leave values unquoted, put space around and shout', () => {
    expect(parseXMatrix('x-matrix ORIGIN=a.example , Key = "ed25519:1",sig=AB+/, unknown=x')).toEqual({
      origin: 'a.example',
      destination: undefined,
      keyId: 'ed25519:1',
      signature: 'AB+/',
    })
  })
  it('may escape within quotes', () => {
    expect(parseXMatrix('X-Matrix origin="a.exam\\ple",key="ed25519:1",sig="x"')?.origin).toBe('a.example')
  })
  it.each([
    ['another scheme', 'Bearer origin="a",key="ed25519:1",sig="x"'],
    ['no origin', 'X-Matrix key="ed25519:1",sig="x"'],
    ['no signature', 'X-Matrix origin="a",key="ed25519:1"'],
    ['an origin that is no server name', 'X-Matrix origin="a b",key="ed25519:1",sig="x"'],
    ['another algorithm', 'X-Matrix origin="a",key="rsa:1",sig="x"'],
    ['a name given twice', 'X-Matrix origin="a",origin="b",key="ed25519:1",sig="x"'],
    ['a quote without end', 'X-Matrix origin="a,key="ed25519:1",sig="x'],
    ['four kilobytes of it', `X-Matrix origin="a",key="ed25519:1",sig="${'x'.repeat(5000)}"`],
    ['nothing', ''],
  ])('is refused with %s', (_, header) => {
    expect(parseXMatrix(header)).toBeUndefined()
  })
})
