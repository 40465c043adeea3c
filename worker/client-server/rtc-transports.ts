/** Where MatrixRTC calls are held. MSC4143 (unstable), MSC4195: Element Call and the clients that build on it ask for this. */
import { operation } from '../operation.ts'

/** A LiveKit service as the MSC writes it. */
export const liveKit = (url: string) => ({ type: 'livekit', livekit_service_url: url })

export const getRtcTransports = operation(
  'GET /_matrix/client/unstable/org.matrix.msc4143/rtc/transports',
  { id: 'getRtcTransports', auth: 'accessToken', guests: true },
  ({ settings: { liveKitUrl } }) => ({ rtc_transports: liveKitUrl === undefined ? [] : [liveKit(liveKitUrl)] }),
)
