/** Where clients find this server. Spec: client-server-api/#well-known-uris, wellknown.yaml. */
import { operation } from '../operation.ts'

/** Spec: client-server-api/#getwell-knownmatrixclient */
export const getWellknown = operation(
  'GET /.well-known/matrix/client',
  { id: 'getWellknown', auth: 'none' },
  ({ settings }) => ({ 'm.homeserver': { base_url: settings.publicUrl } }),
)
