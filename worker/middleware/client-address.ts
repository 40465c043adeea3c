/** Where a request comes from: for rate limits and for the list of one's devices. */
import type { Settings } from '../settings.ts'

/**
 * The client's address, or '' when nobody trustworthy tells. Only the header of the settings is looked at, which is the
 * platform's own: any other is written by the client.
 */
export function clientAddress(request: Request, { clientAddressHeader }: Settings): string {
  return clientAddressHeader === undefined ? '' : (request.headers.get(clientAddressHeader)?.trim().slice(0, 64) ?? '')
}
