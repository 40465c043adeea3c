/**
 * What the signature on a federation request covers.
 *
 * Spec: server-server-api/#request-authentication. The body is taken as text: whoever signed it may have spelled numbers
 * in ways that a parsed body no longer knows.
 */
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { canonicalJson } from '#protocol/json/canonical-json.ts'
import { canonicalJsonOfText } from '#protocol/json/strict-json.ts'

export interface SignedRequest {
  /** In capitals. */
  readonly method: string
  /** Path and query, as in the request line. */
  readonly uri: string
  readonly origin: string
  readonly destination: string
  /** The body; undefined for a request without one. */
  readonly content: string | undefined
}

/** The signed bytes, or undefined for a body that has no canonical form, which nobody can have signed. */
export function requestSignedBytes({ content, ...request }: SignedRequest): Uint8Array | undefined {
  const signed = canonicalJson({ ...request })
  if (content === undefined) return utf8ToBytes(signed)
  const canonical = canonicalJsonOfText(content)
  // `content` sorts before the other keys.
  return canonical === undefined ? undefined : utf8ToBytes(`{"content":${canonical},${signed.slice(1)}`)
}
