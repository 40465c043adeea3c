/** Whom to ask about this server. Spec: client-server-api/#getwell-knownmatrixsupport, support.yaml, policy_server.yaml. */
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'

/** Spec: client-server-api/#getwell-knownmatrixsupport */
export const getWellknownSupport = operation(
  'GET /.well-known/matrix/support',
  { id: 'getWellknownSupport', auth: 'none' },
  ({ settings: { support } }) => {
    const contacts = support.contacts.map((contact) => ({
      [contact.startsWith('@') ? 'matrix_id' : 'email_address']: contact,
      role: 'm.role.admin',
    }))
    if (contacts.length === 0 && support.page === undefined) refuse('not_found', 'Nobody is named to be asked')
    return {
      ...(contacts.length > 0 ? { contacts } : {}),
      ...(support.page === undefined ? {} : { support_page: support.page }),
    }
  },
)

/** This server is no policy server. Spec: client-server-api/#getwell-knownmatrixpolicy_server */
export const getWellknownPolicy = operation(
  'GET /.well-known/matrix/policy_server',
  { id: 'getWellknownPolicy', auth: 'none' },
  () => refuse('not_found', 'This server is no policy server'),
)
