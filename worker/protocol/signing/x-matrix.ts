/**
 * The Authorization header of the federation, read. What its signature covers: request-signature.ts.
 *
 * Spec: server-server-api/#request-authentication. The grammar is RFC 9110's: scheme and parameter names in any case,
 * values as tokens or quoted strings, optional white space around `=` and commas.
 */
import { parseServerName } from '#protocol/identifiers/server-name.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import { isEd25519KeyId } from './keys.ts'

export interface XMatrix {
  readonly origin: ServerName
  /** Absent with servers older than v1.3 of the specification. */
  readonly destination: string | undefined
  readonly keyId: string
  /** Base64. */
  readonly signature: string
}

const parameter = /[\s,]*([A-Za-z0-9!#$%&'*+.^_`|~-]{1,64})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))/y

/** Reads an `X-Matrix` header; undefined for anything malformed, another scheme, or a name given twice. */
export function parseXMatrix(header: string): XMatrix | undefined {
  const scheme = /^x-matrix[ \t]+/i.exec(header)
  if (!scheme || header.length > 4096) return undefined
  const values = new Map<string, string>()
  parameter.lastIndex = scheme[0].length
  while (parameter.lastIndex < header.length) {
    const match = parameter.exec(header)
    if (!match) return undefined
    const name = (match[1] ?? '').toLowerCase()
    if (values.has(name)) return undefined
    values.set(name, match[2]?.replaceAll(/\\(.)/g, '$1') ?? match[3] ?? '')
  }
  const origin = parseServerName(values.get('origin'))
  const keyId = values.get('key')
  const signature = values.get('sig')
  if (!origin || !keyId || !signature || !isEd25519KeyId(keyId)) return undefined
  return { origin, destination: values.get('destination'), keyId, signature }
}
