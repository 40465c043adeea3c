/**
 * What another homeserver meets: where it is sent, whose certificate it finds, and which keys. The way there is found by
 * the same code with which our server finds others. Spec: server-server-api/#server-discovery, #retrieving-server-keys.
 */
import { askJson, textIn } from './answers.ts'
import { certificate, tlsWords } from './client-side.ts'
import { bad, doubt, type Finding, good } from './findings.ts'
import type { Reply, Surroundings } from './surroundings.ts'
import { discoverServer, type Place } from '../federation-client/server-discovery.ts'
import { parseServerName, type ServerName, splitServerName } from '#protocol/identifiers/server-name.ts'
import { isObject, own } from '#protocol/json/json.ts'
import { countsForRequest, readServerKeys } from '#protocol/signing/server-keys.ts'

export async function examineServerSide(name: ServerName, world: Surroundings): Promise<Finding[]> {
  const findings: Finding[] = []
  const place = await discoverServer(name, {
    async wellKnown(host) {
      const { delegated, found } = await examineWellKnown(host, world)
      findings.push(...found)
      return delegated
    },
    async srv(record) {
      const found = await world.srv(record)
      if (found) findings.push(good('SRV', `${record} leads to ${found.target}:${found.port}`))
      return found
    },
  })
  const { host, port, hostHeader, tlsName } = place
  findings.push(
    good(
      'Discovery',
      `other servers connect to ${host}:${port}, ask for ${hostHeader}, expect a certificate for ${tlsName}`,
    ),
  )
  findings.push(...(await examinePlace(name, place, world)))
  const left = await leftOverSrv(name, place, world)
  return left ? [...findings, left] : findings
}

async function examineWellKnown(
  host: string,
  world: Surroundings,
): Promise<{ delegated: string | undefined; found: Finding[] }> {
  const about = 'Server well-known'
  const address = `https://${host}/.well-known/matrix/server`
  const next = `serve there {"m.server": "matrix.${host}:443"} with the host of your Worker: docs/delegation.md`
  const fetched = await askJson(world, { url: address }, 10)
  if (!fetched.ok) {
    const found = [doubt(about, `${address} ${fetched.message}: other servers go to port 8448 or an SRV record`, next)]
    return { delegated: undefined, found }
  }
  // Whoever does not believe the certificate has no file.
  if (fetched.reply.tlsFault) {
    return { delegated: undefined, found: [bad(about, tlsWords(host, fetched.reply.tlsFault), certificate(host))] }
  }
  const delegated = own(fetched.json, 'm.server')
  const parsed = parseServerName(delegated)
  if (parsed === undefined) {
    const hint = typeof delegated === 'string' && /^https?:/.test(delegated) ? ' (no https:// before it)' : ''
    return {
      delegated: undefined,
      found: [
        bad(about, `m.server in ${address} is no server name${hint}: ${JSON.stringify(delegated ?? null)}`, next),
      ],
    }
  }
  const found = [good(about, `${address} names ${parsed}`)]
  if (splitServerName(parsed).port === undefined) {
    found.push(doubt(about, `m.server has no port, which means 8448, where no Worker answers`, `write "${parsed}:443"`))
  }
  return { delegated: parsed, found }
}

async function examinePlace(name: ServerName, place: Place, world: Surroundings): Promise<Finding[]> {
  const { port, hostHeader, tlsName } = place
  const host = place.host.includes(':') ? `[${place.host}]` : place.host
  const base = `https://${host}:${port}`
  const at = (path: string) => ({ url: base + path, hostHeader, tlsName })
  const about = 'Federation API'
  const version = await askJson(world, at('/_matrix/federation/v1/version'))
  if (!version.ok && version.status === undefined) {
    const next =
      port === 8448
        ? `a Worker answers on 443 alone: delegate with https://${name}/.well-known/matrix/server (docs/delegation.md)`
        : `is the DNS record of ${host} there, and the server running? npm run deploy goes on where it stopped`
    return [bad(about, `${base} ${version.message}`, next)]
  }
  const findings: Finding[] = []
  const server = version.ok ? own(version.json, 'server') : undefined
  findings.push(
    isObject(server)
      ? good(about, `${base} is ${textIn(server, 'name')} ${textIn(server, 'version')}`)
      : bad(
          about,
          `${base}/_matrix/federation/v1/version ${version.ok ? 'does not say what it is' : version.message}`,
          'something else than a homeserver answers there: check m.server and routes',
        ),
  )
  const { reply } = version
  if (reply?.tlsFault) findings.push(bad('Certificate', tlsWords(tlsName, reply.tlsFault), certificate(tlsName)))
  else if (reply) findings.push(good('Certificate', `holds for ${tlsName}`))
  if (reply) findings.push(...examineClock(reply, world.now()))
  findings.push(await examineKeys(name, await askJson(world, at('/_matrix/key/v2/server')), world))
  return findings
}

async function examineKeys(
  name: ServerName,
  fetched: Awaited<ReturnType<typeof askJson>>,
  { now, crypto }: Surroundings,
): Promise<Finding> {
  const about = 'Signing keys'
  if (!fetched.ok)
    return bad(about, `/_matrix/key/v2/server ${fetched.message}`, 'look into the log of the server: npx wrangler tail')
  const claimed = own(fetched.json, 'server_name')
  if (claimed !== name) {
    const next = `one of the two is wrong: SERVER_NAME of that server, or the delegation of ${name}`
    return bad(about, `the server there says that it is ${JSON.stringify(claimed ?? null)}, not ${name}`, next)
  }
  const keys = readServerKeys(fetched.json, name, crypto)
  if (!keys)
    return bad(
      about,
      'the answer is not signed by the key that it names',
      'a proxy may change JSON on the way: let /_matrix through as it is',
    )
  const valid = keys.filter((key) => countsForRequest(key, now()))
  if (valid.length === 0)
    return bad(
      about,
      'every key has expired',
      'a cache may give out an old answer: exclude /_matrix/key from caching; check the clocks',
    )
  return good(
    about,
    `${valid.map(({ keyId }) => keyId).join(', ')}, signed, good until ${new Date(Math.max(...valid.map((key) => key.validUntilTs))).toISOString()}`,
  )
}

/** Events and keys carry times. Half a minute is the network's. */
function examineClock({ headers }: Reply, now: number): Finding[] {
  const told = Date.parse(headers.date ?? '')
  if (Number.isNaN(told)) return []
  const seconds = Math.round(Math.abs(told - now) / 1000)
  if (seconds <= 30) return [good('Clock', `${seconds} s apart from this machine`)]
  const what = `the server and this machine are ${seconds} s apart`
  return [(seconds > 300 ? bad : doubt)('Clock', what, 'set both clocks by NTP: timedatectl set-ntp true')]
}

/** A record of an earlier server does harm where the file cannot be read for a moment. */
async function leftOverSrv(name: ServerName, place: Place, world: Surroundings): Promise<Finding | undefined> {
  if (splitServerName(name).kind !== 'dns' || place.port === 8448) return undefined
  for (const record of [`_matrix-fed._tcp.${name}`, `_matrix._tcp.${name}`]) {
    const found = await world.srv(record)
    if (found && (found.target !== place.host || found.port !== place.port)) {
      return doubt(
        'SRV',
        `${record} leads elsewhere: ${found.target}:${found.port}`,
        'delete that record of an earlier server',
      )
    }
  }
  return undefined
}
