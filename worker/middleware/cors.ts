/** CORS headers on every answer. Spec: client-server-api/#web-browser-clients. */
import { createMiddleware } from 'hono/factory'

const headers: ReadonlyArray<readonly [string, string]> = [
  ['Access-Control-Allow-Origin', '*'],
  ['Access-Control-Allow-Methods', 'GET, POST, PUT, DELETE, OPTIONS'],
  ['Access-Control-Allow-Headers', 'X-Requested-With, Content-Type, Authorization'],
]

/** Answers preflights by itself: a browser asks before it sends its token, so nothing may need one. */
export const withCors = createMiddleware(async (c, next) => {
  if (c.req.method === 'OPTIONS') {
    const preflight = new Response(null, { status: 204 })
    for (const [name, value] of headers) preflight.headers.set(name, value)
    preflight.headers.set('Access-Control-Max-Age', '86400')
    return preflight
  }
  await next()
  for (const [name, value] of headers) c.res.headers.set(name, value)
})
