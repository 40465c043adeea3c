/** Who made an OpenID token. Spec: server-server-api/#openid, data/api/server-server/openid.yaml. */
import { ownerOfOpenIdToken } from '../accounts/openid-tokens.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'

/** Any service may ask, hence no signature. Spec: server-server-api/#get_matrixfederationv1openiduserinfo */
export const exchangeOpenIdToken = operation(
  'GET /_matrix/federation/v1/openid/userinfo',
  { id: 'exchangeOpenIdToken', auth: 'none' },
  async ({ env, query }) => {
    const token = query.get('access_token') ?? refuse('missing_token')
    const sub = (await ownerOfOpenIdToken(env, token, Date.now())) ?? refuse('unknown_token')
    return { sub }
  },
)
