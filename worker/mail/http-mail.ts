/**
 * Mail by an HTTP API: one POST of JSON per letter. What the JSON looks like is the owner's template, so that any provider
 * will do.
 *
 * Placeholders stand inside the strings of the template and are filled in after it was parsed: nothing in a letter can
 * change the form of the request.
 */
import { isObject, type JsonValue } from '#protocol/json/json.ts'

import { type Letter, unsubscribeHeaders } from './letter.ts'

export interface MailApi {
  readonly url: string
  /** Name of the header that carries the token. `Authorization` gets it as a bearer token, any other as it is. */
  readonly tokenHeader: string
  readonly token: string | undefined
  /**
   * JSON with `{{from}}`, `{{to}}`, `{{subject}}`, `{{text}}` and `{{html}}` in its strings. Where a letter has a link to end
   * more of its kind, that is `{{unsubscribe}}`; an object with that placeholder in it is left out of other letters.
   */
  readonly template: JsonValue
}

/** What several providers take. */
export const defaultTemplate: JsonValue = {
  from: '{{from}}',
  to: '{{to}}',
  subject: '{{subject}}',
  text: '{{text}}',
  html: '{{html}}',
  headers: { ...unsubscribeHeaders('{{unsubscribe}}') },
}

/** Posts letters to the API. Rejects unless it answers with a 2xx status. */
export function httpMailer(from: string, api: MailApi) {
  return async (letter: Letter, signal: AbortSignal): Promise<void> => {
    const headers = new Headers({ 'Content-Type': 'application/json', Accept: 'application/json' })
    const isBearer = api.tokenHeader.toLowerCase() === 'authorization'
    if (api.token !== undefined) headers.set(api.tokenHeader, isBearer ? `Bearer ${api.token}` : api.token)
    const template = letter.unsubscribe === undefined ? withoutLink(api.template) : api.template
    const body = JSON.stringify(fillIn(template, { from, ...letter }))
    // A redirect would carry the token to somebody else.
    const answer = await fetch(api.url, { method: 'POST', headers, body, signal, redirect: 'manual' })
    await answer.body?.cancel()
    if (!answer.ok) throw new Error(`the mail API answers ${answer.status}`)
  }
}

/** The template without what stands for a link: the innermost object around it; of the template itself, the member. */
function withoutLink(template: JsonValue): JsonValue {
  if (Array.isArray(template)) return template.filter((each: JsonValue) => !hasLink(each)).map(withoutLink)
  if (!isObject(template)) return template
  const kept = Object.entries(template).filter(([, value]) => !hasLink(value ?? null))
  return Object.fromEntries(kept.map(([name, value]) => [name, withoutLink(value ?? null)]))
}

function hasLink(template: JsonValue): boolean {
  const strings = isObject(template) ? Object.values(template) : [template]
  return strings.some((each) => typeof each === 'string' && each.includes('{{unsubscribe}}'))
}

/** The template with its placeholders replaced, each once: what a value holds is not looked at again. */
export function fillIn(template: JsonValue, values: Readonly<Record<string, string>>): JsonValue {
  if (typeof template === 'string') {
    return template.replace(/\{\{(\w+)\}\}/g, (whole, name: string) => {
      return Object.hasOwn(values, name) ? (values[name] ?? whole) : whole
    })
  }
  if (Array.isArray(template)) return template.map((each: JsonValue) => fillIn(each, values))
  if (!isObject(template)) return template
  return Object.fromEntries(Object.entries(template).map(([name, value]) => [name, fillIn(value ?? null, values)]))
}
