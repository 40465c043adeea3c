/**
 * The page that ends letters about unread messages, and the one click by which mail programs do it (RFC 8058).
 *
 * Opening the link changes nothing: programs that look through mail open links as well. Nobody signs in for this: whoever has
 * the letter may end them.
 */
import { parseUserId } from '#protocol/identifiers/user-id.ts'

import { findUser } from '../accounts/users.ts'
import type { Env } from '../env.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { unsubscribePath } from '../push/unsubscribe-url.ts'
import { readTextBody } from '../read-body.ts'
import { userSyncOf } from '../sync/user-sync.ts'
import { escapeHtml, pageResponse } from './page.ts'

export const showUnsubscribing = operation(
  `GET ${unsubscribePath}`,
  { id: 'showUnsubscribing', auth: 'none' },
  async ({ env, settings, request, query }) => {
    limitAddress('inquiry', request, settings)
    const address = await addressOf(env, query, false)
    if (address === undefined) return over()
    const question = 'No more letters about unread messages to this address?'
    return pageResponse({
      title: 'Letters about unread messages',
      body:
        `<p>${question}</p><p><strong>${escapeHtml(address)}</strong></p>` +
        '<form method="post"><button>No more letters</button></form>',
    })
  },
)

export const unsubscribe = operation(
  `POST ${unsubscribePath}`,
  { id: 'unsubscribe', auth: 'none' },
  async ({ env, settings, request, query }) => {
    limitAddress('inquiry', request, settings)
    // "List-Unsubscribe=One-Click", or nothing from the form: the address says all.
    await readTextBody(request, { maxBody: 4096 })
    const address = await addressOf(env, query, true)
    if (address === undefined) return over()
    const body = `<p>There will be no more letters about unread messages to <strong>${escapeHtml(address)}</strong>.</p>`
    return pageResponse({ title: 'Done', body })
  },
)

/** Whose letters these are; ends them, if so wanted. Undefined for a link that leads nowhere (any more). */
async function addressOf(env: Env, query: URLSearchParams, end: boolean): Promise<string | undefined> {
  const userId = parseUserId(query.get('user'))
  // The objects of people who are not here are not to be made.
  if (!userId || !(await findUser(env, userId))) return undefined
  const token = query.get('token') ?? ''
  return (await userSyncOf(env, userId).mailAddressOf({ token, end })) ?? undefined
}

function over(): Response {
  return pageResponse({
    title: 'Nothing to end',
    body: '<p>Letters about unread messages to this address have ended already.</p>',
    status: 404,
  })
}
