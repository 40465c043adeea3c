/**
 * The page that a letter's link opens, and what its button does.
 *
 * Opening the link changes nothing: programs that look through mail open links as well. The page loads nothing and runs
 * nothing, may not be framed, and sends its address to nobody, since the address holds the secret.
 */
import { createHash } from 'node:crypto'

import { confirmByLink, findByLink, type Purpose } from '../accounts/email-sessions.ts'
import { escapeHtml } from '../mail/letters.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { readTextBody } from '../read-body.ts'
import { confirmPath } from '../client-server/request-token.ts'

const style =
  'body{font:18px/1.5 system-ui,sans-serif;max-width:32em;margin:2em auto;padding:0 1em;color:#1b1b1b;background:#fff;' +
  'overflow-wrap:anywhere}button{font:inherit;width:100%;padding:.8em;border:0;border-radius:.5em;background:#0b57d0;' +
  'color:#fff}a{color:#0b57d0}@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}a{color:#8ab4f8}}'

const styleHash = createHash('sha256').update(style).digest('base64')

const pageHeaders = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy':
    `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self'; ` +
    "frame-ancestors 'none'; base-uri 'none'; sandbox allow-forms allow-top-navigation-by-user-activation",
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
}

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
  const html =
    '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
    `<meta name="viewport" content="width=device-width,initial-scale=1"><title>${title}</title>` +
    `<style>${style}</style></head><body><main><h1>${title}</h1>${body}</main></body></html>`
  return new Response(html, { status, headers: pageHeaders })
}
