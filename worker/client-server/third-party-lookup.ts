/**
 * Networks that are bridged here: none, so no protocol, place or person of another network is found.
 *
 * Spec: client-server-api/#third-party-networks, third_party_lookup.yaml.
 */
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'

/** Spec: client-server-api/#get_matrixclientv3thirdpartyprotocols */
export const getProtocols = operation(
  'GET /_matrix/client/v3/thirdparty/protocols',
  { id: 'getProtocols', auth: 'accessToken', r0: true },
  () => ({}),
)

/** Spec: client-server-api/#get_matrixclientv3thirdpartyprotocolprotocol */
export const getProtocolMetadata = operation(
  'GET /_matrix/client/v3/thirdparty/protocol/:protocol',
  { id: 'getProtocolMetadata', auth: 'accessToken', r0: true },
  () => refuse('not_found', 'That network is not bridged here'),
)

/** Spec: client-server-api/#get_matrixclientv3thirdpartylocationprotocol */
export const queryLocationByProtocol = operation(
  'GET /_matrix/client/v3/thirdparty/location/:protocol',
  { id: 'queryLocationByProtocol', auth: 'accessToken', r0: true },
  () => refuse('not_found', 'That network is not bridged here'),
)

/** Spec: client-server-api/#get_matrixclientv3thirdpartyuserprotocol */
export const queryUserByProtocol = operation(
  'GET /_matrix/client/v3/thirdparty/user/:protocol',
  { id: 'queryUserByProtocol', auth: 'accessToken', r0: true },
  () => refuse('not_found', 'That network is not bridged here'),
)

/** Spec: client-server-api/#get_matrixclientv3thirdpartylocation */
export const queryLocationByAlias = operation(
  'GET /_matrix/client/v3/thirdparty/location',
  { id: 'queryLocationByAlias', auth: 'accessToken', r0: true },
  ({ query }) => {
    if (query.get('alias') === null) refuse('missing_param', 'alias is missing')
    return refuse('not_found', 'That alias leads to no other network')
  },
)

/** Spec: client-server-api/#get_matrixclientv3thirdpartyuser */
export const queryUserById = operation(
  'GET /_matrix/client/v3/thirdparty/user',
  { id: 'queryUserByID', auth: 'accessToken', r0: true },
  ({ query }) => {
    if (query.get('userid') === null) refuse('missing_param', 'userid is missing')
    return refuse('not_found', 'That user is of no other network')
  },
)
