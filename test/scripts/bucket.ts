/** A bucket behind the part of the S3 API that backups use. It looks at every request's hash and signature, and can hang. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'

import { signed } from '../../scripts/backup/s3.ts'

export interface Bucket {
  readonly files: Map<string, Buffer>
  /** Keys in the order in which they were put. */
  readonly puts: string[]
  /** Answers no put after so many. */
  hangAfter: number
  /** Requests that were refused. */
  readonly refused: string[]
  readonly env: Record<string, string>
  close(): void
}

const keys = { id: 'the-id', secret: 'the-secret' }

export async function startBucket(name: string): Promise<Bucket> {
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const endpoint = new URL(`http://127.0.0.1:${port}`)
  const bucket: Bucket = {
    files: new Map(),
    puts: [],
    hangAfter: Infinity,
    refused: [],
    env: { AWS_ENDPOINT_URL: endpoint.href, AWS_ACCESS_KEY_ID: keys.id, AWS_SECRET_ACCESS_KEY: keys.secret },
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request)
    const { pathname, search, searchParams } = new URL(request.url ?? '', endpoint)
    const fault = faultOf(request, body, { pathname, search: search.slice(1) })
    if (fault !== undefined) {
      bucket.refused.push(`${request.method} ${request.url}: ${fault}`)
      response.writeHead(403).end(`<Error><Code>SignatureDoesNotMatch</Code><Message>${fault}</Message></Error>`)
      return
    }
    const key = decodeURIComponent(pathname.slice(name.length + 2))
    if (!pathname.startsWith(`/${name}`)) {
      response.writeHead(404).end('<Error><Code>NoSuchBucket</Code></Error>')
    } else if (request.method === 'PUT') {
      if (bucket.puts.length >= bucket.hangAfter) return
      bucket.puts.push(key)
      bucket.files.set(key, body)
      response.end()
    } else if (key === '') {
      response.end(page(bucket.files, searchParams))
    } else {
      const found = bucket.files.get(key)
      if (found) response.end(found)
      else response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>')
    }
  }
  function faultOf({ method = '', headers }: IncomingMessage, body: Buffer, { pathname, search }: Asked) {
    const hash = createHash('sha256').update(body).digest('hex')
    if (headers['x-amz-content-sha256'] !== hash) return 'the hash is not that of the body'
    if (headers['content-length'] !== String(body.length)) return 'no length'
    const time = String(headers['x-amz-date']).replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z')
    const access = { endpoint, region: 'auto', ...keys }
    const ours = signed(access, { method, target: pathname, search, hash }, new Date(time))
    return ours['authorization'] === headers.authorization ? undefined : 'the signature does not fit'
  }
  return bucket
}

interface Asked {
  readonly pathname: string
  readonly search: string
}

/** Two keys a page, so that pages follow one another. */
function page(files: ReadonlyMap<string, Buffer>, query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? ''
  const all = [...files].filter(([key]) => key.startsWith(prefix)).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const from = Number(query.get('continuation-token') ?? 0)
  const some = all.slice(from, from + 2)
  const entries = some.map(([key, bytes]) => `<Contents><Key>${key}</Key><Size>${bytes.length}</Size></Contents>`)
  const isCut = from + 2 < all.length
  const next = isCut ? `<NextContinuationToken>${from + 2}</NextContinuationToken>` : ''
  return `<ListBucketResult>${entries.join('')}<IsTruncated>${isCut}</IsTruncated>${next}</ListBucketResult>`
}
