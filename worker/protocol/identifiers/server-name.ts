/**
 * Server names: `matrix.org`, `1.2.3.4:8448`, `[::1]:8448`.
 *
 * Spec: appendices/#server-name. Compared byte for byte: names that differ in case are different servers. What a name
 * resolves to, and whether we may connect there, is not decided here.
 */
import { hasOnlyScalars } from './characters.ts'

declare const brand: unique symbol
export type ServerName = string & { readonly [brand]: 'ServerName' }

export interface ServerNameParts {
  /** Without brackets for an IPv6 literal. */
  readonly host: string
  readonly kind: 'dns' | 'ipv4' | 'ipv6'
  readonly port: number | undefined
}

/** A dotted quad, whatever the size of its numbers. */
const ipv4Shape = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/
const dnsName = /^[0-9A-Za-z.-]{1,255}$/
const portDigits = /^\d{1,5}$/

/** The server name in `value`, or undefined for anything outside the grammar. */
export function parseServerName(value: unknown): ServerName | undefined {
  return isServerName(value) ? value : undefined
}

function isServerName(value: unknown): value is ServerName {
  return typeof value === 'string' && value.length <= 255 && split(value) !== undefined
}

/** Host and port of a server name. */
export function splitServerName(name: ServerName): ServerNameParts {
  const parts = split(name)
  if (parts === undefined) throw new TypeError('not a server name')
  return parts
}

function split(name: string): ServerNameParts | undefined {
  const bracket = name.startsWith('[') ? name.indexOf(']') : -1
  const colon = bracket === -1 ? name.indexOf(':') : name.indexOf(':', bracket)
  const literal = colon === -1 ? name : name.slice(0, colon)
  const port = colon === -1 ? undefined : parsePort(name.slice(colon + 1))
  if (colon !== -1 && port === undefined) return undefined
  if (literal.startsWith('[')) {
    if (!literal.endsWith(']')) return undefined
    const host = literal.slice(1, -1)
    return isIpv6(host) ? { host, kind: 'ipv6', port } : undefined
  }
  if (ipv4Shape.test(literal)) return isIpv4(literal) ? { host: literal, kind: 'ipv4', port } : undefined
  return dnsName.test(literal) ? { host: literal, kind: 'dns', port } : undefined
}

function parsePort(digits: string): number | undefined {
  const port = portDigits.test(digits) ? Number(digits) : undefined
  return port !== undefined && port <= 65_535 ? port : undefined
}

function isIpv4(text: string): boolean {
  return ipv4Shape.test(text) && text.split('.').every((part) => Number(part) <= 255)
}

/** RFC 3513 section 2.2: eight groups, `::` once at most for one group or more, the last two perhaps a dotted quad. */
function isIpv6(text: string): boolean {
  if (text.length < 2 || text.length > 45) return false
  const halves = text.split('::')
  if (halves.length > 2) return false
  let groups = 0
  for (const [index, half] of halves.entries()) {
    if (half === '') continue
    const parts = half.split(':')
    for (const [position, part] of parts.entries()) {
      const isLast = index === halves.length - 1 && position === parts.length - 1
      if (isLast && isIpv4(part)) groups += 2
      else if (/^[0-9A-Fa-f]{1,4}$/.test(part)) groups += 1
      else return false
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8
}

/**
 * Splits `<sigil><localpart>:<server name>` at its first colon: a localpart never holds one, a server name may.
 * Undefined when a half is malformed. The localpart may be empty.
 */
export function splitIdentifier(id: string, sigil: string): [localpart: string, serverName: ServerName] | undefined {
  if (!id.startsWith(sigil)) return undefined
  const colon = id.indexOf(':')
  if (colon === -1) return undefined
  const localpart = id.slice(sigil.length, colon)
  const serverName = parseServerName(id.slice(colon + 1))
  return serverName !== undefined && hasOnlyScalars(localpart) ? [localpart, serverName] : undefined
}
