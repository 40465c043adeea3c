/** Requests of people to their server, which may be gone or may refuse. */
import { request } from 'node:http'

import { text } from '../../scripts/bench/client.ts'

export interface Asked {
  /** 0: there was no answer. */
  readonly status: number
  readonly body: unknown
}

export type Ask = (method: string, path: string, body?: object) => Promise<Asked>

/** Makes an account; throws where that does not work. */
export async function register(base: string, username: string): Promise<{ userId: string; token: string }> {
  const body = { username, password: 'the password of all', auth: { type: 'm.login.dummy' } }
  const answer = await asPerson(base)('POST', '/register', body)
  return { userId: text(answer.body, 'user_id'), token: text(answer.body, 'access_token') }
}

/** Asks the client-server API, as the holder of a token. */
export function asPerson(base: string, token?: string): Ask {
  return (method, path, body) =>
    new Promise((resolve) => {
      const headers = {
        ...(token !== undefined && { Authorization: `Bearer ${token}` }),
        ...(body && { 'Content-Type': 'application/json' }),
      }
      const sent = request(`${base}/_matrix/client/v3${path}`, { method, headers, timeout: 60_000 }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', () => resolve({ status: 0, body: undefined }))
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, body: parse(Buffer.concat(chunks).toString()) })
        })
      })
      sent.on('timeout', () => sent.destroy())
      sent.on('error', () => resolve({ status: 0, body: undefined }))
      sent.end(body && JSON.stringify(body))
    })
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
