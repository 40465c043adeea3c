/** Web push: the example of RFC 8291, appendix A, what a browser decrypts, and what a push service verifies (RFC 8292). */
import { decodeBase64, encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'
import { env } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'

import { vapidKey } from '../../../worker/accounts/vapid-key.ts'
import { bytesOf, encryptPush, freshEphemeral, importPublicKey } from '../../../worker/push/web-push/encrypt.ts'
import { vapidHeader } from '../../../worker/push/web-push/vapid.ts'
import { newBrowser, verifiedClaims } from './browser.ts'

const bytes = (text: string) => Uint8Array.from(decodeBase64(text) ?? [])

/** RFC 8291, section 5 and appendix A. */
const vector = {
  text: 'When I grow up, I want to be a watermelon',
  serverPrivate: 'yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw',
  serverPublic: 'BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8',
  clientPublic: 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4',
  auth: 'BTBZMqHH6r4Tts7J_aSIgg',
  salt: 'DGv6ra1nlYgDCS1FRnbzlw',
  body:
    'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml' +
    'mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT' +
    'pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN',
}

async function serverKeys() {
  const point = bytes(vector.serverPublic)
  const [x, y] = [point.slice(1, 33), point.slice(33)].map(encodeBase64UrlUnpadded)
  const algorithm = { name: 'ECDH', namedCurve: 'P-256' }
  const jwk = { kty: 'EC', crv: 'P-256', x: x ?? '', y: y ?? '' }
  const secret = { ...jwk, d: vector.serverPrivate }
  return {
    publicKey: await crypto.subtle.importKey('jwk', jwk, algorithm, true, []),
    privateKey: await crypto.subtle.importKey('jwk', secret, algorithm, true, ['deriveBits']),
  }
}

test('the example of the RFC comes out byte by byte', async () => {
  const subscription = { publicKey: bytes(vector.clientPublic), auth: bytes(vector.auth) }
  const ephemeral = { salt: bytes(vector.salt), keys: await serverKeys() }
  const body = await encryptPush(bytesOf(vector.text), subscription, ephemeral)
  expect(encodeBase64UrlUnpadded(body ?? new Uint8Array())).toBe(vector.body)
})

describe('a browser', () => {
  test('reads what was encrypted for it, and another does not', async () => {
    const [mine, other] = [await newBrowser(), await newBrowser()]
    const text = `{"body":"${'é'.repeat(1500)}"}`
    const body = (await encryptPush(bytesOf(text), mine.subscription, await freshEphemeral())) ?? new Uint8Array()
    expect(await mine.decrypt(body)).toBe(text)
    await expect(other.decrypt(body).catch(() => 'nothing')).resolves.toBe('nothing')
  })

  test('gets no two messages that look alike', async () => {
    const { subscription } = await newBrowser()
    const once = async () => encryptPush(bytesOf('the same'), subscription, await freshEphemeral())
    const [a, b] = [await once(), await once()]
    expect(a?.slice(0, 16)).not.toEqual(b?.slice(0, 16))
    expect(a?.slice(86)).not.toEqual(b?.slice(86))
  })
})

test.each([
  ['too short', new Uint8Array(64)],
  ['compressed', Uint8Array.from([2, ...new Uint8Array(32)])],
  ['not on the curve', Uint8Array.from([4, ...new Uint8Array(64).fill(1)])],
  ['the point at infinity', Uint8Array.from([0])],
])('a public key that is %s is none', async (_, point) => {
  expect(await importPublicKey(point)).toBeUndefined()
  const subscription = { publicKey: point, auth: new Uint8Array(16) }
  expect(await encryptPush(bytesOf('x'), subscription, await freshEphemeral())).toBeUndefined()
})

describe('this server', () => {
  test('has one key for ever', async () => {
    const [a, b] = await Promise.all([vapidKey(env), vapidKey(env)])
    expect(a.publicKey).toBe(b.publicKey)
    expect(bytes(a.publicKey)).toHaveLength(65)
    const { results } = await env.DB.prepare('SELECT id FROM vapid_keys').all()
    expect(results).toEqual([{ id: 1 }])
  })

  test('signs for each push service who it is', async () => {
    const key = await vapidKey(env)
    const now = 1_700_000_000_000
    const header = await vapidHeader(key, new URL('https://push.example:8443/sub/1?x'), 'https://test.local', now)
    const claims = await verifiedClaims(header, key.publicKey)
    expect(claims).toEqual({ aud: 'https://push.example:8443', sub: 'https://test.local', exp: 1_700_000_000 + 43_200 })
  })
})
