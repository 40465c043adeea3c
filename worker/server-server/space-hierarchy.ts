/** The rooms of a space, for another server. Spec: server-server-api/#spaces, data/api/server-server/space_hierarchy.yaml. */
import { oneOf } from '../client-server/parameters.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { hierarchyForServer } from '../space-hierarchy.ts'

/** Spec: server-server-api/#get_matrixfederationv1hierarchyroomid */
export const getSpaceHierarchy = operation(
  'GET /_matrix/federation/v1/hierarchy/:roomId',
  { id: 'getSpaceHierarchy', auth: 'server' },
  async ({ env, requester: { origin }, path: { roomId }, query }) => {
    const suggestedOnly = oneOf(query, 'suggested_only', ['true', 'false']) === 'true'
    return (await hierarchyForServer(env, origin, roomId, suggestedOnly)) ?? refuse('not_found', 'Room not found')
  },
)
