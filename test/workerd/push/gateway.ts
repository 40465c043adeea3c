/**
 * A push gateway for tests, in place of the network: takes what the specification's schema allows, and nothing else.
 * Spec: data/api/push-gateway/push_notifier.yaml, whose request body is test/fixtures/push-notify-schema.json.
 */
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'
import { expect, vi } from 'vitest'

import schema from '../../fixtures/push-notify-schema.json'

export interface PushedDevice {
  readonly app_id: string
  readonly pushkey: string
  readonly pushkey_ts: number
  readonly data: JsonObject
  readonly tweaks?: JsonObject
}
export interface Pushed {
  readonly event_id?: string
  readonly room_id?: string
  readonly type?: string
  readonly sender?: string
  readonly sender_display_name?: string
  readonly room_name?: string
  readonly room_alias?: string
  readonly user_is_target?: boolean
  readonly prio?: string
  readonly content?: JsonObject
  readonly counts: { readonly unread?: number }
  readonly devices: readonly PushedDevice[]
}

export interface Gateway {
  readonly url: string
  /** What it took, in order. */
  readonly taken: Pushed[]
  /** All requests, taken or not. */
  readonly requests: { readonly count: number }
  /** From now on it answers this; `null` is a connection that fails. */
  answers(answer: (pushed: Pushed) => Response | null): void
  /** Waits until it has taken so many in all, and returns the newest. */
  took(count: number): Promise<Pushed>
}

const others = globalThis.fetch
const gateways = new Map<string, (request: Request) => Promise<Response>>()

/** Starts to stand in for the network. */
export function openNetwork(): void {
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const request = new Request(input, init)
    const gateway = gateways.get(new URL(request.url).host)
    return gateway ? gateway(request) : others(input, init)
  })
}

/** Any other host: whatever it is asked comes here. */
export function openHost(host: string, handle: (request: Request) => Promise<Response>): void {
  gateways.set(host, handle)
}

export function openGateway(host: string): Gateway {
  const taken: Pushed[] = []
  const requests = { count: 0 }
  let answer: (pushed: Pushed) => Response | null = () => Response.json({ rejected: [] })
  gateways.set(host, async (request) => {
    requests.count += 1
    const body: unknown = await request.json()
    const faults = [
      ...(request.method === 'POST' ? [] : [`method ${request.method}`]),
      ...(new URL(request.url).pathname === '/_matrix/push/v1/notify' ? [] : [`path ${request.url}`]),
      ...faultsOf(body, schema, ''),
    ]
    if (faults.length > 0) throw new Error(`not what a gateway takes: ${faults.join(', ')}`)
    const { notification }: { notification: Pushed } = JSON.parse(JSON.stringify(body))
    const answered = answer(notification)
    if (!answered) throw new TypeError('connection refused')
    if (answered.ok) taken.push(notification)
    return answered
  })
  return {
    url: `https://${host}/_matrix/push/v1/notify`,
    taken,
    requests,
    answers(next) {
      answer = next
    },
    async took(count) {
      await vi.waitFor(() => expect(taken.length).toBeGreaterThanOrEqual(count), { timeout: 10_000, interval: 10 })
      const last = taken.at(-1)
      if (!last) throw new Error('nothing was taken')
      return last
    },
  }
}

/** Faults by the part of JSON Schema that the specification uses here. What it does not name is a fault as well. */
function faultsOf(value: unknown, { type, required, properties, items, enum: words }: Schema, path: string): string[] {
  if (!isOfType(value, type)) return [`${path} is no ${type}`]
  if (words && (typeof value !== 'string' || !words.includes(value))) return [`${path} is none of ${words.join(' ')}`]
  if (Array.isArray(value))
    return value.flatMap((each, index) => (items ? faultsOf(each, items, `${path}[${index}]`) : []))
  if (!isObject(value) || !properties) return []
  const missing = (required ?? [])
    .filter((name) => own(value, name) === undefined)
    .map((name) => `${path}.${name} is missing`)
  const wrong = Object.entries(value).flatMap(([name, each]) => {
    const part = properties[name]
    // Content, tweaks and the data of a pusher are whatever they are.
    return part ? faultsOf(each, part, `${path}.${name}`) : isFree(path) ? [] : [`${path}.${name} is not specified`]
  })
  return [...missing, ...wrong]
}

interface Schema {
  readonly type: string
  readonly required?: readonly string[]
  readonly enum?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema | undefined>>
  readonly items?: Schema
}

const isFree = (path: string) => /\.(?:content|tweaks|data)$/.test(path)

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'object':
      return isObject(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isSafeInteger(value)
    default:
      return typeof value === type
  }
}
