/**
 * From a server name to the host, port and names to connect with: the decision alone, in the spec's order.
 *
 * Spec: server-server-api/#resolving-server-names. What it must look up comes in as functions; nothing here opens a
 * connection, and nothing here judges whether the place found may be connected to.
 */
import { parseServerName, splitServerName, type ServerName } from '#protocol/identifiers/server-name.ts'

export interface Place {
  /** Host to connect to: a DNS name or an IP literal without brackets. */
  readonly host: string
  readonly port: number
  /** Value of the Host header. */
  readonly hostHeader: string
  /** The name that the certificate must be valid for; it differs from `host` after an SRV record. */
  readonly tlsName: string
}

export interface Lookups {
  /** `m.server` of https://<host>/.well-known/matrix/server, or undefined for any failure. */
  wellKnown(host: string): Promise<string | undefined>
  /** The target with the best priority of an SRV record, or undefined where there is none. */
  srv(name: string): Promise<{ readonly target: string; readonly port: number } | undefined>
}

const federationPort = 8448

export async function discoverServer(serverName: ServerName, lookups: Lookups): Promise<Place> {
  const { host, kind } = splitServerName(serverName)
  // 1. An IP literal: that address, with the given port or 8448.  2. A name with an explicit port: no lookups.
  const direct = literalOrExplicit(serverName)
  if (direct) return direct
  // 3. .well-known, when it names a valid server.
  const delegated = kind === 'dns' ? parseServerName(await lookups.wellKnown(host)) : undefined
  if (delegated) {
    // 3.1, 3.2: literals and explicit ports.  3.3, 3.4: SRV of the delegated name.  3.5: port 8448 of it.
    return literalOrExplicit(delegated) ?? (await bySrv(delegated, lookups)) ?? onDefaultPort(delegated)
  }
  // 4., 5. SRV of the name itself.  6. Port 8448 of it.
  return (await bySrv(serverName, lookups)) ?? onDefaultPort(serverName)
}

function literalOrExplicit(name: ServerName): Place | undefined {
  const { host, kind, port } = splitServerName(name)
  if (kind === 'dns' && port === undefined) return undefined
  return { host, port: port ?? federationPort, hostHeader: name, tlsName: host }
}

async function bySrv(name: ServerName, lookups: Lookups): Promise<Place | undefined> {
  const found = (await lookups.srv(`_matrix-fed._tcp.${name}`)) ?? (await lookups.srv(`_matrix._tcp.${name}`))
  return found && { host: found.target, port: found.port, hostHeader: name, tlsName: name }
}

function onDefaultPort(name: ServerName): Place {
  return { host: name, port: federationPort, hostHeader: name, tlsName: name }
}
