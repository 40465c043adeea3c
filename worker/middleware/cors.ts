/** CORS headers on every answer. Spec: client-server-api/#web-browser-clients. */
import { createMiddleware } from 'hono/factory'

type Headers = ReadonlyArray<readonly [string, string]>

const headers: Headers = [
  ['Access-Control-Allow-Origin', '*'],
  ['Access-Control-Allow-Methods', 'GET, POST, PUT, DELETE, OPTIONS'],
  ['Access-Control-Allow-Headers', 'X-Requested-With, Content-Type, Authorization'],
]

/** MSC4108: its messages are told apart by entity tags. */
const ofRendezvous: Headers = [
  ...headers.slice(0, 2),
  ['Access-Control-Allow-Headers', 'X-Requested-With, Content-Type, Authorization, If-Match, If-None-Match'],
  ['Access-Control-Expose-Headers', 'ETag'],
]

const headersFor = (path: string): Headers =>
  path.startsWith('/_matrix/client/unstable/org.matrix.msc4108/') ? ofRendezvous : headers

/** Answers preflights by itself: a browser asks before it sends its token, so nothing may need one. */
export const withCors = createMiddleware(async (c, next) => {
  const ours = headersFor(c.req.path)
  if (c.req.method === 'OPTIONS') {
    const preflight = new Response(null, { status: 204 })
    for (const [name, value] of ours) preflight.headers.set(name, value)
    preflight.headers.set('Access-Control-Max-Age', '86400')
    return preflight
  }
  await next()
  for (const [name, value] of ours) c.res.headers.set(name, value)
})
