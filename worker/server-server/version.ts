/** Spec: server-server-api/#server-implementation. */
import { operation } from '../operation.ts'
import { softwareName, softwareVersion } from '../software.ts'

/** Spec: server-server-api/#get_matrixfederationv1version */
export const getVersion = operation('GET /_matrix/federation/v1/version', { id: 'getVersion', auth: 'none' }, () => ({
  server: { name: softwareName, version: softwareVersion },
}))
