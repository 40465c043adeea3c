/** The rooms of a space. Spec: client-server-api/#spaces, data/api/client-server/space_hierarchy.yaml. */
import { formatHierarchyToken, parseHierarchyToken } from '../hierarchy-token.ts'
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { walkSpace } from '../space-hierarchy.ts'
import { oneOf, viaServers, wholeNumber } from './parameters.ts'

const [defaultDepth, mostDepth] = [20, 100]

/** Spec: client-server-api/#get_matrixclientv1roomsroomidhierarchy */
export const getSpaceHierarchy = operation(
  'GET /_matrix/client/v1/rooms/:roomId/hierarchy',
  {
    id: 'getSpaceHierarchy',
    auth: 'accessToken',
    guests: true,
    aliases: ['/_matrix/client/unstable/org.matrix.msc2946/rooms/:roomId/hierarchy'],
  },
  async ({ env, requester: { userId: reader }, path: { roomId: root }, query }) => {
    const suggestedOnly = oneOf(query, 'suggested_only', ['true', 'false']) === 'true'
    const limit = wholeNumber(query, 'limit', 50, 50)
    if (limit === 0) refuse('invalid_param', 'limit must be greater than zero')
    const maxDepth = wholeNumber(query, 'max_depth', defaultDepth, mostDepth)
    const conditions = { maxDepth, suggestedOnly }
    const from = positionOf(query.get('from'), conditions)
    const page = await walkSpace(env, { root, via: viaServers(query), reader, limit, from, ...conditions })
    if (!page) return refuse('forbidden', 'You are not allowed to view this room')
    return { rooms: page.rooms, ...(page.next ? { next_batch: formatHierarchyToken(page.next, conditions) } : {}) }
  },
)

function positionOf(token: string | null, conditions: { maxDepth: number; suggestedOnly: boolean }) {
  if (token === null) return undefined
  const position = parseHierarchyToken(token, conditions) ?? refuse('invalid_param', 'Unknown pagination token')
  if (position !== 'other_conditions') return position
  return refuse('invalid_param', 'suggested_only and max_depth cannot change on paginated requests')
}
