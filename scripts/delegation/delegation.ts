/**
 * How others find the server of a name that runs at another host: the files and records to add, exactly.
 *
 * Spec: server-server-api/#server-discovery, client-server-api/#well-known-uris. A Worker answers on port 443 alone, so that
 * an SRV record is no way, and `m.server` always names the port. Pure.
 */

export interface WellKnownFile {
  /** Where it must be found. */
  readonly url: string
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
  /** What does not work without it. */
  readonly why: string
}

export interface Delegation {
  /** The name itself is where the Worker answers: nothing is to be added. */
  readonly direct: boolean
  readonly host: string
  readonly files: readonly WellKnownFile[]
  /** The pattern of a Cloudflare route by which the Worker serves the files itself. */
  readonly route: string
}

export function delegationOf(serverName: string, publicUrl: string): Delegation {
  const { hostname: host, port } = new URL(publicUrl)
  const at = `https://${serverName}/.well-known/matrix`
  const json = { 'Content-Type': 'application/json' }
  return {
    direct: host === serverName,
    host,
    route: `${serverName}/.well-known/matrix/*`,
    files: [
      {
        url: `${at}/server`,
        body: JSON.stringify({ 'm.server': `${host}:${port || 443}` }),
        headers: { ...json, 'Access-Control-Allow-Origin': '*' },
        why: 'other servers try port 8448, where no Worker answers',
      },
      {
        url: `${at}/client`,
        body: JSON.stringify({ 'm.homeserver': { base_url: publicUrl.replace(/\/+$/, '') } }),
        headers: { ...json, 'Access-Control-Allow-Origin': '*' },
        why: 'people must type the address of the server when they sign in',
      },
    ],
  }
}

/** What the owner has to do at a web server outside this account; empty where nothing is to be done. */
export function delegationSteps(serverName: string, publicUrl: string): string[] {
  const { direct, host, files } = delegationOf(serverName, publicUrl)
  if (direct) return []
  const [server = '', client = ''] = files.map(({ body }) => body)
  return [
    `Two files at the web server of ${serverName} say that its Matrix server is ${host}:`,
    ...files.flatMap(({ url, body, headers, why }) => [
      '',
      `  ${url}`,
      `      ${body}`,
      ...Object.entries(headers).map(([name, value]) => `      with the header  ${name}: ${value}`),
      `      without it: ${why}`,
    ]),
    '',
    'They must answer 200 over https with a valid certificate. For nginx:',
    '',
    ...nginx('server', server),
    ...nginx('client', client),
    '',
    'For Caddy:',
    '',
    ...caddy('server', server),
    ...caddy('client', client),
    '',
    `The DNS needs no record of Matrix: ${host} is made by the deployment. Delete old SRV records`,
    `_matrix._tcp.${serverName} and _matrix-fed._tcp.${serverName} where there are any.`,
  ]
}

function nginx(name: string, body: string): string[] {
  return [
    `  location = /.well-known/matrix/${name} {`,
    '    default_type application/json;',
    '    add_header Access-Control-Allow-Origin *;',
    `    return 200 '${body}';`,
    '  }',
  ]
}

function caddy(name: string, body: string): string[] {
  return [
    `  header /.well-known/matrix/${name} Content-Type application/json`,
    `  header /.well-known/matrix/${name} Access-Control-Allow-Origin *`,
    `  respond /.well-known/matrix/${name} \`${body}\``,
  ]
}
