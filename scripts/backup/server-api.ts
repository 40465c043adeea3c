/** A server's `/_hearth/backup` and `/_hearth/restore` (worker/backup/backup-api.ts), asked again where the network fails. */
import { messageOf } from '../command-line.ts'
import { isObject, type JsonObject, own } from '../../worker/protocol/json/json.ts'
import { BackupError } from './failure.ts'

export interface ServerApi {
  readonly url: string
  get(path: string, query?: Readonly<Record<string, string>>): Promise<Response>
  /** Undefined where the server has nothing of that name. */
  find(path: string, query: Readonly<Record<string, string>>): Promise<Response | undefined>
  json(path: string, query?: Readonly<Record<string, string>>): Promise<JsonObject>
  /** `body` makes the bytes anew for each try. */
  send(
    method: 'POST' | 'PUT',
    path: string,
    query: Readonly<Record<string, string>>,
    body: Buffer | string,
  ): Promise<JsonObject>
}

export function serverApi(url: string, secret: string, tries = 5): ServerApi {
  async function ask(
    method: string,
    path: string,
    query: Readonly<Record<string, string>>,
    { body, mayLack = false }: { body?: Buffer | string; mayLack?: boolean } = {},
  ) {
    const search = new URLSearchParams(query).toString()
    const address = `${url}/_hearth/${path}${search && `?${search}`}`
    const headers = { Authorization: `Bearer ${secret}` }
    for (let attempt = 1; ; attempt++) {
      let reason: string
      try {
        const answer = await fetch(address, {
          method,
          headers,
          ...(body === undefined ? {} : { body: new Uint8Array(Buffer.from(body)) }),
        })
        if (answer.ok) return answer
        if (answer.status === 404 && mayLack && (await isNotFound(answer.clone()))) return undefined
        const said = await errorIn(answer)
        if (answer.status < 500 && answer.status !== 429) throw refused(url, answer.status, said)
        reason = `answers ${answer.status} ${said}`
      } catch (error) {
        if (error instanceof BackupError) throw error
        reason = `does not answer: ${error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)}`
      }
      if (attempt === tries)
        throw new BackupError(`${url} ${reason}`, 'the same command again goes on where it stopped')
      await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt))
    }
  }
  async function jsonOf(answer: Response): Promise<JsonObject> {
    const json: unknown = await answer.json()
    if (isObject(json)) return json
    throw new BackupError(`${url} answers with something that is no JSON object`)
  }
  return {
    url,
    get: async (path, query = {}) => there(await ask('GET', path, query)),
    find: (path, query) => ask('GET', path, query, { mayLack: true }),
    json: async (path, query = {}) => jsonOf(there(await ask('GET', path, query))),
    send: async (method, path, query, body) => jsonOf(there(await ask(method, path, query, { body }))),
  }
}

function there(answer: Response | undefined): Response {
  if (answer) return answer
  throw new TypeError('a 404 passed')
}

/** As a homeserver says it; an unknown path is M_UNRECOGNIZED. */
async function isNotFound(answer: Response): Promise<boolean> {
  const json: unknown = await answer.json().catch(() => undefined)
  return isObject(json) && own(json, 'errcode') === 'M_NOT_FOUND'
}

async function errorIn(answer: Response): Promise<string> {
  const json: unknown = await answer.json().catch(() => undefined)
  const text = isObject(json) ? own(json, 'error') : undefined
  return typeof text === 'string' ? text : ''
}

function refused(url: string, status: number, said: string): BackupError {
  if (status === 404) {
    const next =
      'deploy this version (npm run deploy); with a BACKUP_SECRET of your own: is it set at the server, for this purpose, and not over?'
    return new BackupError(`${url} gives out no backup${said && ` (${said})`}`, next)
  }
  return new BackupError(said || `${url} answers ${status}`)
}
