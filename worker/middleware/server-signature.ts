/**
 * Which server asks: the X-Matrix signature of a request, checked before anything else looks at it.
 *
 * Spec: server-server-api/#request-authentication. Fails closed: no header, another destination, an unknown key or a wrong
 * signature are all 401.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { decodeBase64 } from '#protocol/signing/base64.ts'
import { requestSignedBytes } from '#protocol/signing/request-signature.ts'
import { countsForRequest, type ServerKey } from '#protocol/signing/server-keys.ts'
import { parseXMatrix } from '#protocol/signing/x-matrix.ts'

import type { Env } from '../env.ts'
import { keyRing } from '../federation-client/key-ring.ts'
import { noteVoice } from '../federation-client/silent-servers.ts'
import { refuse } from '../refusal.ts'
import { serverIdentity } from '../server-identity.ts'
import { settingsOf } from '../settings.ts'
import { limitIntroduction } from './rate-limit.ts'

/** The server that signed this request; `content` is the text of its body, where it has one. Refuses everybody else. */
export async function originOf(request: Request, content: string | undefined, env: Env): Promise<ServerName> {
  const header = parseXMatrix(request.headers.get('Authorization') ?? '')
  if (!header) return refuse('unauthenticated_server', 'Missing or malformed X-Matrix Authorization header')
  const { serverName, crypto } = await serverIdentity(env)
  if (header.destination !== undefined && header.destination !== serverName) {
    return refuse('unauthenticated_server', 'The request is for another server')
  }
  // A request in our own name did not come from us.
  if (header.origin === serverName) return refuse('unauthenticated_server', 'A server does not call itself')
  const now = Date.now()
  const wish = { keyIds: new Set([header.keyId]), counts: (key: ServerKey) => countsForRequest(key, now) }
  const settings = settingsOf(env)
  // Anybody can write any name into the header, and each makes us ask that server for its keys.
  const ring = keyRing(env, () => limitIntroduction(request, settings))
  const keys = (await ring.keysOf(new Map([[header.origin, wish]]))).get(header.origin) ?? []
  const key = keys.find(({ keyId }) => keyId === header.keyId)
  if (!key || !countsForRequest(key, now))
    return refuse('unauthenticated_server', `No valid key ${header.keyId} of ${header.origin}`)
  const url = new URL(request.url)
  const signed = requestSignedBytes({
    method: request.method,
    uri: url.pathname + url.search,
    origin: header.origin,
    // Who leaves the destination out of the header has signed our name all the same.
    destination: serverName,
    content,
  })
  const signature = decodeBase64(header.signature)
  if (!signed || !signature || !crypto.verify(signed, signature, key.publicKey)) {
    return refuse('unauthenticated_server', 'The signature of the request is wrong')
  }
  noteVoice(header.origin)
  return header.origin
}
