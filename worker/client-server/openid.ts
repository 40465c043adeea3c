/** Proving who one is to other services. Spec: client-server-api/#openid, data/api/client-server/openid.yaml. */
import { newOpenIdToken, openIdLifetime } from '../accounts/openid-tokens.ts'
import { operation } from '../operation.ts'
import { demandSelf } from './account-data.ts'
import { jsonObject } from './parameters.ts'

/** Spec: client-server-api/#post_matrixclientv3useruseridopenidrequest_token */
export const requestOpenIdToken = operation(
  'POST /_matrix/client/v3/user/:userId/openid/request_token',
  { id: 'requestOpenIdToken', auth: 'accessToken', body: jsonObject, bodyOptional: true, r0: true },
  async ({ env, settings, requester, path: { userId } }) => {
    demandSelf(requester, userId)
    return {
      access_token: await newOpenIdToken(env, userId, Date.now()),
      token_type: 'Bearer',
      matrix_server_name: settings.serverName,
      expires_in: openIdLifetime,
    }
  },
)
