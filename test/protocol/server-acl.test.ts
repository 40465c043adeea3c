import { describe, expect, it } from 'vitest'
import type { JsonObject } from '#protocol/json/json.ts'
import { isServerAllowed, maxAclEntries, parseServerAcl } from '#protocol/server-acl.ts'

const allows = (content: JsonObject, serverName: string) => isServerAllowed(parseServerAcl(content), serverName)

describe('a server ACL', () => {
  it('that does not exist lets every server in', () => {
    expect(isServerAllowed(undefined, 'evil.example')).toBe(true)
    expect(isServerAllowed(undefined, '1.2.3.4')).toBe(true)
  })

  it('denies before it allows, and denies whom it does not name', () => {
    const content = { allow: ['*.example', 'evil.com'], deny: ['evil.example', 'evil.com'] }
    expect(allows(content, 'good.example')).toBe(true)
    expect(allows(content, 'evil.example')).toBe(false)
    expect(allows(content, 'evil.com')).toBe(false)
    expect(allows(content, 'stranger.org')).toBe(false)
  })

  it('does not look at ports', () => {
    const content = { allow: ['*'], deny: ['evil.com', '[2001:db8::1]'] }
    for (const name of ['evil.com', 'evil.com:8448', 'evil.com:1234', '[2001:db8::1]:8448']) {
      expect(allows(content, name)).toBe(false)
    }
    expect(allows({ allow: ['good.com'] }, 'good.com:8448')).toBe(true)
    // An entry with a port names no server.
    expect(allows({ allow: ['good.com:8448'] }, 'good.com:8448')).toBe(false)
  })

  it('ignores case on both sides', () => {
    const content = { allow: ['*'], deny: ['EVIL.com', '*.Spam.Net'] }
    expect(allows(content, 'evil.COM')).toBe(false)
    expect(allows(content, 'a.sPAM.nET')).toBe(false)
    // KELVIN SIGN is not a k.
    expect(allows({ allow: ['\u212aelvin.com'] }, 'kelvin.com')).toBe(false)
  })

  it('matches whole names only, by glob', () => {
    const content = { allow: ['*'], deny: ['evil.com', 'spam?.net', '*.bad.org'] }
    expect(allows(content, 'notevil.com')).toBe(true)
    expect(allows(content, 'evil.com.good.org')).toBe(true)
    expect(allows(content, 'evilxcom')).toBe(true)
    expect(allows(content, 'spam1.net')).toBe(false)
    expect(allows(content, 'spam.net')).toBe(true)
    expect(allows(content, 'x.bad.org')).toBe(false)
    expect(allows(content, 'bad.org')).toBe(true)
  })

  it.each(['1.2.3.4', '1.2.3.4:8448', '[::1]', '[::1]:8448', '[2001:DB8::1]'])(
    'keeps the IP literal %s out',
    (name) => {
      expect(allows({ allow: ['*'], allow_ip_literals: false }, name)).toBe(false)
      expect(allows({ allow: ['*'], allow_ip_literals: true }, name)).toBe(true)
      expect(allows({ allow: ['*'] }, name)).toBe(true)
      // "Defaults to true if missing or otherwise not a boolean."
      for (const allow_ip_literals of ['false', 0, null]) {
        expect(allows({ allow: ['*'], allow_ip_literals }, name)).toBe(true)
      }
    },
  )

  it('keeps names with digits in while IP literals are out', () => {
    expect(allows({ allow: ['*'], allow_ip_literals: false }, '1.2.3.4.example')).toBe(true)
    expect(allows({ allow: ['*'], allow_ip_literals: false }, '1.2.3')).toBe(true)
  })

  it.each(['', ' ', 'evil com', 'a:b', 'a:99999', '[::1', '999.1.1.1', 'ex\u00e4mple.org', 'x'.repeat(256)])(
    'knows no server by the name of %j',
    (name) => {
      expect(allows({ allow: ['*'] }, name)).toBe(false)
      expect(isServerAllowed(undefined, name)).toBe(false)
    },
  )

  describe('that is malformed', () => {
    it.each([undefined, null, '*', { 0: '*' }, 1, true])('admits nobody with the allow list %j', (allow) => {
      expect(allows(allow === undefined ? {} : { allow }, 'good.example')).toBe(false)
    })

    it.each([null, 'evil.com', { 0: 'evil.com' }, 1])('denies nobody with the deny list %j', (deny) => {
      expect(allows({ allow: ['*'], deny }, 'evil.com')).toBe(true)
    })

    it('skips entries that are no strings', () => {
      const content = { allow: [null, 1, '*'], deny: [{}, ['good.example'], 'evil.com'] }
      expect(allows(content, 'good.example')).toBe(true)
      expect(allows(content, 'evil.com')).toBe(false)
    })
  })

  it('with more entries than anybody could mean lets nobody in', () => {
    const many = Array.from({ length: maxAclEntries }, (_, index) => `${index}.spam`)
    expect(allows({ allow: ['*'], deny: many }, 'good.example')).toBe(true)
    expect(allows({ allow: ['*'], deny: many }, '9999.spam')).toBe(false)
    expect(allows({ allow: ['*'], deny: [...many, 'evil.com'] }, 'good.example')).toBe(false)
    expect(allows({ allow: [...many, '*'] }, 'good.example')).toBe(false)
  })

  it('full of hostile patterns is still answered', () => {
    const deny = Array.from({ length: 1000 }, (_, index) => `${'*a'.repeat(25)}*${index}`)
    expect(allows({ allow: ['*'], deny }, `${'a'.repeat(200)}.example`)).toBe(true)
  })
})
