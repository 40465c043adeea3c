/** The rooms of a space. Spec: client-server-api/#spaces, data/api/client-server/space_hierarchy.yaml. */
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
    const skip = positionOf(query.get('from'), maxDepth, suggestedOnly)
    const page = await walkSpace(env, { root, via: viaServers(query), reader, maxDepth, suggestedOnly, limit, skip })
    if (!page) return refuse('forbidden', 'You are not allowed to view this room')
    const next = tokenOf(skip + page.rooms.length, maxDepth, suggestedOnly)
    return { rooms: page.rooms, ...(page.more ? { next_batch: next } : {}) }
  },
)

/** How many rooms were shown, of which walk. */
function tokenOf(shown: number, maxDepth: number, suggestedOnly: boolean): string {
  return `h${shown}-${maxDepth}-${suggestedOnly ? 's' : 'a'}`
}

/** "`max_depth` and `suggested_only` cannot be changed from the first request." */
function positionOf(token: string | null, maxDepth: number, suggestedOnly: boolean): number {
  if (token === null) return 0
  const shown = Number(/^h(\d{1,6})-/.exec(token)?.[1])
  if (Number.isNaN(shown)) return refuse('invalid_param', 'Unknown pagination token')
  if (token !== tokenOf(shown, maxDepth, suggestedOnly)) {
    return refuse('invalid_param', 'suggested_only and max_depth cannot change on paginated requests')
  }
  return shown
}
