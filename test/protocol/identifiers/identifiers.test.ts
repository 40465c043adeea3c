import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fitsIdentifier, utf8Length } from '#protocol/identifiers/characters.ts'
import { isUrlSafeHashEventId, parseEventId, serverNameOfEventId } from '#protocol/identifiers/event-id.ts'
import { parseMxcUri, printMxcUri } from '#protocol/identifiers/mxc-uri.ts'
import { localpartOfAlias, parseRoomAlias, serverNameOfAlias } from '#protocol/identifiers/room-alias.ts'
import {
  createEventIdOf,
  isHashRoomId,
  parseRoomId,
  roomIdOfCreate,
  serverNameOfRoomId,
} from '#protocol/identifiers/room-id.ts'
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import {
  isHistoricalUserId,
  isNonCompliantUserId,
  localpartOf,
  makeUserId,
  parseUserId,
  serverNameOf,
} from '#protocol/identifiers/user-id.ts'

const notStrings = [undefined, null, 0, true, {}, ['@a:b']]
const hash = 'Nhcu5BS-UMnFX7hBVfVSoXiD7OgH6iRT-xyIuqDnpYQ'

/** Narrows, and fails the test that expected an identifier. */
function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('expected an identifier')
  return value
}

describe('user IDs', () => {
  it.each([
    ['@user:matrix.org', 'user', 'matrix.org'],
    ['@a.b_c=d-e/f+0:matrix.org:8448', 'a.b_c=d-e/f+0', 'matrix.org:8448'],
    ['@user:[::1]:8448', 'user', '[::1]:8448'],
  ])('%s', (id, localpart, serverName) => {
    const userId = must(parseUserId(id))
    expect(localpartOf(userId)).toBe(localpart)
    expect(serverNameOf(userId)).toBe(serverName)
    expect(isHistoricalUserId(userId)).toBe(false)
    expect(isNonCompliantUserId(userId)).toBe(false)
  })

  it.each([
    ['@Upper:matrix.org', false],
    ['@a!b@c#d$e:matrix.org', false],
    ['@:matrix.org', true],
    ['@with space:matrix.org', true],
    ['@日本語:matrix.org', true],
    ['@\u{1f600}:matrix.org', true],
    ['@a\nb:matrix.org', true],
    ['@a\u007f:matrix.org', true],
  ])('historical ones are accepted but not given out: %j', (id, isNonCompliant) => {
    const userId = must(parseUserId(id))
    expect(isHistoricalUserId(userId)).toBe(true)
    expect(isNonCompliantUserId(userId)).toBe(isNonCompliant)
    expect(makeUserId(localpartOf(userId), serverNameOf(userId))).toBeUndefined()
  })

  it.each([
    '',
    '@',
    '@user',
    'user:matrix.org',
    '!user:matrix.org',
    ' @user:matrix.org',
    '@user:',
    '@user:matrix.org ',
    '@user:mat_rix.org',
    '@a:b:matrix.org',
    '@nul\0:matrix.org',
    '@\ud800:matrix.org',
    `@${'a'.repeat(244)}:matrix.org`,
    `@${'é'.repeat(123)}:matrix.org`,
    ...notStrings,
  ])('%j is none', (value) => {
    expect(parseUserId(value)).toBeUndefined()
  })

  it('have up to 255 bytes', () => {
    expect(parseUserId(`@${'a'.repeat(243)}:matrix.org`)).toBeDefined()
    expect(parseUserId(`@${'é'.repeat(121)}a:matrix.org`)).toBeDefined()
  })

  it('are made from localparts of today', () => {
    const serverName = must(parseServerName('matrix.org'))
    expect(makeUserId('alice', serverName)).toBe('@alice:matrix.org')
    for (const localpart of ['', 'Alice', 'a b', 'a:b', 'é', 'a'.repeat(244)]) {
      expect(makeUserId(localpart, serverName)).toBeUndefined()
    }
  })
})

describe('room IDs', () => {
  it('name a server up to room version 11', () => {
    const roomId = must(parseRoomId('!opaque:matrix.org:8448'))
    expect(serverNameOfRoomId(roomId)).toBe('matrix.org:8448')
    expect(isHashRoomId(roomId)).toBe(false)
    expect(createEventIdOf(roomId)).toBeUndefined()
  })

  it('are the hash of the create event from room version 12 on', () => {
    const roomId = must(parseRoomId(`!${hash}`))
    expect(serverNameOfRoomId(roomId)).toBeUndefined()
    expect(isHashRoomId(roomId)).toBe(true)
    expect(createEventIdOf(roomId)).toBe(`$${hash}`)
    expect(roomIdOfCreate(must(parseEventId(`$${hash}`)))).toBe(roomId)
  })

  it('cannot be made of an event ID that is no hash', () => {
    expect(() => roomIdOfCreate(must(parseEventId('$short')))).toThrow(TypeError)
  })

  it.each([
    '',
    '!',
    '!opaque',
    `!${hash}a`,
    `!${hash.slice(1)}`,
    `!${hash.replace('-', '+')}`,
    `!${hash.replace('-', '/')}`,
    `$${hash}`,
    '!a:b c',
    '!a\0:matrix.org',
    `!${'a'.repeat(244)}:matrix.org`,
    ...notStrings,
  ])('%j is none', (value) => {
    expect(parseRoomId(value)).toBeUndefined()
  })
})

describe('event IDs', () => {
  it('name a server in room versions 1 and 2 only', () => {
    expect(serverNameOfEventId(must(parseEventId('$143273582443PhrSn:example.org')))).toBe('example.org')
    expect(serverNameOfEventId(must(parseEventId('$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk')))).toBeUndefined()
    expect(serverNameOfEventId(must(parseEventId('$a:not a server')))).toBeUndefined()
  })

  it('are hashes since', () => {
    expect(isUrlSafeHashEventId(`$${hash}`)).toBe(true)
    expect(isUrlSafeHashEventId('$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk')).toBe(false)
    expect(isUrlSafeHashEventId('$143273582443PhrSn:example.org')).toBe(false)
  })

  it.each(['', '$', 'abc', `!${hash}`, '$a\0', '$\ud800', `$${'a'.repeat(255)}`, ...notStrings])(
    '%j is none',
    (value) => {
      expect(parseEventId(value)).toBeUndefined()
    },
  )
})

describe('room aliases', () => {
  it.each([
    ['#room:matrix.org', 'room', 'matrix.org'],
    ['#日本語 room:[::1]:80', '日本語 room', '[::1]:80'],
  ])('%s', (text, localpart, serverName) => {
    const alias = must(parseRoomAlias(text))
    expect(localpartOfAlias(alias)).toBe(localpart)
    expect(serverNameOfAlias(alias)).toBe(serverName)
  })

  it.each([
    '',
    '#',
    '#room',
    '#:matrix.org',
    'room:matrix.org',
    '#a:b:c',
    '#a\0:matrix.org',
    `#${'a'.repeat(244)}:matrix.org`,
    ...notStrings,
  ])('%j is none', (value) => {
    expect(parseRoomAlias(value)).toBeUndefined()
  })
})

describe('MXC URIs', () => {
  it('have a server name and a media ID', () => {
    const uri = must(parseMxcUri('mxc://matrix.org:8448/AbC-_09'))
    expect(uri).toEqual({ serverName: 'matrix.org:8448', mediaId: 'AbC-_09' })
    expect(printMxcUri(uri)).toBe('mxc://matrix.org:8448/AbC-_09')
  })

  it.each([
    '',
    'mxc://',
    'mxc://matrix.org',
    'mxc://matrix.org/',
    'mxc:///id',
    'MXC://matrix.org/id',
    'https://matrix.org/id',
    'mxc://matrix.org/a/b',
    'mxc://matrix.org/..',
    'mxc://matrix.org/a%2fb',
    'mxc://matrix.org/a?b',
    'mxc://matrix.org/a#b',
    'mxc://matrix.org/é',
    'mxc://mat rix/id',
    `mxc://matrix.org/${'a'.repeat(256)}`,
    ...notStrings,
  ])('%j is none', (value) => {
    expect(parseMxcUri(value)).toBeUndefined()
  })
})

describe('lengths', () => {
  it('are counted in bytes of UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const bytes = new TextEncoder().encode(text).length
        expect(utf8Length(text)).toBe(bytes)
        expect(fitsIdentifier(text)).toBe(bytes <= 255)
      }),
    )
  })

  it.each(['\ud800', '\udc00', '\ud83d\ud83d\ude00', '\ude00\ud83d', 'a\udc00b'])(
    'count a lone surrogate as 3: %j',
    (text) => {
      expect(utf8Length(text)).toBe(new TextEncoder().encode(text).length)
    },
  )
})
