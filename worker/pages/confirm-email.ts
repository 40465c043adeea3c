/**
 * The page that a letter's link opens, and what its button does.
 *
 * Opening the link changes nothing: programs that look through mail open links as well. The page's
 * address holds the secret, so it is sent to nobody (`Referrer-Policy`, see page.ts).
 */
import { confirmByLink, findByLink, type Purpose } from '../accounts/email-sessions.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { readTextBody } from '../read-body.ts'
import { confirmPath } from '../client-server/request-token.ts'
import { escapeHtml, pageResponse } from './page.ts'

const questions: Readonly<Record<Purpose, string>> = {
  add: 'Somebody asks to add this address to their Matrix account. Confirm only if that is you:',
  register: 'Somebody makes a Matrix account with this address. Confirm only if that is you:',
  password: 'Somebody asks for a new password for the account with this address. Confirm only if that is you:',
}

export const showConfirmation = operation(
  `GET ${confirmPath}`,
  { id: 'showConfirmation', auth: 'none' },
  async ({ env, settings, request, query }) => {
    limitAddress('inquiry', request, settings)
    const token = query.get('token') ?? ''
    const asked = await findByLink(env, token)
    if (!asked) return tooLate()
    return page(
      'Confirm your e-mail address',
      `<p>${questions[asked.purpose]}</p><p><strong>${escapeHtml(asked.address)}</strong></p>` +
        `<form method="post"><input type="hidden" name="token" value="${escapeHtml(token)}">` +
        '<button>Confirm</button></form>',
    )
  },
)

export const confirmAddress = operation(
  `POST ${confirmPath}`,
  { id: 'confirmAddress', auth: 'none' },
  async ({ env, settings, request }) => {
    limitAddress('inquiry', request, settings)
    const form = new URLSearchParams(await readTextBody(request, { maxBody: 4096 }))
    const token = form.get('token') ?? ''
    const asked = await findByLink(env, token)
    if (!asked || !(await confirmByLink(env, token))) return tooLate()
    // A link, not a redirect: where a client sends people on to is for them to see first.
    const next = asked.nextLink
    const onwards =
      next === null ? '' : `<p>Go on to <a href="${escapeHtml(next)}" rel="noreferrer">${escapeHtml(next)}</a></p>`
    return page(
      'Confirmed',
      `<p><strong>${escapeHtml(asked.address)}</strong> is confirmed. Go back to where you began.</p>${onwards}`,
    )
  },
)

function tooLate(): Response {
  const words = '<p>This link is too old, or a newer one was sent to you. Begin again where you came from.</p>'
  return page('That link does not work', words, 404)
}

function page(title: string, body: string, status = 200): Response {
  return pageResponse({ title, body, status })
}
