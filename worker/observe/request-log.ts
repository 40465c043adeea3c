/**
 * One line of JSON for each request, and one for each bug.
 *
 * A line never has a path, a query, a header, a body or a user: those hold tokens, names of rooms and what people write.
 */
import type { LogLevel } from '../settings.ts'

export interface Answered {
  readonly requestId: string
  /** operationId of the specification; undefined where no operation answers the path. */
  readonly operation: string | undefined
  readonly method: string
  readonly status: number
  readonly ms: number
  /** The server whose signature came with the request. */
  readonly origin: string | undefined
}

/** Writes a line for a request that was answered, where such lines are wanted. */
export function logRequest({ requestId, ...answered }: Answered, least: LogLevel): void {
  if (least === 'warn' || least === 'error') return
  console.info(JSON.stringify({ level: 'info', event: 'request', request_id: requestId, ...answered }))
}

/** Writes down a bug: where it was, and in which request. */
export function logFault(requestId: string, operation: string | undefined, fault: unknown): void {
  console.error(
    JSON.stringify({ level: 'error', event: 'fault', request_id: requestId, operation, error: stackOf(fault) }),
  )
}

/** The stack of an error and of what caused it, without what a statement was given: that may be a password's hash. */
export function stackOf(fault: unknown): string {
  if (!(fault instanceof Error)) return typeof fault
  const stack = withoutValues(fault.stack ?? `${fault.name}: ${fault.message}`)
  return fault.cause === undefined ? stack : `${stack}\ncaused by ${stackOf(fault.cause)}`
}

/** drizzle writes the values that a query was given behind the query. */
function withoutValues(stack: string): string {
  return stack.replace(/\n?params: [\s\S]*?(?=\n {4}at |$)/g, '')
}
