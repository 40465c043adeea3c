/** Answers of the server under examination, read with suspicion. */
import type { Asked, Reply, Surroundings } from './surroundings.ts'
import { isObject, type JsonObject, own } from '#protocol/json/json.ts'

export type JsonReply =
  | { readonly ok: true; readonly json: JsonObject; readonly reply: Reply; readonly url: string }
  | { readonly ok: false; readonly message: string; readonly status?: number; readonly reply?: Reply }

/** A JSON object, over redirects where these are allowed. What is wrong is said in a few words. */
export async function askJson({ ask }: Surroundings, asked: Asked, redirects = 0): Promise<JsonReply> {
  let { url } = asked
  for (let hop = 0; ; hop++) {
    const reply = await ask({ ...asked, url })
    if (!reply.ok) return { ok: false, message: `does not answer (${reply.message})` }
    const { status, headers } = reply
    const target = status >= 300 && status < 400 ? URL.parse(headers.location ?? '', url) : null
    if (target !== null && hop < redirects) {
      url = target.href
      continue
    }
    if (target !== null) return { ok: false, message: `redirects to ${target.href}`, status, reply }
    if (status !== 200) return { ok: false, message: `answers ${status}`, status, reply }
    const json = parse(reply.body)
    if (!isObject(json)) return { ok: false, message: 'answers with something that is no JSON object', status, reply }
    return { ok: true, json, reply, url }
  }
}

/** Whether any web page may read the answer. Spec: client-server-api/#web-browser-clients. */
export function hasCors({ headers }: Reply): boolean {
  return headers['access-control-allow-origin'] === '*'
}

/** A text of an object; empty where there is none. */
export function textIn(value: unknown, name: string): string {
  const text = isObject(value) ? own(value, name) : undefined
  return typeof text === 'string' ? text : ''
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
