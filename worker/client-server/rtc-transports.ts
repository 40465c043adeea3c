/** Where MatrixRTC calls are held. MSC4143 (unstable), MSC4195: Element Call and the clients that build on it ask for this. */
import { operation } from '../operation.ts'
import type { Settings } from '../settings.ts'

/** A LiveKit service as older forms of the MSC write it. */
export const liveKitService = (url: string) => ({ type: 'livekit', livekit_service_url: url })

/**
 * The SFU by its own address, for clients that ask us for a place in it (livekit-token.ts), and the service for those who ask
 * that; both in one, since they are one transport.
 */
function transports({ liveKit, liveKitUrl }: Settings): object[] {
  if (!liveKit && liveKitUrl === undefined) return []
  const service = liveKitUrl === undefined ? { type: 'livekit' } : liveKitService(liveKitUrl)
  return [{ ...service, ...(liveKit ? { url: liveKit.url } : {}) }]
}

export const getRtcTransports = operation(
  'GET /_matrix/client/unstable/org.matrix.msc4143/rtc/transports',
  { id: 'getRtcTransports', auth: 'accessToken', guests: true },
  ({ settings }) => ({ rtc_transports: transports(settings) }),
)
