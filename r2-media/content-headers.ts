/**
 * The headers under which media is served: nothing that was uploaded may ever run on this origin. Pure.
 *
 * Spec: client-server-api/#content-repository, GET /_matrix/client/v1/media/download.
 */
import { contentDisposition } from './content-disposition.ts'

const defaultType = 'application/octet-stream'
/** type "/" subtype, then parameters in printable ASCII. RFC 9110, section 8.3.1. */
const mediaType = /^[\w!#$%&'*+.^`|~-]{1,127}\/[\w!#$%&'*+.^`|~-]{1,127}(?:\s*;[\t -~]*)?$/
/** "The recommended policy." */
const policy =
  "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; object-src 'self';"

/** A Content-Type as it was given where it is one, else `application/octet-stream`. */
export function cleanContentType(given: string | null | undefined): string {
  return given && given.length <= 255 && mediaType.test(given) ? given : defaultType
}

/** Those headers that say what a file is; they stand in a part of a multipart answer as well. */
export function describingHeaders(contentType: string, fileName: string | null): Record<string, string> {
  return { 'Content-Type': contentType, 'Content-Disposition': contentDisposition(contentType, fileName) }
}

/** All headers of an answer that is media. The ETag is strong: the bytes behind an MXC URI never change. */
export function contentHeaders(contentType: string, fileName: string | null, etag?: string): Headers {
  return new Headers({
    ...describingHeaders(contentType, fileName),
    'Content-Security-Policy': policy,
    'Cross-Origin-Resource-Policy': 'cross-origin',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    // Only for the one who asked with a token.
    'Cache-Control': 'private, max-age=86400, immutable',
    'Accept-Ranges': 'bytes',
    ...(etag !== undefined && { ETag: etag }),
  })
}
