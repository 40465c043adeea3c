/** Conditional and range requests. RFC 9110, sections 13 and 14. Pure. */

export interface ByteRange {
  readonly offset: number
  readonly length: number
}

/**
 * The one range that the request asks for; undefined when the whole is to be sent (no range, one that is malformed, or
 * several, which a server may ignore), or `unsatisfiable` for 416.
 */
export function byteRange(headers: Headers, size: number, etag: string): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.get('Range') ?? '')
  if (!match) return undefined
  const condition = headers.get('If-Range')
  if (condition !== null && condition !== etag) return undefined
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return undefined
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'unsatisfiable' : { offset: size - length, length }
  }
  const offset = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < offset) return undefined
  return offset >= size ? 'unsatisfiable' : { offset, length: end - offset + 1 }
}

/** Whether the client has this very content already. */
export function isUnchanged(headers: Headers, etag: string): boolean {
  const known = headers.get('If-None-Match')
  if (known === null) return false
  return known.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag)
}
