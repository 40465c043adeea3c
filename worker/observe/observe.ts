/**
 * Names every request, and notes what came of it: in the log, in Analytics Engine where that is bound, and for Prometheus
 * where the local server offers that.
 */
import { fail } from '#protocol/errors.ts'
import { createHash, timingSafeEqual } from 'node:crypto'
import { createMiddleware } from 'hono/factory'

import type { Env } from '../env.ts'
import { errorResponse } from '../refusal.ts'
import { type LogLevel, SettingError, settingsOf } from '../settings.ts'
import { meter, units } from './meter.ts'
import { countAnswer, metricsText } from './metrics.ts'
import { requestIdFrom } from './request-id.ts'
import { type Answered, logFault, logRequest } from './request-log.ts'

interface Noted {
  readonly requestId: string
  operation?: string
  origin?: string
}

/** What is known of the requests that are being answered. */
const noted = new WeakMap<Request, Noted>()

/** Says which operation answers a request. */
export function noteOperation(request: Request, operation: string): void {
  const known = noted.get(request)
  if (known) known.operation = operation
}

/** Says which server signed a request. */
export function noteOrigin(request: Request, origin: string): void {
  const known = noted.get(request)
  if (known) known.origin = origin
}

/** Writes down a bug that a request met. */
export function noteFault(request: Request, fault: unknown): void {
  const known = noted.get(request)
  logFault(known?.requestId ?? '-', known?.operation, fault)
}

export const observed = createMiddleware<{ Bindings: Env }>(async (c, next) => {
  const { env, req } = c
  const request = req.raw
  const known: Noted = { requestId: requestIdFrom(request.headers.get('X-Request-Id')) }
  noted.set(request, known)
  meter(env)
  const begun = Date.now()
  await next()
  c.res.headers.set('X-Request-Id', known.requestId)
  const { requestId, operation, origin } = known
  const { method } = request
  const answered = { requestId, operation, method, status: c.res.status, ms: Date.now() - begun, origin }
  logRequest(answered, logLevelOf(env))
  if (env.METRICS) env.METRICS.writeDataPoint(dataPoint(answered))
  if (env.METER === 'on') countAnswer(answered)
})

/** Where settings are wrong, the front page tells of it, and that is a request too. */
function logLevelOf(env: Env): LogLevel {
  try {
    return settingsOf(env).logLevel
  } catch (error) {
    if (error instanceof SettingError) return 'info'
    throw error
  }
}

/** Blobs: operation, method, status, origin. Doubles: milliseconds. Sampled by operation. */
function dataPoint({ operation = 'none', method, status, ms, origin = '' }: Answered): AnalyticsEngineDataPoint {
  return { indexes: [operation], blobs: [operation, method, String(status), origin], doubles: [ms] }
}

/** What Prometheus is told; nothing for anybody without the token, which the local server makes at each start. */
export function metricsAnswer(request: Request, env: Env): Response {
  const given = request.headers.get('Authorization') ?? ''
  const isAllowed = env.METER === 'on' && !!env.METER_TOKEN && isSame(given, `Bearer ${env.METER_TOKEN}`)
  if (!isAllowed) return errorResponse(fail('unrecognized'))
  return new Response(metricsText(units), { headers: { 'Content-Type': 'text/plain; version=0.0.4' } })
}

function isSame(given: string, wanted: string): boolean {
  const [a, b] = [given, wanted].map((text) => createHash('sha256').update(text).digest())
  return !!a && !!b && timingSafeEqual(a, b)
}
