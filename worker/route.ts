/** Turns an operation into a hono route: parse the path, know the requester, read and check the body, answer. */
import { parseEventId } from '#protocol/identifiers/event-id.ts'
import { parseRoomId } from '#protocol/identifiers/room-id.ts'
import { parseUserId } from '#protocol/identifiers/user-id.ts'
import { parseFederationJson } from '#protocol/json/strict-json.ts'
import type { Context } from 'hono'

import { mayWhileSuspended } from './accounts/suspension.ts'
import { checkBody } from './check-body.ts'
import type { Env } from './env.ts'
import { requesterOf } from './middleware/access-token.ts'
import { limitOperation } from './middleware/operation-limits.ts'
import { originOf } from './middleware/server-signature.ts'
import { noteAlive } from './federation-client/alive.ts'
import { noteOperation, noteOrigin } from './observe/observe.ts'
import type { Auth, Call, Operation } from './operation.ts'
import { readJsonBody, readTextBody } from './read-body.ts'
import { errorResponse, Refusal, refuse } from './refusal.ts'
import { settingsOf } from './settings.ts'

export type HonoContext = Context<{ Bindings: Env }>

const parsers: Readonly<Record<string, (value: string) => unknown>> = {
  roomId: parseRoomId,
  userId: parseUserId,
  eventId: parseEventId,
}

/** Every path an operation answers on: its own, its aliases, and the r0 form where old clients use it. */
export function pathsOf({ path, options }: Operation): string[] {
  const paths = [path, ...(options.aliases ?? [])]
  if (options.r0) paths.push(path.replace(/^(\/_matrix\/(?:client|media)\/)v[13]\//, '$1r0/'))
  return paths
}

export function routeHandler(op: Operation): (c: HonoContext) => Promise<Response> {
  return async (c) => {
    noteOperation(c.req.raw, op.options.id)
    try {
      const answer = await op.handle(await callOf(op, c))
      return answer instanceof Response ? answer : Response.json(answer)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { failure, fields } = await exactRefusal(op, c, error)
      return errorResponse(failure, fields)
    }
  }
}

/**
 * A user's object refuses devices that were ended and accounts that were locked without telling them apart, and before
 * this isolate knows: the database says which it is.
 */
async function exactRefusal({ options }: Operation, c: HonoContext, refusal: Refusal): Promise<Refusal> {
  if (refusal.failure.reason !== 'unknown_token' || options.auth !== 'accessToken') return refusal
  const demand = { ...options, fresh: true } as const
  const fresh = await requesterOf(c.req.raw, c.env, settingsOf(c.env), demand).catch((error: unknown) => error)
  return fresh instanceof Refusal ? fresh : refusal
}

async function callOf(op: Operation, c: HonoContext): Promise<Call<string, Auth, unknown>> {
  const { auth, body: schema } = op.options
  const settings = settingsOf(c.env)
  const waitUntil = (work: Promise<unknown>) => c.executionCtx.waitUntil(work)
  const call = { request: c.req.raw, env: c.env, settings, query: new URL(c.req.url).searchParams, waitUntil }
  if (auth === 'server') {
    // The signature covers the body, so that comes first.
    const text = await readTextBody(c.req.raw, op.options)
    const requester = { origin: await originOf(c.req.raw, text || undefined, c.env) }
    noteOrigin(c.req.raw, requester.origin)
    const content = parseFederationJson(text || '{}')
    if (!content.ok) return refuse('not_json')
    waitUntil(noteAlive(c.env, requester.origin))
    return { ...call, path: parsePath(c.req.param()), body: schema && checkBody(schema, content.value), requester }
  }
  const requester = auth === 'none' ? undefined : await requesterOf(c.req.raw, c.env, settings, op.options)
  limitOperation(op, requester, c.req.raw, settings)
  if (requester?.isSuspended && !mayWhileSuspended(op.method, op.options.id)) refuse('user_suspended')
  const path = parsePath(c.req.param())
  const { bodyOptionalWith: parameter } = op.options
  const mayBeEmpty = parameter !== undefined && call.query.has(parameter) ? { bodyOptional: true as const } : {}
  const body = schema && checkBody(schema, await readJsonBody(c.req.raw, { ...op.options, ...mayBeEmpty }))
  return { ...call, path, body, requester }
}

function parsePath(params: Record<string, string>): Record<string, never> {
  const parsed: Record<string, unknown> = {}
  for (const [name, text] of Object.entries(params)) {
    const parse = Object.hasOwn(parsers, name) ? parsers[name] : undefined
    const value = parse ? parse(text) : text
    if (value === undefined) refuse('invalid_param', `${name} in the path is malformed`)
    parsed[name] = value
  }
  return parsed as Record<string, never>
}
