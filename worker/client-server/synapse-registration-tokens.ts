/**
 * Making and ending registration tokens, as tools know it from Synapse: `/_synapse/admin/v1/registration_tokens`. For
 * admins of this server.
 */
import * as v from 'valibot'

import {
  createRegistrationToken,
  deleteRegistrationToken,
  listRegistrationTokens,
  type RegistrationToken,
  registrationTokenForm,
} from '../accounts/registration-tokens.ts'
import { randomText } from '../accounts/tokens.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { demandAdmin } from './admin.ts'

const wanted = v.looseObject({
  token: v.optional(v.pipe(v.string(), v.regex(registrationTokenForm))),
  uses_allowed: v.optional(v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(0)))),
  /** Milliseconds since 1970. */
  expiry_time: v.optional(v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(0)))),
})

export const newRegistrationToken = operation(
  'POST /_synapse/admin/v1/registration_tokens/new',
  { id: 'newRegistrationToken', auth: 'accessToken', fresh: true, body: wanted },
  async ({ env, requester, body }) => {
    demandAdmin(requester)
    const token = body.token ?? randomText(16)
    const row = { token, usesAllowed: body.uses_allowed ?? null, expiresAt: body.expiry_time ?? null }
    if (!(await createRegistrationToken(env, row))) refuse('invalid_param', 'There is a token of that name')
    return answer({ ...row, uses: 0 })
  },
)

export const allRegistrationTokens = operation(
  'GET /_synapse/admin/v1/registration_tokens',
  { id: 'allRegistrationTokens', auth: 'accessToken', fresh: true },
  async ({ env, requester }) => {
    demandAdmin(requester)
    return { registration_tokens: (await listRegistrationTokens(env)).map(answer) }
  },
)

export const endRegistrationToken = operation(
  'DELETE /_synapse/admin/v1/registration_tokens/:token',
  { id: 'endRegistrationToken', auth: 'accessToken', fresh: true },
  async ({ env, requester, path }) => {
    demandAdmin(requester)
    return (await deleteRegistrationToken(env, path.token)) ? {} : refuse('not_found', 'There is no such token')
  },
)

/** This server uses a token up when the account is made, so none is ever pending. */
function answer({ token, usesAllowed, uses, expiresAt }: Omit<RegistrationToken, 'createdAt'>) {
  return { token, uses_allowed: usesAllowed, pending: 0, completed: uses, expiry_time: expiresAt }
}
