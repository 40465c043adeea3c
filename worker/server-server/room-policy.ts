/**
 * Policy servers sign what they recommend for a room. This server is none: what it would judge by is in the hands of the
 * rooms' moderators. Rooms that use another one are served in durable-objects/room/policy.ts.
 *
 * Spec: server-server-api/#policy-servers, data/api/server-server/room_policy.yaml.
 */
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'

/** "404: The server is not a Policy Server." Spec: server-server-api/#post_matrixpolicyv1sign */
export const askPolicyServerToSign = operation(
  'POST /_matrix/policy/v1/sign',
  { id: 'askPolicyServerToSign', auth: 'server' },
  () => refuse('not_found', 'This server is no policy server'),
)
