/**
 * The table of contents: every operation this server answers, mounted on hono.
 *
 * Unknown paths answer 404 M_UNRECOGNIZED, known paths with another method 405, and every answer carries CORS headers
 * (spec: client-server-api/#web-browser-clients, #common-error-codes).
 */
import { fail } from '#protocol/errors.ts'
import { Hono } from 'hono'

import { operations } from './operations.ts'
import type { Env } from './env.ts'
import { withCors } from './middleware/cors.ts'
import { metricsAnswer, noteFault, observed } from './observe/observe.ts'
import type { Operation } from './operation.ts'
import { frontPage } from './pages/front-page.ts'
import { errorResponse } from './refusal.ts'
import { pathsOf, routeHandler } from './route.ts'
import { setUp } from './set-up.ts'

export function createApp(list: readonly Operation[] = operations): Hono<{ Bindings: Env }> {
  const app = new Hono<{ Bindings: Env }>()
  app.use(observed)
  app.use(withCors)
  // Before the database is set up: it tells what is wrong there.
  app.get('/', (c) => frontPage(c.req.raw, c.env))
  app.use(async (c, next) => {
    // A database that is being filled is not to be set up.
    if (!c.req.path.startsWith('/_hearth/restore/')) await setUp(c.env)
    await next()
  })
  const known = new Set<string>(['/'])
  for (const op of list) {
    for (const path of pathsOf(op)) {
      app.on(op.method, path, routeHandler(op))
      known.add(path)
    }
  }
  for (const path of known) app.all(path, () => errorResponse(fail('method_not_allowed')))
  app.get('/_hearth/metrics', (c) => metricsAnswer(c.req.raw, c.env))
  app.notFound(() => errorResponse(fail('unrecognized')))
  app.onError((error, c) => {
    // A bug: the stack is for the owner's log, never for the client.
    noteFault(c.req.raw, error)
    return errorResponse(fail('internal'))
  })
  return app
}
