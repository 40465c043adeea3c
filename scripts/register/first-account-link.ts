/** The one-time link to a server's front page, by which its owner makes the first account in a browser. */
import { createHmac } from 'node:crypto'

import { call, failureText, field } from './register-account.ts'

export type LinkOutcome =
  | { readonly ok: true; readonly link: string; readonly expiresAt: number }
  /** There is an administrator: nobody needs a link. */
  | { readonly ok: false; readonly reason: 'has_admin' }
  | { readonly ok: false; readonly reason: 'refused'; readonly message: string }

/** Asks the server at `url` for a link, by the secret shared with it. Links made before end. `page`: where browsers find it. */
export async function firstAccountLink(url: string, secret: string, page = url): Promise<LinkOutcome> {
  const asked = await call('GET', `${url}/_synapse/admin/v1/register`)
  const nonce = field(asked.body, 'nonce')
  if (!asked.ok || nonce === undefined) return { ok: false, reason: 'refused', message: failureText(asked) }
  const mac = createHmac('sha256', secret).update(`${nonce}\0first-account`).digest('hex')
  const made = await call('POST', `${url}/_hearth/first-account/link`, { nonce, mac })
  const token = field(made.body, 'token')
  const expiresAt: unknown =
    typeof made.body === 'object' && made.body ? Reflect.get(made.body, 'expires_ts') : undefined
  if (made.ok && token !== undefined && typeof expiresAt === 'number') {
    return { ok: true, link: `${page}/#first-account=${token}`, expiresAt }
  }
  if (field(made.body, 'errcode') === 'M_NOT_FOUND') return { ok: false, reason: 'has_admin' }
  return { ok: false, reason: 'refused', message: failureText(made) }
}
