/** Where clients find this server. Spec: client-server-api/#well-known-uris, wellknown.yaml. */
import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'
import { liveKitService } from './rtc-transports.ts'

/** Spec: client-server-api/#getwell-knownmatrixclient */
export const getWellknown = operation(
  'GET /.well-known/matrix/client',
  { id: 'getWellknown', auth: 'none' },
  ({ settings: { publicUrl, liveKitUrl } }) => ({
    'm.homeserver': { base_url: publicUrl },
    // Where calls are held, as clients ask who do not know the endpoint of rtc-transports.ts.
    ...(liveKitUrl === undefined ? {} : { 'org.matrix.msc4143.rtc_foci': [liveKitService(liveKitUrl)] }),
  }),
)

/**
 * Where other servers find this one: a Worker does not answer on port 8448, so they are sent to the client API's port. Only
 * where that is HTTPS; a local server is found by its name. Spec: server-server-api/#getwell-knownmatrixserver.
 */
export const getServerWellknown = operation(
  'GET /.well-known/matrix/server',
  { id: 'getWellknown', auth: 'none' },
  ({ settings: { publicUrl } }) => {
    const { protocol, hostname, port } = new URL(publicUrl)
    if (protocol !== 'https:') return refuse('not_found', 'This server is found by its name')
    return { 'm.server': `${hostname}:${port === '' ? 443 : port}` }
  },
)
