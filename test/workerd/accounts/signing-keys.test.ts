import { env } from 'cloudflare:workers'
import { expect, test } from 'vitest'

import { expiredKeys, loadSigningKey } from '../../../worker/accounts/signing-keys.ts'
import { encodeBase64Unpadded } from '../../../worker/protocol/signing/base64.ts'

const seed = (byte: number) => encodeBase64Unpadded(new Uint8Array(32).fill(byte))

test('however many need it first, there is one key', async () => {
  const keys = await Promise.all(Array.from({ length: 10 }, () => loadSigningKey(env)))
  expect(new Set(keys.map(({ keyId }) => keyId)).size).toBe(1)
  expect(new Set(keys.map((key) => encodeBase64Unpadded(key.seed))).size).toBe(1)
  expect(keys[0]).toEqual(await loadSigningKey(env))
  expect(keys[0]?.keyId).toMatch(/^ed25519:[a-z0-9]{8}$/)
  expect(await expiredKeys(env)).toEqual([])
})

test("the owner's key takes over, and the old one stays for those who check old events", async () => {
  const made = await loadSigningKey(env)
  const owners = await loadSigningKey({ ...env, SIGNING_KEY: seed(7) })
  expect(owners.keyId).not.toBe(made.keyId)
  expect(encodeBase64Unpadded(owners.seed)).toBe(seed(7))
  expect(await expiredKeys(env)).toMatchObject([
    { keyId: made.keyId, publicKey: encodeBase64Unpadded(made.publicKey), expiredAt: expect.any(Number) },
  ])
  const next = await loadSigningKey({ ...env, SIGNING_KEY: seed(8) })
  const expired = (await expiredKeys(env)).map(({ keyId }) => keyId)
  expect(expired.sort()).toEqual([made.keyId, owners.keyId].sort())
  expect(expired).not.toContain(next.keyId)
})

test("the owner's seed is not written down, and without it the server does not invent another identity", async () => {
  await loadSigningKey({ ...env, SIGNING_KEY: seed(9) })
  const rows = await env.DB.prepare('SELECT * FROM signing_keys').all()
  expect(JSON.stringify(rows.results)).not.toContain(seed(9))
  await expect(loadSigningKey(env)).rejects.toThrow('SIGNING_KEY')
})

test.each(['short', `${seed(1)}AAAA`, '!'])('a key that is none is refused: %s', async (setting) => {
  await expect(loadSigningKey({ ...env, SIGNING_KEY: setting })).rejects.toThrow('SIGNING_KEY must be 32 bytes')
})
