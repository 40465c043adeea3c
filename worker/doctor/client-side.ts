/** What a client meets: the well-known file, the API behind it, CORS. Spec: client-server-api/#well-known-uris. */
import { askJson, hasCors, textIn } from './answers.ts'
import { bad, doubt, type Finding, good } from './findings.ts'
import type { Surroundings } from './surroundings.ts'
import { isObject, own } from '#protocol/json/json.ts'

export interface ClientSide {
  readonly findings: readonly Finding[]
  /** Where the client API is. */
  readonly base: string | undefined
}

/** `given`: the base URL to look at where no file names one. */
export async function examineClientSide(name: string, world: Surroundings, given?: string): Promise<ClientSide> {
  const about = 'Client well-known'
  const address = `https://${name}/.well-known/matrix/client`
  const fetched = await askJson(world, { url: address }, 10)
  const section = fetched.ok ? own(fetched.json, 'm.homeserver') : undefined
  const named = isObject(section) ? own(section, 'base_url') : undefined
  const base = typeof named === 'string' && URL.canParse(named) ? named.replace(/\/+$/, '') : undefined
  const findings: Finding[] = []
  const whole = `serve there {"m.homeserver": {"base_url": "https://…"}}: docs/delegation.md`
  if (!fetched.ok)
    findings.push(doubt(about, `${address} ${fetched.message}: people must type the server's address`, whole))
  else if (base === undefined)
    findings.push(bad(about, `${address} holds no m.homeserver.base_url that is a URL`, whole))
  else {
    findings.push(good(about, `${address} names ${base}`))
    if (fetched.reply.tlsFault) findings.push(bad(about, tlsWords(name, fetched.reply.tlsFault), certificate(name)))
    if (!hasCors(fetched.reply)) {
      const next = 'send the header Access-Control-Allow-Origin: * with this file'
      findings.push(bad('CORS', `clients in a browser may not read ${address}`, next))
    }
  }
  const url = base ?? given
  return { findings: url === undefined ? findings : [...findings, ...(await examineApi(url, world))], base: url }
}

async function examineApi(base: string, world: Surroundings): Promise<Finding[]> {
  const about = 'Client API'
  const address = `${base}/_matrix/client/versions`
  const fetched = await askJson(world, { url: address })
  if (!fetched.ok) {
    const next =
      fetched.status === undefined
        ? `is the DNS record of ${new URL(base).hostname} there, and the server running? npm run deploy goes on where it stopped`
        : `base_url must be where the homeserver answers, without a path of its own`
    return [bad(about, `${address} ${fetched.message}`, next)]
  }
  const findings: Finding[] = []
  const { reply, json } = fetched
  const versions = own(json, 'versions')
  if (!Array.isArray(versions) || versions.length === 0) {
    findings.push(
      bad(about, `${address} names no versions`, 'something else than a homeserver answers there: check base_url'),
    )
  } else findings.push(good(about, `${base} speaks up to ${String(versions.at(-1))}`))
  if (reply.tlsFault) {
    const { hostname } = new URL(base)
    findings.push(bad('Certificate', tlsWords(hostname, reply.tlsFault), certificate(hostname)))
  }
  if (!hasCors(reply)) {
    const next = 'a proxy in front must let Access-Control-Allow-Origin: * through'
    findings.push(bad('CORS', `clients in a browser may not read ${address}`, next))
  }
  const login = await askJson(world, { url: `${base}/_matrix/client/v3/login` })
  const flows = login.ok ? own(login.json, 'flows') : undefined
  findings.push(
    Array.isArray(flows) && flows.length > 0
      ? good('Sign-in', flows.map((flow) => textIn(flow, 'type')).join(', '))
      : bad('Sign-in', 'the server offers no way to sign in', 'look into its log: npx wrangler tail'),
  )
  return findings
}

export function tlsWords(name: string, fault: string): string {
  if (fault.includes('ALTNAME')) return `the certificate is not for ${name}`
  if (fault.includes('EXPIRED')) return `the certificate for ${name} has expired`
  if (/SELF_SIGNED|UNABLE_TO|ISSUER|SIGNATURE/.test(fault))
    return `the certificate for ${name} is by an authority that nobody knows (${fault})`
  return `the certificate for ${name} is not good (${fault})`
}

export function certificate(name: string): string {
  return `get a certificate for ${name} from a public authority; at Cloudflare: let the record be proxied, or make it a custom domain of the Worker`
}
