import { describe, expect, it } from 'vitest'
import { parseServerName, splitServerName } from '#protocol/identifiers/server-name.ts'

function partsOf(text: string) {
  const name = parseServerName(text)
  return name === undefined ? undefined : splitServerName(name)
}

describe('server names', () => {
  it.each([
    // The examples of the specification.
    ['matrix.org', 'dns', 'matrix.org', undefined],
    ['matrix.org:8888', 'dns', 'matrix.org', 8888],
    ['1.2.3.4', 'ipv4', '1.2.3.4', undefined],
    ['1.2.3.4:1234', 'ipv4', '1.2.3.4', 1234],
    ['[1234:5678::abcd]', 'ipv6', '1234:5678::abcd', undefined],
    ['[1234:5678::abcd]:5678', 'ipv6', '1234:5678::abcd', 5678],
    // Others.
    ['localhost', 'dns', 'localhost', undefined],
    ['UPPER.example', 'dns', 'UPPER.example', undefined],
    ['xn--bcher-kva.example', 'dns', 'xn--bcher-kva.example', undefined],
    ['host:0', 'dns', 'host', 0],
    ['host:00080', 'dns', 'host', 80],
    ['host:65535', 'dns', 'host', 65_535],
    ['1.2.3', 'dns', '1.2.3', undefined],
    ['1.2.3.4.5', 'dns', '1.2.3.4.5', undefined],
    ['[::]', 'ipv6', '::', undefined],
    ['[::1]', 'ipv6', '::1', undefined],
    ['[1::]', 'ipv6', '1::', undefined],
    ['[1:2:3:4:5:6:7:8]', 'ipv6', '1:2:3:4:5:6:7:8', undefined],
    ['[1:2:3:4:5:6:7::]', 'ipv6', '1:2:3:4:5:6:7::', undefined],
    ['[::ffff:1.2.3.4]:8448', 'ipv6', '::ffff:1.2.3.4', 8448],
    ['[1:2:3:4:5:6:1.2.3.4]', 'ipv6', '1:2:3:4:5:6:1.2.3.4', undefined],
  ] as const)('%s', (text, kind, host, port) => {
    expect(partsOf(text)).toEqual({ kind, host, port })
  })

  it.each([
    '',
    ':80',
    'a b',
    'a_b',
    'bücher.example',
    'host:',
    'host:65536',
    'host:100000',
    'host:8a',
    'host:80:80',
    'host:-1',
    'host/path',
    'user@host',
    'host\n',
    'host\0',
    '256.1.1.1',
    '1.1.1.999',
    '[',
    '[]',
    '[:]',
    '[:::]',
    '[1]',
    '[::1',
    '::1',
    '[::1]80',
    '[::1]:',
    'a[::1]',
    '[1::2::3]',
    '[1:2:3:4:5:6:7]',
    '[1:2:3:4:5:6:7:8:9]',
    '[1:2:3:4:5:6:7:8::]',
    '[12345::]',
    '[g::]',
    '[::1.2.3.256]',
    '[1.2.3.4::]',
    '[fe80::1%eth0]',
    'a'.repeat(256),
  ])('%j is none', (text) => {
    expect(parseServerName(text)).toBeUndefined()
  })

  it.each([undefined, null, 1, {}, ['matrix.org']])('%j is none', (value) => {
    expect(parseServerName(value)).toBeUndefined()
  })
})
