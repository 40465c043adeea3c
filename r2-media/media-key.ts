/**
 * Names of media: the IDs that this server gives out, and the keys under which bytes lie in R2.
 *
 * Spec: client-server-api/#matrix-content-mxc-uris. Keys are made here alone: nothing that a user or another server wrote
 * is ever part of one.
 */
import { type MediaId, parseMediaId } from '#protocol/identifiers/mxc-uri.ts'
import { encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'

/** `local` was uploaded here; `remote` is a copy and may be lost. */
export type MediaKind = 'local' | 'remote'

/** A media ID that nobody can guess: knowing it is all that a download takes. */
export function newMediaId(): MediaId {
  const mediaId = parseMediaId(randomName())
  if (!mediaId) throw new TypeError('a random name is not a media ID')
  return mediaId
}

/** A key that was never used before, so that no two uploads meet in one object. */
export function newStorageKey(kind: MediaKind): string {
  return `${kind}/${randomName()}`
}

function randomName(): string {
  return encodeBase64UrlUnpadded(crypto.getRandomValues(new Uint8Array(18)))
}
