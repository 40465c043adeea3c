/** Networks that are bridged here: none. Spec: client-server-api/#third-party-networks, third_party_lookup.yaml. */
import { operation } from '../operation.ts'

/** Spec: client-server-api/#get_matrixclientv3thirdpartyprotocols */
export const getProtocols = operation(
  'GET /_matrix/client/v3/thirdparty/protocols',
  { id: 'getProtocols', auth: 'accessToken', r0: true },
  () => ({}),
)
