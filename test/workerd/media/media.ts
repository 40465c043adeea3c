/** Uploads and downloads for tests, by bytes. */
import { exports } from 'cloudflare:workers'

import { serverUrl } from '../client.ts'

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Uint8Array
  readonly text: string
  /** `errcode` of an error. */
  readonly errcode: unknown
}

export interface Asked {
  readonly token?: string
  readonly method?: string
  readonly body?: BodyInit
  readonly headers?: Readonly<Record<string, string>>
}

export async function ask(path: string, { token, method = 'GET', body, headers }: Asked = {}): Promise<Reply> {
  const authorization: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  const init = { method, headers: { ...authorization, ...headers }, ...(body !== undefined && { body }) }
  return replyOf(await exports.default.fetch(new Request(serverUrl + path, init)))
}

export async function replyOf(response: Response): Promise<Reply> {
  const bytes = new Uint8Array(await response.arrayBuffer())
  const text = new TextDecoder().decode(bytes)
  const isJson = response.headers.get('Content-Type') === 'application/json' && !response.ok
  const { errcode }: { errcode?: unknown } = JSON.parse(isJson ? text : '{}')
  return { status: response.status, headers: response.headers, bytes, text, errcode }
}

interface File {
  readonly name?: string
  readonly type?: string
}

/** Uploads and gives the `server/mediaId` of the file. */
export async function upload(token: string, body: BodyInit, { name, type }: File = {}): Promise<string> {
  const query = name === undefined ? '' : `?filename=${encodeURIComponent(name)}`
  const headers: Record<string, string> = type === undefined ? {} : { 'Content-Type': type }
  const { text } = await ask(`/_matrix/media/v3/upload${query}`, { token, method: 'POST', body, headers })
  const { content_uri: uri }: { content_uri: string } = JSON.parse(text)
  return uri.slice('mxc://'.length)
}

/** Makes an ID to upload to later. */
export async function create(token: string): Promise<string> {
  const { text } = await ask('/_matrix/media/v1/create', { token, method: 'POST' })
  const { content_uri: uri }: { content_uri: string } = JSON.parse(text)
  return uri.slice('mxc://'.length)
}

export function download(token: string, file: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
  return ask(`/_matrix/client/v1/media/download/${file}`, { token, headers })
}

/** A stream without a known length, of so many bytes that differ. */
export function streamOf(size: number, chunk = 65_536): ReadableStream<Uint8Array> {
  let sent = 0
  return new ReadableStream({
    pull(controller) {
      const length = Math.min(chunk, size - sent)
      if (length === 0) return controller.close()
      controller.enqueue(Uint8Array.from({ length }, (_, index) => (sent + index) % 251))
      sent += length
    },
  })
}

/** A stream of just these chunks. */
export function chunked(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  let next = 0
  return new ReadableStream({
    pull(controller) {
      const chunk = chunks[next++]
      if (chunk) controller.enqueue(chunk)
      else controller.close()
    },
  })
}

/** A bucket that writes down what is done with it. */
export function counting(bucket: R2Bucket, asked: string[]): R2Bucket {
  return new Proxy(bucket, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        asked.push(String(name))
        return Reflect.apply(value, target, args)
      }
    },
  })
}
