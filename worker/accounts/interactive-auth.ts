/**
 * The User-Interactive Authentication API. Spec: client-server-api/#user-interactive-authentication-api.
 *
 * A session is good for one operation, one user and one request: what was approved for one device does not delete another.
 * Credentials are checked and forgotten; a session holds the names of the stages that passed and no more. Every list of
 * flows names its own stages, so `m.login.dummy` passes nothing where a password is asked for.
 */
import { createHash } from 'node:crypto'

import { type Reason, wireError } from '#protocol/errors.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import { canonicalJsonLoose, CanonicalJsonError } from '#protocol/json/canonical-json.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

import type { Env } from '../env.ts'
import { refuse } from '../refusal.ts'
import { settingsOf } from '../settings.ts'
import { provenAddress, type Purpose } from './email-sessions.ts'
import { consumeSession, findSession, openSession, saveStage } from './interactive-auth-sessions.ts'
import { checkPassword } from './passwords.ts'
import { isUsableToken } from './registration-tokens.ts'
import { userIdOfLogin } from './user-identifier.ts'

export type Stage =
  | 'm.login.dummy'
  | 'm.login.password'
  | 'm.login.registration_token'
  | 'm.login.email.identity'
  | 'm.login.terms'
export type Flow = readonly Stage[]

export interface Authentication {
  /** Method and path of the request, with its parameters: what is being approved. */
  readonly operation: string
  /** Whose approval is needed; undefined for a registration. */
  readonly userId?: UserId
  readonly body: JsonObject
  readonly flows: readonly Flow[]
  /** What an address must have been proven for, where `m.login.email.identity` is among the stages. */
  readonly emailPurpose?: Purpose
  /** What clients have to know of the stages. */
  readonly params?: JsonObject
}

/** What stages brought to light. */
interface Found {
  readonly registrationToken?: string
  /** Session that proved an e-mail address. */
  readonly emailSession?: string
}

export type Authenticated =
  | ({ readonly ok: true } & Found)
  /** The 401 to answer with. */
  | { readonly ok: false; readonly response: Response }

interface Progress extends Found {
  readonly session: string
  readonly completed: readonly string[]
}

/** Checks the `auth` of a request. It passes once a whole flow is completed, in order; its session then ends. */
export async function authenticate(env: Env, request: Authentication): Promise<Authenticated> {
  const purpose = purposeOf(request)
  // Clients built on matrix-rust-sdk write null where they have none.
  const auth = own(request.body, 'auth') ?? undefined
  if (auth === undefined) return unfinished(request, await openSession(env, purpose))
  if (!isObject(auth)) return refuse('bad_json', 'auth: Expected an object')

  const session = own(auth, 'session') ?? undefined
  const stage = own(auth, 'type')
  const progress = session === undefined ? undefined : await resume(env, session, purpose)
  if (session !== undefined && !progress) {
    return unfinished(request, await openSession(env, purpose), 'The session is unknown or has expired')
  }
  const done = progress?.completed ?? []
  // Only the session: the client asks how far it is. "Completed stages cannot be retried."
  const isNews = stage !== undefined && !done.some((each) => each === stage)
  if (!isNews) {
    // Its last stage was passed on a page (client-server/auth-fallback.ts): then the session is all there is to show.
    if (progress && isWhole(request, progress.completed)) return finish(env, request, purpose, progress)
    return unfinished(request, progress ?? (await openSession(env, purpose)))
  }

  const next = request.flows.flatMap((flow) => (isPrefix(done, flow) ? (flow[done.length] ?? []) : []))
  const known = next.find((each) => each === stage)
  const passed: Tried = known === undefined ? { ok: false } : await stages[known](env, auth, request)
  if (!passed.ok) {
    const why = known === undefined ? 'That is not the next stage of any flow' : `${known} failed`
    return unfinished(request, progress ?? (await openSession(env, purpose)), why, passed.reason)
  }
  const completed = [...done, ...(known === undefined ? [] : [known])]
  const found = { ...foundIn(progress), ...foundIn(passed) }
  const now = { completed, ...found }
  if (!isWhole(request, completed)) {
    const { session: current } = progress ?? (await openSession(env, purpose))
    await saveStage(env, current, now)
    return unfinished(request, { session: current, ...now })
  }
  return finish(env, request, purpose, { session: progress?.session, ...now })
}

/** Of two requests that complete the same session at once, one does. */
async function finish(
  env: Env,
  request: Authentication,
  purpose: string,
  { session, ...progress }: Found & { readonly session: string | undefined },
): Promise<Authenticated> {
  if (session !== undefined && !(await consumeSession(env, session))) {
    return unfinished(request, await openSession(env, purpose), 'The session has been used')
  }
  return { ok: true, ...foundIn(progress) }
}

/** The stages that a person can pass on a page, without the client. */
const onPages = ['m.login.dummy', 'm.login.registration_token', 'm.login.terms'] as const

/** Passes a stage of a session whose client shows a page instead. Spec: client-server-api/#fallback. */
export async function performFallbackStage(
  env: Env,
  session: string,
  stage: string,
  filled: JsonObject,
): Promise<'passed' | 'failed' | 'unknown_session'> {
  const progress = await findSession(env, session)
  if (!progress) return 'unknown_session'
  const known = onPages.find((each) => each === stage)
  if (known === undefined) return 'failed'
  if (progress.completed.includes(known)) return 'passed'
  const passed = await stages[known](env, filled, {})
  if (!passed.ok) return 'failed'
  const completed = [...progress.completed, known]
  await saveStage(env, session, { completed, ...foundIn(progress), ...foundIn(passed) })
  return 'passed'
}

/** A session goes on only for what it was opened for. */
async function resume(env: Env, session: unknown, purpose: string): Promise<Progress | undefined> {
  if (typeof session !== 'string') return refuse('bad_json', 'auth.session: Expected a string')
  const found = await findSession(env, session)
  if (found && found.purpose !== purpose) {
    return refuse('forbidden', 'The request is not the one for which this session was opened')
  }
  return found
}

function foundIn({ registrationToken, emailSession }: Found = {}): Found {
  return {
    ...(registrationToken === undefined ? {} : { registrationToken }),
    ...(emailSession === undefined ? {} : { emailSession }),
  }
}

interface Tried extends Found {
  readonly ok: boolean
  /** Why not, where it is not `forbidden`. */
  readonly reason?: Reason
}

type Whose = Pick<Authentication, 'userId' | 'emailPurpose'>

const stages: Readonly<Record<Stage, (env: Env, auth: JsonObject, whose: Whose) => Promise<Tried>>> = {
  'm.login.dummy': async () => ({ ok: true }),
  'm.login.password': tryPassword,
  'm.login.registration_token': tryRegistrationToken,
  'm.login.email.identity': tryEmail,
  // "Once the user has done so, the client submits an `auth` dict with just the `type` and `session`."
  'm.login.terms': async () => ({ ok: true }),
}

/** Spec: client-server-api/#email-based-identity--homeserver. Which account the address belongs to is the caller's business. */
async function tryEmail(env: Env, auth: JsonObject, { emailPurpose: purpose }: Whose): Promise<Tried> {
  const credentials = own(auth, 'threepid_creds') ?? own(auth, 'threepidCreds')
  if (credentials === undefined) return refuse('missing_param', 'auth.threepid_creds is missing')
  if (!isObject(credentials)) return refuse('bad_json', 'auth.threepid_creds: Expected an object')
  const [sid, clientSecret] = [own(credentials, 'sid'), own(credentials, 'client_secret')]
  if (typeof sid !== 'string' || typeof clientSecret !== 'string') {
    return refuse('missing_param', 'auth.threepid_creds lacks sid or client_secret')
  }
  const proven = purpose && (await provenAddress(env, { sid, clientSecret, purpose }))
  // Clients ask again and again until the link was opened, and know this code for "not yet".
  return proven ? { ok: true, emailSession: proven.sid } : { ok: false, reason: 'not_proven_yet' }
}

async function tryRegistrationToken(env: Env, auth: JsonObject): Promise<Tried> {
  const token = own(auth, 'token')
  if (typeof token !== 'string') return refuse('missing_param', 'auth.token is missing')
  return (await isUsableToken(env, token)) ? { ok: true, registrationToken: token } : { ok: false }
}

/** The password of the user who asks: that of anybody else approves nothing. */
async function tryPassword(env: Env, auth: JsonObject, { userId }: Whose): Promise<Tried> {
  const password = own(auth, 'password')
  if (typeof password !== 'string') return refuse('missing_param', 'auth.password is missing')
  const named = await userIdOfLogin(env, auth, settingsOf(env).serverName)
  if (userId === undefined || named !== userId) return refuse('forbidden', 'Approve this with your own user name')
  return { ok: (await checkPassword(env, userId, password)) !== undefined }
}

function unfinished(
  { flows, params = {} }: Authentication,
  { session, completed }: Progress,
  failure?: string,
  reason: Reason = 'forbidden',
): Authenticated {
  const [, errcode] = wireError(reason)
  const body = {
    session,
    flows: flows.map((stages) => ({ stages })),
    params,
    ...(completed.length === 0 ? {} : { completed }),
    ...(failure === undefined ? {} : { errcode, error: failure }),
  }
  return { ok: false, response: Response.json(body, { status: 401 }) }
}

function isWhole({ flows }: Authentication, completed: readonly string[]): boolean {
  return flows.some((flow) => flow.length === completed.length && isPrefix(completed, flow))
}

function isPrefix(done: readonly string[], flow: Flow): boolean {
  return done.length <= flow.length && done.every((stage, index) => stage === flow[index])
}

/**
 * Names what is approved. The secrets of a request are left out: a fast hash of a password is as good as the password to
 * whoever gets hold of the database.
 */
function purposeOf({ operation, userId, body }: Authentication): string {
  const { auth: _auth, password: _password, new_password: _newPassword, ...rest } = body
  try {
    const text = canonicalJsonLoose([operation, userId ?? null, rest])
    return createHash('sha256').update(text).digest('base64url')
  } catch (error) {
    if (error instanceof CanonicalJsonError) return refuse('bad_json', 'The body is not canonical JSON')
    throw error
  }
}
