/** Asks the servers of users, all at once, and says which of them did not answer. */
import { serverNameOf, type UserId } from '#protocol/identifiers/user-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { JsonObject } from '#protocol/json/json.ts'

import type { Env } from '../env.ts'
import { isSilent, noteSilence, noteVoice } from '../federation-client/silent-servers.ts'
import { type FederationAnswer, type FederationRequest, signedFetch } from '../federation-client/signed-fetch.ts'

export interface Asking<T> {
  readonly path: string
  /** The body that asks one server about its users. */
  readonly body: (users: ReadonlyMap<UserId, T>) => JsonObject
  /** Takes what is good of an answer. `users` are those that were asked for, all of that server. */
  readonly take: (users: ReadonlyMap<UserId, T>, answer: JsonObject) => void
  readonly timeoutMs: number
}

/** A server that has not answered within this, in ms, is left alone for a while. */
const fairTimeoutMs = 5_000
/** Servers of one request that are asked at once. */
const maxServers = 200

/** No server keeps the others from an answer, whatever goes wrong with it, and however long it takes to find out where it is. */
async function ask(env: Env, request: FederationRequest & { readonly timeoutMs: number }): Promise<FederationAnswer> {
  const { destination, timeoutMs } = request
  if (isSilent(destination, Date.now())) return unreachable('The server could not be reached a moment ago')
  const over = new AbortController()
  const late = scheduler.wait(timeoutMs, { signal: over.signal }).then(
    () => tooLate,
    () => tooLate,
  )
  const answer = await Promise.race([
    late,
    signedFetch(env, request).catch((error: unknown) => {
      console.error('a server could not be asked', destination, error)
      return unreachable('The server could not be reached')
    }),
  ])
  over.abort()
  if (answer.ok || answer.kind === 'http') noteVoice(destination)
  // A client in a hurry says nothing about the server.
  else if (answer.kind === 'unreachable' || (answer.kind === 'timeout' && timeoutMs >= fairTimeoutMs)) {
    noteSilence(destination, Date.now())
  }
  return answer
}

const tooLate: FederationAnswer = { ok: false, kind: 'timeout', message: 'The server takes too long' }

const unreachable = (message: string): FederationAnswer => ({ ok: false, kind: 'unreachable', message })

/** Answers with `failures`: an error by server. */
export async function askServers<T>(
  env: Env,
  wanted: ReadonlyMap<UserId, T>,
  { path, body, take, timeoutMs }: Asking<T>,
): Promise<Record<string, JsonObject>> {
  const servers = new Map<ServerName, Map<UserId, T>>()
  for (const [userId, value] of wanted) {
    const server = serverNameOf(userId)
    servers.set(server, (servers.get(server) ?? new Map<UserId, T>()).set(userId, value))
  }
  const failures: Record<string, JsonObject> = {}
  const left = [...servers]
  const worker = async () => {
    for (let next = left.shift(); next; next = left.shift()) {
      const [destination, users] = next
      const answer = await ask(env, { destination, method: 'POST', path, body: body(users), timeoutMs })
      if (answer.ok) take(users, answer.json)
      else failures[destination] = { status: answer.kind === 'http' ? answer.status : 503, message: answer.message }
    }
  }
  await Promise.all(Array.from({ length: Math.min(maxServers, left.length) }, worker))
  return failures
}
