/** The name of a request, in its answer's `X-Request-Id` and in every line of the log that is about it. */

const wellFormed = /^[A-Za-z0-9][\w.:=-]{7,127}$/

/** The name that a proxy in front gave, where it has the form of one; else a new one. */
export function requestIdFrom(given: string | null): string {
  return given !== null && wellFormed.test(given) ? given : crypto.randomUUID()
}
