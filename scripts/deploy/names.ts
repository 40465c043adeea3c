/** The two names that an owner chooses, judged before anything is made with them. Pure. */
import { parseServerName, splitServerName } from '../../worker/protocol/identifiers/server-name.ts'

export const aboutTheName = `The name of your server is the part behind the colon in @you:example.org.

  It is for ever: it is signed into every event, and every account, room and message belongs to it. It cannot be changed
  later, only given up. Take a domain that you own and will keep, the short one: example.org rather than
  matrix.example.org. The server need not run there; two small files or one route say where it is.`

const placeholders = /(?:^|\.)(?:example\.(?:org|com|net)|test|invalid|localhost|local|internal|onion)$/

/** What is wrong with a server name for a server in the open; undefined where it is good. */
export function serverNameFault(name: string): string | undefined {
  const parsed = parseServerName(name)
  if (/^https?:/i.test(name)) return 'is a web address: give the bare domain, such as fox.example'
  if (name.startsWith('@') || name.startsWith('#')) return 'is a user or a room: give the part behind the colon'
  if (!parsed) return 'is not a Matrix server name: letters, digits, dots and hyphens only'
  const { host, kind, port } = splitServerName(parsed)
  if (kind !== 'dns') return 'is an address: a server name must outlive the machine, so take a domain'
  if (port !== undefined) return 'has a port, which could never be changed: leave it out'
  if (name !== name.toLowerCase()) return `has capital letters, which make it another name: ${name.toLowerCase()}`
  const labels = host.split('.')
  if (labels.length < 2) return 'has no dot: take a whole domain'
  if (labels.some((label) => !/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(label))) return 'is no domain of the DNS'
  if (/^\d+$/.test(labels.at(-1) ?? '')) return 'is no domain of the DNS'
  if (name.length > 230) return 'is too long: user IDs must fit into 255 bytes with it'
  if (/(?:^|\.)(?:workers|pages)\.dev$/.test(name))
    return "is Cloudflare's: you lose it with the account; take a domain of yours"
  if (placeholders.test(name)) return 'is nobody\u2019s: give a domain that is yours'
  return undefined
}

/** What is wrong with the address of the Worker. */
export function publicUrlFault(value: string): string | undefined {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url?.protocol !== 'https:') return 'must begin with https://'
  if (url.port !== '') return 'must have no port: a Worker answers on 443 alone'
  if (url.pathname !== '/' || url.search || url.hash || url.username)
    return 'must be a host alone, such as https://matrix.fox.example'
  if (!url.hostname.includes('.') || /^[\d.]+$|^\[/.test(url.hostname)) return 'must be a host in a domain of yours'
  if (placeholders.test(url.hostname)) return 'is nobody\u2019s: give a host in a domain that is yours'
  return undefined
}
