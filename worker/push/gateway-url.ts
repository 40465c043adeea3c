/**
 * Which URLs a pusher may name: of a push gateway, or (MSC4174) of a push service, whose path is its own.
 *
 * Spec: client-server-api/#post_matrixclientv3pushersset `data.url`: "MUST be an HTTPS URL with a path of
 * `/_matrix/push/v1/notify`". Nothing of a private network: whoever sets a pusher would else have this server write there.
 */
import { isPublicHost } from '../federation-client/address-check.ts'

const gatewayPath = '/_matrix/push/v1/notify'

/** What is wrong with the URL of a gateway, for the person who reads the error; undefined if nothing is. */
export function gatewayUrlFault(text: unknown, allowPrivateAddresses: boolean): string | undefined {
  const fault = pushServiceUrlFault(text, allowPrivateAddresses)
  if (fault !== undefined) return fault
  const isGateway = typeof text === 'string' && URL.parse(text)?.pathname === gatewayPath
  return isGateway ? undefined : `data.url must have the path ${gatewayPath}`
}

/** The same of a push service: "the URL defined as a `push resource` by RFC8030, and MUST be an HTTPS URL". */
export function pushServiceUrlFault(text: unknown, allowPrivateAddresses: boolean): string | undefined {
  const url = typeof text === 'string' ? URL.parse(text) : null
  if (!url) return 'data.url must be a URL'
  const isSecure = url.protocol === 'https:' || (allowPrivateAddresses && url.protocol === 'http:')
  if (!isSecure) return 'data.url must be an HTTPS URL'
  if (url.username !== '' || url.password !== '') return 'data.url must name no user'
  if (!allowPrivateAddresses && !isPublicHost(url.hostname)) return 'data.url must be a public host'
  return undefined
}
