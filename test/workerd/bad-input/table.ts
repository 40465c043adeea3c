/**
 * Every operation of clients and administrators, with a path that makes sense: what the tables of bad input go through. A new
 * operation is in them by being in `worker/operations.ts`.
 */
import type { Operation } from '../../../worker/operation.ts'
import { operations } from '../../../worker/operations.ts'
import { type Answer, send } from '../client.ts'

/** Those that no other server asks. */
export const clientOperations: readonly Operation[] = operations.filter(({ options }) => options.auth !== 'server')

export type Params = Readonly<Record<string, string>>

/** What stands for each parameter unless a test says otherwise. Nothing of this is there. */
const usual: Params = {
  roomId: '!nowhere:test.local',
  roomIdOrAlias: '!nowhere:test.local',
  roomAlias: '#nowhere:test.local',
  userId: '@nobody:test.local',
  eventId: '$nothing',
  eventType: 'org.example.type',
  type: 'org.example.type',
  txnId: 'transaction',
  stateKey: '',
  kind: 'override',
  ruleId: 'org.example.rule',
  receiptType: 'm.read',
  relType: 'm.reference',
  serverName: 'test.local',
  mediaId: 'nothing',
  fileName: 'name.txt',
  reportId: '1',
}

export const paramsOf = ({ path }: Operation): string[] =>
  [...path.matchAll(/:([A-Za-z]+)/g)].map(([, name = '']) => name)

/** The path with these parameters, which are escaped unless they are already. */
export function pathWith(op: Operation, params: Params = {}, isEscaped = false): string {
  return op.path.replaceAll(/:([A-Za-z]+)/g, (_, name: string) => {
    const value = params[name] ?? usual[name] ?? 'nothing'
    return isEscaped && params[name] !== undefined ? value : encodeURIComponent(value)
  })
}

const withBody = new Set(['PUT', 'POST'])

export interface Asking {
  readonly token?: string | undefined
  readonly params?: Params
  /** The parameters are as they stand in the path. */
  readonly isEscaped?: boolean
  readonly query?: string
  /** As it is sent; an empty object for what takes a body. */
  readonly body?: unknown
}

export function ask(op: Operation, { token, params, isEscaped, query = '', body }: Asking): Promise<Answer> {
  const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  const sent = body ?? (withBody.has(op.method) ? {} : undefined)
  return send(op.method, pathWith(op, params, isEscaped) + query, sent, headers)
}

export const nameOf = ({ method, path }: Operation): string => `${method} ${path}`

/** `status errcode` of an answer. */
export function verdict({ status, body }: Answer): string {
  const errcode: unknown = body === null ? undefined : Object(body)['errcode']
  return typeof errcode === 'string' ? `${status} ${errcode}` : String(status)
}

/** Asks many, a few at a time, and returns what differs from what each must answer; `undefined` where anything is right. */
export async function differing<T>(
  all: readonly T[],
  name: (each: T) => string,
  once: (each: T) => Promise<Answer>,
  isRight: (answer: Answer, each: T) => boolean,
): Promise<Record<string, string>> {
  const wrong: Record<string, string> = {}
  const queue = all.values()
  const worker = async () => {
    for (const each of queue) {
      const answer = await once(each)
      if (!isRight(answer, each)) wrong[name(each)] = `${verdict(answer)} ${answer.text.slice(0, 120)}`
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return wrong
}

/** The standard error: an `errcode` of the specification's form and a text. Spec: client-server-api/#standard-error-response. */
export function isError({ status, body }: Answer): boolean {
  const { errcode, error } = Object(body)
  return status >= 400 && status < 500 && typeof errcode === 'string' && typeof error === 'string'
}
