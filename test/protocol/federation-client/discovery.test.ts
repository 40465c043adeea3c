import { describe, expect, it } from 'vitest'

import { parseServerName } from '../../../worker/protocol/identifiers/server-name.ts'
import { isPublicAddress, isPublicHost } from '../../../worker/federation-client/address-check.ts'
import { discoverServer, type Lookups } from '../../../worker/federation-client/server-discovery.ts'
import { bestSrv } from '../../../worker/federation-client/srv-lookup.ts'
import { lifetimeOf } from '../../../worker/federation-client/well-known.ts'

type Srv = Record<string, { target: string; port: number }>
const discover = (name: string, wellKnown: Record<string, string> = {}, srv: Srv = {}) => {
  const asked: string[] = []
  const lookups: Lookups = {
    wellKnown: async (host) => (asked.push(`well-known ${host}`), wellKnown[host]),
    srv: async (record) => (asked.push(`srv ${record}`), srv[record]),
  }
  const parsed = parseServerName(name)
  if (!parsed) throw new Error(`${name} is no server name`)
  return discoverServer(parsed, lookups).then((place) => ({ ...place, asked }))
}

describe('finding a server, step by step of the specification', () => {
  it('1: an IP literal is that address, port 8448 or as given, and nothing is looked up', async () => {
    expect(await discover('1.2.3.4')).toEqual({
      host: '1.2.3.4',
      port: 8448,
      hostHeader: '1.2.3.4',
      tlsName: '1.2.3.4',
      asked: [],
    })
    expect(await discover('[2001:db8::1]:99')).toMatchObject({
      host: '2001:db8::1',
      port: 99,
      hostHeader: '[2001:db8::1]:99',
      asked: [],
    })
  })
  it('2: an explicit port needs no lookup', async () => {
    expect(await discover('example.org:443')).toMatchObject({
      host: 'example.org',
      port: 443,
      hostHeader: 'example.org:443',
      tlsName: 'example.org',
      asked: [],
    })
  })
  it('3.1, 3.2: well-known delegates to a literal or an explicit port', async () => {
    expect(await discover('example.org', { 'example.org': '9.9.9.9' })).toMatchObject({ host: '9.9.9.9', port: 8448 })
    expect(await discover('example.org', { 'example.org': 'm.example.org:443' })).toMatchObject({
      host: 'm.example.org',
      port: 443,
      hostHeader: 'm.example.org:443',
    })
  })
  it('3.3: SRV of the delegated name; certificate and Host are of the delegated name', async () => {
    const srv = { '_matrix-fed._tcp.m.example.org': { target: 'box7.net', port: 4711 } }
    expect(await discover('example.org', { 'example.org': 'm.example.org' }, srv)).toMatchObject({
      host: 'box7.net',
      port: 4711,
      hostHeader: 'm.example.org',
      tlsName: 'm.example.org',
    })
  })
  it('3.5: else port 8448 of the delegated name', async () => {
    expect(await discover('example.org', { 'example.org': 'm.example.org' })).toMatchObject({
      host: 'm.example.org',
      port: 8448,
    })
  })
  it('4, 5: SRV of the name itself, the new service name before the old', async () => {
    const both = {
      '_matrix-fed._tcp.example.org': { target: 'new', port: 1 },
      '_matrix._tcp.example.org': { target: 'old', port: 2 },
    }
    expect(await discover('example.org', {}, both)).toMatchObject({ host: 'new', port: 1, tlsName: 'example.org' })
    expect(
      await discover('example.org', {}, { '_matrix._tcp.example.org': both['_matrix._tcp.example.org'] }),
    ).toMatchObject({ host: 'old', port: 2 })
  })
  it('6: else port 8448; a well-known that names nonsense counts as none', async () => {
    expect(await discover('example.org', { 'example.org': 'not a name!' })).toMatchObject({
      host: 'example.org',
      port: 8448,
      hostHeader: 'example.org',
    })
  })
})

it('of SRV records the lowest priority wins, then the greatest weight; nonsense is skipped', () => {
  const answer = (...data: unknown[]) => ({ Answer: data.map((entry) => ({ type: 33, TTL: 90, data: entry })) })
  expect(bestSrv(answer('20 0 1 c.example.', '10 1 2 b.example.', '10 9 3 a.example.')).record).toEqual({
    target: 'a.example',
    port: 3,
  })
  expect(bestSrv(answer('10 0 99999 a.example.', 7, '0 0 0 .')).record).toBeUndefined()
  expect(bestSrv({ Answer: 'x' }).record).toBeUndefined()
  expect(bestSrv(null).record).toBeUndefined()
})

it('well-known answers live as long as they say, from five minutes to two days', () => {
  const minutes = (header: string | null) => lifetimeOf(header) / 60_000
  expect(minutes(null)).toBe(24 * 60)
  expect(minutes('public, max-age=7200')).toBe(120)
  expect(minutes('max-age=1')).toBe(5)
  expect(minutes('no-store')).toBe(5)
  expect(minutes('max-age=999999999')).toBe(48 * 60)
})

describe('addresses no request may go to', () => {
  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'fc00::1',
    'fd12::1',
    'ff02::1',
    '::ffff:127.0.0.1',
    '::ffff:a00:1',
    '64:ff9b::10.0.0.1',
    '2002:7f00:1::',
    '2001:db8::1',
    '256.1.1.1',
    'nonsense',
    '1:2:3',
  ])('%s', (address) => expect(isPublicAddress(address)).toBe(false))
  it.each(['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:1.1.1.1', '2a00::1'])(
    'but %s is public',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )
  it.each([
    'localhost',
    'a.localhost',
    'printer.local',
    'metadata.google.internal',
    'intranet',
    '[::1]',
    '127.0.0.1',
    '',
  ])('host %s', (host) => expect(isPublicHost(host)).toBe(false))
  it('however an address is spelt, the URL parser tells what it is', () => {
    for (const spelling of ['0x7f.1', '2130706433', '0177.0.0.1', '127.1', '[::ffff:7f00:1]']) {
      expect(isPublicHost(new URL(`https://${spelling}/`).hostname)).toBe(false)
    }
    expect(isPublicHost('matrix.org')).toBe(true)
  })
})
