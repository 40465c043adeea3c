/**
 * Which URLs a pusher may name.
 *
 * Spec: client-server-api/#post_matrixclientv3pushersset `data.url`: "MUST be an HTTPS URL with a path of
 * `/_matrix/push/v1/notify`". Nothing of a private network: whoever sets a pusher would else have this server write there.
 */
import { isPublicHost } from '../federation-client/address-check.ts'

const gatewayPath = '/_matrix/push/v1/notify'

/** What is wrong with a URL, for the person who reads the error; undefined if nothing is. */
export function gatewayUrlFault(text: unknown, allowPrivateAddresses: boolean): string | undefined {
  const url = typeof text === 'string' ? URL.parse(text) : null
  if (!url) return 'data.url must be a URL'
  const isSecure = url.protocol === 'https:' || (allowPrivateAddresses && url.protocol === 'http:')
  if (!isSecure) return 'data.url must be an HTTPS URL'
  if (url.username !== '' || url.password !== '') return 'data.url must name no user'
  if (url.pathname !== gatewayPath) return `data.url must have the path ${gatewayPath}`
  if (!allowPrivateAddresses && !isPublicHost(url.hostname)) return 'data.url must be a public host'
  return undefined
}
