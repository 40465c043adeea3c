/**
 * A stage of user-interactive authentication in a browser, for clients that do not know it.
 *
 * Spec: client-server-api/#fallback: "This MUST return an HTML page which can perform this authentication stage." Stages that
 * prove who somebody is (passwords) are not done here: the page cannot know for whom the session was opened.
 */
import { performFallbackStage } from '../accounts/interactive-auth.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { type Call, operation } from '../operation.ts'
import { escapeHtml, pageResponse } from '../pages/page.ts'
import { readTextBody } from '../read-body.ts'
import { refuse } from '../refusal.ts'
import type { Settings } from '../settings.ts'
import type { Terms } from '../settings/terms.ts'

type Asked = Call<'/:authType', 'none', undefined>

/** What a person fills in at each stage. */
const fields: Readonly<Record<string, { readonly title: string; readonly html: string }>> = {
  'm.login.dummy': { title: 'Go on', html: '' },
  'm.login.registration_token': {
    title: 'Registration token',
    html: '<label for="token">The token you were given</label><input id="token" name="token" required autocomplete="off">',
  },
}

// Word by word as the specification has it.
const done =
  'if (window.onAuthDone) { window.onAuthDone() } ' +
  'else if (window.opener && window.opener.postMessage) { window.opener.postMessage("authDone", "*") }'

const maxForm = 4096
const path = '/_matrix/client/v3/auth/:authType/fallback/web'

/** Spec: client-server-api/#fallback */
export const uiaFallbackPage = operation(`GET ${path}`, { id: 'uiaFallbackPage', auth: 'none', r0: true }, (call) =>
  form(call, sessionOf(call.query)),
)

/** Where the page sends what was filled in. */
export const submitAuthFallback = operation(
  `POST ${path}`,
  { id: 'submitAuthFallback', auth: 'none', r0: true },
  async (call) => {
    const { env, settings, request, path: asked } = call
    limitAddress('inquiry', request, settings)
    const filled = new URLSearchParams(await readTextBody(request, { maxBody: maxForm }))
    const session = sessionOf(filled)
    if (!stageOf(asked.authType, settings)) return form(call, session)
    const passed = await performFallbackStage(env, session, asked.authType, { token: filled.get('token') ?? '' })
    if (passed === 'unknown_session') return form(call, session, 'This sign-in is unknown or has expired.')
    if (passed === 'failed') return form(call, session, 'That was not right.')
    return pageResponse({ title: 'Done', body: '<p>You may close this window and go back.</p>', script: done })
  },
)

function stageOf(authType: string, { registrationTerms }: Settings) {
  if (authType === 'm.login.terms' && registrationTerms) return { title: 'Terms', html: termsHtml(registrationTerms) }
  return Object.hasOwn(fields, authType) ? fields[authType] : undefined
}

/** Every policy in every language that the owner has it in. */
function termsHtml({ documents }: Terms): string {
  const links = documents.map(
    ({ name, url }) => `<li><a href="${escapeHtml(url)}" target="_blank" rel="noreferrer">${escapeHtml(name)}</a></li>`,
  )
  return `<p>By going on you accept:</p><ul>${links.join('')}</ul>`
}

function sessionOf(from: URLSearchParams): string {
  return from.get('session') || refuse('missing_param', 'session is missing')
}

function form(
  { path: { authType }, settings }: Pick<Asked, 'path' | 'settings'>,
  session: string,
  problem?: string,
): Response {
  const stage = stageOf(authType, settings)
  if (!stage) return refuse('not_found', 'There is no page for that stage')
  const body =
    (problem === undefined ? '' : `<p role="alert">${escapeHtml(problem)}</p>`) +
    `<form method="post"><input type="hidden" name="session" value="${escapeHtml(session)}">` +
    `${stage.html}<button>Continue</button></form>`
  return pageResponse({ title: stage.title, body, status: problem === undefined ? 200 : 403 })
}
