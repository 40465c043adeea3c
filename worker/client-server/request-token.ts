/**
 * Asking for a letter that proves an address: to register with it, to add it to an account, to set a new password.
 *
 * Spec: registration.yaml, administrative_contact.yaml, password_management.yaml (`…/requestToken`). Where the owner hides
 * which addresses are known, the answer is the same for all of them and comes before the letter is sent.
 */
import { parseEmailAddress } from '#protocol/identifiers/email-address.ts'
import * as v from 'valibot'

import { openEmailSession, type Purpose, takeAttemptBack } from '../accounts/email-sessions.ts'
import { ownerOfAddress } from '../accounts/threepids.ts'
import type { Env } from '../env.ts'
import {
  addressInUse,
  confirmForAccount,
  confirmForRegistration,
  type LetterBody,
  resetPassword,
} from '../mail/letters.ts'
import { mailerOf } from '../mail/mail.ts'
import { limitAddress } from '../middleware/rate-limit.ts'
import { operation } from '../operation.ts'
import { refuse, refuseForNow } from '../refusal.ts'
import type { Settings } from '../settings.ts'

/** "It must be a string consisting of the characters `[0-9a-zA-Z.=_-]`. Its length must not exceed 255 characters." */
export const clientSecret = v.pipe(v.string(), v.regex(/^[0-9a-zA-Z.=_-]{1,255}$/))

const emailBody = v.looseObject({
  client_secret: clientSecret,
  email: v.string(),
  send_attempt: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  next_link: v.optional(v.nullable(v.pipe(v.string(), v.maxLength(2000)))),
  id_server: v.optional(v.nullable(v.string())),
})
type EmailBody = v.InferOutput<typeof emailBody>

/** Where the link of a letter leads; pages/confirm-email.ts answers there. */
export const confirmPath = '/_hearth/email/confirm'

const letters: Readonly<Record<Purpose, (serverName: string, link: string) => LetterBody>> = {
  add: confirmForAccount,
  register: confirmForRegistration,
  password: resetPassword,
}

/** Spec: client-server-api/#post_matrixclientv3registeremailrequesttoken */
export const requestTokenToRegisterEmail = operation(
  'POST /_matrix/client/v3/register/email/requestToken',
  { id: 'requestTokenToRegisterEmail', auth: 'none', body: emailBody, r0: true },
  async (call) => {
    if (call.settings.registration === 'closed') refuse('registration_closed')
    return requestToken('register', call)
  },
)

/** Spec: client-server-api/#post_matrixclientv3account3pidemailrequesttoken */
export const requestTokenTo3PIDEmail = operation(
  'POST /_matrix/client/v3/account/3pid/email/requestToken',
  { id: 'requestTokenTo3PIDEmail', auth: 'none', body: emailBody, r0: true },
  async (call) => requestToken('add', call),
)

/** Spec: client-server-api/#post_matrixclientv3accountpasswordemailrequesttoken */
export const requestTokenToResetPasswordEmail = operation(
  'POST /_matrix/client/v3/account/password/email/requestToken',
  { id: 'requestTokenToResetPasswordEmail', auth: 'none', body: emailBody, r0: true },
  async (call) => requestToken('password', call),
)

interface TokenRequest {
  readonly env: Env
  readonly settings: Settings
  readonly request: Request
  readonly body: EmailBody
  waitUntil(work: Promise<unknown>): void
}

async function requestToken(purpose: Purpose, call: TokenRequest): Promise<{ sid: string }> {
  const { env, settings, request, body } = call
  limitAddress('mail', request, settings)
  const mailer = mailerOf(env) ?? refuse('threepid_medium_not_supported', 'This server sends no e-mail')
  if (body.id_server) refuse('server_not_trusted')
  const address = parseEmailAddress(body.email) ?? refuse('invalid_param', 'That is no e-mail address')
  const nextLink = nextLinkOf(body.next_link ?? undefined)

  const isKnown = (await ownerOfAddress(env, address)) !== undefined
  const isRight = isKnown === (purpose === 'password')
  if (!isRight && !settings.hidesKnownAddresses) {
    refuse(purpose === 'password' ? 'threepid_not_found' : 'threepid_in_use')
  }
  const { client_secret, send_attempt } = body
  const asked = { purpose, address, clientSecret: client_secret, sendAttempt: send_attempt, nextLink }
  const opened = await openEmailSession(env, asked, isRight)
  if (!opened.ok) return refuseForNow(opened.wait)
  const { sid, token } = opened
  if (token === undefined) return { sid }

  const send = async () => {
    const letter = letterFor(purpose, isRight, settings, token)
    const isSent = letter === undefined || (await mailer({ to: address, ...letter }))
    if (!isSent) await takeAttemptBack(env, sid, token)
    return isSent
  }
  if (settings.hidesKnownAddresses) call.waitUntil(send())
  else if (!(await send())) refuse('bad_gateway', 'The e-mail could not be sent')
  return { sid }
}

/** Somebody whose address has no account gets no letter: anybody can write any address into a form. */
function letterFor(purpose: Purpose, isRight: boolean, settings: Settings, token: string): LetterBody | undefined {
  const link = `${settings.publicUrl}${confirmPath}?token=${token}`
  if (isRight) return letters[purpose](settings.serverName, link)
  return purpose === 'password' ? undefined : addressInUse(settings.serverName)
}

/** Shown as a link when the address was confirmed, so it must be one that a browser opens as a page. */
function nextLinkOf(link: string | undefined): string | undefined {
  if (link === undefined || link === '') return undefined
  const isPage = URL.canParse(link) && /^https?:$/.test(new URL(link).protocol)
  return isPage ? link : refuse('invalid_param', 'next_link must be the URL of a page')
}

const msisdnBody = v.looseObject({
  client_secret: clientSecret,
  country: v.string(),
  phone_number: v.string(),
  send_attempt: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
})

function noMessages(): never {
  return refuse('threepid_medium_not_supported', 'This server sends no messages to phones')
}

/** Spec: client-server-api/#post_matrixclientv3registermsisdnrequesttoken */
export const requestTokenToRegisterMSISDN = operation(
  'POST /_matrix/client/v3/register/msisdn/requestToken',
  { id: 'requestTokenToRegisterMSISDN', auth: 'none', body: msisdnBody, r0: true },
  noMessages,
)

/** Spec: client-server-api/#post_matrixclientv3account3pidmsisdnrequesttoken */
export const requestTokenTo3PIDMSISDN = operation(
  'POST /_matrix/client/v3/account/3pid/msisdn/requestToken',
  { id: 'requestTokenTo3PIDMSISDN', auth: 'none', body: msisdnBody, r0: true },
  noMessages,
)

/** Spec: client-server-api/#post_matrixclientv3accountpasswordmsisdnrequesttoken */
export const requestTokenToResetPasswordMSISDN = operation(
  'POST /_matrix/client/v3/account/password/msisdn/requestToken',
  { id: 'requestTokenToResetPasswordMSISDN', auth: 'none', body: msisdnBody, r0: true },
  noMessages,
)
