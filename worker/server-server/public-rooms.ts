/**
 * The rooms published here, for other servers. Spec: server-server-api/#published-room-directory.
 *
 * Off unless the owner wants it: whoever asks may then read in one place which rooms there are.
 */
import { wholeNumber } from '../client-server/parameters.ts'
import { operation } from '../operation.ts'
import { directoryQuestion, listPublished, mostRooms } from '../published-rooms.ts'
import { refuse } from '../refusal.ts'
import type { Settings } from '../settings.ts'

/** Spec: server-server-api/#get_matrixfederationv1publicrooms */
export const getPublicRooms = operation(
  'GET /_matrix/federation/v1/publicRooms',
  { id: 'getPublicRooms', auth: 'server' },
  ({ env, settings, query }) => {
    mustBePublished(settings)
    const [since, network] = [query.get('since'), query.get('third_party_instance_id')]
    return listPublished(env, {
      limit: wholeNumber(query, 'limit', 0, mostRooms),
      ...(since === null ? {} : { since }),
      ...(network === null ? {} : { third_party_instance_id: network }),
    })
  },
)

/** Spec: server-server-api/#post_matrixfederationv1publicrooms */
export const queryPublicRooms = operation(
  'POST /_matrix/federation/v1/publicRooms',
  { id: 'queryPublicRooms', auth: 'server', body: directoryQuestion, bodyOptional: true },
  ({ env, settings, body }) => {
    mustBePublished(settings)
    return listPublished(env, body)
  },
)

function mustBePublished({ publishesRooms }: Settings): void {
  if (!publishesRooms) refuse('forbidden', 'This server does not show its room directory to other servers')
}
