/** Files as clients encrypt them before they upload. Spec: client-server-api/#sending-encrypted-attachments. */
import { webcrypto } from 'node:crypto'

import { fieldOf, text } from '../../scripts/bench/client.ts'

/** What to upload, and the `file` of the event but for its `url`. */
export async function encrypted(plain: Uint8Array<ArrayBuffer>) {
  const key = await webcrypto.subtle.generateKey({ name: 'AES-CTR', length: 256 }, true, ['encrypt', 'decrypt'])
  const iv = new Uint8Array(16)
  webcrypto.getRandomValues(iv.subarray(0, 8))
  const cipher = await webcrypto.subtle.encrypt({ name: 'AES-CTR', counter: iv, length: 64 }, key, plain)
  const sha256 = await webcrypto.subtle.digest('SHA-256', cipher)
  const file = {
    v: 'v2',
    key: await webcrypto.subtle.exportKey('jwk', key),
    iv: unpadded(iv),
    hashes: { sha256: unpadded(new Uint8Array(sha256)) },
  }
  return { cipher, file }
}

/** What was encrypted, by the `file` of an event. Throws where other bytes came than were sent. */
export async function decrypted(cipher: ArrayBuffer, file: unknown): Promise<Uint8Array> {
  const sha256 = unpadded(new Uint8Array(await webcrypto.subtle.digest('SHA-256', cipher)))
  if (sha256 !== text(fieldOf(file, 'hashes'), 'sha256')) throw new Error('these are other bytes')
  const jwk = { kty: 'oct', alg: 'A256CTR', k: text(fieldOf(file, 'key'), 'k') }
  const key = await webcrypto.subtle.importKey('jwk', jwk, 'AES-CTR', false, ['decrypt'])
  const counter = Buffer.from(text(file, 'iv'), 'base64')
  return new Uint8Array(await webcrypto.subtle.decrypt({ name: 'AES-CTR', counter, length: 64 }, key, cipher))
}

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replaceAll('=', '')
}
