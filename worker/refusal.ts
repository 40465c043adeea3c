/** How a handler of the Worker refuses: it throws a Refusal, and `app.ts` answers with the reason's wire form. */
import { type Failure, fail, type Outcome, type Reason, wireError } from '#protocol/errors.ts'

export class Refusal extends Error {
  /** More fields of the error body, such as `soft_logout` or `retry_after_ms`. */
  readonly fields: Readonly<Record<string, unknown>>
  readonly failure: Failure

  constructor(failure: Failure, fields: Readonly<Record<string, unknown>> = {}) {
    super(failure.message ?? failure.reason)
    this.failure = failure
    this.fields = fields
  }
}

/** Refuses the request. */
export function refuse(reason: Reason, message?: string, fields?: Readonly<Record<string, unknown>>): never {
  throw new Refusal(fail(reason, message), fields)
}

/** Refuses for so many milliseconds. Spec: client-server-api/#rate-limiting. */
export function refuseForNow(wait: number): never {
  return refuse('limit_exceeded', undefined, { retry_after_ms: Math.ceil(wait) })
}

/** The value of an outcome that came over RPC, or a refusal with its reason. */
export function unwrap<T>(outcome: Outcome<T>): { readonly ok: true } & T {
  if (outcome.ok) return outcome
  const { roomVersion } = outcome
  throw new Refusal(outcome, roomVersion === undefined ? {} : { room_version: roomVersion })
}

/** The standard error response. */
export function errorResponse({ reason, message }: Failure, fields: Readonly<Record<string, unknown>> = {}): Response {
  const [status, errcode, text] = wireError(reason)
  const headers = new Headers()
  const retryAfter = fields['retry_after_ms']
  if (typeof retryAfter === 'number') headers.set('Retry-After', String(Math.ceil(retryAfter / 1000)))
  return Response.json({ errcode, error: message ?? text, ...fields }, { status, headers })
}
