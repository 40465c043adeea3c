/**
 * By which push services know this server: RFC 8292. A signed token for each, good for half a day.
 */
import { encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'

import { bytesOf } from './encrypt.ts'

export interface VapidKey {
  readonly privateKey: CryptoKey
  /** Uncompressed point, URL-safe base64 without padding: what clients subscribe with. */
  readonly publicKey: string
}

/** "MUST NOT be more than 24 hours from the time of the request." In seconds. */
const validFor = 12 * 3600
export const vapidAlgorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const

/** The `Authorization` header for a push service. `contact`: mailto or https URL of whoever runs this server; `now` in ms. */
export async function vapidHeader(key: VapidKey, endpoint: URL, contact: string, now: number): Promise<string> {
  const claims = { aud: endpoint.origin, exp: Math.floor(now / 1000) + validFor, sub: contact }
  const signed = `${part({ typ: 'JWT', alg: 'ES256' })}.${part(claims)}`
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key.privateKey, bytesOf(signed))
  return `vapid t=${signed}.${encodeBase64UrlUnpadded(new Uint8Array(signature))}, k=${key.publicKey}`
}

const part = (json: object) => encodeBase64UrlUnpadded(bytesOf(JSON.stringify(json)))
