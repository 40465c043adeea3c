/**
 * A bucket behind an S3 API (R2, S3, MinIO …): put, get and list, addressed by path. Requests are signed as AWS Signature
 * Version 4 has it (docs.aws.amazon.com, IAM User Guide, "Create a signed AWS API request").
 */
import { createHash, createHmac, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream, rmSync, statSync } from 'node:fs'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'

import { messageOf } from '../command-line.ts'
import { BackupError } from './failure.ts'
import { checkedName, type Store } from './store.ts'

interface Access {
  readonly endpoint: URL
  readonly region: string
  readonly id: string
  readonly secret: string
}

const emptyHash = createHash('sha256').update('').digest('hex')
const variables = 'AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'

/** `place`: s3://bucket/prefix. Who may is taken from the environment, as other tools do. */
export function bucketStore(place: string, env: Readonly<Record<string, string | undefined>>): Store {
  const [, bucket, prefix = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]+)(?:\/(.*?))?\/*$/.exec(place) ?? []
  if (bucket === undefined) throw new BackupError(`${place} names no bucket`, 'write s3://bucket/folder')
  const { AWS_ENDPOINT_URL: url, AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = env
  if (!url || !URL.canParse(url) || !id || !secret) {
    const next =
      'for R2 the first is https://ACCOUNT.r2.cloudflarestorage.com, the others come from dashboard → R2 → API tokens'
    throw new BackupError(`a bucket needs ${variables} in the environment`, next)
  }
  const access = { endpoint: new URL(url), region: env['AWS_REGION'] || 'auto', id, secret }
  const keyOf = (name: string) => (prefix === '' ? '' : `${prefix}/`) + checkedName(name)
  const call = async (method: string, key: string, more: Partial<Call> = {}) => {
    const reply = await send(access, { method, path: `/${bucket}${key === '' ? '' : `/${key}`}`, ...more })
    if (reply.status === 200 || (reply.status === 404 && method === 'GET' && key !== '')) return reply
    throw refused(place, reply.status, await text(reply.body))
  }
  return {
    where: place,
    async list(folder) {
      const found = new Map<string, number>()
      const under = `${keyOf(folder)}/`
      for (let token: string | undefined; ;) {
        const query = {
          'list-type': '2',
          prefix: under,
          ...(token === undefined ? {} : { 'continuation-token': token }),
        }
        const xml = await text((await call('GET', '', { query })).body)
        for (const [, entry = ''] of xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
          found.set(inXml(entry, 'Key').slice(prefix === '' ? 0 : prefix.length + 1), Number(inXml(entry, 'Size')))
        }
        if (inXml(xml, 'IsTruncated') !== 'true') return found
        token = inXml(xml, 'NextContinuationToken')
      }
    },
    async put(name, chunks) {
      // A request must say how long it is and what it hashes to, so it waits in a file until all of it is there.
      const file = join(tmpdir(), `hearth-${randomUUID()}`)
      try {
        const hash = createHash('sha256')
        const hashed = async function* () {
          for await (const chunk of chunks) {
            hash.update(chunk)
            yield chunk
          }
        }
        await pipeline(hashed(), createWriteStream(file, { mode: 0o600 }))
        const body = { file, size: statSync(file).size, hash: hash.digest('hex') }
        await text((await call('PUT', keyOf(name), { body })).body)
      } finally {
        rmSync(file, { force: true })
      }
    },
    async read(name) {
      const reply = await call('GET', keyOf(name))
      if (reply.status !== 404) return reply.body
      reply.body.resume()
      return undefined
    },
  }
}

interface Call {
  readonly method: string
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: { readonly file: string; readonly size: number; readonly hash: string }
}

interface Reply {
  readonly status: number
  readonly body: IncomingMessage
}

async function send(access: Access, call: Call, tries = 4): Promise<Reply> {
  for (let attempt = 1; ; attempt++) {
    try {
      const reply = await once(access, call)
      if (attempt === tries || (reply.status < 500 && reply.status !== 429)) return reply
      reply.body.resume()
    } catch (error) {
      if (attempt === tries) {
        throw new BackupError(
          `${access.endpoint.host} does not answer: ${messageOf(error)}`,
          'the same command again goes on',
        )
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt))
  }
}

/** Not by `fetch`, which cannot tell the length of a file that it sends. */
function once(access: Access, { method, path, query = {}, body }: Call): Promise<Reply> {
  const { endpoint } = access
  const target = `${endpoint.pathname.replace(/\/+$/, '')}${path.split('/').map(encode).join('/')}`
  const search = Object.entries(query)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
  const headers = {
    ...signed(access, { method, target, search, hash: body?.hash ?? emptyHash }),
    'content-length': String(body?.size ?? 0),
  }
  const request = endpoint.protocol === 'http:' ? httpRequest : httpsRequest
  return new Promise((resolve, reject) => {
    const call = request(`${endpoint.origin}${target}${search && `?${search}`}`, { method, headers }, (answer) =>
      resolve({ status: answer.statusCode ?? 0, body: answer }),
    )
    call.setTimeout(60_000, () => call.destroy(new Error('no answer within a minute')))
    call.once('error', reject)
    if (body) createReadStream(body.file).once('error', reject).pipe(call)
    else call.end()
  })
}

/** The headers of a signed request. */
export function signed(
  { endpoint, region, id, secret }: Access,
  { method, target, search, hash }: { method: string; target: string; search: string; hash: string },
  now = new Date(),
): Record<string, string> {
  const time = now.toISOString().replaceAll(/[:-]|\.\d{3}/g, '')
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`
  const headers = { host: endpoint.host, 'x-amz-content-sha256': hash, 'x-amz-date': time }
  const names = Object.keys(headers).join(';')
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`)
  const canonical = [method, target, search, lines.join(''), names, hash].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(canonical).digest('hex')].join('\n')
  const key = scope.split('/').reduce<string | Buffer>((key, part) => hmac(key, part), `AWS4${secret}`)
  const signature = hmac(key, toSign).toString('hex')
  return {
    // `fetch` sends the host itself.
    'x-amz-content-sha256': hash,
    'x-amz-date': time,
    authorization: `AWS4-HMAC-SHA256 Credential=${id}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
  }
}

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()

/** As the signature wants it: everything but letters, digits and -._~ */
const encode = (text: string) =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (mark) => `%${(mark.codePointAt(0) ?? 0).toString(16).toUpperCase()}`)

function inXml(text: string, name: string): string {
  const found = new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(text)?.[1] ?? ''
  const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
  return found.replaceAll(/&(amp|lt|gt|quot|apos);/g, (_, entity: string) => entities[entity] ?? '')
}

function refused(place: string, status: number, text: string): BackupError {
  const words = inXml(text, 'Message') || inXml(text, 'Code') || `it answers ${status}`
  if (status === 403) return new BackupError(`${place} may not be used with this key: ${words}`, `look at ${variables}`)
  if (status === 404)
    return new BackupError(`${place}: there is no such bucket`, 'make it first, or look at AWS_ENDPOINT_URL')
  return new BackupError(`${place} refuses: ${words}`)
}
